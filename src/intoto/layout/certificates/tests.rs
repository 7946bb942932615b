use super::*;
use crate::{
    intoto::Layout,
    json,
    key::{Scheme, SecretKey, x509::made},
    reason::Reason,
};
use serde_json::json;
use std::sync::LazyLock;

/// The PEM of an authority, made once.
static PEM: LazyLock<String> = LazyLock::new(|| {
    let key = SecretKey::generate(Scheme::EcdsaP256).unwrap().to_pem();
    made::certificate(&json!({"root": {"ca": true}}), "root", &|_| key.clone())
});

fn anything() -> serde_json::Value {
    json!({"common_name": "*", "dns_names": ["*"], "emails": ["*"], "organizations": ["*"], "roots": ["*"], "uris": ["*"]})
}

fn layout(members: serde_json::Value, constraints: serde_json::Value) -> Result<Layout, LayoutError> {
    let mut layout = json!({"_type": "layout", "expires": "2030-01-31T12:00:00Z", "readme": "", "keys": {}, "inspect": [],
        "steps": [{"_type": "step", "name": "build", "threshold": 3, "cert_constraints": constraints, "expected_command": [],
            "expected_materials": [], "expected_products": []}]});
    layout.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    Layout::from_value(&json::parse(layout.to_string().as_bytes(), &json::Limits::METADATA).unwrap())
}

fn listed(count: usize) -> serde_json::Value {
    let one = |at: usize| (format!("r{at}"), json!({"keyval": {"certificate": *PEM}}));
    json!({"rootcas": (0..count).map(one).collect::<serde_json::Map<_, _>>()})
}

#[test]
fn what_is_read_is_written_and_read_back() {
    let constraint = json!({"common_name": "Bob", "dns_names": ["b.example.com", "a.example.com"], "emails": [], "organizations": null,
        "roots": ["r0"], "uris": [""]});
    let mut both = listed(2);
    both["intermediatecas"] = json!({"i": {"keyid": "i", "keyval": {"certificate": *PEM, "public": ""}}});
    let read = layout(both, json!([constraint, anything()])).unwrap();
    assert_eq!(Layout::from_value(&read.to_value()).as_ref(), Ok(&read));
    let [first, second] = read.steps[0].cert_constraints.as_slice() else { panic!("two constraints") };
    assert_eq!(first.common_name, Allowed::Exactly(["Bob".to_owned()].into()));
    assert_eq!((&first.organizations, &first.uris), (&first.emails, &Allowed::Exactly(BTreeSet::new())));
    assert_eq!(
        first.to_string(),
        "a certificate under \"r0\" with common_name \"Bob\", dns_names \"a.example.com\" and \"b.example.com\""
    );
    assert_eq!((&second.common_name, &second.authorities), (&Allowed::Any, &Allowed::Any));
    assert_eq!(
        read.authorities.roots().iter().map(|(id, _, more)| (*id, more.len())).collect::<Vec<_>>(),
        [("r0", 1), ("r1", 1)]
    );

    let mut constraint = anything();
    constraint.as_object_mut().unwrap().remove("roots");
    constraint["trustBundleIds"] = json!(["b"]);
    let bundles = json!({"trustBundles": {"a": {"roots": []}, "b": {"bundleid": "b", "roots": [*PEM, *PEM], "intermediates": [*PEM]}}});
    let read = layout(bundles, json!([constraint])).unwrap();
    assert_eq!(Layout::from_value(&read.to_value()).as_ref(), Ok(&read));
    assert_eq!(
        read.authorities.roots().iter().map(|(id, _, more)| (*id, more.len())).collect::<Vec<_>>(),
        [("b", 1), ("b", 1)]
    );
}

