//! Resources are applied, broken, replaced and deleted while the webhook decides.

use crate::{
    site::{BACK, SEEN, Site, document, namespaced},
    world::World,
};
use serde_json::{Value, json};
use std::time::Duration;

/// A demand nothing can be said about: no such pattern.
fn broken() -> Value {
    let mut spec = World::demands();
    spec["images"] = json!(["no host"]);
    spec
}

fn message(response: &Value) -> &str {
    response["status"]["message"].as_str().unwrap()
}

#[tokio::test]
async fn ready_after_the_first_list_of_everything() {
    let site = Site::bare();
    // The API server does not know our kinds yet; namespaces it does.
    let waits = async |what: &str| site.get("/readyz").await.1.split([' ', ',', '\n']).any(|word| word == what);
    while waits("namespaces").await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (status, why) = site.get("/readyz").await;
    assert_eq!(status, 503);
    assert!(why.starts_with("waiting for the first list of "), "{why}");
    for kind in ["clusterimagepolicies", "imagepolicies", "trustroots", "registryconfigs"] {
        assert!(waits(kind).await, "{why}");
    }
    assert_eq!(site.get("/healthz").await.0, 200);
    let response = site.review("/validate", "good", "default").await;
    assert_eq!(response["status"]["reason"], "policies_unknown");
    assert!(message(&response).contains("the policies of the cluster have not been read yet"), "{response}");
    assert_eq!(site.review("/mutate", "good", "default").await["allowed"], true);

    site.define();
    site.ready(BACK).await;
    // No policies: nothing selects the image.
    let response = site.review("/validate", "unsigned", "default").await;
    assert_eq!(response["allowed"], true);
    assert!(response["warnings"][0].as_str().unwrap().contains("no policy"), "{response}");
}

