//! The artifacts of a statement, gathered so that no name stands for two things.

use super::{Statement, StatementError, name};
use crate::{
    digest::{Algorithm, DigestSet},
    intoto::{
        Artifacts,
        link::{LinkError, digest_set, unclean},
    },
    json::Value,
};
use std::collections::{BTreeMap, btree_map::Entry};

/// How names are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// As in a link: the name is what the rules see, and stands once.
    Exact,
    /// An image goes by `oci:<registry>/<repository>`. It may be named again, as BuildKit does for each tag, but with the same digests.
    Images,
}

/// Name → digests, one list of a statement at a time.
pub(super) struct Gathered {
    list: &'static str,
    naming: Naming,
    artifacts: BTreeMap<String, DigestSet>,
}

impl Gathered {
    pub(super) fn new(list: &'static str, naming: Naming) -> Self {
        Gathered { list, naming, artifacts: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, name: &str, digests: DigestSet) -> Result<(), StatementError> {
        let image = if self.naming == Naming::Images { name::of_image(name) } else { None };
        self.add_named(image.unwrap_or_else(|| name::of_file(name).to_owned()), digests)
    }

    /// The same for a name that is already what the rules see.
    pub(super) fn add_named(&mut self, name: String, digests: DigestSet) -> Result<(), StatementError> {
        if let Some(why) = unclean(&name) {
            return Err(LinkError::ArtifactName { side: self.list, name, why }.into());
        }
        match self.artifacts.entry(name) {
            Entry::Vacant(entry) => drop(entry.insert(digests)),
            Entry::Occupied(known) if self.naming == Naming::Images && *known.get() == digests => {}
            Entry::Occupied(known) => {
                return Err(StatementError::Twice { list: self.list, name: known.key().clone() });
            }
        }
        Ok(())
    }

    pub(super) fn done(self) -> Artifacts {
        self.artifacts.into_iter().collect()
    }
}

/// The subjects: what a step has made.
pub(super) fn subjects(statement: &Value, naming: Naming) -> Result<Gathered, StatementError> {
    let mut products = Gathered::new("subject", naming);
    for (at, subject) in Statement::from_value(statement)?.subject.into_iter().enumerate() {
        let name = subject.name.filter(|name| !name.is_empty());
        products.add(&name.ok_or(StatementError::Unnamed { list: "subject", at })?, subject.digest)?;
    }
    Ok(products)
}

/// The materials of a list of ResourceDescriptors, named by the first of `names` that is there. No list: no materials, as the
/// predicates have it; null is none.
pub(super) fn materials(list: Option<&Value>, names: &[&str], naming: Naming) -> Result<Artifacts, StatementError> {
    const LIST: &str = "materials";
    let mut materials = Gathered::new(LIST, naming);
    let none = [];
    let entries = match list {
        None => none.as_slice(),
        Some(list) => list.as_array().ok_or(StatementError::Type { field: LIST, expected: "a list" })?,
    };
    for (at, entry) in entries.iter().enumerate() {
        let name = names.iter().find_map(|name| entry.get(name));
        let name = name.and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.ok_or(StatementError::Unnamed { list: LIST, at })?;
        let digests = entry.get("digest").and_then(match naming {
            Naming::Exact => digest_set,
            Naming::Images => named_digests,
        });
        materials.add(name, digests.ok_or(StatementError::Digest { list: LIST, at })?)?;
    }
    Ok(materials.done())
}

/// Off-spec (R34): a provenance names a git commit by its SHA-1 alone. Such a material is kept, since a rule must see it, and no MATCH
/// will ever take it, since a MATCH compares accepted algorithms; ALLOW can let it pass by its name. No digest at all, or an accepted
/// one that is not whole, is malformed.
fn named_digests(value: &Value) -> Option<DigestSet> {
    let members = value.as_object().filter(|members| !members.is_empty())?;
    if members.iter().any(|(algorithm, _)| algorithm.parse::<Algorithm>().is_ok()) {
        return digest_set(value);
    }
    let foreign = |(algorithm, hex): &(String, Value)| Some((algorithm.clone(), hex.as_str()?.to_owned()));
    members.iter().map(foreign).collect()
}
