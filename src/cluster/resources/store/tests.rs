use super::*;
use serde_json::{Value, json};

fn object(kind: Kind, name: &str, generation: i64, spec: Value) -> DynamicObject {
    let namespace = (kind == Kind::ImagePolicy).then_some("shop");
    let value = json!({
        "metadata": { "name": name, "namespace": namespace, "uid": format!("uid-{name}"), "generation": generation },
        "spec": spec,
    });
    serde_json::from_value(value).unwrap()
}

fn aged(name: &str, host: &str, created: &str) -> DynamicObject {
    let mut config = object(Kind::RegistryConfig, name, 1, json!({ "host": host }));
    config.metadata.creation_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created.parse().unwrap()));
    config
}

fn policy(images: &str) -> Value {
    let require = json!({ "all": [{ "name": "released", "signature": { "cosign": { "trust": "keys" } } }] });
    json!({ "images": [images], "require": require })
}

const GOOD: &str = "registry.example.com/shop/**";
const BAD: &str = "no host";

/// Every kind listed, with these cluster policies.
fn listed(objects: Vec<DynamicObject>) -> Store {
    let mut store = Store::default();
    for kind in [Kind::ImagePolicy, Kind::TrustRoot, Kind::RegistryConfig] {
        store.listed(kind, Vec::new());
    }
    assert_eq!(store.view(), None, "one kind is not listed yet");
    store.listed(Kind::ClusterImagePolicy, objects);
    store
}

fn images(view: &View) -> Vec<String> {
    let policies = view.documents.iter().filter_map(|(.., resource)| match resource {
        Resource::ClusterImagePolicy(policy) | Resource::ImagePolicy(policy) => Some(policy.spec.images.join(",")),
        _ => None,
    });
    policies.collect()
}

const CLUSTER: Kind = Kind::ClusterImagePolicy;

#[test]
fn a_version_in_error_leaves_the_last_good_one_in_use() {
    let mut store = listed(vec![object(CLUSTER, "a", 1, policy(GOOD))]);
    assert!(store.applied(CLUSTER, object(CLUSTER, "a", 2, policy(BAD))));
    let view = store.view().unwrap();
    assert_eq!((images(&view), view.broken.len()), (vec![GOOD.to_owned()], 0));
    let judged = &view.judged[0];
    assert_eq!((judged.generation, judged.in_use), (2, true));
    assert_eq!(judged.outcome.as_ref().unwrap_err()[0].path, "spec.images[0]");
    // A relist says the same again: the good version is not forgotten.
    assert!(!store.listed(CLUSTER, vec![object(CLUSTER, "a", 2, policy(BAD))]));
    assert_eq!(images(&store.view().unwrap()), [GOOD]);
    store.applied(CLUSTER, object(CLUSTER, "a", 3, policy("registry.example.com/**")));
    let view = store.view().unwrap();
    assert_eq!(images(&view), ["registry.example.com/**"]);
    assert!(view.judged[0].outcome.is_ok());
}

#[test]
fn in_error_from_the_start_is_told_as_broken() {
    let mut store = listed(vec![object(CLUSTER, "a", 1, policy(BAD))]);
    store.applied(Kind::ImagePolicy, object(Kind::ImagePolicy, "b", 1, policy(BAD)));
    store.applied(Kind::TrustRoot, object(Kind::TrustRoot, "keys", 1, json!({ "keys": 1 })));
    let view = store.view().unwrap();
    assert!(view.documents.is_empty());
    let broken: Vec<_> = view.broken.iter().map(|it| (it.kind, it.namespace.as_deref(), it.name.as_str())).collect();
    assert_eq!(broken, [(CLUSTER, None, "a"), (Kind::ImagePolicy, Some("shop"), "b")]);
    assert!(view.broken[0].message.starts_with("spec.images[0]: "), "{}", view.broken[0].message);
    assert!(view.judged.iter().all(|it| !it.in_use && it.outcome.is_err()));
    assert_eq!(view.trust_roots().collect::<Vec<_>>(), ["keys"]);
}

#[test]
fn an_object_made_anew_has_no_earlier_version() {
    let mut store = listed(vec![object(CLUSTER, "a", 1, policy(GOOD))]);
    let mut anew = object(CLUSTER, "a", 1, policy(BAD));
    anew.metadata.uid = Some("another".into());
    assert!(store.listed(CLUSTER, vec![anew]));
    let view = store.view().unwrap();
    assert_eq!((view.documents.len(), view.broken.len()), (0, 1));
}

#[test]
fn what_is_deleted_or_no_longer_listed_is_gone() {
    let objects = || vec![object(CLUSTER, "a", 1, policy(GOOD)), object(CLUSTER, "b", 1, policy(GOOD))];
    let mut store = listed(objects());
    assert!(store.deleted(CLUSTER, &objects()[0]));
    assert!(!store.deleted(CLUSTER, &objects()[0]));
    assert_eq!(store.view().unwrap().judged.len(), 1);
    assert!(store.listed(CLUSTER, objects()));
    assert!(store.listed(CLUSTER, Vec::new()));
    assert_eq!(store.view().unwrap(), View::default());
}

#[test]
fn a_status_is_no_change() {
    let mut store = listed(vec![object(CLUSTER, "a", 1, policy(GOOD))]);
    let mut counted = object(CLUSTER, "a", 1, policy(GOOD));
    counted.data["status"] = json!({ "imagesMatched": 7 });
    assert!(!store.applied(CLUSTER, counted));
}

#[test]
fn of_two_about_one_host_the_older_counts() {
    let mut store = listed(Vec::new());
    store.applied(Kind::RegistryConfig, aged("a", "registry.example.com", "2026-01-02T00:00:00Z"));
    store.applied(Kind::RegistryConfig, aged("b", "REGISTRY.example.com:443", "2026-01-01T00:00:00Z"));
    store.applied(Kind::RegistryConfig, aged("c", "registry.example.com", "2026-01-01T00:00:00Z"));
    let view = store.view().unwrap();
    let in_use: Vec<_> = view.judged.iter().map(|it| (it.name.as_str(), it.in_use)).collect();
    assert_eq!(in_use, [("a", false), ("b", true), ("c", false)]);
    assert_eq!(view.registries(), [("registry.example.com".to_owned(), "b")].into());
}

#[test]
fn an_object_on_its_way_out_still_counts() {
    let mut going = object(CLUSTER, "a", 2, policy(GOOD));
    going.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
    going.metadata.deletion_grace_period_seconds = Some(0);
    going.metadata.finalizers = Some(vec!["example.com/wait".into()]);
    going.metadata.generate_name = Some("a".into());
    assert!(listed(vec![going]).view().unwrap().judged[0].in_use);
}
