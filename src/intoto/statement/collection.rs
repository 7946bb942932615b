//! witness's collections: the attestations of one `witness run` in one predicate. Its subjects are an index for searching (the hash of an
//! author's address among them); what went in and came out stands in the attestations.

use super::{
    Reported, StatementError,
    artifacts::{Gathered, Naming},
    reported::named,
};
use crate::{
    image::artifact_name,
    intoto::link::{LinkError, artifacts_of, digest_set, strings},
    json::Value,
    reference::Reference,
};

pub(super) const TYPE: &str = "https://witness.testifysec.com/attestation-collection/v0.1";

const MATERIAL: &str = "https://witness.dev/attestations/material/v0.1";
const PRODUCT: &str = "https://witness.dev/attestations/product/v0.1";
const COMMAND: &str = "https://witness.dev/attestations/command-run/v0.1";
const DOCKER: &str = "https://witness.dev/attestations/docker/v0.1";

/// Materials and products must be there, as `witness run` always writes them: a step that attests to nothing would pass every rule
/// (GHSA-567m-4668-m656).
pub(super) fn link(_: &Value, predicate: &Value) -> Result<Reported, StatementError> {
    let list = predicate.get("attestations").and_then(Value::as_array);
    let list = list.ok_or(StatementError::Type { field: "attestations", expected: "a list" })?;
    let missing = |kind| StatementError::Collection { kind, found: 0 };
    let command = match one(list, COMMAND)? {
        None => Vec::new(),
        Some(run) => run.get("cmd").and_then(strings).ok_or(LinkError::Type("cmd", "a list of strings"))?,
    };
    let mut products = Gathered::new("products", Naming::Images);
    for (name, product) in members(one(list, PRODUCT)?.ok_or_else(|| missing(PRODUCT))?)? {
        let hash = || LinkError::Hash { side: "products", name: name.clone() };
        products.add_named(name.clone(), product.get("digest").and_then(digest_set).ok_or_else(hash)?)?;
    }
    if let Some(docker) = one(list, DOCKER)? {
        images(docker, &mut products)?;
    }
    let materials = artifacts_of(one(list, MATERIAL)?.ok_or_else(|| missing(MATERIAL))?, "materials")?;
    named(predicate, command, materials, products.done())
}

/// The images that were built, by the names they were pushed under: what BuildKit's metadata file says.
fn images(docker: &Value, products: &mut Gathered) -> Result<(), StatementError> {
    let built = docker.get("products").ok_or(LinkError::Missing("products"))?;
    for (at, (_, image)) in members(built)?.iter().enumerate() {
        let digests = image.get("imagedigest").and_then(digest_set);
        let digests = digests.ok_or(StatementError::Digest { list: "images", at })?;
        let malformed = || LinkError::Type("imagereferences", "a list of image references");
        let names = image.get("imagereferences").and_then(strings).ok_or_else(malformed)?;
        // One metadata file may hold several names, with commas; the image of none is bound by its blobs alone.
        for name in names.iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty()) {
            let reference: Reference = name.parse().map_err(|_| malformed())?;
            products.add_named(artifact_name(&reference.name()), digests.clone())?;
        }
    }
    Ok(())
}

/// The attestation of that type. Two of them are refused, rather than one of them judged.
fn one<'v>(list: &'v [Value], kind: &'static str) -> Result<Option<&'v Value>, StatementError> {
    let mut found = list.iter().filter(|attestation| attestation.get("type").and_then(Value::as_str) == Some(kind));
    let (first, more) = (found.next(), found.count());
    if more > 0 {
        return Err(StatementError::Collection { kind, found: more + 1 });
    }
    let attestation = first.map(|first| first.get("attestation").ok_or(LinkError::Missing("attestation")));
    Ok(attestation.transpose()?)
}

fn members(value: &Value) -> Result<&[(String, Value)], StatementError> {
    Ok(value.as_object().ok_or(LinkError::Type("attestation", "an object"))?)
}
