//! The metadata store over real sockets and a real database: for everything it does, what it refuses (docs/store.md).

#[path = "store/bodies.rs"]
mod bodies;
#[path = "store/client.rs"]
mod client;
#[path = "store/clock.rs"]
mod clock;
#[path = "support/databases.rs"]
mod databases;
#[path = "store/failpoints.rs"]
mod failpoints;
#[path = "store/full.rs"]
mod full;
#[path = "store/kill.rs"]
mod kill;
#[path = "store/one.rs"]
mod one;
#[path = "store/openapi.rs"]
mod openapi;
#[allow(dead_code)] // other tests use other parts
#[path = "support/openpgp.rs"]
mod openpgp;
#[path = "store/program.rs"]
mod program;
#[path = "store/query.rs"]
mod query;
#[path = "store/restart.rs"]
mod restart;
#[path = "store/s3.rs"]
mod s3;
#[path = "store/shop.rs"]
mod shop;
#[path = "store/size.rs"]
mod size;
#[path = "store/stream.rs"]
mod stream;
#[path = "store/verdicts.rs"]
mod verdicts;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use databases::On;
use serde_json::{Value, json};
use shop::*;
use std::time::Duration;
use tidewaiter::{
    PublicKey,
    digest::Digest,
    envelope::{Envelope, Signature},
    server::{Bounds, Pace},
};

databases::on_both!(
    a_layout_needs_its_owners,
    a_layout_must_be_one_and_be_alive,
    a_link_needs_a_key_of_its_step,
    a_key_that_says_more_is_another_key,
    a_token_writes_the_steps_it_was_given,
    a_record_is_what_its_name_says,
    what_is_neither_layout_nor_link_is_refused,
    a_statement_is_kept_as_the_link_it_is,
    evidence_is_everything_for_the_image_as_it_was_received,
    readers_see_their_chains_and_no_others,
    a_chain_without_readers_is_open,
    a_run_and_a_subject_tie_what_artifacts_do_not,
    what_is_kept_outlives_the_server,
);

fn image() -> Digest {
    Digest::sha256(b"image")
}

async fn a_layout_needs_its_owners(on: On) {
    let shop = Shop::on(on).await;
    let Keys { alice, bob, stranger, .. } = &shop.keys;
    let document = layout(&shop.keys, FUTURE, "");
    for too_few in [vec![alice], vec![alice, stranger], vec![alice, alice], vec![]] {
        let record = seal(&document, &too_few);
        assert_eq!(shop.put(LAPTOP, &record).await, no(422, "layout_untrusted"), "{} keys", too_few.len());
    }
    let both = seal(&document, &[alice, bob]);
    assert_eq!(shop.put(CI, &both).await, no(403, "forbidden"));
    assert_eq!(shop.put(LAPTOP, &both).await, yes(201));
    assert_eq!(shop.put(LAPTOP, &both).await, yes(200));
    // The older container is a record of its own name.
    let older = metablock(&document, &[alice, bob]);
    assert_eq!(shop.put(LAPTOP, &older).await, yes(201));
}

async fn a_layout_must_be_one_and_be_alive(on: On) {
    let shop = Shop::on(on).await;
    let owners = [&shop.keys.alice, &shop.keys.bob];
    let expired = seal(&layout(&shop.keys, "2020-01-01T00:00:00Z", ""), &owners);
    assert_eq!(shop.put(LAPTOP, &expired).await, no(422, "layout_expired"));
    let mut document = layout(&shop.keys, FUTURE, "");
    document["steps"][0]["threshold"] = json!("one");
    assert_eq!(shop.put(LAPTOP, &seal(&document, &owners)).await, no(422, "layout_malformed"));
    assert_eq!(shop.put(LAPTOP, &seal(&layout(&shop.keys, FUTURE, ""), &owners)).await, yes(201));
}

