//! A store that is slow, broken or lying, in an order that a seed decides (`TIDEWAITER_SEED`): whatever it does, a pod is let in on the whole
//! truth alone, and is otherwise denied for the reason there is (security §4.3 F5).

use super::*;
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::sync::Mutex;
use tidewaiter::digest::Digest;

/// What the store does to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    None,
    /// It takes longer than the client waits.
    Silence,
    Status,
    /// The text ends before it is whole.
    Cut,
    /// The connection does.
    Broken,
    Endless,
    /// A record's payload is another one than its name says.
    Bytes,
    /// Each image has the records of the other.
    Swapped,
    /// The layout, or a link, is left out.
    NoLayout,
    NoLink,
    /// An image is.
    NoImage,
}

const LIES: [(Lie, Option<&str>); 11] = [
    (Lie::None, None),
    (Lie::Silence, Some("store_unavailable")),
    (Lie::Status, Some("store_unavailable")),
    (Lie::Cut, Some("store_unavailable")),
    (Lie::Broken, Some("store_unavailable")),
    (Lie::Endless, Some("store_unavailable")),
    (Lie::Bytes, Some("digest_mismatch")),
    (Lie::Swapped, Some("rule_violation")),
    (Lie::NoLayout, Some("no_layout")),
    (Lie::NoLink, Some("threshold_not_met")),
    (Lie::NoImage, Some("store_unavailable")),
];
const PATIENCE: Duration = Duration::from_millis(1500);

/// A generator of its own: the same seed is the same order on every machine (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    }
}

/// A way to the store that lies as it is told.
async fn lying(store: String, told: Arc<Mutex<(Lie, u64)>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let client = reqwest::Client::builder().tls_certs_only([]).build().expect("a client");
    let answer = move |request: axum::extract::Request| async move {
        let (lie, seed) = *told.lock().expect("no panic while told");
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
        let asked = client.request(head.method, format!("{store}{}", head.uri)).headers(head.headers).body(body);
        let honest = asked.send().await.expect("an answer");
        let (status, headers) = (honest.status(), honest.headers().clone());
        lied(lie, Dice(seed), status, headers, honest.bytes().await.expect("a body").to_vec()).await
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    url
}

async fn lied(lie: Lie, mut dice: Dice, status: StatusCode, headers: HeaderMap, mut body: Vec<u8>) -> Response {
    let endless = || futures::stream::repeat_with(|| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; 1 << 20])));
    match lie {
        Lie::None => return (status, headers, body).into_response(),
        Lie::Silence => tokio::time::sleep(2 * PATIENCE).await,
        Lie::Status => {
            return [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::BAD_GATEWAY][dice.roll(2)].into_response();
        }
        Lie::Cut => body.truncate(dice.roll(body.len())),
        Lie::Broken => {
            body.truncate(dice.roll(body.len()));
            let parts = [Ok(bytes::Bytes::from(body)), Err(std::io::Error::other("the line went dead"))];
            return Body::from_stream(futures::stream::iter(parts)).into_response();
        }
        Lie::Endless => return Body::from_stream(endless()).into_response(),
        Lie::Bytes | Lie::Swapped | Lie::NoLayout | Lie::NoLink | Lie::NoImage => {
            let mut answer: Value = serde_json::from_slice(&body).expect("JSON");
            falsify(lie, &mut dice, answer["images"].as_array_mut().expect("a batch"));
            body = answer.to_string().into_bytes();
        }
    }
    (status, body).into_response()
}

