//! Small signed chains from a seed: honest ones, with rules from the whole grammar over names and patterns that are easily mistaken,
//! and mostly with one flaw (`mutate`). No inspection: the peers would run it.

use super::{
    case::{self, Case, Doc, artifacts},
    keys, mutate,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// SplitMix64: the same chain for the same seed, on every machine.
pub struct Rng(pub u64);

impl Rng {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<'t, T: ?Sized>(&mut self, of: &[&'t T]) -> &'t T {
        of[self.below(of.len())]
    }
}

const STEPS: [&str; 6] = ["fetch", "build", "test", "pack", "build.x", "Build"];
pub const FUNCTIONARIES: [&str; 7] = ["fred", "bea", "ben", "dora", "rsa-rita", "p256-pia", "p384-pit"];
/// Who is authorised, and whose key signs: now and then one of these is among the functionaries. Not everybody takes such keys.
const GUESTS: [(&str, &str); 10] = [
    ("pgp-gil", "pgp-gil"),
    ("pgp-gil", "pgp-gil/sub"),
    ("pgp-gil/sub", "pgp-gil/sub"),
    ("weak-ron", "weak-ron"),
    ("salt-sue", "salt-sue"),
    ("pss224-sue", "pss224-sue"),
    ("pkcs224-sue", "pkcs224-sue"),
    ("pkcs1-sue", "pkcs1-sue"),
    ("text-sue", "text-sue"),
    ("compressed-sue", "compressed-sue"),
];
const CLEAN: [&str; 16] =
    ["a", "b", "ab", "A", "a/b", "a/b/c", "src/a", "src/b", "srca", "a*b", "a?b", "a[b", "[a]", "é", "-", "!a"];
/// A second spelling of another name, or nothing a file is called.
const UNCLEAN: [&str; 6] = ["./a", "a//b", "a/../b", "src/./a", "a\\b", "a\nb"];
/// Patterns whose meaning differs between the matchers of this world.
const PATTERNS: [&str; 24] = [
    "*", "a*", "*b", "?", "a?b", "[ab]", "[!a]*", "[^a]", "src/*", "*/b", "a[", "[]a]", "[a-c]", "[z-a]", "a\\*", "**",
    "*a*", "[[]a]", "a[*]b", "[-a]", "[a-]", "./a", "*/*", "a[!b",
];
const KEYWORDS: [&str; 6] = ["CREATE", "DELETE", "MODIFY", "ALLOW", "DISALLOW", "REQUIRE"];

pub fn name(rng: &mut Rng) -> &'static str {
    if rng.percent(4) { rng.pick(&UNCLEAN) } else { rng.pick(&CLEAN) }
}

/// A pattern that covers the name, by this or that wildcard, or any other.
pub fn pattern(rng: &mut Rng, name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let at = rng.below(chars.len());
    let (before, c, after): (String, char, String) =
        (chars[..at].iter().collect(), chars[at], chars[at + 1..].iter().collect());
    match rng.below(24) {
        0..10 => name.to_owned(),
        10 => format!("{before}?{after}"),
        11 | 12 => format!("{before}*"),
        13 | 14 => format!("*{after}"),
        15 | 16 => format!("{before}[{c}z]{after}"),
        17 | 18 => format!("{before}[!z]{after}"),
        19..23 => "*".to_owned(),
        _ => rng.pick(&PATTERNS).to_owned(),
    }
}

fn rule(rng: &mut Rng, steps: &[&str], name: &str) -> Value {
    let pattern = pattern(rng, name);
    if rng.percent(60) {
        let keyword = rng.pick(&KEYWORDS);
        return json!([keyword, pattern]);
    }
    let mut words = vec!["MATCH".to_owned(), pattern];
    if rng.percent(25) {
        words.extend(["IN".to_owned(), rng.pick(&["src", "a", "src/", "x"]).to_owned()]);
    }
    words.extend(["WITH".to_owned(), rng.pick(&["MATERIALS", "PRODUCTS"]).to_owned()]);
    if rng.percent(25) {
        words.extend(["IN".to_owned(), rng.pick(&["src", "a", "src/", "x"]).to_owned()]);
    }
    words.extend(["FROM".to_owned(), rng.pick(steps).to_owned()]);
    words.into()
}

