//! tidewaiter in the cluster, as a user gets it there: our image, our chart, the policies of the world.

use crate::{
    cluster::Cluster,
    evidence::World,
    policies::TOKEN,
    stage::Stage,
    tools::{Ran, TIDEWAITER, checkout, eventually},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// The name our image has on the node; no registry has it.
const IMAGE: &str = "docker.io/tidewaiter/tidewaiter";
/// There is no DNS in the cluster, so the store has an address that is known beforehand.
const STORE_IP: &str = "10.97.0.80";

/// Installs it, and waits until it denies; how long that took from `helm install`.
pub fn install(stage: &Stage) -> Duration {
    let (cluster, world) = (stage.cluster(), stage.world());
    cluster.trust(world);
    let archive = stage.shop.path("tidewaiter.tar");
    Ran::of(Command::new(checkout("image/build")).arg(&archive).env("TIDEWAITER_BINARY", TIDEWAITER)).expect(0);
    cluster.load(&archive, &format!("{IMAGE}:e2e"));
    namespace(cluster);
    stage.shop.write("values.yaml", values(world));
    let start = Instant::now();
    helm(stage, &[]).expect(0);
    let policies = world.shop.file("policies");
    eventually(60, "the policies are applied", || {
        (cluster.kubectl(&["apply", "-f", &policies]).code == 0).then_some(())
    });
    let unsigned = world.pinned("unsigned");
    let run = ["run", "first", "--image", &unsigned, "--restart=Never", "--dry-run=server"];
    eventually(60, "an unsigned image is denied", || {
        let ran = cluster.kubectl(&run);
        // It is ready before anybody asks it: at no moment is a request lost.
        assert!(!ran.stderr.contains("failed calling webhook"), "asked before it was ready\n{ran}");
        (ran.code != 0).then(|| ran.says(&["denied by ClusterImagePolicy \"shop\"", "[no_signature]"]))
    });
    let took = start.elapsed();
    println!("        from helm install to the first denial: {:.1} s", took.as_secs_f32());
    cluster.kubectl(&["rollout", "status", "-n", "tidewaiter", "deployment/tidewaiter", "--timeout=60s"]).expect(0);
    took
}

/// `helm upgrade --install` with the values of the run and more.
pub fn helm(stage: &Stage, more: &[&str]) -> Ran {
    let chart = checkout("charts/tidewaiter").display().to_string();
    let values = stage.shop.file("values.yaml");
    let args = ["upgrade", "--install", "tidewaiter", &chart, "-n", "tidewaiter", "--create-namespace", "-f", &values];
    stage.cluster().helm(&[&args[..], more].concat())
}

/// Where the store in the cluster is reached, by pods and by this machine.
pub fn store_url() -> String {
    format!("https://{STORE_IP}")
}

/// Its CA: a file.
pub fn store_ca(stage: &Stage) -> String {
    let secret = stage.cluster().get(&["secret", "-n", "tidewaiter", "tidewaiter-store-tls"]);
    let ca = STANDARD.decode(secret["data"]["ca.crt"].as_str().expect("a CA")).expect("base64");
    stage.shop.write("store-ca.crt", ca).display().to_string()
}

/// Waits for the store, and sends it its evidence.
pub fn fill_store(stage: &Stage) {
    let cluster = stage.cluster();
    cluster
        .kubectl(&["rollout", "status", "-n", "tidewaiter", "deployment/tidewaiter-store", "--timeout=60s"])
        .expect(0);
    let ca = store_ca(stage);
    eventually(20, "the store's Service leads to it", || {
        let health = format!("{}/readyz", store_url());
        (Ran::of(Command::new("curl").args(["-sf", "--max-time", "2", "--cacert", &ca, &health])).code == 0)
            .then_some(())
    });
    stage.world().fill_store(&store_url(), &ca);
}

/// The namespace, with the token that opens the store.
fn namespace(cluster: &Cluster) {
    let token = STANDARD.encode(TOKEN);
    let documents = format!(
        "apiVersion: v1
kind: Namespace
metadata: {{ name: tidewaiter }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: store-reader, namespace: tidewaiter }}
data: {{ token: {token} }}
"
    );
    cluster.apply(&documents, &[]).expect(0);
}

/// One node and two processors: what the chart asks for a real cluster is too much here.
fn values(world: &World) -> String {
    let config: String = world.shop.read("store.yaml").lines().map(|line| format!("      {line}\n")).collect();
    format!(
        "image: {{ repository: {IMAGE}, tag: e2e, pullPolicy: Never }}
replicas: 2
webhook: {{ drainSeconds: 5 }}
resources:
  requests: {{ cpu: 10m, memory: 64Mi }}
  limits: {{ memory: 256Mi }}
store:
  enabled: true
  persistence: {{ enabled: false }}
  service: {{ clusterIP: {STORE_IP} }}
  readerToken: {{ secretName: store-reader }}
  publish: {{ enabled: true }}
  reportVerdicts: e2e
  resources:
    requests: {{ cpu: 10m, memory: 64Mi }}
  config:
    store.yaml: |
{config}"
    )
}
