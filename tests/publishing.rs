//! The store publishes: real uploads to a real store, registries with and without the referrers API, and `tidewaiter verify` with what lies in
//! the registry alone. For what is published, what is not; and whatever ends in between, it is published once.

#[allow(dead_code)]
#[path = "support/databases.rs"]
mod databases;
mod support;
#[allow(dead_code)]
#[path = "real/tools.rs"]
mod tools;
#[allow(dead_code)]
#[path = "support/world.rs"]
mod world;

use databases::{On, Place, on_both};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use support::registry::{Kind, Registry};
use tidewaiter::{
    digest::Digest,
    envelope::Envelope,
    server::{
        Bounds, Chains, Options, Server,
        publisher::{self, Times},
    },
    store::database,
};
use tokio_util::sync::CancellationToken;
use world::{Chain, World};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

const TIMES: Times = Times {
    poll: Duration::from_millis(50),
    settle: Duration::from_millis(100),
    lease: Duration::from_millis(900),
    push: Duration::from_secs(10),
    backoff: Duration::from_millis(100),
    backoff_max: Duration::from_millis(400),
    give_up: Duration::from_secs(3600),
};

/// A store over a database that outlives it, on a runtime of its own: ended, everything in it stops where it stands.
struct Store {
    url: String,
    metrics: String,
    http: reqwest::Client,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Store {
    async fn open(place: &Place, documents: &str, times: Times) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = Options {
            listen: loopback,
            tls: None,
            client_ca: None,
            metrics_listen: Some(loopback),
            database: database::Options::at(place.url.parse().unwrap()),
            chains: Chains::parse("chains.yaml", documents).unwrap(),
            bounds: Bounds::default(),
        };
        let publishing = publisher::Options { docker_config: None, times };
        let opened = runtime.spawn(async move {
            let server = Server::open(options).await.unwrap().publishing(publishing);
            let addresses = (server.local_addr(), server.metrics_addr().unwrap());
            tokio::spawn(server.run(CancellationToken::new()));
            addresses
        });
        let (api, metrics) = opened.await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Store { url: format!("http://{api}"), metrics: format!("http://{metrics}"), http, runtime: Some(runtime) }
    }

