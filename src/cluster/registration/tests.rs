use super::{
    desired::{Desired, parse},
    plan::{APPLIED, Patch, applied, differences, plan, trusts},
};
use serde_json::{Value, json};

const FILE: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: { name: tidewaiter }
webhooks:
- name: validate.tidewaiter.dev
  clientConfig: { service: { namespace: tidewaiter, name: tidewaiter, path: /validate } }
  rules: [{ apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods] }]
  failurePolicy: Fail
  sideEffects: NoneOnDryRun
  admissionReviewVersions: [v1]
- name: resources.tidewaiter.dev
  clientConfig: { service: { namespace: tidewaiter, name: tidewaiter, path: /resources } }
  rules: [{ apiGroups: [tidewaiter.dev], apiVersions: ["*"], operations: [CREATE], resources: ["*"] }]
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: { name: tidewaiter }
webhooks:
- name: pin.tidewaiter.dev
  clientConfig: { service: { namespace: tidewaiter, name: tidewaiter, path: /mutate, port: 8443 } }
  rules: [{ apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods] }]
  failurePolicy: Ignore
  sideEffects: NoneOnDryRun
  admissionReviewVersions: [v1]
"#;
const BUNDLE: &str = "old";
const NEW: &str = "new";

fn desired() -> Desired {
    parse(FILE).unwrap().remove(0)
}
fn encoded(bundle: &str) -> Value {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bundle).into()
}
/// The object after `desired` was applied with the bundle, with what an API server fills in.
fn live(desired: &Desired, bundle: &str) -> Value {
    let Some(Patch::Apply(mut body)) = plan(desired, &empty(), bundle) else { panic!("an empty object is filled") };
    body["metadata"]["resourceVersion"] = "8".into();
    for webhook in body["webhooks"].as_array_mut().unwrap() {
        webhook["timeoutSeconds"] = 10.into();
        webhook["clientConfig"]["service"]["port"] = 443.into();
        webhook["rules"][0]["scope"] = "*".into();
    }
    body
}
fn empty() -> Value {
    json!({ "metadata": { "name": "tidewaiter", "resourceVersion": "7" } })
}

#[test]
fn the_file_is_read_whole() {
    let all = parse(FILE).unwrap();
    assert_eq!(
        all.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["ValidatingWebhookConfiguration tidewaiter", "MutatingWebhookConfiguration tidewaiter"]
    );
    assert_eq!(all.iter().map(|one| one.service().unwrap().port).collect::<Vec<_>>(), [443, 8443]);
    assert_ne!(all[0].hash, all[1].hash);
    // The order of fields is no change, a field is.
    let other = FILE.replace("{ name: tidewaiter }", "{ name: other }");
    assert_eq!(parse(&other).unwrap()[0].hash, all[0].hash, "the hash is of the webhooks");
    assert_ne!(parse(&FILE.replacen("failurePolicy: Fail", "failurePolicy: Ignore", 1)).unwrap()[0].hash, all[0].hash);
}

#[test]
fn a_file_with_one_fault_is_refused_by_name() {
    let cases: [(&str, &str, &str); 13] = [
        ("apiVersion: admissionregistration.k8s.io/v1\nkind: Val", "apiVersion: v1\nkind: Val", "apiVersion"),
        ("kind: ValidatingWebhookConfiguration", "kind: Secret", "kind"),
        ("kind: MutatingWebhookConfiguration", "kind: ValidatingWebhookConfiguration", "a second"),
        ("metadata: { name: tidewaiter }\nwebhooks:\n- name: v", "metadata: {}\nwebhooks:\n- name: v", "metadata.name"),
        ("- name: validate.tidewaiter.dev", "- nome: validate.tidewaiter.dev", "name is missing"),
        ("- name: resources.tidewaiter.dev", "- name: validate.tidewaiter.dev", "a second validate.tidewaiter.dev"),
        (", path: /validate }", " }", "service.path"),
        (
            "clientConfig: { service: { namespace: tidewaiter, name: tidewaiter, path: /validate } }",
            "clientConfig: { url: \"https://x\" }",
            "service.namespace",
        ),
        ("path: /validate } }", "path: /validate }, caBundle: eA== }", "caBundle"),
        ("path: /validate } }", "path: /validate }, url: \"https://x\" }", "clientConfig.url"),
        ("  failurePolicy: Fail\n", "  objectSelector: {}\n", "objectSelector"),
        ("admissionReviewVersions: [v1]", "admissionReviewVersions: [v1beta1]", "admissionReviewVersions"),
        (
            "rules: [{ apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE], resources: [pods] }]",
            "rules: []",
            "rules",
        ),
    ];
    for (before, after, expected) in cases {
        assert!(FILE.contains(before), "{before}");
        let error = format!("{:#}", parse(&FILE.replacen(before, after, 1)).unwrap_err());
        assert!(error.contains(expected), "{after}: {error}");
    }
    assert!(parse("").is_err());
    assert!(parse(&format!("{FILE}\nwebhooks: []\n")).is_err(), "a key that is there twice");
}

