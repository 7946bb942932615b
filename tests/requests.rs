//! What a decision costs the registry: requests and sequential round trips are figures of the product, so they are asserted.

#[path = "support/counting.rs"]
mod counting;
#[path = "requests/lies.rs"]
mod lies;
#[allow(dead_code)] // each test uses its part of the world
#[path = "support/world.rs"]
mod world;

use counting::{Counting, Seen};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tidewaiter::{
    policy::{Decision, PolicySet, Unmatched, Workload, WorkloadImage},
    registry::{self, Registries},
    resource,
    server::{Bounds, Chains, Server},
    source::{
        Sources,
        store::{self, StoreClient},
    },
    store::{Location, database},
    webhook::Judge,
};
use world::{Chain, World};

struct Site {
    world: World,
    registry: Counting,
    judge: Arc<Judge>,
    set: Arc<PolicySet>,
    /// What the registry runs on: ended, its kept connections go with it.
    server: Option<tokio::runtime::Runtime>,
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(runtime) = self.server.take() {
            runtime.shutdown_background();
        }
    }
}

/// Long enough for all requests of a round to have begun before the first of them is answered.
const DELAY: Duration = Duration::from_millis(250);

const KEY_ALONE: &str = r#"{"digest": "Resolve", "require": {"all": [
    {"name": "released", "signature": {"cosign": {"trust": "release-keys"}}}]}}"#;

impl Site {
    async fn new(spec: Value, prepare: impl FnOnce(&mut World)) -> Self {
        let (listener, addr) = Counting::bind().await;
        let mut world = World::at(&addr.to_string());
        prepare(&mut world);
        let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let server = server.expect("a runtime of its own");
        let registry = {
            let _inside = server.enter();
            let listener = listener.into_std().and_then(tokio::net::TcpListener::from_std);
            Counting::serve(listener.expect("a listener"), world.layout_dir(), DELAY).0
        };
        let mut documents = world.documents(spec);
        let config = documents.iter_mut().find(|d| d["kind"] == "RegistryConfig").expect("the registry's document");
        config["spec"] = json!({"host": addr.to_string(), "allowPrivate": true, "insecure": true});
        let text: Vec<String> = documents.iter().map(Value::to_string).collect();
        let parsed = resource::parse("world.yaml", &text.join("\n---\n")).expect("documents");
        let sources: Vec<_> = (1..).zip(&parsed).map(|(i, r)| ("world.yaml".to_owned(), i, r.clone())).collect();
        let set = PolicySet::compile(&sources, Unmatched::Deny).expect("a policy set");
        let options = registry::Options { docker_config: None, resources: parsed };
        let registries = Arc::new(Registries::new(&options).expect("registries"));
        let judge = Arc::new(Judge::new(Sources { registries, store: None }));
        Site { world, registry, judge, set: Arc::new(set), server: Some(server) }
    }

    /// From now on with a store, and nothing of before.
    fn read_from(&mut self, url: &str, token: &str) -> Arc<StoreClient> {
        self.read_within(url, token, Duration::from_secs(5))
    }

    fn read_within(&mut self, url: &str, token: &str, timeout: Duration) -> Arc<StoreClient> {
        let options = store::Options { url: url.to_owned(), token: Some(token.to_owned()), ca_file: None, timeout };
        let store = Arc::new(StoreClient::new(&options).expect("a client"));
        let registries = Arc::clone(&self.judge.sources().registries);
        self.judge = Arc::new(Judge::new(Sources { registries, store: Some(Arc::clone(&store)) }));
        store
    }

    async fn judge(&self, images: &[String]) -> Decision {
        let images = images.iter().enumerate();
        let images = images.map(|(i, image)| WorkloadImage {
            field: format!("spec.containers[{i}].image"),
            name: format!("c{i}"),
            image: image.clone(),
            unchanged: false,
        });
        let workload = Workload {
            namespace: "default".into(),
            kind: "Pod".into(),
            name: "pod".into(),
            images: images.collect(),
            is_pod: true,
            ..Workload::default()
        };
        let deadline = Instant::now() + Duration::from_secs(8);
        self.judge.judge(&self.set, &workload, None, deadline, jiff::Timestamp::now()).await
    }

    /// What one allowed decision over these images asks.
    async fn cost(&self, images: &[String]) -> Seen {
        self.registry.reset();
        let decision = self.judge(images).await;
        assert!(decision.allowed, "{}", decision.message());
        self.registry.seen()
    }
}

fn once_each(seen: &Seen) {
    let twice: Vec<_> = seen.requests.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "asked more than once: {twice:?}");
}