#[test]
fn each_fault_has_its_name() {
    let of = |members, constraints| layout(members, constraints).unwrap_err();
    let step = || Place::Step("build".into());
    let without = |field: &str| {
        let mut constraint = anything();
        constraint.as_object_mut().unwrap().remove(field);
        json!([constraint])
    };
    assert_eq!(of(listed(1), without("roots")), LayoutError::Missing { at: step(), field: "roots" });
    assert_eq!(of(listed(1), json!(["*"])), LayoutError::Missing { at: step(), field: "roots" });
    assert!(matches!(of(listed(1), json!({})), LayoutError::Type { field: "cert_constraints", .. }));
    let mut words = anything();
    words["uris"] = json!("*");
    assert!(matches!(of(listed(1), json!([words])), LayoutError::Type { field: "uris", .. }));
    let mut both = anything();
    both["trustBundleIds"] = json!(["*"]);
    assert_eq!(of(listed(1), json!([both])), LayoutError::UnknownField { at: step(), field: "trustBundleIds".into() });
    let other = json!({"rootcas": {"r0": {"keyid": "r1", "keyval": {"certificate": *PEM}}}});
    assert_eq!(of(other, json!([anything()])), LayoutError::KeyId { key: "r0".into(), inner: "r1".into() });
    let old = json!({"rootcas": {"r0": {"keyval": {"public": *PEM}}}});
    let missing = LayoutError::Missing { at: Place::Authority("r0".into()), field: "keyval.certificate" };
    assert_eq!(of(old, json!([anything()])), missing, "as the ITE had it at first");
    let bundle = |bundle| of(json!({"trustBundles": {"b": bundle}}), json!([]));
    assert!(matches!(bundle(json!({"roots": [1]})), LayoutError::Type { field: "roots", .. }));
    assert!(matches!(bundle(json!({"roots": [], "roles": []})), LayoutError::UnknownField { .. }));
    assert!(matches!(bundle(json!({"roots": [], "bundleid": 1})), LayoutError::KeyId { .. }));
    assert_eq!(
        bundle(json!({"roots": [], "bundleid": "a"})),
        LayoutError::KeyId { key: "b".into(), inner: "a".into() }
    );
    assert!(matches!(bundle(json!([])), LayoutError::Missing { field: "roots", .. }));
    let two = format!("{}{}", *PEM, *PEM);
    let cause = crate::key::x509::CertificateError::NotPem;
    assert_eq!(bundle(json!({"roots": [two]})), LayoutError::Authority { at: Place::Authority("b".into()), cause });
}

#[test]
fn authorities_and_constraints_are_counted() {
    assert!(layout(listed(32), json!([anything()])).is_ok());
    let error = layout(listed(33), json!([anything()])).unwrap_err();
    assert_eq!(
        (error.reason(), error.to_string().as_str()),
        (Reason::LayoutTooComplex, "layout: 33 authorities, more than 32")
    );
    assert!(layout(listed(1), vec![anything(); 64].into()).is_ok());
    let error = layout(listed(1), vec![anything(); 65].into()).unwrap_err();
    assert_eq!(error.to_string(), "step \"build\": 65 cert_constraints, more than 64");
}

#[test]
fn a_threshold_without_constraints_counts_keys() {
    assert!(layout(listed(1), json!([anything()])).is_ok(), "3 of whoever comes");
    assert!(matches!(layout(listed(1), json!([])), Err(LayoutError::Missing { field: "pubkeys", .. })));
    let step = |constraints| {
        json!({"pubkeys": [], "steps": [{"_type": "step", "name": "build", "threshold": 0, "pubkeys": [],
        "cert_constraints": constraints, "expected_command": [], "expected_materials": [], "expected_products": []}]})
    };
    for constraints in [json!([]), json!([anything()])] {
        let mut members = listed(1);
        members["steps"] = step(constraints.clone())["steps"].clone();
        assert!(matches!(layout(members, json!([])), Err(LayoutError::Threshold { .. })), "{constraints}");
    }
}

#[test]
fn allowed_values_are_all_there_and_no_others() {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let exactly = |values: &[&str]| Allowed::Exactly(texts(values).into_iter().collect());
    for (allowed, found, fits) in [
        (Allowed::Any, &["x"][..], true),
        (Allowed::Any, &[], true),
        (exactly(&[]), &[], true),
        (exactly(&[]), &["x"], false),
        (exactly(&[]), &[""], false),
        (exactly(&["x"]), &[], false),
        (exactly(&["x"]), &["x"], true),
        (exactly(&["x"]), &["X"], false),
        (exactly(&["x"]), &["x", "y"], false),
        (exactly(&["x"]), &["x", "x"], false),
        (exactly(&["x", "y"]), &["y", "x"], true),
        (exactly(&["x", "y"]), &["x", "x"], false),
        (exactly(&["x", "y"]), &["x"], false),
    ] {
        assert_eq!(allowed.allows(&texts(found)), fits, "{allowed:?} {found:?}");
    }
}
