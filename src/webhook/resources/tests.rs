use super::*;
use crate::webhook::review;
use serde_json::{Value, json};

fn request(operation: &str, object: Value, old: Value) -> Request {
    let (kind, name) = (object["kind"].clone(), object["metadata"]["name"].clone());
    let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "operation": operation, "name": name, "object": object, "oldObject": old,
        "kind": { "group": "tidewaiter.dev", "version": "v1alpha1", "kind": kind },
        "resource": { "group": "tidewaiter.dev", "version": "v1alpha1", "resource": "x" },
    }});
    review::parse(review.to_string().as_bytes()).unwrap()
}

fn document(kind: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "tidewaiter.dev/v1alpha1", "kind": kind, "metadata": { "name": name, "uid": "1" }, "spec": spec })
}

fn policy() -> Value {
    let requirement = json!({ "name": "released", "signature": { "cosign": { "trust": "release" } } });
    document(
        "ClusterImagePolicy",
        "shop",
        json!({ "images": ["r.example.com/**"], "require": { "all": [requirement] } }),
    )
}

fn asked(operation: &str, object: Value) -> Answer {
    let known = Known {
        trust_roots: ["release".into()].into(),
        registries: [("r.example.com".into(), "first".into())].into(),
        trusted: [("release".into(), "ClusterImagePolicy \"shop\"".into())].into(),
    };
    answer(&request(operation, object, Value::Null), &known)
}

#[test]
fn a_good_document_is_let_in_and_a_bad_one_is_refused_by_its_field() {
    assert_eq!(asked("CREATE", policy()), Answer::allowed());
    let mut bad = policy();
    bad["spec"]["images"] = json!(["r.example.com/**", "http://x"]);
    bad["spec"]["mode"] = json!("Maybe");
    let denial = asked("UPDATE", bad).denial.unwrap();
    assert_eq!(denial.0, Reason::PolicyInvalid);
    assert!(denial.1.starts_with("spec.mode: "), "{}", denial.1);
    let mut bad = policy();
    bad["spec"]["images"][0] = json!("http://x");
    let denial = asked("CREATE", bad).denial.unwrap();
    assert!(denial.1.starts_with("spec.images[0]: "), "{}", denial.1);
}

#[test]
fn what_another_document_may_mend_is_a_warning() {
    let mut lonely = policy();
    lonely["spec"]["require"]["all"][0]["signature"]["cosign"]["trust"] = json!("elsewhere");
    let answer = asked("CREATE", lonely);
    assert!(answer.allowed);
    assert!(answer.warnings[0].starts_with("TrustRoot \"elsewhere\" does not exist yet"), "{:?}", answer.warnings);
    assert!(asked("CREATE", document("TrustRoot", "empty", json!({}))).warnings[0].contains("no_trust_root"));
}

#[test]
fn a_host_has_one_document() {
    let config = |name: &str, host: &str| document("RegistryConfig", name, json!({ "host": host }));
    assert_eq!(asked("UPDATE", config("first", "r.example.com")), Answer::allowed());
    assert_eq!(asked("CREATE", config("second", "other.example.com")), Answer::allowed());
    let (reason, message) = asked("CREATE", config("second", "R.example.com:443")).denial.unwrap();
    assert_eq!(reason, Reason::PolicyInvalid);
    assert!(message.starts_with("spec.host: RegistryConfig \"first\""), "{message}");
}

#[test]
fn a_root_that_is_still_named_goes_with_a_warning() {
    let warned = asked("DELETE", document("TrustRoot", "release", json!({})));
    assert!(warned.allowed && warned.warnings[0].contains("ClusterImagePolicy \"shop\" names"), "{warned:?}");
    assert_eq!(asked("DELETE", document("TrustRoot", "other", json!({}))), Answer::allowed());
}

#[test]
fn clean_up_never_sticks() {
    let mut going = document("ClusterImagePolicy", "shop", json!({ "images": [] }));
    let old = going.clone();
    let refused = answer(&request("UPDATE", going.clone(), old.clone()), &Known::default());
    assert_eq!(refused.denial.unwrap().0, Reason::PolicyInvalid);
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(answer(&request("UPDATE", going.clone(), old), &Known::default()), Answer::allowed());
    // Not with another spec.
    let refused = answer(&request("UPDATE", going, policy()), &Known::default());
    assert_eq!(refused.denial.unwrap().0, Reason::PolicyInvalid);
}

#[test]
fn a_kind_or_version_that_is_not_ours_is_refused() {
    let mut other = request("CREATE", policy(), Value::Null);
    other.kind.version = "v9".into();
    assert_eq!(answer(&other, &Known::default()).denial.unwrap().0, Reason::UnsupportedResource);
    let chain = request("CREATE", document("Chain", "x", json!({})), Value::Null);
    assert_eq!(answer(&chain, &Known::default()).denial.unwrap().0, Reason::UnsupportedResource);
}
