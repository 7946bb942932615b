use super::*;
use crate::policy::{ImageDecision, Mode, PolicyDecision, RequirementDecision};

fn review(request: &str) -> String {
    format!(r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{request}}}"#)
}

const POD: &str = r#"{"uid":"u-1","kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"subResource":"ephemeralcontainers","name":"web","namespace":"shop","operation":"UPDATE","userInfo":{"username":"ann"},"object":{"kind":"Pod"},"oldObject":null,"dryRun":true}"#;

fn denied(bytes: &[u8]) -> (String, Fault) {
    match parse(bytes) {
        Err(Unreadable::Denied { uid, fault }) => (uid, fault),
        other => panic!("not denied: {other:?}"),
    }
}

fn answer(answer: &Answer) -> serde_json::Value {
    serde_json::from_slice(&respond("u-1", answer)).unwrap()
}

#[test]
fn every_field_of_a_request() {
    let request = parse(review(POD).as_bytes()).unwrap();
    assert_eq!(request.uid, "u-1");
    assert_eq!(request.kind, Gvk { group: String::new(), version: "v1".into(), kind: "Pod".into() });
    assert_eq!(request.resource.kind, "pods");
    assert_eq!(request.sub_resource.as_deref(), Some("ephemeralcontainers"));
    assert_eq!((request.namespace.as_str(), request.name.as_str(), request.user.as_str()), ("shop", "web", "ann"));
    assert_eq!(request.operation, Operation::Update);
    assert!(request.dry_run);
    assert!(request.object.is_some() && request.old_object.is_none());
}

