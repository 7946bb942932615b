//! in-toto attestation statements (attestation framework v0.1 and v1): what cosign bundles carry.
use crate::{digest::DigestSet, json::Value};
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub name: Option<String>,
    pub digest: DigestSet,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub subject: Vec<Subject>,
    pub predicate_type: String,
    pub predicate: Option<Value>,
}
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    #[error("{0}")]
    Malformed(String),
}
impl Statement {
    pub fn from_value(value: &Value) -> Result<Self, StatementError> {
        let _ = value;
        todo!()
    }
}
