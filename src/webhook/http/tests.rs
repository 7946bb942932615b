use super::*;
use crate::{
    cluster::{
        leader::Report,
        resources::{Broken, Kind},
    },
    policy::Unmatched,
    webhook::{config::Directory, policies::Settings},
};
use axum::http::{Method, Request as HttpRequest};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
};
use tower::ServiceExt;

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
async fn eight_mebibytes_are_judged_and_more_is_denied() {
    let site = site();
    let padded = |bytes: usize| {
        let pad = bytes - pod("busybox").len() - ",\"pad\":\"\"".len();
        pod("busybox").replacen("\"object\":{", &format!("\"object\":{{\"pad\":\"{}\",", "x".repeat(pad)), 1)
    };
    let most = padded(8 << 20);
    assert_eq!(most.len(), 8 << 20);
    allowed(&site.ask("/validate", most).await);
    for more in [(8 << 20) + 1, 20 << 20] {
        let response = site.ask("/validate", padded(more)).await;
        assert_eq!((denied(&response), response["uid"].as_str()), ("review_too_large", Some("u-1")));
    }
    // Announced by its length: not kept even in part.
    let body = padded(9 << 20);
    let request = HttpRequest::builder().method(Method::POST).uri("/validate").header("content-length", body.len());
    let response = site.webhook.router().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(denied(&serde_json::from_slice::<Value>(&body).unwrap()["response"]), "review_too_large");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_denied_in_time() {
    let head: Result<_, std::io::Error> = Ok(pod("busybox")[..300].to_owned());
    let stream = futures::StreamExt::chain(futures::stream::iter([head]), futures::stream::pending());
    let response = site().ask("/validate?timeout=0.02s", Body::from_stream(stream)).await;
    assert_eq!((denied(&response), response["uid"].as_str()), ("deadline_exceeded", Some("u-1")));
}

#[tokio::test]
async fn too_many_reviews_are_overloaded() {
    let site = site_with(&shop(), |_| {}, 0);
    let response = site.ask("/validate", pod("busybox")).await;
    assert_eq!((denied(&response), response["uid"].as_str()), ("overloaded", Some("u-1")));
    allowed(&site.ask("/mutate", pod("busybox")).await);
}

/// A registry that takes every connection and says nothing; `Require` and `Enforce` as in `shop`.
async fn silent_registry() -> (tokio::net::TcpListener, String, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let config = json!({
        "apiVersion": "tidewaiter.dev/v1alpha1", "kind": "RegistryConfig", "metadata": { "name": "silent" },
        "spec": { "host": host, "allowPrivate": true, "insecure": true },
    });
    let policies = format!("{}\n---\n{config}", shop().replace("registry.example.com", &host));
    (listener, host, policies)
}

#[tokio::test]
async fn a_review_has_its_place_until_it_is_judged() {
    let (listener, host, policies) = silent_registry().await;
    let site = site_with(&policies, |_| {}, 1);
    let waiting = site.ask("/validate?timeout=2s", pod(&format!("{host}/api@sha256:{}", "ab".repeat(32))));
    let second = async {
        let _asked = listener.accept().await.unwrap(); // the first is being judged
        site.ask("/validate", pod("busybox")).await
    };
    let (first, second) = futures::join!(waiting, second);
    assert_eq!(denied(&second), "overloaded");
    assert_eq!(first["allowed"], false);
    allowed(&site.ask("/validate", pod("busybox")).await);
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

#[tokio::test]
async fn metrics_have_closed_labels() {
    let site = site();
    site.ask("/validate", pod("registry.example.com/canary:1")).await;
    site.ask("/validate", pod("busybox")).await;
    let metrics = site.metrics();
    for series in [
        r#"tidewaiter_decisions_total{allowed="false",endpoint="validate",mode="enforce",reason="image_not_pinned"} 1"#,
        r#"tidewaiter_review_duration_seconds_count{endpoint="validate"} 2"#,
        "tidewaiter_reviews_in_flight 0",
        "tidewaiter_registry_requests_total 0",
        "tidewaiter_policy_load_ok 1",
    ] {
        assert!(metrics.contains(series), "{series} is not in\n{metrics}");
    }
    for canary in ["canary", "registry.example.com", "shop", "ann"] {
        assert!(!metrics.lines().any(|line| !line.starts_with('#') && line.contains(canary)), "{canary}\n{metrics}");
    }
}

/// Through the port that Prometheus asks: what the leader reports now, and nothing of it once another one leads.
#[tokio::test]
async fn what_the_leader_finds_is_a_gauge() {
    let mut site = site();
    let report = Arc::new(Report::default());
    Arc::get_mut(&mut site.webhook).unwrap().report = Some(Arc::clone(&report));
    let shown = async || {
        let request = HttpRequest::builder().uri("/metrics").body(Body::empty()).unwrap();
        let answer = site.webhook.metrics_router(None).oneshot(request).await.unwrap();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<usize>().ok());
        ["tidewaiter_leader ", "tidewaiter_registered ", "tidewaiter_registration_differences "].map(value)
    };
    assert_eq!(shown().await, [Some(0), Some(0), Some(0)]);
    report.leads.store(true, Relaxed);
    report.registered.store(true, Relaxed);
    report.differences.store(2, Relaxed);
    assert_eq!(shown().await, [Some(1), Some(1), Some(2)]);
    report.registered.store(false, Relaxed);
    assert_eq!(shown().await, [Some(1), Some(0), Some(2)]);
    report.leads.store(false, Relaxed);
    report.differences.store(0, Relaxed);
    assert_eq!(shown().await, [Some(0), Some(0), Some(0)]);
}

#[test]
fn the_time_to_answer_is_what_the_api_server_says_less_a_margin() {
    let seconds = |query| time_to_answer(query).as_secs_f64();
    assert_eq!(seconds(Some("timeout=10s")), 8.5);
    assert_eq!(seconds(Some("a=b&timeout=5s")), 3.5);
    assert_eq!(seconds(Some("timeout=2s")), 1.0);
    assert_eq!(seconds(Some("timeout=9999s")), 28.5);
    for nonsense in [
        None,
        Some(""),
        Some("timeout="),
        Some("timeout=s"),
        Some("timeout=-1s"),
        Some("timeout=NaNs"),
        Some("timeout=0s"),
    ] {
        assert_eq!(seconds(nonsense), 8.5, "{nonsense:?}");
    }
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
