//! What the port for metrics shows.

use super::*;
use std::sync::atomic::Ordering::Relaxed;

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
