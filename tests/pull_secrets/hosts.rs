//! Where a credential goes: to the very host it is stored for, whoever asks for it (G5, T-50).

use crate::{
    hostile::{Double, Pki, answer},
    site::{Made, PASSWORD, Site},
};
use std::sync::Arc;
use tidewaiter::{reason::Reason, registry::HostConfig};

/// The password in the forms in which it would travel.
const FORMS: &[&str] = &[PASSWORD, "cm9ib3Q6"];

#[tokio::test]
async fn a_secret_for_another_host_is_told_to_nobody() {
    let pki = Pki::new();
    let canary = Double::secure_canary(&pki).await;
    let site = Site::made(Made { pki, ..Made::default() }).await;
    let port = site.host.rsplit_once(':').unwrap().1;
    let others = [
        "registry.test".to_owned(),
        "registry.test:443".to_owned(),
        format!("evil.test:{}", canary.port),
        format!("evil.test:{port}"),
        format!("a.registry.test:{port}"),
        format!("*.test:{port}"),
        format!("{}/shop", site.host),
    ];
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    site.api.pull_secret("shop", "regcred", &others, PASSWORD);
    assert_eq!(site.good("shop", &["regcred"]).await, Err(Reason::RegistryAuth));
    site.registry.assert_told_nothing(FORMS);
    canary.assert_told_nothing(FORMS);
}

#[tokio::test]
async fn a_realm_elsewhere_is_told_nothing() {
    let pki = Pki::new();
    let (secure, plain) = (Double::secure_canary(&pki).await, Double::canary().await);
    let realms = [
        format!("https://evil.test:{}/token", secure.port),
        format!("http://registry.test:{}/token", plain.port),
        format!("https://127.0.0.1:{}/token", secure.port),
    ];
    for realm in realms {
        let challenge = format!("Bearer realm=\"{realm}\",service=\"shop\"");
        let does = Arc::new(move |_: &_, _| Some(answer(401, &[("WWW-Authenticate", &challenge)], b"{}")));
        let site = Site::made(Made { does, ..Made::default() }).await;
        site.api.pull_secret("shop", "regcred", &[&site.host], PASSWORD);
        assert_eq!(site.good("shop", &["regcred"]).await, Err(Reason::RegistryRefused), "{realm}");
        site.registry.assert_told_nothing(FORMS);
    }
    secure.assert_told_nothing(FORMS);
    plain.assert_told_nothing(FORMS);
}

#[tokio::test]
async fn where_a_blob_is_redirected_to_is_told_nothing() {
    let pki = Pki::new();
    let canary = Double::secure_canary(&pki).await;
    // Its host is configured with the test's CA, as the mirrors of the site are: the redirect is followed.
    let location = format!("https://cdn.test:{}/blob", canary.port);
    let rules = HostConfig { mirrors: vec![format!("cdn.test:{}", canary.port)], ..HostConfig::default() };
    let does = Arc::new(move |seen: &crate::hostile::Seen, let_in: bool| {
        (let_in && seen.path().contains("/blobs/")).then(|| answer(307, &[("Location", &location)], b""))
    });
    let site = Site::made(Made { pki, rules, does, ..Made::default() }).await;
    site.api.pull_secret("shop", "regcred", &[&site.host], PASSWORD);
    // The canary's `{}` is not the payload.
    assert!(site.good("shop", &["regcred"]).await.is_err());
    assert_eq!(site.told(), [PASSWORD]);
    assert!(!canary.seen_at("/blob").is_empty(), "the redirect was followed");
    canary.assert_told_nothing(FORMS);
}

#[tokio::test]
async fn a_mirror_is_told_nothing() {
    let pki = Pki::new();
    let mirror = Double::secure(&pki, |_| answer(401, &[("WWW-Authenticate", "Basic realm=\"m\"")], b"{}")).await;
    let rules = HostConfig { mirrors: vec![format!("mirror.test:{}", mirror.port)], ..HostConfig::default() };
    let site = Site::made(Made { pki, rules, ..Made::default() }).await;
    site.api.pull_secret("shop", "regcred", &[&site.host], PASSWORD);
    assert_eq!(site.good("shop", &["regcred"]).await, Ok(()));
    assert!(!mirror.seen().is_empty(), "the mirror was asked first");
    mirror.assert_told_nothing(FORMS);
}
