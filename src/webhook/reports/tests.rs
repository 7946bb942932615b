use super::*;
use crate::{
    policy::{FaultDecision, PolicyDecision, RequirementDecision},
    reason::Class,
};

fn requirement(reason: Option<Reason>, waived: bool) -> RequirementDecision {
    let met = reason.is_none();
    RequirementDecision {
        name: "r".into(),
        met,
        class: reason.map(Reason::class),
        reason,
        waived,
        ..Default::default()
    }
}

fn policy(name: &str, mode: Mode, requirements: Vec<RequirementDecision>) -> PolicyDecision {
    let met = requirements.iter().all(|it| it.met || it.waived);
    PolicyDecision { policy: format!("ClusterImagePolicy/{name}"), mode, met, requirements }
}

fn image(policies: Vec<PolicyDecision>, denied: bool) -> ImageDecision {
    ImageDecision {
        field: "spec.containers[0].image".into(),
        name: "c".into(),
        reference: "registry.example.com/shop/api:1".into(),
        digest: Some("sha256:00".into()),
        policies,
        fault: None,
        denied,
    }
}

fn decision(allowed: bool, images: Vec<ImageDecision>) -> Decision {
    Decision {
        api_version: "tidewaiter.dev/v1alpha1",
        kind: "Decision",
        allowed,
        images,
        warnings: vec![],
        exceptions: vec![],
        policy_hash: String::new(),
        decided_at: "2026-11-23T12:00:00Z".into(),
        namespace: "shop".into(),
    }
}

fn request(dry_run: bool) -> Request {
    let review = serde_json::json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "shop", "name": "api-1", "operation": "CREATE", "dryRun": dry_run, "object": {}, "userInfo": {"username": "u"}}});
    crate::webhook::review::parse(review.to_string().as_bytes()).unwrap()
}

fn words(decision: &Decision) -> Vec<(&'static str, Option<&'static str>, Option<String>)> {
    let verdicts = of(&"here".into(), &request(false), None, decision);
    verdicts.into_iter().map(|it| (it.decision, it.reason.map(Reason::as_str), it.policy)).collect()
}

#[test]
fn the_strictest_policy_that_is_not_met_says_why() {
    let unmet = || vec![requirement(Some(Reason::NoLayout), false), requirement(Some(Reason::RuleViolation), false)];
    let met = policy("met", Mode::Enforce, vec![requirement(None, false)]);
    let waived = policy("waived", Mode::Enforce, vec![requirement(Some(Reason::NoSignature), true)]);
    let (warns, records) = (policy("warns", Mode::Warn, unmet()), policy("records", Mode::Audit, unmet()));
    let all = decision(
        true,
        vec![
            image(vec![met.clone(), waived], false),
            image(vec![met.clone(), records.clone(), warns], false),
            image(vec![records], false),
        ],
    );
    let why = |word, policy: &str| (word, Some("rule_violation"), Some(format!("ClusterImagePolicy/{policy}")));
    assert_eq!(words(&all), [("allowed", None, None), why("warned", "warns"), why("audited", "records")]);

    // Of what is denied, what is wrong with it.
    let strict = policy("strict", Mode::Enforce, unmet());
    let denied = decision(false, vec![image(vec![met], false), image(vec![strict], true)]);
    assert_eq!(words(&denied), [why("denied", "strict")]);
}

#[test]
fn an_image_without_a_policy_has_a_verdict_only_where_something_is_wrong() {
    let fault = |reason: Reason| FaultDecision { class: Class::Invalid, reason, message: "m".into() };
    let settled = image(vec![], false);
    let mut unmatched = image(vec![], false);
    unmatched.fault = Some(fault(Reason::UnmatchedImage));
    let mut refused = image(vec![], true);
    refused.fault = Some(fault(Reason::ImageRefInvalid));
    assert_eq!(words(&decision(true, vec![settled.clone(), unmatched])), [("warned", Some("unmatched_image"), None)]);
    assert_eq!(words(&decision(false, vec![settled, refused])), [("denied", Some("image_ref_invalid"), None)]);
}

#[test]
fn the_owner_stands_for_its_pods() {
    let met = decision(true, vec![image(vec![policy("p", Mode::Enforce, vec![requirement(None, false)])], false)]);
    let owner = Regarding {
        api_version: "apps/v1".into(),
        kind: "ReplicaSet".into(),
        namespace: "shop".into(),
        name: "api".into(),
        uid: "u".into(),
    };
    let text = |regarding| serde_json::to_value(of(&"here".into(), &request(false), regarding, &met)).unwrap();
    assert_eq!(
        text(Some(&owner))[0],
        serde_json::json!({"cluster": "here", "namespace": "shop", "workload": {"kind": "ReplicaSet", "name": "api", "uid": "u"},
            "image": "registry.example.com/shop/api:1", "digest": "sha256:00", "decision": "allowed", "at": "2026-11-23T12:00:00Z"})
    );
    assert_eq!(text(None)[0]["workload"], serde_json::json!({"kind": "Pod", "name": "api-1", "uid": ""}));
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_and_nobody_waits() {
    let (reports, mut waiting) = Reports::new("here");
    let met = decision(true, vec![image(vec![policy("p", Mode::Enforce, vec![requirement(None, false)])], false)]);
    reports.tell(&request(true), None, &met);
    assert!(waiting.try_recv().is_err(), "a dry run decides nothing");
    for _ in 0..QUEUE_MAX + 7 {
        reports.tell(&request(false), None, &met);
    }
    assert_eq!(reports.counts().dropped.load(Relaxed), 7);
    assert_eq!(waiting.recv().await.map(|it| it.decision), Some("allowed"));
    // The task is gone: still no error.
    drop(waiting);
    reports.tell(&request(false), None, &met);
    assert_eq!(reports.counts().dropped.load(Relaxed), 8);
}
