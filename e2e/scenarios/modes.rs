//! Before anybody dares: Warn tells, Audit records, a dry run gets the true verdict.

use super::in_cluster;
use crate::{runner::Scenario, stage::Stage, tools::eventually};

pub fn scenarios() -> Vec<Scenario> {
    in_cluster("modes", &[("warn", warn), ("audit", audit), ("denial-is-audited", denial), ("dry-run", dry_run)])
}

fn warn(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("warn");
    let ran = namespace.run("app", &world.tagged("warned"), &[]).expect(0);
    let ran = ran.says(&["Warning: ", "ClusterImagePolicy \"warned\"", "[no_signature]"]);
    for line in ran.stderr.lines().filter_map(|it| it.strip_prefix("Warning: ")) {
        assert!(line.len() <= 256, "{line}");
    }
    namespace.running("app");
}

/// Nothing is said to who typed; the audit log has it all.
fn audit(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("audit");
    let ran = namespace.run("app", &world.pinned("audited"), &[]).expect(0);
    assert!(!ran.stderr.contains("no_signature"), "{ran}");
    let annotations = annotations(stage, &namespace.name);
    assert_eq!(annotations["validate.tidewaiter.dev/decision"], "allowed");
    assert_eq!(annotations["validate.tidewaiter.dev/would-deny"], "ClusterImagePolicy/audited=no_signature");
    assert_eq!(annotations["validate.tidewaiter.dev/digests"], world.digest("audited"));
}

fn denial(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("audit");
    namespace.run("app", &world.pinned("file-added"), &[]).expect(1);
    let annotations = annotations(stage, &namespace.name);
    assert_eq!(annotations["validate.tidewaiter.dev/decision"], "denied");
    assert_eq!(annotations["validate.tidewaiter.dev/reason"], "rule_violation");
    assert_eq!(annotations["validate.tidewaiter.dev/policies"], "ClusterImagePolicy/shop=unmet");
}

/// Of the request that created, or would have created, the pod `app`.
fn annotations(stage: &Stage, namespace: &str) -> serde_json::Value {
    eventually(10, "the request is in the audit log", || {
        stage.cluster().audited(namespace, "pods", "app").pop().map(|it| it["annotations"].clone())
    })
}

fn dry_run(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("dry");
    let dry = ["--dry-run=server"];
    namespace.run("app", &world.pinned("unsigned"), &dry).expect(1).says(&["[no_signature]"]);
    namespace.run("app", &world.pinned("good"), &dry).expect(0);
    namespace.run("app", &world.pinned("warned"), &dry).expect(0).says(&["Warning: ", "[no_signature]"]);
    assert_eq!(namespace.get(&["pods"])["items"].as_array().map(Vec::len), Some(0));
    assert_eq!(
        namespace.get(&["events"])["items"].as_array().map(Vec::len),
        Some(0),
        "and nothing is told of what was not"
    );
}
