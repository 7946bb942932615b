//! in-toto attestation statements (attestation framework v0.1 and v1): what cosign bundles carry, and what [`Reported`] reads as links.

use super::link::{LinkError, digest_set};
use crate::{digest::DigestSet, json::Value};

mod artifacts;
mod collection;
mod name;
mod provenance;
mod reported;

pub use reported::{LINK, Reported};

/// The `_type` of each version we read.
pub const TYPES: [&str; 2] = ["https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"];

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub name: Option<String>,
    pub digest: DigestSet,
}

/// A claim about subjects. Fields that are not known are ignored, as the framework asks (its "monotonic principle").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// At least one.
    pub subject: Vec<Subject>,
    pub predicate_type: String,
    pub predicate: Option<Value>,
}

/// Why a signed value is no statement, or none that counts as a link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// `_type` is none of `TYPES`.
    #[error("it is not an in-toto statement (_type)")]
    NotAStatement,
    /// No subject: it would be about everything, or nothing.
    #[error("the statement has no subject")]
    NoSubject,
    /// A subject without an accepted, well-formed digest (R34).
    #[error("subject {0} of the statement has no well-formed digest")]
    Subject(usize),
    /// A field has another JSON type, or is missing.
    #[error("the statement's field {field} is not {expected}")]
    Type { field: &'static str, expected: &'static str },
    /// It may be true, and says nothing of a step (R42).
    #[error("a statement with the predicate {predicate_type:?} is no link")]
    NotALink { predicate_type: String },
    /// A link that names its step with nothing would fit any (GHSA-g9jx-rqhm-mj7g).
    #[error("the statement names no step (predicate.name is empty)")]
    NoStep,
    /// What has no name cannot be matched by a rule.
    #[error("entry {at} of the statement's {list} has no name")]
    Unnamed { list: &'static str, at: usize },
    /// A material without any digest, or with one that is not well formed (R34).
    #[error("entry {at} of the statement's {list} has no well-formed digest")]
    Digest { list: &'static str, at: usize },
    /// One name for two things: whichever were judged, the other would go unseen.
    #[error("the name {name:?} stands twice in the statement's {list}")]
    Twice { list: &'static str, name: String },
    /// A collection without one of the attestations a link is made of, or with two of them (GHSA-r4fv-8r9j-vgcg).
    #[error("the collection has {found} attestations of the type {kind:?}, expected one")]
    Collection { kind: &'static str, found: usize },
    /// As in a link: R29, R34, the JSON types.
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl Statement {
    /// Reads a statement from signed JSON.
    pub fn from_value(value: &Value) -> Result<Self, StatementError> {
        let predicate_type = predicate_type(value)?.to_owned();
        let subjects = value
            .get("subject")
            .and_then(Value::as_array)
            .ok_or(StatementError::Type { field: "subject", expected: "a list" })?;
        let subject =
            subjects.iter().enumerate().map(|(at, value)| subject(at, value)).collect::<Result<Vec<_>, _>>()?;
        if subject.is_empty() {
            return Err(StatementError::NoSubject);
        }
        Ok(Statement { subject, predicate_type, predicate: value.get("predicate").cloned() })
    }
}

/// Whether a payload type announces a statement about one kind of predicate, `application/vnd.in-toto.<predicate>+json` (attestation
/// framework, envelope layer). Which predicate it really is stands in the statement: this is a hint only.
pub fn is_predicate_payload(payload_type: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let predicate = payload_type.strip_prefix("application/vnd.in-toto.").and_then(|rest| rest.strip_suffix("+json"));
    predicate.is_some_and(|predicate| !predicate.is_empty() && predicate.bytes().all(word))
}

/// Whether a predicate is a link of any version.
pub fn is_link(predicate_type: &str) -> bool {
    predicate_type == reported::LINK || reported::OLD_LINKS.contains(&predicate_type)
}

/// What the statement claims, once it is known to be one.
fn predicate_type(value: &Value) -> Result<&str, StatementError> {
    if !value.get("_type").and_then(Value::as_str).is_some_and(|kind| TYPES.contains(&kind)) {
        return Err(StatementError::NotAStatement);
    }
    value
        .get("predicateType")
        .and_then(Value::as_str)
        .filter(|kind| !kind.is_empty())
        .ok_or(StatementError::Type { field: "predicateType", expected: "a string" })
}

fn subject(at: usize, value: &Value) -> Result<Subject, StatementError> {
    let name = match value.get("name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.clone()),
        Some(_) => return Err(StatementError::Type { field: "subject.name", expected: "a string" }),
    };
    let digest = value.get("digest").and_then(digest_set).ok_or(StatementError::Subject(at))?;
    Ok(Subject { name, digest })
}

#[cfg(test)]
mod tests;
