//! A link in its container, signed.

use crate::{
    digest::DigestSet,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    intoto::{Artifacts, Link, Profile, statement},
    json::{self, Value},
    key::SecretKey,
};
use anyhow::Context as _;

/// The container a link is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Container {
    /// The link itself, in a DSSE envelope.
    #[default]
    Dsse,
    /// The link itself, in in-toto's older container.
    Metablock,
    /// A statement of the attestation framework in a DSSE envelope, its predicate link v0.3: the subjects are the products.
    Statement,
}

/// Signs the link in its container.
///
/// # Errors
/// The key cannot sign; a statement without a subject, since it would be about nothing.
pub fn seal(link: &Link, container: Container, key: &SecretKey) -> anyhow::Result<Envelope> {
    let dsse = |value: &Value| Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, json::to_text(value).into_bytes(), &[key]);
    match container {
        Container::Dsse => dsse(&link.to_value()).context("sign"),
        Container::Metablock => Envelope::sign_metablock(link.to_value(), &[key]).context("sign"),
        Container::Statement => {
            anyhow::ensure!(!link.products.is_empty(), "a statement is about its products, and there are none");
            dsse(&statement(link)).context("sign")
        }
    }
}

/// Why verifiers would not read the link.
pub fn refused(envelope: &Envelope, container: Container) -> Option<String> {
    let read = match container {
        Container::Dsse | Container::Metablock => match Link::of(envelope, Profile::Strict) {
            Ok(reading) => reading.link.map(drop).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        },
        Container::Statement => match envelope.value() {
            Ok(value) => statement::Reported::from_value(&value).map(drop).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        },
    };
    read.err()
}

/// Link v0.3 (attestation framework, predicates): the products are the subjects, and materials a list.
fn statement(link: &Link) -> Value {
    let predicate = object(vec![
        ("name", text(&link.name)),
        ("command", Value::Array(link.command.iter().map(|word| text(word)).collect())),
        ("materials", list(&link.materials)),
        ("byproducts", link.byproducts.clone()),
        ("environment", link.environment.clone()),
    ]);
    object(vec![
        ("_type", text(statement::TYPES[1])),
        ("subject", list(&link.products)),
        ("predicateType", text(statement::LINK)),
        ("predicate", predicate),
    ])
}

fn list(artifacts: &Artifacts) -> Value {
    let digests = |hashes: &DigestSet| object(hashes.iter().map(|(name, hex)| (name, text(&hex))).collect());
    let one = |name, hashes| object(vec![("name", text(name)), ("digest", digests(hashes))]);
    Value::Array(artifacts.iter().map(|(name, hashes)| one(name, hashes)).collect())
}

fn object(members: Vec<(&str, Value)>) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}
