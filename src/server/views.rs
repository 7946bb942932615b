//! What lists show of a record.

use super::sight::Sight;
use crate::{
    intoto::Fact,
    store::records::{Listed, Row},
};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A record without its envelope.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordView {
    /// Its name: the SHA-256 of what is signed.
    #[schema(example = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")]
    pub digest: String,
    /// `layout`, `link` or `statement`.
    pub kind: &'static str,
    pub chain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The run, as its writer calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The run's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicate_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_value: Option<i64>,
    /// RFC 3339.
    pub received_at: String,
    /// The writer's name.
    pub submitter: String,
    /// The keys whose signatures verified when it was written.
    pub signers: Vec<String>,
    /// What it says of itself, where it can be asked for.
    pub facts: BTreeMap<String, FactView>,
}

/// A fact's value.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum FactView {
    Text(String),
    Number(i64),
}

impl From<Fact> for FactView {
    fn from(fact: Fact) -> Self {
        match fact {
            Fact::Text(text) => FactView::Text(text),
            Fact::Number(number) => FactView::Number(number),
        }
    }
}

impl RecordView {
    /// As it is shown.
    pub fn of(listed: Listed, sight: &Sight) -> Self {
        let Listed { row, run_key, signers, facts } = listed;
        let Row { chain, run, kind, step, digest, predicate_type, return_code, received_at, submitter, .. } = row;
        RecordView {
            digest: digest.to_string(),
            kind: kind.as_str(),
            chain: sight.name(chain),
            step,
            run: run_key,
            run_id: run.map(|run| run.to_string()),
            predicate_type,
            return_value: return_code,
            received_at: received_at.to_string(),
            submitter,
            signers,
            facts: facts.into_iter().map(|(name, fact)| (name, fact.into())).collect(),
        }
    }
}
