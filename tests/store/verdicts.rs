//! What clusters report, who sees it, and how long it is kept.

use super::{
    databases,
    program::Program,
    query::{all, get, get_as, image, open, put, setup, statement},
    shop::*,
};
use databases::On;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tidewaiter::digest::Digest;

databases::on_both!(
    clusters_report_for_themselves_alone,
    an_image_is_shown_where_it_runs_to_those_of_its_chain_alone,
    a_malformed_report_is_kept_by_none_of_its_verdicts,
    verdicts_are_kept_as_long_as_is_asked,
);

pub fn verdict(cluster: &str, image: &Digest, decision: &str) -> Value {
    json!({"cluster": cluster, "namespace": "shop", "workload": {"kind": "Deployment", "name": "api", "uid": "u-1"},
        "image": "registry.example.com/shop/api:1", "digest": image.to_string(), "decision": decision,
        "reason": "threshold_not_met", "policy": "ClusterImagePolicy/shop", "at": "2026-11-28T12:00:00Z"})
}

pub async fn report(shop: &Shop, token: &str, body: Value) -> (u16, String) {
    let post = shop.http.post(shop.url("/v1/verdicts:batch")).bearer_auth(token).json(&body);
    answer(post.send().await.unwrap()).await
}

async fn clusters_report_for_themselves_alone(on: On) {
    let shop = open(on).await;
    let made = image("image");
    assert_eq!(shop.put(CI, &seal(&link("build", &made), &[&shop.keys.ci])).await, yes(201));
    let allowed = verdict("cluster", &made, "allowed");
    let one = |verdict: &Value| json!({"verdicts": [verdict]});
    for (token, expected) in [
        ("nobody", no(401, "unauthenticated")),
        ("auditor-token", no(403, "forbidden")),
        (LAPTOP, no(403, "forbidden")),
    ] {
        assert_eq!(report(&shop, token, one(&allowed)).await, expected, "{token}");
    }
    let theirs = verdict("other", &made, "allowed");
    assert_eq!(report(&shop, CLUSTER, json!({"verdicts": [allowed, theirs]})).await, no(403, "forbidden"));
    assert_eq!(get(&shop, "/v1/verdicts?cluster=cluster").await["verdicts"], json!([]));

    let mut denied = verdict("cluster", &image("unknown"), "denied");
    denied["workload"]["uid"] = json!("u-2");
    assert_eq!(report(&shop, CLUSTER, json!({"verdicts": [allowed, denied]})).await, yes(200));
    let found = get(&shop, "/v1/verdicts?cluster=cluster").await;
    assert_eq!(found["verdicts"], json!([denied, allowed]));
    assert_eq!(get(&shop, &format!("/v1/verdicts?digest={made}")).await["verdicts"], json!([allowed]));
    // What was denied does not run.
    let workloads = get(&shop, "/v1/workloads?cluster=cluster").await;
    assert_eq!(all(&workloads["workloads"], "digest"), [made.to_string().as_str()]);
    // An auditor sees images of chains it reads, in whatever cluster.
    let (_, seen) = get_as(&shop, "auditor-token", "/v1/verdicts?cluster=cluster").await;
    assert_eq!(seen["verdicts"], json!([allowed]));
    // A report that comes late does not make a workload seen later.
    let mut late = allowed.clone();
    late["at"] = json!("2026-11-27T12:00:00Z");
    assert_eq!(report(&shop, CLUSTER, one(&late)).await, yes(200));
    let workloads = get(&shop, &format!("/v1/workloads?digest={made}")).await;
    assert_eq!(workloads["workloads"][0]["lastSeen"], json!("2026-11-28T12:00:00Z"));
}

/// A chain that anybody may read, beside the closed one; its writers are not the closed one's.
fn with_an_open_chain(on: On, keys: &Keys) -> Setup {
    let writers = json!([{"name": "open", "tokenHash": token_hash("open-token"), "steps": ["*"], "kinds": ["layout", "link", "fact"]}]);
    let open = chain("open", "registry.example.com/open/*", writers, json!([]));
    let usual = setup(on, keys);
    Setup { documents: usual.documents.map(|documents| format!("{documents}\n---\n{open}")), ..usual }
}

