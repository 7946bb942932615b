//! SLSA provenance as a link: products are the subjects, materials what the build took. It names no step, and no command.

use super::{
    Reported, StatementError,
    artifacts::{Naming, materials, subjects},
};
use crate::{
    intoto::{Artifacts, Link},
    json::Value,
};

/// <https://slsa.dev/spec/v0.2/provenance>.
pub(super) const V0_2: &str = "https://slsa.dev/provenance/v0.2";
/// <https://slsa.dev/spec/v1.0/provenance>.
pub(super) const V1: &str = "https://slsa.dev/provenance/v1";

pub(super) fn v0_2(statement: &Value, predicate: &Value) -> Result<Reported, StatementError> {
    unnamed(statement, materials(predicate.get("materials"), &["uri"], Naming::Images)?)
}

pub(super) fn v1(statement: &Value, predicate: &Value) -> Result<Reported, StatementError> {
    let definition = predicate.get("buildDefinition").filter(|definition| definition.as_object().is_some());
    let definition = definition.ok_or(StatementError::Type { field: "buildDefinition", expected: "an object" })?;
    let names = ["uri", "name"];
    unnamed(statement, materials(definition.get("resolvedDependencies"), &names, Naming::Images)?)
}

fn unnamed(statement: &Value, materials: Artifacts) -> Result<Reported, StatementError> {
    let products = subjects(statement, Naming::Images)?.done();
    let nothing = || Value::Object(Vec::new());
    let (byproducts, environment) = (nothing(), nothing());
    let link = Link { name: String::new(), command: Vec::new(), materials, products, byproducts, environment };
    Ok(Reported { step: None, link })
}
