//! Every place of a pod that names an image, and the kinds that make pods.

use super::in_cluster;
use crate::{runner::Scenario, stage::Stage, tools::eventually};

pub fn scenarios() -> Vec<Scenario> {
    in_cluster(
        "kinds",
        &[
            ("init-container", init_container),
            ("ephemeral-container", ephemeral_container),
            ("image-volume", image_volume),
            ("deployment", deployment),
            ("replica-set-event", replica_set_event),
            ("cron-job", cron_job),
        ],
    )
}

fn init_container(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("init");
    let init = |image: &str| {
        pod(
            &world.pinned("good"),
            &format!("initContainers: [{{ name: first, image: \"{image}\", command: [cat, /app.sh] }}]"),
        )
    };
    let ran = namespace.apply(&init(&world.pinned("unsigned")), &[]).expect(1);
    ran.says(&["spec.initContainers[0] \"first\"", "[no_signature]"]);
    namespace.apply(&init(&world.pinned("good-bundle")), &[]).expect(0);
    namespace.running("app");
}

/// `kubectl debug` puts a container into a pod that runs.
fn ephemeral_container(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("debug");
    namespace.run("app", &world.pinned("good"), &[]).expect(0);
    namespace.running("app");
    let debug = |image: &str| {
        namespace.kubectl(&[
            "debug",
            "app",
            "--image",
            image,
            "--attach=false",
            "--profile=general",
            "--",
            "sleep",
            "1",
        ])
    };
    debug(&world.tagged("unsigned")).expect(1).says(&["spec.ephemeralContainers[0]", "[no_signature]"]);
    debug(&world.tagged("good-bundle")).expect(0);
    let container = namespace.get(&["pod", "app"])["spec"]["ephemeralContainers"][0]["image"].clone();
    assert_eq!(container, format!("{}@{}", world.tagged("good-bundle"), world.digest("good-bundle")), "pinned too");
}

fn image_volume(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("volume");
    let mounted = |image: &str| {
        pod(&world.pinned("good"), &format!("volumes: [{{ name: data, image: {{ reference: \"{image}\" }} }}]"))
    };
    let ran = namespace.apply(&mounted(&world.pinned("unsigned")), &[]).expect(1);
    ran.says(&["spec.volumes[0] \"data\"", "[no_signature]"]);
    namespace.apply(&mounted(&world.pinned("good-bundle")), &[]).expect(0);
    namespace.running("app");
}

/// Told when it is applied, not only when its pods do not come.
fn deployment(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("deployment");
    let ran = namespace.kubectl(&["create", "deployment", "app", "--image", &world.pinned("unsigned")]).expect(1);
    ran.says(&["spec.template.spec.containers[0]", "[no_signature]"]);
    namespace.kubectl(&["create", "deployment", "app", "--image", &world.tagged("good"), "--replicas=2"]).expect(0);
    eventually(60, "two pods run", || {
        (namespace.get(&["deployment", "app"])["status"]["readyReplicas"] == 2).then_some(())
    });
    let template = namespace.get(&["deployment", "app"])["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert_eq!(template, world.tagged("good"), "what somebody else owns is not rewritten");
}

/// What was good when it was applied may be bad when its pods are made: the ReplicaSet's event says why.
fn replica_set_event(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("event");
    namespace.kubectl(&["create", "deployment", "app", "--image", &world.tagged("good")]).expect(0);
    eventually(60, "a pod runs", || {
        (namespace.get(&["deployment", "app"])["status"]["readyReplicas"] == 1).then_some(())
    });
    world.tag("shop/good", "unsigned");
    namespace.kubectl(&["delete", "pods", "-l", "app=app", "--grace-period=1", "--wait=false"]).expect(0);
    let failed = eventually(60, "the ReplicaSet's event FailedCreate", || {
        let events =
            namespace.get(&["events", "--field-selector", "reason=FailedCreate,involvedObject.kind=ReplicaSet"]);
        events["items"][0]["message"].as_str().map(str::to_owned)
    });
    world.tag("shop/good", "good");
    assert!(failed.contains("denied by ClusterImagePolicy \"shop\"") && failed.contains("[no_signature]"), "{failed}");
    // One of several, perhaps: the ReplicaSet goes on trying while the tag moves back.
    eventually(20, "our own event on the ReplicaSet", || {
        let events =
            namespace.get(&["events", "--field-selector", "reason=ImageDenied,involvedObject.kind=ReplicaSet"]);
        events["items"].as_array()?.iter().any(|it| it.to_string().contains("[no_signature]")).then_some(())
    });
}

fn cron_job(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("cron");
    let create =
        |image: &str| namespace.kubectl(&["create", "cronjob", "nightly", "--schedule", "0 3 * * *", "--image", image]);
    let ran = create(&world.pinned("unsigned")).expect(1);
    ran.says(&["spec.jobTemplate.spec.template.spec.containers[0]", "[no_signature]"]);
    create(&world.pinned("good")).expect(0);
}

/// A pod `app` with more of a spec.
fn pod(image: &str, more: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{ name: app }}
spec:
  containers: [{{ name: app, image: \"{image}\" }}]
  {more}
"
    )
}
