use super::*;
use crate::{digest::Digest, json::Value};

/// `a=1` is the artifact a with the hash of "1".
fn artifacts(text: &str) -> Artifacts {
    text.split_whitespace()
        .map(|word| word.split_once('=').unwrap())
        .map(|(name, content)| (name.to_owned(), DigestSet::of(&Digest::sha256(content.as_bytes()))))
        .collect()
}

fn rules(texts: &[&str]) -> Vec<Rule> {
    texts
        .iter()
        .map(|text| {
            Rule::parse(&text.split(' ').map(|word| Value::String(word.to_owned())).collect::<Vec<_>>()).unwrap()
        })
        .collect()
}

/// The rules, and what each of them did.
fn run<'a>(
    rules: &'a [Rule],
    side: Side,
    item: Sides<'a>,
    destination: impl Fn(&str) -> Option<Sides<'a>>,
) -> Result<Vec<Run<'a>>, Box<Violation>> {
    let mut runs = Vec::new();
    apply(rules, side, item, destination, Profile::Strict, &mut runs).map(|()| runs)
}

/// What is left of the products after the rules: found by a last DISALLOW.
fn left(texts: &[&str], materials: &str, products: &str, other: &str) -> String {
    let (materials, products, other) = (artifacts(materials), artifacts(products), artifacts(other));
    let mut rules = rules(texts);
    rules.extend(self::rules(&["DISALLOW *"]));
    let nothing = Artifacts::new();
    let sides = Sides { materials: &materials, products: &products };
    let result = run(&rules, Side::Products, sides, |from| {
        (from == "other").then_some(Sides { materials: &nothing, products: &other })
    });
    match result {
        Ok(_) => String::new(),
        Err(violation) => violation.artifacts.join(" "),
    }
}

#[test]
fn create_delete_modify_consume_what_they_name_and_no_more() {
    let (before, after) = ("same=1 changed=1 gone=1", "same=1 changed=2 new=1");
    assert_eq!(left(&["CREATE *"], before, after, ""), "changed same");
    assert_eq!(left(&["MODIFY *"], before, after, ""), "new same");
    assert_eq!(left(&["DELETE *"], before, after, ""), "changed new same");
    assert_eq!(left(&["ALLOW same", "CREATE *", "MODIFY *"], before, after, ""), "");
    assert_eq!(left(&["CREATE n?w"], before, after, ""), "changed same");
}

#[test]
fn delete_consumes_materials() {
    let (materials, products) = (artifacts("a=1 b=1"), artifacts("a=1"));
    let sides = Sides { materials: &materials, products: &products };
    let rules = rules(&["DELETE b", "DISALLOW b"]);
    assert!(run(&rules, Side::Materials, sides, |_| None).is_ok());
    let rules = self::rules(&["DELETE a", "DISALLOW a"]);
    assert!(run(&rules, Side::Materials, sides, |_| None).is_err());
}

#[test]
fn match_needs_name_and_hash() {
    assert_eq!(left(&["MATCH * WITH PRODUCTS FROM other"], "", "a=1 b=2 c=3", "a=1 b=9"), "b c");
    assert_eq!(left(&["MATCH a WITH PRODUCTS FROM other"], "", "a=1 b=2", "a=1 b=2"), "b");
    assert_eq!(left(&["MATCH * WITH MATERIALS FROM other"], "", "a=1", "a=1"), "a");
    assert_eq!(left(&["MATCH * WITH PRODUCTS FROM nobody"], "", "a=1", "a=1"), "a");
}

#[test]
fn match_exchanges_prefixes_and_does_not_glob_them() {
    let rule = ["MATCH * IN src WITH PRODUCTS IN out FROM other"];
    assert_eq!(left(&rule, "", "src/a=1 src/b=2 a=1", "out/a=1 b=2"), "a src/b");
    assert_eq!(left(&["MATCH a IN src WITH PRODUCTS FROM other"], "", "src/a=1 srcx/a=1", "a=1"), "srcx/a");
    assert_eq!(left(&["MATCH * IN s* WITH PRODUCTS FROM other"], "", "src/a=1", "a=1"), "src/a");
    assert_eq!(left(&["MATCH * WITH PRODUCTS IN out FROM other"], "", "a=1", "out/a=1"), "");
}

#[test]
fn an_artifact_is_consumed_once() {
    let rules = ["ALLOW a", "REQUIRE a"];
    let products = artifacts("a=1");
    let sides = Sides { materials: &products, products: &products };
    let violation = run(&self::rules(&rules), Side::Products, sides, |_| None).unwrap_err();
    assert_eq!((violation.rule, violation.artifacts), (Rule::Require("a".into()), vec!["a".to_owned()]));
    assert!(run(&self::rules(&["REQUIRE a", "ALLOW a"]), Side::Products, sides, |_| None).is_ok());
    assert!(
        run(&self::rules(&["REQUIRE *"]), Side::Products, sides, |_| None).is_err(),
        "REQUIRE takes a name, not a glob"
    );
}

#[test]
fn the_end_of_a_list_allows_the_rest() {
    let products = artifacts("a=1");
    let sides = Sides { materials: &products, products: &products };
    assert!(run(&rules(&["DISALLOW b*"]), Side::Products, sides, |_| None).is_ok());
    assert!(run(&[], Side::Products, sides, |_| None).is_ok());
}

#[test]
fn a_violation_says_what_a_person_needs() {
    let (materials, fetched) =
        (artifacts("src/a.c=1 src/evil.c=666 x1=1 x2=1 x3=1"), artifacts("src/a.c=1 src/evil.c=1"));
    let products = Artifacts::new();
    let sides = Sides { materials: &materials, products: &products };
    let there = Sides { materials: &products, products: &fetched };
    let rules = rules(&["MATCH src/* WITH PRODUCTS FROM fetch", "DISALLOW *"]);
    let violation = run(&rules, Side::Materials, sides, |_| Some(there)).unwrap_err();
    assert_eq!(
        violation.to_string(),
        "DISALLOW * left src/evil.c, x1, x2 and 1 more in the materials (src/evil.c is not what \"fetch\" has under that name)"
    );
}

#[test]
fn what_was_matched_is_remembered_and_idle_matches_too() {
    let (here, there) = (artifacts("a=1 b=1"), artifacts("a=1"));
    let sides = Sides { materials: &here, products: &here };
    let rules = rules(&["MATCH * WITH PRODUCTS FROM x", "ALLOW *", "MATCH b WITH PRODUCTS FROM x"]);
    let runs = run(&rules, Side::Products, sides, |_| Some(Sides { materials: &there, products: &there })).unwrap();
    let consumed: Vec<&[&str]> = runs.iter().map(|run| run.artifacts.as_slice()).collect();
    assert_eq!(consumed, [&["a"][..], &["b"], &[]]);
}
