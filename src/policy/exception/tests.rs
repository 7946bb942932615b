//! The annotation alone carries no authority; the seal carries no more than it says.

use super::*;
use crate::policy::tests::{NAMESPACE, UID, World, compile, exception, noon, set};
use std::collections::BTreeMap;

/// The namespace with the text and a good seal for it, made an hour ago.
pub(in crate::policy) fn sealed(world: &World, text: &str) -> Namespace {
    sealed_by(world, "security", NAMESPACE, UID, text, "2026-11-23T11:00:00Z")
}

fn sealed_by(world: &World, key: &str, name: &str, uid: &str, text: &str, at: &str) -> Namespace {
    let envelope = seal(name, uid, text, at.parse().unwrap(), &[world.key(key)]).unwrap();
    namespace(text, Some(&String::from_utf8(envelope.to_bytes()).unwrap()))
}

fn namespace(text: &str, seal: Option<&str>) -> Namespace {
    let mut annotations = BTreeMap::from([(ANNOTATION.to_owned(), text.to_owned())]);
    annotations.extend(seal.map(|seal| (SEAL_ANNOTATION.to_owned(), seal.to_owned())));
    Namespace { name: NAMESPACE.into(), uid: UID.into(), annotations }
}

fn text() -> String {
    exception(&["released"], "images: [\"registry.example.com/shop/api\"]")
}

fn outcome(world: &World, namespace: &Namespace) -> Result<(), Ignored> {
    let judged = judge(&set(&world.policy()), namespace, noon());
    assert_eq!(judged.len(), 1);
    judged[0].outcome.clone()
}

#[test]
fn a_sealed_exception_counts() {
    let world = World::new();
    assert_eq!(outcome(&world, &sealed(&world, &text())), Ok(()));
    assert_eq!(
        judge(&set(&world.policy()), &Namespace { annotations: BTreeMap::new(), ..sealed(&world, &text()) }, noon()),
        []
    );
}

#[test]
fn each_thing_wrong_alone_makes_it_nothing() {
    let world = World::new();
    let good = sealed(&world, &text());
    let at = |at: &str| sealed_by(&world, "security", NAMESPACE, UID, &text(), at);
    let asking = |from: &str, to: &str| {
        assert!(text().contains(from));
        sealed(&world, &text().replace(from, to))
    };
    type Expected = fn(&Ignored) -> bool;
    let cases: Vec<(&str, Namespace, Expected)> = vec![
        ("no seal", namespace(&text(), None), |i| *i == Ignored::Unsealed),
        ("seal of nonsense", namespace(&text(), Some("{}")), |i| matches!(i, Ignored::SealMalformed(_))),
        ("a stranger's seal", sealed_by(&world, "stranger", NAMESPACE, UID, &text(), "2026-11-23T11:00:00Z"), |i| {
            matches!(i, Ignored::Untrusted { .. })
        }),
        // Keys of other places in the same policy.
        ("an owner's seal", sealed_by(&world, "alice", NAMESPACE, UID, &text(), "2026-11-23T11:00:00Z"), |i| {
            matches!(i, Ignored::Untrusted { .. })
        }),
        (
            "the release key's seal",
            sealed_by(&world, "release", NAMESPACE, UID, &text(), "2026-11-23T11:00:00Z"),
            |i| matches!(i, Ignored::Untrusted { .. }),
        ),
        (
            "copied from another namespace",
            sealed_by(&world, "security", "shop-test", UID, &text(), "2026-11-23T11:00:00Z"),
            |i| matches!(i, Ignored::OtherNamespace { .. }),
        ),
        ("of a namespace made anew", Namespace { uid: "another".into(), ..good.clone() }, |i| {
            matches!(i, Ignored::OtherNamespace { .. })
        }),
        ("of a namespace without uid", Namespace { uid: String::new(), ..good.clone() }, |i| {
            matches!(i, Ignored::OtherNamespace { .. })
        }),
        (
            "another text",
            namespace(&format!("{} ", text()), good.annotations.get(SEAL_ANNOTATION).map(String::as_str)),
            |i| *i == Ignored::OtherText,
        ),
        ("sealed tomorrow", at("2026-11-24T12:00:00Z"), |i| matches!(i, Ignored::NotYet { .. })),
        ("sealed beyond the skew", at("2026-11-23T12:01:01Z"), |i| matches!(i, Ignored::NotYet { .. })),
        ("too long", asking("2026-12-01T00", "2026-12-24T00"), |i| matches!(i, Ignored::TooLong { .. })),
        ("expired", asking("2026-12-01T00:00:00Z", "2026-11-23T12:00:00Z"), |i| matches!(i, Ignored::Expired { .. })),
        ("unknown policy", asking("policy: shop", "policy: shops"), |i| matches!(i, Ignored::UnknownPolicy { .. })),
        ("unknown requirement", asking("\"released\"", "\"released\", \"x\""), |i| {
            matches!(i, Ignored::UnknownRequirement { .. })
        }),
        ("the digest rule", asking("\"released\"", "\"digest\""), |i| matches!(i, Ignored::UnknownRequirement { .. })),
    ];
    for (name, namespace, expected) in cases {
        let found = outcome(&world, &namespace);
        assert!(found.as_ref().is_err_and(expected), "{name}: {found:?}");
    }
    assert_eq!(outcome(&world, &at("2026-11-23T12:01:00Z")), Ok(()), "a minute of skew");
    assert_eq!(outcome(&world, &at("2026-11-01T00:00:00Z")), Ok(()), "thirty days to the second");
    assert!(matches!(outcome(&world, &at("2026-10-31T23:59:59Z")), Err(Ignored::TooLong { .. })));
}

