//! Status as two replicas write it at once.

use crate::{
    apiserver::ApiServer,
    cluster::{apply, connect, define, get, kubectl, within},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use tidewaiter::cluster::status::{self, Count, Counting, Finding, Holds, Why};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

fn finding(kind: &str, name: &str, generation: i64, why: Why, message: &str) -> Finding {
    Finding {
        kind: kind.into(),
        namespace: None,
        name: name.into(),
        generation,
        why,
        message: message.into(),
        holds: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_by_the_leader_and_counts_by_everybody() {
    let server = ApiServer::start(&[]);
    define(&server);
    let object = |kind: &str, name: &str| json!({ "apiVersion": "tidewaiter.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": {} });
    apply(&server, object("ClusterImagePolicy", "shop"));
    apply(&server, object("TrustRoot", "owners"));
    let newer = [
        "patch",
        "clusterimagepolicy",
        "shop",
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":{"newer":{"a":1}}}"#,
    ];
    assert!(kubectl(&server, &newer).status.success());
    let cluster = connect(&server).await;
    let root = Finding {
        holds: Some(Holds { names: vec!["alice".into(), "bob".into()], expires: None }),
        ..finding("TrustRoot", "owners", 1, Why::Loaded, "")
    };
    let policy = |generation, why, message| finding("ClusterImagePolicy", "shop", generation, why, message);
    // One that is gone is no trouble.
    let first = vec![policy(1, Why::Loaded, ""), root.clone(), finding("TrustRoot", "gone", 1, Why::Loaded, "")];
    let (tell, findings) = watch::channel(Arc::new(first));
    let (lead, leader) = watch::channel(false);
    let stop = CancellationToken::new();
    let counting = status::start(&cluster, findings, leader, stop.clone());
    let of = |plural: &str, name: &str| get(&server, &[plural, name])["status"].clone();
    let ready = |status: &Value| status["conditions"][0].clone();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(of("clusterimagepolicies", "shop"), json!({ "newer": { "a": 1 } }), "it does not lead");

    lead.send(true).unwrap();
    let status = within(20, "Ready", || Some(of("clusterimagepolicies", "shop")).filter(|it| !ready(it).is_null()));
    let condition = ready(&status);
    assert_eq!(
        (&condition["type"], &condition["status"], &condition["reason"]),
        (&json!("Ready"), &json!("True"), &json!("Loaded"))
    );
    assert_eq!(status["observedGeneration"], 1);
    let since = condition["lastTransitionTime"].clone();
    let status = within(20, "what the root holds", || Some(of("trustroots", "owners")).filter(|it| !it.is_null()));
    assert_eq!((&status["keys"], &status["keyNames"]), (&json!(2), &json!(["alice", "bob"])));

    // Two replicas count, and so do their last reports, at the same time as the leader writes.
    let others: Vec<Arc<Counting>> = (0..2).map(|_| Arc::new(Counting::default())).collect();
    let mut reports = Vec::new();
    for other in &others {
        for _ in 0..10 {
            other.add("ClusterImagePolicy/shop", Count { matched: 3, unmet: 1, last: Timestamp::now() });
            let (client, other) = (cluster.client.clone(), Arc::clone(other));
            reports.push(tokio::spawn(async move { status::report(&client, &other).await }));
        }
    }
    tell.send(Arc::new(vec![policy(2, Why::LastGoodInUse, "spec.images[0]: no host"), root])).unwrap();
    for report in reports {
        report.await.unwrap();
    }
    for other in &others {
        status::report(&cluster.client, other).await;
    }
    counting.add("ClusterImagePolicy/shop", Count { matched: 1, unmet: 0, last: Timestamp::now() });
    counting.add("ClusterImagePolicy/gone", Count { matched: 1, unmet: 0, last: Timestamp::now() });
    // Where all the others came first, the leader writes with its next round; it must not be stopped before.
    within(60, "the newer condition", || {
        Some(of("clusterimagepolicies", "shop")).filter(|it| it["observedGeneration"] == 2)
    });
    stop.cancel();
    let status = within(20, "every count", || {
        Some(of("clusterimagepolicies", "shop")).filter(|it| it["imagesMatched"] == 61 && it["observedGeneration"] == 2)
    });
    assert_eq!(status["imagesUnmet"], 20);
    assert_eq!(status["newer"]["a"], 1, "what we do not know is not ours to take away");
    assert!(status["lastMatched"].as_str().is_some_and(|it| it.parse::<Timestamp>().is_ok()), "{status}");
    let condition = ready(&status);
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("False"), &json!("LastGoodInUse")));
    assert_eq!(condition["message"], "spec.images[0]: no host");
    assert!(condition["lastTransitionTime"].as_str() >= since.as_str());
    // A person who waits for it can.
    let wait = kubectl(&server, &["wait", "--for=condition=Ready", "trustroot/owners", "--timeout=5s"]);
    assert!(wait.status.success(), "{}", String::from_utf8_lossy(&wait.stderr));
}