fn signed(world: &mut World) {
    world.image("app");
    world.sign("app", "release");
}

fn chained(world: &mut World) {
    signed(world);
    world.chain("app", Chain::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_alone_takes_two_round_trips_by_digest_and_three_by_tag() {
    let spec: Value = serde_json::from_str(KEY_ALONE).expect("JSON");
    let site = Site::new(spec.clone(), signed).await;
    let seen = site.cost(&[site.world.images["app"].pinned()]).await;
    assert_eq!(seen.rounds, 2, "{:?}", seen.requests);
    once_each(&seen);

    let site = Site::new(spec, signed).await;
    let seen = site.cost(&[site.world.images["app"].tagged()]).await;
    assert_eq!(seen.rounds, 3, "{:?}", seen.requests);
    once_each(&seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn signature_and_chain_take_at_most_four_round_trips_and_eight_images_no_more() {
    let site = Site::new(World::demands(), chained).await;
    let one = site.cost(&[site.world.images["app"].pinned()]).await;
    assert!(one.rounds <= 4, "{} rounds: {:?}", one.rounds, one.requests);
    once_each(&one);

    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let site = Site::new(World::demands(), |world| {
        for name in names {
            world.image(name);
            world.sign(name, "release");
            world.chain(name, Chain::default());
        }
    })
    .await;
    let eight = site.cost(&names.map(|name| site.world.images[name].pinned())).await;
    assert!(eight.rounds <= one.rounds, "eight images take {} rounds, one takes {}", eight.rounds, one.rounds);
}

/// A store on a free port that holds the chains of these images of the world, and its URL.
async fn filled_store(world: &World, images: &[&str], dir: &std::path::Path) -> String {
    let hash = |token: &str| tidewaiter::digest::Digest::sha256(token.as_bytes()).to_string();
    let mut documents = world.documents(World::demands());
    documents.retain(|document| document["kind"] == "TrustRoot");
    documents.push(
        json!({"apiVersion": "tidewaiter.dev/v1alpha1", "kind": "Chain", "metadata": {"name": "shop"}, "spec": {
        "owners": {"trust": "shop-owners", "threshold": 2}, "images": [format!("{}/shop/*", world.host)],
        "writers": [{"name": "ci", "tokenHash": hash("writer"), "steps": ["*"], "kinds": ["layout", "link"]}],
        "readers": [{"name": "cluster", "tokenHash": hash("reader")}]}}),
    );
    let text: Vec<String> = documents.iter().map(Value::to_string).collect();
    let server = Server::open(tidewaiter::server::Options {
        listen: "127.0.0.1:0".parse().expect("an address"),
        tls: None,
        client_ca: None,
        metrics_listen: None,
        database: database::Options::at(Location::Sqlite(dir.join("store.db"))),
        chains: Chains::parse("chains.yaml", &text.join("\n---\n")).expect("chains"),
        bounds: Bounds::default(),
    })
    .await
    .expect("a store");
    let url = format!("http://{}", server.local_addr());
    tokio::spawn(server.run(tokio_util::sync::CancellationToken::new()));
    let client = reqwest::Client::builder().tls_certs_only([]).build().expect("a client");
    for envelope in images.iter().flat_map(|image| world.envelopes(image, Chain::default())) {
        let name = tidewaiter::envelope::Envelope::parse(&envelope).expect("an envelope").digest();
        let put = client.put(format!("{url}/v1/records/{name}")).bearer_auth("writer").body(envelope);
        let answer = put.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.expect("a body"));
    }
    url
}

/// The store, each question to it counted among the registry's requests, and as late.
async fn counted(store: String, counting: Counting) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let client = reqwest::Client::builder().tls_certs_only([]).build().expect("a client");
    let pass = move |request: axum::extract::Request| async move {
        let (head, body) = request.into_parts();
        let what = format!("{} {}", head.method, head.uri.path());
        let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
        let asked = client.request(head.method, format!("{store}{}", head.uri)).headers(head.headers).body(body);
        let answer = counting.trip(what, asked.send()).await.expect("an answer");
        let (status, headers) = (answer.status(), answer.headers().clone());
        (status, headers, answer.bytes().await.expect("a body"))
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(pass)).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn signature_and_chain_take_two_round_trips_with_the_store() {
    let mut spec = World::demands();
    spec["require"]["all"][1]["supplyChain"]["evidence"] = json!(["store"]);
    let mut site = Site::new(spec, signed).await;
    let dir = tempfile::tempdir().expect("a scratch directory");
    let url = counted(filled_store(&site.world, &["app"], dir.path()).await, site.registry.clone()).await;
    let image = site.world.images["app"].pinned();

    // Who may not read gets no evidence, and no admission.
    site.read_from(&url, "guess");
    let denied = site.judge(std::slice::from_ref(&image)).await;
    assert_eq!(denied.reason().map(|r| r.as_str()), Some("store_unavailable"), "{}", denied.message());

    let store = site.read_from(&url, "reader");
    let seen = site.cost(&[image]).await;
    assert_eq!((seen.rounds, store.requests()), (2, 1), "{:?}", seen.requests);
    once_each(&seen);
}

/// Where the demand is the chain alone, and its evidence in the store.
fn stored() -> Value {
    json!({"mode": "Enforce", "require": {"all": [
        {"name": "built-by-us", "supplyChain": {"layout": {"owners": "shop-owners", "threshold": 2}, "evidence": ["store"]}}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn all_images_of_a_pod_are_one_question_to_the_store() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let mut site = Site::new(stored(), |world| names.iter().for_each(|name| drop(world.image(name)))).await;
    let dir = tempfile::tempdir().expect("a scratch directory");
    let url = filled_store(&site.world, &names, dir.path()).await;
    let url = counted(url, site.registry.clone()).await;
    let store = site.read_from(&url, "reader");
    let pinned: Vec<String> = names.iter().map(|name| site.world.images[name].pinned()).collect();

    // Two are known already, and are not asked for again.
    site.cost(&pinned[..2]).await;
    assert_eq!(store.requests(), 1);
    let seen = site.cost(&pinned).await;
    assert_eq!((store.requests(), seen.requests["POST /v1/evidence:batch"]), (2, 1), "{:?}", seen.requests);
    // Eight are judged at a time; their manifests and the store are asked at the same time.
    assert!(seen.rounds <= 2, "{} rounds: {:?}", seen.rounds, seen.requests);
    once_each(&seen);

    // One that the store knows nothing of is denied for that, beside the others.
    let missing = site.world.image("missing").pinned();
    let denied = site.judge(&[site.world.images["a"].pinned(), missing]).await;
    assert_eq!(denied.reason().map(|reason| reason.as_str()), Some("no_layout"), "{}", denied.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_reviews_of_a_new_image_ask_the_store_once() {
    let mut site = Site::new(stored(), |world| drop(world.image("app"))).await;
    let dir = tempfile::tempdir().expect("a scratch directory");
    let url = filled_store(&site.world, &["app"], dir.path()).await;
    let url = counted(url, site.registry.clone()).await;
    let store = site.read_from(&url, "reader");
    let image = site.world.images["app"].pinned();
    let site = Arc::new(site);
    let mut reviews = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let (site, image) = (Arc::clone(&site), image.clone());
        reviews.spawn(async move { site.judge(&[image]).await.allowed });
    }
    assert!(reviews.join_all().await.into_iter().all(|allowed| allowed));
    once_each(&site.registry.seen());
    assert_eq!(store.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_image_in_eight_containers_is_fetched_once() {
    let site = Site::new(World::demands(), chained).await;
    let image = site.world.images["app"].pinned();
    once_each(&site.cost(&vec![image; 8]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_reviews_of_one_new_image_fetch_each_object_once() {
    let site = Arc::new(Site::new(World::demands(), chained).await);
    let image = site.world.images["app"].pinned();
    let mut reviews = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let (site, image) = (Arc::clone(&site), image.clone());
        reviews.spawn(async move { site.judge(&[image]).await.allowed });
    }
    assert!(reviews.join_all().await.into_iter().all(|allowed| allowed));
    once_each(&site.registry.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_decision_asks_nothing_and_outlives_the_registry() {
    let mut site = Site::new(World::demands(), |world| {
        chained(world);
        world.image("new");
    })
    .await;
    let image = site.world.images["app"].pinned();
    site.cost(std::slice::from_ref(&image)).await;
    assert_eq!(site.cost(std::slice::from_ref(&image)).await.total(), 0);

    let server = site.server.take().expect("it runs");
    let end = move || server.shutdown_timeout(Duration::from_secs(10));
    tokio::task::spawn_blocking(end).await.expect("it ended");
    assert!(site.judge(&[image]).await.allowed, "verified a moment ago, and its verdict has not expired");
    let unseen = site.judge(&[site.world.images["new"].pinned()]).await;
    assert!(!unseen.allowed);
    // A kept connection is closed on us, a new one is refused.
    let reason = unseen.reason().map(|r| r.as_str()).unwrap_or_default();
    assert!(["registry_unavailable", "registry_unreachable"].contains(&reason), "{}", unseen.message());
}
