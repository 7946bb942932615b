//! Parts that are gone: the store, and tidewaiter itself.

use super::in_cluster;
use crate::{cluster::Cluster, installation::fill_store, runner::Scenario, stage::Stage, tools::eventually};

pub fn scenarios() -> Vec<Scenario> {
    in_cluster(
        "outages",
        &[("store-down", store_down), ("webhook-at-zero", webhook_at_zero), ("break-glass-stays", break_glass_stays)],
    )
}

fn store_down(stage: &Stage) {
    let (cluster, world) = (stage.stored(), stage.world());
    scale(cluster, "tidewaiter-store", 0);
    // A namespace of its own: elsewhere the verdict may still be known.
    let namespace = cluster.namespace("store");
    let ran = namespace.run("app", &world.pinned("good-stored"), &[]);
    scale(cluster, "tidewaiter-store", 1);
    ran.expect(1).says(&["built-by-us: unavailable: ", "[store_unavailable]"]);
    fill_store(stage);
    eventually(20, "the store is asked again", || {
        (namespace.run("app", &world.pinned("good-stored"), &["--dry-run=server"]).code == 0).then_some(())
    });
}

/// `failurePolicy: Fail`: nobody answers, nobody comes in. Its own namespace is not guarded by it, and so it comes back.
fn webhook_at_zero(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("zero");
    scale(cluster, "tidewaiter", 0);
    let good = namespace.run("app", &world.pinned("good"), &[]);
    let own = cluster.kubectl(&["run", "own", "-n", "tidewaiter", "--image", &world.pinned("good"), "--restart=Never"]);
    scale(cluster, "tidewaiter", 2);
    cluster.kubectl(&["delete", "pod", "-n", "tidewaiter", "own", "--grace-period=1", "--wait=false"]);
    good.expect(1).says(&["failed calling webhook \"validate.tidewaiter.dev\""]);
    own.expect(0);
    eventually(30, "it decides again", || (namespace.run("app", &world.pinned("good"), &[]).code == 0).then_some(()));
    namespace.run("bad", &world.pinned("unsigned"), &[]).expect(1).says(&["[no_signature]"]);
}

/// A person's `failurePolicy: Ignore` is theirs: it outlives a restart, and while tidewaiter answers it still decides. Its metrics say so, so
/// that nobody forgets.
fn break_glass_stays(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let found = |differences: u32| {
        eventually(30, &format!("one leader, that is registered and sees {differences} differences"), || {
            let text: Vec<String> = webhook_pods(cluster).iter().map(|pod| metrics(cluster, pod)).collect();
            let sum = |name: &str| {
                let lines = text.iter().flat_map(|it| it.lines());
                lines.filter_map(|line| line.strip_prefix(name)?.trim().parse::<u32>().ok()).sum::<u32>()
            };
            let found =
                ["tidewaiter_leader ", "tidewaiter_registered ", "tidewaiter_registration_differences "].map(sum);
            (found == [1, 1, differences]).then_some(())
        });
    };
    found(0);
    crate::documents::tried(cluster, "runbook.md", "break-glass", &[]);
    cluster.kubectl(&["rollout", "restart", "-n", "tidewaiter", "deployment/tidewaiter"]).expect(0);
    rolled_out(cluster);
    found(1);
    let policy = cluster.get(&["validatingwebhookconfiguration", "tidewaiter"])["webhooks"][0]["failurePolicy"].clone();
    crate::documents::tried(cluster, "runbook.md", "mend", &[]);
    assert_eq!(policy, "Ignore");
    found(0);
    let namespace = cluster.namespace("glass");
    namespace.run("bad", &world.pinned("unsigned"), &[]).expect(1).says(&["[no_signature]"]);
}

/// Waits until there are so many pods of a deployment, and they are ready.
pub fn scale(cluster: &Cluster, deployment: &str, replicas: u32) {
    let replicas = replicas.to_string();
    cluster.kubectl(&["scale", "-n", "tidewaiter", "deployment", deployment, "--replicas", &replicas]).expect(0);
    eventually(90, &format!("{deployment} has {replicas} replicas"), || {
        let status = cluster.get(&["deployment", "-n", "tidewaiter", deployment])["status"].clone();
        let count = |field: &str| status[field].as_u64().unwrap_or(0).to_string();
        // Terminating pods still answer for a while; a Service forgets them at once.
        (count("readyReplicas") == replicas && count("replicas") == replicas).then_some(())
    });
    if replicas == "0" {
        let component = if deployment.ends_with("store") { "store" } else { "webhook" };
        let selector = format!("app.kubernetes.io/component={component}");
        eventually(90, "its pods are gone", || {
            let pods = cluster.get(&["pods", "-n", "tidewaiter", "-l", &selector]);
            pods["items"].as_array().is_some_and(Vec::is_empty).then_some(())
        });
    }
}

/// The names of the webhook's pods.
pub fn webhook_pods(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.get(&["pods", "-n", "tidewaiter", "-l", "app.kubernetes.io/component=webhook"]);
    let names =
        pods["items"].as_array().expect("pods").iter().map(|it| it["metadata"]["name"].as_str().expect("a name"));
    names.map(str::to_owned).collect()
}

/// What Prometheus would be told by a pod; nothing where it has just gone, which is not waited for.
fn metrics(cluster: &Cluster, pod: &str) -> String {
    let path = format!("/api/v1/namespaces/tidewaiter/pods/{pod}:8080/proxy/metrics");
    cluster.kubectl(&["--request-timeout=2s", "get", "--raw", &path]).stdout
}

/// Waits for the roll-out that is under way.
#[track_caller]
pub fn rolled_out(cluster: &Cluster) {
    cluster.kubectl(&["rollout", "status", "-n", "tidewaiter", "deployment/tidewaiter", "--timeout=120s"]).expect(0);
}
