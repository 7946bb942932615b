//! Secrets that are none: passed over and told, and the registry's own answer decides.

use crate::site::{PASSWORD, Site, outcome};
use serde_json::json;
use tidewaiter::reason::Reason;

#[tokio::test]
async fn what_is_no_pull_secret_is_passed_over_and_told() {
    let site = Site::new().await;
    let api = &site.api;
    let (json_type, json_key) = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson");
    let sound = json!({"auths": {&site.host: {"username": "robot", "password": PASSWORD}}}).to_string();
    api.secret("shop", "opaque", "Opaque", json_key, &sound);
    api.secret("shop", "basic", "kubernetes.io/basic-auth", "password", PASSWORD);
    api.secret("shop", "garbage", json_type, json_key, &format!("{{\"auths\": {PASSWORD}"));
    api.secret("shop", "keyless", json_type, "config.json", &sound);
    api.secret("shop", "huge", json_type, json_key, &"x".repeat(1 << 20));
    api.secret("shop", "large", json_type, json_key, &format!("{sound}{}", " ".repeat(64 << 10)));
    api.put("/api/v1/namespaces/shop/secrets/forbidden", 403, json!({"kind": "Status", "code": 403}));
    api.put("/api/v1/namespaces/shop/secrets/trouble", 500, json!({"kind": "Status", "code": 500}));
    api.put("/api/v1/namespaces/shop/secrets/list", 200, json!([]));
    for (name, says) in [
        ("opaque", "its type is \"Opaque\""),
        ("basic", "its type is \"kubernetes.io/basic-auth\""),
        ("garbage", "is not as it should be"),
        ("keyless", "it has no key .dockerconfigjson"),
        ("huge", "it is larger than 64 KiB"),
        ("large", "it is larger than 64 KiB"),
        ("forbidden", "tidewaiter may not read it"),
        ("trouble", "the API server gave no answer"),
        ("list", "the API server's answer is not it"),
        ("absent", "it is not there"),
        ("../../kube-system/secrets/admin", "it is not there"),
    ] {
        let decision = site.judge(&site.pod("shop", &site.world.images["good"].pinned(), &[name])).await;
        assert_eq!(outcome(&decision), Err(Reason::RegistryAuth), "{name}");
        let told = decision.warnings.iter().find(|it| it.starts_with(&format!("pull secret \"{name}\" is not used: ")));
        assert!(told.is_some_and(|it| it.contains(says)), "{name}: {:?}", decision.warnings);
        assert!(!format!("{decision:?}").contains(PASSWORD), "{name}");
    }
    assert!(api.asked().iter().all(|path| !path.contains("..")), "a name is no path");
    // Beside a sound one each of them only warns.
    api.pull_secret("shop", "regcred", &[&site.host], PASSWORD);
    assert_eq!(site.good("shop", &["garbage", "absent", "regcred"]).await, Ok(()));
}

#[tokio::test]
async fn no_more_than_eight_are_read() {
    let site = Site::new().await;
    let names: Vec<String> = (0..9).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let decision = site.judge(&site.pod("shop", &site.world.images["good"].pinned(), &names)).await;
    assert_eq!(outcome(&decision), Err(Reason::RegistryAuth));
    assert_eq!(site.api.asked().len(), 8);
    assert!(decision.warnings.iter().any(|it| it == "only the first 8 pull secrets are used"));
}
