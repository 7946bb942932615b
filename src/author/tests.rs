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
    let (_directory, path) = stored(text);
    open(&path, None, now()).unwrap().lint(now())
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
        ("name: fetch", "name: build", "build"),
    ] {
        let text = begun().replacen(from, to, 1);
        assert_ne!(text, begun(), "{from}");
        let error = format!("{:#}", rendered(&text).unwrap_err());
        assert!(error.contains(why), "{to}: {error}");
    }
}

/// R31, and whatever else a verifier refuses: it stops at the first fault, and who writes a layout hears of each.
#[test]
fn lint_finds_all_that_a_reader_refuses() {
    let wrong = begun()
        .replacen("- ALLOW *", "- PERMIT *\n      - MATCH a IN src WITH PRODUCTS FROM nowhere", 1)
        .replacen("- ALLOW *", "- match {X} with materials from nobody\n      - MATCH * WITH PRODUCTS FROM {STEP}", 1)
        .replacen("FROM fetch", "FROM image", 1)
        .replacen("threshold: 1", "threshold: 2", 1)
        .replacen("threshold: 1", "threshold: 0", 1)
        .replacen("FROM build", "FROM bui1d", 1);
    let wanted = [
        r#"error: step "fetch": materials: PERMIT *: the unknown rule keyword "PERMIT""#,
        r#"error: step "fetch": materials: MATCH a IN src WITH PRODUCTS FROM nowhere: "nowhere" is no step"#,
        r#"error: step "fetch": products: match {X} with materials from nobody: "nobody" is no step"#,
        r#"error: step "build": materials: MATCH * WITH PRODUCTS FROM image: "image" is no step"#,
        r#"error: inspection "image": materials: MATCH oci:registry.example.com/shop/api WITH PRODUCTS FROM bui1d: "bui1d" is no step or inspection"#,
        r#"error: step "fetch": the threshold is 2, and it has 1 distinct keys"#,
        r#"error: step "build": the threshold is 0, and it has 1 distinct keys"#,
    ];
    assert_eq!(errors(&wrong).split('\n').collect::<Vec<_>>(), wanted);
    assert!(rendered(&wrong).is_err());
    // An inspection may name an inspection.
    let own = begun() + "    products: [MATCH * WITH PRODUCTS FROM image, DISALLOW *]\n";
    assert_eq!(errors(&own), "");
}

/// What is no rule: names that stand twice, the fields of the JSON, the time; beside it, what is hardly meant in the rest.
#[test]
fn lint_finds_what_is_wrong_beside_the_rules() {
    let value = rendered(&begun()).unwrap().to_value();
    let errors = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = serde_json::Value::from(&value);
        change(&mut json);
        let (_directory, path) = stored(&json.to_string());
        let findings = open(&path, None, now()).unwrap().lint(now());
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        errors.map(|finding| format!("{}: {}", finding.place, finding.message)).collect::<Vec<_>>()
    };
    assert_eq!(errors(&|_| {}), Vec::<String>::new());
    let all = errors(&|json| {
        json["steps"][0]["expected_predicates"] = serde_json::json!([]);
        json["steps"][1]["pubkeys"] = serde_json::json!(["ab"]);
        json["steps"][1]["expected_products"] = serde_json::json!([["ALLOW", "src/**"], ["DISALLOW", 1], []]);
        json["inspect"][0]["run"] = "sh".into();
        json["expires"] = "tomorrow".into();
    });
    let wanted = [
        r#"step "build": products: DISALLOW 1: a rule with an element that is not a string"#,
        r#"step "build": products: []: an empty rule"#,
        r#"step "fetch": the field "expected_predicates" is not supported"#,
        r#"step "build": the key "ab" of its pubkeys is not among the layout's keys"#,
        r#"inspection "image": the field run is not a list"#,
    ];
    assert_eq!(all, wanted);
    assert_eq!(
        errors(&|json| json["expires"] = "tomorrow".into()),
        [r#"layout: the layout's expires is "tomorrow", not a time such as 2030-01-31T12:00:00Z"#]
    );
    assert_eq!(
        errors(&|json| json["steps"] = serde_json::json!([])).first().unwrap(),
        r#"inspection "image": materials: MATCH oci:registry.example.com/shop/api WITH PRODUCTS FROM build: "build" is no step or inspection"#
    );
    let twice = errors(&|json| {
        json["steps"][0]["name"] = "build".into();
        json["inspect"][0]["name"] = "build".into();
        json["steps"][1]["expected_materials"] = serde_json::json!([["ALLOW", "src/**"], ["DISALLOW", "*"]]);
    });
    assert_eq!(twice[0], r#"layout: two steps or inspections are named "build""#);
    let nameless = errors(&|json| {
        json["steps"][0].as_object_mut().unwrap().remove("name");
        json["steps"][1]["name"] = "".into();
    });
    assert!(!nameless.iter().any(|error| error.contains("are named")), "{nameless:?}");
    assert_eq!(
        nameless.iter().filter(|error| error.contains("name is missing") || error.contains("is empty")).count(),
        2
    );
    // Open rules are judged by as they stand there, where the rest can be read at all.
    let open = errors(&|json| {
        json["steps"][1]["threshold"] = 2.into();
        json["steps"][1]["expected_materials"] = serde_json::json!([["ALLOW", "src/**"], ["DISALLOW", "*"]]);
    });
    assert_eq!(open[0], r#"step "build": the threshold is 2, and it has 1 distinct keys"#);
    assert!(open[1].starts_with(r#"step "build": materials: ALLOW src/**: "#), "{open:?}");
    assert_eq!(open.len(), 2);
}

/// A template is not wrong for its age: the layout of it is.
#[test]
fn lint_finds_an_expired_template() {
    let old = begun().replacen("expires: 90d", "expires: 2020-01-01T00:00:00Z", 1);
    assert_eq!(errors(&old), "error: expires: 2020-01-01T00:00:00Z has passed");
    assert_eq!(errors(&old.replacen("2020", "2030", 1)), "");
}

/// What is no layout is not one with faults.
#[test]
fn what_is_no_layout_is_not_linted() {
    let refused = |text: &str| {
        let (_directory, path) = stored(text);
        format!("{:#}", open(&path, None, now()).unwrap_err())
    };
    assert!(refused(r#"{"_type": "link", "name": "build"}"#).contains("its _type is not \"layout\""));
    assert!(refused(r#"{"_type": "layout""#).contains("layout.yaml"));
    assert!(refused(r#"{"signatures": [], "signed": {"_type": "link"}}"#).contains("its _type is not \"layout\""));
    assert!(refused("threshold: 1\n").contains("unknown field"));
    let (_directory, path) = stored(r#"{"_type": "layout"}"#);
    assert!(!open(&path, None, now()).unwrap().lint(now()).is_empty());
}

#[test]
fn rules_may_be_lists_of_words() {
    let text = begun().replacen("- ALLOW *", "- [ALLOW, \"a file\"]\n      - ALLOW *", 1);
    let layout = rendered(&text).unwrap();
    assert_eq!(layout.steps[0].expected_materials[0].words(), ["ALLOW", "a file"]);
}

/// R30.
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

/// R32.
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
