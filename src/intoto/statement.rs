//! in-toto attestation statements (attestation framework v0.1 and v1): what cosign bundles carry.
use super::link::digest_set;
use crate::{digest::DigestSet, json::Value};

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

/// Why a signed value is no statement.
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
}

impl Statement {
    /// Reads a statement from signed JSON.
    pub fn from_value(value: &Value) -> Result<Self, StatementError> {
        if !value.get("_type").and_then(Value::as_str).is_some_and(|kind| TYPES.contains(&kind)) {
            return Err(StatementError::NotAStatement);
        }
        let subjects = value
            .get("subject")
            .and_then(Value::as_array)
            .ok_or(StatementError::Type { field: "subject", expected: "a list" })?;
        let subject =
            subjects.iter().enumerate().map(|(at, value)| subject(at, value)).collect::<Result<Vec<_>, _>>()?;
        if subject.is_empty() {
            return Err(StatementError::NoSubject);
        }
        let predicate_type = value
            .get("predicateType")
            .and_then(Value::as_str)
            .filter(|kind| !kind.is_empty())
            .ok_or(StatementError::Type { field: "predicateType", expected: "a string" })?;
        Ok(Statement { subject, predicate_type: predicate_type.to_owned(), predicate: value.get("predicate").cloned() })
    }
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
mod tests {
    use super::*;
    use crate::json;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn statement(kind: &str, subject: &str) -> Result<Statement, StatementError> {
        let text =
            format!(r#"{{"_type":"{kind}","subject":{subject},"predicateType":"https://example.com/p","later":1}}"#);
        Statement::from_value(&json::parse(text.as_bytes(), &json::Limits::METADATA).unwrap())
    }

    #[test]
    fn both_versions_are_read() {
        for kind in TYPES {
            let read = statement(kind, &format!(r#"[{{"name":"api","digest":{{"sha256":"{HEX}"}}}}]"#)).unwrap();
            assert_eq!(read.subject[0].name.as_deref(), Some("api"));
        }
        assert_eq!(statement("https://in-toto.io/Statement/v2", "[]"), Err(StatementError::NotAStatement));
    }

    #[test]
    fn a_statement_is_about_something() {
        assert_eq!(statement(TYPES[1], "[]"), Err(StatementError::NoSubject));
        assert_eq!(statement(TYPES[1], r#"[{"name":"api","digest":{}}]"#), Err(StatementError::Subject(0)));
        assert_eq!(statement(TYPES[1], r#"[{"digest":{"sha256":"ab"}}]"#), Err(StatementError::Subject(0)));
    }
}
