//! The ordered stream: whoever goes on from where he was sees each record once, in order, while others write.

use super::{databases, shop::*};
use databases::On;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tidewaiter::digest::Digest;

databases::on_both!(
    a_reader_who_comes_back_sees_each_record_once_and_in_order,
    events_go_on_after_the_last_one_that_came,
    a_further_signature_is_told_once_more,
);

fn build(shop: &Shop, number: usize) -> Record {
    seal(&link("build", &Digest::sha256(number.to_string().as_bytes())), &[&shop.keys.ci])
}

async fn poll(shop: &Shop, query: &str) -> Value {
    let response = shop.http.get(shop.url(&format!("/v1/records?{query}"))).bearer_auth(CLUSTER).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

/// Four writers at once, and a reader who asks for seven at a time.
async fn a_reader_who_comes_back_sees_each_record_once_and_in_order(on: On) {
    const WRITERS: usize = 4;
    const EACH: usize = 30;
    let shop = Shop::on(on).await;
    let layout = shop.put_layout().await;
    let records: Vec<Record> = (0..WRITERS * EACH).map(|number| build(&shop, number)).collect();
    let write = async |records: &[Record]| {
        for record in records {
            assert_eq!(shop.put(CI, record).await, yes(201));
        }
    };
    let read = async {
        let (mut seen, mut last, mut after) = (Vec::new(), 0, 0);
        let deadline = Instant::now() + Duration::from_secs(60);
        while seen.len() <= WRITERS * EACH && Instant::now() < deadline {
            let answer = poll(&shop, &format!("after={after}&wait=5&limit=7")).await;
            for record in answer["records"].as_array().unwrap() {
                let seq = record["seq"].as_i64().unwrap();
                assert!(seq > last, "{seq} after {last}");
                assert_eq!(record["event"], json!("new"));
                last = seq;
                seen.push(record["digest"].as_str().unwrap().to_owned());
            }
            after = answer["next"].as_i64().unwrap();
            assert!(after >= last);
        }
        (seen, after)
    };
    let parts: Vec<&[Record]> = records.chunks(EACH).collect();
    let writing = futures::future::join_all(parts.into_iter().map(write));
    let ((seen, after), _) = tokio::join!(read, writing);
    let expected: BTreeSet<&str> = records.iter().chain([&layout]).map(|record| record.name.as_str()).collect();
    assert_eq!(seen.len(), expected.len(), "each once");
    assert_eq!(seen.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected);
    // Nothing more, at once without a wait, and after it with one.
    assert_eq!(poll(&shop, &format!("after={after}")).await, json!({"records": [], "next": after}));
    let start = Instant::now();
    assert_eq!(poll(&shop, &format!("after={after}&wait=1")).await["records"], json!([]));
    assert!(start.elapsed() >= Duration::from_secs(1));
}

/// The next event of a stream: its id and its data.
async fn event(response: &mut reqwest::Response, text: &mut String) -> (i64, Value) {
    loop {
        if let Some((event, rest)) = text.clone().split_once("\n\n") {
            *text = rest.to_owned();
            let fields: BTreeMap<&str, &str> = event.lines().filter_map(|line| line.split_once(": ")).collect();
            assert_eq!(fields["event"], "record");
            return (fields["id"].parse().unwrap(), serde_json::from_str(fields["data"]).unwrap());
        }
        let chunk = tokio::time::timeout(Duration::from_secs(20), response.chunk()).await.unwrap().unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

async fn events_go_on_after_the_last_one_that_came(on: On) {
    let shop = Shop::on(on).await;
    shop.put_layout().await;
    let open = async |last: Option<i64>| {
        let get = shop.http.get(shop.url("/v1/records")).bearer_auth(CLUSTER).header("accept", "text/event-stream");
        let get = match last {
            Some(last) => get.header("last-event-id", last),
            None => get,
        };
        let response = get.send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        response
    };
    let (mut first, mut text) = (open(None).await, String::new());
    let (layout_at, layout) = event(&mut first, &mut text).await;
    assert_eq!(layout["kind"], json!("layout"));
    // Events come while the stream is open.
    let one = build(&shop, 1);
    assert_eq!(shop.put(CI, &one).await, yes(201));
    let (one_at, found) = event(&mut first, &mut text).await;
    assert!(one_at > layout_at);
    assert_eq!((&found["digest"], &found["seq"]), (&json!(one.name), &json!(one_at)));
    drop(first);
    let two = build(&shop, 2);
    assert_eq!(shop.put(CI, &two).await, yes(201));
    let (mut second, mut text) = (open(Some(one_at)).await, String::new());
    assert_eq!(event(&mut second, &mut text).await.1["digest"], json!(two.name));
    let bad = shop.http.get(shop.url("/v1/records")).bearer_auth(CLUSTER).header("accept", "text/event-stream");
    let bad = bad.header("last-event-id", "x").send().await.unwrap();
    assert_eq!(answer(bad).await, no(400, "request_malformed"));
    // A server that stops ends its streams at once, long before it would close their connections.
    let closing = tokio::spawn(shop.close());
    let ended =
        tokio::time::timeout(Duration::from_secs(8), async { while second.chunk().await.unwrap().is_some() {} });
    assert!(ended.await.is_ok());
    closing.await.unwrap();
}

async fn a_further_signature_is_told_once_more(on: On) {
    let shop = Shop::on(on).await;
    let Keys { alice, bob, ci, stranger, .. } = &shop.keys;
    let mut document = layout(&shop.keys, FUTURE, "");
    document["keys"][stranger.public().id()] = stranger.public().to_layout();
    document["steps"][1]["pubkeys"] = json!([ci.public().id(), stranger.public().id()]);
    assert_eq!(shop.put(LAPTOP, &seal(&document, &[alice, bob])).await, yes(201));
    let made = link("build", &Digest::sha256(b"image"));
    let by = |keys: &[&tidewaiter::key::SecretKey]| seal(&made, keys);
    assert_eq!(shop.put(CI, &by(&[ci])).await, yes(201));
    assert_eq!(shop.put(CI, &by(&[ci])).await, yes(200));
    assert_eq!(shop.put(CI, &by(&[stranger])).await, yes(200));
    let answer = poll(&shop, "chain=shop").await;
    let told = answer["records"].as_array().unwrap();
    let told: Vec<(&str, &str)> =
        told.iter().map(|record| (record["event"].as_str().unwrap(), record["kind"].as_str().unwrap())).collect();
    assert_eq!(told, [("new", "layout"), ("new", "link"), ("signed", "link")]);
    assert_eq!(answer["records"][2]["signers"].as_array().unwrap().len(), 2);
}
