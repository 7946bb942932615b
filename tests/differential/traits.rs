//! What a case has in it that verifiers are known to read differently.

use super::{
    case::{Case, Doc},
    keys, mutate,
};
use serde_json::Value;

/// Whether the case has the trait: a row's number, what was done to it by `mutate`, or what can be seen in it.
pub fn has(case: &Case, name: &str) -> bool {
    if let Some(row) = name.strip_prefix("row ") {
        return case.did.contains(&row);
    }
    match name {
        "name-not-clean" => case.files.values().any(|doc| names(doc).any(|name| !is_clean(name))),
        "links-of-a-step-differ" => links_differ(case),
        "match-in-a-folder" => {
            rules(case).any(|words| words.get(2).is_some_and(|word| word.eq_ignore_ascii_case("in")))
        }
        "match-in-an-empty-folder" => rules(case).any(|words| words.get(3).is_some_and(|folder| folder.is_empty())),
        "pattern-not-clean" => patterns(case).any(|pattern| !is_clean(pattern)),
        "pattern-with-bracket-or-backslash" => patterns(case).any(go_reads_otherwise),
        "layout-without-steps" => case.steps().is_empty(),
        "match-from-no-step" => from_no_step(case),
        "key-of-openpgp" => case.files.values().any(|doc| doc.by.iter().any(|by| by.key.starts_with("pgp-"))),
        "key-of-openpgp-in-the-layout" => layout_keys(case).any(|key| key.get("method").is_some()),
        "key-of-rsa-1024" => case.files.values().any(|doc| doc.by.iter().any(|by| by.key.starts_with("weak-"))),
        "key-that-go-does-not-use" => {
            let odd = ["salt-", "pss224-", "pkcs224-", "pkcs1-", "compressed-"];
            let mut keys = case.files.values().flat_map(|doc| &doc.by);
            keys.any(|by| odd.iter().any(|beginning| by.key.starts_with(beginning)))
        }
        "key-of-rsa-1024-in-the-layout" => case.layout.signed["keys"].get(keys::id("weak-ron")).is_some(),
        "parameters" => !case.parameters.is_empty(),
        "parameters-with-wildcards" => case.parameters.values().any(|value| value.contains(['*', '?', '['])),
        "parameters-and-braces" => !case.parameters.is_empty() && case.did.contains(&"rule-with-braces"),
        _ => {
            assert!(mutate::ALL.iter().any(|(known, _)| *known == name), "nothing is called {name}");
            case.did.contains(&name)
        }
    }
}

fn layout_keys(case: &Case) -> impl Iterator<Item = &Value> {
    case.layout.signed["keys"].as_object().into_iter().flat_map(|keys| keys.values())
}

fn names(doc: &Doc) -> impl Iterator<Item = &str> {
    let sides = ["materials", "products"].into_iter().filter_map(|side| doc.signed[side].as_object());
    sides.flat_map(|side| side.keys().map(String::as_str))
}

fn is_clean(name: &str) -> bool {
    !name.contains('\\')
        && !name.chars().any(char::is_control)
        && name.split('/').all(|part| !["", ".", ".."].contains(&part))
}

fn links_differ(case: &Case) -> bool {
    let step = |path: &str| path.rsplitn(3, '.').nth(2).unwrap().to_owned();
    let links: Vec<(String, &Value)> = case.files.iter().map(|(path, doc)| (step(path), &doc.signed)).collect();
    links.iter().any(|(step, one)| {
        let of_step = links.iter().filter(|(other, _)| other == step);
        let differs = |other: &Value| other["materials"] != one["materials"] || other["products"] != one["products"];
        of_step.into_iter().any(|(_, other)| differs(other))
    })
}

fn rules(case: &Case) -> impl Iterator<Item = Vec<&str>> {
    let lists = case.steps().iter().flat_map(|step| [&step["expected_materials"], &step["expected_products"]]);
    let rules = lists.filter_map(Value::as_array).flatten();
    rules.map(|rule| rule.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect())
}

fn from_no_step(case: &Case) -> bool {
    let steps: Vec<&str> = case.steps().iter().map(|step| step["name"].as_str().unwrap()).collect();
    let mut froms = rules(case).filter(|words| words.len() >= 6).map(|words| words[words.len() - 1]);
    froms.any(|from| !steps.contains(&from))
}

fn patterns(case: &Case) -> impl Iterator<Item = &str> {
    rules(case).filter_map(|words| words.get(1).copied())
}

/// Go escapes by backslash, and takes a set that is not closed, or begins or ends with `]` or `-`, for no pattern at all.
fn go_reads_otherwise(pattern: &str) -> bool {
    let closed = |at: usize| pattern[at + 1..].contains(']');
    pattern.contains('\\')
        || pattern.match_indices('[').any(|(at, _)| !closed(at))
        || ["[]", "[!]", "[-", "[!-", "-]"].iter().any(|odd| pattern.contains(odd))
}