/// A list that an honest step keeps to: how it may be written varies, and now and then there is a rule more, or no last word.
fn rules(rng: &mut Rng, steps: &[&str], honest: Vec<Value>, names: &[&str]) -> Value {
    let mut rules = honest;
    rules.push(json!(["DISALLOW", "*"]));
    if rng.percent(10) {
        rules.pop();
    }
    for _ in 0..rng.below(8).saturating_sub(5) {
        let about = if names.is_empty() || rng.percent(30) { name(rng) } else { rng.pick(names) };
        let at = rng.below(rules.len() + 1);
        rules.insert(at, rule(rng, steps, about));
    }
    rules.into()
}

/// Files and their content, a letter.
type Files = BTreeMap<&'static str, char>;

fn change(rng: &mut Rng, files: &Files) -> Files {
    let mut after = files.clone();
    for file in files.keys() {
        match rng.below(6) {
            0 => drop(after.remove(file)),
            1 => drop(after.insert(file, 'm')),
            _ => {}
        }
    }
    for _ in 0..rng.below(4) {
        after.entry(name(rng)).or_insert_with(|| rng.pick(&["x", "y"]).chars().next().unwrap());
    }
    after
}

fn shown(files: &Files) -> Value {
    let list: Vec<String> = files.iter().map(|(name, content)| format!("{name}={content}")).collect();
    artifacts(&list.iter().map(String::as_str).collect::<Vec<_>>())
}

fn honest_materials(rng: &mut Rng, files: &Files, products: &Files, before: Option<&str>) -> Vec<Value> {
    let from = |pattern: &str| json!(["MATCH", pattern, "WITH", "PRODUCTS", "FROM", before]);
    match rng.below(5) {
        _ if before.is_none() => files.keys().map(|name| json!(["ALLOW", pattern(rng, name)])).collect(),
        0 | 1 => vec![from("*")],
        2 => files.keys().map(|name| from(&pattern(rng, name))).collect(),
        3 => {
            let gone = files.keys().filter(|name| !products.contains_key(*name));
            let mut rules: Vec<Value> = gone.map(|name| json!(["DELETE", pattern(rng, name)])).collect();
            rules.push(from("*"));
            rules
        }
        _ => files.keys().map(|name| json!(["REQUIRE", name])).chain([from("*")]).collect(),
    }
}

fn honest_products(rng: &mut Rng, files: &Files, materials: &Files, this: &str) -> Vec<Value> {
    let mut rules = Vec::new();
    for (name, content) in files {
        rules.push(match materials.get(name) {
            None => json!([rng.pick(&["CREATE", "CREATE", "ALLOW"]), pattern(rng, name)]),
            Some(before) if before != content => json!([rng.pick(&["MODIFY", "ALLOW"]), pattern(rng, name)]),
            Some(_) => json!(["MATCH", pattern(rng, name), "WITH", "MATERIALS", "FROM", this]),
        });
    }
    rules
}

/// Moved below a folder: what the step before called `a` is `in/a` here.
fn moved(files: &Files, folder: &str) -> Value {
    let list: Vec<String> = files.iter().map(|(name, content)| format!("{folder}/{name}={content}")).collect();
    artifacts(&list.iter().map(String::as_str).collect::<Vec<_>>())
}

