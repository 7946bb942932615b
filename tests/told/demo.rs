//! `tidewaiter demo --kubernetes` against a real API server. The kubelet's part, and that of the policies' watch, is played here.

use crate::{
    apiserver::ApiServer,
    cluster::{KINDS, Webhook, define, get, kubectl, within},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

const LABEL: &str = "tidewaiter.dev/demo";

fn demo(server: &ApiServer, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewaiter"));
    command.args(["demo", "--kubernetes"]).args(arguments).env("KUBECONFIG", &server.kubeconfig).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What of the demonstration is left, but for namespaces that are on their way out: nobody finishes that here.
fn left(server: &ApiServer) -> Vec<Value> {
    let plurals = "clusterimagepolicies,trustroots,registryconfigs,namespaces";
    let all = get(server, &[plurals, "-l", LABEL]);
    all["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["metadata"]["deletionTimestamp"].is_null())
        .cloned()
        .collect()
}

/// What the webhook's policies are, as files.
fn copy_policies(server: &ApiServer, directory: &Path) {
    let mut documents = vec![
        json!({ "apiVersion": "tidewaiter.dev/v1alpha1", "kind": "TrustRoot", "metadata": { "name": "nobody" }, "spec": {} }),
    ];
    for (_, plural, _) in KINDS {
        for item in get(server, &[plural, "-A"])["items"].as_array().unwrap() {
            let metadata = json!({ "name": item["metadata"]["name"] });
            documents.push(json!({ "apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": metadata, "spec": item["spec"] }));
        }
    }
    let text = documents.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    let path = directory.join("policies/all.yaml");
    if std::fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
        std::fs::write(directory.join("new"), &text).unwrap();
        std::fs::rename(directory.join("new"), path).unwrap();
    }
}

/// Runs the registry's pod, once it is there, as its spec says: files, arguments.
fn run_pod(server: &ApiServer, directory: &Path) -> Option<Child> {
    let pods = get(server, &["pods", "-A", "-l", LABEL]);
    let pod = pods["items"].as_array()?.first()?;
    let namespace = pod["metadata"]["namespace"].as_str()?;
    let map = get(server, &["configmap", "-n", namespace, "registry"]);
    for item in pod["spec"]["volumes"][0]["configMap"]["items"].as_array()? {
        let path = directory.join("layout").join(item["path"].as_str()?);
        std::fs::create_dir_all(path.parent()?).unwrap();
        std::fs::write(path, STANDARD.decode(map["binaryData"][item["key"].as_str()?].as_str()?).unwrap()).unwrap();
    }
    let address = get(server, &["service", "-n", namespace, "registry"])["spec"]["clusterIP"].as_str()?.to_owned();
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["args"], json!(["demo", "--serve-registry", "/layout"]));
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/layout");
    let child = Command::new(env!("CARGO_BIN_EXE_tidewaiter"))
        .args(["demo", "--serve-registry"])
        .arg(directory.join("layout"))
        .args(["--listen", &format!("{address}:5000")])
        .spawn()
        .unwrap();
    within(20, "the registry", || std::net::TcpStream::connect((address.as_str(), 5000)).ok());
    let ready = r#"{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#;
    let patched = kubectl(
        server,
        &["patch", "pod", "-n", namespace, "registry", "--subresource=status", "--type=merge", "-p", ready],
    );
    assert!(patched.status.success(), "{}", String::from_utf8_lossy(&patched.stderr));
    Some(child)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_answers_as_expected_and_nothing_is_left() {
    // Services have loopback addresses here, so that the registry can listen on its own.
    let server = ApiServer::start(&["--service-cluster-ip-range", "127.97.0.0/16"]);
    let missing = demo(&server, &[]).output().unwrap();
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(missing.status.code() == Some(2) && said.contains("helm install tidewaiter"), "{said}");

    define(&server);
    let unregistered = demo(&server, &[]).output().unwrap();
    let said = String::from_utf8_lossy(&unregistered.stderr).into_owned();
    assert!(
        unregistered.status.code() == Some(2) && said.contains("no webhook validate.tidewaiter.dev is registered"),
        "{said}"
    );

    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("policies")).unwrap();
    copy_policies(&server, directory.path());
    let webhook = Webhook::start(directory.path(), &["--unmatched", "deny"]);
    webhook.register(&server);
    let unnamed = demo(&server, &[]).output().unwrap();
    let said = String::from_utf8_lossy(&unnamed.stderr).into_owned();
    assert!(unnamed.status.code() == Some(2) && said.contains("--image"), "{said}");

    // Its own image is refused here, as the installation wants it: said, and nothing is left.
    let image = ["--image", "registry.example.com/tidewaiter:1", "--output", "json"];
    let refused = demo(&server, &image).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && said.contains("no policy selects"), "{said}");
    assert_eq!(left(&server), Vec::<Value>::new());
    drop(webhook);
    let _ = kubectl(&server, &["delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "tidewaiter"]);
    let webhook = Webhook::start(directory.path(), &["--unmatched", "allow"]);
    webhook.register(&server);

    let done = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut pod = None;
            while !done.load(Relaxed) {
                copy_policies(&server, directory.path());
                pod = pod.or_else(|| run_pod(&server, directory.path()));
                std::thread::sleep(Duration::from_millis(200));
            }
            if let Some(mut pod) = pod {
                let _ = pod.kill();
                let _ = pod.wait();
            }
        });
        let output = demo(&server, &image).output();
        done.store(true, Relaxed);
        output.unwrap()
    });
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stdout));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let answers = told["answers"].as_array().unwrap();
    assert_eq!((&told["passed"], answers.len()), (&json!(true), 15), "{told:#}");
    let allowed: Vec<&Value> = answers.iter().filter(|it| it["allowed"] == true).collect();
    assert_eq!(allowed.len(), 2, "the good image, and the tag that is pinned");
    assert!(allowed.iter().all(|it| it["image"].as_str().unwrap().contains("@sha256:")), "{told:#}");
    let reasons: std::collections::BTreeSet<_> = answers.iter().filter_map(|it| it["reason"].as_str()).collect();
    assert!(reasons.len() >= 8, "{reasons:?}");
    assert_eq!(left(&server), Vec::<Value>::new());

    // Interrupted while it waits for its pod: all of it goes away.
    let mut waiting = demo(&server, &image[..2]).spawn().unwrap();
    within(60, "its pod", || {
        let pods = get(&server, &["pods", "-A", "-l", LABEL]);
        (pods["items"].as_array().unwrap().len() == 2).then_some(())
    });
    let id = waiting.id().to_string();
    assert!(Command::new("sh").args(["-c", &format!("kill -INT {id}")]).status().unwrap().success());
    let status = within(30, "its end", || waiting.try_wait().unwrap());
    let mut said = String::new();
    waiting.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(2), "{said}");
    let lines: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(lines, ["cluster", "namespace", "pipelines", "cleaning", "error:"], "{said}");
    assert!(said.ends_with("interrupted\n"), "{said}");
    assert_eq!(left(&server), Vec::<Value>::new());
}
