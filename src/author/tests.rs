use super::*;
use crate::{
    envelope::INTOTO_PAYLOAD_TYPE,
    key::{KeyRing, NamedKey, Scheme, SecretKey},
};
use std::path::PathBuf;

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

/// A directory with a template of `outline` and the keys it names.
fn stored(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    for name in ["fetch", "build"] {
        let key = SecretKey::generate(Scheme::Ed25519).unwrap();
        std::fs::write(directory.path().join(format!("{name}.pem.pub")), key.public().to_pem()).unwrap();
        std::fs::write(directory.path().join(format!("{name}.pem")), key.to_pem()).unwrap();
    }
    let path = directory.path().join("layout.yaml");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}
fn rendered(text: &str) -> anyhow::Result<Layout> {
    let (_directory, path) = stored(text);
    read(&path, None, now()).map(|source| source.layout().clone())
}
fn begun() -> String {
    let image = "registry.example.com/shop/api".parse().unwrap();
    init::template(&init::Outline {
        steps: vec!["fetch".into(), "build".into()],
        image: Some(image),
        functionaries: Vec::new(),
    })
    .unwrap()
}
fn found(text: &str) -> Vec<Finding> {
    lint(&rendered(text).unwrap(), now())
}
fn errors(text: &str) -> String {
    let errors = found(text).into_iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| finding.to_string()).collect::<Vec<_>>().join("\n")
}
fn warnings(text: &str) -> String {
    let warnings = found(text).into_iter().filter(|finding| finding.severity == Severity::Warning);
    warnings.map(|finding| finding.to_string()).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_init_writes_is_a_layout_without_remarks() {
    let layout = rendered(&begun()).unwrap();
    assert_eq!(layout.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["fetch", "build"]);
    assert_eq!(layout.expires.to_string(), "2027-02-23T12:00:00Z");
    assert_eq!(
        layout.inspections[0].expected_materials[0].to_string(),
        "MATCH oci:registry.example.com/shop/api WITH PRODUCTS FROM build"
    );
    assert_eq!(found(&begun()), []);
    assert!(init::template(&init::Outline { steps: vec!["a b".into()], ..Default::default() }).is_err());
}

#[test]
fn the_template_is_read_strictly() {
    for (from, to, why) in [
        ("threshold: 1", "treshold: 1", "treshold"),
        ("threshold: 1", "threshold: 2", "threshold"),
        ("FROM fetch", "FROM elsewhere", "elsewhere"),
        ("ALLOW *", "PERMIT *", "PERMIT"),
        ("fetch.pem.pub", "missing.pub", "missing.pub"),
        ("fetch.pem.pub", "fetch.pem", "private key"),
        ("expires: 90d", "expires: whenever", "whenever"),
        ("expires: 90d", "expires: 2020-01-01T00:00:00Z", "past"),
        ("name: fetch", "name: build", "build"),
    ] {
        let text = begun().replacen(from, to, 1);
        assert_ne!(text, begun(), "{from}");
        let error = format!("{:#}", rendered(&text).unwrap_err());
        assert!(error.contains(why), "{to}: {error}");
    }
}

#[test]
fn rules_may_be_lists_of_words() {
    let text = begun().replacen("- ALLOW *", "- [ALLOW, \"a file\"]\n      - ALLOW *", 1);
    let layout = rendered(&text).unwrap();
    assert_eq!(layout.steps[0].expected_materials[0].words(), ["ALLOW", "a file"]);
}

#[test]
fn lint_finds_patterns_that_are_hardly_meant() {
    assert_eq!(errors(&begun()), "");
    for pattern in ["src/**", "a[", "[^a]", "{a,b}", "a\\b"] {
        let text = begun().replacen("ALLOW *", &format!("ALLOW {pattern}"), 1);
        assert!(errors(&text).contains("step \"fetch\": materials: ALLOW"), "{pattern}: {}", errors(&text));
    }
    // A parameter is no pattern that means something else; what it is given is not known yet.
    let open = begun().replacen("ALLOW *", "ALLOW {DIR}/{{x}}*", 1).replacen("FROM fetch", "FROM {STEP}", 1);
    assert!(errors(&open).contains("ALLOW DIR/{x}*"), "{}", errors(&open));
    let open = open.replacen("/{{x}}", "", 1);
    assert_eq!(errors(&open), "");
    let view = show::View::new(&rendered(&open).unwrap(), None, &KeyRing::default(), now());
    assert!(view.text().contains("asks for DIR, STEP"), "{}", view.text());
}

#[test]
fn lint_finds_lists_that_let_everything_in() {
    let open = begun().replacen("      - DISALLOW *\n", "", 1);
    assert!(warnings(&open).contains("step \"fetch\": materials: does not end in DISALLOW *"), "{}", warnings(&open));
    let dead = begun().replacen("- ALLOW *", "- ALLOW *\n      - ALLOW src/*", 1);
    assert!(warnings(&dead).contains("leaves nothing"), "{}", warnings(&dead));
    let late = begun().replacen("- ALLOW *", "- ALLOW *\n      - REQUIRE src/a", 1);
    assert!(warnings(&late).contains("put it first"), "{}", warnings(&late));
    let own = begun().replacen("WITH PRODUCTS FROM fetch", "WITH PRODUCTS FROM build", 1);
    assert!(warnings(&own).contains("does not come before"), "{}", warnings(&own));
}

#[test]
fn lint_finds_an_inspection_that_can_not_bind() {
    let rule = "- MATCH oci:registry.example.com/shop/api WITH PRODUCTS FROM build";
    assert!(begun().contains(rule));
    for (instead, why) in [
        ("- ALLOW oci:registry.example.com/shop/api", "ties no image"),
        ("- MATCH blobs/* WITH PRODUCTS FROM build", "ties no image"),
        ("- ALLOW *\n      - MATCH oci:* WITH PRODUCTS FROM build", "ties no image"),
        ("- MATCH oci:registry.example.com/shop/api:1 WITH PRODUCTS FROM build", "oci:registry.example.com/shop/api"),
        ("- MATCH oci:busybox WITH PRODUCTS FROM build", "oci:docker.io/library/busybox"),
    ] {
        let said = errors(&begun().replace(rule, instead));
        assert!(said.contains(why), "{instead}: {said}");
    }
    for instead in
        ["- MATCH * WITH PRODUCTS FROM build", "- MATCH shop/* IN oci:registry.example.com WITH PRODUCTS FROM build"]
    {
        assert_eq!(errors(&begun().replace(rule, instead)), "", "{instead}");
    }
    assert!(errors(&begun().replace("[tidewaiter, inspect, image]", "[sh, check.sh]")).contains("nothing is executed"));
    let (bare, _) = begun().split_once("# What ties").map(|(bare, rest)| (bare.to_owned(), rest.to_owned())).unwrap();
    assert!(warnings(&bare).contains("subject_not_bound"));
}

#[test]
fn signed_layouts_are_read_back_and_shown() {
    let (directory, path) = stored(&begun());
    let layout = read(&path, Some("10d"), now()).unwrap().layout().clone();
    let key = SecretKey::generate(Scheme::EcdsaP256).unwrap();
    let payload = json::to_text(&layout.to_value()).into_bytes();
    let dsse = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, payload, &[&key]).unwrap();
    let metablock = Envelope::sign_metablock(layout.to_value(), &[&key]).unwrap();
    let other = SecretKey::generate(Scheme::Ed25519).unwrap();
    let named = |name: &str, key: &SecretKey| NamedKey { name: name.to_owned(), key: key.public().clone() };
    let ring = KeyRing::new(vec![named("alice", &key), named("bob", &other)]);
    for envelope in [dsse, metablock] {
        let signed = directory.path().join("signed");
        std::fs::write(&signed, envelope.to_bytes()).unwrap();
        let Source::Signed { layout: again, envelope } = read(&signed, None, now()).unwrap() else { panic!("signed") };
        assert_eq!(again, layout);
        assert!(format!("{:#}", read(&signed, Some("20d"), now()).unwrap_err()).contains("part of what was signed"));
        let text = show::View::new(&again, Some(&envelope), &ring, now()).text();
        assert!(text.contains("10d 0h left") && text.contains("signed by      alice"), "{text}");
        assert!(text.contains("not signed by  bob"), "{text}");
    }
}
