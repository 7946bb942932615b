//! From a pipeline's step to a running pod, and back to who asks: `tidewaiter run` sends its links to the store in the cluster, the store lays
//! them beside the image in its registry, the webhook wants them from both, and tells the store what it decided. First with the store's own
//! SQLite, then with a PostgreSQL outside the cluster. Beside each image that runs, two that are denied: one that nobody built, and one
//! that was built of something else.

use super::in_cluster;
use crate::{
    cases::Host,
    cluster::Cluster,
    databases::Postgres,
    installation::{self, fill_store, store_ca, store_url},
    policies::{FLOW_TOKEN, TOKEN},
    runner::Scenario,
    stage::Stage,
    tools::{Ran, Workshop, eventually},
};
use serde_json::Value;
use std::fs;

pub fn scenarios() -> Vec<Scenario> {
    in_cluster("store", &[("flow", flow), ("postgres-outside", postgres_outside)])
}

/// Registries without and with the referrers API.
fn flow(stage: &Stage) {
    stage.stored();
    through(stage, Host::Distribution, "small");
    through(stage, Host::Referrers, "large");
}

/// The same with the database elsewhere: the chart is given a Secret with its URL, and two replicas of the store share it.
fn postgres_outside(stage: &Stage) {
    let cluster = stage.stored();
    let ip = stage.ip();
    // Pods come with a password; this machine's own programs without.
    let hba = "host all all 127.0.0.1/32 trust\nhost all all all scram-sha-256\n";
    let hba = stage.shop.write("pg_hba.conf", hba).display().to_string();
    let postgres = Postgres::start(&[&format!("listen_addresses=127.0.0.1,{ip}"), &format!("hba_file={hba}")]);
    postgres.sql("postgres", "CREATE ROLE tidewaiter LOGIN PASSWORD 'tide'");
    postgres.sql("postgres", "CREATE DATABASE tidewaiter OWNER tidewaiter");
    let url = format!("postgres://tidewaiter:tide@{ip}:{}/tidewaiter", postgres.port);
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: store-database, namespace: tidewaiter }}\nstringData: {{ url: \"{url}\" }}\n"
    );
    cluster.apply(&secret, &[]).expect(0);
    installation::helm(stage, &["--set", "store.database.secretName=store-database,store.replicas=2"]).expect(0);
    alone(cluster, 2);
    fill_store(stage);
    through(stage, Host::Distribution, "elsewhere");
    let kept = postgres.sql("tidewaiter", "SELECT count(*) FROM publication WHERE state = 1");
    assert_eq!(kept.trim(), "2", "what was published is known there");
    // As it was, for those who come after.
    installation::helm(stage, &[]).expect(0);
    alone(cluster, 1);
    fill_store(stage);
}

/// Waits until the store's pods are so many: those that drain answer from their own database, where a connection to them is still open.
fn alone(cluster: &Cluster, pods: usize) {
    eventually(90, &format!("the store has {pods} pods and no others"), || {
        let found = cluster.get(&["pods", "-n", "tidewaiter", "-l", "app.kubernetes.io/component=store"]);
        (found["items"].as_array()?.len() == pods).then_some(())
    });
}

/// A pipeline whose image runs, and two whose images do not.
fn through(stage: &Stage, host: Host, name: &str) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("flow");
    let good = Pipeline::new(stage, host, name, "");
    let digest = good.build();
    good.published(&digest);
    namespace.run("app", &good.pinned(&digest), &[]).expect(0);
    namespace.running("app");

    // An image under the good one's name, of which nobody says anything.
    let other = Workshop::at(world.shop.path(&format!("flow-{name}")));
    Ran::of(other.command("sh").args(["build.sh", "nobody"])).expect(0);
    let strange = world.push(host, &good.path, &other.path("image"));
    namespace.run("strange", &good.pinned(&strange), &[]).expect(1).says(&["[no_layout]"]);

    // The builder's own link says that he built of more than was fetched: recorded, published, and not let in.
    let bad = Pipeline::new(stage, host, &format!("{name}-bad"), "echo evil > src/evil.sh");
    let tampered = bad.build();
    bad.published(&tampered);
    namespace.run("bad", &bad.pinned(&tampered), &[]).expect(1).says(&["[rule_violation]", "src/evil.sh"]);

    // And who asks the store is told all of it.
    let told = |digest: &str, decision: &str, reason: Option<&str>| {
        eventually(20, &format!("the store knows that {digest} is {decision}"), || {
            let answer = good.ask(&format!("v1/verdicts?digest={digest}"));
            let verdicts = answer["verdicts"].as_array()?.clone();
            let found = |it: &&Value| it["decision"] == decision && it["reason"].as_str() == reason;
            let verdict = verdicts.iter().find(found)?;
            (verdict["cluster"] == "e2e" && verdict["namespace"] == namespace.name.as_str()).then_some(())
        });
    };
    told(&digest, "allowed", None);
    told(&tampered, "denied", Some("rule_violation"));
    let found = good.ask(&format!("v1/search?digest={digest}&step=build"));
    let records = found["records"].as_array().expect("records");
    assert!(records.iter().any(|it| it["chain"] == "flow" && it["step"] == "build"), "{found}");
}

