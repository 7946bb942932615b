use super::*;
use crate::{
    policy::Unmatched,
    webhook::{config::Directory, policies::Settings},
};
use axum::http::{Method, Request as HttpRequest};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::path::PathBuf;
use tower::ServiceExt;

mod bounds; // bodies, places, time
mod documents; // what policies are loaded
mod metrics;
mod reports; // verdicts for the store

/// A webhook over a directory of policy documents.
struct Site {
    folder: tempfile::TempDir,
    documents: Directory,
    webhook: Arc<Webhook>,
    stop: CancellationToken,
}

/// Everything of registry.example.com must be pinned and signed: an unpinned image is denied without a packet.
fn shop() -> String {
    let key = rcgen::KeyPair::generate().unwrap().public_key_pem();
    let trust = json!({
        "apiVersion": "tidewaiter.dev/v1alpha1", "kind": "TrustRoot", "metadata": { "name": "release-keys" },
        "spec": { "keys": [{ "name": "ci", "pem": key }] },
    });
    format!("{trust}\n---\n{}", policy())
}

fn policy() -> Value {
    json!({
        "apiVersion": "tidewaiter.dev/v1alpha1", "kind": "ClusterImagePolicy", "metadata": { "name": "shop" },
        "spec": {
            "images": ["registry.example.com/**"], "mode": "Enforce", "digest": "Require",
            "require": { "all": [{ "name": "released", "signature": { "cosign": { "trust": "release-keys" } } }] },
        },
    })
}

fn site_with(policies: &str, change: impl FnOnce(&mut Settings), reviews_max: usize) -> Site {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.yaml"), policies).unwrap();
    let mut settings = Settings { unmatched: Unmatched::Warn, audit_only: false, store: None, docker_config: None };
    change(&mut settings);
    site_at(folder.path().into(), folder, settings, reviews_max)
}

fn site_at(path: PathBuf, folder: tempfile::TempDir, settings: Settings, reviews_max: usize) -> Site {
    let stop = CancellationToken::new();
    let documents = Directory::open(path, settings);
    let webhook = Webhook::new(documents.policies(), Arc::new(Metrics::new().unwrap()), reviews_max, stop.clone());
    Site { folder, documents, webhook, stop }
}

fn site() -> Site {
    site_with(&shop(), |_| {}, 8)
}

impl Site {
    async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> (StatusCode, String) {
        let request = HttpRequest::builder().method(method).uri(path).body(body.into()).unwrap();
        let response = self.webhook.router().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The response of a review that is answered.
    async fn ask(&self, path: &str, body: impl Into<Body>) -> Value {
        let (status, body) = self.send(Method::POST, path, body).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let review: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (review["apiVersion"].as_str(), review["kind"].as_str()),
            (Some("admission.k8s.io/v1"), Some("AdmissionReview"))
        );
        review["response"].clone()
    }

    async fn ready(&self) -> StatusCode {
        self.send(Method::GET, "/readyz", "").await.0
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn metrics(&self) -> String {
        let policies = &self.webhook.policies;
        self.webhook.metrics.render(policies, policies.cache(), None)
    }
}

fn review_of(operation: &str, kind: (&str, &str), object: Value) -> String {
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "u-1", "kind": { "group": kind.0, "version": "v1", "kind": kind.1 },
            "resource": { "group": kind.0, "version": "v1", "resource": "things" },
            "namespace": "shop", "name": "web", "operation": operation, "userInfo": { "username": "ann" }, "object": object,
        },
    })
    .to_string()
    // serde_json sorts keys; the API server writes the uid first.
    .replacen("\"request\":{", "\"request\":{\"uid\":\"u-1\",", 1)
    .replacen(",\"uid\":\"u-1\"", "", 1)
}

fn pod(image: &str) -> String {
    review_of("CREATE", ("", "Pod"), json!({ "spec": { "containers": [{ "name": "api", "image": image }] } }))
}

fn denied(response: &Value) -> &str {
    assert_eq!(response["allowed"], false, "{response}");
    assert_eq!(response["status"]["code"], 403);
    response["status"]["reason"].as_str().unwrap()
}

fn allowed(response: &Value) {
    assert_eq!(response["allowed"], true, "{response}");
}

#[tokio::test]
async fn an_image_of_the_policy_is_denied_and_another_is_not() {
    let site = site();
    let response = site.ask("/validate?timeout=10s", pod("registry.example.com/api:1")).await;
    assert_eq!((denied(&response), response["uid"].as_str()), ("image_not_pinned", Some("u-1")));
    assert_eq!(response["auditAnnotations"]["decision"], "denied");
    let response = site.ask("/validate?timeout=10s", pod("busybox:1")).await;
    allowed(&response);
    assert!(response["warnings"][0].as_str().unwrap().contains("busybox"), "{response}");
}

#[tokio::test]
async fn a_controller_is_denied_like_its_pod() {
    let template = json!({ "spec": { "containers": [{ "name": "api", "image": "registry.example.com/api:1" }] } });
    let deployment =
        review_of("UPDATE", ("apps", "Deployment"), json!({ "spec": { "replicas": 0, "template": template } }));
    assert_eq!(denied(&site().ask("/validate", deployment).await), "image_not_pinned");
}

#[tokio::test]
async fn delete_is_allowed_and_connect_is_not() {
    let site = site();
    allowed(&site.ask("/validate", review_of("DELETE", ("", "Pod"), Value::Null)).await);
    assert_eq!(
        denied(&site.ask("/validate", review_of("CONNECT", ("", "PodExecOptions"), json!({}))).await),
        "unsupported_resource"
    );
}

