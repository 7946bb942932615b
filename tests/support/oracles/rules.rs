//! Rules are read as they are written, and do what the specification says (4.3.3), by a reader who takes a queue of names and goes through it
//! with every rule. What a rule consumes was there. (security §4.4 `rules`)

use super::{fnmatch, stream::Stream};
use std::collections::{BTreeMap, BTreeSet};
use tidewaiter::{
    digest::{Digest, DigestSet},
    intoto::{
        Artifacts, Profile, Rule,
        rule::{RuleError, Side},
    },
    json::Value,
    verify::rules::{Sides, apply},
};

const NAMES: [&str; 14] =
    ["a", "b", "ab", "a/b", "src/a", "src/b", "srca", "x/a", "src", "src/", "/a", "a*b", "\\a", "src//a"];
const PATTERNS: [&str; 16] =
    ["*", "a", "b", "a*", "*b", "?", "[ab]", "[!a]*", "src/*", "*/b", "src/a", "a[*]b", "a/b", "a[", "x*", "src*"];
const FOLDERS: [&str; 5] = ["src", "x", "src/", "a", ""];
const STEPS: [&str; 3] = ["this", "other", "none"];
const KEYWORDS: [&str; 7] = ["CREATE", "DELETE", "MODIFY", "ALLOW", "DISALLOW", "REQUIRE", "match"];

/// Name → algorithm → hash.
type Side_ = BTreeMap<String, BTreeMap<&'static str, String>>;

/// A link as the reference has it: materials and products.
struct Naive {
    materials: Side_,
    products: Side_,
}

/// Whether the rules were kept.
pub fn check(bytes: &[u8]) -> bool {
    let stream = &mut Stream::new(bytes);
    let (this, other) = (link(stream), link(stream));
    let words: Vec<Vec<String>> = (0..stream.below(8)).map(|_| words(stream)).collect();
    let mut rules = Vec::new();
    for words in &words {
        let values: Vec<Value> = words.iter().map(|word| Value::String(word.clone())).collect();
        match Rule::parse(&values) {
            Ok(rule) => {
                is_as_written(&rule, words);
                assert_eq!(Rule::read(&values, Profile::Compat).as_ref(), Ok(&rule), "what is read strictly");
                rules.push((rule, words));
            }
            Err(cause) => assert!(is_wrong(words), "{words:?}: {cause}"),
        }
    }
    let side = if stream.below(2) == 0 { Side::Materials } else { Side::Products };
    let tables = [&this, &other].map(|link| (table(&link.materials), table(&link.products)));
    let sides = |at: usize| Sides { materials: &tables[at].0, products: &tables[at].1 };
    let destination = |name: &str| STEPS.iter().take(2).position(|step| *step == name).map(sides);
    let rules: (Vec<Rule>, Vec<&Vec<String>>) = rules.into_iter().unzip();
    let mut runs = Vec::new();
    let outcome = apply(&rules.0, side, sides(0), destination, Profile::Strict, &mut runs);

    let mut queue: BTreeSet<&str> = of(&this, side).keys().map(String::as_str).collect();
    let mut runs = runs.iter();
    for words in rules.1 {
        let run = runs.next().expect("every rule runs until one fails");
        let found: Vec<&str> = run.artifacts.clone();
        match naive(words, &this, &other, &queue, side) {
            Ok(consumed) => {
                assert!(!run.failed && found == consumed, "{words:?}: {found:?}, and not {consumed:?}");
                consumed.iter().for_each(|name| assert!(queue.remove(name), "{name:?} was consumed before"));
            }
            Err(left) => {
                let violation = outcome.as_ref().expect_err("it fails");
                assert!(run.failed && found == left && runs.next().is_none(), "{words:?}: {found:?}, not {left:?}");
                assert_eq!(violation.count, left.len().max(violation.artifacts.len()), "{violation}");
                return false;
            }
        }
    }
    assert!(outcome.is_ok() && runs.next().is_none(), "nothing failed");
    true
}

fn link(stream: &mut Stream<'_>) -> Naive {
    let side = |stream: &mut Stream<'_>| {
        let one = |stream: &mut Stream<'_>| {
            let hash = |content: &str| Digest::sha256(content.as_bytes()).hex().to_owned();
            let (name, content) = (stream.pick(&NAMES).to_owned(), stream.pick(&["x", "y"]));
            let hashes = match stream.below(6) {
                0 => BTreeMap::from([("sha256", hash(content)), ("sha512", hash(content).repeat(2))]),
                1 => BTreeMap::from([("sha512", hash(content).repeat(2))]),
                2 => BTreeMap::from([("md5", "00".repeat(16))]),
                _ => BTreeMap::from([("sha256", hash(content))]),
            };
            (name, hashes)
        };
        (0..stream.below(7)).map(|_| one(stream)).collect()
    };
    Naive { materials: side(stream), products: side(stream) }
}

fn words(stream: &mut Stream<'_>) -> Vec<String> {
    let keyword = stream.pick(&KEYWORDS);
    let mut words = vec![keyword.to_owned(), stream.pick(&PATTERNS).to_owned()];
    if keyword == "match" {
        let folder = |stream: &mut Stream<'_>, words: &mut Vec<String>| {
            if stream.below(3) == 0 {
                words.extend(["IN".to_owned(), stream.pick(&FOLDERS).to_owned()]);
            }
        };
        folder(stream, &mut words);
        words.extend(["WITH".to_owned(), stream.pick(&["MATERIALS", "PRODUCTS"]).to_owned()]);
        folder(stream, &mut words);
        words.extend(["FROM".to_owned(), stream.pick(&STEPS).to_owned()]);
    }
    // Now and then no rule: a word more, or less.
    match stream.below(24) {
        0 => words.push("IN".to_owned()),
        1 => drop(words.pop()),
        _ => {}
    }
    words
}

