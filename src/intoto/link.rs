//! Links: specification 4.4.
use crate::{digest::DigestSet, json::Value};
use std::collections::BTreeMap;

pub type Artifacts = BTreeMap<String, DigestSet>;
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub name: String,
    pub command: Vec<String>,
    pub materials: Artifacts,
    pub products: Artifacts,
    pub byproducts: Value,
    pub environment: Value,
}
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    #[error("{0}")]
    Malformed(String),
}
impl Link {
    pub fn from_value(value: &Value) -> Result<Self, LinkError> {
        let _ = value;
        todo!()
    }
    pub fn to_value(&self) -> Value {
        todo!()
    }
}
