//! Each kind of statement as a link: an honest one, and what is wrong with it one thing at a time.

use super::*;
use crate::intoto::{
    Link,
    link::LinkError,
    statement::{
        collection, provenance,
        reported::{LINK, OLD_LINKS},
    },
};
use serde_json::{Value as Json, json};

fn read(statement: &Json) -> Result<Reported, StatementError> {
    Reported::from_value(&Value::from(statement))
}

fn sha256() -> Json {
    json!({ "sha256": HEX })
}

/// A statement about one product, `api`.
fn about_api(kind: &str, predicate: Json) -> Json {
    json!({ "_type": TYPES[1], "subject": [{ "name": "api", "digest": sha256() }], "predicateType": kind, "predicate": predicate })
}

/// The honest one of each kind.
fn listed() -> Json {
    let materials = json!([{ "name": "src/a", "digest": sha256() }]);
    about_api(
        LINK,
        json!({ "name": "build", "command": ["make"], "materials": materials, "byproducts": { "return-value": 0 } }),
    )
}
fn mapped(kind: &str) -> Json {
    about_api(kind, json!({ "name": "build", "command": ["make"], "materials": { "src/a": sha256() } }))
}
fn slsa_0_2() -> Json {
    let materials = json!([{ "uri": "git+https://example.com/shop", "digest": { "sha1": "00" } }]);
    about_api(provenance::V0_2, json!({ "builder": { "id": "https://example.com/ci" }, "materials": materials }))
}
fn slsa_1() -> Json {
    let taken = json!([{ "name": "src/a", "digest": sha256() }]);
    about_api(provenance::V1, json!({ "buildDefinition": { "resolvedDependencies": taken }, "runDetails": {} }))
}
/// The same in its first version, under either name, and as witness writes it.
fn other_provenances() -> Vec<Json> {
    let first = provenance::V0_1.map(|kind| with(slsa_0_2(), "/predicateType", kind.into()));
    let taken = json!([{ "name": "src/a", "digest": sha256() }]);
    let predicate = json!({ "build_definition": { "resolved_dependencies": taken }, "run_details": {} });
    [first.into(), vec![about_api(provenance::V1_OF_WITNESS, predicate)]].concat()
}
fn collected() -> Json {
    let attestation = |kind: &str, attestation: Json| json!({ "type": format!("https://witness.dev/attestations/{kind}"), "attestation": attestation });
    let attestations = [
        attestation("environment/v0.1", json!({ "os": "linux" })),
        attestation("material/v0.1", json!({ "src/a": sha256() })),
        attestation("command-run/v0.1", json!({ "cmd": ["make"], "exitcode": 0 })),
        attestation("product/v0.1", json!({ "api": { "mime_type": "text/plain", "digest": sha256() } })),
    ];
    let mut statement = about_api(collection::TYPE, json!({ "name": "build", "attestations": attestations }));
    // Its subjects are for searching: hashes of other things, by whatever algorithm.
    statement["subject"] =
        json!([{ "name": "https://witness.dev/attestations/git/v0.1/commithash:00", "digest": { "sha1": "00" } }]);
    statement
}
fn all() -> Vec<Json> {
    let old = OLD_LINKS.map(mapped);
    [vec![listed(), slsa_0_2(), slsa_1(), collected()], other_provenances(), old.into()].concat()
}

fn with(mut statement: Json, pointer: &str, value: Json) -> Json {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = statement.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match (parent, last.parse::<usize>()) {
        (Json::Array(list), Ok(at)) if at == list.len() => list.push(value),
        (Json::Array(list), Ok(at)) => list[at] = value,
        (parent, _) => parent[last.replace("~1", "/").as_str()] = value,
    }
    statement
}
fn without(mut statement: Json, pointer: &str) -> Json {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = statement.pointer_mut(parent).and_then(Json::as_object_mut).unwrap();
    parent.remove(last).unwrap_or_else(|| panic!("{pointer}"));
    statement
}

