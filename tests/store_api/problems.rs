//! Budgets, and the form of every answer that says no.

use crate::{identity::image, shop::*};
use std::time::Duration;
use tidewaiter::server::{Bounds, Rates};

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let bounds = Some(Bounds { rates: Rates { writes: 1, reads: 2 }, ..Bounds::default() });
    let shop = Shop::with(Keys::new(), Setup { bounds, ..Setup::default() }).await;
    let record = shop.put_layout().await;
    let put = async |token: &str| {
        let put = shop.http.put(shop.url(&format!("/v1/records/{}", record.name))).bearer_auth(token);
        put.body(record.bytes.clone()).send().await.unwrap()
    };
    let mut written = 1;
    let refused = loop {
        let response = put(LAPTOP).await;
        match response.status().as_u16() {
            200 => written += 1,
            _ => break response,
        }
    };
    assert!((10..=12).contains(&written), "a burst of ten seconds: {written}");
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(answer(refused).await, no(429, "too_many_requests"));
    assert_eq!(answer(put(CI).await).await, no(403, "forbidden"), "another has a budget of their own");
    assert_eq!(shop.evidence(Some(CLUSTER), &image().to_string()).await.0, 200, "and reading has one");
    // Whoever guesses tokens is one principal, by where they come from.
    let mut guesses = 0;
    while shop.evidence(Some(&format!("guess-{guesses}")), &image().to_string()).await.0 == 401 {
        guesses += 1;
    }
    assert!((20..=25).contains(&guesses), "{guesses}");
    assert_eq!(shop.evidence(Some("another guess"), &image().to_string()).await.0, 429);
    assert_eq!(shop.evidence(Some(CLUSTER), &image().to_string()).await.0, 200);
    // A batch costs what its records would.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let batch = serde_json::json!({"records": [
        {"digest": "x", "envelope": ""}, {"digest": "y", "envelope": ""}, {"digest": "z", "envelope": ""}]});
    let post = shop.http.post(shop.url("/v1/records:batch")).bearer_auth(LAPTOP).body(batch.to_string());
    assert_eq!(answer(post.send().await.unwrap()).await, no(429, "too_many_requests"));
}

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let shop = Shop::open().await;
    let request = |method: &str, path: &str| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        shop.http.request(method, shop.url(path)).bearer_auth(CLUSTER)
    };
    let evidence = format!("/v1/evidence/{}", image());
    for (method, path, status, reason) in [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/record", 404, "not_found"),
        ("GET", "/v1/evidence/%ff", 400, "request_malformed"),
        ("GET", "/v1/evidence/%00", 400, "request_malformed"),
        ("GET", "/v1/evidence/x?chain=%ff&x", 400, "request_malformed"),
        ("DELETE", &evidence, 405, "method_not_allowed"),
        ("POST", &evidence, 405, "method_not_allowed"),
        ("OPTIONS", &evidence, 405, "method_not_allowed"),
        ("PATCH", "/v1/records:batch", 405, "method_not_allowed"),
        ("GET", "/v1/evidence:batch", 405, "method_not_allowed"),
        ("TRACE", "/healthz", 405, "method_not_allowed"),
    ] {
        let response = request(method, path).send().await.unwrap();
        assert_eq!(answer(response).await, no(status, reason), "{method} {path}");
    }
    let allowed = request("OPTIONS", &evidence).send().await.unwrap();
    assert_eq!(allowed.headers()["allow"], "GET,HEAD");
    let head = request("HEAD", &evidence).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers().contains_key("etag")), (200, true));
    assert_eq!(head.bytes().await.unwrap().len(), 0);
}

/// The page that lists them, and the sources that give them.
#[test]
fn every_reason_of_the_api_is_documented() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/store.md")).unwrap();
    let mut files = vec![root.join("src/server/auth/refusal.rs")];
    files.extend(std::fs::read_dir(root.join("src/server")).unwrap().map(|entry| entry.unwrap().path()));
    let is_reason = |text: &str| {
        text.len() > 3 && text.contains('_') && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let mut found = 0;
    for file in files.iter().filter(|file| file.extension().is_some_and(|name| name == "rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        // `Problem::new(status, "reason", …)` and `(StatusCode::…, "reason")`.
        for place in text.split("StatusCode::").skip(1) {
            let Some((before, rest)) = place.split_once(", \"") else { continue };
            let word = rest.split('"').next().unwrap();
            if before.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') && is_reason(word) {
                found += 1;
                assert!(
                    page.contains(&format!("`{word}`")),
                    "docs/store.md does not know `{word}` of {}",
                    file.display()
                );
            }
        }
    }
    assert!(found > 20, "{found} reasons were found");
}
