//! A cluster without nodes, the images of a world, and the webhook as it is run, reading from both.

use crate::{apiserver::ApiServer, world::World};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tidewaiter::resource::API_VERSION;

/// Within which a change must decide: security §4.3 F22.
pub const SEEN: Duration = Duration::from_secs(5);
/// Within which a broken watch must be back, API server and all.
pub const BACK: Duration = Duration::from_secs(10);

pub struct Site {
    pub world: World,
    pub api: ApiServer,
    webhook: Webhook,
}

/// The program.
struct Webhook {
    child: Child,
    client: reqwest::Client,
    admission: String,
    metrics: String,
    log: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log.lock().unwrap().join("\n"));
        }
    }
}

impl Webhook {
    fn start(api: &ApiServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(folder.path().join("tls.crt"), pair.cert.pem()).unwrap();
        std::fs::write(folder.path().join("tls.key"), pair.signing_key.serialize_pem()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidewaiter"))
            .args([
                "webhook",
                "--kubernetes",
                "--listen",
                "127.0.0.1:0",
                "--metrics-listen",
                "127.0.0.1:0",
                "--tls-dir",
            ])
            .arg(folder.path())
            .env("KUBECONFIG", &api.kubeconfig)
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (mut admission, mut metrics, log) = (None, None, Arc::new(Mutex::new(Vec::new())));
        for line in lines.by_ref() {
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if event["message"] == "listening" {
                let port = event["address"].as_str().unwrap().rsplit_once(':').unwrap().1;
                match event["tls"].as_bool().unwrap() {
                    true => admission = Some(format!("https://localhost:{port}")),
                    false => metrics = Some(format!("http://localhost:{port}")),
                }
            }
            log.lock().unwrap().push(line);
            if admission.is_some() && metrics.is_some() {
                break;
            }
        }
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || lines.for_each(|line| log.lock().unwrap().push(line))
        });
        let certificate = reqwest::Certificate::from_pem(pair.cert.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().build().unwrap();
        let (admission, metrics) = (admission.expect("an admission port"), metrics.expect("a metrics port"));
        Webhook { child, client, admission, metrics, log, _folder: folder }
    }
}

/// The four kinds as the API server must know them. Nothing of their specs is checked there: what is in error can be stored, as it can
/// be where an older version of ours was installed.
pub fn definitions() -> String {
    let kinds = [
        ("ClusterImagePolicy", "clusterimagepolicies", "Cluster"),
        ("ImagePolicy", "imagepolicies", "Namespaced"),
        ("TrustRoot", "trustroots", "Cluster"),
        ("RegistryConfig", "registryconfigs", "Cluster"),
    ];
    let one = |(kind, plural, scope): (&str, &str, &str)| {
        let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
        let version = json!({ "name": "v1alpha1", "served": true, "storage": true, "schema": schema, "subresources": { "status": {} } });
        let names = json!({ "kind": kind, "plural": plural, "singular": kind.to_lowercase() });
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.tidewaiter.dev") },
            "spec": { "group": "tidewaiter.dev", "names": names, "scope": scope, "versions": [version] },
        })
        .to_string()
    };
    kinds.map(one).join("\n---\n")
}

pub fn document(kind: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": API_VERSION, "kind": kind, "metadata": { "name": name }, "spec": spec })
}

/// A policy of a namespace.
pub fn namespaced(namespace: &str, name: &str, spec: Value) -> Value {
    let mut policy = document("ImagePolicy", name, spec);
    policy["metadata"]["namespace"] = namespace.into();
    policy
}

impl Site {
    /// The webhook beside an API server that knows nothing of us.
    pub fn bare() -> Self {
        let api = ApiServer::start(&[]);
        Site { world: World::full(), webhook: Webhook::start(&api), api }
    }

    /// The webhook, ready, over the world's documents.
    pub async fn full() -> Self {
        let site = Site::bare();
        site.define();
        site.apply(&site.world.documents(World::demands()));
        site.ready(BACK).await;
        site.until("unsigned", "default", Err("no_signature"), SEEN).await;
        site
    }

    /// Another webhook process beside the same API server.
    pub fn again(&mut self) {
        self.webhook = Webhook::start(&self.api);
    }

    /// Our definitions, and none of ours in it.
    pub fn define(&self) {
        self.api.run(&["apply", "--filename=-"], &definitions());
        self.api.run(&["wait", "--for=condition=established", "--timeout=30s", "crd", "--all"], "");
    }

    pub fn apply(&self, documents: &[Value]) {
        let text: Vec<String> = documents.iter().map(Value::to_string).collect();
        self.api.run(&["apply", "--filename=-"], &text.join("\n---\n"));
    }

    pub fn delete(&self, what: &[&str]) {
        self.api.run(&[&["delete", "--wait=true"], what].concat(), "");
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.webhook.client.get(format!("{}{path}", self.webhook.metrics)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Waits for readiness.
    pub async fn ready(&self, most: Duration) {
        self.eventually(most, async || self.get("/readyz").await, |answer| *answer == (200, "ok\n".into())).await;
    }

    /// Waits until a line of the metrics is there.
    pub async fn metric(&self, line: &str) {
        self.eventually(SEEN, async || self.get("/metrics").await.1, |text| text.lines().any(|it| it == line)).await;
    }

    /// Waits until the `Ready` of a resource is this, and its message holds these words.
    pub async fn says(&self, kind: &str, name: &str, ready: &str, words: &[&str]) {
        let path = "jsonpath={range .status.conditions[*]}{.status} {.reason} {.message}{end}";
        let told = async || self.api.run(&["get", kind, name, "-o", path], "");
        let is = |told: &String| told.starts_with(ready) && words.iter().all(|word| told.contains(word));
        self.eventually(SEEN, told, is).await;
    }

    /// The response to a Pod with this image of the world.
    pub async fn review(&self, path: &str, image: &str, namespace: &str) -> Value {
        let image = self.world.images.get(image).map_or_else(|| image.to_owned(), |image| image.pinned());
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "namespace": namespace },
            "spec": { "containers": [{ "name": "api", "image": image }] } });
        let request = json!({
            "uid": "u-1", "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" }, "name": "web", "namespace": namespace,
            "operation": "CREATE", "userInfo": { "username": "ann" }, "object": pod, "oldObject": null, "dryRun": false,
        });
        let body = json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request });
        let url = format!("{}{path}?timeout=10s", self.webhook.admission);
        let answer = self.webhook.client.post(url).body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice::<Value>(&answer.bytes().await.unwrap()).unwrap()["response"].clone()
    }

    /// `Ok`, or the reason of the denial.
    pub async fn verdict(&self, image: &str, namespace: &str) -> Result<(), String> {
        let response = self.review("/validate", image, namespace).await;
        match response["allowed"].as_bool().unwrap() {
            true => Ok(()),
            false => Err(response["status"]["reason"].as_str().unwrap().to_owned()),
        }
    }

    /// Waits until this is the verdict; how long that took.
    pub async fn until(&self, image: &str, namespace: &str, expected: Result<(), &str>, most: Duration) -> Duration {
        let expected = expected.map_err(ToOwned::to_owned);
        self.eventually(most, async || self.verdict(image, namespace).await, |verdict| *verdict == expected).await
    }

    async fn eventually<T: std::fmt::Debug>(
        &self,
        most: Duration,
        mut ask: impl AsyncFnMut() -> T,
        is: impl Fn(&T) -> bool,
    ) -> Duration {
        let started = Instant::now();
        loop {
            let answer = ask().await;
            if is(&answer) {
                return started.elapsed();
            }
            assert!(started.elapsed() < most, "not within {most:?}: still {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