async fn a_link_needs_a_key_of_its_step(on: On) {
    let shop = Shop::on(on).await;
    let Keys { ci, tester, stranger, .. } = &shop.keys;
    let build = seal(&link("build", &image()), &[ci]);
    assert_eq!(shop.put(CI, &build).await, no(422, "signature_untrusted"), "no layout yet");
    shop.put_layout().await;
    for stranger in [stranger, tester] {
        let record = seal(&link("build", &image()), &[stranger]);
        assert_eq!(shop.put(CI, &record).await, no(422, "signature_untrusted"));
    }
    let mut forged: Value = serde_json::from_slice(&build.bytes).unwrap();
    forged["signatures"][0]["sig"] = json!(STANDARD.encode([7u8; 64]));
    let forged = forged.to_string().into_bytes();
    assert_eq!(shop.put_as(CI, &build.name, forged).await, no(422, "signature_invalid"));
    assert_eq!(shop.put(CI, &build).await, yes(201));
    assert_eq!(shop.put(CI, &build).await, yes(200));
    // Nothing that was refused is there.
    assert_eq!(shop.names(&image()).await.len(), 2);
}

/// The id of an OpenPGP key is what a layout says it is: what the store knows it by is more than that.
async fn a_key_that_says_more_is_another_key(on: On) {
    let shop = Shop::on(on).await;
    let (master, sub) = (openpgp::Key::ed25519(), openpgp::Key::ed25519());
    let put_layout = async |readme: &str, sub: Option<&openpgp::Key>| {
        let mut document = layout(&shop.keys, FUTURE, readme);
        let key = PublicKey::from_pgp(&openpgp::certificate(&master, sub)).unwrap();
        document["keys"][key.id()] = key.to_layout();
        document["steps"][1]["pubkeys"] = json!([key.id()]);
        let record = seal(&document, &[&shop.keys.alice, &shop.keys.bob]);
        assert_eq!(shop.put(LAPTOP, &record).await, yes(201));
    };
    let signed_by = |key: &openpgp::Key| {
        let mut envelope = Envelope::sign_metablock((&link("build", &image())).into(), &[]).unwrap();
        let made = key.sign_metadata(&envelope.signed_bytes());
        envelope.signatures.push(Signature {
            keyid: Some(key.id()),
            sig: made.value,
            other_headers: Some(made.headers),
            ..Signature::default()
        });
        Record { name: envelope.digest().to_string(), bytes: envelope.to_bytes() }
    };
    put_layout("without", None).await;
    assert_eq!(shop.put(CI, &signed_by(&sub)).await, no(422, "signature_untrusted"));
    put_layout("with", Some(&sub)).await;
    assert_eq!(shop.put(CI, &signed_by(&sub)).await, yes(201));
    let mut forged: Value = serde_json::from_slice(&signed_by(&master).bytes).unwrap();
    forged["signatures"][0]["other_headers"] = json!("04001608000605027fffffff");
    let forged = Record { name: signed_by(&master).name, bytes: forged.to_string().into_bytes() };
    assert_eq!(shop.put(CI, &forged).await, no(422, "signature_invalid"));
    assert_eq!(shop.put(CI, &signed_by(&master)).await, yes(200));
}

async fn a_token_writes_the_steps_it_was_given(on: On) {
    let shop = Shop::on(on).await;
    shop.put_layout().await;
    let test = seal(&link("test", &image()), &[&shop.keys.tester]);
    assert_eq!(shop.put(CI, &test).await, no(403, "forbidden"));
    assert_eq!(shop.put(CLUSTER, &test).await, no(403, "forbidden"));
    assert_eq!(shop.put("nobody", &test).await, no(401, "unauthenticated"));
    let url = shop.url(&format!("/v1/records/{}", test.name));
    let bare = shop.http.put(&url).body(test.bytes.clone()).send().await.unwrap();
    assert_eq!(bare.headers()["www-authenticate"], "Bearer realm=\"tidewaiter\"");
    assert_eq!(answer(bare).await, no(401, "unauthenticated"));
    let basic = shop.http.put(&url).basic_auth("laptop", Some(LAPTOP)).body(test.bytes.clone());
    assert_eq!(answer(basic.send().await.unwrap()).await, no(401, "unauthenticated"));
    assert_eq!(shop.put(LAPTOP, &test).await, yes(201));
}

