//! The commands of the documents, tried as they stand. Those that need nodes (`look`, `restart`) are tried end to end.

use crate::{
    apiserver::{ApiServer, tools},
    cluster::{Webhook, apply, audited, create, define, empty_layout, get, within},
};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Output},
};

/// The block ```` ```sh try=NAME ```` of a document.
fn block(document: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(document);
    let text = std::fs::read_to_string(path).unwrap();
    let (_, after) =
        text.split_once(&format!("```sh try={name}\n")).unwrap_or_else(|| panic!("no block {name} in {document}"));
    after.split_once("\n```").unwrap().0.to_owned()
}

/// Runs it as a person would, with these variables set.
fn run(server: &ApiServer, document: &str, name: &str, variables: &[(&str, &str)]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_tidewaiter")).parent().unwrap();
    let path = format!("{}:{}:{}", program.display(), tools().display(), std::env::var("PATH").unwrap());
    let home = server.directory.path();
    Command::new("sh")
        .args(["-euc", &block(document, name)])
        .current_dir(home)
        .envs(variables.iter().copied())
        .envs([
            ("PATH", path.as_str()),
            ("KUBECONFIG", server.kubeconfig.to_str().unwrap()),
            ("HOME", home.to_str().unwrap()),
        ])
        .output()
        .unwrap()
}

fn tried(server: &ApiServer, document: &str, name: &str, variables: &[(&str, &str)]) -> String {
    let output = run(server, document, name, variables);
    assert!(output.status.success(), "{document} {name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn pod(name: &str, image: &str) -> Value {
    let spec = json!({ "containers": [{ "name": "api", "image": image }] });
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "shop" }, "spec": spec })
}

#[test]
fn the_runbook_step_by_step() {
    let directory = tempfile::tempdir().unwrap();
    let (server, log) = audited(directory.path());
    define(&server);
    apply(&server, json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }));
    let policy = json!({
        "apiVersion": "tidewaiter.dev/v1alpha1", "kind": "ClusterImagePolicy", "metadata": { "name": "shop" },
        "spec": { "images": ["bad.example.com/**"], "digest": "Require", "require": { "all": [{ "name": "signed", "signature": { "cosign": { "trust": "keys" } } }] } },
    });
    let key = tidewaiter::key::SecretKey::generate(tidewaiter::key::Scheme::Ed25519).unwrap().public().to_pem();
    let documents = [
        policy.clone(),
        json!({ "apiVersion": "tidewaiter.dev/v1alpha1", "kind": "TrustRoot", "metadata": { "name": "keys" }, "spec": { "keys": [{ "name": "k", "pem": key }] } }),
        json!({ "apiVersion": "tidewaiter.dev/v1alpha1", "kind": "RegistryConfig", "metadata": { "name": "bad" }, "spec": { "host": "bad.example.com", "ociLayout": empty_layout(directory.path()) } }),
    ];
    std::fs::create_dir(directory.path().join("policies")).unwrap();
    let text = documents.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    std::fs::write(directory.path().join("policies/all.yaml"), text).unwrap();
    let webhook = Webhook::start(directory.path(), &["--unmatched", "allow"]);
    webhook.register(&server);
    assert!(create(&server, &pod("good", "good.example.com/a:1"), &[]).status.success());
    let refused = create(&server, &pod("refused", "bad.example.com/a:1"), &[]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("image_not_pinned"), "{refused:?}");

    // Down: nothing gets in, until the glass is broken, and nothing again when it is mended.
    drop(webhook);
    let down = create(&server, &pod("down", "good.example.com/a:1"), &[]);
    assert!(
        String::from_utf8_lossy(&down.stderr).contains("failed calling webhook \"validate.tidewaiter.dev\""),
        "{down:?}"
    );
    let failure_policy =
        || get(&server, &["validatingwebhookconfiguration", "tidewaiter"])["webhooks"][0]["failurePolicy"].clone();
    tried(&server, "runbook.md", "break-glass", &[]);
    assert_eq!(failure_policy(), "Ignore");
    within(20, "a Pod that nobody judged", || {
        create(&server, &pod("unseen", "bad.example.com/a:1"), &[]).status.success().then_some(())
    });
    tried(&server, "runbook.md", "mend", &[]);
    assert_eq!(failure_policy(), "Fail");
    within(20, "no Pod again", || {
        (!create(&server, &pod("late", "good.example.com/a:1"), &["--dry-run=server"]).status.success()).then_some(())
    });
    tried(&server, "runbook.md", "right", &[]);
    tried(&server, "runbook.md", "delete", &[]);
    within(20, "nobody is asked", || {
        create(&server, &pod("free", "good.example.com/a:1"), &[]).status.success().then_some(())
    });
    // Twice is an error, and not a silence.
    assert!(!run(&server, "runbook.md", "delete", &[]).status.success());

    // Back again: what came in is found, by the log and by asking.
    let webhook = Webhook::start(directory.path(), &["--unmatched", "allow"]);
    webhook.register(&server);
    let unseen = tried(&server, "runbook.md", "unseen", &[("AUDIT_LOG", log.to_str().unwrap())]);
    let names: Vec<&str> = unseen.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(names, ["unseen", "free"], "{unseen}");
    let again = run(&server, "runbook.md", "again", &[]);
    assert_eq!(String::from_utf8_lossy(&again.stdout), "REFUSED shop bad.example.com/a:1\n", "{again:?}");
    assert!(String::from_utf8_lossy(&again.stderr).contains("image_not_pinned"), "{again:?}");

    apply(&server, policy);
    tried(&server, "runbook.md", "warn", &[("POLICY", "shop")]);
    assert_eq!(get(&server, &["clusterimagepolicy", "shop"])["spec"]["mode"], "Warn");
}

