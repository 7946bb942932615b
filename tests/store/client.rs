//! The client against a store that is honest, and against one that is not.

use super::shop::*;
use axum::{
    Router,
    body::Body,
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
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

/// A store that answers each kind of question so, and how often each was asked.
struct Double {
    client: Arc<StoreClient>,
    alone: Arc<AtomicUsize>,
    together: Arc<AtomicUsize>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Drop for Double {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Double {
    async fn new<A, T>(
        alone: impl Fn(String) -> A + Clone + Send + Sync + 'static,
        together: impl Fn(Vec<String>) -> T + Clone + Send + Sync + 'static,
    ) -> Self
    where
        A: IntoResponse + 'static,
        T: IntoResponse + 'static,
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Arc::new(client_of(&format!("http://{}", listener.local_addr().unwrap()), None, PATIENT));
        let counts: [Arc<AtomicUsize>; 2] = Default::default();
        let [one, many] = counts.clone();
        let read = move |image: String| async move {
            one.fetch_add(1, SeqCst);
            // Long enough for all who ask at the same time to have asked.
            tokio::time::sleep(Duration::from_millis(100)).await;
            alone(image).into_response()
        };
        let batch = move |question: axum::Json<Value>| async move {
            many.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            let images = question.0["images"].as_array().unwrap().iter();
            together(images.map(|image| image.as_str().unwrap().to_owned()).collect()).into_response()
        };
        let app = Router::new()
            .route("/v1/evidence/{image}", get(|path: axum::extract::Path<String>| read(path.0)))
            .route("/v1/evidence:batch", post(batch));
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let [alone, together] = counts;
        Double { client, alone, together, server }
    }

    /// What comes of these images, as one review asks for them.
    async fn ask(&self, images: &[Digest]) -> Vec<Result<Stored, Fault>> {
        let _together = self.client.together(images.iter().cloned().collect());
        futures::future::join_all(images.iter().map(|image| self.client.envelopes(image, later()))).await
    }

    fn asked(&self) -> (usize, usize) {
        (self.alone.load(SeqCst), self.together.load(SeqCst))
    }
}

fn images(count: u8) -> Vec<Digest> {
    (0..count).map(|n| Digest::sha256(&[n])).collect()
}

fn empty(image: &str) -> Value {
    json!({"image": image, "records": [], "truncated": false, "etag": "\"0\""})
}

fn nothing() -> Result<Stored, Fault> {
    Ok(Stored { envelopes: vec![], whole: true })
}

#[tokio::test]
async fn the_images_of_a_review_are_one_question() {
    let batch = |images: Vec<String>| {
        let extra = ["sha256:00".to_owned(), Digest::sha256(b"unasked").to_string()];
        let all = images.iter().chain(&extra).map(|image| empty(image));
        json!({"images": all.collect::<Vec<_>>()}).to_string()
    };
    let store = Double::new(|image| empty(&image).to_string(), batch).await;
    assert_eq!(store.ask(&images(20)).await, vec![nothing(); 20]);
    assert_eq!(store.asked(), (0, 1));
    assert_eq!(store.client.requests(), 1);
    // One image is asked for by name: every store knows that question.
    assert_eq!(store.ask(&images(1)).await, [nothing()]);
    assert_eq!(store.asked(), (1, 1));
    // And whoever asks for the same at the same time waits for the same answer, whatever else is asked with it.
    let (all, some, one) = (images(9), images(5), images(1));
    let reviews: Vec<_> = (0..50).map(|n| store.ask([&all, &some, &one][n % 3])).collect();
    assert!(futures::future::join_all(reviews).await.concat().iter().all(|found| *found == nothing()));
    assert_eq!(store.asked(), (1, 2));
}

#[tokio::test]
async fn one_who_comes_later_is_given_what_came_for_his_review() {
    let batch = |images: Vec<String>| {
        let all = images.iter().map(|image| empty(image));
        json!({"images": all.collect::<Vec<_>>()}).to_string()
    };
    let store = Double::new(|image| empty(&image).to_string(), batch).await;
    let both = images(2);
    let review = store.client.together(both.iter().cloned().collect());
    for image in both.iter().chain(&both) {
        assert_eq!(store.client.envelopes(image, later()).await, nothing());
    }
    assert_eq!(store.asked(), (0, 1));
    // The next review is shown what there is then.
    drop(review);
    assert_eq!(store.ask(&both).await, [nothing(), nothing()]);
    assert_eq!(store.asked(), (0, 2));
}

#[tokio::test]
async fn an_older_store_is_asked_one_by_one() {
    for status in [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED] {
        let store = Double::new(|image| empty(&image).to_string(), move |_| status).await;
        for round in 1..3 {
            assert_eq!(store.ask(&images(3)).await, [nothing(), nothing(), nothing()]);
            assert_eq!(store.asked(), (3 * round, 1), "it is not asked again what it does not know");
        }
    }
    // Any other refusal is one, for each of them.
    let store = Double::new(|image| empty(&image).to_string(), |_| StatusCode::FORBIDDEN).await;
    for found in store.ask(&images(2)).await {
        assert_eq!(refusal(found, "it answered 403"), Reason::StoreUnavailable);
    }
    assert_eq!(store.asked(), (0, 1));
}

/// What is wrong with one image's answer is no other's business.
#[tokio::test]
async fn each_image_has_its_own_answer() {
    let keys = Keys::new();
    let sealed = seal(&link("build", &image()), &[&keys.ci]);
    let (good, other) = (sealed.bytes.clone(), Digest::sha256(b"other").to_string());
    let all = images(4);
    let (right, forged) = (record(&sealed, &sealed.name), record(&sealed, &other));
    let (names, whole) = (all.iter().map(Digest::to_string).collect::<Vec<_>>(), right.clone());
    let batch = move |_| {
        let of = |n: usize, records: Value| json!({"image": names[n], "records": records, "truncated": n == 3});
        json!({"images": [of(0, json!([right])), of(1, json!([forged])), of(3, json!([]))]}).to_string()
    };
    let alone = move |image: String| json!({"image": image, "records": [whole]}).to_string();
    let store = Double::new(alone, batch).await;
    let found = store.ask(&all).await;
    let one = || Ok(Stored { envelopes: vec![good.clone()], whole: true });
    assert_eq!(found[0], one());
    assert_eq!(refusal(found[1].clone(), "what is signed in it is"), Reason::DigestMismatch);
    assert_eq!(refusal(found[2].clone(), "left image"), Reason::StoreUnavailable);
    assert_eq!(found[3], one(), "what did not fit beside the others came alone");
    assert_eq!(store.asked(), (1, 1));
}

#[tokio::test]
async fn who_has_little_time_does_not_decide_for_the_others() {
    let slow = |image: String| {
        let body = futures::stream::once(async move {
            tokio::time::sleep(Duration::from_millis(400)).await;
            Ok::<_, std::io::Error>(empty(&image).to_string())
        });
        Body::from_stream(body)
    };
    let store = Double::new(slow, |_| StatusCode::NOT_FOUND).await;
    let (image, client) = (image(), Arc::clone(&store.client));
    let hurried = client.envelopes(&image, Instant::now() + Duration::from_millis(150));
    let (hurried, patient) = tokio::join!(hurried, client.envelopes(&image, later()));
    assert_eq!(refusal(hurried, "the review's time ran out"), Reason::DeadlineExceeded);
    assert_eq!(patient, nothing());
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
