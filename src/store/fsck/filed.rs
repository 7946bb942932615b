//! Where a record is filed: its row, and what leads to it, say of it what it says itself. Answers are found by these alone, so one that is
//! misfiled is missed, or comes where it does not belong.

use super::{Fault, Look, record::Row};
use crate::{
    args,
    store::{
        StoreError,
        document::{Document, Said, return_code},
        sql,
    },
};

impl Look<'_> {
    pub(super) async fn filed(&mut self, row: &Row, document: &Document) -> Result<(), StoreError> {
        let mut wrong = columns(row, document);
        // A step that the record does not name was its writer's to say, as far as its signer is of that step.
        let unnamed = matches!(document, Document::Link(None, ..) | Document::Statement(..));
        if unnamed && self.session.value::<i64>(sql::SIGNED_AS_GRANTED, args![row.id]).await?.is_none() {
            wrong.push("step");
        }
        if !wrong.is_empty() {
            let detail = format!("its row has another {} than it says", wrong.join(", "));
            self.of_record(row, Fault::RecordMisfiled, detail).await?;
        }
        let strayed: Vec<String> = self.session.values(sql::STRAYED, args![row.id]).await?;
        for what in strayed {
            self.of_record(row, Fault::RecordMisfiled, format!("{what} of it is in another chain or run")).await?;
        }
        if self.session.value::<i64>(sql::ANNOUNCED, args![row.id]).await?.is_none() {
            self.of_record(row, Fault::RecordUnannounced, "is not in the stream").await?;
        }
        Ok(())
    }
}

/// The columns that are not what the document says.
fn columns(row: &Row, document: &Document) -> Vec<&'static str> {
    let none = Said::default();
    let (step, ended, said) = match document {
        Document::Layout(_) => (Some(None), None, &none),
        Document::Link(named, link, said) => (named.as_ref().map(Some), return_code(link), said),
        Document::Statement(_, said) => (None, None, said),
    };
    let times = said.times().map(|time| time.map(|time| time.as_microsecond()));
    let checks = [
        ("kind", row.kind == document.kind().code()),
        ("step", step.is_none_or(|step| row.step.as_ref() == step)),
        ("return code", row.return_code == ended),
        ("predicate", row.predicate_type == said.predicate_type),
        ("time", row.times == times),
    ];
    checks.into_iter().filter(|(_, right)| !right).map(|(name, _)| name).collect()
}
