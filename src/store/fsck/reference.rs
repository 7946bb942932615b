//! References: every row that names another one finds it.

use super::{Fault, Look};
use crate::{
    args,
    store::{StoreError, sql},
};

/// Broken references named of each kind.
const BROKEN_MAX: i64 = 100;

impl Look<'_> {
    /// Every reference between tables.
    pub(super) async fn references(&mut self) -> Result<(), StoreError> {
        for (done, (what, statement)) in (1..).zip(sql::BROKEN_REFERENCES) {
            let broken: Vec<i64> = self.session.values(statement, args![BROKEN_MAX]).await?;
            for id in broken {
                self.damaged(Fault::ReferenceBroken, format!("{what} {id}"), "is referred to and not there");
            }
            self.progress("references", done);
        }
        if self.session.value::<i64>(sql::POSITION_BEYOND, &[]).await?.is_some() {
            self.damaged(Fault::RecordUnannounced, "stream", "its positions would be given a second time");
        }
        Ok(())
    }
}
