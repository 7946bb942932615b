//! An exception holds where it was sealed for, until its end, and nowhere else. The steps of docs/exceptions.md, as they stand there.

use super::in_cluster;
use crate::{
    cluster::Namespace,
    documents::tried,
    runner::Scenario,
    stage::Stage,
    tools::{Ran, eventually},
};

pub fn scenarios() -> Vec<Scenario> {
    in_cluster(
        "exceptions",
        &[
            ("sealed", sealed),
            ("copied", copied),
            ("expired", expired),
            ("unsealed", unsealed),
            ("not-a-signer", not_a_signer),
        ],
    )
}

/// Sealed, annotated, used, seen, ended: by the document.
fn sealed(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("excepted");
    let (images, key) = (format!("{}/**", host(stage)), world.key("officer"));
    let variables = [
        ("NAMESPACE", namespace.name.as_str()),
        ("POLICY", "shop"),
        ("REQUIREMENT", "released"),
        ("IMAGES", &images),
        ("KEY", &key),
    ];
    denied(stage, &namespace, &[]);
    tried(cluster, "exceptions.md", "seal", &variables);
    tried(cluster, "exceptions.md", "annotate", &variables);
    let ran = admitted(stage, &namespace);
    ran.says(&["Warning: ", "exception", "INC-42"]);
    // Only what was named is waived.
    namespace.run("other", &world.pinned("no-chain"), &[]).expect(1).says(&["[no_layout]"]);
    // Told on the workload that owns the pod: one that a person made has no owner.
    namespace.kubectl(&["create", "deployment", "owner", "--image", &world.pinned("unsigned")]).expect(0);
    let seen = eventually(20, "the event ExceptionUsed", || {
        let ran = tried(cluster, "exceptions.md", "see", &variables);
        ran.stdout.contains("ExceptionUsed").then_some(ran)
    });
    assert!(seen.stdout.contains("INC-42"), "{seen}");
    tried(cluster, "exceptions.md", "end", &variables);
    denied(stage, &namespace, &[]);
}

fn copied(stage: &Stage) {
    let cluster = stage.guarded();
    let (first, second) = (cluster.namespace("excepted"), cluster.namespace("copied"));
    annotate(stage, &first, &seal(stage, &first, "officer", "1h"));
    admitted(stage, &first);
    let annotations = cluster.get(&["namespace", &first.name])["metadata"]["annotations"].clone();
    let kept: serde_json::Map<_, _> = annotations
        .as_object()
        .expect("annotations")
        .clone()
        .into_iter()
        .filter(|it| it.0.starts_with("tidewaiter.dev/"))
        .collect();
    annotate(stage, &second, &serde_json::json!({"metadata": {"annotations": kept}}).to_string());
    denied(stage, &second, &["exception"]);
}

fn expired(stage: &Stage) {
    let namespace = stage.guarded().namespace("excepted");
    annotate(stage, &namespace, &seal(stage, &namespace, "officer", "8s"));
    admitted(stage, &namespace);
    eventually(20, "it is over", || {
        let ran = namespace.run("late", &stage.world().pinned("unsigned"), &["--dry-run=server"]);
        (ran.code == 1).then(|| ran.says(&["[no_signature]", "expired"]))
    });
}

/// Whoever may edit a namespace may write the annotation, and that is worth nothing.
fn unsealed(stage: &Stage) {
    let namespace = stage.guarded().namespace("excepted");
    let mut patch: serde_json::Value = serde_json::from_str(&seal(stage, &namespace, "officer", "1h")).expect("JSON");
    patch["metadata"]["annotations"].as_object_mut().expect("annotations").remove("tidewaiter.dev/exception-seal");
    annotate(stage, &namespace, &patch.to_string());
    denied(stage, &namespace, &["exception"]);
}

/// A release key seals no exceptions, nor does an owner's.
fn not_a_signer(stage: &Stage) {
    let namespace = stage.guarded().namespace("excepted");
    annotate(stage, &namespace, &seal(stage, &namespace, "alice", "1h"));
    denied(stage, &namespace, &["exception"]);
}

fn host(stage: &Stage) -> String {
    stage.world().repository("unsigned").rsplit_once('/').expect("a path").0.to_owned()
}

/// A patch that carries the exception from `released` until then.
fn seal(stage: &Stage, namespace: &Namespace<'_>, key: &str, until: &str) -> String {
    let (cluster, world) = (stage.cluster(), stage.world());
    let uid = cluster.get(&["namespace", &namespace.name])["metadata"]["uid"].as_str().expect("a uid").to_owned();
    let (images, key) = (format!("{}/**", host(stage)), world.key(key));
    let args = [
        "except",
        "sign",
        "--namespace",
        &namespace.name,
        "--uid",
        &uid,
        "--policy",
        "shop",
        "--requirement",
        "released",
    ];
    let more = ["--images", &images, "--until", until, "--reason", "INC-43: tried", "--key", &key, "--output", "json"];
    world.shop.tidewaiter(&[args, more].concat()).expect(0).stdout
}

fn annotate(stage: &Stage, namespace: &Namespace<'_>, patch: &str) {
    stage.cluster().kubectl(&["patch", "namespace", &namespace.name, "-p", patch]).expect(0);
}

/// Soon: the webhook watches namespaces.
fn admitted(stage: &Stage, namespace: &Namespace<'_>) -> Ran {
    eventually(10, "the exception is honoured", || {
        let ran = namespace.run("app", &stage.world().pinned("unsigned"), &[]);
        (ran.code == 0).then_some(ran)
    })
}

fn denied(stage: &Stage, namespace: &Namespace<'_>, words: &[&str]) {
    eventually(10, &format!("denied, with {words:?}"), || {
        let ran = namespace.run("denied", &stage.world().pinned("unsigned"), &["--dry-run=server"]);
        (ran.code == 1 && words.iter().all(|it| ran.stderr.contains(it))).then(|| ran.says(&["[no_signature]"]))
    });
}