fn falsify(lie: Lie, dice: &mut Dice, images: &mut Vec<Value>) {
    let one = dice.roll(images.len());
    if lie == Lie::NoImage {
        images.remove(one);
        return;
    }
    if lie == Lie::Swapped {
        let records: Vec<Value> = images.iter_mut().map(|image| image["records"].take()).rev().collect();
        images.iter_mut().zip(records).for_each(|(image, records)| image["records"] = records);
        return;
    }
    let records = images[one]["records"].as_array_mut().expect("records");
    let of = |kind: &str| records.iter().position(|record| record["kind"] == kind).expect("one of its kind");
    match lie {
        Lie::NoLayout => drop(records.remove(of("layout"))),
        Lie::NoLink => drop(records.remove(of("link"))),
        _ => {
            let record = &mut records[dice.roll(3)];
            let envelope = STANDARD.decode(record["envelope"].as_str().expect("base64")).expect("base64");
            let mut envelope: Value = serde_json::from_slice(&envelope).expect("JSON");
            let mut payload = STANDARD.decode(envelope["payload"].as_str().expect("base64")).expect("base64");
            let at = dice.roll(payload.len());
            payload[at] ^= 1 << dice.roll(8);
            envelope["payload"] = STANDARD.encode(payload).into();
            record["envelope"] = STANDARD.encode(envelope.to_string()).into();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_store_does_only_the_truth_lets_in() {
    let seed = std::env::var("TIDEWAITER_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| std::process::id().into());
    println!("TIDEWAITER_SEED={seed}");
    let mut site = Site::new(stored(), |world| ["a", "b"].iter().for_each(|name| drop(world.image(name)))).await;
    let dir = tempfile::tempdir().expect("a scratch directory");
    let told = Arc::new(Mutex::new((Lie::None, seed)));
    let url = lying(filled_store(&site.world, &["a", "b"], dir.path()).await, Arc::clone(&told)).await;
    let images = ["a", "b"].map(|name| site.world.images[name].pinned());
    let mut dice = Dice(seed);
    // Each of them once, and then as it comes.
    let order: Vec<_> = (0..LIES.len()).chain((0..10).map(|_| dice.roll(LIES.len()))).collect();
    for at in order {
        let (lie, reason) = LIES[at];
        *told.lock().expect("no panic while told") = (lie, dice.0);
        let store = site.read_within(&url, "reader", PATIENCE);
        let decision = site.judge(&images).await;
        let found = decision.reason().map(|reason| reason.as_str());
        assert_eq!((found, decision.allowed), (reason, reason.is_none()), "{lie:?}: {}", decision.message());
        // A review asks once. Where the store is not there, who comes late may ask again.
        assert!(store.requests() == 1 || reason == Some("store_unavailable"), "{lie:?}: {} requests", store.requests());
    }
}

fn digests(site: &Site) -> [Digest; 2] {
    ["a", "b"].map(|name| site.world.images[name].digest.parse().expect("a digest"))
}

fn reader(url: &str) -> Arc<StoreClient> {
    let options = store::Options { url: url.into(), token: Some("reader".into()), ca_file: None, timeout: PATIENCE };
    Arc::new(StoreClient::new(&options).expect("a client"))
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_ask_at_the_same_moment_are_one_question() {
    const ROUNDS: u64 = 500;
    let site = Site::new(stored(), |world| ["a", "b"].iter().for_each(|name| drop(world.image(name)))).await;
    let dir = tempfile::tempdir().expect("a scratch directory");
    let store = reader(&filled_store(&site.world, &["a", "b"], dir.path()).await);
    let images = digests(&site);
    for _ in 0..ROUNDS {
        let _review = store.together(images.clone().into());
        let mut asked = tokio::task::JoinSet::new();
        for image in images.clone() {
            let store = Arc::clone(&store);
            asked.spawn(async move { store.envelopes(&image, Instant::now() + PATIENCE).await });
        }
        assert!(asked.join_all().await.into_iter().all(|found| found.is_ok()));
    }
    assert_eq!(store.requests(), ROUNDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_comes_late_hears_what_its_review_was_told() {
    let site = Site::new(stored(), |world| ["a", "b"].iter().for_each(|name| drop(world.image(name)))).await;
    let dir = tempfile::tempdir().expect("a scratch directory");
    let told = Arc::new(Mutex::new((Lie::None, 0)));
    let url = lying(filled_store(&site.world, &["a", "b"], dir.path()).await, Arc::clone(&told)).await;
    let images = digests(&site);
    for lie in [Lie::None, Lie::Bytes, Lie::Cut, Lie::NoImage] {
        told.lock().expect("no panic while told").0 = lie;
        let store = reader(&url);
        let _review = store.together(images.clone().into());
        let mut faults = Vec::new();
        for image in &images {
            // One after the other: nothing is under way any more when the second asks.
            let found = store.envelopes(image, Instant::now() + PATIENCE).await;
            faults.extend(found.err().map(|fault| fault.reason.as_str()));
        }
        let expected: &[&str] = match lie {
            Lie::None => &[],
            Lie::Bytes => &["digest_mismatch"],
            Lie::NoImage => &["store_unavailable"],
            _ => &["store_unavailable", "store_unavailable"],
        };
        assert_eq!((faults.as_slice(), store.requests()), (expected, 1), "{lie:?}");
    }
}
