//! Links before their layout: kept aside where the chain says so, seen by nobody, released by a layout.

use crate::{
    databases::{On, on_both},
    identity::{grant, image, job, with},
    issuer::Issuer,
    shop::*,
};
use serde_json::{Value, json};
use std::time::Duration;

on_both!(
    a_link_before_its_layout_waits_for_it,
    what_waits_outlives_the_server,
    what_waits_is_of_the_writer_that_may_write_its_step,
);

fn documents_of(keys: &Keys, quarantine: bool) -> Option<String> {
    let mut text = documents(keys);
    if quarantine {
        text = text.replace("\"readers\"", "\"quarantine\":true,\"readers\"");
    }
    Some(text)
}

async fn shop_on(on: On, quarantine: bool) -> Shop {
    let keys = Keys::new();
    let documents = documents_of(&keys, quarantine);
    Shop::with(keys, Setup { documents, ..Setup::on(on) }).await
}

async fn put(shop: &Shop, token: &str, record: &Record) -> (u16, Value) {
    let put = shop.http.put(shop.url(&format!("/v1/records/{}", record.name))).bearer_auth(token);
    let response = put.body(record.bytes.clone()).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Until the image has so many records.
async fn until(shop: &Shop, count: usize) -> Vec<String> {
    let seen = async {
        loop {
            let names = shop.names(&image()).await;
            if names.len() == count {
                return names;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("released")
}

async fn a_link_before_its_layout_waits_for_it(on: On) {
    let shop = shop_on(on, true).await;
    let build = seal(&link("build", &image()), &[&shop.keys.ci]);
    let forged = seal(&link("build", &image()), &[&shop.keys.stranger]);
    let waits = |record: &Record| json!({"digest": record.name, "chain": "shop", "state": "quarantined"});
    assert_eq!(put(&shop, CI, &build).await, (202, waits(&build)));
    assert_eq!(put(&shop, CI, &build).await, (202, waits(&build)), "twice is once");
    // The same payload signed by somebody else waits as well: whose key will count nobody knows yet.
    assert_eq!(put(&shop, CI, &forged).await, (202, waits(&forged)));
    assert_eq!(shop.names(&image()).await, [] as [String; 0], "nobody sees it");
    // Rights are those of any record.
    let test = seal(&link("test", &image()), &[&shop.keys.tester]);
    assert_eq!(shop.put(CI, &test).await, no(403, "forbidden"));
    assert_eq!(shop.put("nobody", &test).await, no(401, "unauthenticated"));
    let unsigned = seal(&link("build", &image()), &[]);
    assert_eq!(shop.put(CI, &unsigned).await, no(422, "signature_untrusted"), "nobody's is nobody's");
    let layout = seal(&layout(&shop.keys, FUTURE, ""), &[&shop.keys.alice]);
    assert_eq!(shop.put(LAPTOP, &layout).await, no(422, "layout_untrusted"), "a layout does not wait");
    // The layout brings the key: what it signed is a record now, what the stranger signed is not.
    let layout = shop.put_layout().await;
    assert_eq!(until(&shop, 2).await, [layout.name, build.name.clone()]);
    let (_, body) = shop.evidence(Some(CLUSTER), &image().to_string()).await;
    let envelope = &body["records"][1]["envelope"];
    use base64::Engine as _;
    assert_eq!(*envelope, base64::engine::general_purpose::STANDARD.encode(&build.bytes), "as it was received");
    assert_eq!(shop.put(CI, &build).await, yes(200));
    // A key that is known and did not sign is a forgery, not a link that waits.
    let mut lie: Value = serde_json::from_slice(&seal(&link("test", &image()), &[&shop.keys.ci]).bytes).unwrap();
    lie["signatures"][0]["sig"] =
        lie["signatures"][0]["sig"].as_str().unwrap().chars().rev().collect::<String>().into();
    let name = seal(&link("test", &image()), &[&shop.keys.ci]).name;
    let (status, body) = put(&shop, LAPTOP, &Record { name, bytes: lie.to_string().into_bytes() }).await;
    assert!(status == 422 || status == 400, "{status} {body}");
    // One that signed for another step waits until it may.
    let other = seal(&link("test", &image()), &[&shop.keys.ci]);
    assert_eq!(put(&shop, LAPTOP, &other).await.0, 202);
}

async fn what_waits_outlives_the_server(on: On) {
    let shop = shop_on(on, true).await;
    let body = json!({"records": (0..3).map(|number: u8| {
        let mut document = link("build", &image());
        document["environment"] = json!({"n": number});
        let record = seal(&document, &[&shop.keys.ci]);
        use base64::Engine as _;
        json!({"digest": record.name, "envelope": base64::engine::general_purpose::STANDARD.encode(&record.bytes), "run": "ci/7"})
    }).collect::<Vec<_>>()});
    let post = shop.http.post(shop.url("/v1/records:batch")).bearer_auth(CI).body(body.to_string());
    let answer: Value = post.send().await.unwrap().json().await.unwrap();
    for result in answer["results"].as_array().unwrap() {
        assert_eq!((&result["status"], &result["state"]), (&json!(202), &json!("quarantined")));
    }
    let (place, keys) = shop.close().await;
    // A chain that stops keeping links aside keeps those it has, and takes no more.
    let documents = documents_of(&keys, false);
    let shop = Shop::at(place, keys, Setup { documents, ..Setup::on(on) }).await;
    let next = seal(&link("build", &image()), &[&shop.keys.ci]);
    assert_eq!(shop.put(CI, &next).await, no(422, "signature_untrusted"));
    shop.put_layout().await;
    let (place, keys) = shop.close().await;
    let documents = documents_of(&keys, true);
    let shop = Shop::at(place, keys, Setup { documents, ..Setup::on(on) }).await;
    // All three are of one run, and come with their image.
    until(&shop, 4).await;
}

/// A token may stand for several writers of a chain: the release asks for the right of the one whose right it was, and the run is by its
/// claims.
async fn what_waits_is_of_the_writer_that_may_write_its_step(on: On) {
    let issuer = Issuer::start().await;
    let writer = |step: &str| {
        let oidc = with(&grant(&issuer), json!({"run": format!("{step}/{{run_id}}")}));
        json!({"name": format!("{step}s"), "oidc": oidc, "steps": [step], "kinds": ["link"]})
    };
    let laptop = json!({"name": "laptop", "tokenHash": token_hash(LAPTOP), "steps": ["*"], "kinds": ["layout"]});
    let readers = json!([{"name": "cluster", "tokenHash": token_hash(CLUSTER)}]);
    let writers = json!([laptop, writer("test"), writer("build")]);
    let keys = Keys::new();
    let mut chain = chain("shop", "registry.example.com/shop/api", writers, readers);
    chain["spec"]["quarantine"] = json!(true);
    let documents = Some([owners(&keys), chain].map(|document| document.to_string()).join("\n---\n"));
    let shop = Shop::with(keys, Setup { documents, ..Setup::on(on) }).await;

    let token = issuer.token(with(&job(), json!({"run_id": 7})));
    let build = seal(&link("build", &image()), &[&shop.keys.ci]);
    let named = |run: &str| format!("{}?run={run}", build.name);
    assert_eq!(shop.put_as(&token, &named("test/7"), build.bytes.clone()).await, no(403, "run_mismatch"));
    let other = seal(&link("deploy", &image()), &[&shop.keys.ci]);
    assert_eq!(shop.put(&token, &other).await, no(403, "forbidden"), "a step of none of its writers");
    assert_eq!(shop.put_as(&token, &named("build/7"), build.bytes.clone()).await, yes(202));
    let layout = shop.put_layout().await;
    assert_eq!(until(&shop, 2).await, [layout.name, build.name]);
    let runs = shop.http.get(shop.url("/v1/runs?chain=shop")).bearer_auth(CLUSTER).send().await.unwrap();
    let runs: Value = runs.json().await.unwrap();
    let runs: Vec<_> = runs["runs"].as_array().unwrap().iter().map(|run| &run["run"]).collect();
    assert_eq!(runs, ["build/7"]);
}