#[test]
fn each_kind_reads_as_the_link_it_is() {
    let hashes = DigestSet::from_iter([("sha256".to_owned(), HEX.to_owned())]);
    for statement in all() {
        let reported = read(&statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        let kind = statement["predicateType"].as_str().unwrap();
        let provenance = kind.contains("slsa") || kind.contains("Provenance");
        assert_eq!(reported.step.as_deref(), (!provenance).then_some("build"), "{kind}");
        assert_eq!(reported.link.name, reported.step.clone().unwrap_or_default(), "{kind}");
        assert_eq!(reported.link.products, [("api", hashes.clone())].into(), "{kind}");
        let expected: &[&str] = if provenance { &[] } else { &["make"] };
        assert_eq!(reported.link.command, expected, "{kind}");
        let material = reported.link.materials.iter().next().unwrap();
        match kind {
            provenance::V0_2 => assert_eq!(material.0, "git+https://example.com/shop"),
            old if provenance::V0_1.contains(&old) => assert_eq!(material.0, "git+https://example.com/shop"),
            _ => assert_eq!(material, ("src/a", &hashes), "{kind}"),
        }
    }
}

#[test]
fn both_versions_of_the_statement_and_unknown_fields_are_read() {
    for statement in all() {
        let plain = read(&statement).unwrap();
        for kind in TYPES {
            assert_eq!(read(&with(statement.clone(), "/_type", kind.into())).as_ref(), Ok(&plain));
        }
        for place in ["/later", "/predicate/later", "/subject/0/later"] {
            assert_eq!(read(&with(statement.clone(), place, json!({ "x": [] }))).as_ref(), Ok(&plain), "{place}");
        }
        let other = with(statement, "/_type", "https://in-toto.io/Statement/v2".into());
        assert_eq!(read(&other), Err(StatementError::NotAStatement));
    }
}

#[test]
fn what_may_be_left_out_is_empty_and_null_is_not_empty() {
    for (statement, place) in [
        (listed(), "/predicate/command"),
        (listed(), "/predicate/materials"),
        (slsa_0_2(), "/predicate/materials"),
        (slsa_1(), "/predicate/buildDefinition/resolvedDependencies"),
        (other_provenances().remove(0), "/predicate/materials"),
        (other_provenances().remove(2), "/predicate/build_definition/resolved_dependencies"),
    ] {
        let link = read(&without(statement.clone(), place)).unwrap().link;
        assert!(link.command.is_empty() || link.materials.is_empty(), "{place}");
        assert!(read(&with(statement, place, Json::Null)).is_err(), "{place}");
    }
}

#[test]
fn what_must_be_there_is_missed() {
    let missing = |name| Err(StatementError::Link(LinkError::Missing(name)));
    let type_of = |field, expected| Err(StatementError::Type { field, expected });
    let old = || mapped(OLD_LINKS[1]);
    for (statement, place, expected) in [
        (listed(), "/predicate", type_of("predicate", "an object")),
        (listed(), "/subject", type_of("subject", "a list")),
        (listed(), "/predicateType", type_of("predicateType", "a string")),
        (listed(), "/predicate/name", missing("name")),
        (collected(), "/predicate/name", missing("name")),
        (old(), "/predicate/materials", missing("materials")),
        (old(), "/predicate/command", missing("command")),
        (slsa_1(), "/predicate/buildDefinition", type_of("buildDefinition", "an object")),
        (other_provenances().remove(2), "/predicate/build_definition", type_of("build_definition", "an object")),
        (collected(), "/predicate/attestations", type_of("attestations", "a list")),
    ] {
        assert_eq!(read(&without(statement, place)), expected, "{place}");
    }
}

#[test]
fn a_predicate_of_null_and_an_empty_step_are_malformed() {
    for statement in all() {
        let expected = Err(StatementError::Type { field: "predicate", expected: "an object" });
        assert_eq!(read(&with(statement.clone(), "/predicate", Json::Null)), expected);
        if statement["predicate"].get("name").is_some() {
            assert_eq!(read(&with(statement, "/predicate/name", "".into())), Err(StatementError::NoStep));
        }
    }
}

#[test]
fn other_predicates_are_no_links() {
    for kind in ["https://spdx.dev/Document", "https://slsa.dev/provenance/v2", "https://in-toto.io/Link/v2", LINK] {
        let found = read(&with(listed(), "/predicateType", kind.into()));
        let expected = StatementError::NotALink { predicate_type: kind.into() };
        assert!(if kind == LINK { found.is_ok() } else { found == Err(expected) }, "{kind}");
    }
    // Whatever is in them: a predicate need not be there.
    let bare = without(with(listed(), "/predicateType", "https://example.com/p".into()), "/predicate");
    assert!(matches!(read(&bare), Err(StatementError::NotALink { .. })));
}

#[test]
fn one_name_is_one_artifact() {
    let again = |name: &str, digest: Json| json!({ "name": name, "digest": digest });
    let twice = |list, name: &str| Err(StatementError::Twice { list, name: name.into() });
    let other = json!({ "sha256": "0".repeat(64) });
    for digest in [sha256(), other.clone()] {
        let subject = with(listed(), "/subject/1", again("api", digest.clone()));
        assert_eq!(read(&subject), twice("subject", "api"));
        let material = with(listed(), "/predicate/materials/1", again("src/a", digest));
        assert_eq!(read(&material), twice("materials", "src/a"));
    }
    assert_eq!(read(&with(listed(), "/subject/1", again("file:api", sha256()))), twice("subject", "api"));
    assert_eq!(read(&with(slsa_1(), "/subject/1", again("api", other.clone()))), twice("subject", "api"));
    let taken = "/predicate/buildDefinition/resolvedDependencies/1";
    assert_eq!(read(&with(slsa_1(), taken, again("src/a", other.clone()))), twice("materials", "src/a"));
    assert!(read(&with(listed(), "/subject/1", again("api2", sha256()))).is_ok());
    assert!(read(&with(slsa_1(), taken, again("src/a", sha256()))).is_ok(), "a build may take one thing twice");
    // Two tags of one image are one artifact, unless they are two images.
    let tag = |tag: &str, digest| again(&format!("pkg:docker/registry.example.com/shop/api@{tag}"), digest);
    let tagged = with(with(slsa_1(), "/subject/0", tag("v1", sha256())), "/subject/1", tag("v2", sha256()));
    let products = read(&tagged).unwrap().link.products;
    assert_eq!(products.keys().collect::<Vec<_>>(), ["oci:registry.example.com/shop/api"]);
    let two = with(tagged, "/subject/1", tag("v2", other));
    assert_eq!(read(&two), twice("subject", "oci:registry.example.com/shop/api"));
}

#[test]
fn what_has_no_name_is_malformed() {
    let unnamed = |list| Err(StatementError::Unnamed { list, at: 0 });
    for statement in [listed(), mapped(OLD_LINKS[0]), slsa_0_2(), slsa_1()] {
        assert_eq!(read(&without(statement.clone(), "/subject/0/name")), unnamed("subject"));
        assert_eq!(read(&with(statement, "/subject/0/name", "".into())), unnamed("subject"));
    }
    for (statement, place) in [
        (listed(), "/predicate/materials/0/name"),
        (slsa_0_2(), "/predicate/materials/0/uri"),
        (slsa_1(), "/predicate/buildDefinition/resolvedDependencies/0/name"),
    ] {
        assert_eq!(read(&without(statement.clone(), place)), unnamed("materials"), "{place}");
        assert_eq!(read(&with(statement, place, json!(7))), unnamed("materials"), "{place}");
    }
}

#[test]
fn digests_are_those_of_a_link() {
    let md5 = || json!({ "md5": "d41d8cd98f00b204e9800998ecf8427e" });
    let short = || json!({ "sha256": "ab" });
    let digest = Err(StatementError::Digest { list: "materials", at: 0 });
    for bad in [md5(), short(), json!({}), Json::Null] {
        for statement in [listed(), mapped(OLD_LINKS[0]), slsa_0_2(), slsa_1()] {
            assert_eq!(read(&with(statement, "/subject/0/digest", bad.clone())), Err(StatementError::Subject(0)));
        }
        assert_eq!(read(&with(listed(), "/predicate/materials/0/digest", bad.clone())), digest);
        let hash = Err(StatementError::Link(LinkError::Hash { side: "materials", name: "src/a".into() }));
        assert_eq!(read(&with(mapped(OLD_LINKS[0]), "/predicate/materials/src~1a", bad)), hash);
    }
    for statement in [slsa_0_2(), slsa_1()] {
        let place = match statement["predicate"].get("materials") {
            Some(_) => "/predicate/materials/0/digest",
            None => "/predicate/buildDefinition/resolvedDependencies/0/digest",
        };
        for bad in [short(), json!({}), Json::Null, json!({ "sha1": 1 })] {
            assert_eq!(read(&with(statement.clone(), place, bad)), digest);
        }
        assert_eq!(read(&without(statement.clone(), place)), digest);
        // A commit is known by no accepted algorithm: it is there for the rules to see, and agrees with nothing.
        let commit = read(&with(statement, place, json!({ "gitCommit": "00" }))).unwrap().link;
        let (_, hashes) = commit.materials.iter().next().unwrap();
        assert!(!hashes.agrees_with(hashes));
    }
}

#[test]
fn names_are_as_clean_as_in_a_link() {
    for name in ["/etc/passwd", "a/../b", "./a", "a\\b", "a\nb", "file:../a", "file:/a/../b"] {
        for statement in [listed(), slsa_1()] {
            let found = read(&with(statement, "/subject/0/name", name.into()));
            assert!(
                matches!(found, Err(StatementError::Link(LinkError::ArtifactName { side: "subject", .. }))),
                "{name}"
            );
        }
        let mut collection = collected();
        collection["predicate"]["attestations"][3]["attestation"] = json!({ name: { "digest": sha256() } });
        assert!(matches!(read(&collection), Err(StatementError::Link(LinkError::ArtifactName { .. }))), "{name}");
    }
}

#[test]
fn a_whole_link_that_cosign_attached_to_an_image_has_its_products_and_the_image() {
    let mut statement = mapped(OLD_LINKS[2]);
    statement["subject"][0]["name"] = "registry.example.com/shop/api".into();
    let own = read(&statement).unwrap().link.products;
    assert_eq!(own.keys().collect::<Vec<_>>(), ["registry.example.com/shop/api"]);
    let whole = with(statement, "/predicate/products", json!({ "sbom.json": sha256() }));
    let both = read(&whole).unwrap().link.products;
    assert_eq!(both.keys().collect::<Vec<_>>(), ["oci:registry.example.com/shop/api", "sbom.json"]);
    assert!(read(&with(whole.clone(), "/predicate/products", Json::Null)).is_err());
    let other = json!({ "oci:registry.example.com/shop/api": { "sha256": "0".repeat(64) } });
    assert!(matches!(read(&with(whole, "/predicate/products", other)), Err(StatementError::Twice { .. })));
}

#[test]
fn a_collection_has_each_attestation_once() {
    let kind = |at: usize| collected()["predicate"]["attestations"][at].clone();
    for at in 1..4 {
        let found = read(&with(collected(), "/predicate/attestations/4", kind(at)));
        assert!(matches!(found, Err(StatementError::Collection { found: 2, .. })), "{at}: {found:?}");
        let mut short = collected();
        short["predicate"]["attestations"].as_array_mut().unwrap().remove(at);
        match (at, read(&short)) {
            (2, Ok(reported)) => assert!(reported.link.command.is_empty()),
            (1 | 3, Err(StatementError::Collection { found: 0, .. })) => {}
            (_, found) => panic!("{at}: {found:?}"),
        }
    }
    assert!(read(&with(collected(), "/predicate/attestations/4", kind(0))).is_ok(), "what we do not read is ignored");
}

#[test]
fn a_collection_tells_of_the_images_that_were_built() {
    let docker = |names: Json, digest: Json| {
        let built =
            json!({ "products": { HEX: { "imagereferences": names, "imagedigest": digest, "materials": {} } } });
        let docker = json!({ "type": "https://witness.dev/attestations/docker/v0.1", "attestation": built });
        read(&with(collected(), "/predicate/attestations/4", docker))
    };
    let found = docker(json!(["registry.example.com/shop/api:v1,registry.example.com/shop/api:v2,shop/api"]), sha256());
    let products = found.unwrap().link.products;
    assert_eq!(
        products.keys().collect::<Vec<_>>(),
        ["api", "oci:docker.io/shop/api", "oci:registry.example.com/shop/api"]
    );
    assert!(docker(json!([""]), sha256()).is_ok(), "an image without a name");
    assert!(docker(json!(["NO IMAGE"]), sha256()).is_err());
    assert!(docker(json!(["a"]), json!({ "sha1": "00" })).is_err());
    assert!(docker(Json::Null, sha256()).is_err());
}

#[test]
fn payload_types_of_predicates() {
    for kind in ["application/vnd.in-toto.provenance+json", "application/vnd.in-toto.test-result+json"] {
        assert!(is_predicate_payload(kind), "{kind}");
    }
    for kind in [
        "application/vnd.in-toto+json",
        "application/vnd.in-toto.+json",
        "application/vnd.in-toto.a b+json",
        "application/vnd.in-toto.link",
        "application/vnd.in-toto.link+dsse",
        "xapplication/vnd.in-toto.link+json",
    ] {
        assert!(!is_predicate_payload(kind), "{kind}");
    }
}

mod property {
    use super::*;
    use proptest::prelude::*;

    /// The statement that the predicate's definition makes of a link.
    fn statement(link: &Link) -> Json {
        let value = serde_json::Value::from(&link.to_value());
        let list = |side: &str| -> Vec<Json> {
            let members = value[side].as_object().unwrap().iter();
            members.map(|(name, digest)| json!({ "name": name, "digest": digest })).collect()
        };
        json!({ "_type": TYPES[1], "subject": list("products"), "predicateType": LINK, "predicate": {
            "name": value["name"], "command": value["command"], "materials": list("materials"),
            "byproducts": value["byproducts"], "environment": value["environment"] } })
    }

    fn artifacts(min: usize) -> impl Strategy<Value = crate::intoto::Artifacts> {
        let hashes = prop::collection::btree_map(
            prop_oneof![Just("sha512".to_owned()), Just("md5".to_owned()), Just("gitoid:sha256".to_owned())],
            "[0-9a-f]{128}",
            0..3,
        );
        let hashes = (hashes, "[0-9a-f]{64}").prop_map(|(mut more, sha256)| {
            more.insert("sha256".to_owned(), sha256);
            more.into_iter().collect::<DigestSet>()
        });
        // Names of every kind but the one that a statement reads in its own way.
        let name = prop_oneof!["[a-zé .][a-z0-9é .-]{0,3}(/[a-z]{1,3}){0,2}", "oci:[a-z]{1,4}[.]example/[a-z]{1,3}"]
            .prop_filter("clean", |name| crate::intoto::link::unclean(name).is_none() && !name.starts_with("file:"));
        prop::collection::btree_map(name, hashes, min..5).prop_map(|artifacts| artifacts.into_iter().collect())
    }

    /// NUL alone is in no JSON that we read.
    fn text(length: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = String> {
        let characters = any::<char>().prop_filter("NUL", |c| *c != '\0');
        prop::collection::vec(characters, length).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn a_link_and_the_statement_of_it_are_equal(
            materials in artifacts(0), products in artifacts(1), name in text(1..=8),
            command in prop::collection::vec(text(0..=4), 0..3), stdout in text(0..=8),
        ) {
            let opaque = |key: &str| Value::Object(vec![(key.to_owned(), Value::String(stdout.clone()))]);
            let link = Link { name, command, materials, products, byproducts: opaque("stdout"), environment: opaque("HOME") };
            let written = crate::json::to_text(&link.to_value());
            let again = Link::read(written.as_bytes(), crate::intoto::Profile::Strict).unwrap().link.unwrap();
            let reported = read(&statement(&link)).unwrap();
            prop_assert_eq!(reported.step.as_ref(), Some(&link.name));
            prop_assert_eq!(&reported.link, &again);
            prop_assert_eq!(reported.link, link);
        }
    }
}