pub fn chain(seed: u64) -> Case {
    let rng = &mut Rng(seed);
    let mut names = STEPS.to_vec();
    let steps: Vec<&str> = (0..1 + rng.below(4)).map(|_| names.remove(rng.below(names.len()))).collect();
    let (mut definitions, mut files, mut links) = (Vec::new(), Files::new(), BTreeMap::new());
    let guest = rng.percent(20).then(|| GUESTS[rng.below(GUESTS.len())]);
    for _ in 0..rng.below(3) {
        files.insert(name(rng), 's');
    }
    for (at, step) in steps.iter().enumerate() {
        let (materials, products) = (files.clone(), change(rng, &files));
        let before = at.checked_sub(1).map(|before| steps[before]);
        let folder = (before.is_some() && rng.percent(20)).then(|| rng.pick(&["in", "src"]));
        let (rules_materials, recorded) = match folder {
            Some(folder) => {
                let slash = rng.pick(&["", "/"]);
                let rule = json!(["MATCH", "*", "IN", format!("{folder}{slash}"), "WITH", "PRODUCTS", "FROM", before]);
                (vec![rule], moved(&materials, folder))
            }
            None => (honest_materials(rng, &materials, &products, before), shown(&materials)),
        };
        // What was moved is new under its old name.
        let known = if folder.is_some() { Files::new() } else { materials.clone() };
        let rules_products = honest_products(rng, &products, &known, step);
        let known: Vec<&str> = materials.keys().chain(products.keys()).copied().collect();
        let expected_materials = rules(rng, &steps, rules_materials, &known);
        let expected_products = rules(rng, &steps, rules_products, &known);

        let mut others = FUNCTIONARIES.to_vec();
        let mut functionaries: Vec<&str> =
            (0..1 + rng.below(3)).map(|_| others.remove(rng.below(others.len()))).collect();
        if let Some((authorised, _)) = guest
            && rng.percent(50)
        {
            functionaries[0] = authorised;
        }
        let mut definition = case::step(step, &functionaries, expected_materials, expected_products);
        let threshold = if rng.percent(60) { 1 } else { 1 + rng.below(functionaries.len()) };
        definition["threshold"] = threshold.into();
        definitions.push(definition);
        let count = threshold + rng.below(functionaries.len() - threshold + 1);
        for key in &functionaries[..count] {
            let link = case::link(step, recorded.clone(), shown(&products));
            let signing = guest.filter(|(authorised, _)| authorised == key).map_or(*key, |(_, signing)| signing);
            // OpenPGP has no place in DSSE.
            let metablock = rng.percent(50) || signing.starts_with("pgp-");
            links.insert(case::file_name(step, &keys::id(signing)), Doc::new(link, &[signing], metablock));
        }
        files = products;
    }
    let owners: &[&str] = if rng.percent(20) { &["olga", "rsa-otto"] } else { &["olga"] };
    let parameters = parameters(rng, &mut definitions);
    let guest = guest.map(|(authorised, _)| authorised.strip_suffix("/sub").unwrap_or(authorised));
    let everybody: Vec<&str> = FUNCTIONARIES.into_iter().chain(guest).collect();
    let layout = Doc::layout(case::layout(&everybody, definitions), owners, rng.percent(50));
    let owners = owners.iter().map(|owner| (*owner).to_owned()).collect();
    let mut case = Case { did: Vec::new(), owners, layout, parameters, files: links };
    if rng.percent(60) {
        mutate::one(rng, &mut case);
    }
    case
}

/// Now and then a word or two of the rules are left open, for whoever verifies to put in.
fn parameters(rng: &mut Rng, steps: &mut [Value]) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    if !rng.percent(12) {
        return parameters;
    }
    for name in ["DIR", "pkg-1"] {
        let which = rng.pick(&["expected_materials", "expected_products"]);
        let at = rng.below(steps.len());
        let rules = steps[at][which].as_array_mut().unwrap();
        if rules.is_empty() {
            continue;
        }
        let at = rng.below(rules.len());
        let word = &mut rules[at][1];
        let value = word.as_str().unwrap().to_owned();
        // A text that others would escape, or no parameter may have, stays.
        if !value.is_ascii() || value.chars().any(char::is_control) || value.contains(['{', '}']) {
            continue;
        }
        // A part of the word, or all of it.
        let (kept, open) = if rng.percent(30) { value.split_at(value.len() / 2) } else { ("", value.as_str()) };
        let word_now = format!("{kept}{{{name}}}");
        parameters.insert(name.to_owned(), open.to_owned());
        *word = word_now.into();
    }
    parameters
}

/// The members of an object of artifacts, to be changed.
pub fn side<'d>(doc: &'d mut Doc, side: &str) -> &'d mut Map<String, Value> {
    doc.signed[side].as_object_mut().unwrap()
}
