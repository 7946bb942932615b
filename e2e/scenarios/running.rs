//! A good image runs: pulled by containerd, at the digest that was judged.

use super::in_cluster;
use crate::{runner::Scenario, stage::Stage, tools::eventually};

pub fn scenarios() -> Vec<Scenario> {
    in_cluster(
        "running",
        &[
            ("pinned", pinned),
            ("bundle", bundle),
            ("sublayout", |stage| runs(stage, "good-sublayout")),
            ("pgp", |stage| runs(stage, "good-pgp")),
            ("parameters", |stage| runs(stage, "good-parameters")),
            ("provenance", |stage| runs(stage, "good-provenance")),
            ("tag-moves", tag_moves),
            ("stored", stored),
        ],
    )
}

/// Named by tag, it runs by digest, and does its work.
fn pinned(stage: &Stage) {
    runs(stage, "good");
}

/// The registry with the referrers API, and a signature of cosign 3.
fn bundle(stage: &Stage) {
    runs(stage, "good-bundle");
}

/// Its evidence comes from the store in the cluster.
fn stored(stage: &Stage) {
    stage.stored();
    runs(stage, "good-stored");
}

fn runs(stage: &Stage, case: &str) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("running");
    namespace.run("app", &world.tagged(case), &[]).expect(0);
    let pod = namespace.running("app");
    let image = pod["spec"]["containers"][0]["image"].as_str().expect("an image");
    assert_eq!(image, format!("{}@{}", world.tagged(case), world.digest(case)), "pinned at admission");
    let pulled = pod["status"]["containerStatuses"][0]["imageID"].as_str().expect("an image");
    assert!(pulled.ends_with(world.digest(case)), "{pulled}");
    eventually(20, "it says that it is there", || {
        namespace.kubectl(&["logs", "app"]).stdout.contains("the cargo has landed").then_some(())
    });
}

/// A tag that moves takes the next pod with it to a new verdict, and leaves the one that runs alone.
fn tag_moves(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("tag");
    namespace.run("before", &world.tagged("good"), &[]).expect(0);
    let before = namespace.running("before");
    world.tag("shop/good", "unsigned");
    namespace.run("after", &world.tagged("good"), &[]).expect(1).says(&["[no_signature]", world.digest("unsigned")]);
    let still = namespace.get(&["pod", "before"]);
    let image = |pod: &serde_json::Value| pod["spec"]["containers"][0]["image"].clone();
    assert_eq!((&image(&still), &still["status"]["phase"]), (&image(&before), &"Running".into()));
    world.tag("shop/good", "good");
    namespace.run("again", &world.tagged("good"), &[]).expect(0);
}
