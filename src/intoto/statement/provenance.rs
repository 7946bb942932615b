//! SLSA provenance as a link: products are the subjects, materials what the build took. It names no step, and no command.

use super::{
    Reported, StatementError,
    artifacts::{Naming, materials, subjects},
};
use crate::{
    intoto::{Artifacts, Link},
    json::Value,
};

/// What in-toto first called provenance, and SLSA took over: the materials stand where version 0.2 has them.
pub(super) const V0_1: [&str; 2] = ["https://in-toto.io/Provenance/v0.1", "https://slsa.dev/provenance/v0.1"];
/// <https://slsa.dev/spec/v0.2/provenance>.
pub(super) const V0_2: &str = "https://slsa.dev/provenance/v0.2";
/// <https://slsa.dev/spec/v1.0/provenance>.
pub(super) const V1: &str = "https://slsa.dev/provenance/v1";

/// As witness writes version 1 (`--attestor-slsa-export`): under a name of its own, with words in another case.
pub(super) const V1_OF_WITNESS: &str = "https://slsa.dev/provenance/v1.0";

pub(super) fn v0_2(statement: &Value, predicate: &Value) -> Result<Reported, StatementError> {
    unnamed(statement, materials(predicate.get("materials"), &["uri"], Naming::Images)?)
}

pub(super) fn v1(statement: &Value, predicate: &Value) -> Result<Reported, StatementError> {
    in_words(statement, predicate, "buildDefinition", "resolvedDependencies")
}

pub(super) fn v1_of_witness(statement: &Value, predicate: &Value) -> Result<Reported, StatementError> {
    in_words(statement, predicate, "build_definition", "resolved_dependencies")
}

fn in_words(
    statement: &Value,
    predicate: &Value,
    field: &'static str,
    dependencies: &str,
) -> Result<Reported, StatementError> {
    let definition = predicate.get(field).filter(|definition| definition.as_object().is_some());
    let definition = definition.ok_or(StatementError::Type { field, expected: "an object" })?;
    unnamed(statement, materials(definition.get(dependencies), &["uri", "name"], Naming::Images)?)
}

fn unnamed(statement: &Value, materials: Artifacts) -> Result<Reported, StatementError> {
    let products = subjects(statement, Naming::Images)?.done();
    let nothing = || Value::Object(Vec::new());
    let (byproducts, environment) = (nothing(), nothing());
    let link = Link { name: String::new(), command: Vec::new(), materials, products, byproducts, environment };
    Ok(Reported { step: None, link })
}
