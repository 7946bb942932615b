//! The same against a real API server, with no more rights than the chart gives: `get`, of Secrets and service accounts.

use crate::{apiserver::ApiServer, site::soon};
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::time::Duration;
use tidewaiter::{
    cluster::{Cluster, pull_secrets::PullSecrets, referenced::Referenced},
    key::{Scheme, SecretKey},
    policy::Workload,
    registry::Credential,
    resource::{self, Resource},
};

const US: &str = "system:serviceaccount:tidewaiter:tidewaiter";

/// A client that may do what we may.
async fn client(server: &ApiServer) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(&server.kubeconfig).unwrap();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.auth_info.impersonate = Some(US.into());
    kube::Client::try_from(config).unwrap()
}

fn kubectl(server: &ApiServer, arguments: &[&str]) {
    let output = server.kubectl().args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn pull_secret(server: &ApiServer, password: &str) {
    let password = format!("--docker-password={password}");
    let host = "--docker-server=registry.test:5000";
    let _ = server.kubectl().args(["-n", "shop", "delete", "secret", "regcred"]).output().unwrap();
    kubectl(
        server,
        &["-n", "shop", "create", "secret", "docker-registry", "regcred", host, "--docker-username=robot", &password],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_api_server_tells_what_we_may_know_and_no_more() {
    let server = ApiServer::start(&[]);
    for namespace in ["shop", "tidewaiter"] {
        kubectl(&server, &["create", "namespace", namespace]);
    }
    pull_secret(&server, "first");
    kubectl(&server, &["-n", "shop", "create", "serviceaccount", "builder"]);
    let patch = r#"{"imagePullSecrets":[{"name":"regcred"}]}"#;
    kubectl(&server, &["-n", "shop", "patch", "serviceaccount", "builder", "-p", patch]);
    let client = client(&server).await;
    let pod = Workload { namespace: "shop".into(), service_account: "builder".into(), ..Workload::default() };

    // Without rights: told, and nothing else.
    let read = PullSecrets::new(client.clone()).of(&pod, soon()).await;
    assert_eq!(read.warnings, ["service account \"builder\" was not read: tidewaiter may not read it"]);

    kubectl(&server, &["create", "clusterrole", "us", "--verb=get", "--resource=secrets,serviceaccounts"]);
    kubectl(&server, &["create", "clusterrolebinding", "us", "--clusterrole=us", &format!("--user={US}")]);
    let secrets = PullSecrets::keeping(client.clone(), Duration::from_millis(200));
    let password = || async {
        let read = secrets.of(&pod, soon()).await;
        assert!(read.of("registry.test").is_empty() && read.of("evil.test:5000").is_empty());
        match read.of("registry.test:5000").first().map(AsRef::as_ref) {
            Some(Credential::Password { password, .. }) => Some(password.expose().to_owned()),
            _ => None,
        }
    };
    // The rights, and then each change, are in force in a moment.
    let until = soon();
    while password().await.as_deref() != Some("first") {
        assert!(std::time::Instant::now() < until, "the secret was not read");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    pull_secret(&server, "second");
    while password().await.as_deref() != Some("second") {
        assert!(std::time::Instant::now() < until, "the rotated secret was not read");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let key = SecretKey::generate(Scheme::Ed25519).unwrap().public().to_pem();
    kubectl(
        &server,
        &["-n", "tidewaiter", "create", "secret", "generic", "signer", &format!("--from-literal=ci.pub={key}")],
    );
    let text = r#"{"apiVersion":"tidewaiter.dev/v1alpha1","kind":"TrustRoot","metadata":{"name":"shop"},
        "spec":{"keys":[{"name":"ci","secretKeyRef":{"name":"signer","key":"ci.pub"}}]}}"#;
    let referenced = Referenced::new(Cluster { client, namespace: "tidewaiter".into() });
    let resolved = referenced.resolve(resource::parse("root", text).unwrap()).await;
    let Resource::TrustRoot(root) = &resolved.resources[0] else { panic!("{resolved:?}") };
    assert_eq!((root.spec.keys[0].pem.as_deref(), resolved.problems.len()), (Some(key.as_str()), 0));
    // The API server goes away: what it told stays.
    drop(server);
    assert_eq!(referenced.resolve(resource::parse("root", text).unwrap()).await, resolved);
}