/// One pipeline: it fetches, it may do something it should not, and it builds.
struct Pipeline<'s> {
    stage: &'s Stage,
    bench: Workshop,
    host: Host,
    /// In the registry.
    path: String,
    run: String,
    tamper: &'s str,
}

impl<'s> Pipeline<'s> {
    fn new(stage: &'s Stage, host: Host, name: &str, tamper: &'s str) -> Self {
        let bench = Workshop::at(stage.world().shop.path(&format!("flow-{name}")));
        bench.write("token", FLOW_TOKEN);
        bench.write("build.sh", include_str!("../pipeline/build.sh"));
        let run = format!("{name}-{}", bench.path("").display());
        Pipeline { stage, bench, host, path: format!("flow/{name}"), run, tamper }
    }

    fn repository(&self) -> String {
        format!("{}/{}", self.stage.world().host(self.host), self.path)
    }

    fn pinned(&self, digest: &str) -> String {
        format!("{}@{digest}", self.repository())
    }

    /// The owners' layout, two recorded steps, and the image in its registry; its digest.
    fn build(&self) -> String {
        let (bench, world) = (&self.bench, self.stage.world());
        bench.write("flow.yaml", template(&self.repository()));
        let [alice, bob] = ["alice", "bob"].map(|name| world.key(name));
        let sign = ["layout", "sign", "flow.yaml", "-o", "root.layout", "--key", &alice, "--key", &bob];
        bench.tidewaiter(&sign).expect(0);
        let bytes = fs::read(bench.path("root.layout")).expect("a layout");
        let name = tidewaiter::envelope::Envelope::parse(&bytes).expect("an envelope").digest();
        let to = format!("{}/v1/records/{name}", store_url());
        self.curl(FLOW_TOKEN, &["-T", &bench.file("root.layout"), &to]);

        let upstream = world.shop.file("fetched/upstream");
        self.step("fetch", "fetcher", &["-p", "src"], &["cp", "-r", &upstream, "src"]);
        if !self.tamper.is_empty() {
            Ran::of(bench.command("sh").args(["-c", self.tamper])).expect(0);
        }
        let image = ["-m", "src", "--image", &self.repository(), "--image-from-file", "image"];
        self.step("build", "builder", &image, &["sh", "build.sh", &self.path]);
        world.push(self.host, &self.path, &bench.path("image"))
    }

    fn step(&self, name: &str, key: &str, args: &[&str], command: &[&str]) {
        let key = self.stage.world().key(key);
        let ca = store_ca(self.stage);
        let token = self.bench.file("token");
        let url = store_url();
        let store = ["--store", &url, "--store-token-file", &token, "--store-ca", &ca, "--run", &self.run];
        let run = ["run", "--step", name, "--key", &key, "--require-upload"];
        self.bench.tidewaiter(&[&run[..], &store, args, &["--"], command].concat()).expect(0);
    }

    /// Waits until the registry alone proves what there is to prove of the image.
    fn published(&self, digest: &str) {
        let world = self.stage.world();
        eventually(40, &format!("{} is published", self.pinned(digest)), || {
            let ran = world.verify(&self.pinned(digest), &[]);
            let requirements = &ran.json()["images"][0]["policies"][0]["requirements"];
            let found = requirements.as_array()?.iter().find(|it| it["name"] == "built-by-us")?.clone();
            (found["met"] == true || found["reason"] == "rule_violation").then_some(())
        });
    }

    fn ask(&self, path: &str) -> Value {
        self.curl(TOKEN, &[&format!("{}/{path}", store_url())]).json()
    }

    fn curl(&self, token: &str, more: &[&str]) -> Ran {
        let (ca, authorization) = (store_ca(self.stage), format!("Authorization: Bearer {token}"));
        let args = ["-sS", "--fail-with-body", "--cacert", &ca, "-H", &authorization];
        Ran::of(self.bench.command("curl").args(args).args(more)).expect(0)
    }
}

fn template(repository: &str) -> String {
    format!(
        "expires: 30d
steps:
  - name: fetch
    functionaries: [../keys/fetcher.pub]
    materials: [DISALLOW *]
    products: [CREATE src/*, DISALLOW *]
  - name: build
    functionaries: [../keys/builder.pub]
    materials: [MATCH src/* WITH PRODUCTS FROM fetch, DISALLOW *]
    products: [\"CREATE oci:{repository}\", DISALLOW *]
inspections:
  - name: image
    run: [tidewaiter, inspect, image]
    materials: [\"MATCH oci:{repository} WITH PRODUCTS FROM build\", DISALLOW *]
"
    )
}
