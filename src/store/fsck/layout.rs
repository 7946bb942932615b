//! Layouts: what is kept of one is what it says: until when it holds, and whose keys may do which step.

use super::{Fault, Look, name, record::Row};
use crate::{
    args,
    intoto::Layout,
    store::{StoreError, sql, step_key::step_keys},
};
use std::collections::BTreeSet;

impl Look<'_> {
    pub(super) async fn layout(&mut self, row: &Row, layout: &Layout) -> Result<(), StoreError> {
        // One that has no row at all is a broken reference.
        let kept: Option<(i64, i64)> = self.session.row(sql::LAYOUT_KEPT, args![row.id]).await?;
        let Some((expires_at, strays)) = kept else { return Ok(()) };
        let mut wrong = Vec::new();
        if expires_at != layout.expires.as_microsecond() {
            wrong.push(format!("it expires at {}, and its row says another time", layout.expires));
        }
        if strays != 0 {
            wrong.push("its row has another chain, or another time of its coming, than its record".to_owned());
        }
        let keys: Vec<(String, String)> = self.session.rows(sql::LAYOUT_KEYS_ALL, args![row.id]).await?;
        let keys: BTreeSet<(String, String)> = keys.into_iter().collect();
        let expected: BTreeSet<(String, String)> =
            step_keys(layout).into_iter().map(|key| (key.step, key.keyid)).collect();
        let (missing, foreign) = (expected.difference(&keys).count(), keys.difference(&expected).count());
        if missing + foreign > 0 {
            wrong.push(format!("{missing} of its keys are not in its rows, and {foreign} are that it does not have"));
        }
        let unknown: Vec<String> = self.session.values(sql::GRANTS_MISSING, args![row.id]).await?;
        if !unknown.is_empty() {
            wrong.push(format!("its chain does not know {} of its keys", unknown.len()));
        }
        for detail in wrong {
            self.of_record(row, Fault::LayoutMisfiled, detail).await?;
        }
        // Two ways lead from an image to the layout that was named for it.
        let unbound: Vec<Vec<u8>> = self.session.values(sql::BOUND_BY_HALF, args![row.id]).await?;
        for image in unbound {
            self.of_record(row, Fault::ImageUnlisted, format!("{} leads to it by half", name(&image))).await?;
        }
        Ok(())
    }
}
