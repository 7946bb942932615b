//! Warnings and audit annotations as they come out of the API server.

use crate::cluster::{Webhook, apply, audited, create, empty_layout};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_keeps_all_we_say() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (server, log) = audited(directory.path());
    let layout = empty_layout(directory.path());
    let key = tidewaiter::key::SecretKey::generate(tidewaiter::key::Scheme::Ed25519).unwrap().public().to_pem();
    let mut documents = vec![
        json!({ "kind": "TrustRoot", "metadata": { "name": "keys" }, "spec": { "keys": [{ "name": "k", "pem": key }] } }),
    ];
    for mode in ["Audit", "Warn"] {
        let (name, host) = (mode.to_lowercase(), format!("{}.example.com", mode.to_lowercase()));
        documents.push(json!({ "kind": "RegistryConfig", "metadata": { "name": name }, "spec": { "host": host, "ociLayout": layout } }));
        let require = json!({ "all": [{ "name": "signed", "signature": { "cosign": { "trust": "keys" } } }] });
        documents.push(json!({
            "kind": "ClusterImagePolicy", "metadata": { "name": name },
            "spec": { "images": [format!("{host}/**")], "mode": mode, "digest": "Resolve", "require": require },
        }));
    }
    let documents = documents.into_iter().map(|mut it| {
        it["apiVersion"] = "tidewaiter.dev/v1alpha1".into();
        it.to_string()
    });
    std::fs::create_dir(at("policies")).unwrap();
    std::fs::write(at("policies/all.yaml"), documents.collect::<Vec<_>>().join("\n---\n")).unwrap();
    let webhook = Webhook::start(directory.path(), &["--unmatched", "allow"]);
    webhook.register(&server);
    apply(&server, json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }));

    let pod = |name: &str, images: Vec<String>| {
        let container = |(at, image): (usize, &String)| json!({ "name": format!("c{at}"), "image": image });
        let containers: Vec<Value> = images.iter().enumerate().map(container).collect();
        let metadata = json!({ "name": name, "namespace": "shop" });
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": { "containers": containers } })
    };
    let digest = |at: usize| format!("sha256:{at:064x}");
    let annotations = |name: &str| -> Value {
        let log = std::fs::read_to_string(&log).unwrap();
        let mut events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.find(|it| it["objectRef"]["name"] == name).unwrap_or_else(|| panic!("{name} is not in the audit log"))["annotations"].clone()
    };

    // Mode Audit: admitted without a word, and to be found in the audit log.
    let audited = create(&server, &pod("audited", vec![format!("audit.example.com/a@{}", digest(1))]), &[]);
    assert!(audited.status.success(), "{}", String::from_utf8_lossy(&audited.stderr));
    assert_eq!(String::from_utf8_lossy(&audited.stderr), "");
    let told = annotations("audited");
    assert_eq!(told["validate.tidewaiter.dev/decision"], "allowed");
    assert_eq!(told["validate.tidewaiter.dev/would-deny"], "ClusterImagePolicy/audit=no_signature");

    // Mode Warn, ninety images: as many warnings as the API server keeps, each whole, and how many are not there.
    let images =
        (0..90).map(|at| format!("warn.example.com/{}/a@{}", "long/".repeat(20).trim_end_matches('/'), digest(at)));
    let warned = create(&server, &pod("warned", images.collect()), &[]);
    assert!(warned.status.success(), "{}", String::from_utf8_lossy(&warned.stderr));
    let stderr = String::from_utf8_lossy(&warned.stderr).into_owned();
    let warnings: Vec<&str> = stderr.lines().filter_map(|line| line.strip_prefix("Warning: ")).collect();
    let (last, first) = warnings.split_last().unwrap();
    assert!(
        first.len() > 10 && first.iter().all(|it| it.contains("would deny") && it.ends_with("[no_signature]")),
        "{stderr}"
    );
    assert!(warnings.iter().all(|it| it.len() <= 256) && warnings.concat().len() <= 4096, "{stderr}");
    assert!(last.contains("more warnings are left out"), "{last}");
    let told = annotations("warned");
    assert_eq!(told["validate.tidewaiter.dev/would-deny"], "ClusterImagePolicy/warn=no_signature");
    assert!(told["validate.tidewaiter.dev/digests"].as_str().is_some_and(|it| it.contains(" more")), "{told}");
}
