//! Registries that treat tidewaiter otherwise than the node: too late, and with lies. Nothing runs that was not verified.

use super::in_cluster;
use crate::{cases::Host, runner::Scenario, stage::Stage, tools::eventually};

pub fn scenarios() -> Vec<Scenario> {
    in_cluster("registries", &[("late", late), ("tag-lied-about", tag_lied_about)])
}

/// The user hears it from tidewaiter, before the API server has lost its patience.
fn late(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("late");
    let ran = namespace.run("app", &world.pinned("good-late"), &[]).expect(1);
    let ran = ran.says(&["admission webhook \"validate.tidewaiter.dev\" denied the request", "[deadline_exceeded]"]);
    ran.says(&["built-by-us: unavailable: the review's time ran out", &world.host(Host::Late)]);
    assert_eq!(namespace.get(&["pods"])["items"].as_array().map(Vec::len), Some(0), "and there is no pod");
}

/// The tag names an image that nobody signed. tidewaiter is shown the good one under it, and the node is not: what was verified is what
/// was pinned, and so it is what runs.
fn tag_lied_about(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let (name, namespace) = ("tag-lied-about", cluster.namespace("lies"));
    let (good, bad) = (world.digest(name), world.tag("shop/tag-lied-about", "unsigned"));
    assert_ne!(good, bad);
    assert_eq!((world.named(name, "tidewaiter/0"), world.named(name, "containerd/2")), (good.into(), bad.clone()));
    namespace.run("app", &world.tagged(name), &[]).expect(0);
    let pod = namespace.running("app");
    assert_eq!(pod["spec"]["containers"][0]["image"], format!("{}@{good}", world.tagged(name)), "pinned at admission");
    let pulled = pod["status"]["containerStatuses"][0]["imageID"].as_str().expect("an image");
    assert!(pulled.ends_with(good), "{pulled}");
    eventually(20, "it says that it is there", || {
        namespace.kubectl(&["logs", "app"]).stdout.contains("the cargo has landed").then_some(())
    });
    // And what the tag names in truth does not come in by its own name.
    let truth = format!("{}@{bad}", world.repository(name));
    namespace.run("bad", &truth, &[]).expect(1).says(&["[no_signature]"]);
}