#[test]
fn a_field_of_another_type_is_malformed_under_its_uid() {
    for (right, wrong, says) in [
        (r#""operation":"UPDATE""#, r#""operation":7"#, "request.operation"),
        (r#""operation":"UPDATE","#, "", "request.operation"),
        (r#""dryRun":true"#, r#""dryRun":"yes""#, "request.dryRun"),
        (r#""namespace":"shop""#, r#""namespace":["shop"]"#, "request.namespace"),
        (r#""object":{"kind":"Pod"}"#, r#""object":"pod""#, "request.object"),
        (r#""version":"v1","kind":"Pod""#, r#""kind":"Pod""#, "request.kind.version"),
        (r#""subResource":"ephemeralcontainers""#, r#""subResource":1"#, "request.subResource"),
    ] {
        assert!(POD.contains(right), "{right}");
        let (uid, fault) = denied(review(&POD.replacen(right, wrong, 1)).as_bytes());
        assert_eq!((uid.as_str(), fault.reason), ("u-1", Reason::ReviewMalformed), "{wrong}");
        assert!(fault.message.contains(says), "{}", fault.message);
    }
}

#[test]
fn another_version_is_malformed() {
    let body = review(POD).replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1");
    let (uid, fault) = denied(body.as_bytes());
    assert_eq!((uid.as_str(), fault.reason), ("u-1", Reason::ReviewMalformed));
}

#[test]
fn broken_json_is_answered_under_the_uid_it_shows() {
    let body = review(POD);
    let (uid, fault) = denied(&body.as_bytes()[..body.len() - 2]);
    assert_eq!((uid.as_str(), fault.reason), ("u-1", Reason::ReviewMalformed));
}

#[test]
fn a_key_given_twice_is_malformed() {
    let body = review(&POD.replacen(r#""object""#, r#""object":{},"object""#, 1));
    assert_eq!(denied(body.as_bytes()).1.reason, Reason::ReviewMalformed);
}

#[test]
fn what_is_no_review_is_none() {
    for body in [
        "",
        "hello",
        "{}",
        "[]",
        r#"{"kind":"Pod"}"#,
        r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#,
    ] {
        assert!(matches!(parse(body.as_bytes()), Err(Unreadable::NotAReview(_))), "{body}");
    }
}

#[test]
fn a_review_of_another_kind_with_a_uid_is_answered() {
    let body = review(POD).replace("\"AdmissionReview\"", "\"ConversionReview\"");
    assert_eq!(denied(body.as_bytes()).1.reason, Reason::ReviewMalformed);
}

#[test]
fn eight_mebibytes_are_judged_and_one_byte_more_is_not() {
    let padded = |bytes: usize| {
        let body = review(&POD.replacen(r#"{"kind":"Pod"}"#, r#"{"kind":"Pod","pad":"PAD"}"#, 1));
        let pad = bytes - (body.len() - 3);
        body.replacen("PAD", &"x".repeat(pad), 1)
    };
    let most = padded(8 << 20);
    assert_eq!(most.len(), 8 << 20);
    assert_eq!(parse(most.as_bytes()).unwrap().uid, "u-1");
    let (uid, fault) = denied(padded((8 << 20) + 1).as_bytes());
    assert_eq!((uid.as_str(), fault.reason), ("u-1", Reason::ReviewTooLarge));
}

#[test]
fn the_uid_is_looked_for_in_the_head_alone() {
    assert_eq!(peek_uid(br#"{"request": {"uid": "705ab4f5-6393"#), None); // cut within
    assert_eq!(peek_uid(br#"{"request": {"uid": "705ab4f5-6393","#).as_deref(), Some("705ab4f5-6393"));
    assert_eq!(peek_uid(br#"{"request":{"uid":"a\"b"}}"#), None);
    assert_eq!(peek_uid(br#"{"request":{"uid":""}}"#), None);
    assert_eq!(peek_uid(br#"{"uid":"u-1"}"#), None);
    let late = format!(r#"{{"request":{{"pad":"{}","uid":"u-1"}}}}"#, "x".repeat(HEAD_BYTES));
    assert_eq!(peek_uid(late.as_bytes()), None);
}

#[test]
fn allowed_says_uid_and_allowed() {
    let json = answer(&Answer::allowed());
    assert_eq!(json["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(json["kind"], "AdmissionReview");
    assert_eq!(json["response"]["uid"], "u-1");
    assert_eq!(json["response"]["allowed"], true);
    assert_eq!(json["response"]["auditAnnotations"]["decision"], "allowed");
    assert!(json["response"].get("status").is_none());
    assert!(json["response"].get("patch").is_none());
}

#[test]
fn denied_says_code_reason_and_message() {
    let json = answer(&Answer::refused(&Fault::new(Reason::UnsupportedField, "spec.bootImage is new to us")));
    assert_eq!(json["response"]["allowed"], false);
    assert_eq!(json["response"]["status"]["code"], 403);
    assert_eq!(json["response"]["status"]["reason"], "unsupported_field");
    assert_eq!(json["response"]["status"]["message"], "spec.bootImage is new to us");
    assert_eq!(json["response"]["auditAnnotations"]["reason"], "unsupported_field");
}

#[test]
fn a_denial_without_a_reason_is_a_defect_and_stays_a_denial() {
    let json = answer(&Answer::default());
    assert_eq!(json["response"]["allowed"], false);
    assert_eq!(json["response"]["status"]["reason"], "internal_error");
}

#[test]
fn watched_admits_and_says_why_it_would_not() {
    let json = answer(&Answer::watched(&Fault::new(Reason::UnsupportedField, "spec.bootImage")));
    assert_eq!(json["response"]["allowed"], true);
    assert_eq!(json["response"]["warnings"][0], "not enforced: spec.bootImage [unsupported_field]");
}

fn warnings(warnings: Vec<String>) -> Vec<String> {
    let json = answer(&Answer { warnings, ..Answer::allowed() });
    serde_json::from_value(json["response"]["warnings"].clone()).unwrap()
}

#[test]
fn warnings_are_short_and_printable_and_all_of_them_fit() {
    let told = warnings((0..20).map(|index| format!("{index}\u{1b}[31m{}", "é".repeat(300))).collect());
    assert!(told.iter().all(|it| it.len() <= 256 && it.bytes().all(|byte| (b' '..=b'~').contains(&byte))), "{told:?}");
    assert!(told.iter().map(String::len).sum::<usize>() <= 4096);
    assert!(told[0].starts_with("0\\u{1b}[31m") && told[0].len() == 256, "{}", told[0]);
    assert_eq!(told.len(), 16, "fifteen, and how many are not there");
    assert!(told[15].starts_with("5 more warnings are left out"), "{}", told[15]);
}

#[test]
fn warnings_that_just_fit_are_all_there() {
    let of = |count: usize, chars: usize| (0..count).map(|at| format!("{at:0chars$}")).collect::<Vec<_>>();
    assert_eq!(warnings(of(16, 256)), of(16, 256));
    let mut longer = of(16, 256);
    longer.push("x".into());
    let told = warnings(longer);
    assert!(told.last().unwrap().starts_with("2 more warnings"), "{told:?}");
    assert_eq!(warnings(of(64, 64)), of(64, 64));
}

#[test]
fn equal_warnings_are_one() {
    assert_eq!(warnings(vec!["a".into(), "b".into(), "a".into()]), ["a", "b"]);
}

#[test]
fn a_message_is_at_most_a_kibibyte_of_printable_lines() {
    let why = format!("first\nsecond \u{202e}\u{1b}]0;{}", "x".repeat(4096));
    let json = answer(&Answer::refused(&Fault::new(Reason::RuleViolation, why)));
    let message = json["response"]["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("first\nsecond \\u{202e}\\u{1b}]0;x") && message.len() == 1024 && message.ends_with("...")
    );
}

#[test]
fn a_patch_goes_with_an_allowance_only() {
    let patch = vec![serde_json::json!({"op": "replace", "path": "/spec/containers/0/image", "value": "a@sha256:b"})];
    let json = answer(&Answer { patch: patch.clone(), ..Answer::allowed() });
    assert_eq!(json["response"]["patchType"], "JSONPatch");
    let text = base64::engine::general_purpose::STANDARD.decode(json["response"]["patch"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&text).unwrap(), serde_json::Value::from(patch.clone()));
    let refused = Answer::refused(&Fault::new(Reason::ReviewMalformed, "no"));
    assert!(answer(&Answer { patch, ..refused })["response"].get("patch").is_none());
}

fn policy(name: &str, mode: Mode, unmet: Option<Reason>) -> PolicyDecision {
    let requirement = RequirementDecision {
        name: "released".into(),
        met: unmet.is_none(),
        class: unmet.map(Reason::class),
        reason: unmet,
        message: unmet.map(|_| "no cosign signature".into()),
        ..RequirementDecision::default()
    };
    let policy = format!("ClusterImagePolicy/{name}");
    PolicyDecision { policy, mode, met: unmet.is_none(), requirements: vec![requirement] }
}

fn image(index: usize, policies: Vec<PolicyDecision>) -> ImageDecision {
    ImageDecision {
        field: format!("spec.containers[{index}].image"),
        name: "api".into(),
        reference: "registry.example.com/shop/api:1".into(),
        digest: Some(format!("sha256:{index:064}")),
        denied: policies.iter().any(|policy| !policy.met && policy.mode == Mode::Enforce),
        policies,
        fault: None,
    }
}

fn decision(images: Vec<ImageDecision>) -> Decision {
    Decision {
        api_version: "tidewaiter.dev/v1alpha1",
        kind: "Decision",
        allowed: images.iter().all(|image| !image.denied),
        images,
        warnings: Vec::new(),
        exceptions: Vec::new(),
        policy_hash: "sha256:1".into(),
        decided_at: "2026-11-23T12:00:00Z".into(),
        namespace: "shop".into(),
    }
}

#[test]
fn a_decision_is_annotated_and_bounded() {
    let policies =
        || vec![policy("shop", Mode::Enforce, Some(Reason::NoSignature)), policy("base", Mode::Enforce, None)];
    let json = answer(&Answer::of(&decision((0..90).map(|index| image(index, policies())).collect())));
    let audit = &json["response"]["auditAnnotations"];
    assert_eq!(audit["decision"], "denied");
    assert_eq!(audit["reason"], "no_signature");
    assert_eq!(audit["policies"], "ClusterImagePolicy/base=met; ClusterImagePolicy/shop=unmet");
    assert!(audit.get("exceptions").is_none() && audit.get("would-deny").is_none());
    let digests = audit["digests"].as_str().unwrap();
    let (whole, more) = digests.split_once("; and ").unwrap();
    assert!(digests.len() <= 1024 && whole.split("; ").all(|it| it.len() == "sha256:".len() + 64), "{digests}");
    assert_eq!(more, format!("{} more", 90 - whole.split("; ").count()));
}

#[test]
fn what_is_not_enforced_can_be_found_in_the_audit_log() {
    let admitted = decision(vec![
        image(0, vec![policy("shop", Mode::Audit, Some(Reason::RuleViolation)), policy("base", Mode::Warn, None)]),
        image(1, vec![policy("base", Mode::Warn, Some(Reason::NoSignature))]),
        ImageDecision { fault: Some(Fault::new(Reason::ImageRefInvalid, "no").into()), ..image(2, vec![]) },
    ]);
    let audit = Answer::of(&admitted).audit;
    assert_eq!(audit["decision"], "allowed");
    let told = "ClusterImagePolicy/base=no_signature; ClusterImagePolicy/shop=rule_violation; image_ref_invalid";
    assert_eq!(audit["would-deny"], told);
    assert!(!audit.contains_key("reason"), "it was not denied");
    // What cannot be resolved is the image's own fault, under every policy that selects it.
    let unresolved = PolicyDecision { requirements: vec![], met: false, ..policy("shop", Mode::Audit, None) };
    let fault = Some(Fault::new(Reason::RegistryTimeout, "no answer").into());
    let unresolved = decision(vec![ImageDecision { fault, ..image(0, vec![unresolved]) }]);
    assert_eq!(Answer::of(&unresolved).audit["would-deny"], "ClusterImagePolicy/shop=registry_timeout");
    let watched = Answer::watched(&Fault::new(Reason::UnsupportedField, "spec.bootImage"));
    assert_eq!(watched.audit["would-deny"], "unsupported_field");
    assert!(
        !Answer::of(&decision(vec![image(0, vec![policy("shop", Mode::Enforce, None)])]))
            .audit
            .contains_key("would-deny")
    );
}

/// The API server drops an annotation whose key is no qualified name, and a whole audit event above 100 KiB.
#[test]
fn every_annotation_is_one_the_api_server_writes() {
    let worst = (0..100).map(|index| {
        let name = |kind: &str| format!("{kind}{index}{}", "\u{202e}".repeat(200));
        let policies = vec![
            policy(&name("audit"), Mode::Audit, Some(Reason::RuleViolation)),
            policy(&name("enforce"), Mode::Enforce, Some(Reason::NoSignature)),
        ];
        image(index, policies)
    });
    let mut worst = decision(worst.collect());
    let used = |index| crate::policy::ExceptionUse {
        policy: format!("p{index}"),
        field: String::new(),
        honoured: true,
        message: "\u{1b}".repeat(900),
    };
    worst.exceptions = (0..100).map(used).collect();
    let mut of_worst = Answer::of(&worst);
    of_worst.audit.insert("pinned", "7".into());
    let json = answer(&of_worst);
    let audit = json["response"]["auditAnnotations"].as_object().unwrap();
    assert_eq!(audit.len(), 8, "{:?}", audit.keys());
    for (key, value) in audit {
        let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let ends = [key.bytes().next(), key.bytes().last()];
        assert!(plain && key.len() <= 63 && ends.iter().flatten().all(u8::is_ascii_alphanumeric), "{key}");
        let value = value.as_str().unwrap();
        assert!(value.len() <= 1024 && value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{key}: {value}");
    }
    let whole = serde_json::to_string(audit).unwrap().len() + audit.len() * "validate.tidewaiter.dev/".len();
    assert!(whole < 100 * 1024 / 10, "{whole}");
}
