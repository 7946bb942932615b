//! Facts: the few things a signed record says of itself that people ask for (store §5.3), by OpenTelemetry's names where it has one
//! (store §1.4). They are found, never judged: a document that cannot be read has no facts, and nothing is lost by that but the search.

use super::{Link, statement};
use crate::{
    intoto::statement::Statement,
    json::{self, Limits, Value},
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, btree_map};

mod build;
mod sbom;
mod scan;
mod test;
mod xml;

/// Bytes of a fact's name.
const NAME_BYTES_MAX: usize = 128;
/// Bytes of a fact's text; a longer one is no fact, for a shortened one would be equal to others.
const TEXT_BYTES_MAX: usize = 256;
/// Members of a link's `environment.facts` that are read.
const CLAIMED_MAX: usize = 512;
/// Names that a Chain document may add to `INDEXED`.
pub const MORE_MAX: usize = 64 - INDEXED.len();

/// The facts every store can be asked for.
pub const INDEXED: [&str; 40] = [
    "build.type",
    "builder.id",
    "cicd.pipeline.name",
    "cicd.pipeline.run.id",
    "cicd.pipeline.run.url.full",
    "cicd.pipeline.task.name",
    "cicd.system",
    "cicd.worker.name",
    COMMIT_SIGNATURE,
    COMMIT_SIGNED,
    "lint.errors",
    "lint.warnings",
    "process.exit.signal",
    "sast.errors",
    "sast.notes",
    "sast.warnings",
    "sbom.components",
    "sbom.format",
    "scanner.name",
    "step.return_value",
    "test.failed",
    "test.passed",
    "test.result",
    "test.skipped",
    "vcs.change.id",
    "vcs.dirty",
    REF,
    REVISION,
    "vcs.ref.type",
    REPOSITORY,
    "vex.affected",
    "vex.fixed",
    "vex.not_affected",
    "vex.under_investigation",
    "vulns.critical",
    "vulns.high",
    "vulns.low",
    "vulns.medium",
    "vulns.none",
    "vulns.unknown",
];

/// The commit that was built.
pub const REVISION: &str = "vcs.ref.head.revision";
/// The branch or tag it was reached by.
pub const REF: &str = "vcs.ref.head.name";
/// Where it was taken from.
pub const REPOSITORY: &str = "vcs.repository.url.full";
/// `true` or `false`.
pub const COMMIT_SIGNED: &str = "commit.signed";
/// `pgp`, `ssh`, `x509` or `none`.
pub const COMMIT_SIGNATURE: &str = "commit.signature";

/// What a fact is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// At most 256 bytes; a truth value is `true` or `false`.
    Text(String),
    Number(i64),
}

/// What one record says of itself, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<String, Fact>);

impl FromIterator<(String, Fact)> for Facts {
    fn from_iter<I: IntoIterator<Item = (String, Fact)>>(facts: I) -> Self {
        Facts(facts.into_iter().collect())
    }
}

impl Facts {
    /// What a link says: its `environment.facts`, and how its command ended.
    pub fn of_link(link: &Link) -> Self {
        let mut facts = Facts::default();
        build::link(link, &mut facts);
        facts
    }

    /// What a statement says, by its predicate.
    pub fn of_statement(value: &Value) -> Self {
        let mut facts = Facts::default();
        let Ok(statement) = Statement::from_value(value) else { return facts };
        let Some(predicate) = &statement.predicate else { return facts };
        read(&statement.predicate_type, predicate, &mut facts);
        facts
    }

    /// Those that a store is asked for: `INDEXED`, and the names a chain adds.
    pub fn indexed(mut self, more: &BTreeSet<String>) -> Self {
        self.0.retain(|name, _| INDEXED.contains(&name.as_str()) || more.contains(name));
        self
    }

    /// The fact of that name.
    pub fn get(&self, name: &str) -> Option<&Fact> {
        self.0.get(name)
    }

