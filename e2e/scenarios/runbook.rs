//! The runbook's commands, as they stand in docs/runbook.md, on a cluster that needs them.

use super::{
    in_cluster,
    outages::{rolled_out, scale},
};
use crate::{documents::tried, installation::helm, runner::Scenario, stage::Stage, tools::eventually};

pub fn scenarios() -> Vec<Scenario> {
    in_cluster(
        "runbook",
        &[
            ("in-order", in_order),
            ("a-policy-to-warn", a_policy_to_warn),
            ("configuration-deleted", configuration_deleted),
        ],
    )
}

/// Down, looked at, glass broken, restarted, mended, and what came in meanwhile is found.
fn in_order(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("runbook");
    tried(cluster, "runbook.md", "right", &[]);
    scale(cluster, "tidewaiter", 0);
    namespace.run("refused", &world.pinned("good"), &[]).expect(1).says(&["failed calling webhook"]);
    tried(cluster, "runbook.md", "look", &[]);
    tried(cluster, "runbook.md", "break-glass", &[]);
    eventually(20, "the API server knows", || {
        (namespace.run("unseen", &world.pinned("unsigned"), &[]).code == 0).then_some(())
    });
    tried(cluster, "runbook.md", "restart", &[]);
    tried(cluster, "runbook.md", "mend", &[]);
    eventually(30, "it decides again", || {
        let ran = namespace.run("seen", &world.pinned("unsigned"), &["--dry-run=server"]);
        ran.stderr.contains("[no_signature]").then_some(())
    });
    let unseen = tried(cluster, "runbook.md", "unseen", &[]).stdout;
    assert!(unseen.lines().any(|it| it.contains(&format!("{} unseen", namespace.name))), "{unseen}");
    let again = tried(cluster, "runbook.md", "again", &[]);
    let refused = format!("REFUSED {} {}", namespace.name, world.pinned("unsigned"));
    assert!(again.stdout.contains(&refused), "{again}");
    cluster.kubectl(&["delete", "clusterrole", "tidewaiter-break-glass"]).expect(0);
}

fn a_policy_to_warn(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("runbook");
    let unsigned = world.pinned("unsigned");
    let run = |code: i32| {
        eventually(10, &format!("kubectl run ends with {code}"), || {
            let ran = namespace.run("app", &unsigned, &["--dry-run=server"]);
            (ran.code == code).then(|| ran.says(&["[no_signature]"]))
        })
    };
    tried(cluster, "runbook.md", "warn", &[("POLICY", "shop")]);
    run(0);
    cluster
        .kubectl(&["patch", "clusterimagepolicy", "shop", "--type=merge", "-p", r#"{"spec": {"mode": "Enforce"}}"#])
        .expect(0);
    run(1);
}

/// The last resort, and the way back: `helm upgrade`.
fn configuration_deleted(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("runbook");
    tried(cluster, "runbook.md", "delete", &[]);
    eventually(20, "nobody is asked any more", || {
        (namespace.run("app", &world.pinned("unsigned"), &["--dry-run=server"]).code == 0).then_some(())
    });
    helm(stage, &[]).expect(0);
    rolled_out(cluster);
    eventually(60, "it decides again", || {
        namespace
            .run("app", &world.pinned("unsigned"), &["--dry-run=server"])
            .stderr
            .contains("[no_signature]")
            .then_some(())
    });
}
