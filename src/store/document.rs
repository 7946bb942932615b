//! What an envelope holds: a layout, a link, a statement, by what is signed alone. What is kept beside it is made of this when it is
//! written, and compared with this when it is looked at again (`fsck`).

use super::{Kind, artifacts};
use crate::{
    digest::Digest,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    intoto::{
        Artifacts, Facts, Layout, Link, Profile, Reported,
        statement::{self, Statement, StatementError},
    },
    json::{JsonError, Value},
    reason::{Fault, Reason},
};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// What the payload says.
pub enum Document {
    Layout(Layout),
    /// A link, and the step it names.
    Link(Option<String>, Link, Said),
    /// A statement that is no link.
    Statement(Statement, Said),
}

/// What a record says beside what is judged.
#[derive(Default)]
pub struct Said {
    pub predicate_type: Option<String>,
    pub facts: Facts,
}

impl Document {
    pub fn kind(&self) -> Kind {
        match self {
            Document::Layout(_) => Kind::Layout,
            Document::Link(..) => Kind::Link,
            Document::Statement(..) => Kind::Statement,
        }
    }
}

impl Said {
    /// When the step began and ended.
    pub fn times(&self) -> [Option<Timestamp>; 2] {
        ["step.started_at", "step.ended_at"].map(|name| self.facts.time(name))
    }
}

/// How a link's command ended.
pub fn return_code(link: &Link) -> Option<i64> {
    link.byproducts.get("return-value")?.as_u64()?.try_into().ok()
}

/// The images a statement is about.
pub fn subjects(statement: &Statement) -> BTreeSet<Digest> {
    let digests = statement.subject.iter().filter_map(|subject| artifacts::sha256(&subject.digest));
    digests.take(artifacts::IMAGES_MAX).collect()
}

/// What a link, or a statement that counts as one, says that its step made.
pub fn products(envelope: &Envelope) -> Artifacts {
    match document(envelope) {
        Ok(Document::Link(_, link, _)) => link.products,
        Ok(Document::Layout(_) | Document::Statement(..)) | Err(_) => Artifacts::new(),
    }
}

/// Layout, link or statement, by the signed `_type`. The bytes hash to the name they were given, so they may be parsed.
pub fn document(envelope: &Envelope) -> Result<Document, Fault> {
    let payload_type = envelope.payload_type();
    let other_type = payload_type.filter(|kind| *kind != INTOTO_PAYLOAD_TYPE);
    let wrong_type = |found: &str| {
        let message = format!("the payload type is \"{found}\", expected \"{INTOTO_PAYLOAD_TYPE}\"");
        Fault::new(Reason::LinkMalformed, message)
    };
    if let Some(found) = other_type.filter(|kind| !statement::is_predicate_payload(kind)) {
        return Err(wrong_type(found));
    }
    let malformed = |error: JsonError| Fault::new(Reason::LinkMalformed, error.to_string());
    if other_type.is_none() && envelope.kind().as_deref() == Some("link") {
        let link = Link::of(envelope, Profile::Strict).map_err(malformed)?.link;
        let link = link.map_err(|error| Fault::new(Reason::LinkMalformed, error.to_string()))?;
        let said = Said { predicate_type: None, facts: Facts::of_link(&link) };
        return Ok(Document::Link(Some(link.name.clone()), link, said));
    }
    let value = envelope.value().map_err(malformed)?;
    let kind = value.get("_type").and_then(Value::as_str);
    if payload_type.is_some() && kind.is_some_and(|kind| statement::TYPES.contains(&kind)) {
        return statement_of(&value).map_err(|error| Fault::new(Reason::LinkMalformed, error.to_string()));
    }
    if let Some(found) = other_type {
        return Err(wrong_type(found));
    }
    match kind {
        Some("layout") => Layout::from_value(&value)
            .map(Document::Layout)
            .map_err(|error| Fault::new(error.reason(), error.to_string())),
        Some(other) => Err(Fault::new(
            Reason::LinkMalformed,
            format!("_type is \"{}\", expected layout or link", other.escape_debug()),
        )),
        None => Err(Fault::new(Reason::LinkMalformed, "what is signed has no _type, expected layout or link")),
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