#[tokio::test]
async fn what_is_applied_decides() {
    let site = Site::bare();
    site.define();
    site.ready(BACK).await;
    site.metric("tidewaiter_leader 1").await;
    let documents = site.world.documents(World::demands());
    let [policy, roots @ .., registry] = documents.as_slice() else { panic!("{documents:?}") };

    // A policy before its trust.
    site.apply(&[policy.clone(), registry.clone()]);
    site.until("good", "default", Err("no_trust_root"), SEEN).await;
    let response = site.review("/validate", "good", "default").await;
    assert!(message(&response).contains("release-keys"), "{response}");
    site.apply(roots);
    site.until("good", "default", Ok(()), SEEN).await;
    assert_eq!(site.verdict("unsigned", "default").await, Err("no_signature".into()));
    site.metric(r#"tidewaiter_resources{kind="TrustRoot",state="in_use"} 3"#).await;

    // A broken version of everything changes nothing.
    site.apply(&[document("ClusterImagePolicy", "shop", broken())]);
    site.apply(&[document("TrustRoot", "release-keys", json!({ "keys": [{ "name": "release", "pem": "none" }] }))]);
    site.apply(&[document("RegistryConfig", "layout", json!({ "host": "no host" }))]);
    for kind in ["ClusterImagePolicy", "TrustRoot", "RegistryConfig"] {
        site.metric(&format!(r#"tidewaiter_resources{{kind="{kind}",state="in_error"}} 1"#)).await;
    }
    site.metric(r#"tidewaiter_resources{kind="ClusterImagePolicy",state="in_use"} 1"#).await;
    assert_eq!(site.verdict("good", "default").await, Ok(()));
    assert_eq!(site.verdict("unsigned", "default").await, Err("no_signature".into()));
    // And a better one of the policy is taken over, within a second where the machine is not busy with something else.
    let mut demands = World::demands();
    demands["mode"] = "Warn".into();
    let lenient = site.world.documents(demands);
    let mut took = Vec::new();
    for _ in 0..5 {
        site.apply(&lenient[..1]);
        took.push(site.until("unsigned", "default", Ok(()), SEEN).await);
        site.apply(&documents);
        took.push(site.until("unsigned", "default", Err("no_signature"), SEEN).await);
    }
    assert!(took.iter().any(|took| *took < Duration::from_secs(1)), "{took:?}");
    println!("changes decided after {took:?}");

    // A key that is gone vouches for nothing, though the policy's threshold is now out of reach.
    let mut owners = roots[1].clone();
    assert_eq!(owners["metadata"]["name"], "shop-owners");
    owners["spec"]["keys"].as_array_mut().unwrap().pop();
    site.apply(&[owners]);
    site.until("good", "default", Err("layout_untrusted"), SEEN).await;
    site.delete(&["trustroot", "shop-owners"]);
    site.until("good", "default", Err("no_trust_root"), SEEN).await;
    site.apply(roots);
    site.until("good", "default", Ok(()), SEEN).await;

    // What is deleted is gone.
    site.delete(&["clusterimagepolicy", "shop"]);
    site.until("unsigned", "default", Ok(()), SEEN).await;

    let (_, metrics) = site.get("/metrics").await;
    for name in ["shop", "release-keys", "default"] {
        assert!(!metrics.contains(name), "no names in labels: {name}");
    }
}

#[tokio::test]
async fn a_policy_in_error_from_the_start_denies_what_it_could_be_about() {
    let mut site = Site::full().await;
    site.apply(&[document("ClusterImagePolicy", "odd", broken())]);
    site.until("good", "default", Err("policy_invalid"), SEEN).await;
    // Also what no policy that can be read is about.
    let response = site.review("/validate", "busybox", "default").await;
    assert_eq!(response["status"]["reason"], "policy_invalid");
    assert!(message(&response).contains("ClusterImagePolicy \"odd\" is in error: spec.images[0]"), "{response}");
    site.delete(&["clusterimagepolicy", "odd"]);
    site.until("good", "default", Ok(()), SEEN).await;

    // That of a namespace has no say elsewhere.
    site.api.run(&["create", "namespace", "shop"], "");
    site.apply(&[namespaced("shop", "odd", broken())]);
    site.until("good", "shop", Err("policy_invalid"), SEEN).await;
    assert_eq!(site.verdict("good", "default").await, Ok(()));
    site.delete(&["imagepolicy", "--namespace=shop", "odd"]);
    site.until("good", "shop", Ok(()), SEEN).await;

    // A root without a good version is one without keys. A new process knows of no earlier one.
    site.apply(&[document("TrustRoot", "release-keys", json!({ "keys": 7 }))]);
    site.metric(r#"tidewaiter_resources{kind="TrustRoot",state="in_error"} 1"#).await;
    assert_eq!(site.verdict("good", "default").await, Ok(()));
    site.again();
    site.ready(BACK).await;
    assert_eq!(site.verdict("good", "default").await, Err("no_trust_root".into()));
}

#[tokio::test]
async fn of_two_about_one_host_the_older_counts() {
    let site = Site::full().await;
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(elsewhere.path().join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    // Times of creation are whole seconds; by name it would come first.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let second = json!({ "host": site.world.host, "ociLayout": elsewhere.path() });
    site.apply(&[document("RegistryConfig", "another", second)]);
    site.metric(r#"tidewaiter_resources{kind="RegistryConfig",state="in_error"} 0"#).await;
    site.apply(&[document("RegistryConfig", "third", json!({ "host": "third.example.com" }))]);
    site.metric(r#"tidewaiter_resources{kind="RegistryConfig",state="in_use"} 2"#).await;
    assert_eq!(site.verdict("also-good", "default").await, Ok(()));
    site.delete(&["registryconfig", "layout"]);
    site.until("third", "default", Err("image_not_found"), SEEN).await;
    site.delete(&["registryconfig", "another"]);
    site.apply(&site.world.documents(World::demands()));
    site.until("third", "default", Ok(()), SEEN).await;
}

#[tokio::test]
async fn one_that_cannot_be_honoured_is_as_good_as_none_and_says_so() {
    let site = Site::full().await;
    let ca = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    let lost = json!({ "host": "lost.example.com", "credentials": { "dockerConfig": "/nowhere/config.json" } });
    site.apply(&[
        document("RegistryConfig", "lost", lost),
        document("RegistryConfig", "forged", json!({ "host": "forged.example.com", "caBundle": ca })),
    ]);
    let whole = "its host is read as if this RegistryConfig were not there";
    site.says("registryconfig", "lost", "False NotHonoured", &["docker configuration /nowhere/config.json", whole])
        .await;
    site.says("registryconfig", "forged", "False NotHonoured", &["forged.example.com", whole]).await;
    // It stops nobody else's.
    site.says("registryconfig", "layout", "True Loaded", &["in use"]).await;
    assert_eq!(site.verdict("also-good", "default").await, Ok(()));
    assert_eq!(site.verdict("unsigned", "default").await, Err("no_signature".into()));
    site.apply(&[document("RegistryConfig", "lost", json!({ "host": "lost.example.com" }))]);
    site.says("registryconfig", "lost", "True Loaded", &["in use"]).await;
}
