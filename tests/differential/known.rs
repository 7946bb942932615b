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
    pub strict: Vec<String>,
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

/// The entries that explain the verdicts, by their place in the file; the peers whose verdict nothing explains.
pub fn explain(entries: &[Entry], case: &Case, verdicts: &Verdicts) -> (Vec<usize>, Vec<Peer>) {
    let (mut used, mut unexplained) = (Vec::new(), Vec::new());
    for (peer, theirs) in [(Peer::Python, &verdicts.python), (Peer::Go, &verdicts.go)] {
        if theirs.pass == verdicts.strict.pass {
            continue;
        }
        let word = word(&verdicts.strict);
        let explains = |entry: &Entry| {
            entry.peers.contains(&peer)
                && entry.strict.iter().any(|one| one == word)
                && entry.case.iter().any(|one| traits::has(case, one))
        };
        match entries.iter().position(explains) {
            Some(at) => used.push(at),
            None => unexplained.push(peer),
        }
    }
    used.dedup();
    (used, unexplained)
}