async fn a_record_is_what_its_name_says(on: On) {
    let shop = Shop::on(on).await;
    shop.put_layout().await;
    let build = seal(&link("build", &image()), &[&shop.keys.ci]);
    let hex = build.name.strip_prefix("sha256:").unwrap().to_owned();
    let other = Digest::sha256(b"other").to_string();
    assert_eq!(shop.put_as(CI, &other, build.bytes.clone()).await, no(400, "digest_mismatch"));
    for name in ["sha256:00", "sha512:00", &hex.to_uppercase(), "latest"] {
        assert_eq!(shop.put_as(CI, name, build.bytes.clone()).await, no(400, "request_malformed"), "{name}");
    }
    for body in [&b""[..], b"{}", b"not json", br#"{"payload":"","payloadType":"t","signatures":[]"#] {
        assert_eq!(shop.put_as(CI, &build.name, body.to_vec()).await, no(400, "request_malformed"));
    }
    assert_eq!(shop.put_as(CI, &hex, build.bytes.clone()).await, yes(201), "the bare hex is a name too");
    assert_eq!(shop.put_as(CI, &build.name, build.bytes).await, yes(200));
}

async fn what_is_neither_layout_nor_link_is_refused(on: On) {
    let shop = Shop::on(on).await;
    shop.put_layout().await;
    let ci = [&shop.keys.ci];
    let mut broken = link("build", &image());
    broken["materials"] = json!([]);
    let statement =
        json!({"_type": "https://in-toto.io/Statement/v1", "subject": [], "predicateType": "t", "predicate": {}});
    for document in [broken, statement, json!({"name": "build"}), json!({"_type": "root"})] {
        assert_eq!(shop.put(LAPTOP, &seal(&document, &ci)).await, no(422, "link_malformed"), "{document}");
    }
}

/// What a builder says of the image: SLSA provenance, which names no step.
fn provenance(image: &Digest) -> Value {
    json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
        "subject": [{"name": "registry.example.com/shop/api", "digest": {"sha256": image.hex()}}],
        "predicate": {"buildDefinition": {"resolvedDependencies": []}}})
}

async fn a_statement_is_kept_as_the_link_it_is(on: On) {
    let shop = Shop::on(on).await;
    shop.put_layout().await;
    let Keys { ci, tester, .. } = &shop.keys;
    let mut link = provenance(&image());
    link["predicateType"] = json!("https://in-toto.io/attestation/link/v0.3");
    link["predicate"] = json!({"name": "test"});
    // Its products are its subjects, by the names they have: images in a link are `oci:`.
    link["subject"][0]["name"] = json!("oci:registry.example.com/shop/api");
    let link = seal(&link, &[tester]);
    assert_eq!(shop.put(CI, &link).await, no(403, "forbidden"), "not its step");
    assert_eq!(shop.put(LAPTOP, &link).await, yes(201));

    let record = seal(&provenance(&image()), &[ci]);
    let put = async |token, step: &str| {
        let name = format!("{}{step}", record.name);
        shop.put_as(token, &name, record.bytes.clone()).await
    };
    assert_eq!(put(LAPTOP, "").await, no(400, "request_malformed"), "it names no step");
    assert_eq!(put(LAPTOP, "?step=test").await, no(422, "signature_untrusted"), "not its signer's step");
    assert_eq!(put(CI, "?step=test").await, no(403, "forbidden"));
    assert_eq!(put(CI, "?step=build").await, yes(201));
    assert_eq!(put(CI, "?step=build").await, yes(200));
    let named = format!("{}?step=build", link.name);
    assert_eq!(shop.put_as(LAPTOP, &named, link.bytes.clone()).await, no(400, "request_malformed"), "it names another");
    // The image finds them both, beside the layout.
    let names = shop.names(&image()).await;
    assert!(names.contains(&link.name) && names.contains(&record.name) && names.len() == 3, "{names:?}");
    // A broken one is none, whatever it claims.
    let mut weak = provenance(&image());
    weak["subject"][0]["digest"] = json!({"md5": "00"});
    let mut other = weak.clone();
    other["predicateType"] = json!("https://spdx.dev/Document");
    for document in [weak, other] {
        let record = seal(&document, &[ci]);
        let name = format!("{}?step=build", record.name);
        assert_eq!(shop.put_as(CI, &name, record.bytes).await, no(422, "link_malformed"), "{document}");
    }
}

