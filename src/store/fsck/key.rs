//! Keys: each is the one that its name says, and none is of a step that no layout gave it.

use super::{Fault, Look, PAGE};
use crate::{
    args,
    json::{self, Limits},
    key::PublicKey,
    store::{StoreError, sql, step_key::stored_id},
};

/// Grants of no layout that are named.
const FOREIGN_MAX: i64 = 100;

impl Look<'_> {
    pub(super) async fn keys(&mut self) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let page: Vec<(String, String)> = self.session.rows(sql::KEYS_AFTER, args![&after, PAGE]).await?;
            let Some((last, _)) = page.last() else { break };
            after = last.clone();
            for (keyid, public) in page {
                let key = json::parse(public.as_bytes(), &Limits::METADATA).ok();
                let key = key.and_then(|value| PublicKey::from_layout(&value).ok());
                let detail = match key {
                    Some(key) if stored_id(&key) == keyid => continue,
                    Some(_) => "is another than its name says",
                    None => "cannot be read",
                };
                self.damaged(Fault::KeyUnreadable, format!("key {keyid}"), detail);
            }
        }
        let foreign: Vec<(String, String, String)> = self.session.rows(sql::GRANTS_FOREIGN, args![FOREIGN_MAX]).await?;
        for (chain, step, keyid) in foreign {
            let detail = format!("no layout of chain \"{chain}\" gives it the step \"{}\"", step.escape_debug());
            self.damaged(Fault::LayoutMisfiled, format!("key {keyid}"), detail);
        }
        Ok(())
    }
}
