//! Namespaces come from the cluster, and exceptions from their annotations.

use crate::{
    site::{SEEN, Site},
    world::World,
};
use serde_json::json;
use std::{process::Command, time::Duration};
use tidewaiter::{
    Envelope,
    policy::exception::{self, ANNOTATION, Exception, SEAL_ANNOTATION},
};

/// An exception for the unsigned image.
fn text(site: &Site, until: jiff::Timestamp) -> String {
    let exception = Exception {
        images: vec![format!("{}/shop/unsigned", site.world.host)],
        digests: Vec::new(),
        policy: "shop".into(),
        requirements: vec!["released".into()],
        until,
        reason: "INC-42".into(),
    };
    exception::write(&[exception]).unwrap()
}

fn in_an_hour() -> jiff::Timestamp {
    jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)
}

impl Site {
    fn create(&self, namespace: &str) -> String {
        self.api.run(&["create", "namespace", namespace], "");
        self.api.run(&["get", "namespace", namespace, "--output=jsonpath={.metadata.uid}"], "")
    }

    /// The seal of a text for a namespace, by who may make exceptions.
    fn seal(&self, namespace: &str, uid: &str, text: &str) -> Envelope {
        exception::seal(namespace, uid, text, jiff::Timestamp::now(), &[self.world.key("officer")]).unwrap()
    }

    fn annotate(&self, namespace: &str, text: &str, seal: Option<&Envelope>) {
        let seal = seal.map(|seal| String::from_utf8(seal.to_bytes()).unwrap());
        let patch = json!({ "metadata": { "annotations": { ANNOTATION: text, SEAL_ANNOTATION: seal } } }).to_string();
        self.api.run(&["patch", "namespace", namespace, "--type=merge", "--patch", &patch], "");
    }

    /// Waits until the unsigned image is denied, and some warning says why the exception does not count.
    async fn ignored(&self, namespace: &str, why: &str) {
        let until = std::time::Instant::now() + SEEN;
        loop {
            let response = self.review("/validate", "unsigned", namespace).await;
            assert_eq!(response["status"]["reason"], "no_signature", "{response}");
            if response["warnings"].to_string().contains(why) {
                return;
            }
            assert!(std::time::Instant::now() < until, "{why}: {response}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn an_unknown_namespace_is_refused_and_a_new_one_is_not() {
    let site = Site::full().await;
    let response = site.review("/validate", "good", "nowhere").await;
    assert_eq!(response["status"]["reason"], "namespace_unknown");
    assert!(
        response["status"]["message"].as_str().unwrap().contains("there is no namespace \"nowhere\""),
        "{response}"
    );
    // Where nothing is enforced, nothing is denied.
    let mut demands = World::demands();
    demands["mode"] = "Audit".into();
    site.apply(&site.world.documents(demands));
    site.until("unsigned", "default", Ok(()), SEEN).await;
    let response = site.review("/validate", "good", "nowhere").await;
    assert_eq!(
        (&response["allowed"], &response["auditAnnotations"]["reason"]),
        (&json!(true), &json!("namespace_unknown"))
    );
    assert!(response["warnings"][0].as_str().unwrap().starts_with("not enforced: there is no namespace"), "{response}");
    site.apply(&site.world.documents(World::demands()));
    site.until("unsigned", "default", Err("no_signature"), SEEN).await;
    // No policy is about it: nothing is asked.
    assert_eq!(site.verdict("busybox", "nowhere").await, Ok(()));
    for round in 0..5 {
        let name = format!("new-{round}");
        site.api.run(&["create", "namespace", &name], "");
        assert_eq!(site.verdict("good", &name).await, Ok(()), "{name}");
    }
}

#[tokio::test]
async fn an_exception_counts_where_it_was_sealed_for_and_nowhere_else() {
    let site = Site::full().await;
    let (uid, _) = (site.create("team-a"), site.create("team-b"));
    let text_ = text(&site, in_an_hour());
    let seal = site.seal("team-a", &uid, &text_);

    site.annotate("team-a", &text_, None);
    site.ignored("team-a", "it is not sealed").await;
    site.annotate("team-a", &text_, Some(&seal));
    site.until("unsigned", "team-a", Ok(()), SEEN).await;
    let response = site.review("/validate", "unsigned", "team-a").await;
    assert!(response["warnings"].to_string().contains("admitted by an exception"), "{response}");
    assert!(response["auditAnnotations"]["exceptions"].as_str().unwrap().contains("honoured"), "{response}");
    // Only what it is about, and only there.
    assert_eq!(site.verdict("foreign", "team-a").await, Err("signature_untrusted".into()));
    site.annotate("team-b", &text_, Some(&seal));
    site.ignored("team-b", "the seal is for namespace").await;

    // The text was changed after it was sealed.
    site.annotate("team-a", &text(&site, in_an_hour()), Some(&seal));
    site.ignored("team-a", "the seal is for another text").await;
    site.annotate("team-a", "{ garbage", Some(&seal));
    site.ignored("team-a", "cannot be read").await;

    // It ends.
    let soon = text(&site, jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4));
    site.annotate("team-a", &soon, Some(&site.seal("team-a", &uid, &soon)));
    site.until("unsigned", "team-a", Ok(()), SEEN).await;
    site.until("unsigned", "team-a", Err("no_signature"), SEEN).await;
    site.ignored("team-a", "it expired at").await;

    // A namespace made anew under the same name is another one.
    site.annotate("team-a", &text_, Some(&seal));
    site.until("unsigned", "team-a", Ok(()), SEEN).await;
    remove(&site, "team-a");
    let anew = site.create("team-a");
    assert_ne!(uid, anew);
    site.annotate("team-a", &text_, Some(&seal));
    site.ignored("team-a", "the seal is for namespace").await;
}

/// There is no controller that would empty a namespace and let it go: this says what it would say.
fn remove(site: &Site, namespace: &str) {
    site.api.run(&["delete", "--wait=false", "namespace", namespace], "");
    let path = format!("/api/v1/namespaces/{namespace}/finalize");
    let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace }, "spec": { "finalizers": [] } });
    site.api.run(&["replace", "--raw", &path, "--filename=-"], &object.to_string());
    let mut get: Command = site.api.kubectl();
    assert!(!get.args(["get", "namespace", namespace]).output().unwrap().status.success());
}