#[tokio::test]
async fn bodies_are_bounded() {
    let shop = Shop::open().await;
    let name = image().to_string();
    let nine = vec![b' '; 9 << 20];
    assert_eq!(shop.put_as(LAPTOP, &name, nine).await, no(413, "record_too_large"));
    // An endless body of unknown length is read to the limit and no further.
    let part = |_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; 1 << 20]));
    let endless = reqwest::Body::wrap_stream(futures::stream::iter((0..64).map(part)));
    let put = shop.http.put(shop.url(&format!("/v1/records/{name}"))).bearer_auth(LAPTOP).body(endless);
    match put.send().await {
        Ok(response) => assert_eq!(answer(response).await, no(413, "record_too_large")),
        // The answer may be lost when the server stops reading while we still write.
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    // A stranger's body is not read at all.
    assert_eq!(shop.put_as("nobody", &name, vec![b' '; 1 << 20]).await, no(401, "unauthenticated"));
    let layout = shop.put_layout().await;
    assert_eq!(shop.put(LAPTOP, &layout).await, yes(200));
}

#[tokio::test]
async fn a_full_store_says_so_and_serves_on() {
    let shop = Shop::with(Keys::new(), Setup { pages_max: Some(120), ..Setup::default() }).await;
    shop.put_layout().await;
    let mut kept = 0;
    let refused = loop {
        let mut document = link("build", &image());
        document["environment"] = json!({"n": kept, "filler": "x".repeat(32 << 10)});
        match shop.put(CI, &seal(&document, &[&shop.keys.ci])).await {
            (201, _) => kept += 1,
            other => break other,
        }
    };
    assert_eq!(refused, no(507, "storage_full"));
    assert!(kept > 0);
    assert!(!shop.names(&image()).await.is_empty());
}

async fn evidence_is_everything_for_the_image_as_it_was_received(on: On) {
    let shop = Shop::on(on).await;
    let layout = shop.put_layout().await;
    let build = seal(&link("build", &image()), &[&shop.keys.ci]);
    assert_eq!(shop.put(CI, &build).await, yes(201));
    let (status, body) = shop.evidence(Some(CLUSTER), &image().to_string()).await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({"image": image().to_string(), "records": [
            {"digest": layout.name, "kind": "layout", "chain": "shop", "envelope": STANDARD.encode(&layout.bytes)},
            {"digest": build.name, "kind": "link", "chain": "shop", "step": "build", "envelope": STANDARD.encode(&build.bytes)},
        ]})
    );
    let unknown = Digest::sha256(b"unknown");
    let (status, body) = shop.evidence(Some(CLUSTER), &unknown.to_string()).await;
    assert_eq!((status, body), (200, json!({"image": unknown.to_string(), "records": []})));
    for bad in ["sha256:00", "latest", "sha512:00"] {
        let (status, body) = shop.evidence(Some(CLUSTER), bad).await;
        assert_eq!((status, &body["reason"]), (400, &json!("request_malformed")), "{bad}");
    }
}

async fn readers_see_their_chains_and_no_others(on: On) {
    let keys = Keys::new();
    let writers =
        || json!([{"name": "laptop", "tokenHash": token_hash(LAPTOP), "steps": ["*"], "kinds": ["layout", "link"]}]);
    let reader = |token: &str| json!([{"name": "r", "tokenHash": token_hash(token)}]);
    let documents = [
        owners(&keys),
        chain("mine", "registry.example.com/shop/api", writers(), reader(CLUSTER)),
        chain("theirs", "registry.example.com/other", writers(), reader("their-cluster")),
    ];
    let documents = Some(documents.map(|document| document.to_string()).join("\n---\n"));
    let shop = Shop::with(keys, Setup { documents, ..Setup::on(on) }).await;
    // Both chains share the writer's token and the owners: the chain is named, or told by the image.
    let owners = [&shop.keys.alice, &shop.keys.bob];
    for chain in ["mine", "theirs"] {
        let record = seal(&layout(&shop.keys, FUTURE, chain), &owners);
        let put = shop.http.put(shop.url(&format!("/v1/records/{}?chain={chain}", record.name)));
        assert_eq!(answer(put.bearer_auth(LAPTOP).body(record.bytes).send().await.unwrap()).await, yes(201));
    }
    let mut anyones = layout(&shop.keys, FUTURE, "whose?");
    anyones["steps"][0]["expected_products"] = json!([]);
    anyones["steps"][1]["expected_products"] = json!([]);
    assert_eq!(shop.put(LAPTOP, &seal(&anyones, &owners)).await, no(400, "chain_ambiguous"));
    let build = seal(&link("build", &image()), &[&shop.keys.ci]);
    assert_eq!(shop.put(LAPTOP, &build).await, yes(201), "the image is of one chain");
    let url = shop.url(&format!("/v1/records/{}", build.name));
    let put = |chain: &str| {
        let put = shop.http.put(&url).header("Tidewaiter-Chain", chain).bearer_auth(LAPTOP).body(build.bytes.clone());
        async { answer(put.send().await.unwrap()).await }
    };
    assert_eq!(put("mine").await, yes(200));
    assert_eq!(put("theirs").await, yes(201));
    assert_eq!(put("nobodys").await, no(403, "forbidden"));

    let chains = async |token: Option<&str>| {
        let (status, body) = shop.evidence(token, &image().to_string()).await;
        let records = body["records"].as_array().cloned().unwrap_or_default();
        let mut chains: Vec<String> = records.iter().map(|r| r["chain"].as_str().unwrap().to_owned()).collect();
        chains.dedup();
        (status, chains)
    };
    assert_eq!(chains(Some(CLUSTER)).await, (200, vec!["mine".to_owned()]));
    assert_eq!(chains(Some("their-cluster")).await, (200, vec!["theirs".to_owned()]));
    assert_eq!(chains(Some(LAPTOP)).await, (403, vec![]));
    assert_eq!(chains(Some("nobody")).await, (401, vec![]));
    assert_eq!(chains(None).await, (401, vec![]));
}

