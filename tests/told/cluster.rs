//! An API server with our kinds in it, and the webhook beside it, reached by URL.

use crate::apiserver::ApiServer;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tidewaiter::cluster::Cluster;

pub const KINDS: [(&str, &str, &str); 4] = [
    ("ClusterImagePolicy", "clusterimagepolicies", "Cluster"),
    ("ImagePolicy", "imagepolicies", "Namespaced"),
    ("TrustRoot", "trustroots", "Cluster"),
    ("RegistryConfig", "registryconfigs", "Cluster"),
];

/// Our kinds with nothing checked: what they say is not the matter here.
pub fn define(server: &ApiServer) {
    for (kind, plural, scope) in KINDS {
        let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let schema = json!({ "type": "object", "properties": { "spec": open, "status": open } });
        let version = json!({
            "name": "v1alpha1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema }, "subresources": { "status": {} },
        });
        apply(
            server,
            json!({
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": { "name": format!("{plural}.tidewaiter.dev") },
                "spec": { "group": "tidewaiter.dev", "scope": scope, "names": { "kind": kind, "plural": plural }, "versions": [version] },
            }),
        );
    }
    within(60, "our kinds", || {
        KINDS.iter().all(|(_, plural, _)| kubectl(server, &["get", plural]).status.success()).then_some(())
    });
}

const AUDIT: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n  resources: [{ group: \"\", resources: [pods] }]\n- level: None\n";

/// One that keeps an audit log of Pods, in this directory; and the log.
pub fn audited(directory: &Path) -> (ApiServer, PathBuf) {
    let (policy, log) = (directory.join("audit.yaml"), directory.join("audit.log"));
    std::fs::write(&policy, AUDIT).unwrap();
    let [policy, path] = [&policy, &log].map(|it| it.to_str().unwrap().to_owned());
    let server =
        ApiServer::start(&["--audit-policy-file", &policy, "--audit-log-path", &path, "--audit-log-truncate-enabled"]);
    (server, log)
}

/// A registry on disk with nothing in it.
pub fn empty_layout(directory: &Path) -> PathBuf {
    let layout = directory.join("layout");
    std::fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(layout.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    layout
}

pub fn kubectl(server: &ApiServer, arguments: &[&str]) -> Output {
    server.kubectl().args(arguments).output().unwrap()
}

/// `kubectl get -o json`.
pub fn get(server: &ApiServer, arguments: &[&str]) -> Value {
    let output = kubectl(server, &[&["get", "-o", "json"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn create(server: &ApiServer, object: &Value, arguments: &[&str]) -> Output {
    let mut child = server
        .kubectl()
        .args(["create", "-f", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

pub fn apply(server: &ApiServer, object: Value) {
    let output = create(server, &object, &[]);
    assert!(output.status.success(), "{object}: {}", String::from_utf8_lossy(&output.stderr));
}

pub fn within<T>(seconds: u64, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not within {seconds} s");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// As a program of ours reaches it.
pub async fn connect(server: &ApiServer) -> Cluster {
    let config = kube::config::Kubeconfig::read_from(&server.kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.unwrap();
    Cluster { client: kube::Client::try_from(config).unwrap(), namespace: "tidewaiter".into() }
}

/// The program as a webhook, on the policies of a directory. It ends with its value.
pub struct Webhook {
    child: Child,
    port: String,
    certificate: String,
}
impl Webhook {
    pub fn start(directory: &Path, arguments: &[&str]) -> Self {
        let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
        std::fs::write(directory.join("tls.crt"), pair.cert.pem()).unwrap();
        std::fs::write(directory.join("tls.key"), pair.signing_key.serialize_pem()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidewaiter"))
            .args(["webhook", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--policy"])
            .arg(directory.join("policies"))
            .arg("--tls-dir")
            .arg(directory)
            .args(arguments)
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let listening = lines.find_map(|line| {
            let line: Value = serde_json::from_str(&line).ok()?;
            (line["message"] == "listening" && line["tls"] == true)
                .then(|| line["address"].as_str().unwrap().to_owned())
        });
        let port = listening.unwrap().rsplit_once(':').unwrap().1.to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Webhook { child, port, certificate: pair.cert.pem() }
    }

    /// Registers it for the Pods of the cluster, as the chart does but for the Service.
    pub fn register(&self, server: &ApiServer) {
        let hook = |name: &str, path: &str, policy: &str| {
            json!({
                "name": name,
                "clientConfig": { "url": format!("https://127.0.0.1:{}{path}", self.port), "caBundle": STANDARD.encode(&self.certificate) },
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"] }],
                "failurePolicy": policy, "sideEffects": "NoneOnDryRun", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10,
            })
        };
        for (kind, hook) in [
            ("ValidatingWebhookConfiguration", hook("validate.tidewaiter.dev", "/validate", "Fail")),
            ("MutatingWebhookConfiguration", hook("pin.tidewaiter.dev", "/mutate", "Ignore")),
        ] {
            let api_version = "admissionregistration.k8s.io/v1";
            let metadata = json!({ "name": "tidewaiter" });
            apply(server, json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "webhooks": [hook] }));
        }
        // The API server hears of its own configuration a moment later.
        std::thread::sleep(Duration::from_secs(2));
    }
}
impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