#[tokio::test]
async fn unknown_kinds_and_fields_are_denied() {
    let site = site();
    assert_eq!(
        denied(&site.ask("/validate", review_of("CREATE", ("x.example.com", "Rollout"), json!({}))).await),
        "unsupported_resource"
    );
    let spec = json!({ "spec": { "bootImage": "a", "containers": [{ "name": "api", "image": "busybox" }] } });
    assert_eq!(denied(&site.ask("/validate", review_of("CREATE", ("", "Pod"), spec)).await), "unsupported_field");
}

#[tokio::test]
async fn an_unknown_field_is_denied_only_where_something_is_enforced() {
    let spec = json!({ "spec": { "bootImage": "a", "containers": [{ "name": "api", "image": "busybox" }] } });
    let review = || review_of("CREATE", ("", "Pod"), spec.clone());
    assert_eq!(denied(&site().ask("/validate", review()).await), "unsupported_field");
    let response = site_with(&shop().replace("Enforce", "Warn"), |_| {}, 8).ask("/validate", review()).await;
    allowed(&response);
    assert!(response["warnings"][0].as_str().unwrap().contains("unsupported_field"), "{response}");
}

#[tokio::test]
async fn what_is_no_review_is_400_and_another_method_405() {
    let site = site();
    for path in ["/validate", "/mutate"] {
        assert_eq!(site.send(Method::POST, path, "hello").await.0, StatusCode::BAD_REQUEST);
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD] {
            assert_eq!(site.send(method, path, "").await.0, StatusCode::METHOD_NOT_ALLOWED);
        }
    }
}

#[tokio::test]
async fn a_malformed_review_is_answered_under_its_uid() {
    let site = site();
    let body = pod("busybox");
    for path in ["/validate", "/mutate"] {
        let response = site.ask(path, body[..body.len() - 1].to_owned()).await;
        assert_eq!((denied(&response), response["uid"].as_str()), ("review_malformed", Some("u-1")));
    }
}

#[tokio::test]
async fn a_pod_of_a_thousand_containers_is_not_looked_at_one_by_one() {
    let containers = |count: usize| {
        let one = |at: usize| json!({ "name": format!("c{at}"), "image": "busybox" });
        review_of("CREATE", ("", "Pod"), json!({ "spec": { "containers": (0..count).map(one).collect::<Vec<_>>() } }))
    };
    let site = site();
    allowed(&site.ask("/validate", containers(1_024)).await);
    assert_eq!(denied(&site.ask("/validate", containers(1_025)).await), "too_many_images");
    let watching = site_with(&shop().replace("Enforce", "Audit"), |_| {}, 8);
    allowed(&watching.ask("/validate", containers(1_025)).await);
}

#[tokio::test]
async fn draining_fails_readiness_and_still_answers() {
    let site = site();
    assert_eq!(site.ready().await, StatusCode::OK);
    site.stop.cancel();
    assert_eq!(site.ready().await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(site.send(Method::GET, "/healthz", "").await.0, StatusCode::OK);
    allowed(&site.ask("/validate", pod("busybox")).await);
}

#[tokio::test]
async fn audit_only_denies_nothing() {
    let site = site_with(&shop(), |settings| settings.audit_only = true, 8);
    let unpinned = site.ask("/validate", pod("registry.example.com/api:1")).await;
    allowed(&unpinned);
    let unknown = site.ask("/validate", review_of("CREATE", ("x.example.com", "Rollout"), json!({}))).await;
    allowed(&unknown);
    assert_eq!(unknown["auditAnnotations"]["reason"], "unsupported_resource");
}

#[tokio::test]
async fn mutate_leaves_alone_what_it_does_not_pin() {
    let site = site();
    for body in [
        pod("registry.example.com/api:1"), // Require, not Pin
        pod("busybox"),                    // no policy
        review_of("DELETE", ("", "Pod"), Value::Null),
        review_of("CREATE", ("x.example.com", "Rollout"), json!({})),
    ] {
        let response = site.ask("/mutate", body).await;
        allowed(&response);
        assert!(response.get("patch").is_none());
    }
}

#[tokio::test]
async fn mutate_pins_nothing_that_it_cannot_resolve() {
    // An address nobody may be asked at: resolving fails without a packet.
    let pin = shop().replace("Require", "Pin").replace("registry.example.com", "127.0.0.1:1");
    let site = site_with(&pin, |_| {}, 8);
    let response = site.ask("/mutate?timeout=2s", pod("127.0.0.1:1/api:1")).await;
    allowed(&response);
    assert!(response.get("patch").is_none());
    assert_eq!(denied(&site.ask("/validate?timeout=2s", pod("127.0.0.1:1/api:1")).await), "image_not_pinned");
}

#[tokio::test]
async fn a_panic_is_an_internal_error() {
    let site = site();
    let fault = site.webhook.caught(async { panic!("on purpose") }).await.map(|(): ()| ()).unwrap_err();
    assert_eq!(fault.reason, Reason::InternalError);
    assert!(site.metrics().contains("tidewaiter_panics_total 1"));

    let routes = guarded(Router::new().route(
        "/validate",
        post(|| async {
            if true {
                panic!("on purpose")
            }
        }),
    ));
    let request = HttpRequest::builder().method(Method::POST).uri("/validate").body(Body::empty()).unwrap();
    let response = routes.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(denied(&serde_json::from_slice::<Value>(&body).unwrap()["response"]), "internal_error");
}
