//! `helm install`, and what tidewaiter may do from then on.

use super::in_cluster;
use crate::{runner::Scenario, stage::Stage, tools::checkout};
use std::{collections::BTreeSet, fs};

pub fn scenarios() -> Vec<Scenario> {
    in_cluster("install", &[("first-denial", first_denial), ("says-ready", says_ready), ("rights", rights)])
}

/// With the image present, half a minute is the bar; the machine of a test may be twice as slow.
fn first_denial(stage: &Stage) {
    let took = stage.guarded_after();
    assert!(took.as_secs() < 30, "{took:?} from helm install to the first denial");
}

/// Each resource of the world says that it counts.
fn says_ready(stage: &Stage) {
    let cluster = stage.guarded();
    crate::tools::eventually(30, "every resource is Ready", || {
        let resources = cluster.get(&["trustroots,registryconfigs,clusterimagepolicies"]);
        let items = resources["items"].as_array()?;
        let ready = |it: &serde_json::Value| {
            let conditions = it["status"]["conditions"].as_array();
            conditions.is_some_and(|all| all.iter().any(|it| it["type"] == "Ready" && it["status"] == "True"))
        };
        (items.len() >= 13 && items.iter().all(ready)).then_some(())
    });
}

/// The pod can do what is written in `rights.txt`, and nothing else.
fn rights(stage: &Stage) {
    let cluster = stage.guarded();
    let mut told = String::new();
    for namespace in ["default", "tidewaiter"] {
        let account = "system:serviceaccount:tidewaiter:tidewaiter";
        let ran = cluster.kubectl(&["auth", "can-i", "--list", "--as", account, "-n", namespace]).expect(0);
        let lines = ran.stdout.lines().skip(1);
        let lines: BTreeSet<String> = lines.map(|it| it.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        told += &format!("# in namespace {namespace}\n");
        lines.iter().for_each(|line| told += &format!("{line}\n"));
    }
    let golden = fs::read_to_string(checkout("e2e/rights.txt")).unwrap_or_default();
    assert_eq!(told, golden, "what it may do is not what e2e/rights.txt says; it is now\n{told}");
}
