//! Our patterns against Python's `fnmatch`, which the specification's de facto text is.

use super::{SEED, generate::Rng, peers::Python, setting};
use serde_json::json;
use tidewaiter::pattern::Pattern;

/// Random pairs of a pattern and a name.
const PAIRS: usize = 100_000;

/// Pattern, name, whether it matches.
const KNOWN: [(&str, &str, bool); 16] = [
    ("[^a]", "b", false),
    ("[^a]", "^", true),
    ("a[", "a[", true),
    ("[]a]", "]", true),
    ("[a-c-e]", "d", false),
    ("[[:alpha:]]", ":]", true),
    ("a\\*", "a*", false),
    ("a\\*", "a\\x", true),
    ("**/x", "x", false),
    ("a{b,c}", "ab", false),
    ("?", "/", true),
    ("[!a]", "b", true),
    ("[z-a]", "z", false),
    ("[-a]", "-", true),
    ("[a-]", "-", true),
    ("*", ".a/b\n", true),
];

fn ours(pattern: &str, name: &str) -> bool {
    Pattern::new(pattern).unwrap().matches(name)
}

/// Characters that mean something, and a few that do not.
fn text(rng: &mut Rng, alphabet: &str) -> String {
    let chars: Vec<char> = alphabet.chars().collect();
    (0..rng.below(9)).map(|_| chars[rng.below(chars.len())]).collect()
}

/// A name that the pattern may well match: its wildcards replaced by this or that.
fn name_for(rng: &mut Rng, pattern: &str) -> String {
    let mut name = String::new();
    for c in pattern.chars() {
        match c {
            '*' => name.push_str(&text(rng, "ab/")),
            '?' => name.push_str(rng.pick(&["a", "/", "é", "\n", "\u{1f600}"])),
            '[' | ']' | '!' | '-' | '\\' if rng.percent(50) => {}
            c if rng.percent(5) => name.push_str(rng.pick(&[&c.to_uppercase().to_string(), "b", ""])),
            c => name.push(c),
        }
    }
    name
}

/// R28, GHSA-pmwq-pjrm-6p5r.
#[test]
fn the_known_vectors_hold() {
    for (pattern, name, matches) in KNOWN {
        assert_eq!(ours(pattern, name), matches, "{pattern:?} and {name:?}");
    }
}

/// R28.
#[test]
fn a_hundred_thousand_pairs_match_as_in_python() {
    let rng = &mut Rng(setting("SEED").unwrap_or(SEED));
    let mut pairs: Vec<(String, String)> = KNOWN.map(|(pattern, name, _)| (pattern.to_owned(), name.to_owned())).into();
    while pairs.len() < PAIRS {
        let pattern = text(rng, "ab*?[]!-^\\/é\n.z{}");
        let names = [name_for(rng, &pattern), name_for(rng, &pattern), text(rng, "ab[]!-^\\/é\n."), text(rng, "ab")];
        pairs.extend(names.map(|name| (pattern.clone(), name)));
    }
    let theirs = Python::start("fnmatch").ask(&json!(pairs).to_string());
    let theirs: Vec<bool> = theirs.as_array().unwrap().iter().map(|answer| answer.as_bool().unwrap()).collect();
    assert_eq!(theirs.len(), pairs.len());
    let differing = pairs.iter().zip(&theirs).filter(|((pattern, name), matches)| ours(pattern, name) != **matches);
    let differing: Vec<_> = differing.take(10).collect();
    assert!(differing.is_empty(), "ours is the other way round: {differing:?}");
    let matching = theirs.iter().filter(|matches| **matches).count();
    assert!(
        (PAIRS / 10..PAIRS * 9 / 10).contains(&matching),
        "{matching} of {PAIRS} pairs match: too few, or too many"
    );
}
