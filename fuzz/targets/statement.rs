//! Statements as links: what is read is a link that could have been written as one, by names and hashes that a link may have; a field
//! that nobody knows changes nothing; and a link says the same as the statement its predicate's definition makes of it. (in-toto R42)
#![no_main]

#[path = "../../tests/support/oracles/link.rs"]
mod oracle;

use libfuzzer_sys::fuzz_target;
use tidewaiter::{
    digest::DigestSet,
    intoto::{Artifacts, Link, Profile, Reported},
    json::{self, Limits, Value},
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = json::parse(bytes, &Limits::METADATA) else { return };
    if let Ok(reported) = Reported::from_value(&value) {
        assert_ne!(reported.step.as_deref(), Some(""), "a step has a name");
        assert_eq!(reported.link.name, reported.step.clone().unwrap_or_default());
        for (name, digests) in &reported.link.products {
            assert_clean(name);
            assert!(digests.is_well_formed(), "{name}: a product is known by an accepted hash");
        }
        for (name, digests) in &reported.link.materials {
            assert_clean(name);
            // One of no accepted algorithm is seen by the rules, and taken by no MATCH.
            assert!(
                digests.iter().next().is_some() && digests.is_well_formed() == digests.agrees_with(digests),
                "{name}"
            );
        }
        same(&reported.link);
        let Value::Object(mut members) = value.clone() else { panic!("a statement is an object") };
        members.push(("a field of the future".to_owned(), Value::Null));
        assert_eq!(Reported::from_value(&Value::Object(members)), Ok(reported), "an unknown field decides nothing");
    }
    if let Some(link) = link(bytes) {
        same(&link);
    }
});

fn link(bytes: &[u8]) -> Option<Link> {
    Link::read(bytes, Profile::Strict).ok()?.link.ok()
}

/// A link, and its statement, where it has one.
fn same(link: &Link) {
    let of_link = |artifacts: &Artifacts| artifacts.iter().all(|(_, digests)| digests.is_well_formed());
    let in_its_own_way = |artifacts: &Artifacts| artifacts.keys().any(|name| name.starts_with("file:"));
    let sides = [&link.materials, &link.products];
    if sides.iter().all(|side| of_link(side)) {
        assert_eq!(self::link(json::to_text(&link.to_value()).as_bytes()).as_ref(), Some(link));
        if !link.name.is_empty() && !link.products.is_empty() && !sides.iter().any(|side| in_its_own_way(side)) {
            let reported = Reported::from_value(&statement(link)).expect("the statement of a link is one");
            assert_eq!(reported, Reported { step: Some(link.name.clone()), link: link.clone() });
        }
    }
}

fn statement(link: &Link) -> Value {
    let text = |text: &str| Value::String(text.to_owned());
    let object = |members: Vec<(&str, Value)>| {
        Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let list = |artifacts: &Artifacts| {
        let digest = |digests: &DigestSet| {
            Value::Object(digests.iter().map(|(algorithm, hex)| (algorithm.to_owned(), text(&hex))).collect())
        };
        let one = |(name, digests): (&str, &DigestSet)| object(vec![("name", text(name)), ("digest", digest(digests))]);
        Value::Array(artifacts.iter().map(one).collect())
    };
    let predicate = object(vec![
        ("name", text(&link.name)),
        ("command", Value::Array(link.command.iter().map(|word| text(word)).collect())),
        ("materials", list(&link.materials)),
        ("byproducts", link.byproducts.clone()),
        ("environment", link.environment.clone()),
    ]);
    object(vec![
        ("_type", text("https://in-toto.io/Statement/v1")),
        ("subject", list(&link.products)),
        ("predicateType", text("https://in-toto.io/attestation/link/v0.3")),
        ("predicate", predicate),
    ])
}

/// No second spelling.
fn assert_clean(name: &str) {
    assert!(oracle::is_clean(name), "{name:?}");
}
