//! Layouts: specification 4.3.
use super::Rule;
use crate::{json::Value, key::PublicKey};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub expires: jiff::Timestamp,
    pub readme: String,
    /// key id as written → the key; an unusable key is kept as the reason why (R: unusable key elsewhere must not block).
    pub keys: BTreeMap<String, Result<PublicKey, crate::key::KeyError>>,
    pub steps: Vec<Step>,
    pub inspections: Vec<Inspection>,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub threshold: u32,
    pub pubkeys: Vec<String>,
    pub expected_command: Vec<String>,
    pub expected_materials: Vec<Rule>,
    pub expected_products: Vec<Rule>,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    pub name: String,
    pub run: Vec<String>,
    pub expected_materials: Vec<Rule>,
    pub expected_products: Vec<Rule>,
}
/// Malformed (→ layout_malformed), or asking for what we do not implement (→ layout_unsupported). Owner makes it a closed list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Unsupported(String),
}
impl Layout {
    pub fn from_value(value: &Value) -> Result<Self, LayoutError> {
        let _ = value;
        todo!()
    }
    /// For writing one: the JSON value that `from_value` reads back.
    pub fn to_value(&self) -> Value {
        todo!()
    }
}