async fn a_chain_without_readers_is_open(on: On) {
    let keys = Keys::new();
    let writers =
        json!([{"name": "laptop", "tokenHash": token_hash(LAPTOP), "steps": ["*"], "kinds": ["layout", "link"]}]);
    let chain = chain("shop", "registry.example.com/shop/api", writers, json!([]));
    let documents = Some([owners(&keys), chain].map(|document| document.to_string()).join("\n---\n"));
    let shop = Shop::with(keys, Setup { documents, ..Setup::on(on) }).await;
    shop.put_layout().await;
    assert_eq!(shop.put(LAPTOP, &seal(&link("build", &image()), &[&shop.keys.ci])).await, yes(201));
    let (status, body) = shop.evidence(None, &image().to_string()).await;
    assert_eq!((status, body["records"].as_array().unwrap().len()), (200, 2));
    assert_eq!(shop.evidence(Some("nobody"), &image().to_string()).await.0, 401);
}

async fn a_run_and_a_subject_tie_what_artifacts_do_not(on: On) {
    let shop = Shop::on(on).await;
    shop.put_layout().await;
    let mut test = link("test", &image());
    test["materials"] = json!({});
    test["products"] = json!({"report": {"sha256": Digest::sha256(b"report").hex()}});
    let put = async |record: &Record, query: &str| {
        let put = shop.http.put(shop.url(&format!("/v1/records/{}{query}", record.name)));
        answer(put.bearer_auth(LAPTOP).body(record.bytes.clone()).send().await.unwrap()).await
    };
    let test = seal(&test, &[&shop.keys.tester]);
    let build = seal(&link("build", &image()), &[&shop.keys.ci]);
    assert_eq!(put(&build, "?run=ci/7").await, yes(201));
    assert_eq!(put(&test, "").await, yes(201));
    assert!(!shop.names(&image()).await.contains(&test.name));
    assert_eq!(put(&test, "?run=ci/7").await, yes(200));
    assert!(shop.names(&image()).await.contains(&test.name));
    let other = Digest::sha256(b"another image");
    assert_eq!(put(&test, &format!("?subject={other}")).await, yes(200));
    assert!(shop.names(&other).await.contains(&test.name));
    for query in ["?run=", "?subject=latest", "?color=red", "?run=a&run=b", "?chain=%07"] {
        assert_eq!(put(&test, query).await, no(400, "request_malformed"), "{query}");
    }
}

async fn what_is_kept_outlives_the_server(on: On) {
    let shop = Shop::on(on).await;
    let layout = shop.put_layout().await;
    let build = seal(&link("build", &image()), &[&shop.keys.ci]);
    assert_eq!(shop.put(CI, &build).await, yes(201));
    let (place, keys) = shop.close().await;
    let shop = Shop::at(place, keys, Setup::on(on)).await;
    assert_eq!(shop.names(&image()).await, [layout.name.clone(), build.name.clone()]);
    assert_eq!(shop.put(CI, &build).await, yes(200));
    // The layout's keys are still known.
    let again = seal(&link("build", &Digest::sha256(b"next")), &[&shop.keys.ci]);
    assert_eq!(shop.put(CI, &again).await, yes(201));
}

