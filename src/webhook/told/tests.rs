use super::*;
use crate::{
    policy::{ExceptionUse, ImageDecision, PolicyDecision, RequirementDecision},
    webhook::review,
};
use serde_json::json;

const OWNER: &str = r#"{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-7d4","uid":"0f1e","controller":true}"#;

fn request(kind: &str, operation: &str, metadata: &str, dry_run: bool) -> Request {
    let body = format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u-1","kind":{{"group":"","version":"v1","kind":"{kind}"}},
        "namespace":"shop","operation":"{operation}","dryRun":{dry_run},"object":{{"apiVersion":"v1","kind":"{kind}","metadata":{metadata}}}}}}}"#
    );
    review::parse(body.as_bytes()).unwrap()
}

fn owned(owner: &str) -> Option<Regarding> {
    regarding(&request("Pod", "CREATE", &format!(r#"{{"ownerReferences":[{owner}]}}"#), false))
}

#[test]
fn a_pod_is_told_of_on_its_controller() {
    let found = owned(OWNER).unwrap();
    assert_eq!((found.api_version.as_str(), found.kind.as_str()), ("apps/v1", "ReplicaSet"));
    assert_eq!((found.namespace.as_str(), found.name.as_str(), found.uid.as_str()), ("shop", "web-7d4", "0f1e"));
    let second = owned(&format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","name":"c","uid":"1"}},{OWNER}"#)).unwrap();
    assert_eq!(second.kind, "ReplicaSet");
    // A Job of a CronJob too.
    let owner =
        r#"{"ownerReferences":[{"apiVersion":"batch/v1","kind":"CronJob","name":"c","uid":"1","controller":true}]}"#;
    assert_eq!(regarding(&request("Job", "CREATE", owner, false)).unwrap().kind, "CronJob");
}

#[test]
fn where_no_object_is_nothing_is_told() {
    let own = r#"{"name":"web","uid":"77"}"#;
    assert_eq!(regarding(&request("Pod", "CREATE", own, false)), None, "it may never come to be");
    assert_eq!(regarding(&request("Deployment", "CREATE", own, false)), None);
    let itself = regarding(&request("Deployment", "UPDATE", own, false)).unwrap();
    assert_eq!((itself.kind.as_str(), itself.name.as_str(), itself.uid.as_str()), ("Deployment", "web", "77"));
    let owned = format!(r#"{{"name":"web","uid":"77","ownerReferences":[{OWNER}]}}"#);
    assert_eq!(regarding(&request("Pod", "UPDATE", &owned, false)).unwrap().name, "web-7d4");
    assert_eq!(regarding(&request("ReplicaSet", "UPDATE", &owned, false)).unwrap().name, "web");
    assert_eq!(regarding(&request("Pod", "UPDATE", &owned, true)), None, "a dry run writes nothing");
    assert_eq!(regarding(&request("Pod", "DELETE", &owned, false)), None);
}

/// Each field wrong in turn, and only that one.
#[test]
fn an_owner_that_looks_like_none_is_none() {
    let whole: serde_json::Value = serde_json::from_str(OWNER).unwrap();
    let long = "x".repeat(400);
    for field in ["apiVersion", "kind", "name", "uid"] {
        for wrong in [json!(""), json!(7), json!("a\u{1b}[31m"), json!("a b"), json!("a\nb"), json!(long), json!(null)]
        {
            let mut owner = whole.clone();
            owner[field] = wrong.clone();
            assert_eq!(owned(&owner.to_string()), None, "{field}: {wrong}");
        }
    }
    for wrong in [json!(false), json!("true"), json!(null)] {
        let mut owner = whole.clone();
        owner["controller"] = wrong;
        assert_eq!(owned(&owner.to_string()), None, "{owner}");
    }
    assert_eq!(regarding(&request("Pod", "CREATE", r#"{"ownerReferences":"web"}"#, false)), None);
}

fn policy(name: &str, mode: Mode, unmet: Option<Reason>) -> PolicyDecision {
    let requirement = RequirementDecision {
        name: "released".into(),
        met: unmet.is_none(),
        class: unmet.map(Reason::class),
        reason: unmet,
        message: unmet.map(|_| "no cosign signature by \"release\"".into()),
        ..RequirementDecision::default()
    };
    let policy = format!("ClusterImagePolicy/{name}");
    PolicyDecision { policy, mode, met: unmet.is_none(), requirements: vec![requirement] }
}

fn decided(policies: Vec<PolicyDecision>, exceptions: Vec<ExceptionUse>) -> (Outcome, bool) {
    let denied = policies.iter().any(|policy| !policy.met && policy.mode == Mode::Enforce);
    let image = ImageDecision {
        field: "spec.containers[0].image".into(),
        name: "api".into(),
        reference: "registry.example.com/shop/api:1".into(),
        digest: Some(format!("sha256:{:064}", 1)),
        policies,
        fault: None,
        denied,
    };
    let decision = Decision {
        api_version: "tidewaiter.dev/v1alpha1",
        kind: "Decision",
        allowed: !denied,
        images: vec![image],
        warnings: Vec::new(),
        exceptions,
        policy_hash: "sha256:1".into(),
        decided_at: "2026-11-23T12:00:00Z".into(),
        namespace: "shop".into(),
    };
    (Outcome::Decided(decision), !denied)
}

fn told((outcome, allowed): (Outcome, bool)) -> Vec<Told> {
    of(&owned(OWNER).unwrap(), Ok(&outcome), allowed)
}

#[test]
fn a_denial_says_who_what_why_and_the_reason_in_one_line() {
    let all = told(decided(vec![policy("shop", Mode::Enforce, Some(Reason::NoSignature))], vec![]));
    let [one] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(
        (one.what, one.what.kind(), one.reason, one.once),
        (What::ImageDenied, "Warning", Some(Reason::NoSignature), false)
    );
    let start = "denied by ClusterImagePolicy \"shop\": spec.containers[0] \"api\" registry.example.com/shop/api";
    assert!(one.note.starts_with(start), "{}", one.note);
    assert!(one.note.ends_with("released: missing: no cosign signature by \"release\" [no_signature]"), "{}", one.note);
}

#[test]
fn what_is_not_enforced_is_told_and_in_mode_audit_once() {
    for (mode, once) in [(Mode::Warn, false), (Mode::Audit, true)] {
        let all = told(decided(vec![policy("shop", mode, Some(Reason::NoLayout))], vec![]));
        let [one] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((one.what, one.reason, one.once), (What::PolicyUnmet, Some(Reason::NoLayout), once));
        assert!(one.note.contains(&format!("\"shop\" ({mode:?}) would deny spec.containers[0]")), "{}", one.note);
        assert!(one.note.ends_with("[no_layout]"), "{}", one.note);
    }
    let both = vec![
        policy("a", Mode::Audit, Some(Reason::NoLayout)),
        policy("b", Mode::Warn, Some(Reason::NoLayout)),
        policy("c", Mode::Audit, Some(Reason::RuleViolation)),
    ];
    let all = told(decided(both, vec![]));
    let found: Vec<_> = all.iter().map(|it| (it.reason.unwrap(), it.once)).collect();
    assert_eq!(found, [(Reason::RuleViolation, true), (Reason::NoLayout, false)]);
    assert!(all[1].note.ends_with("[no_layout], and 1 more"), "{}", all[1].note);
}

#[test]
fn exceptions_are_told_used_or_ignored() {
    let used = |honoured| ExceptionUse {
        policy: "shop".into(),
        field: String::new(),
        honoured,
        message: "until 2026-12-01, \u{1b}[31m\"fire\"".into(),
    };
    let all = told(decided(vec![policy("shop", Mode::Enforce, None)], vec![used(true), used(false), used(false)]));
    let found: Vec<_> = all.iter().map(|it| (it.what, it.what.kind())).collect();
    assert_eq!(found, [(What::ExceptionUsed, "Normal"), (What::ExceptionIgnored, "Warning")]);
    assert!(all.iter().all(|it| it.note.contains(r"\u{1b}[31m")), "{all:?}");
}

#[test]
fn faults_are_told_as_they_were_answered_and_good_images_not_at_all() {
    let regarding = owned(OWNER).unwrap();
    let fault = Fault::new(Reason::UnsupportedField, format!("spec.bootImage {}", "\u{202e}".repeat(400)));
    let denied = of(&regarding, Err(&fault), false);
    assert_eq!((denied[0].what, denied[0].reason), (What::ImageDenied, Some(Reason::UnsupportedField)));
    assert!(denied[0].note.len() <= 1024 && denied[0].note.starts_with("denied by tidewaiter: spec.bootImage"));
    for admitted in [of(&regarding, Err(&fault), true), of(&regarding, Ok(&Outcome::Watched(fault.clone())), true)] {
        assert_eq!((admitted[0].what, admitted[0].once), (What::PolicyUnmet, true));
    }
    assert_eq!(of(&regarding, Ok(&Outcome::Nothing), true), []);
    assert_eq!(told(decided(vec![policy("shop", Mode::Enforce, None)], vec![])), []);
}
