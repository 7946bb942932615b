//! The API server is not there yet, dies, and comes back.

use crate::{
    site::{BACK, SEEN, Site},
    world::World,
};
use std::time::Duration;

#[tokio::test]
async fn decisions_go_on_without_the_api_server() {
    let mut site = Site::full().await;
    site.api.run(&["create", "namespace", "shop"], "");
    // The watch has shown it: a later lookup would find nobody to ask.
    site.metric("tidewaiter_namespaces 5").await;
    site.api.kill();
    let restarts = |metrics: &str| {
        let line =
            metrics.lines().find_map(|it| it.strip_prefix(r#"tidewaiter_watch_restarts_total{kind="TrustRoot"} "#));
        line.unwrap().parse::<u64>().unwrap()
    };
    while restarts(&site.get("/metrics").await.1) == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for namespace in ["default", "shop"] {
        assert_eq!(site.verdict("good", namespace).await, Ok(()));
        assert_eq!(site.verdict("foreign", namespace).await, Err("signature_untrusted".into()));
    }
    site.ready(SEEN).await;
    // Nobody says that there is one.
    let response = site.review("/validate", "good", "made-today").await;
    assert_eq!(response["status"]["reason"], "namespace_unknown");
    assert!(response["status"]["message"].as_str().unwrap().contains("could not be looked up"), "{response}");

    // A process that starts now knows nothing, says so, and recovers by itself.
    site.again();
    assert_eq!(site.get("/readyz").await.0, 503);
    assert_eq!(site.verdict("good", "default").await, Err("policies_unknown".into()));
    site.api.restart();
    site.ready(BACK).await;
    assert_eq!(site.verdict("good", "default").await, Ok(()));

    // Changed while it is watched again.
    site.api.kill();
    site.api.restart();
    let mut demands = World::demands();
    demands["mode"] = "Warn".into();
    site.apply(&site.world.documents(demands));
    site.until("unsigned", "default", Ok(()), BACK).await;
}
