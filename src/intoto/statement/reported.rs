//! A statement where a link is expected (R42): the link predicates of every version, SLSA provenance, witness's collections.

use super::{
    StatementError,
    artifacts::{Naming, materials, subjects},
    collection, predicate_type, provenance,
};
use crate::{
    intoto::{
        Artifacts, Link,
        link::{LinkError, artifacts_of, strings},
    },
    json::Value,
};

/// <https://github.com/in-toto/attestation/blob/main/spec/predicates/link.md>.
pub const LINK: &str = "https://in-toto.io/attestation/link/v0.3";
/// The versions before it, with materials as an object.
pub const OLD_LINKS: [&str; 3] =
    ["https://in-toto.io/Link/v0.1", "https://in-toto.io/Link/v0.2", "https://in-toto.io/Link/v1"];

/// What a functionary reports in a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The step it says it is about; a provenance names none. Never empty.
    pub step: Option<String>,
    /// The same as a link. Its name is the step's, or empty.
    pub link: Link,
}

impl Reported {
    /// Reads signed JSON. Products are what the predicate says of subjects; names of artifacts follow R29 and hashes R34, as in a link.
    ///
    /// Unknown fields are ignored, and nothing that is ignored could have denied: only what is read reaches the rules.
    ///
    /// # Errors
    /// [`StatementError::NotALink`] for predicates that say nothing of a step, every other for what is malformed.
    pub fn from_value(value: &Value) -> Result<Self, StatementError> {
        let read: fn(&Value, &Value) -> Result<Reported, StatementError> = match predicate_type(value)? {
            LINK => link,
            old if OLD_LINKS.contains(&old) => old_link,
            provenance::V0_2 => provenance::v0_2,
            old if provenance::V0_1.contains(&old) => provenance::v0_2,
            provenance::V1 => provenance::v1,
            provenance::V1_OF_WITNESS => provenance::v1_of_witness,
            collection::TYPE => collection::link,
            other => return Err(StatementError::NotALink { predicate_type: other.to_owned() }),
        };
        let predicate = value.get("predicate").filter(|predicate| predicate.as_object().is_some());
        read(value, predicate.ok_or(StatementError::Type { field: "predicate", expected: "an object" })?)
    }
}

/// Link v0.3: a link whose products are the subjects, and whose materials are a list.
fn link(statement: &Value, predicate: &Value) -> Result<Reported, StatementError> {
    let command = match predicate.get("command") {
        None => Vec::new(),
        Some(command) => strings(command).ok_or(LinkError::Type("command", "a list of strings"))?,
    };
    let materials = materials(predicate.get("materials"), &["name"], Naming::Exact)?;
    named(predicate, command, materials, subjects(statement, Naming::Exact)?.done())
}

/// Link v0.1 to v1: the members of a link. Where it has products of its own it is a whole link that was attached to its subjects, which
/// are images (`cosign attest --type link`): both are products.
fn old_link(statement: &Value, predicate: &Value) -> Result<Reported, StatementError> {
    let command = match predicate.get("command") {
        // Version 0.2 had one string.
        Some(Value::String(command)) => vec![command.clone()],
        Some(command) => strings(command).ok_or(LinkError::Type("command", "a list of strings"))?,
        None => return Err(LinkError::Missing("command").into()),
    };
    let products = match predicate.get("products") {
        None => subjects(statement, Naming::Exact)?,
        Some(own) => {
            let mut products = subjects(statement, Naming::Images)?;
            for (name, digests) in &artifacts_of(own, "products")? {
                products.add_named(name.to_owned(), digests.clone())?;
            }
            products
        }
    };
    let materials = predicate.get("materials").ok_or(LinkError::Missing("materials"))?;
    named(predicate, command, artifacts_of(materials, "materials")?, products.done())
}

/// What predicates that name their step have in common.
pub(super) fn named(
    predicate: &Value,
    command: Vec<String>,
    materials: Artifacts,
    products: Artifacts,
) -> Result<Reported, StatementError> {
    let name = predicate.get("name").ok_or(LinkError::Missing("name"))?;
    let name = name.as_str().ok_or(LinkError::Type("name", "a string"))?.to_owned();
    if name.is_empty() {
        return Err(StatementError::NoStep);
    }
    let opaque = |field: &str| predicate.get(field).cloned().unwrap_or(Value::Object(Vec::new()));
    let (byproducts, environment) = (opaque("byproducts"), opaque("environment"));
    Ok(Reported {
        step: Some(name.clone()),
        link: Link { name, command, materials, products, byproducts, environment },
    })
}
