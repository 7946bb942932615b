//! Registries behind a login: the pod's own pull secret opens them, for the node and for tidewaiter alike.

use super::in_cluster;
use crate::{
    cluster::Namespace,
    registry::{PASSWORD, USER},
    runner::Scenario,
    stage::Stage,
};

pub fn scenarios() -> Vec<Scenario> {
    in_cluster(
        "pull-secrets",
        &[
            ("basic", basic),
            ("bearer", bearer),
            ("service-account", service_account),
            ("none", none),
            ("elsewhere", elsewhere),
            ("wrong", wrong),
        ],
    )
}

const PULL: &str = r#"{"spec": {"imagePullSecrets": [{"name": "pull"}]}}"#;

fn basic(stage: &Stage) {
    runs(stage, "good-login", PULL);
}

fn bearer(stage: &Stage) {
    runs(stage, "good-login-bundle", PULL);
}

fn runs(stage: &Stage, case: &str, overrides: &str) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("pull");
    secret(stage, &namespace, case, PASSWORD);
    namespace.run("app", &world.tagged(case), &["--overrides", overrides]).expect(0);
    namespace.running("app");
}

/// The service account's secrets count like the pod's own.
fn service_account(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("pull");
    secret(stage, &namespace, "good-login", PASSWORD);
    let patch = r#"{"imagePullSecrets": [{"name": "pull"}]}"#;
    cluster.kubectl(&["patch", "serviceaccount", "default", "-n", &namespace.name, "-p", patch]).expect(0);
    namespace.run("app", &world.tagged("good-login"), &[]).expect(0);
    namespace.running("app");
}

fn none(stage: &Stage) {
    let namespace = stage.guarded().namespace("pull");
    refused(stage, &namespace, &[]);
}

/// A secret of another namespace is nobody's here, whatever its name.
fn elsewhere(stage: &Stage) {
    let cluster = stage.guarded();
    let (here, there) = (cluster.namespace("pull"), cluster.namespace("elsewhere"));
    secret(stage, &there, "good-login", PASSWORD);
    refused(stage, &here, &["--overrides", PULL]);
}

fn wrong(stage: &Stage) {
    let namespace = stage.guarded().namespace("pull");
    secret(stage, &namespace, "good-login", "guessed");
    refused(stage, &namespace, &["--overrides", PULL]);
}

fn refused(stage: &Stage, namespace: &Namespace<'_>, more: &[&str]) {
    namespace.run("app", &stage.world().pinned("good-login"), more).expect(1).says(&["[registry_auth]"]);
}

fn secret(stage: &Stage, namespace: &Namespace<'_>, case: &str, password: &str) {
    let repository = stage.world().repository(case);
    let server = format!("--docker-server={}", repository.split('/').next().expect("a host"));
    let (user, password) = (format!("--docker-username={USER}"), format!("--docker-password={password}"));
    namespace.kubectl(&["create", "secret", "docker-registry", "pull", &server, &user, &password]).expect(0);
}
