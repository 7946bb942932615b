//! What a person at kubectl is shown.

use crate::cluster::Cluster;
use serde_json::Value;
use std::time::{Duration, Instant};

pub fn the_definitions_are_accepted_and_explained(cluster: &Cluster) {
    let definitions: Value = serde_json::from_str(&cluster.kubectl(&["get", "crd", "-o", "json"]).unwrap()).unwrap();
    let definitions = definitions["items"].as_array().unwrap();
    assert_eq!(definitions.len(), 4);
    for definition in definitions {
        let name = &definition["metadata"]["name"];
        for condition in definition["status"]["conditions"].as_array().unwrap() {
            let told = (condition["type"].as_str().unwrap(), condition["status"].as_str().unwrap());
            // NonStructuralSchema would be here if it were one.
            assert!(matches!(told, ("NamesAccepted" | "Established", "True")), "{name}: {condition}");
        }
    }
    for (field, says) in [
        ("clusterimagepolicies", "Which images must show what"),
        ("clusterimagepolicies.spec.mode", "What follows when the policy is not met."),
        ("clusterimagepolicies.spec.require.atLeast.count", "How many of them are enough"),
        ("imagepolicies.spec.require.all.supplyChain.layout.threshold", "How many distinct owners must have signed"),
        ("trustroots.spec.keys.pem", "One PEM block PUBLIC KEY."),
        ("trustroots.status.expires", "When the first of them ends"),
        ("registryconfigs.spec.allowPrivate", "Private addresses may be connected to."),
    ] {
        let explained = explained(cluster, field);
        assert!(explained.split_whitespace().collect::<Vec<_>>().join(" ").contains(says), "{field}: {explained}");
    }
}

/// A definition is Established some seconds before the API server's own description of it is published.
fn explained(cluster: &Cluster, field: &str) -> String {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match cluster.kubectl(&["explain", field]) {
            Ok(explained) => return explained,
            Err(error) => assert!(Instant::now() < until, "{field}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// With the documents of the step before in it.
pub fn the_tables_show_what_matters(cluster: &Cluster) {
    for (resource, columns, row) in [
        ("cimgpol", "NAME MODE MATCHED UNMET READY REASON AGE", "shop Enforce 7 2 True Loaded"),
        ("imgpol", "NAME MODE MATCHED UNMET READY REASON AGE", "reviewed Warn"),
        ("troot", "NAME KEYS EXPIRES READY REASON AGE", "shop-owners 2"),
        ("regcfg", "NAME HOST READY REASON AGE", "internal registry.example.com:5000"),
    ] {
        let table = cluster.kubectl(&["get", resource, "-n", "shop-prod"]).unwrap();
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        assert_eq!(lines.next().unwrap(), columns, "{table}");
        assert!(lines.any(|line| line.starts_with(row)), "{row}: {table}");
    }
    let all = cluster.kubectl(&["get", "tidewaiter", "-A", "-o", "name"]).unwrap();
    for kind in ["clusterimagepolicy", "imagepolicy", "trustroot", "registryconfig"] {
        assert!(all.contains(&format!("{kind}.tidewaiter.dev/")), "the category lists no {kind}: {all}");
    }
}