/// Whoever writes one chain may say anything of any digest; where another chain's image runs does not follow.
async fn an_image_is_shown_where_it_runs_to_those_of_its_chain_alone(on: On) {
    const OPEN: &str = "open-token";
    let keys = Keys::new();
    let setup = with_an_open_chain(on, &keys);
    let shop = Shop::with(keys, setup).await;
    shop.put_layout().await;
    let Keys { alice, bob, ci, tester, .. } = &shop.keys;
    assert_eq!(shop.put(OPEN, &seal(&layout(&shop.keys, FUTURE, "open"), &[alice, bob])).await, yes(201));
    let (closed, ours) = (image("closed"), image("ours"));
    assert_eq!(shop.put(CI, &seal(&link("build", &closed), &[ci])).await, yes(201));
    let running = |image: &Digest, name: &str, uid: &str| {
        let mut verdict = verdict("cluster", image, "allowed");
        verdict["image"] = json!(format!("registry.example.com/{name}:1"));
        verdict["workload"]["uid"] = json!(uid);
        verdict
    };
    let by_name = running(&ours, "open/web", "u-2");
    let verdicts = json!([running(&closed, "shop/api", "u-1"), by_name, running(&ours, "mirror/web", "u-3")]);
    assert_eq!(report(&shop, CLUSTER, json!({"verdicts": verdicts})).await, yes(200));

    let shown = async |token: Option<&str>, image: &Digest| -> (Vec<Value>, usize) {
        let ask = async |path: String| -> Value {
            let get = shop.http.get(shop.url(&path));
            let get = token.iter().fold(get, |get, token| get.bearer_auth(token));
            get.send().await.unwrap().json().await.unwrap()
        };
        let verdicts = ask(format!("/v1/verdicts?digest={image}")).await["verdicts"].as_array().unwrap().clone();
        let workloads = ask(format!("/v1/workloads?digest={image}")).await["workloads"].as_array().unwrap().len();
        (verdicts, workloads)
    };
    assert_eq!(shown(Some(CLUSTER), &closed).await.0.len(), 1);
    assert_eq!(shown(Some("auditor-token"), &closed).await.0.len(), 1);
    assert_eq!(shown(None, &closed).await, (vec![], 0));
    let page = shop.http.get(shop.url(&format!("/v1/verdicts?digest={closed}&limit=1"))).send().await.unwrap();
    assert_eq!(page.json::<Value>().await.unwrap(), json!({"verdicts": []}), "nor how much there is");
    // Named beside a record, stated, and claimed as a product by the name that is the chain's own.
    let named = format!("?subject={closed}");
    assert_eq!(put(&shop, OPEN, &seal(&link("build", &image("other")), &[ci]), &named).await, yes(201));
    let stated = seal(&statement("https://spdx.dev/Document", &closed, json!({})), &[tester]);
    assert_eq!(put(&shop, OPEN, &stated, "?step=test").await, yes(201));
    let mut claimed = link("build", &closed);
    claimed["products"] = json!({"oci:registry.example.com/open/web": {"sha256": closed.hex()}});
    assert_eq!(put(&shop, OPEN, &seal(&claimed, &[ci]), "").await, yes(201));
    assert_eq!(shown(None, &closed).await, (vec![], 0));
    // What the open chain made is shown by the names that are its own.
    assert_eq!(shown(None, &ours).await, (vec![], 0), "nothing made it yet");
    claimed["products"] = json!({"oci:registry.example.com/open/web": {"sha256": ours.hex()}});
    assert_eq!(put(&shop, OPEN, &seal(&claimed, &[ci]), "").await, yes(201));
    assert_eq!(shown(None, &ours).await, (vec![by_name], 1));
}

async fn a_malformed_report_is_kept_by_none_of_its_verdicts(on: On) {
    let shop = open(on).await;
    let good = verdict("cluster", &image("image"), "allowed");
    let with = |member: &str, value: Value| {
        let mut bad = good.clone();
        bad[member] = value;
        json!({"verdicts": [good, bad]})
    };
    for body in [
        with("decision", json!("maybe")),
        with("digest", json!("latest")),
        with("at", json!("yesterday")),
        with("image", json!("x".repeat(1_025))),
        with("colour", json!("red")),
        with("workload", json!({"kind": "Pod"})),
        json!({"verdicts": []}),
        json!({"verdicts": vec![good.clone(); 1_001]}),
        json!([]),
    ] {
        let shown = body.to_string();
        assert_eq!(
            report(&shop, CLUSTER, body).await,
            no(400, "request_malformed"),
            "{}",
            &shown[..shown.len().min(400)]
        );
    }
    let huge = json!({"verdicts": [], "filler": "x".repeat(3 << 20)});
    assert_eq!(report(&shop, CLUSTER, huge).await, no(413, "record_too_large"));
    assert_eq!(get(&shop, "/v1/verdicts?cluster=cluster").await["verdicts"], json!([]));
    assert_eq!(report(&shop, CLUSTER, json!({"verdicts": vec![good; 1_000]})).await, yes(200));
}

async fn verdicts_are_kept_as_long_as_is_asked(on: On) {
    let shop = open(on).await;
    let made = image("image");
    assert_eq!(shop.put(CI, &seal(&link("build", &made), &[&shop.keys.ci])).await, yes(201));
    assert_eq!(report(&shop, CLUSTER, json!({"verdicts": [verdict("cluster", &made, "allowed")]})).await, yes(200));
    let (http, documents) = (shop.http.clone(), setup(on, &shop.keys).documents.unwrap());
    let (place, _) = shop.close().await;
    std::fs::write(place.dir.path().join("chains.yaml"), documents).unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;

    let ask = async |program: &Program, path: &str| -> Value {
        let get = http.get(format!("{}{path}", program.url)).bearer_auth(CLUSTER);
        get.send().await.unwrap().json().await.unwrap()
    };
    let of_image = format!("/v1/verdicts?digest={made}");
    for more in [&[][..], &["--keep-verdicts", "1h"]] {
        let program = Program::start(place.dir.path(), &place.url, more, &[]);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(ask(&program, &of_image).await["verdicts"].as_array().unwrap().len(), 1, "{more:?}");
    }
    let program = Program::start(place.dir.path(), &place.url, &["--keep-verdicts", "1s"], &[]);
    let started = Instant::now();
    while ask(&program, &of_image).await["verdicts"] != json!([]) {
        assert!(started.elapsed() < Duration::from_secs(20), "it is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ask(&program, "/v1/workloads?cluster=cluster").await["workloads"], json!([]));
    // Evidence is not forgotten.
    let evidence = ask(&program, &format!("/v1/evidence/{made}")).await;
    assert!(evidence["records"].as_array().is_some_and(|records| records.len() == 2), "{evidence}");
}
