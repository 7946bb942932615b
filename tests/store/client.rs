//! The client against a store that is honest, and against one that is not.

use super::shop::*;
use axum::{Router, body::Body, http::StatusCode, response::IntoResponse, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tidewaiter::{
    digest::Digest,
    reason::{Fault, Reason},
    source::store::{Options, StoreClient, Stored, TRUNCATED},
};

fn image() -> Digest {
    Digest::sha256(b"image")
}

fn client_of(url: &str, token: Option<&str>, timeout: Duration) -> StoreClient {
    StoreClient::new(&Options { url: url.into(), token: token.map(Into::into), ca_file: None, timeout }).unwrap()
}

const PATIENT: Duration = Duration::from_secs(20);

fn later() -> Instant {
    Instant::now() + PATIENT
}

/// What the client says to a store that answers every question so.
async fn told<R: IntoResponse + 'static>(
    answer: impl Fn() -> R + Clone + Send + Sync + 'static,
) -> Result<Stored, Fault> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/evidence/{image}", get(move || async move { answer().into_response() }));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let answer = client_of(&url, None, PATIENT).envelopes(&image(), later()).await;
    server.abort();
    answer
}

fn refusal(answer: Result<Stored, Fault>, words: &str) -> Reason {
    let fault = answer.unwrap_err();
    assert!(fault.message.contains(words), "{words}: {fault}");
    fault.reason
}

fn evidence(image: &Digest, records: Value) -> String {
    json!({"image": image.to_string(), "records": records}).to_string()
}

fn record(sealed: &Record, name: &str) -> Value {
    json!({"digest": name, "kind": "link", "chain": "shop", "step": "build", "envelope": STANDARD.encode(&sealed.bytes)})
}

#[tokio::test]
async fn a_store_that_left_something_out_is_taken_at_its_word() {
    let whole = move || evidence(&image(), json!([]));
    assert_eq!(told(whole).await, Ok(Stored { envelopes: vec![], whole: true }));
    let cut = move || ([(TRUNCATED, "true")], evidence(&image(), json!([])));
    assert_eq!(told(cut).await, Ok(Stored { envelopes: vec![], whole: false }));
}

#[tokio::test]
async fn an_honest_store_gives_every_envelope_in_one_request() {
    let shop = Shop::open().await;
    let layout = shop.put_layout().await;
    let build = seal(&link("build", &image()), &[&shop.keys.ci]);
    assert_eq!(shop.put(CI, &build).await, yes(201));
    let client = client_of(&shop.url(""), Some(CLUSTER), PATIENT);
    let all = |envelopes| Ok(Stored { envelopes, whole: true });
    assert_eq!(client.envelopes(&image(), later()).await, all(vec![layout.bytes, build.bytes]));
    assert_eq!(client.envelopes(&Digest::sha256(b"unknown"), later()).await, all(vec![]));
    assert_eq!(client.requests(), 2);

    let refused = client_of(&shop.url(""), Some("nobody"), PATIENT).envelopes(&image(), later()).await;
    assert_eq!(refusal(refused, "it answered 401 (unauthenticated)"), Reason::StoreUnavailable);
}

#[tokio::test]
async fn a_record_under_a_wrong_name_is_a_digest_mismatch() {
    let keys = Keys::new();
    let sealed = seal(&link("build", &image()), &[&keys.ci]);
    let right = evidence(&image(), json!([record(&sealed, &sealed.name)]));
    assert_eq!(told(move || right.clone()).await, Ok(Stored { envelopes: vec![sealed.bytes.clone()], whole: true }));
    let wrong = evidence(&image(), json!([record(&sealed, &Digest::sha256(b"other").to_string())]));
    assert_eq!(refusal(told(move || wrong.clone()).await, "what is signed in it is"), Reason::DigestMismatch);
}

#[tokio::test]
async fn an_answer_that_is_none_is_unavailable() {
    let keys = Keys::new();
    let sealed = seal(&link("build", &image()), &[&keys.ci]);
    let good = record(&sealed, &sealed.name);
    let with = |key: &str, value: Value| {
        let mut record = good.clone();
        record[key] = value;
        evidence(&image(), json!([record]))
    };
    let cases = [
        (evidence(&Digest::sha256(b"other"), json!([])), "another image"),
        (with("envelope", json!("***")), "not base64"),
        (with("envelope", json!(STANDARD.encode(b"{}"))), "is no envelope"),
        (with("digest", json!("latest")), "no digest for a name"),
        (evidence(&image(), json!(vec![good.clone(); 257])), "257 records"),
        ("[".into(), "does not read"),
        ("{}".into(), "does not read"),
    ];
    for (body, words) in cases {
        assert_eq!(refusal(told(move || body.clone()).await, words), Reason::StoreUnavailable);
    }
}

#[tokio::test]
async fn a_status_other_than_200_is_unavailable_with_its_reason() {
    let problem = || (StatusCode::INTERNAL_SERVER_ERROR, json!({"reason": "corrupt"}).to_string());
    assert_eq!(refusal(told(problem).await, "it answered 500 (corrupt)"), Reason::StoreUnavailable);
    let shout = || (StatusCode::NOT_FOUND, json!({"reason": "allowed: \u{1b}[32mtrue"}).to_string());
    let fault = told(shout).await.unwrap_err();
    assert!(fault.message.ends_with("it answered 404"), "{fault}");
    // Not even to where the truth would be.
    let elsewhere = || (StatusCode::FOUND, [("location", "http://127.0.0.1:1/")]);
    assert_eq!(refusal(told(elsewhere).await, "it answered 302"), Reason::StoreUnavailable);
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let endless = || {
        let part = || Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; 1 << 20]));
        Body::from_stream(futures::stream::repeat_with(part))
    };
    assert_eq!(refusal(told(endless).await, "more than 33554432 bytes"), Reason::StoreUnavailable);
    let announced = || {
        let body = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
        ([("content-length", "33554433")], body)
    };
    assert_eq!(refusal(told(announced).await, "more than 33554432 bytes"), Reason::StoreUnavailable);
}

#[tokio::test]
async fn a_silent_store_costs_no_more_than_its_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let own = client_of(&url, None, Duration::from_millis(50)).envelopes(&image(), later()).await;
    assert_eq!(refusal(own, "within 50ms"), Reason::StoreUnavailable);
    let soon = Instant::now() + Duration::from_millis(50);
    let deadline = client_of(&url, None, PATIENT).envelopes(&image(), soon).await;
    assert_eq!(refusal(deadline, "the review's time ran out"), Reason::DeadlineExceeded);
    drop(listener);
    let nobody = client_of(&url, None, PATIENT).envelopes(&image(), later()).await;
    assert_eq!(refusal(nobody, "refused"), Reason::StoreUnavailable);
}

#[test]
fn only_https_or_loopback() {
    let options = |url: &str| Options { url: url.into(), token: None, ca_file: None, timeout: PATIENT };
    for url in [
        "https://store.example.com",
        "https://store.example.com:8443/base",
        "http://127.0.0.1:1",
        "http://[::1]:1",
        "http://localhost:1",
    ] {
        assert!(StoreClient::new(&options(url)).is_ok(), "{url}");
    }
    for url in [
        "http://store.example.com",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "ftp://127.0.0.1",
        "store",
        "https://a:b@store.example.com",
        "https://store.example.com/?x=1",
    ] {
        assert!(StoreClient::new(&options(url)).is_err(), "{url}");
    }
    let missing = Options { ca_file: Some("/nonexistent".into()), ..options("https://store.example.com") };
    assert!(StoreClient::new(&missing).is_err());
}
