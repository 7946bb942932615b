//! Whose secrets are used, and what one tenant learns of another's images (G4).

use crate::site::{Made, PASSWORD, Site, outcome, soon};
use std::time::Duration;
use tidewaiter::{reason::Reason, registry::HostConfig, webhook::Judge};

#[tokio::test]
async fn the_pods_own_secret_opens_its_registry() {
    let site = Site::new().await;
    site.api.pull_secret("shop", "regcred", &[&site.host], PASSWORD);
    site.api.service_account("shop", "default", &["unused"]);
    for _ in 0..3 {
        assert_eq!(site.good("shop", &["regcred"]).await, Ok(()));
    }
    // By name, and once.
    assert_eq!(site.api.asked(), ["shop/secrets/regcred"]);
    assert_eq!(site.told(), [PASSWORD]);
}

#[tokio::test]
async fn a_pod_without_secrets_has_those_of_its_service_account() {
    let site = Site::new().await;
    site.api.pull_secret("shop", "regcred", &[&site.host], PASSWORD);
    site.api.service_account("shop", "builder", &["regcred"]);
    let mut pod = site.pod("shop", &site.world.images["good"].pinned(), &[]);
    pod.service_account = "builder".into();
    assert_eq!(outcome(&site.judge(&pod).await), Ok(()));
    assert_eq!(site.api.asked(), ["shop/serviceaccounts/builder", "shop/secrets/regcred"]);
    // `default` is another one, and here it is not there.
    pod.service_account = String::new();
    let decision = site.judge(&pod).await;
    assert_eq!(outcome(&decision), Err(Reason::RegistryAuth));
    let warned = "service account \"default\" was not read: it is not there";
    assert!(decision.warnings.iter().any(|it| it == warned), "{:?}", decision.warnings);
}

#[tokio::test]
async fn what_one_tenant_may_see_another_does_not() {
    let site = Site::new().await;
    site.api.pull_secret("a", "regcred", &[&site.host], PASSWORD);
    site.api.service_account("a", "default", &[]);
    site.api.service_account("b", "default", &[]);
    assert_eq!(site.good("a", &["regcred"]).await, Ok(()));
    // The verdict is kept, and it is not B's; nor that of a pod of A that names no secret.
    assert_eq!(site.good("b", &["regcred"]).await, Err(Reason::RegistryAuth));
    assert_eq!(site.good("a", &[]).await, Err(Reason::RegistryAuth));
    assert_eq!(site.good("a", &["regcred"]).await, Ok(()));
    // B is told the same of what is there and of what is not.
    let known = site.judge(&site.pod("b", &site.world.images["good"].pinned(), &[])).await;
    let unknown = format!("{}/shop/good@sha256:{}", site.host, "ab".repeat(32));
    let unknown = site.judge(&site.pod("b", &unknown, &[])).await;
    assert_eq!(outcome(&unknown), Err(Reason::RegistryAuth));
    let text = |decision: &tidewaiter::Decision| decision.message().split("sha256:").next().map(str::to_owned);
    assert_eq!(text(&known), text(&unknown));
}

#[tokio::test]
async fn a_rotated_secret_is_seen() {
    let site = Site::made(Made { kept: Duration::from_millis(100), ..Made::default() }).await;
    site.api.pull_secret("shop", "regcred", &[&site.host], PASSWORD);
    assert_eq!(site.good("shop", &["regcred"]).await, Ok(()));
    *site.passwords.lock().unwrap() = ["another-one".to_owned()].into();
    site.api.pull_secret("shop", "regcred", &[&site.host], "another-one");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(site.good("shop", &["regcred"]).await, Ok(()));
    assert_eq!(site.told(), [PASSWORD, "another-one"], "the new one was used");
}

#[tokio::test]
async fn several_secrets_of_one_host_are_tried_in_their_order_and_three_at_most() {
    let site = Site::new().await;
    for name in ["one", "two", "three"] {
        site.api.pull_secret("shop", name, &[&site.host], name);
    }
    site.api.pull_secret("shop", "right", &[&site.host], PASSWORD);
    assert_eq!(site.good("shop", &["one", "two", "right"]).await, Ok(()));
    assert_eq!(site.told(), ["one", "two", PASSWORD]);
    let decision = site.judge(&site.pod("shop", &site.world.images["unsigned"].pinned(), &["one", "right"])).await;
    assert_eq!(outcome(&decision), Err(Reason::NoSignature), "what the second one saw");
    assert_eq!(site.good("shop", &["one", "two", "three", "right"]).await, Err(Reason::RegistryAuth));
}

#[tokio::test]
async fn the_operators_credentials_are_not_replaced() {
    // He has some in mind; what they are could not be had.
    let rules = HostConfig { secret: true, ..HostConfig::default() };
    let site = Site::made(Made { rules, ..Made::default() }).await;
    site.api.pull_secret("shop", "regcred", &[&site.host], PASSWORD);
    assert_eq!(site.good("shop", &["regcred"]).await, Err(Reason::RegistryAuth));
    assert!(site.told().is_empty() && site.api.asked().is_empty(), "{:?}", site.api.asked());
}

#[tokio::test]
async fn nothing_is_read_for_an_image_that_nothing_judges() {
    let site = Site::new().await;
    let elsewhere = format!("{}/other/image:1", site.host);
    assert_eq!(outcome(&site.judge(&site.pod("shop", &elsewhere, &["regcred"])).await), Ok(()));
    assert!(site.api.asked().is_empty() && site.registry.seen().is_empty());
    // Nor where pull secrets are turned off.
    let judge = Judge::new(site.judge.sources().clone());
    let pod = site.pod("shop", &site.world.images["good"].pinned(), &["regcred"]);
    let decision = judge.judge(&site.set, &pod, None, soon(), jiff::Timestamp::now()).await;
    assert_eq!(outcome(&decision), Err(Reason::RegistryAuth));
    assert!(site.api.asked().is_empty());
}

#[tokio::test]
async fn a_tag_is_pinned_in_the_pods_name() {
    let site = Site::new().await;
    site.api.pull_secret("shop", "regcred", &[&site.host], PASSWORD);
    site.api.service_account("shop", "default", &[]);
    let image = &site.world.images["good"];
    let pins = |secrets: &'static [&'static str]| {
        let pod = site.pod("shop", &image.tagged(), secrets);
        let site = &site;
        async move { site.judge.pins(&site.set, &pod, soon()).await.remove(0).1 }
    };
    assert_eq!(pins(&["regcred"]).await.map(|digest| digest.to_string()), Ok(image.digest.clone()));
    assert_eq!(pins(&[]).await.map_err(|fault| fault.reason), Err(Reason::RegistryAuth));
}
