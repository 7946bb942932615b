//! A release from its installation to its end, by Helm and a real API server. There are no nodes: nothing of it runs, so whatever
//! the program would do is done here by its own rights.

#[allow(dead_code)]
#[path = "support/apiserver.rs"]
mod apiserver;

use apiserver::ApiServer;
use serde_json::Value;
use std::{path::Path, process::Command};

const STORE: [&str; 2] = ["--set", "store.enabled=true,store.config.chains\\.yaml=x"];

const TRUST_ROOT: &str = "
apiVersion: tidewaiter.dev/v1alpha1
kind: TrustRoot
metadata: { name: release-keys }
spec: { keys: [] }
";

fn helm(server: &ApiServer, arguments: &[&str]) {
    let mut command = Command::new(apiserver::tools().join("helm"));
    command.env("KUBECONFIG", &server.kubeconfig).env("HOME", server.directory.path()).args(arguments);
    let output = command.args(["--namespace", "tidewaiter"]).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn install(server: &ApiServer, more: &[&str]) {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/tidewaiter");
    let all = ["upgrade", "--install", "--create-namespace", "tidewaiter", chart.to_str().unwrap()];
    helm(server, &[&all[..], &STORE, more].concat());
}

fn get(server: &ApiServer, what: &[&str]) -> Value {
    let text = server.run(&[&["get", "--namespace", "tidewaiter", "--output", "json"], what].concat(), "");
    serde_json::from_str(&text).unwrap()
}

/// The store's certificate and its CA.
fn pair(server: &ApiServer) -> (String, String) {
    let data = &get(server, &["secret", "tidewaiter-store-tls"])["data"];
    (data["tls.crt"].as_str().unwrap().into(), data["ca.crt"].as_str().unwrap().into())
}

/// Fills in the webhooks as the program does: in its name, with its rights, from the ConfigMap that came with the release.
fn register(server: &ApiServer) {
    let config = get(server, &["configmap", "tidewaiter-registration"]);
    let desired = config["data"]["registration.yaml"].as_str().unwrap();
    let (user, group) = ("--as=system:serviceaccount:tidewaiter:tidewaiter", "--as-group=system:serviceaccounts");
    let apply = ["apply", "--server-side", "--field-manager=tidewaiter", "--force-conflicts", user, group, "-f", "-"];
    server.run(&apply, desired);
}

/// How many webhooks there are in both configurations.
fn registered(server: &ApiServer) -> usize {
    let of = |kind: &str| get(server, &[kind, "tidewaiter"])["webhooks"].as_array().map_or(0, Vec::len);
    of("validatingwebhookconfiguration") + of("mutatingwebhookconfiguration")
}

fn names(server: &ApiServer, kind: &str) -> Vec<String> {
    let all = server.run(&["get", kind, "--all-namespaces", "--output", "name"], "");
    all.lines().filter(|line| line.contains("tidewaiter")).map(str::to_owned).collect()
}

#[test]
fn a_release_from_its_installation_to_its_end() {
    let server = ApiServer::start(&[]);
    install(&server, &[]);
    let first = pair(&server);
    assert_eq!(registered(&server), 0, "what is installed refuses nothing");
    server.run(&["run", "before", "--image=a.example/b", "--restart=Never"], "");

    server.run(&["apply", "-f", "-"], TRUST_ROOT);
    register(&server);
    assert_eq!(registered(&server), 4);
    let mut refused = server.kubectl();
    let refused = refused.args(["run", "shut", "--image=a.example/b", "--restart=Never"]).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("failed calling webhook \"validate.tidewaiter.dev\""), "{told}");
    let own = ["run", "own", "--namespace=tidewaiter", "--image=a.example/b", "--restart=Never", "--dry-run=server"];
    server.run(&own, "");
    // Our own resources are judged too; but a deletion waits for nobody.
    let mut refused = server.kubectl();
    let refused = refused.args(["label", "trustroot/release-keys", "a=b"]).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("failed calling webhook \"resources.tidewaiter.dev\""), "{told}");
    server.run(&["delete", "trustroot/release-keys"], "");

    install(&server, &["--set", "webhook.timeoutSeconds=9"]);
    assert_eq!(registered(&server), 4, "an upgrade does not open the door");
    assert_eq!(pair(&server), first, "an upgrade keeps the store's certificate");
    install(&server, &["--set", "store.service.type=NodePort,store.url=https://store.example.com:8443"]);
    let other = pair(&server);
    assert!(other.0 != first.0 && other.1 != first.1, "a store by another name needs another certificate");

    helm(&server, &["uninstall", "tidewaiter"]);
    server.run(&["run", "after", "--image=a.example/b", "--restart=Never"], "");
    for kind in
        ["validatingwebhookconfigurations", "mutatingwebhookconfigurations", "clusterroles", "clusterrolebindings"]
    {
        assert_eq!(names(&server, kind), Vec::<String>::new(), "{kind}");
    }
    for kind in ["deployments", "services", "secrets", "roles", "rolebindings", "networkpolicies"] {
        assert_eq!(names(&server, kind), Vec::<String>::new(), "{kind}");
    }
    assert_eq!(names(&server, "crd").len(), 4, "policies outlive the release");
    assert_eq!(names(&server, "pvc"), ["persistentvolumeclaim/tidewaiter-store"], "and so does evidence");

    // What was kept is taken up again.
    install(&server, &[]);
    assert_eq!(registered(&server), 0);
}

/// As on GKE: pods of the class that tidewaiter runs in need a quota in their namespace.
const LIMITED: &str = "
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
  - name: ResourceQuota
    configuration:
      apiVersion: apiserver.config.k8s.io/v1
      kind: ResourceQuotaConfiguration
      limitedResources:
        - resource: pods
          matchScopes: [{ scopeName: PriorityClass, operator: In, values: [system-cluster-critical] }]
";

#[test]
fn where_the_priority_class_is_limited_its_quota_lets_the_pods_in() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("admission.yaml");
    std::fs::write(&file, LIMITED).unwrap();
    let server = ApiServer::start(&["--admission-control-config-file", file.to_str().unwrap()]);
    install(&server, &[]);
    // What the ReplicaSet would make.
    let template = &get(&server, &["deployment", "tidewaiter"])["spec"]["template"];
    let pod = serde_json::json!({ "apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "metadata": {
        "generateName": "tidewaiter-", "namespace": "tidewaiter", "labels": template["metadata"]["labels"] } });
    let file = dir.path().join("pod.json");
    std::fs::write(&file, pod.to_string()).unwrap();
    let create = ["create", "-f", file.to_str().unwrap()];
    let refused = server.kubectl().args(create).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("insufficient quota to match these scopes"), "{told}");

    install(&server, &["--set", "priorityQuota=true"]);
    // Counting is the controller manager's work, which does not run here.
    let quota = get(&server, &["resourcequota", "tidewaiter-priority"]);
    let status =
        serde_json::json!({ "status": { "hard": quota["spec"]["hard"], "used": { "pods": "0" } } }).to_string();
    let patch = ["patch", "resourcequota", "tidewaiter-priority", "-n", "tidewaiter", "--type=merge"];
    server.run(&[&patch[..], &["--subresource=status", "-p", &status]].concat(), "");
    server.run(&create, "");
}
