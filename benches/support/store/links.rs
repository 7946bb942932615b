//! Links as a recorder of a real pipeline writes them: each step lists the whole tree, and a build changes little of it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tidewaiter::{
    Link,
    digest::Digest,
    envelope::Envelope,
    intoto::{Facts, Profile},
    store::{Kind, NewRecord, RunFacts, VerifiedSignature, artifacts},
};

/// Files of a tree.
const ARTIFACTS: usize = 1_000;
/// Files that a build changes.
const CHANGED: usize = 5;

/// The tree of a chain's build: 1,000 files in 50 directories, some of them other than in the build before.
pub fn tree(chain: i64, build: usize) -> Value {
    let file = |number: usize| {
        // The last build up to this one that changed it.
        let changed =
            (0..=build).rev().find(|build| (0..CHANGED).any(|place| (build * 211 + place * 97) % ARTIFACTS == number));
        let content = format!("{chain} {number} {}", changed.unwrap_or_default());
        (
            format!("src/module-{}/file-{number}.rs", number / 20),
            json!({"sha256": Digest::sha256(content.as_bytes()).hex()}),
        )
    };
    (0..ARTIFACTS).map(file).collect::<serde_json::Map<_, _>>().into()
}

/// A link as a recorder writes it; what is no SHA-256 of anything but random stands for its signature.
pub fn record(chain: i64, build: usize, step: &str, tree: &Value) -> NewRecord {
    let image = Digest::sha256(format!("image {build}").as_bytes());
    let products = match step {
        "build" => json!({"oci:registry.example.com/shop/api": {"sha256": image.hex()}}),
        _ => json!({}),
    };
    let payload =
        json!({"_type": "link", "name": step, "command": ["make", step], "materials": tree, "products": products,
        "byproducts": {"return-value": 0}, "environment": {}})
        .to_string();
    let random = |text: &str| hex::decode(Digest::sha256(format!("{text} {build} {step}").as_bytes()).hex()).unwrap();
    let sig = [random("one"), random("two")].concat();
    let keyid = Digest::sha256(step.as_bytes()).hex().to_owned();
    let envelope = json!({"payload": STANDARD.encode(&payload), "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": keyid, "sig": STANDARD.encode(&sig)}]})
    .to_string()
    .into_bytes();
    let link = Link::of(&Envelope::parse(&envelope).unwrap(), Profile::Strict).unwrap().link.unwrap();
    NewRecord {
        step: Some(step.into()),
        digest: Digest::sha256(payload.as_bytes()),
        payload_type: "application/vnd.in-toto+json".into(),
        envelope,
        signatures: vec![VerifiedSignature { keyid, alg: "Ed25519".into(), index: 0, sig }],
        run: Some(format!("https://ci.example.com/shop/api/runs/{build}")),
        produced: artifacts::images(&link.products, 8),
        materials: link.materials,
        products: link.products,
        chain,
        kind: Kind::Link,
        run_facts: RunFacts::default(),
        submitter: "ci".into(),
        declared: BTreeSet::new(),
        return_code: Some(0),
        received_at: jiff::Timestamp::UNIX_EPOCH,
        predicate_type: None,
        started_at: None,
        finished_at: None,
        facts: Facts::default(),
        layout: None,
    }
}
