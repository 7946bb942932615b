//! Where we differ from in-toto, and why. Everything else must be equal.

use super::{bench::Both, trees::Case};
use serde_json::Value;
use std::fmt::Write as _;

/// What happens instead of in-toto's record.
#[derive(Clone, Copy, Debug)]
pub enum Instead {
    /// We record nothing, and this is why.
    Refused(&'static str),
    /// We record, and in-toto does not.
    Recorded,
    /// We record more.
    More,
}

/// A difference: the tree that shows it.
pub struct Difference {
    pub case: &'static str,
    pub instead: Instead,
    pub why: &'static str,
}

const fn difference(case: &'static str, instead: Instead, why: &'static str) -> Difference {
    Difference { case, instead, why }
}

pub const DIFFERENCES: [Difference; 7] = [
    difference("a loop", Instead::Refused("links to a directory it lies in"), "in-toto records forty rounds of it"),
    difference(
        "a backslash and a slash",
        Instead::Refused("would both be recorded"),
        "in-toto records whichever of two files comes last",
    ),
    difference("not UTF-8", Instead::Refused("not UTF-8"), "no JSON has such a name; in-toto fails while it signs"),
    difference(
        "a bracket that is not closed",
        Instead::Refused("bracket is not closed"),
        "in-toto drops the pattern in silence, and records what was to be left out",
    ),
    difference(
        "one file twice, stripped",
        Instead::Recorded,
        "in-toto takes a file that is found twice for two files as soon as something is stripped",
    ),
    difference(
        "the tree itself",
        Instead::More,
        "in-toto asks whether `.` is left out, and `.*` says so: it records nothing",
    ),
    difference("everything", Instead::More, "the same, and what is below is left out by us too"),
];

/// What is wrong with a pair of links, if anything.
pub fn judge(case: &Case, both: &Both) -> Option<String> {
    let listed = DIFFERENCES.iter().find(|difference| difference.case == case.name);
    let found = match (listed.map(|difference| difference.instead), &both.ours, &both.theirs) {
        (None, Ok(ours), Ok(theirs)) => differing(ours, theirs)?,
        // Neither records it: that is agreement too.
        (None, Err(_), Err(_)) => return None,
        (Some(Instead::Refused(why)), Err(ended), _) if ended.code == 125 && ended.says.contains(why) => return None,
        (Some(Instead::Recorded), Ok(_), Err(_)) => return None,
        (Some(Instead::More), Ok(ours), Ok(theirs)) if artifacts(ours) >= artifacts(theirs) => return None,
        // The same of a generated tree.
        (None, Ok(_), Err(ended)) if ended.says.contains("non unique dictionary key") => return None,
        (listed, ours, theirs) => format!("listed as {listed:?}\n  ours {ours:?}\n  theirs {theirs:?}"),
    };
    let found: String = found.chars().take(4_000).collect();
    Some(format!("{}: {found}\n  {:?}\n  {:?}", case.name, case.nodes, case.flags))
}

fn artifacts((_, link): &(String, Value)) -> usize {
    link["materials"].as_object().map_or(0, serde_json::Map::len)
}

/// The members in which they differ. What we add to the environment are facts, and no words of in-toto's.
fn differing(ours: &(String, Value), theirs: &(String, Value)) -> Option<String> {
    let mut text = String::new();
    if ours.0 != theirs.0 {
        write!(text, "the file is {} instead of {}", ours.0, theirs.0).unwrap();
    }
    for member in ["_type", "name", "command", "materials", "products", "byproducts"] {
        if ours.1[member] != theirs.1[member] {
            write!(text, "\n  {member}\n    ours   {}\n    theirs {}", ours.1[member], theirs.1[member]).unwrap();
        }
    }
    (!text.is_empty()).then_some(text)
}
