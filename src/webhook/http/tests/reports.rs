//! Verdicts for a store that takes them, and for stores that do not: no answer of ours is another for it, and none is late.

use super::*;
use crate::{
    source::store::{Options, StoreClient},
    webhook::reports::{Reports, Times},
};
use axum::Json;
use std::sync::Mutex;
use tokio::net::TcpListener;

/// Short enough for a test, and long enough to tell whether somebody waits for it.
const TIMES: Times = Times {
    gather: Duration::from_millis(300),
    patience: Duration::from_millis(400),
    pauses: [Duration::from_millis(50); 3],
};

fn reporting(address: std::net::SocketAddr) -> Site {
    let options = Options {
        url: format!("http://{address}"),
        token: Some("reader".into()),
        ca_file: None,
        timeout: Duration::from_secs(5),
    };
    let site = site_with(&shop(), |_| {}, 512);
    let store = Arc::new(StoreClient::new(&options).unwrap());
    site.webhook.report(Reports::start(store, "west", TIMES, site.stop.clone()));
    site
}

fn count(site: &Site, result: &str) -> u64 {
    let counts = site.webhook.reports.get().unwrap().counts().each();
    counts.iter().find(|(word, _)| *word == result).unwrap().1
}

/// Waits until so many verdicts have come to an end.
async fn until(site: &Site, result: &str, wanted: u64) {
    for _ in 0..200 {
        if count(site, result) >= wanted {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(count(site, result), wanted, "{:?}", site.webhook.reports.get().unwrap().counts());
}

async fn serve(app: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn the_store_is_told_in_batches() {
    let batches: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let kept = Arc::clone(&batches);
    let take = move |headers: HeaderMap, Json(body): Json<Value>| async move {
        kept.lock().unwrap().push((headers["authorization"].to_str().unwrap().to_owned(), body));
        StatusCode::OK
    };
    let site = reporting(serve(Router::new().route("/v1/verdicts:batch", post(take))).await);
    for _ in 0..250 {
        site.ask("/validate", pod("registry.example.com/app:1")).await;
    }
    // Pinning decides nothing, and what no policy judges has no verdict.
    site.ask("/mutate", pod("registry.example.com/app:1")).await;
    until(&site, "sent", 250).await;
    let batches = batches.lock().unwrap();
    let sizes: Vec<_> = batches.iter().map(|(_, body)| body["verdicts"].as_array().unwrap().len()).collect();
    assert!(sizes.iter().all(|size| *size <= 100) && sizes.len() <= 6, "{sizes:?}");
    let (token, body) = &batches[0];
    assert_eq!(token, "Bearer reader");
    let mut first = body["verdicts"][0].clone();
    assert!(first["at"].take().as_str().unwrap().parse::<Timestamp>().is_ok());
    assert_eq!(
        first,
        json!({"cluster": "west", "namespace": "shop", "workload": {"kind": "Pod", "name": "web", "uid": ""}, "at": null,
            "image": "registry.example.com/app:1", "decision": "denied", "reason": "image_not_pinned", "policy": "ClusterImagePolicy/shop"})
    );
    site.webhook.metrics.reports(site.webhook.reports.get().unwrap().counts());
    let metrics = site.metrics();
    assert!(metrics.contains("tidewaiter_verdict_reports_total{result=\"sent\"} 250"), "{metrics}");
}

/// Takes connections and never says anything.
async fn silent() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    address
}

async fn dead() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn answers(status: StatusCode) -> std::net::SocketAddr {
    // An endless body, whatever the status: nobody reads it.
    let endless = move || async move {
        let part = || Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; 1 << 16]));
        (status, Body::from_stream(futures::stream::repeat_with(part)))
    };
    serve(Router::new().route("/v1/verdicts:batch", post(endless))).await
}

#[tokio::test]
async fn a_store_that_takes_nothing_changes_no_answer_and_delays_none() {
    let quiet = site().ask("/validate", pod("registry.example.com/app:1")).await;
    assert_eq!(quiet["status"]["reason"], "image_not_pinned");
    // Each site has keys of its own, and so a policy hash.
    let said = |answer: &Value| (answer["allowed"].clone(), answer["status"].clone(), answer["warnings"].clone());
    let stores = [
        (silent().await, "failed"),
        (dead().await, "failed"),
        (answers(StatusCode::SERVICE_UNAVAILABLE).await, "failed"),
        (answers(StatusCode::NOT_FOUND).await, "refused"),
        (answers(StatusCode::FORBIDDEN).await, "refused"),
    ];
    for (address, end) in stores {
        let site = reporting(address);
        let started = Instant::now();
        for _ in 0..20 {
            assert_eq!(said(&site.ask("/validate", pod("registry.example.com/app:1")).await), said(&quiet));
        }
        // One waiting for the store would take a try's time alone.
        assert!(started.elapsed() < 20 * TIMES.patience / 2, "{address} {end}: {:?}", started.elapsed());
        until(&site, end, 20).await;
        assert_eq!(count(&site, "sent"), 0);
    }
}