#[test]
fn an_exception_from_seal_to_end() {
    let server = ApiServer::start(&[]);
    apply(&server, json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }));
    let key = server.directory.path().join("security.pem");
    let made = Command::new(env!("CARGO_BIN_EXE_tidewaiter")).args(["key", "new", "-o"]).arg(&key).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let variables = [
        ("NAMESPACE", "shop"),
        ("POLICY", "shop"),
        ("REQUIREMENT", "scanned"),
        ("IMAGES", "registry.example.com/shop/**"),
        ("KEY", key.to_str().unwrap()),
    ];
    tried(&server, "exceptions.md", "seal", &variables);
    tried(&server, "exceptions.md", "annotate", &variables);
    let namespace = get(&server, &["namespace", "shop"]);
    let annotations = namespace["metadata"]["annotations"].as_object().unwrap();
    assert!(annotations["tidewaiter.dev/exception"].as_str().unwrap().contains("INC-42"), "{annotations:?}");

    // What was sealed for this namespace holds in it, by its own object.
    let file = |name: &str, text: String| {
        let path = server.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let public = std::fs::read_to_string(key.with_extension("pem.pub")).unwrap();
    let root = json!({ "apiVersion": "tidewaiter.dev/v1alpha1", "kind": "TrustRoot", "metadata": { "name": "security-team" }, "spec": { "keys": [{ "name": "s", "pem": public }] } });
    let policy = json!({
        "apiVersion": "tidewaiter.dev/v1alpha1", "kind": "ClusterImagePolicy", "metadata": { "name": "shop" },
        "spec": {
            "images": ["registry.example.com/shop/**"], "exceptions": { "signers": "security-team", "maxDuration": "30d" },
            "require": { "all": [{ "name": "scanned", "signature": { "cosign": { "trust": "security-team" } } }] },
        },
    });
    let config = json!({ "apiVersion": "tidewaiter.dev/v1alpha1", "kind": "RegistryConfig", "metadata": { "name": "r" }, "spec": { "host": "registry.example.com", "ociLayout": empty_layout(server.directory.path()) } });
    let policies = file("policies.yaml", format!("{root}\n---\n{policy}\n---\n{config}"));
    let verify = |namespace: &Path| {
        Command::new(env!("CARGO_BIN_EXE_tidewaiter"))
            .args([
                "verify",
                &format!("registry.example.com/shop/api@sha256:{:064}", 1),
                "--namespace",
                "shop",
                "--policy",
            ])
            .arg(&policies)
            .arg("--namespace-object")
            .arg(namespace)
            .output()
            .unwrap()
    };
    let honoured = verify(&file("namespace.json", namespace.to_string()));
    assert_eq!(honoured.status.code(), Some(0), "{honoured:?}");
    tried(&server, "exceptions.md", "see", &variables);
    tried(&server, "exceptions.md", "end", &variables);
    let namespace = get(&server, &["namespace", "shop"]);
    assert_eq!(namespace["metadata"]["annotations"], Value::Null);
    assert_eq!(
        verify(&file("ended.json", namespace.to_string())).status.code(),
        Some(3),
        "no signature, and no exception"
    );
}