#[test]
fn an_object_that_was_never_filled_is_filled_whole() {
    let desired = desired();
    let Some(Patch::Apply(body)) = plan(&desired, &empty(), BUNDLE) else { panic!() };
    assert_eq!(body["metadata"]["resourceVersion"], "7", "a write over another version is refused");
    assert_eq!(body["metadata"]["annotations"][APPLIED], *desired.hash);
    assert_eq!(body["webhooks"].as_array().unwrap().len(), 2);
    for (webhook, wanted) in body["webhooks"].as_array().unwrap().iter().zip(&desired.webhooks) {
        assert_eq!(webhook["clientConfig"]["caBundle"], encoded(BUNDLE));
        assert_eq!((&webhook["rules"], &webhook["failurePolicy"]), (&wanted["rules"], &wanted["failurePolicy"]));
    }
    assert!(!applied(&desired, &empty()));
    assert!(trusts(&desired, &empty(), BUNDLE), "what is not registered distrusts nothing");
    assert_eq!(differences(&desired, &empty()), [""; 0]);
}

#[test]
fn what_was_applied_is_left_alone() {
    let desired = desired();
    let live = live(&desired, BUNDLE);
    assert_eq!(plan(&desired, &live, BUNDLE), None);
    assert!(applied(&desired, &live) && trusts(&desired, &live, BUNDLE));
    assert_eq!(differences(&desired, &live), [""; 0], "what the API server fills in is no difference");
}

#[test]
fn break_glass_stays_and_is_named_while_the_bundle_is_kept_current() {
    let desired = desired();
    let mut live = live(&desired, BUNDLE);
    live["webhooks"][0]["failurePolicy"] = "Ignore".into();
    assert_eq!(plan(&desired, &live, BUNDLE), None);
    assert_eq!(
        differences(&desired, &live),
        [
            "ValidatingWebhookConfiguration tidewaiter: validate.tidewaiter.dev: failurePolicy is \"Ignore\", expected \"Fail\""
        ]
    );
    assert!(!trusts(&desired, &live, NEW));
    let Some(Patch::Trust(body)) = plan(&desired, &live, NEW) else { panic!() };
    let entry = |name: &str| json!({ "name": name, "clientConfig": { "caBundle": encoded(NEW) } });
    let entries = [entry("validate.tidewaiter.dev"), entry("resources.tidewaiter.dev")];
    assert_eq!(
        body,
        json!({ "metadata": { "resourceVersion": "8" }, "webhooks": entries }),
        "caBundle and nothing else"
    );
}

#[test]
fn an_entry_taken_out_by_hand_is_not_put_back() {
    let desired = desired();
    let mut live = live(&desired, BUNDLE);
    live["webhooks"].as_array_mut().unwrap().remove(0);
    assert_eq!(
        differences(&desired, &live),
        ["ValidatingWebhookConfiguration tidewaiter: validate.tidewaiter.dev is missing"]
    );
    assert_eq!(plan(&desired, &live, BUNDLE), None);
    let Some(Patch::Trust(body)) = plan(&desired, &live, NEW) else { panic!() };
    assert_eq!(body["webhooks"].as_array().unwrap().len(), 1);
}

#[test]
fn entries_of_others_are_not_touched() {
    let desired = desired();
    let mut live = live(&desired, BUNDLE);
    let stranger = json!({ "name": "x.example.com", "clientConfig": { "caBundle": encoded("theirs") } });
    live["webhooks"].as_array_mut().unwrap().push(stranger);
    assert!(trusts(&desired, &live, BUNDLE));
    assert_eq!(plan(&desired, &live, BUNDLE), None);
    let Some(Patch::Trust(body)) = plan(&desired, &live, NEW) else { panic!() };
    assert_eq!(body["webhooks"].as_array().unwrap().len(), 2);
}

#[test]
fn a_changed_registration_is_applied_over_break_glass() {
    let before = desired();
    let mut live = live(&before, BUNDLE);
    live["webhooks"][0]["failurePolicy"] = "Ignore".into();
    let after = parse(&FILE.replacen("operations: [CREATE]", "operations: [CREATE, UPDATE]", 1)).unwrap().remove(0);
    let Some(Patch::Apply(body)) = plan(&after, &live, BUNDLE) else { panic!() };
    assert_eq!(body["webhooks"][0]["failurePolicy"], "Fail");
    assert_eq!(body["metadata"]["annotations"][APPLIED], *after.hash);
    assert_eq!(differences(&after, &live), [""; 0], "it is about to be written");
}
