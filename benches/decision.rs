//! What a decision costs, as ratios measured side by side in one run.
//!
//! The control is the same binary under a policy set that selects none of the images: it terminates the same TLS, parses the same reviews,
//! finds the same images and writes the same kind of answer, and verifies nothing.

#[path = "../tests/support/counting.rs"]
mod counting;
#[path = "support/load.rs"]
mod load;
#[path = "support/process.rs"]
mod process;
#[path = "support/tls.rs"]
mod tls;
#[allow(dead_code)] // the benchmark uses its part of the world
#[path = "../tests/support/world.rs"]
mod world;

use counting::{Counting, Seen};
use load::Target;
use process::Webhook;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tidewaiter::{
    cache::{Cache, Key},
    digest::Digest,
    policy::ImageVerdict,
    registry::Repository,
};
use world::{Chain, Image, World};

const IMAGES: usize = 200;
const RUNS: usize = 5;
const RUN: Duration = Duration::from_secs(2);
const DELAY: Duration = Duration::from_millis(50);

/// A registry, its world, and the files a webhook is started with.
struct Site {
    dir: tempfile::TempDir,
    world: World,
    images: Vec<Image>,
    registry: Counting,
    ca: String,
}

impl Site {
    async fn new(images: usize, delay: Duration) -> Self {
        let (listener, addr) = Counting::bind().await;
        let mut world = World::at(&addr.to_string());
        let mut made = Vec::new();
        for i in 0..images {
            let name: &'static str = Box::leak(format!("app-{i:03}").into_boxed_str());
            made.push(world.image(name));
            world.sign(name, "release");
            world.chain(name, Chain::default());
        }
        let dir = tempfile::tempdir().expect("a scratch directory");
        let certificate = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).expect("a certificate");
        let listener = tls::Listener::new(listener, &certificate);
        let (registry, _) = Counting::serve(listener, world.layout_dir(), delay);
        fs::write(dir.path().join("tls.crt"), certificate.cert.pem()).expect("a file");
        fs::write(dir.path().join("tls.key"), certificate.signing_key.serialize_pem()).expect("a file");
        Site { dir, world, images: made, registry, ca: certificate.cert.pem() }
    }

    fn policy(&self, name: &str, spec: Value, images: Option<&str>) -> PathBuf {
        let mut documents = self.world.documents(spec);
        for document in &mut documents {
            if document["kind"] == "RegistryConfig" {
                document["spec"] = json!({"host": self.world.host, "allowPrivate": true, "caBundle": self.ca});
            }
            if let (Some(images), "ClusterImagePolicy") = (images, document["kind"].as_str().expect("a kind")) {
                document["spec"]["images"] = json!([images]);
            }
        }
        let text: Vec<String> = documents.iter().map(Value::to_string).collect();
        let path = self.dir.path().join(name);
        fs::write(&path, text.join("\n---\n")).expect("a policy");
        path
    }

    fn webhook(&self, policy: &Path) -> (Webhook, Target) {
        let webhook = Webhook::start(self.dir.path(), policy, &["--unmatched", "allow"]);
        let target = Target::new(webhook.addr, &self.ca);
        (webhook, target)
    }
}

/// The review of a pod with these images, padded to what an API server really sends.
fn review(images: &[String]) -> Vec<u8> {
    let containers: Vec<Value> = images.iter().enumerate().map(|(i, image)| container(i, image)).collect();
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "name": "api-7c9f", "namespace": "default", "operation": "CREATE",
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": ["system:authenticated"]},
        "dryRun": false, "oldObject": null, "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "api-7c9f", "namespace": "default", "labels": {"app": "api"}},
            "spec": {"containers": containers}}}})
    .to_string()
    .into_bytes()
}

fn container(i: usize, image: &str) -> Value {
    let env: Vec<Value> =
        (0..20).map(|e| json!({"name": format!("SETTING_{e}"), "value": "a value of some length"})).collect();
    json!({"name": format!("c{i}"), "image": image, "env": env, "resources": {"limits": {"memory": "128Mi"}}})
}

#[tokio::main]
async fn main() {
    if std::env::args().any(|a| a == "--list") {
        return;
    }
    known().await;
    warm().await;
    cold().await;
    stampede().await;
}

/// The decision alone, where its evidence was verified before: a verdict is kept by repository, digest, policies, namespace and credential
/// until the first of its metadata expires, so a chain of 21 MB costs as much as one of three links.
async fn known() {
    let (cache, now, runs) = (Cache::default(), jiff::Timestamp::now(), 100_000);
    let digest = Digest::sha256(b"an image");
    let repository = Repository { registry: "registry.example.com".into(), path: "shop/api".into() };
    let key = Key { repository, policy: digest.clone(), digest, namespace: "shop".into(), credential: String::new() };
    let deadline = Instant::now() + Duration::from_secs(600);
    let valid_until = Some(now + jiff::SignedDuration::from_hours(1));
    let judge = |_| std::future::ready(ImageVerdict { policies: Vec::new(), warnings: Vec::new(), valid_until });
    cache.verdict(key.clone(), deadline, now, judge).await.expect("a verdict");
    let start = clock_gettime(ClockId::ThreadCPUTime);
    for _ in 0..runs {
        cache.verdict(key.clone(), deadline, now, judge).await.expect("a verdict");
    }
    let end = clock_gettime(ClockId::ThreadCPUTime);
    let micros = (end.tv_sec - start.tv_sec) as f64 * 1e6 + (end.tv_nsec - start.tv_nsec) as f64 / 1e3;
    assert_eq!(cache.counts().misses.load(std::sync::atomic::Ordering::Relaxed), 1);
    println!("a verdict that is known: {:.2} us of CPU each, of {runs}\n", micros / f64::from(runs));
}

