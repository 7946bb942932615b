//! `helm uninstall`: nothing that is left refuses a pod.

use super::in_cluster;
use crate::{runner::Scenario, stage::Stage, tools::eventually};

pub fn scenarios() -> Vec<Scenario> {
    in_cluster("removal", &[("helm-uninstall", helm_uninstall)])
}

fn helm_uninstall(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("after");
    namespace.run("app", &world.pinned("unsigned"), &[]).expect(1).says(&["[no_signature]"]);
    cluster.helm(&["uninstall", "tidewaiter", "-n", "tidewaiter"]).expect(0);
    // At no moment is somebody refused because nobody answers.
    eventually(20, "pods are admitted", || {
        let ran = namespace.run("app", &world.pinned("unsigned"), &["--dry-run=server"]);
        assert!(!ran.stderr.contains("failed calling webhook"), "{ran}");
        (ran.code == 0).then_some(())
    });
    for kind in ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"] {
        let left = cluster.get(&[kind]).to_string();
        assert!(!left.contains("tidewaiter"), "{left}");
    }
    // The policies stay, and can still be changed and deleted.
    let warn = r#"{"spec": {"mode": "Warn"}}"#;
    cluster.kubectl(&["patch", "clusterimagepolicy", "shop", "--type=merge", "-p", warn]).expect(0);
    cluster.kubectl(&["delete", "clusterimagepolicies,trustroots,registryconfigs", "--all"]).expect(0);
    namespace.run("app", &world.pinned("unsigned"), &[]).expect(0);
}