/// Whether there is no such rule: said by counting words.
fn is_wrong(words: &[String]) -> bool {
    match words.first().map(String::as_str) {
        Some("match") => {
            let folders = words.windows(2).filter(|pair| pair[0] == "IN").map(|pair| pair[1].as_str());
            !matches!(words.len(), 6 | 8 | 10)
                || folders.into_iter().any(str::is_empty)
                || words[words.len() - 2] != "FROM"
        }
        Some(_) => words.len() != 2,
        None => true,
    }
}

/// Written again, a rule reads the same and says the same but for small letters and a slash.
fn is_as_written(rule: &Rule, words: &[String]) {
    let written = rule.words();
    let values: Vec<Value> = written.iter().cloned().map(Value::String).collect();
    assert_eq!(Rule::parse(&values).as_ref(), Ok(rule));
    assert_eq!(written.len(), words.len(), "{written:?}, and not {words:?}");
    for (at, (one, other)) in written.iter().zip(words).enumerate() {
        let is_folder = at > 0 && written[at - 1] == "IN";
        let other = if is_folder { other.strip_suffix('/').unwrap_or(other) } else { other };
        assert!(one == other || (at == 0 && one.eq_ignore_ascii_case(other)), "{written:?}, and not {words:?}");
    }
    let unknown = [&[Value::from("PERMIT")], &values[1..]].concat();
    assert_eq!(Rule::parse(&unknown), Err(RuleError::UnknownKeyword("PERMIT".into())));
}

fn table(side: &Side_) -> Artifacts {
    let hashes = |hashes: &BTreeMap<&'static str, String>| -> DigestSet {
        hashes.iter().map(|(algorithm, hex)| ((*algorithm).to_owned(), hex.clone())).collect()
    };
    side.iter().map(|(name, one)| (name.clone(), hashes(one))).collect()
}

fn of(link: &Naive, side: Side) -> &Side_ {
    match side {
        Side::Materials => &link.materials,
        Side::Products => &link.products,
    }
}

/// They share an algorithm that counts, and what they share is the same.
fn same(one: &BTreeMap<&'static str, String>, other: &BTreeMap<&'static str, String>) -> bool {
    let shared: Vec<_> = one.keys().filter(|algorithm| other.contains_key(*algorithm)).collect();
    shared.iter().any(|algorithm| **algorithm != "md5")
        && shared.iter().all(|algorithm| one[**algorithm] == other[**algorithm])
}

/// What the rule takes from the queue, or what it fails over.
fn naive<'q>(
    words: &[String],
    this: &Naive,
    other: &Naive,
    queue: &BTreeSet<&'q str>,
    side: Side,
) -> Result<Vec<&'q str>, Vec<&'q str>> {
    let matching: Vec<&str> = queue.iter().copied().filter(|name| fnmatch::matches(&words[1], name)).collect();
    let keep = |takes: &dyn Fn(&str) -> bool| Ok(matching.iter().copied().filter(|name| takes(name)).collect());
    let (before, after) = (&this.materials, &this.products);
    match words[0].as_str() {
        "CREATE" => keep(&|name| !before.contains_key(name) && after.contains_key(name)),
        "DELETE" => keep(&|name| before.contains_key(name) && !after.contains_key(name)),
        "MODIFY" => keep(&|name| match (before.get(name), after.get(name)) {
            (Some(one), Some(other)) => !same(one, other),
            _ => false,
        }),
        "ALLOW" => keep(&|_| true),
        "DISALLOW" if matching.is_empty() => Ok(Vec::new()),
        "DISALLOW" => Err(matching),
        "REQUIRE" => {
            if queue.contains(words[1].as_str()) {
                Ok(Vec::new())
            } else {
                Err(Vec::new())
            }
        }
        _ => {
            let with = words.iter().position(|word| word == "WITH").expect("WITH");
            let folder = |words: &[String]| match words.iter().position(|word| word == "IN") {
                Some(at) => format!("{}/", words[at + 1].strip_suffix('/').unwrap_or(&words[at + 1])),
                None => String::new(),
            };
            let (from, to) = (folder(&words[..with]), folder(&words[with..]));
            let there = match words.last().map(String::as_str) {
                Some("this") => Some(this),
                Some("other") => Some(other),
                _ => None,
            };
            let there = there.map(|link| if words[with + 1] == "MATERIALS" { &link.materials } else { &link.products });
            let takes = |name: &&str| {
                let Some(rest) = name.strip_prefix(&from) else { return false };
                // No file is called so: see `verify::rules`.
                let odd = !(from.is_empty() && to.is_empty()) && (rest.starts_with('/') || rest.contains('\\'));
                let counterpart = there.and_then(|there| there.get(&format!("{to}{rest}")));
                !odd && fnmatch::matches(&words[1], rest)
                    && counterpart.is_some_and(|found| same(found, &of(this, side)[*name]))
            };
            Ok(queue.iter().copied().filter(takes).collect())
        }
    }
}