#[test]
fn the_policy_says_whose_and_how_long() {
    let world = World::new();
    let good = sealed(&world, &text());
    for (from, to, expected) in [
        ("signers: security-team", "signers: strangers", Some(Ignored::Untrusted { signers: "strangers".into() })),
        ("signers: security-team", "signers: nobody", Some(Ignored::Untrusted { signers: "nobody".into() })),
        ("maxDuration: 30d", "maxDuration: 7d", Some(Ignored::TooLong { max: "7d".into() })),
        ("  exceptions: { maxDuration: 30d, signers: security-team }\n", "", Some(Ignored::NotAllowed)),
        ("maxDuration: 30d", "maxDuration: 8d", None),
    ] {
        let policy = world.policy().replacen(from, to, 1);
        let set = compile(&policy, crate::policy::Unmatched::Warn).unwrap();
        assert_eq!(judge(&set, &good, noon())[0].ignored().cloned(), expected, "{to}");
    }
}

#[test]
fn an_envelope_made_for_something_else_is_no_seal() {
    let world = World::new();
    let good = sealed(&world, &text());
    let payload = match Envelope::parse(good.annotations[SEAL_ANNOTATION].as_bytes()).unwrap().content {
        crate::envelope::Content::Dsse { payload, .. } => payload,
        other => panic!("{other:?}"),
    };
    let signed = |payload_type: &str, payload: Vec<u8>| {
        let envelope = Envelope::sign_dsse(payload_type, payload, &[world.key("security")]).unwrap();
        outcome(&world, &namespace(&text(), Some(&String::from_utf8(envelope.to_bytes()).unwrap())))
    };
    assert_eq!(signed(PAYLOAD_TYPE, payload.clone()), Ok(()));
    let found = signed("application/vnd.in-toto+json", payload.clone());
    assert_eq!(found, Err(Ignored::PayloadType { found: "application/vnd.in-toto+json".into() }));
    let other = String::from_utf8(payload.clone()).unwrap();
    for (from, to) in [("ExceptionSeal", "Seal"), ("v1alpha1", "v1"), ("\"kind\"", "\"extra\":1,\"kind\"")] {
        assert!(other.contains(from));
        let found = signed(PAYLOAD_TYPE, other.replacen(from, to, 1).into_bytes());
        assert!(matches!(found, Err(Ignored::SealMalformed(_))), "{to}: {found:?}");
    }
}

#[test]
fn the_text_is_read_strictly() {
    let one = text();
    assert_eq!(read(&one).map(|list| list.len()), Ok(1));
    let list = read(&one).unwrap();
    assert_eq!(read(&write(&list).unwrap()), Ok(list.clone()));
    assert_eq!(read(&write(&[list[0].clone(), list[0].clone()]).unwrap()).map(|l| l.len()), Ok(2));
    for (from, to, expected) in [
        ("policy: shop", "policy: shop\npolicy: shop", "duplicate key"),
        ("policy: shop", "policy: \"\"", "policy: is empty"),
        ("policy: shop\n", "", "policy: is missing"),
        ("policy: shop", "policy: shop\nscope: all", "scope: unknown field"),
        ("requirements: [\"released\"]", "requirements: []", "requirements: is empty"),
        ("reason: the signing service is down", "reason: \" \"", "reason: expected"),
        ("until: 2026-12-01T00:00:00Z", "until: tomorrow", "until: "),
        ("images: [\"registry.example.com/shop/api\"]", "images: []", "images: expected either"),
        ("images: [\"registry.example.com/shop/api\"]", "digests: [\"sha256:abc\"]", "digests[0]: "),
        ("policy: shop", "policy: shop\ndigests: [\"sha256:abc\"]", "images: expected either"),
    ] {
        assert!(one.contains(from), "{from}");
        let error = read(&one.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(expected), "{to}: {error}");
    }
    assert!(read("").is_err() && read("[]").is_err() && read(&format!("{one}---\n{one}")).is_err());
}

#[test]
fn an_unreadable_annotation_is_said_and_admits_nothing() {
    let world = World::new();
    let judged = judge(&set(&world.policy()), &namespace("images: {", None), noon());
    assert!(matches!(judged[0].ignored(), Some(Ignored::Malformed(_))));
    assert_eq!(judged[0].honoured(), None);
}

#[test]
fn no_seal_is_made_for_what_would_be_ignored() {
    let world = World::new();
    let key = [world.key("security")];
    assert!(matches!(seal(NAMESPACE, UID, "nonsense", noon(), &key), Err(SealError::Text(_))));
    assert!(matches!(seal(NAMESPACE, "", &text(), noon(), &key), Err(SealError::Namespace)));
    assert!(matches!(seal(NAMESPACE, UID, &text(), noon(), &[]), Err(SealError::Keys { found: 0 })));
    assert!(matches!(seal(NAMESPACE, UID, &text(), noon(), &[key[0]; 9]), Err(SealError::Keys { found: 9 })));
}

#[test]
fn the_example_can_be_sealed() {
    let exceptions = read(include_str!("../../../examples/exception.yaml")).unwrap();
    assert_eq!(exceptions[0].requirements, ["built-by-us"]);
}
