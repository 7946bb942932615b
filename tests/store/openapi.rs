//! The API is what its OpenAPI document says: schemathesis asks a served store whatever the document allows, and much that it does not.

use super::{databases, query, shop::*, verdicts};
use databases::On;
use serde_json::{Value, json};
use std::{path::PathBuf, process::Stdio};
use tidewaiter::digest::Digest;

/// What tests/tools/install has put there.
fn schemathesis() -> PathBuf {
    let tools = std::env::var_os("TIDEWAITER_TOOLS_DIR").expect("TIDEWAITER_TOOLS_DIR: see tests/tools/install");
    PathBuf::from(tools).join("bin/schemathesis")
}

/// A store that has something of each kind, whose one token writes, reads and reports.
async fn open() -> (Shop, Digest) {
    let keys = Keys::new();
    let everything =
        json!([{"name": "all", "tokenHash": token_hash(LAPTOP), "steps": ["*"], "kinds": ["layout", "link", "fact"]}]);
    let readers = json!([{"name": "all", "tokenHash": token_hash(LAPTOP), "reports": true}]);
    let chain = chain("shop", "registry.example.com/shop/api", everything, readers);
    let documents = Some([owners(&keys), chain].map(|document| document.to_string()).join("\n---\n"));
    let shop = Shop::with(keys, Setup { documents, ..Setup::on(On::Sqlite) }).await;
    shop.put_layout().await;
    let image = Digest::sha256(b"image");
    let build = seal(&link("build", &image), &[&shop.keys.ci]);
    assert_eq!(query::put(&shop, LAPTOP, &build, "?run=7").await, yes(201));
    let scan =
        query::statement("https://spdx.dev/Document", &image, json!({"spdxVersion": "SPDX-2.3", "packages": []}));
    assert_eq!(query::put(&shop, LAPTOP, &seal(&scan, &[&shop.keys.tester]), "?step=test").await, yes(201));
    assert_eq!(
        verdicts::report(&shop, LAPTOP, json!({"verdicts": [verdicts::verdict("all", &image, "allowed")]})).await,
        yes(200)
    );
    (shop, image)
}

#[tokio::test]
async fn the_document_names_every_path_and_is_open_to_all() {
    let (shop, _) = open().await;
    let response = shop.http.get(shop.url("/openapi.json")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let api: Value = response.json().await.unwrap();
    let operations = api["paths"].as_object().unwrap().iter();
    let operations: Vec<String> = operations
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
        .collect();
    for expected in [
        "put /v1/records/{name}",
        "get /v1/records/{name}",
        "post /v1/records:batch",
        "get /v1/records",
        "get /v1/evidence/{image}",
        "post /v1/evidence:batch",
        "get /v1/search",
        "get /v1/images",
        "get /v1/graph/{digest}",
        "get /v1/chains",
        "get /v1/runs",
        "get /v1/runs/{id}",
        "get /v1/layouts",
        "get /v1/keys",
        "post /v1/verdicts:batch",
        "get /v1/verdicts",
        "get /v1/workloads",
    ] {
        assert!(operations.iter().any(|operation| operation == expected), "{expected}");
    }
    assert_eq!(operations.len(), 17);
}

/// Left out is `positive_data_acceptance` alone: a text that is no cursor, no digest or no chain of ours is refused, as the document says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_is_what_its_document_says() {
    let (shop, _image) = open().await;
    let report = shop.place.dir.path().join("report");
    let mut tool = tokio::process::Command::new(schemathesis());
    tool.args(["run", &shop.url("/openapi.json"), "--header", &format!("Authorization: Bearer {LAPTOP}")])
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "12", "--seed", "1", "--no-shrink"])
        .args([
            "--workers",
            "2",
            "--request-timeout",
            "40",
            "--max-response-time",
            "35",
            "--continue-on-failure",
            "--warnings",
            "off",
            "--no-color",
        ])
        .arg("--report-dir")
        .arg(report)
        .current_dir(shop.place.dir.path())
        .env("HYPOTHESIS_STORAGE_DIRECTORY", shop.place.dir.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tool.output().await.unwrap();
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{errors}");
    assert!(told.contains("passed"), "{told}");
    // It lives, and has what it had.
    assert_eq!(shop.http.get(shop.url("/readyz")).send().await.unwrap().status(), 200);
}
