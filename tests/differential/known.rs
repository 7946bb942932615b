//! `disagreements.yaml`: where the verifiers are known to differ, and why. Anything else is a finding.

use super::{
    case::Case,
    peers::{Verdict, Verdicts},
    traits,
};
use serde::Deserialize;
use std::path::Path;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What a case must have in it, one of these (`traits`).
    pub case: Vec<String>,
    /// What the strict profile then says: its reasons, or `verified`.
    #[serde(default)]
    pub strict: Vec<String>,
    /// What the compatible one says.
    #[serde(default)]
    pub compat: Vec<String>,
    /// Which peers may then say the opposite.
    pub peers: Vec<Peer>,
    pub why: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum Peer {
    Python,
    Go,
}

/// The file.
pub fn entries() -> Vec<Entry> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/disagreements.yaml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The word for our verdict.
pub fn word(ours: &Verdict) -> &str {
    if ours.pass { "verified" } else { &ours.why }
}

/// The entries that explain the verdicts, by their place in the file, and what nothing explains.
pub fn explain(entries: &[Entry], case: &Case, verdicts: &Verdicts) -> (Vec<usize>, Vec<String>) {
    let Verdicts { strict, compat, python, go } = verdicts;
    let (mut used, mut unexplained) = (Vec::new(), Vec::new());
    let mut differ = |ours: &Verdict, says: fn(&Entry) -> &[String], theirs: &Verdict, peer: Peer| {
        let explains = |entry: &Entry| {
            entry.peers.contains(&peer)
                && says(entry).iter().any(|one| one == word(ours))
                && entry.case.iter().any(|one| traits::has(case, one))
        };
        match entries.iter().position(explains) {
            _ if ours.pass == theirs.pass => {}
            Some(at) => used.push(at),
            None => unexplained.push(format!("{} against {peer:?}", word(ours))),
        }
    };
    differ(strict, |entry| &entry.strict, python, Peer::Python);
    differ(strict, |entry| &entry.strict, go, Peer::Go);
    // The compatible profile accepts what Python accepts, and what the strict one accepts; Go is not its measure.
    if strict.pass {
        if !compat.pass {
            unexplained.push("verified strictly, not compatibly".to_owned());
        }
    } else {
        differ(compat, |entry| &entry.compat, python, Peer::Python);
    }
    used.dedup();
    (used, unexplained)
}
