//! Many records in one request, and bodies that come packed.

use crate::{
    identity::{grant, image, job, shop_of, writer},
    issuer::Issuer,
    shop::*,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tidewaiter::digest::Digest;

fn item(record: &Record) -> Value {
    json!({"digest": record.name, "envelope": STANDARD.encode(&record.bytes)})
}

/// The answer to a batch.
async fn send(shop: &Shop, token: &str, body: impl Into<reqwest::Body>) -> Result<Vec<Value>, (u16, String)> {
    let post = shop.http.post(shop.url("/v1/records:batch")).bearer_auth(token).body(body);
    let response = post.send().await.unwrap();
    if response.status() != 200 {
        return Err(answer(response).await);
    }
    let body: Value = response.json().await.unwrap();
    Ok(body["results"].as_array().unwrap().clone())
}

async fn batch(shop: &Shop, token: &str, records: Vec<Value>) -> Result<Vec<Value>, (u16, String)> {
    send(shop, token, json!({"records": records}).to_string()).await
}

fn of(results: &[Value]) -> Vec<(u64, &str)> {
    results.iter().map(|r| (r["status"].as_u64().unwrap(), r["reason"].as_str().unwrap_or_default())).collect()
}

#[tokio::test]
async fn each_record_of_a_batch_has_its_own_result() {
    let shop = Shop::open().await;
    let keys = &shop.keys;
    let layout = seal(&layout(keys, FUTURE, ""), &[&keys.alice, &keys.bob]);
    let link_of =
        |step: &str, number: usize, key| seal(&link(step, &Digest::sha256(number.to_string().as_bytes())), &[key]);
    let (good, forged) = (link_of("build", 1, &keys.ci), link_of("build", 2, &keys.stranger));
    let test = link_of("test", 3, &keys.tester);
    let mut misnamed = item(&link_of("build", 4, &keys.ci));
    misnamed["digest"] = json!(Digest::sha256(b"other").to_string());
    let mut unnamed = item(&good);
    unnamed["digest"] = json!("latest");
    let mut garbled = item(&good);
    garbled["envelope"] = json!("***");
    let mut with_run = item(&link_of("test", 5, &keys.tester));
    with_run["run"] = json!("");
    // The layout stands behind the links whose keys it brings.
    let records =
        vec![item(&good), item(&forged), item(&test), misnamed, unnamed, garbled, with_run, item(&layout), item(&good)];
    let results = batch(&shop, LAPTOP, records).await.unwrap();
    assert_eq!(
        of(&results)[1..8],
        [
            (422, "signature_untrusted"),
            (201, ""),
            (400, "digest_mismatch"),
            (400, "request_malformed"),
            (400, "request_malformed"),
            (400, "request_malformed"),
            (201, ""),
        ]
    );
    // Twice in one batch it is new once, whichever came first.
    let mut twice = [&results[0], &results[8]].map(|result| result["status"].as_u64().unwrap());
    twice.sort_unstable();
    assert_eq!(twice, [200, 201]);
    assert_eq!(results[0]["digest"], good.name);
    assert_eq!(results[0]["chain"], "shop");
    assert_eq!(results[4]["digest"], "latest");
    assert!(!results[1]["detail"].as_str().unwrap().is_empty());
    // And each has its own rights.
    let results = batch(&shop, CI, vec![item(&good), item(&test), item(&layout)]).await.unwrap();
    assert_eq!(of(&results), [(200, ""), (403, "forbidden"), (403, "forbidden")]);
}

#[tokio::test]
async fn a_batch_ties_runs_and_subjects_as_a_single_record_does() {
    let shop = Shop::open().await;
    shop.put_layout().await;
    let mut test = link("test", &image());
    test["materials"] = json!({});
    test["products"] = json!({"report": {"sha256": Digest::sha256(b"report").hex()}});
    let test = seal(&test, &[&shop.keys.tester]);
    let mut first = item(&seal(&link("build", &image()), &[&shop.keys.ci]));
    first["run"] = json!("ci/7");
    let mut second = item(&test);
    second["run"] = json!("ci/7");
    let other = Digest::sha256(b"another image");
    second["subjects"] = json!([other.to_string()]);
    second["chain"] = json!("shop");
    assert_eq!(of(&batch(&shop, LAPTOP, vec![first, second]).await.unwrap()), [(201, ""), (201, "")]);
    assert!(shop.names(&image()).await.contains(&test.name));
    assert!(shop.names(&other).await.contains(&test.name));
    let mut elsewhere = item(&test);
    elsewhere["chain"] = json!("nobodys");
    assert_eq!(of(&batch(&shop, LAPTOP, vec![elsewhere]).await.unwrap()), [(403, "forbidden")]);
}

#[tokio::test]
async fn a_batch_is_bounded_and_of_somebody() {
    let shop = Shop::open().await;
    shop.put_layout().await;
    let good = item(&seal(&link("build", &image()), &[&shop.keys.ci]));
    for token in ["nobody", CLUSTER] {
        let expected = if token == CLUSTER { no(403, "forbidden") } else { no(401, "unauthenticated") };
        assert_eq!(batch(&shop, token, vec![good.clone()]).await, Err(expected));
    }
    let many = vec![json!({"digest": "x", "envelope": ""}); 1_001];
    assert_eq!(batch(&shop, LAPTOP, many).await, Err(no(400, "request_malformed")));
    let thousand = vec![json!({"digest": "x", "envelope": ""}); 1_000];
    assert_eq!(batch(&shop, LAPTOP, thousand).await.unwrap().len(), 1_000);
    assert_eq!(batch(&shop, LAPTOP, vec![]).await.unwrap().len(), 0);
    for body in ["", "[]", "{}", "{\"records\":[{}]}", "{\"records\":[],\"more\":1}", "{\"records\":[],\"records\":[]}"]
    {
        assert_eq!(send(&shop, LAPTOP, body).await, Err(no(400, "request_malformed")), "{body}");
    }
    let large = format!("{{\"records\":[{{\"digest\":\"x\",\"envelope\":\"{}\"}}]}}", "A".repeat(16 << 20));
    // The answer may be lost when the server stops reading while we still write.
    let post = shop.http.post(shop.url("/v1/records:batch")).bearer_auth(LAPTOP).body(large);
    if let Ok(response) = post.send().await {
        assert_eq!(answer(response).await, no(413, "record_too_large"));
    }
    let nine = json!({"digest": image().to_string(), "envelope": STANDARD.encode(vec![b' '; 9 << 20])});
    assert_eq!(of(&batch(&shop, LAPTOP, vec![nine, good]).await.unwrap()), [(413, "record_too_large"), (201, "")]);
}

#[tokio::test]
async fn bodies_may_come_packed_and_no_bomb_is_unpacked() {
    let shop = Shop::open().await;
    shop.put_layout().await;
    let record = seal(&link("build", &image()), &[&shop.keys.ci]);
    let packed = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let put = async |encoding: &str, body: Vec<u8>| {
        let put = shop.http.put(shop.url(&format!("/v1/records/{}", record.name))).bearer_auth(CI);
        answer(put.header("content-encoding", encoding).body(body).send().await.unwrap()).await
    };
    let bomb = packed(&vec![b' '; 256 << 20]);
    assert!(bomb.len() < 64 << 10);
    assert_eq!(put("zstd", bomb.clone()).await, no(413, "record_too_large"));
    assert_eq!(put("zstd", record.bytes.clone()).await, no(400, "request_malformed"), "not packed");
    let whole = packed(&record.bytes);
    assert_eq!(put("zstd", whole[..whole.len() - 4].to_vec()).await, no(400, "request_malformed"), "cut");
    for other in ["gzip", "br", "zstd, zstd", "zstd,gzip"] {
        assert_eq!(put(other, whole.clone()).await, no(415, "encoding_unsupported"), "{other}");
    }
    assert_eq!(shop.names(&image()).await, [] as [String; 0]);
    assert_eq!(put("ZSTD", whole).await, yes(201));
    assert_eq!(put("identity", record.bytes.clone()).await, yes(200));
    let body = json!({"records": [item(&record)]}).to_string();
    let post = async |body: Vec<u8>| {
        let post = shop.http.post(shop.url("/v1/records:batch")).bearer_auth(CI).header("content-encoding", "zstd");
        post.body(body).send().await.unwrap()
    };
    assert_eq!(post(packed(body.as_bytes())).await.json::<Value>().await.unwrap()["results"][0]["status"], 200);
    assert_eq!(answer(post(bomb).await).await, no(413, "record_too_large"));
}

#[tokio::test]
async fn a_job_flushes_its_spool_with_its_token() {
    let issuer = Issuer::start().await;
    let shop = shop_of(vec![writer("oidc", grant(&issuer))], vec![]).await;
    let link_of =
        |number: usize| seal(&link("build", &Digest::sha256(number.to_string().as_bytes())), &[&shop.keys.ci]);
    let records: Vec<Value> = (0..200).map(|number| item(&link_of(number))).collect();
    let results = batch(&shop, &issuer.token(job()), records.clone()).await.unwrap();
    assert!(of(&results).iter().all(|result| *result == (201, "")));
    // Repeated, nothing is new, and nothing is lost.
    let results = batch(&shop, &issuer.token(job()), records).await.unwrap();
    assert!(of(&results).iter().all(|result| *result == (200, "")));
    assert_eq!(issuer.asked(), 1);
}