/// Verdicts cached: what is left over the control is ours to answer for.
async fn warm() {
    let site = Site::new(IMAGES, Duration::ZERO).await;
    let (webhook, ours) = site.webhook(&site.policy("ours.yaml", World::demands(), None));
    let (_control, control) =
        site.webhook(&site.policy("control.yaml", World::demands(), Some("elsewhere.example.com/**")));
    let pair = |i: usize| review(&[site.images[i].pinned(), site.images[(i + 1) % IMAGES].pinned()]);
    let bodies: Vec<Vec<u8>> = (0..IMAGES).map(pair).collect();
    for body in &bodies {
        let (allowed, answer) = ours.once(body).await;
        assert!(allowed, "{answer}");
    }
    let requests = Arc::new(bodies.iter().map(|body| load::request(body)).collect::<Vec<_>>());
    site.registry.reset();
    println!(
        "warm, 2 images a review, {IMAGES} images, {} bytes a review; median of {RUNS} runs of {RUN:?}",
        bodies[0].len()
    );
    println!(
        "{:>12} {:>12} {:>12} {:>8} {:>8}..{:<8} {:>12}",
        "connections", "ours/s", "control/s", "ratio", "low", "high", "CPU us each"
    );
    for connections in [1, 16, 64] {
        let (mut ratios, mut rates, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let before = webhook.cpu();
            let mine = load::rate(&ours, &requests, connections, RUN).await;
            cpu.push((webhook.cpu() - before).as_secs_f64() * 1e6 / (mine * RUN.as_secs_f64()));
            let theirs = load::rate(&control, &requests, connections, RUN).await;
            ratios.push(mine / theirs);
            rates.push((mine, theirs));
        }
        ratios.sort_by(f64::total_cmp);
        cpu.sort_by(f64::total_cmp);
        rates.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ((mine, theirs), mid) = (rates[RUNS / 2], RUNS / 2);
        println!(
            "{connections:>12} {mine:>12.0} {theirs:>12.0} {:>8.2} {:>8.2}..{:<8.2} {:>12.0}",
            ratios[mid],
            ratios[0],
            ratios[RUNS - 1],
            cpu[mid]
        );
    }
    println!("registry requests meanwhile: {}", site.registry.seen().total());
    println!("start to ready {:?}, peak memory {} MiB\n", webhook.ready_after, webhook.peak_mib());
}

/// Nothing cached, 50 ms added to each answer of the registry.
async fn cold() {
    println!("cold, {DELAY:?} added to each answer of the registry");
    println!("{:>44} {:>10} {:>10} {:>10}", "", "requests", "rounds", "ms");
    let key: Value = json!({"digest": "Resolve", "require": {"all": [{"name": "released", "signature": {"cosign": {"trust": "release-keys"}}}]}});
    for (what, spec, count, tag) in [
        ("key alone, by digest", key.clone(), 1, false),
        ("key alone, by tag", key, 1, true),
        ("signature and chain, by digest", World::demands(), 1, false),
        ("signature and chain, 8 images in one pod", World::demands(), 8, false),
    ] {
        let site = Site::new(count, DELAY).await;
        let (_webhook, target) = site.webhook(&site.policy("policy.yaml", spec, None));
        let image = |image: &Image| if tag { image.tagged() } else { image.pinned() };
        let body = review(&site.images.iter().map(image).collect::<Vec<_>>());
        site.registry.reset();
        let start = Instant::now();
        let (allowed, answer) = target.once(&body).await;
        let time = start.elapsed();
        assert!(allowed, "{answer}");
        let seen: Seen = site.registry.seen();
        println!("{what:>44} {:>10} {:>10} {:>10}", seen.total(), seen.rounds, time.as_millis());
    }
    println!();
}

/// Five hundred reviews of one image that was never seen, all at once.
async fn stampede() {
    let site = Site::new(1, Duration::from_millis(20)).await;
    let (webhook, target) = site.webhook(&site.policy("policy.yaml", World::demands(), None));
    let body = Arc::new(review(&[site.images[0].pinned()]));
    site.registry.reset();
    let start = Instant::now();
    let mut reviews = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let (target, body) = (target.clone(), Arc::clone(&body));
        reviews.spawn(async move { target.once(&body).await.0 });
    }
    let allowed = reviews.join_all().await.into_iter().filter(|allowed| *allowed).count();
    let seen = site.registry.seen();
    let most = seen.requests.values().max().copied().unwrap_or_default();
    println!("500 reviews of one new image at once: {allowed} allowed in {:?}", start.elapsed());
    println!(
        "registry requests {}, the most for one object {most}, peak memory {} MiB",
        seen.total(),
        webhook.peak_mib()
    );
}