    async fn put(&self, envelope: &[u8]) {
        let name = Envelope::parse(envelope).unwrap().digest();
        let put = self.http.put(format!("{}/v1/records/{name}", self.url)).bearer_auth("writer");
        let answer = put.body(envelope.to_vec()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// How many images came out so.
    async fn count(&self, result: &str) -> u64 {
        let text = self.http.get(format!("{}/metrics", self.metrics)).send().await.unwrap().text().await.unwrap();
        let line = format!("tidewaiter_store_publications_total{{result=\"{result}\"}} ");
        text.lines().find_map(|it| it.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
    }

    async fn until(&self, result: &str, least: u64) {
        for _ in 0..200 {
            if self.count(result).await >= least {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not {least} {result}: {}", self.count(result).await);
    }
}

/// The world's images under their names, and its chain: its images, its writer, and that it is published.
fn documents(world: &World, publish: Value, more: &[Value]) -> String {
    let mut documents = world.documents(World::demands());
    documents.retain(|document| document["kind"] == "TrustRoot");
    documents.push(registry_config(&world.host));
    documents.push(json!({"apiVersion": "tidewaiter.dev/v1alpha1", "kind": "Chain", "metadata": {"name": "shop"}, "spec": {
        "owners": {"trust": "shop-owners", "threshold": 2}, "images": [format!("{}/shop/*", world.host)], "publish": publish,
        "writers": [{"name": "ci", "tokenHash": Digest::sha256(b"writer").to_string(), "steps": ["*"], "kinds": ["layout", "link"]}]}}));
    documents.extend_from_slice(more);
    documents.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

fn registry_config(host: &str) -> Value {
    json!({"apiVersion": "tidewaiter.dev/v1alpha1", "kind": "RegistryConfig", "metadata": {"name": format!("at-{}", host.replace(':', "-"))},
        "spec": {"host": host, "allowPrivate": true, "insecure": true}})
}

/// A world whose images lie in the registry at `host`.
async fn world(host: &str, names: &[&'static str]) -> World {
    let mut world = World::at(host);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for name in names {
        let image = world.image(name);
        let bytes =
            |digest: &str| std::fs::read(world.layout_dir().join("blobs").join(digest.replace(':', "/"))).unwrap();
        let manifest = bytes(&image.digest);
        let read: Value = serde_json::from_slice(&manifest).unwrap();
        let base = format!("http://{host}/v2/shop/{name}");
        for blob in [&read["config"], &read["layers"][0]] {
            let digest = blob["digest"].as_str().unwrap();
            let begun = http.post(format!("{base}/blobs/uploads/")).send().await.unwrap();
            assert_eq!(begun.status(), 202);
            let place = begun.url().join(begun.headers()["location"].to_str().unwrap()).unwrap();
            let joint = if place.query().is_some() { '&' } else { '?' };
            let put =
                http.put(format!("{place}{joint}digest={digest}")).header("content-type", "application/octet-stream");
            assert_eq!(put.body(bytes(digest)).send().await.unwrap().status(), 201);
        }
        let put = http.put(format!("{base}/manifests/{}", image.digest)).header("content-type", MANIFEST);
        assert_eq!(put.body(manifest).send().await.unwrap().status(), 201);
    }
    world
}

/// What `tidewaiter verify` says with what lies in the registry alone: its exit code, and the reason.
async fn verify(bench: &tools::Bench, world: &World, image: &str) -> (i32, String) {
    let policy = json!({"mode": "Enforce", "require": {"all": [
        {"name": "built-by-us", "supplyChain": {"layout": {"owners": "shop-owners", "threshold": 2}, "evidence": ["oci"]}}]}});
    let mut documents = world.documents(policy);
    documents.retain(|document| document["kind"] != "RegistryConfig");
    documents.push(registry_config(&world.host));
    let text = documents.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    let file = bench.write("policy.yaml", text).display().to_string();
    let mut command = bench.command(env!("CARGO_BIN_EXE_tidewaiter"));
    command.args(["verify", image, "--policy", &file, "--output", "json"]);
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let decision: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let requirement = &decision["images"][0]["policies"][0]["requirements"][0];
    (ran.status.code().unwrap(), requirement["reason"].as_str().unwrap_or_default().to_owned())
}

/// The evidence sets that a registry of ours holds.
fn sets(registry: &Registry) -> usize {
    let held = registry.held();
    let manifests = held.manifests.iter().filter(|((_, name), _)| name.starts_with("sha256:"));
    let of = |bytes: &[u8]| {
        serde_json::from_slice::<Value>(bytes).unwrap()["artifactType"] == "application/vnd.in-toto+json"
    };
    manifests.filter(|(_, (_, bytes))| of(bytes)).count()
}

/// What was written to a registry of ours since it was last asked.
fn writes(registry: &Registry) -> usize {
    let count = registry.held().log.iter().filter(|line| !line.starts_with("GET") && !line.starts_with("HEAD")).count();
    registry.reset();
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_chain_goes_beside_its_image_and_verifies_there() {
    let bench = tools::Bench::new();
    for server in [tools::Server::docker_registry(&bench), tools::Server::registry(&bench, &[])] {
        let world = world(&server.addr.to_string(), &["api", "other", "smuggled"]).await;
        let place = Place::new(On::Sqlite);
        let store = Store::open(&place, &documents(&world, json!({}), &[]), TIMES).await;
        let image = world.images["api"].pinned();
        assert_eq!(verify(&bench, &world, &image).await, (3, "no_layout".into()));

        let chain = world.envelopes("api", Chain::default());
        let [layout, fetch, build] = chain.as_slice() else { panic!("{}", chain.len()) };
        store.put(layout).await;
        store.put(build).await;
        store.until("postponed", 1).await;
        assert_eq!(verify(&bench, &world, &image).await, (3, "no_layout".into()), "half a chain is not published");
        store.put(fetch).await;
        store.until("published", 1).await;
        assert_eq!(verify(&bench, &world, &image).await, (0, String::new()));

        // An image that no link made has none of it, and what is published of a bad one is judged for what it is.
        assert_eq!(verify(&bench, &world, &world.images["other"].pinned()).await, (3, "no_layout".into()));
        for envelope in world.envelopes("smuggled", Chain { smuggled: Some("src/evil.c"), ..Chain::default() }) {
            store.put(&envelope).await;
        }
        store.until("published", 2).await;
        assert_eq!(verify(&bench, &world, &world.images["smuggled"].pinned()).await, (1, "rule_violation".into()));
    }
}

async fn the_same_is_written_once_and_more_beside_it(on: On) {
    for kind in [Kind::modern(), Kind::old()] {
        let registry = Registry::start(kind).await;
        let world = world(&registry.address.to_string(), &["api"]).await;
        let place = Place::new(on);
        let store = Store::open(&place, &documents(&world, json!({}), &[]), TIMES).await;
        let chain = world.envelopes("api", Chain::default());
        for envelope in &chain {
            store.put(envelope).await;
        }
        store.until("published", 1).await;
        assert_eq!(sets(&registry), 1);
        writes(&registry);
        // The same again is no news.
        for envelope in &chain {
            store.put(envelope).await;
        }
        // A link of the same step that says more: it made the image, so the set has it too; what was there stays.
        let more = world.envelopes("api", Chain { smuggled: Some("src/more.c"), ..Chain::default() });
        store.put(&more[2]).await;
        store.until("published", 2).await;
        assert_eq!(sets(&registry), 2);
        assert!(writes(&registry) > 0);
        // A process that begins anew finds nothing to do.
        drop(store);
        let store = Store::open(&place, &documents(&world, json!({}), &[]), TIMES).await;
        store.put(&chain[1]).await;
        tokio::time::sleep(TIMES.poll * 6).await;
        assert_eq!((writes(&registry), store.count("published").await), (0, 0));
    }
}

/// Killed at any moment of it: it is done by the next, and once.
async fn what_a_publisher_left_the_next_one_does(on: On) {
    for delay in [10, 60, 150] {
        let registry = Registry::start(Kind::old()).await;
        let world = world(&registry.address.to_string(), &["api"]).await;
        let place = Place::new(on);
        let documents = documents(&world, json!({}), &[]);
        let store = Store::open(&place, &documents, TIMES).await;
        writes(&registry);
        registry.held().delay = Duration::from_millis(delay);
        for envelope in world.envelopes("api", Chain::default()) {
            store.put(&envelope).await;
        }
        // It is writing.
        while writes(&registry) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(2 * delay)).await;
        drop(store);
        registry.held().delay = Duration::ZERO;
        let store = Store::open(&place, &documents, TIMES).await;
        store.until("published", 1).await;
        assert_eq!(sets(&registry), 1);
    }
}

async fn two_publishers_of_one_database_do_it_once(on: On) {
    let registry = Registry::start(Kind::old()).await;
    let names = ["a", "b", "c", "d", "e", "f"];
    let world = world(&registry.address.to_string(), &names).await;
    let place = Place::new(on);
    let documents = documents(&world, json!({}), &[]);
    let times = Times { lease: Duration::from_secs(5), ..TIMES };
    let stores = [Store::open(&place, &documents, times).await, Store::open(&place, &documents, times).await];
    for name in names {
        for envelope in world.envelopes(name, Chain::default()) {
            stores[0].put(&envelope).await;
        }
    }
    for _ in 0..200 {
        if sets(&registry) == names.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let published = stores[0].count("published").await + stores[1].count("published").await;
    assert_eq!((sets(&registry), published), (names.len(), names.len() as u64));
}

on_both! {
    the_same_is_written_once_and_more_beside_it,
    what_a_publisher_left_the_next_one_does,
    two_publishers_of_one_database_do_it_once,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_is_waited_for() {
    // Its port is known, and nobody listens.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let registry = Registry::at(listener, Kind::modern());
    let world = world(&address.to_string(), &["api"]).await;
    let held = std::mem::take(&mut registry.held().manifests);
    let place = Place::new(On::Sqlite);
    let store = Store::open(&place, &documents(&world, json!({}), &[]), TIMES).await;
    for envelope in world.envelopes("api", Chain::default()) {
        store.put(&envelope).await;
    }
    // Without the image there is nothing to lay it beside.
    store.until("postponed", 3).await;
    assert_eq!((sets(&registry), store.count("published").await), (0, 0));
    registry.held().manifests = held;
    store.until("published", 1).await;
    assert_eq!(sets(&registry), 1);

    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let mut away = World::at(&address.to_string());
    away.image("api");
    let place = Place::new(On::Sqlite);
    let store = Store::open(&place, &documents(&away, json!({}), &[]), TIMES).await;
    for envelope in away.envelopes("api", Chain::default()) {
        store.put(&envelope).await;
    }
    store.until("postponed", 3).await;
    let registry = Registry::at(tokio::net::TcpListener::bind(address).await.unwrap(), Kind::old());
    let bytes = std::fs::read(away.layout_dir().join("blobs/sha256").join(away.images["api"].hex())).unwrap();
    let name = ("shop/api".to_owned(), away.images["api"].digest.clone());
    registry.held().manifests.insert(name, (MANIFEST.into(), bytes));
    store.until("published", 1).await;
    assert_eq!(sets(&registry), 1);
}

/// A functionary writes what he likes into a link. It decides nothing about where the store writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_sends_the_store_nowhere_else() {
    let (registry, evil) = (Registry::start(Kind::modern()).await, Registry::start(Kind::modern()).await);
    let ours = world(&registry.address.to_string(), &["api", "web"]).await;
    let place = Place::new(On::Sqlite);
    // Even where there is a way to the other registry.
    let config = registry_config(&evil.address.to_string());
    let narrow = json!({"repositories": [format!("{}/shop/api", registry.address)]});
    let store = Store::open(&place, &documents(&ours, narrow, &[config]), TIMES).await;
    let link = |products: Value| {
        // What it was made of leads to the link of `fetch`.
        let materials = json!({"src/main.c": {"sha256": Digest::sha256(b"int main;").hex()}});
        let link = json!({"_type": "link", "name": "build", "command": [], "materials": materials, "products": products, "byproducts": {}, "environment": {}});
        ours.seal(&link, &["ci"])
    };
    let chain = ours.envelopes("api", Chain::default());
    let hex = |name: &str| json!({"sha256": ours.images[name].hex()});
    let elsewhere = |name: &str| format!("oci:{}/shop/{name}", evil.address);
    writes(&registry);
    store.put(&chain[0]).await;
    store.put(&chain[1]).await;
    // An image of the chain that is not published, and one that is said to be in another registry.
    store.put(&link(json!({format!("oci:{}/shop/web", registry.address): hex("web")}))).await;
    store.until("given_up", 1).await;
    store.put(&link(json!({elsewhere("api"): hex("api")}))).await;
    store.until("given_up", 2).await;
    assert_eq!((writes(&registry), evil.held().log.len()), (0, 0));
    // Named for both, it goes to ours alone.
    store
        .put(&link(json!({elsewhere("api"): hex("api"), format!("oci:{}/shop/api", registry.address): hex("api")})))
        .await;
    store.until("published", 1).await;
    assert_eq!((sets(&registry), evil.held().log.len()), (1, 0));
}
