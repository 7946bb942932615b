//! Evidence of many images at once, and answers that have not changed.

use crate::{identity::image, shop::*};
use serde_json::{Value, json};
use tidewaiter::{digest::Digest, server::Bounds, store::EvidenceLimits};

async fn ask(shop: &Shop, token: Option<&str>, body: Value) -> (u16, Value) {
    let mut post = shop.http.post(shop.url("/v1/evidence:batch")).body(body.to_string());
    if let Some(token) = token {
        post = post.bearer_auth(token);
    }
    let response = post.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Status, tag and body.
async fn get(shop: &Shop, image: &Digest, known: Option<&str>) -> (u16, String, Vec<u8>) {
    let mut get = shop.http.get(shop.url(&format!("/v1/evidence/{image}"))).bearer_auth(CLUSTER);
    if let Some(tag) = known {
        get = get.header("If-None-Match", tag);
    }
    let response = get.send().await.unwrap();
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(response.headers()["cache-control"], "private, no-cache");
    (response.status().as_u16(), tag, response.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn images_are_answered_in_the_order_they_were_asked_for() {
    let shop = Shop::open().await;
    shop.put_layout().await;
    let images: Vec<Digest> = (0..5).map(|number: i32| Digest::sha256(&number.to_be_bytes())).collect();
    for image in &images {
        assert_eq!(shop.put(CI, &seal(&link("build", image), &[&shop.keys.ci])).await, yes(201));
    }
    let unknown = Digest::sha256(b"unknown");
    let mut names: Vec<String> = images.iter().rev().map(Digest::to_string).collect();
    names.insert(2, unknown.hex().to_owned());
    let (status, body) = ask(&shop, Some(CLUSTER), json!({"images": names})).await;
    assert_eq!(status, 200, "{body}");
    let answers = body["images"].as_array().unwrap();
    assert_eq!(answers.len(), 6);
    assert_eq!(answers[2]["image"], unknown.to_string());
    assert_eq!(answers[2]["records"], json!([]));
    for (answer, name) in answers.iter().zip(&names) {
        assert!(answer["image"].as_str().unwrap().ends_with(name.as_str()));
        assert_eq!(answer["truncated"], false);
        // What is asked alone is answered alike.
        let (_, tag, alone) = get(&shop, &answer["image"].as_str().unwrap().parse().unwrap(), None).await;
        let alone: Value = serde_json::from_slice(&alone).unwrap();
        assert_eq!((&answer["records"], &answer["etag"]), (&alone["records"], &json!(tag)));
    }
}

#[tokio::test]
async fn a_batch_has_the_rights_and_the_bounds_of_a_single_question() {
    let shop = Shop::open().await;
    let one = json!({"images": [image().to_string()]});
    for (token, status, reason) in
        [(None, 401, "unauthenticated"), (Some("nobody"), 401, "unauthenticated"), (Some(CI), 403, "forbidden")]
    {
        let (found, body) = ask(&shop, token, one.clone()).await;
        assert_eq!((found, body["reason"].as_str().unwrap()), (status, reason));
    }
    shop.put_layout().await;
    assert_eq!(shop.put(CI, &seal(&link("build", &image()), &[&shop.keys.ci])).await, yes(201));
    let (status, body) = ask(&shop, Some(CLUSTER), json!({"images": [image().to_string()], "chain": "nobodys"})).await;
    assert_eq!((status, &body["reason"]), (403, &json!("forbidden")));
    let (status, body) = ask(&shop, Some(CLUSTER), json!({"images": [image().to_string()], "chain": "shop"})).await;
    assert_eq!((status, body["images"][0]["records"].as_array().unwrap().len()), (200, 2));
    for bad in [
        json!({"images": vec![image().to_string(); 101]}),
        json!({"images": ["latest"]}),
        json!({"image": []}),
        json!({"images": [], "chain": ""}),
        json!([]),
    ] {
        let (status, body) = ask(&shop, Some(CLUSTER), bad).await;
        assert_eq!((status, body["reason"].as_str().unwrap()), (400, "request_malformed"));
    }
    let (status, body) = ask(&shop, Some(CLUSTER), json!({"images": ["x".repeat(70 << 10)]})).await;
    assert_eq!((status, body["reason"].as_str().unwrap()), (413, "record_too_large"));
    assert_eq!(ask(&shop, Some(CLUSTER), json!({"images": vec![image().to_string(); 100]})).await.0, 200);
}

#[tokio::test]
async fn images_of_one_batch_share_its_bytes() {
    let evidence = EvidenceLimits { bytes_max: 4_000, ..EvidenceLimits::DEFAULT };
    let bounds = Some(Bounds { evidence, ..Bounds::default() });
    let shop = Shop::with(Keys::new(), Setup { bounds, ..Setup::default() }).await;
    shop.put_layout().await;
    assert_eq!(shop.put(CI, &seal(&link("build", &image()), &[&shop.keys.ci])).await, yes(201));
    let (status, body) = ask(&shop, Some(CLUSTER), json!({"images": vec![image().to_string(); 3]})).await;
    assert_eq!(status, 200);
    let cut: Vec<bool> = body["images"].as_array().unwrap().iter().map(|one| one["truncated"] == true).collect();
    assert_eq!((cut[0], cut[2]), (false, true), "{cut:?}");
    assert_ne!(body["images"][0]["etag"], body["images"][2]["etag"], "what was cut is another answer");
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let shop = Shop::open().await;
    let (_, empty, _) = get(&shop, &image(), None).await;
    assert_eq!(get(&shop, &image(), Some(&empty)).await.0, 304);
    shop.put_layout().await;
    let build = seal(&link("build", &image()), &[&shop.keys.ci]);
    assert_eq!(shop.put(CI, &build).await, yes(201));
    let (status, tag, body) = get(&shop, &image(), Some(&empty)).await;
    assert_eq!(status, 200);
    assert!(tag.starts_with('"') && tag.len() == 66 && tag != empty, "{tag}");
    let (status, same, nothing) = get(&shop, &image(), Some(&format!("\"x\", W/{tag}"))).await;
    assert_eq!((status, &same, nothing.len()), (304, &tag, 0));
    // The same again changes nothing; a further signature does.
    assert_eq!(shop.put(CI, &build).await, yes(200));
    assert_eq!(get(&shop, &image(), Some(&tag)).await.0, 304);
    let mut wider = layout(&shop.keys, FUTURE, "both build");
    let both = [shop.keys.ci.public().id(), shop.keys.tester.public().id()];
    wider["steps"][1]["pubkeys"] = json!(both);
    let wider = seal(&wider, &[&shop.keys.alice, &shop.keys.bob]);
    assert_eq!(shop.put(LAPTOP, &wider).await, yes(201));
    let (status, tag, _) = get(&shop, &image(), Some(&tag)).await;
    assert_eq!(status, 200, "a layout came");
    assert_eq!(shop.put(CI, &seal(&link("build", &image()), &[&shop.keys.tester])).await, yes(200));
    let (status, signed, longer) = get(&shop, &image(), Some(&tag)).await;
    assert_eq!(status, 200, "a signature came");
    assert_ne!(signed, tag);
    assert!(longer.len() > body.len());
}

/// A chain that is named and may not be read is no empty answer, whatever else may be read.
#[tokio::test]
async fn a_chain_that_is_named_must_be_one_that_may_be_read() {
    let keys = Keys::new();
    let writers = || json!([{"name": "ci", "tokenHash": token_hash(CI), "steps": ["build"], "kinds": ["link"]}]);
    let readers = |name: &str, token: &str| json!([{"name": name, "tokenHash": token_hash(token)}]);
    let chains = [
        chain("shop", "registry.example.com/shop/api", writers(), readers("cluster", CLUSTER)),
        chain("other", "registry.example.com/other/api", writers(), readers("other", "other-token")),
        chain("open", "registry.example.com/open/api", writers(), json!([])),
    ];
    let documents = std::iter::once(owners(&keys)).chain(chains).map(|document| document.to_string());
    let documents = Some(documents.collect::<Vec<_>>().join("\n---\n"));
    let shop = Shop::with(keys, Setup { documents, ..Setup::default() }).await;
    let get = async |token: Option<&str>, path: &str| {
        let get = shop.http.get(shop.url(path));
        answer(token.iter().fold(get, |get, token| get.bearer_auth(token)).send().await.unwrap()).await
    };
    let evidence = format!("/v1/evidence/{}", image());
    for path in [evidence.as_str(), "/v1/search"] {
        let of = |chain: &str| format!("{path}?chain={chain}");
        assert_eq!(get(None, path).await, yes(200), "what is open to all");
        assert_eq!(get(None, &of("open")).await, yes(200));
        assert_eq!(get(None, &of("shop")).await, no(401, "unauthenticated"), "{path}");
        assert_eq!(get(None, &of("nobodys")).await, no(401, "unauthenticated"), "{path}");
        assert_eq!(get(Some("other-token"), &of("shop")).await, no(403, "forbidden"), "{path}");
        assert_eq!(get(Some("other-token"), &of("nobodys")).await, no(403, "forbidden"), "{path}");
        assert_eq!(get(Some(CLUSTER), &of("shop")).await, yes(200));
    }
    for query in ["run=ci/7", "step=build", "subject=x", "chain=shop&chain=open", "chain="] {
        let refused = get(Some(CLUSTER), &format!("{evidence}?{query}")).await;
        assert_eq!(refused, no(400, "request_malformed"), "{query}");
    }
    for path in ["/v1/evidence:batch", "/v1/records:batch"] {
        let token = if path.contains("records") { CI } else { CLUSTER };
        let post = |query: &str| shop.http.post(shop.url(&format!("{path}{query}"))).bearer_auth(token);
        let body = if path.contains("records") { r#"{"records":[]}"# } else { r#"{"images":[]}"# };
        assert_eq!(answer(post("").body(body).send().await.unwrap()).await, yes(200));
        let refused = answer(post("?chain=shop").body(body).send().await.unwrap()).await;
        assert_eq!(refused, no(400, "request_malformed"), "{path}");
    }
}
