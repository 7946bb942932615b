//! The oracles of the fuzz targets that need no fuzzer, over the targets' seeds and changes of them from a seed: so that a plain test run
//! would find much of what they find.

#[path = "support/oracles/fnmatch.rs"]
mod fnmatch;
#[path = "support/oracles/glob.rs"]
mod glob;
#[path = "support/oracles/layout.rs"]
mod layout;
#[path = "support/oracles/link.rs"]
mod link;
#[path = "support/oracles/rules.rs"]
mod rules;
#[path = "support/stream.rs"]
mod stream;

use serde_json::{Value, json};
use std::{fs, path::Path};
use stream::{Stream, of_seed};

const SEED: u64 = 20_261_129;

/// Asks the oracle about so many streams of bytes; how many it liked.
fn streams(check: fn(&[u8]) -> bool, count: u64, len: usize) -> u64 {
    (SEED..SEED + count).map(|seed| u64::from(check(&of_seed(seed, len)))).sum()
}

/// Asks it about the target's seeds, and about so many changes of them.
fn documents(check: fn(&[u8]) -> bool, target: &str, count: u64) -> u64 {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    for (file, seed) in files.iter().zip(&seeds) {
        assert!(check(seed), "{} is a good one", file.display());
    }
    let seeds: Vec<Value> = seeds.iter().map(|seed| serde_json::from_slice(seed).unwrap()).collect();
    let one = |seed: u64| {
        let bytes = of_seed(seed, 64);
        let stream = &mut Stream::new(&bytes);
        let mut document = seeds[stream.below(seeds.len())].clone();
        for _ in 0..=stream.below(3) {
            let part = part(&mut document.clone(), stream).clone();
            change(&mut document, part, stream);
        }
        u64::from(check(document.to_string().as_bytes()))
    };
    (SEED..SEED + count).map(one).sum()
}

/// Some value within.
fn part<'v>(value: &'v mut Value, stream: &mut Stream<'_>) -> &'v mut Value {
    let inner = match &value {
        Value::Array(values) => values.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    };
    if inner == 0 || stream.below(5) == 0 {
        return value;
    }
    let at = stream.below(inner);
    match value {
        Value::Array(values) => part(&mut values[at], stream),
        Value::Object(members) => part(members.values_mut().nth(at).unwrap(), stream),
        other => other,
    }
}

/// Puts another value somewhere, takes one out, has one twice, or gives a member another name.
fn change(document: &mut Value, other: Value, stream: &mut Stream<'_>) {
    let odd = [
        json!(null),
        json!(0),
        json!(-1),
        json!(2),
        json!(1.5),
        json!(""),
        json!("*"),
        json!("../x"),
        json!("src/"),
        json!("{x}"),
        json!([]),
        json!({}),
        json!("IN"),
        json!("build"),
        json!("link"),
        json!("oci:a.b/c"),
        json!({"sha256": "ab"}),
        json!("9999-12-31T23:59:59Z"),
        json!("2026-02-30T00:00:00Z"),
        json!({"_type": "step"}),
        json!([["ALLOW", "*"]]),
    ];
    let place = part(document, stream);
    match (stream.below(4), place) {
        (0, Value::Array(values)) if !values.is_empty() => {
            let (from, to) = (stream.below(values.len()), stream.below(values.len()));
            values.insert(to, values[from].clone());
        }
        (1, Value::Array(values)) if !values.is_empty() => drop(values.remove(stream.below(values.len()))),
        (0, Value::Object(members)) if !members.is_empty() => {
            let name = members.keys().nth(stream.below(members.len())).unwrap().clone();
            let value = members.remove(&name).unwrap();
            members.insert(if stream.below(2) == 0 { format!("{name}/x") } else { "x".to_owned() }, value);
        }
        (1, Value::Object(members)) if !members.is_empty() => {
            let name = members.keys().nth(stream.below(members.len())).unwrap().clone();
            members.remove(&name);
        }
        (2, place) => *place = other,
        (_, place) => *place = odd[stream.below(odd.len())].clone(),
    }
}

/// An oracle that likes nothing, or everything, has seen nothing.
#[track_caller]
fn assert_between(liked: u64, count: u64) {
    println!("{liked} of {count}");
    assert!((count / 25..count * 24 / 25).contains(&liked), "{liked} of {count}");
}

/// R28.
#[test]
fn patterns_match_as_a_slow_matcher_has_it() {
    assert_between(streams(glob::check, 30_000, 80), 30_000);
}

#[test]
fn rules_do_what_a_queue_of_names_does() {
    assert_between(streams(rules::check, 10_000, 160), 10_000);
}

/// R29, R34.
#[test]
fn links_are_read_as_a_slow_reader_has_them() {
    assert_between(documents(link::check, "link", 6_000), 6_000);
}

/// R23, R25, R31, R36, R41: what it may not say, it does not.
#[test]
fn layouts_say_what_stands_in_them() {
    assert_between(documents(layout::check, "layout", 10_000), 10_000);
}