/// A body that begins and never ends, and word of when it has begun.
fn endless() -> (reqwest::Body, tokio::sync::oneshot::Receiver<()>) {
    let (started, starts) = tokio::sync::oneshot::channel();
    let beginning = futures::stream::once(async move {
        let _ = started.send(());
        Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"{"))
    });
    let never = futures::StreamExt::chain(beginning, futures::stream::pending());
    (reqwest::Body::wrap_stream(never), starts)
}

#[tokio::test]
async fn who_sends_slowly_keeps_nobody_waiting_but_themselves() {
    let pace = Pace { room_wait: Duration::from_millis(100), grace: Duration::from_secs(4), ..Pace::default() };
    let bounds = Bounds { requests_max: 1, pace, ..Bounds::default() };
    let shop = Shop::with(Keys::new(), Setup { bounds: Some(bounds), ..Setup::default() }).await;
    shop.put_layout().await;
    // Neither a writer's body nor a reader's whose end never comes has the one place there is.
    let ((record, starts), (question, asks)) = (endless(), endless());
    let put = shop.http.put(shop.url(&format!("/v1/records/{}", image()))).bearer_auth(LAPTOP).body(record);
    let post = shop.http.post(shop.url("/v1/evidence:batch")).bearer_auth(CLUSTER).body(question);
    let slow = [tokio::spawn(put.send()), tokio::spawn(post.send())];
    starts.await.unwrap();
    asks.await.unwrap();
    let link = seal(&link("build", &image()), &[&shop.keys.ci]);
    // What states no length may have any: all the room that its sender has.
    let mut refused = shop.put(LAPTOP, &link).await;
    while refused == yes(201) || refused == yes(200) {
        refused = shop.put(LAPTOP, &link).await;
    }
    assert_eq!(refused, no(503, "overloaded"));
    let written = shop.put(CI, &link).await;
    assert!(written == yes(201) || written == yes(200), "{written:?}");
    assert_eq!(shop.evidence(Some(CLUSTER), &image().to_string()).await.0, 200);
    let other = shop.http.post(shop.url("/v1/evidence:batch")).bearer_auth(CLUSTER).body(r#"{"images":[]}"#);
    assert_eq!(other.send().await.unwrap().status(), 200);
    assert!(slow.iter().all(|slow| !slow.is_finished()));
    for slow in slow {
        assert_eq!(answer(slow.await.unwrap().unwrap()).await, no(408, "body_too_slow"));
    }
    assert_eq!(shop.put(LAPTOP, &link).await, yes(200));
}

#[tokio::test]
async fn a_request_has_an_end() {
    let bounds = Bounds { request_timeout: Duration::from_secs(1), ..Bounds::default() };
    let shop = Shop::with(Keys::new(), Setup { bounds: Some(bounds), ..Setup::default() }).await;
    let (body, _) = endless();
    let put = shop.http.put(shop.url(&format!("/v1/records/{}", image()))).bearer_auth(LAPTOP).body(body);
    assert_eq!(answer(put.send().await.unwrap()).await, no(503, "deadline_exceeded"));
    let layout = shop.put_layout().await;
    assert_eq!(shop.put(LAPTOP, &layout).await, yes(200));
}

#[tokio::test]
async fn health_and_metrics_have_a_port_of_their_own() {
    let shop = Shop::open().await;
    shop.put_layout().await;
    assert_eq!(shop.put("nobody", &seal(&link("build", &image()), &[&shop.keys.ci])).await.0, 401);
    let get = async |url: String| {
        let response = shop.http.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(format!("http://{}{path}", shop.metrics)).await, (200, "ok\n".to_owned()));
        assert_eq!(get(shop.url(path)).await.0, 200);
    }
    let (status, text) = get(format!("http://{}/metrics", shop.metrics)).await;
    assert_eq!(status, 200);
    for line in [
        r#"tidewaiter_store_records_total{kind="layout",result="created"} 1"#,
        r#"tidewaiter_store_refused_total{reason="unauthenticated"} 1"#,
        r#"tidewaiter_store_http_requests_total{route="/v1/records/{name}",status="201"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert_eq!(get(shop.url("/metrics")).await.0, 404);
    assert_eq!(shop.http.post(shop.url("/v1/evidence/x")).send().await.unwrap().status(), 405);
}
