//! What admission costs a person at kubectl: server-side dry runs of Pods through a real API server, in one run, round by round: without a
//! webhook, with one that does nothing, with ours when it knows the images, and with ours when it sees each for the first time.
//!
//! Each of the four has a namespace of its own, and its webhook is registered for that namespace alone; so the rounds can follow each
//! other closely, and what slows the machine slows all of them.

#[allow(dead_code)]
#[path = "../tests/support/apiserver.rs"]
mod apiserver;
#[allow(dead_code)]
#[path = "../tests/support/counting.rs"]
mod counting;
#[allow(dead_code)]
#[path = "support/process.rs"]
mod process;
#[path = "support/tls.rs"]
mod tls;
#[allow(dead_code)] // the benchmark uses its part of the world
#[path = "../tests/support/world.rs"]
mod world;

use apiserver::ApiServer;
use axum::{Json, Router, routing::post};
use base64::Engine;
use counting::Counting;
use futures::StreamExt;
use process::Webhook;
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};
use tidewaiter::serve;
use tokio_util::sync::CancellationToken;
use world::{Chain, Image, World};

const ROUNDS: usize = 9;
/// Creates of one round, of each kind but the cold one.
const CREATES: usize = 200;
const COLD_CREATES: usize = 20;
const WARM_IMAGES: usize = 50;

#[tokio::main]
async fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let dir = tempfile::tempdir().expect("a scratch directory");
    let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).expect("a certificate");
    fs::write(dir.path().join("tls.crt"), pair.cert.pem()).expect("a file");
    fs::write(dir.path().join("tls.key"), pair.signing_key.serialize_pem()).expect("a file");
    let ca = pair.cert.pem();

    let (listener, address) = Counting::bind().await;
    let mut world = World::at(&address.to_string());
    let images: Vec<Image> = (0..WARM_IMAGES + 2 * COLD_CREATES * ROUNDS).map(|i| image(&mut world, i)).collect();
    let (_registry, _) = Counting::serve(tls::Listener::new(listener, &pair), world.layout_dir(), Duration::ZERO);
    let ours = Webhook::start(dir.path(), &policy(dir.path(), &world, &ca), &["--unmatched", "allow"]);
    let null = null(dir.path()).await;

    let server = tokio::task::spawn_blocking(|| ApiServer::start(&[])).await.expect("an API server");
    let client = Client::new(&server.url);
    for (namespace, webhook) in
        [("none", None), ("null", Some(null)), ("warm", Some(ours.addr)), ("cold", Some(ours.addr))]
    {
        client.prepare(namespace, webhook, &ca).await;
    }
    let (warm, cold) = images.split_at(WARM_IMAGES);
    let mut cold = cold.chunks(2);
    for pair in warm.chunks(2) {
        client.create("warm", pair).await;
    }

    println!("server-side dry run of a Pod with 2 images, {ROUNDS} rounds of {CREATES} ({COLD_CREATES} cold); medians");
    println!(
        "{:>12} {:>12} {:>12} {:>12} {:>12} {:>14} {:>14}",
        "at once", "none ms", "null ms", "warm ms", "cold ms", "warm / null", "cold / null"
    );
    for at_once in [1, 8] {
        let mut rounds = Vec::new();
        let cold_creates = COLD_CREATES / 2;
        for _ in 0..ROUNDS {
            let mut times = Vec::new();
            for namespace in ["none", "null", "warm"] {
                let pods = (0..CREATES).map(|i| &warm[2 * (i % (WARM_IMAGES / 2))..][..2]).collect();
                times.push(client.creates(namespace, pods, at_once).await);
            }
            times.push(client.creates("cold", cold.by_ref().take(cold_creates).collect(), at_once).await);
            rounds.push(times);
        }
        let column = |pick: &dyn Fn(&Vec<f64>) -> f64| median(rounds.iter().map(pick).collect());
        println!(
            "{at_once:>12} {:>12.2} {:>12.2} {:>12.2} {:>12.2} {:>14.2} {:>14.2}",
            column(&|t| t[0]),
            column(&|t| t[1]),
            column(&|t| t[2]),
            column(&|t| t[3]),
            column(&|t| t[2] / t[1]),
            column(&|t| t[3] / t[1]),
        );
    }
    println!("peak memory of our webhook: {} MiB", ours.peak_mib());
}

