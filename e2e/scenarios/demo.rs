//! `tidewaiter demo --kubernetes`, in the cluster where it is installed: its verdicts, and nothing left behind.

use super::in_cluster;
use crate::{
    runner::Scenario,
    stage::Stage,
    tools::{Ran, TIDEWAITER, eventually},
};
use std::process::Command;

pub fn scenarios() -> Vec<Scenario> {
    in_cluster("demo", &[("in-the-cluster", in_the_cluster)])
}

fn in_the_cluster(stage: &Stage) {
    let cluster = stage.guarded();
    let kinds = ["clusterimagepolicies,trustroots,registryconfigs,namespaces", "-l", "tidewaiter.dev/demo"];
    let left = || cluster.get(&kinds)["items"].as_array().map(Vec::len);
    assert_eq!(left(), Some(0), "something of an earlier demonstration");
    let mut demo = Command::new(TIDEWAITER);
    demo.args(["demo", "--kubernetes", "--output", "json"]).env("KUBECONFIG", cluster.dir.join("kubeconfig"));
    // 0: every answer was the expected one.
    let ran = Ran::of(&mut demo).expect(0);
    let told = ran.json().to_string();
    assert!(told.contains("no_signature") && told.contains("rule_violation"), "{ran}");
    eventually(60, "nothing of it is left", || (left() == Some(0)).then_some(()));
}
