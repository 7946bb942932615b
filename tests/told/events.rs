//! Events as the API server takes them, and as a person finds them.

use crate::{
    apiserver::ApiServer,
    cluster::{apply, connect, get, kubectl, within},
};
use serde_json::json;
use std::{sync::atomic::Ordering::Relaxed, time::Duration};
use tidewaiter::{
    Reason,
    cluster::events::{Events, Regarding, Times, Told, What},
};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_told_once_and_then_counted() {
    let server = ApiServer::start(&[]);
    apply(&server, json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }));
    let template = json!({
        "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "api", "image": "registry.example.com/shop/api:1" }] },
    });
    apply(
        &server,
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "web-7d4", "namespace": "shop" },
            "spec": { "replicas": 1, "selector": { "matchLabels": { "app": "web" } }, "template": template },
        }),
    );
    let uid = get(&server, &["replicaset", "-n", "shop", "web-7d4"])["metadata"]["uid"].as_str().unwrap().to_owned();
    let stop = CancellationToken::new();
    let times = Times { recount: Duration::from_secs(1), round: Duration::from_millis(200) };
    let events = Events::start_with(&connect(&server).await, times, stop.clone());
    let regarding = |name: &str| Regarding {
        api_version: "apps/v1".into(),
        kind: "ReplicaSet".into(),
        namespace: "shop".into(),
        name: name.into(),
        uid: uid.clone(),
    };
    // As long as the API server takes it.
    let note = format!("denied by ClusterImagePolicy \"shop\": {}", "x".repeat(1024));
    let denied = Told {
        regarding: regarding("web-7d4"),
        what: What::ImageDenied,
        reason: Some(Reason::NoSignature),
        note: note[..1024].into(),
        once: false,
    };
    let audited =
        Told { what: What::PolicyUnmet, once: true, note: "would deny [no_signature]".into(), ..denied.clone() };
    for _ in 0..5 {
        events.tell(vec![denied.clone(), audited.clone()]);
    }
    // Whoever makes up an owner in a namespace that is not there: counted, and nothing else.
    events
        .tell(vec![Told { regarding: Regarding { namespace: "nowhere".into(), ..regarding("x") }, ..denied.clone() }]);
    let found = |reason: &str| {
        let selector = format!("reason={reason}");
        let list = get(&server, &["events.events.k8s.io", "-n", "shop", "--field-selector", &selector]);
        list["items"].as_array().unwrap().clone()
    };
    let recounted = |events: &[serde_json::Value]| events.first().is_some_and(|it| it["series"]["count"] == 5);
    within(30, "the count of five", || recounted(&found("ImageDenied")).then_some(()));
    let [event] = found("ImageDenied").try_into().unwrap();
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["note"], denied.note.as_str());
    assert_eq!(event["regarding"]["uid"], uid.as_str());
    assert_eq!(event["reportingController"], "tidewaiter.dev/webhook");
    let [audit] = found("PolicyUnmet").try_into().unwrap();
    assert!(audit.get("series").is_none_or(serde_json::Value::is_null), "mode Audit is told once: {audit}");
    let describe = kubectl(&server, &["describe", "replicaset", "-n", "shop", "web-7d4"]);
    let described = String::from_utf8_lossy(&describe.stdout).into_owned();
    assert!(described.contains("ImageDenied") && described.contains("denied by ClusterImagePolicy"), "{described}");
    within(10, "the failed one", || (events.counts().failed.load(Relaxed) == 1).then_some(()));
    assert_eq!((events.counts().sent.load(Relaxed), events.counts().repeated.load(Relaxed)), (2, 8));
    // What is waiting when we are told to end is still told.
    events.tell(vec![Told { what: What::ExceptionUsed, note: "admitted".into(), ..denied }]);
    stop.cancel();
    let last = within(10, "the last one", || found("ExceptionUsed").pop());
    assert_eq!(last["type"], "Normal");
}
