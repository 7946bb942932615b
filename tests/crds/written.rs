//! What is stored: the documents of the examples, and what we say of them.

use crate::{cluster::Cluster, loader::answer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tidewaiter::{
    cluster::status::Status,
    resource::{self, Resource},
};

/// The documents of the YAML in these texts that are resources of a cluster.
fn ours(texts: impl IntoIterator<Item = (String, String)>) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (path, text) in texts {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let ours = |it: &Value| it["apiVersion"] == resource::API_VERSION && it["kind"] != "Chain";
        found.extend(documents.into_iter().filter(ours).map(|it| (path.clone(), it)));
    }
    found
}

/// Path and text of each file of a folder.
fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).filter(|it| it.is_file());
    paths.map(|it| (it.display().to_string(), fs::read_to_string(&it).unwrap())).collect()
}

/// What the documents show is of the schema; the keys are left out there. Before anything of these names is stored.
pub async fn what_the_documents_show_is_accepted(cluster: &Cluster) {
    let blocks =
        files("docs").into_iter().chain(files(".").into_iter().filter(|(path, _)| path.ends_with("README.md")));
    let blocks = blocks.flat_map(|(path, text)| {
        let blocks = text.split("```yaml\n").skip(1).map(|it| it.split("```").next().unwrap().to_owned());
        blocks.map(|block| (path.clone(), block)).collect::<Vec<_>>()
    });
    let shown = ours(blocks);
    assert!(!shown.is_empty());
    for (path, document) in shown {
        let stored = cluster.create(&document, "dryRun=All&fieldValidation=Strict").await;
        stored.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

/// By a client that is strict, and read back: what the API server adds, defaults too, changes nothing that is decided by.
pub async fn the_examples_are_stored_as_they_are_read(cluster: &Cluster) {
    cluster.kubectl(&["create", "namespace", "shop-prod"]).unwrap();
    let examples = ours(files("examples"));
    assert!(examples.len() >= 11, "{} documents", examples.len());
    for (path, document) in examples {
        let arguments = ["apply", "--server-side", "--force-conflicts", "--validate=strict", "-o", "json", "-f", "-"];
        let stored = cluster.kubectl_with(&arguments, &document.to_string());
        let stored: Value = serde_json::from_str(&stored.unwrap_or_else(|error| panic!("{path}: {error}"))).unwrap();
        assert!(answer(&stored).allowed, "{path}: {stored}");
        let name = document["metadata"]["name"].as_str().unwrap();
        let read = resource::of_object(name, stored).unwrap();
        let written: Vec<Resource> = resource::parse(&path, &document.to_string()).unwrap();
        assert_eq!([read].as_slice(), written.as_slice(), "{path}");
    }
}

/// All that `status` writes is kept, and a spec and a status are written apart.
pub async fn a_status_is_written_beside_the_spec(cluster: &Cluster) {
    let now: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let ready = Condition {
        type_: "Ready".into(),
        status: "True".into(),
        reason: "Loaded".into(),
        message: "in use".into(),
        observed_generation: Some(1),
        last_transition_time: Time(now),
    };
    let common = || Status { observed_generation: Some(1), conditions: vec![ready.clone()], ..Status::default() };
    let counted = || Status { images_matched: Some(7), images_unmet: Some(2), last_matched: Some(now), ..common() };
    let holds = Status { keys: Some(2), key_names: vec!["alice".into(), "bob".into()], expires: Some(now), ..common() };
    for (kind, name, namespace, status) in [
        ("ClusterImagePolicy", "shop", None, counted()),
        ("ImagePolicy", "reviewed", Some("shop-prod"), counted()),
        ("TrustRoot", "shop-owners", None, holds),
        ("RegistryConfig", "internal", None, common()),
    ] {
        let object = json!({ "kind": kind, "metadata": { "name": name, "namespace": namespace } });
        let written = serde_json::to_value(&status).unwrap();
        let patch = json!({ "status": written, "spec": { "mode": "Audit", "host": "elsewhere.example.com" } });
        let before = cluster.patch(&object, "", &json!({ "status": written })).await.unwrap();
        assert_eq!(before.get("status"), None, "{kind}: a status comes by its subresource alone");
        let stored = cluster.patch(&object, "/status", &patch).await.unwrap();
        assert_eq!(stored["status"], written, "{kind}");
        assert_eq!(
            (&stored["spec"], &stored["metadata"]["generation"]),
            (&before["spec"], &before["metadata"]["generation"])
        );
        let wrong = json!({ "status": { "conditions": [{ "type": "Ready", "status": "Maybe" }] } });
        let refused = cluster.patch(&object, "/status", &wrong).await.unwrap_err();
        assert!(refused.contains("status.conditions[0].status"), "{kind}: {refused}");
    }
}
