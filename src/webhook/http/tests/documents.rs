//! Policy documents that are missing, bad, or bad again.

use super::*;
use crate::{
    cluster::resources::{Broken, Kind},
    policy::PolicySet,
    webhook::policies::Snapshot,
};
use std::path::Path;

#[tokio::test]
async fn without_policies_nothing_is_ready_and_all_is_denied() {
    let site = site_with("kind: Nonsense", |_| {}, 8);
    assert_eq!(site.ready().await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(denied(&site.ask("/validate", pod("busybox")).await), "policy_invalid");
    allowed(&site.ask("/mutate", pod("busybox")).await);

    site.write("policy.yaml", &shop());
    assert_eq!(site.documents.reload(), Ok(true));
    assert_eq!(site.documents.reload(), Ok(false));
    assert_eq!(site.ready().await, StatusCode::OK);
    allowed(&site.ask("/validate", pod("busybox")).await);
}

#[tokio::test]
async fn a_policy_whose_trust_is_missing_is_no_trust_root() {
    let site = site_with(&policy().to_string(), |_| {}, 8);
    assert_eq!(site.ready().await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(denied(&site.ask("/validate", pod("busybox")).await), "no_trust_root");
}

#[tokio::test]
async fn an_empty_or_missing_directory_is_no_policy() {
    for below in ["nothing", ""] {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { unmatched: Unmatched::Warn, audit_only: false, store: None, docker_config: None };
        let site = site_at(folder.path().join(below), folder, settings, 8);
        assert_eq!(site.ready().await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(denied(&site.ask("/validate", pod("busybox")).await), "policy_invalid");
    }
}

#[tokio::test]
async fn a_bad_load_keeps_the_good_set() {
    let site = site();
    let loaded = site.webhook.policies.state();
    let bad: [&dyn Fn(&Path); 4] = [
        &|path| std::fs::write(path, "kind: [").unwrap(),
        &|path| std::fs::write(path, shop().replace("Enforce", "Enfoce")).unwrap(),
        &|path| std::fs::write(path, policy().to_string()).unwrap(), // its trust root is gone
        &|path| std::fs::remove_file(path).unwrap(),
    ];
    for (index, bad) in (1u64..).zip(bad) {
        bad(&site.folder.path().join("policy.yaml"));
        site.documents.reload().unwrap_err();
        let state = site.webhook.policies.state();
        assert_eq!((state.loaded, state.ok, state.errors), (loaded.loaded, false, index));
        assert_eq!(site.ready().await, StatusCode::OK);
        assert_eq!(denied(&site.ask("/validate", pod("registry.example.com/api:1")).await), "image_not_pinned");
    }
    assert!(site.metrics().contains("tidewaiter_policy_load_ok 0"));
    assert!(site.metrics().contains("tidewaiter_policy_load_errors_total 4"));
}

#[tokio::test]
async fn documents_are_yaml_and_json_and_nothing_else() {
    let site = site();
    site.write("notes.txt", "kind: [");
    site.write(".hidden.yaml", "kind: [");
    assert_eq!(site.documents.reload(), Ok(false));
    site.write("more.json", "kind: [");
    site.documents.reload().unwrap_err();
}

/// A policy set, and beside it a policy that cannot be read, of the cluster or of one namespace.
fn with_broken(namespace: Option<&str>, audit_only: bool) -> Arc<Webhook> {
    let settings = Settings { unmatched: Unmatched::Warn, audit_only, store: None, docker_config: None };
    let policies = Policies::none(settings.clone(), Fault::new(Reason::PoliciesUnknown, "not yet"));
    let set = PolicySet::compile(&[], Unmatched::Warn).unwrap();
    let broken = Broken {
        kind: if namespace.is_some() { Kind::ImagePolicy } else { Kind::ClusterImagePolicy },
        namespace: namespace.map(str::to_owned),
        name: "odd".into(),
        message: "spec.mode: no".into(),
    };
    let sources = settings.sources(Vec::new()).unwrap();
    policies.take(Ok(Snapshot::new(set, sources, Arc::clone(policies.cache()), vec![broken]))).unwrap();
    Webhook::new(Arc::new(policies), Arc::new(Metrics::new().unwrap()), 8, CancellationToken::new())
}

async fn ask(webhook: &Arc<Webhook>, path: &str, body: String) -> Value {
    let request = HttpRequest::builder().method(Method::POST).uri(path).body(Body::from(body)).unwrap();
    let body = webhook.router().oneshot(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice::<Value>(&body).unwrap()["response"].clone()
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_denies_what_is_let_in() {
    let webhook = with_broken(None, false);
    let response = ask(&webhook, "/validate", pod("busybox")).await;
    assert_eq!(denied(&response), "policy_invalid");
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains(r#"ClusterImagePolicy "odd" is in error: spec.mode: no"#), "{message}");
    allowed(&ask(&webhook, "/mutate", pod("busybox")).await);
    // What runs already goes on: nothing new comes in with it.
    let pinned = format!("registry.example.com/api@sha256:{}", "ab".repeat(32));
    let object = json!({ "spec": { "containers": [{ "name": "api", "image": pinned }] } });
    let mut update: Value = serde_json::from_str(&review_of("UPDATE", ("", "Pod"), object.clone())).unwrap();
    assert_eq!(denied(&ask(&webhook, "/validate", update.to_string()).await), "policy_invalid");
    update["request"]["oldObject"] = object;
    allowed(&ask(&webhook, "/validate", update.to_string()).await);
    allowed(&ask(&webhook, "/validate", review_of("DELETE", ("", "Pod"), Value::Null)).await);

    let webhook = with_broken(Some("shop"), false);
    assert_eq!(denied(&ask(&webhook, "/validate", pod("busybox")).await), "policy_invalid");
    allowed(&ask(&webhook, "/validate", pod("busybox").replace("\"shop\"", "\"shop-b\"")).await);

    let response = ask(&with_broken(None, true), "/validate", pod("busybox")).await;
    allowed(&response);
    assert_eq!(response["auditAnnotations"]["reason"], "policy_invalid");
}
