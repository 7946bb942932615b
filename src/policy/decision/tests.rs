//! Golden texts of the decision: JSON of design §11, the denial of design §7.

use super::*;

const DIGEST: &str = "sha256:3f9a5c1e0b7d2846f1a09c3e5d7b8a6f4c2e1d0b9a8f7e6d5c4b3a2918070605";

fn denied() -> Decision {
    let requirement = |name: &str, reason: Reason, message: &str| RequirementDecision {
        name: name.into(),
        class: Some(reason.class()),
        reason: Some(reason),
        message: Some(message.into()),
        ..Default::default()
    };
    Decision {
        api_version: "tidewaiter.dev/v1alpha1",
        kind: "Decision",
        allowed: false,
        images: vec![ImageDecision {
            field: "spec.containers[0].image".into(),
            name: "api".into(),
            reference: "registry.example.com/shop/api:1".into(),
            digest: Some(DIGEST.into()),
            policies: vec![PolicyDecision {
                policy: "ClusterImagePolicy/shop".into(),
                mode: Mode::Enforce,
                met: false,
                requirements: vec![
                    requirement("released", Reason::NoSignature, "no cosign signature by \"release-keys\""),
                    requirement(
                        "built-by-us",
                        Reason::RuleViolation,
                        "step \"build\": DISALLOW * left src/evil.c in the materials",
                    ),
                    RequirementDecision {
                        name: "scanned".into(),
                        met: true,
                        by: vec!["alice".into()],
                        ..Default::default()
                    },
                ],
            }],
            fault: None,
            denied: true,
        }],
        warnings: vec![],
        exceptions: vec![],
        policy_hash: "sha256:aa".into(),
        decided_at: "2026-11-23T12:00:00Z".into(),
        namespace: "default".into(),
    }
}

#[test]
fn the_denial_of_the_design() {
    let expected = format!(
        r#"denied by ClusterImagePolicy "shop"
  spec.containers[0] "api" registry.example.com/shop/api@sha256:3f9a5c1e0b7d...
    built-by-us: invalid: step "build": DISALLOW * left src/evil.c in the materials   [rule_violation]
    released: missing: no cosign signature by "release-keys"                          [no_signature]
  reproduce: tidewaiter verify registry.example.com/shop/api@{DIGEST} --policy shop --explain"#
    );
    assert_eq!(denied().message(), expected);
    assert_eq!((denied().exit_code(), denied().reason()), (1, Some(Reason::RuleViolation)));
    let elsewhere = Decision { namespace: "shop-prod".into(), ..denied() };
    assert_eq!(elsewhere.message(), format!("{expected} --namespace shop-prod"));
}

#[test]
fn the_json_of_the_design() {
    let expected = serde_json::json!({
        "apiVersion": "tidewaiter.dev/v1alpha1", "kind": "Decision", "allowed": false,
        "images": [{
            "field": "spec.containers[0].image", "reference": "registry.example.com/shop/api:1", "digest": DIGEST,
            "policies": [{
                "policy": "ClusterImagePolicy/shop", "mode": "Enforce", "met": false,
                "requirements": [
                    {"name": "released", "met": false, "class": "missing", "reason": "no_signature",
                     "message": "no cosign signature by \"release-keys\""},
                    {"name": "built-by-us", "met": false, "class": "invalid", "reason": "rule_violation",
                     "message": "step \"build\": DISALLOW * left src/evil.c in the materials"},
                    {"name": "scanned", "met": true, "by": ["alice"]}
                ]
            }]
        }],
        "warnings": [], "exceptions": [], "policyHash": "sha256:aa", "decidedAt": "2026-11-23T12:00:00Z"
    });
    assert_eq!(serde_json::to_value(denied()).unwrap(), expected);
}

#[test]
fn a_fault_of_the_image_itself_is_its_own() {
    let mut decision = denied();
    decision.images[0].policies.clear();
    decision.images[0].digest = None;
    decision.images[0].reference = "registry.example.com/shop/API; rm -rf ~".into();
    decision.images[0].fault = Some(FaultDecision {
        class: Class::Invalid,
        reason: Reason::ImageRefInvalid,
        message: "no image reference".into(),
    });
    assert_eq!(
        decision.message(),
        r#"denied by tidewaiter
  spec.containers[0] "api" registry.example.com/shop/API; rm -rf ~
    invalid: no image reference   [image_ref_invalid]
  reproduce: tidewaiter verify 'registry.example.com/shop/API; rm -rf ~' --policy DIR --explain"#
    );
    let json = serde_json::to_value(&decision).unwrap();
    assert_eq!(json["images"][0]["reason"], "image_ref_invalid");
    assert_eq!(json["images"][0]["digest"], serde_json::Value::Null);
}

#[test]
fn whatever_comes_in_what_goes_out_is_short_and_printable() {
    let mut decision = denied();
    let nasty = "\u{1b}[31m\n\r\u{202e}\u{7f}'$(x)`é".repeat(40);
    let image = &mut decision.images[0];
    image.name = nasty.clone();
    image.field = nasty.clone();
    image.reference = nasty.clone();
    image.policies[0].policy = format!("ClusterImagePolicy/{nasty}");
    for requirement in &mut image.policies[0].requirements {
        requirement.name = nasty.clone();
        requirement.message = Some(nasty.clone());
    }
    let image = decision.images[0].clone();
    decision.images = vec![image; 120];
    decision.namespace = nasty;
    let message = decision.message();
    assert!(message.len() <= message::DENIAL_MAX, "{}", message.len());
    assert!(message.chars().all(|c| c == '\n' || matches!(c, ' '..='~')), "{message}");
    assert!(message.contains("\\u{1b}") && message.contains("[rule_violation]"), "{message}");
    assert!(message.lines().last().unwrap().starts_with("  and 239 more"), "{message}");
    let explained = decision.explain();
    assert!(explained.chars().all(|c| c == '\n' || matches!(c, ' '..='~')));
    assert_eq!(message::warning(&"é".repeat(300)).len(), message::WARNING_MAX);
}

#[test]
fn the_first_cause_is_of_the_first_class() {
    let mut decision = denied();
    let mut first = decision.images[0].clone();
    first.policies[0].requirements.truncate(1);
    first.field = "spec.initContainers[0].image".into();
    decision.images.insert(0, first);
    assert_eq!(decision.reason(), Some(Reason::RuleViolation));
    let message = decision.message();
    assert!(message.find("containers[0]").unwrap() < message.find("initContainers[0]").unwrap(), "{message}");
    decision.images.pop();
    assert_eq!((decision.exit_code(), decision.reason()), (3, Some(Reason::NoSignature)));
    decision.images[0].policies[0].mode = Mode::Warn;
    assert_eq!(decision.reason(), Some(Reason::InternalError), "denied, and nothing says why");
    assert_eq!(decision.exit_code(), 1);
}

#[test]
fn the_explanation_tells_what_was_checked() {
    let mut decision = denied();
    decision.images[0].policies[0].requirements[2].details = ["a cosign signature".to_owned()].into();
    let text = decision.explain();
    for line in [
        "spec.containers[0] \"api\" registry.example.com/shop/api:1",
        "  ClusterImagePolicy \"shop\" (Enforce): not met: denies",
        "    released: missing: no cosign signature by \"release-keys\" [no_signature]",
        "    scanned: met by alice",
        "      a cosign signature",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
