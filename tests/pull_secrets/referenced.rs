//! Secrets that our own resources name: read by name in our own namespace, rotation seen, the last good one kept.

use crate::site::{Api, PASSWORD};
use serde_json::json;
use tidewaiter::{
    cluster::{Cluster, referenced::Referenced},
    key::{Scheme, SecretKey},
    policy::{PolicySet, Unmatched},
    registry::{Options, Registries},
    resource::{self, Resource},
};

const SECRET: &str = "/api/v1/namespaces/tidewaiter/secrets/signer";

fn documents() -> Vec<Resource> {
    let document = |kind: &str, spec: serde_json::Value| {
        json!({"apiVersion": "tidewaiter.dev/v1alpha1", "kind": kind, "metadata": {"name": "shop"}, "spec": spec})
            .to_string()
    };
    let root =
        document("TrustRoot", json!({"keys": [{"name": "ci", "secretKeyRef": {"name": "signer", "key": "ci.pub"}}]}));
    let config = document(
        "RegistryConfig",
        json!({"host": "registry.test:5000", "credentials": {"secretRef": {"name": "login"}}}),
    );
    resource::parse("shop.yaml", &format!("{root}\n---\n{config}")).unwrap()
}

fn hash(resources: &[Resource]) -> String {
    let numbered: Vec<_> = resources.iter().map(|it| ("shop.yaml".to_owned(), 1, it.clone())).collect();
    PolicySet::compile(&numbered, Unmatched::Warn).unwrap().hash().to_string()
}

#[tokio::test]
async fn rotation_is_seen_and_an_api_server_in_trouble_changes_nothing() {
    let api = Api::start().await;
    let referenced = Referenced::new(Cluster { client: api.client(), namespace: "tidewaiter".into() });
    let key = || SecretKey::generate(Scheme::Ed25519).unwrap().public().to_pem();
    let (first, second) = (key(), key());
    api.secret("tidewaiter", "signer", "Opaque", "ci.pub", &first);
    api.pull_secret("tidewaiter", "login", &["registry.test:5000"], PASSWORD);

    let resolved = referenced.resolve(documents()).await;
    assert!(resolved.problems.is_empty(), "{:?}", resolved.problems);
    assert_eq!(resolved.credentials.keys().collect::<Vec<_>>(), ["registry.test:5000"]);
    assert!(!format!("{resolved:?}").contains(PASSWORD));
    let options = Options { docker_config: None, resources: resolved.resources.clone() };
    let registries = Registries::in_cluster(&options, &resolved.credentials).unwrap();
    assert!(!registries.borrows("registry.test:5000"), "a pod's secrets do not replace the operator's");
    assert_eq!(referenced.resolve(documents()).await, resolved, "nothing has changed");
    let before = hash(&resolved.resources);

    api.secret("tidewaiter", "signer", "Opaque", "ci.pub", &second);
    let rotated = referenced.resolve(documents()).await;
    assert_ne!(hash(&rotated.resources), before);
    api.pull_secret("tidewaiter", "login", &["registry.test:5000"], "another-one");
    let relogged = referenced.resolve(documents()).await;
    assert_ne!(hash(&relogged.resources), hash(&rotated.resources));
    assert_ne!(relogged.credentials, rotated.credentials);

    for status in [500, 403] {
        api.put(SECRET, status, json!({"kind": "Status"}));
        assert_eq!(referenced.resolve(documents()).await, relogged, "{status}");
    }
    api.put(SECRET, 404, json!({"kind": "Status"}));
    let gone = referenced.resolve(documents()).await;
    let told: Vec<String> = gone.problems.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["TrustRoot \"shop\": spec.keys[0].secretKeyRef: Secret \"signer\": it is not there"]);
    let Resource::TrustRoot(root) = &gone.resources[0] else { panic!("{gone:?}") };
    assert!(root.spec.keys.is_empty());
    assert!(api.asked().iter().all(|path| path == "tidewaiter/secrets/signer" || path == "tidewaiter/secrets/login"));
}

#[test]
fn outside_a_cluster_a_reference_says_that_one_is_needed() {
    let documents = documents();
    let numbered = [("shop.yaml".to_owned(), 1, documents[0].clone())];
    let errors = PolicySet::compile(&numbered, Unmatched::Warn).unwrap_err();
    assert!(errors[0].to_string().contains("spec.keys[0].secretKeyRef: is a Secret of a cluster"), "{errors:?}");
    let options = Options { docker_config: None, resources: documents };
    let error = Registries::new(&options).err().unwrap().to_string();
    assert!(error.contains("credentials.secretRef of registry.test:5000 is a Secret of a cluster"), "{error}");
    // A person's own docker configuration stands in for it.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{}").unwrap();
    assert!(Registries::new(&Options { docker_config: Some(file.path().into()), ..options }).is_ok());
}