    /// The text of that name.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Fact::Text(text) => Some(text),
            Fact::Number(_) => None,
        }
    }

    /// The time of that name, where it is one of RFC 3339.
    pub fn time(&self, name: &str) -> Option<Timestamp> {
        self.text(name)?.parse().ok()
    }

    /// All, by name.
    pub fn iter(&self) -> btree_map::Iter<'_, String, Fact> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A text, where it is one that can be asked for.
    fn text_is(&mut self, name: &str, text: Option<&str>) {
        let fits =
            |text: &&str| !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
        if let Some(text) = text.filter(fits) {
            self.0.insert(name.to_owned(), Fact::Text(text.to_owned()));
        }
    }

    /// How many there are.
    fn count_is(&mut self, name: &str, count: usize) {
        self.0.insert(name.to_owned(), Fact::Number(i64::try_from(count).unwrap_or(i64::MAX)));
    }

    /// A member of an object: a string, an integer, or a truth value; anything else is no fact.
    fn member_is(&mut self, name: &str, value: &Value) {
        match value {
            Value::String(text) => self.text_is(name, Some(text)),
            Value::Bool(truth) => self.text_is(name, Some(if *truth { "true" } else { "false" })),
            value => {
                if let Some(number) = value.as_i64() {
                    self.0.insert(name.to_owned(), Fact::Number(number));
                }
            }
        }
    }

    /// An object whose members are facts.
    fn members_are(&mut self, facts: Option<&Value>) {
        for (name, value) in facts.and_then(Value::as_object).unwrap_or_default().iter().take(CLAIMED_MAX) {
            if is_name(name) {
                self.member_is(name, value);
            }
        }
    }
}

/// Whether a fact may have this name: words of letters, digits, `_` and `-`, with dots between.
pub fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    name.len() <= NAME_BYTES_MAX && name.split('.').all(|word| !word.is_empty() && word.bytes().all(letter))
}

/// Ours: the predicate is a tool's own file (`Wrapped`).
const OURS: &str = "https://tidewaiter.dev/attestation/";

fn read(predicate_type: &str, predicate: &Value, facts: &mut Facts) {
    let in_toto = predicate_type.strip_prefix("https://in-toto.io/attestation/");
    match (predicate_type, in_toto) {
        ("https://slsa.dev/provenance/v1", _) => build::provenance(predicate, facts),
        ("https://slsa.dev/provenance/v0.2", _) => build::old_provenance(predicate, facts),
        (kind, _) if statement::is_link(kind) => build::reported(predicate, facts),
        (_, Some("test-result/v0.1")) => test::result(predicate, facts),
        (_, Some("vulns/v0.1" | "vulns/v0.2")) | ("https://cosign.sigstore.dev/attestation/vuln/v1", _) => {
            scan::vulnerabilities(predicate, facts);
        }
        ("https://spdx.dev/Document", _) => sbom::spdx(predicate, facts),
        ("https://cyclonedx.org/bom" | "https://cyclonedx.org/vex", _) => sbom::cyclonedx(predicate, facts),
        (kind, _) => {
            if let Some(ours) = kind.strip_prefix(OURS) {
                wrapped(ours, predicate, facts);
            } else if kind.starts_with("https://openvex.dev/ns") {
                scan::openvex(predicate, facts);
            } else if kind.starts_with("https://spdx.dev/Document/v") {
                sbom::spdx(predicate, facts);
            } else if kind.starts_with("https://cyclonedx.org/bom/v") {
                sbom::cyclonedx(predicate, facts);
            }
        }
    }
}

/// A tool's file in a predicate of ours, and what the writer says beside it.
fn wrapped(kind: &str, predicate: &Value, facts: &mut Facts) {
    match kind {
        "junit/v0.1" => test::junit(predicate, facts),
        "sarif/v0.1" => {
            if let Some(log) = document(predicate) {
                scan::sarif(&log, "sast", facts);
            }
        }
        "lint/v0.1" => scan::lint(predicate, facts),
        "commit/v0.1" => {}
        _ => return,
    }
    facts.members_are(predicate.get("facts"));
}

/// The JSON that a predicate of ours wraps: as it is, or in its `content` or `document`, as JSON or as its text.
fn document(predicate: &Value) -> Option<Value> {
    match content(predicate) {
        Value::String(text) => json::parse(text.as_bytes(), &Limits::METADATA).ok(),
        value => Some(value.clone()),
    }
}

/// What a predicate of ours wraps.
fn content(predicate: &Value) -> &Value {
    predicate.get("content").or_else(|| predicate.get("document")).unwrap_or(predicate)
}

#[cfg(test)]
mod tests;
