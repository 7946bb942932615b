//! What an envelope holds: a layout, a link, a statement, by what is signed alone.

use super::refuse;
use crate::{
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    intoto::{
        Artifacts, Facts, Layout, Link, Profile, Reported,
        statement::{self, Statement, StatementError},
    },
    json::{JsonError, Value},
    reason::Reason,
    server::problem::Problem,
};

/// What the payload says.
pub(super) enum Document {
    Layout(Layout),
    /// A link, and the step it names.
    Link(Option<String>, Link, Said),
    /// A statement that is no link.
    Statement(Statement, Said),
}

/// What a record says beside what is judged.
#[derive(Default)]
pub(super) struct Said {
    pub(super) predicate_type: Option<String>,
    pub(super) facts: Facts,
}

/// What a link, or a statement that counts as one, says that its step made.
pub fn products(envelope: &Envelope) -> Artifacts {
    match document(envelope) {
        Ok(Document::Link(_, link, _)) => link.products,
        Ok(Document::Layout(_) | Document::Statement(..)) | Err(_) => Artifacts::new(),
    }
}

/// Layout, link or statement, by the signed `_type`. The bytes hash to the name they were given, so they may be parsed.
pub(super) fn document(envelope: &Envelope) -> Result<Document, Problem> {
    let payload_type = envelope.payload_type();
    let other_type = payload_type.filter(|kind| *kind != INTOTO_PAYLOAD_TYPE);
    let wrong_type = |found: &str| {
        let message = format!("the payload type is \"{found}\", expected \"{INTOTO_PAYLOAD_TYPE}\"");
        refuse(Reason::LinkMalformed, message)
    };
    if let Some(found) = other_type.filter(|kind| !statement::is_predicate_payload(kind)) {
        return Err(wrong_type(found));
    }
    let malformed = |error: JsonError| refuse(Reason::LinkMalformed, error.to_string());
    if other_type.is_none() && envelope.kind().as_deref() == Some("link") {
        let link = Link::of(envelope, Profile::Strict).map_err(malformed)?.link;
        let link = link.map_err(|error| refuse(Reason::LinkMalformed, error.to_string()))?;
        let said = Said { predicate_type: None, facts: Facts::of_link(&link) };
        return Ok(Document::Link(Some(link.name.clone()), link, said));
    }
    let value = envelope.value().map_err(malformed)?;
    let kind = value.get("_type").and_then(Value::as_str);
    if payload_type.is_some() && kind.is_some_and(|kind| statement::TYPES.contains(&kind)) {
        return statement_of(&value).map_err(|error| refuse(Reason::LinkMalformed, error.to_string()));
    }
    if let Some(found) = other_type {
        return Err(wrong_type(found));
    }
    match kind {
        Some("layout") => {
            Layout::from_value(&value).map(Document::Layout).map_err(|error| refuse(error.reason(), error.to_string()))
        }
        Some(other) => Err(refuse(
            Reason::LinkMalformed,
            format!("_type is \"{}\", expected layout or link", other.escape_debug()),
        )),
        None => Err(refuse(Reason::LinkMalformed, "what is signed has no _type, expected layout or link")),
    }
}

/// A statement: a link where its predicate is one of a link's, whole or not.
fn statement_of(value: &Value) -> Result<Document, StatementError> {
    let said = |predicate_type: &str| Said {
        predicate_type: Some(predicate_type.to_owned()),
        facts: Facts::of_statement(value),
    };
    match Reported::from_value(value) {
        Ok(Reported { step, link }) => {
            let predicate_type = value.get("predicateType").and_then(Value::as_str).unwrap_or_default();
            Ok(Document::Link(step, link, said(predicate_type)))
        }
        Err(StatementError::NotALink { .. }) => {
            let statement = Statement::from_value(value)?;
            let said = said(&statement.predicate_type);
            Ok(Document::Statement(statement, said))
        }
        Err(error) => Err(error),
    }
}
