//! Artifact rules, patterns and hashes.

use super::*;
use crate::case::{artifacts, hashes};

/// `DISALLOW pattern` over one product: denied where the pattern matches the name.
fn disallowed(pattern: &str, name: &str) -> Case {
    one_step(artifacts(&[name]), json!([["DISALLOW", pattern]]))
}

/// Everything that `b` takes must come from `a`.
fn all_from_a(products: Value, materials: Value) -> Case {
    matched(products, materials, json!([["MATCH", "*", "WITH", "PRODUCTS", "FROM", "a"], ["DISALLOW", "*"]]))
}

fn same_hashes(hashes: Value) -> Case {
    all_from_a(json!({"foo": hashes}), json!({"foo": hashes}))
}

pub fn rows() -> Vec<Row> {
    let in_src = json!([["MATCH", "*", "IN", "src", "WITH", "PRODUCTS", "FROM", "a"], ["DISALLOW", "*"]]);
    let both = artifacts(&["foo", "bar"]);
    let two_algorithms = {
        let mut two = hashes("foo");
        two["sha512"] = "ab".repeat(64).into();
        all_from_a(artifacts(&["foo"]), json!({"foo": two}))
    };
    let mut complex = String::new();
    for _ in 0..25 {
        complex.push_str("*a");
    }
    complex.push('b');
    vec![
        row(
            "3",
            "`MATCH foo`, `DISALLOW *`, and `bar` is equal on both sides",
            "rule_violation",
            matched(both.clone(), both, json!([["MATCH", "foo", "WITH", "PRODUCTS", "FROM", "a"], ["DISALLOW", "*"]])),
        ),
        row(
            "4",
            "`MATCH * IN src`, and the artifact is not in `src`",
            "rule_violation",
            matched(artifacts(&["foo"]), artifacts(&["foo"]), in_src.clone()),
        ),
        row("5", "`DISALLOW evil[a` and `evil[a`", "rule_violation", disallowed("evil[a", "evil[a")),
        row("6", "`DISALLOW a**b` and `axxb`", "rule_violation", disallowed("a**b", "axxb")),
        row("7", "`DISALLOW secret` and `x/../secret`", "threshold_not_met", disallowed("secret", "x/../secret")),
        row(
            "8",
            "`foo` that matches beside `./foo` that does not",
            "threshold_not_met",
            all_from_a(artifacts(&["foo"]), artifacts(&["foo", "./foo=evil"])),
        ),
        row(
            "80",
            "`./foo` that matches beside `foo` that does not",
            "threshold_not_met",
            all_from_a(artifacts(&["foo"]), artifacts(&["foo=evil", "./foo=foo"])),
        ),
        row("81", "an empty rule", "layout_malformed", one_step(artifacts(&["foo"]), json!([[]]))),
        row(
            "9",
            "`REQUIRE ./foo` and `./foo`",
            "threshold_not_met",
            one_step(artifacts(&["./foo"]), json!([["REQUIRE", "./foo"]])),
        ),
        row(
            "22",
            "`MATCH` from a step that does not exist",
            "layout_malformed",
            one_step(artifacts(&["foo"]), json!([["MATCH", "*", "WITH", "PRODUCTS", "FROM", "nowhere"]])),
        ),
        row("23", "`{sha256}` against `{sha256, sha512}` of one content", "verified", two_algorithms),
        row("25", "`{}` against `{}`", "threshold_not_met", same_hashes(json!({}))),
        row(
            "26",
            "`src//foo` and `/foo` under `MATCH * IN src`",
            "threshold_not_met",
            matched(artifacts(&["/foo", "foo"]), artifacts(&["src//foo=/foo"]), in_src),
        ),
        row("29", "`DISALLOW [^a]x` and `bx`: no match", "verified", disallowed("[^a]x", "bx")),
        row("30", "`DISALLOW a\\*b` and `a*b`: no match", "verified", disallowed("a\\*b", "a*b")),
        row("31", "`DISALLOW x[]a]` and `x]`", "rule_violation", disallowed("x[]a]", "x]")),
        row(
            "34",
            "keywords in small letters",
            "verified",
            matched(
                artifacts(&["foo"]),
                artifacts(&["foo"]),
                json!([["match", "*", "with", "products", "from", "a"], ["disallow", "*"]]),
            ),
        ),
        row("52", "hash that is not hex", "threshold_not_met", same_hashes(json!({"sha256": "xy".repeat(32)}))),
        row("53", "hash that is too short", "threshold_not_met", same_hashes(json!({"sha256": "ab"}))),
        row("54", "hash of md5 alone", "threshold_not_met", same_hashes(json!({"md5": "00".repeat(16)}))),
        row("clean pattern", "`DISALLOW ./foo` and `foo`: no match", "verified", disallowed("./foo", "foo")),
        row("newline", "a newline in a name, and `DISALLOW *`", "threshold_not_met", disallowed("*", "a\nb")),
        row("empty name", "an empty name, and `DISALLOW *`", "threshold_not_met", disallowed("*", "=a")),
        row("slash", "`DISALLOW *` and `a/b`", "rule_violation", disallowed("*", "a/b")),
        row(
            "stars",
            "`DISALLOW` with 25 stars against 60 times `a`: no match",
            "layout_too_complex",
            disallowed(&complex, &"a".repeat(60)),
        ),
        row(
            "inspection in a step",
            "a step's `MATCH` from an inspection, `DISALLOW *`",
            "layout_malformed",
            with(
                one_step(
                    artifacts(&["foo"]),
                    json!([["MATCH", "*", "WITH", "PRODUCTS", "FROM", "look"], ["DISALLOW", "*"]]),
                ),
                |case| {
                    case.layout.signed["inspect"] = json!([{"_type": "inspection", "name": "look", "run": ["true"],
                        "expected_materials": [], "expected_products": []}]);
                },
            ),
        ),
    ]
}
