//! What a review may take: its body, its place, its time.

use super::*;

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