fn image(world: &mut World, i: usize) -> Image {
    let name: &'static str = Box::leak(format!("app-{i:03}").into_boxed_str());
    let image = world.image(name);
    world.sign(name, "release");
    world.chain(name, Chain::default());
    image
}

fn policy(dir: &Path, world: &World, ca: &str) -> std::path::PathBuf {
    let mut documents = world.documents(World::demands());
    for document in &mut documents {
        if document["kind"] == "RegistryConfig" {
            document["spec"] = json!({"host": world.host, "allowPrivate": true, "caBundle": ca});
        }
    }
    let text: Vec<String> = documents.iter().map(Value::to_string).collect();
    let path = dir.join("policy.yaml");
    fs::write(&path, text.join("\n---\n")).expect("a policy");
    path
}

/// A webhook that does nothing, over the listener that ours is served by.
async fn null(dir: &Path) -> SocketAddr {
    let options = serve::Options {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: Some((dir.join("tls.crt"), dir.join("tls.key")).into()),
        connections_max: 256,
        drain: Duration::ZERO,
    };
    let bound = serve::bind(options).await.expect("a listener");
    let address = bound.local_addr();
    let answer = |Json(review): Json<Value>| async move {
        let response = json!({"uid": review["request"]["uid"], "allowed": true});
        Json(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}))
    };
    tokio::spawn(bound.run(Router::new().route("/validate", post(answer)), CancellationToken::new()));
    address
}

/// The API server as an administrator reaches it.
struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    fn new(url: &str) -> Self {
        // The server's certificate is of its own making, on loopback.
        let http =
            reqwest::Client::builder().tls_danger_accept_invalid_certs(true).http1_only().build().expect("a client");
        Client { http, url: url.into() }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(apiserver::ADMIN.0).json(body);
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let body = answer.text().await.expect("a body");
        assert!(status.is_success(), "{path}: {status}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// The namespace, and its webhook; then waits until the API server calls it.
    async fn prepare(&self, name: &str, webhook: Option<SocketAddr>, ca: &str) {
        self.post("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await;
        let Some(address) = webhook else { return };
        let configuration = json!({"metadata": {"name": name}, "webhooks": [{
            "name": format!("{name}.example.com"), "failurePolicy": "Fail", "sideEffects": "NoneOnDryRun", "timeoutSeconds": 10,
            "admissionReviewVersions": ["v1"], "matchPolicy": "Equivalent",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE", "UPDATE"], "scope": "Namespaced"}],
            "clientConfig": {"url": format!("https://{address}/validate"), "caBundle": base64::engine::general_purpose::STANDARD.encode(ca)}}]});
        self.post("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", &configuration).await;
        // The API server reads its configurations within a second or two; nothing tells when.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }

    async fn create(&self, namespace: &str, images: &[Image]) {
        let containers: Vec<Value> = images
            .iter()
            .enumerate()
            .map(|(i, image)| json!({"name": format!("c{i}"), "image": image.pinned()}))
            .collect();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "api-"}, "spec": {"containers": containers}});
        self.post(&format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"), &pod).await;
    }

    /// Milliseconds a create takes on average.
    async fn creates(&self, namespace: &str, pods: Vec<&[Image]>, at_once: usize) -> f64 {
        let count = pods.len();
        let started = Instant::now();
        let work = pods.into_iter().map(|images| self.create(namespace, images));
        futures::stream::iter(work).buffer_unordered(at_once).collect::<Vec<()>>().await;
        started.elapsed().as_secs_f64() * 1000.0 / count as f64
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
