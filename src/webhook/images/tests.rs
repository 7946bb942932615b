use super::*;
use crate::json;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

const PINNED: &str = "registry.example.com/api@sha256:3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a3f9a";

fn value(json: &Json) -> Value {
    json::parse(json.to_string().as_bytes(), &json::Limits::REVIEW).unwrap()
}

fn spec() -> Json {
    json!({ "containers": [{ "name": "api", "image": "registry.example.com/api:1" }] })
}

fn request(group: &str, kind: &str, object: Json) -> Request {
    Request {
        uid: "u-1".into(),
        kind: Gvk { group: group.into(), version: "v1".into(), kind: kind.into() },
        resource: Gvk::default(),
        sub_resource: None,
        namespace: "shop".into(),
        name: "web".into(),
        operation: Operation::Create,
        dry_run: false,
        object: Some(value(&object)),
        old_object: None,
        user: "ann".into(),
    }
}

fn pod(spec: Json) -> Request {
    request("", "Pod", json!({ "kind": "Pod", "spec": spec }))
}

fn update(old: Json, new: Json) -> Request {
    Request {
        operation: Operation::Update,
        old_object: Some(value(&json!({ "kind": "Pod", "spec": old }))),
        ..pod(new)
    }
}

fn workload(request: &Request) -> Workload {
    match subject(request) {
        Ok(Subject::Workload(workload)) => workload,
        other => panic!("no workload: {other:?}"),
    }
}

fn fields(request: &Request) -> Vec<(String, String)> {
    workload(request).images.into_iter().map(|image| (image.field, image.image)).collect()
}

fn refused(request: &Request) -> Reason {
    subject(request).unwrap_err().reason
}

fn says(request: &Request, part: &str) {
    let fault = subject(request).unwrap_err();
    assert!(fault.message.contains(part), "{}", fault.message);
}

#[test]
fn every_place_of_a_pod() {
    let pod = pod(json!({
        "initContainers": [{ "name": "init", "image": "a" }],
        "containers": [{ "name": "api", "image": "b" }, { "name": "side", "image": "c" }],
        "ephemeralContainers": [{ "name": "debug", "image": "d" }],
        "volumes": [{ "name": "tmp", "emptyDir": {} }, { "name": "model", "image": { "reference": "e", "pullPolicy": "Always" } }],
    }));
    let expected = [
        ("spec.initContainers[0].image", "a"),
        ("spec.containers[0].image", "b"),
        ("spec.containers[1].image", "c"),
        ("spec.ephemeralContainers[0].image", "d"),
        ("spec.volumes[1].image.reference", "e"),
    ];
    let expected: Vec<_> = expected.iter().map(|(field, image)| (field.to_string(), image.to_string())).collect();
    assert_eq!(fields(&pod), expected);
    let names: Vec<_> = workload(&pod).images.into_iter().map(|image| image.name).collect();
    assert_eq!(names, ["init", "api", "side", "debug", "model"]);
}

#[test]
fn every_kind_that_embeds_a_pod() {
    let template = json!({ "metadata": {}, "spec": spec() });
    for (group, kind, object, field) in [
        ("", "Pod", json!({ "spec": spec() }), "spec.containers[0].image"),
        ("", "PodTemplate", json!({ "template": template }), "template.spec.containers[0].image"),
        (
            "",
            "ReplicationController",
            json!({ "spec": { "template": template } }),
            "spec.template.spec.containers[0].image",
        ),
        ("apps", "ReplicaSet", json!({ "spec": { "template": template } }), "spec.template.spec.containers[0].image"),
        ("apps", "Deployment", json!({ "spec": { "template": template } }), "spec.template.spec.containers[0].image"),
        ("apps", "StatefulSet", json!({ "spec": { "template": template } }), "spec.template.spec.containers[0].image"),
        ("apps", "DaemonSet", json!({ "spec": { "template": template } }), "spec.template.spec.containers[0].image"),
        ("batch", "Job", json!({ "spec": { "template": template } }), "spec.template.spec.containers[0].image"),
        (
            "batch",
            "CronJob",
            json!({ "spec": { "jobTemplate": { "spec": { "template": template } } } }),
            "spec.jobTemplate.spec.template.spec.containers[0].image",
        ),
    ] {
        let workload = workload(&request(group, kind, object));
        assert_eq!(workload.images.len(), 1, "{kind}");
        assert_eq!(workload.images[0].field, field);
        assert_eq!(workload.is_pod, kind == "Pod");
    }
    assert_eq!(KINDS.len(), 9, "a kind without a line above");
}

#[test]
fn another_kind_group_or_version_is_unsupported() {
    let deployment = request("apps", "Deployment", json!({ "spec": { "template": { "spec": spec() } } }));
    assert_eq!(workload(&deployment).images.len(), 1);
    let with = |group: &str, version: &str, kind: &str| Request {
        kind: Gvk { group: group.into(), version: version.into(), kind: kind.into() },
        ..deployment.clone()
    };
    for (group, version, kind) in [
        ("apps", "v1beta1", "Deployment"), // B9
        ("extensions", "v1", "Deployment"),
        ("apps", "v1", "Rollout"),
        ("autoscaling", "v1", "Scale"), // B3
        ("", "v1", "Binding"),
        ("", "v1", "pod"),
    ] {
        assert_eq!(refused(&with(group, version, kind)), Reason::UnsupportedResource, "{group}/{version} {kind}");
    }
}

#[test]
fn delete_is_allowed_and_connect_and_the_unknown_are_not() {
    let with = |operation| Request { operation, ..pod(spec()) };
    assert_eq!(subject(&with(Operation::Delete)), Ok(Subject::Nothing));
    assert_eq!(refused(&with(Operation::Connect)), Reason::UnsupportedResource);
    assert_eq!(refused(&with(Operation::Other("PATCH".into()))), Reason::ReviewMalformed);
    assert_eq!(workload(&with(Operation::Create)).images.len(), 1);
}

#[test]
fn the_namespace_is_the_requests() {
    let mut pod =
        request("", "Pod", json!({ "metadata": { "namespace": "elsewhere", "generateName": "web-" }, "spec": spec() }));
    pod.name = String::new();
    let workload = workload(&pod);
    assert_eq!((workload.namespace.as_str(), workload.name.as_str()), ("shop", "web-"));
    pod.namespace = String::new();
    assert_eq!(refused(&pod), Reason::NamespaceUnknown);
}

#[test]
fn an_object_of_another_kind_than_the_request_is_malformed() {
    let lying = request("", "Pod", json!({ "kind": "ConfigMap", "spec": spec() }));
    assert_eq!(refused(&lying), Reason::ReviewMalformed);
}

#[test]
fn an_object_that_is_not_there_is_malformed() {
    assert_eq!(refused(&Request { object: None, ..pod(spec()) }), Reason::ReviewMalformed);
    assert_eq!(refused(&request("", "Pod", json!({}))), Reason::ReviewMalformed);
    assert_eq!(refused(&request("apps", "Deployment", json!({ "spec": spec() }))), Reason::ReviewMalformed);
}

#[test]
fn a_pod_with_containers_and_no_images_is_an_internal_error() {
    assert_eq!(refused(&pod(json!({ "containers": [{ "name": "api" }] }))), Reason::InternalError);
    assert_eq!(refused(&pod(json!({ "containers": [{ "name": "api", "image": "" }] }))), Reason::InternalError);
    assert_eq!(refused(&pod(json!({ "containers": [{ "name": "api", "image": ["a"] }] }))), Reason::InternalError);
}

#[test]
fn one_container_without_an_image_is_malformed() {
    let pod = pod(json!({ "containers": [{ "name": "api", "image": "a" }, { "name": "side", "image": 7 }] }));
    assert_eq!(refused(&pod), Reason::ReviewMalformed);
    says(&pod, "spec.containers[1].image");
}

#[test]
fn a_pod_without_containers_is_malformed() {
    assert_eq!(refused(&pod(json!({}))), Reason::ReviewMalformed);
    assert_eq!(
        refused(&pod(json!({ "containers": [], "initContainers": [{ "image": "a" }] }))),
        Reason::ReviewMalformed
    );
    assert_eq!(refused(&pod(json!({ "containers": "api" }))), Reason::ReviewMalformed);
    assert_eq!(refused(&pod(json!({ "containers": ["api"] }))), Reason::ReviewMalformed);
    assert_eq!(refused(&pod(json!({ "Containers": [{ "image": "a" }] }))), Reason::UnsupportedField);
}

#[test]
fn absent_lists_and_null_lists_are_empty() {
    let pod = pod(json!({ "containers": [{ "name": "api", "image": "a" }], "initContainers": null, "volumes": null }));
    assert_eq!(fields(&pod).len(), 1);
}

#[test]
fn an_image_volume_without_a_reference_is_malformed() {
    let with = |volume: Json| {
        let mut spec = spec();
        spec["volumes"] = json!([volume]);
        pod(spec)
    };
    assert_eq!(refused(&with(json!({ "name": "v", "image": { "pullPolicy": "Always" } }))), Reason::ReviewMalformed);
    assert_eq!(refused(&with(json!({ "name": "v", "image": "a" }))), Reason::ReviewMalformed);
    assert_eq!(fields(&with(json!({ "name": "v", "image": { "reference": "a" } }))).len(), 2);
    assert_eq!(fields(&with(json!({ "name": "v", "image": null }))).len(), 1);
}

#[test]
fn a_field_that_looks_like_an_image_and_is_unknown_is_unsupported() {
    for (key, unknown) in [
        ("bootImage", json!("a")),
        ("image", json!("a")),
        ("images", json!(["a"])),
        ("imageRef", json!("a")),
        ("sandbox", json!({ "image": "a" })),
        ("sandbox", json!({ "layers": [{ "IMAGE": "a" }] })),
        ("model", json!({ "source": { "reference": "a", "pullPolicy": "Always" } })),
    ] {
        let mut spec = spec();
        spec[key] = unknown.clone();
        assert_eq!(refused(&pod(spec.clone())), Reason::UnsupportedField, "{key}: {unknown}");
        let deployment = request("apps", "Deployment", json!({ "spec": { "template": { "spec": spec } } }));
        assert_eq!(refused(&deployment), Reason::UnsupportedField);
        says(&deployment, "spec.template.spec.");
    }
}

#[test]
fn unknown_images_within_known_places_are_unsupported() {
    let spec = json!({
        "containers": [{ "name": "api", "image": "a", "checkpoint": { "image": "b" } }],
    });
    assert_eq!(refused(&pod(spec.clone())), Reason::UnsupportedField);
    says(&pod(spec), "spec.containers[0].checkpoint.image");
    // A driver's parameters: there are drivers that mount the image named there.
    let csi = json!({
        "containers": [{ "name": "api", "image": "a" }],
        "volumes": [{ "name": "v", "csi": { "driver": "container-image", "volumeAttributes": { "image": "b" } } }],
    });
    assert_eq!(refused(&pod(csi)), Reason::UnsupportedField);
}

#[test]
fn what_only_sounds_like_an_image_is_none() {
    let spec = json!({
        "containers": [{
            "name": "api", "image": "a", "imagePullPolicy": "Always",
            "env": [{ "name": "image", "value": "b" }], "args": ["--image", "b"],
            "resources": { "limits": { "example.com/image": "1" }, "requests": { "example.com/image": "1" } },
        }],
        "imagePullSecrets": [{ "name": "pull" }],
        "nodeSelector": { "image": "b" },
        "volumes": [{ "name": "v", "rbd": { "monitors": ["m"], "image": "disk" } }],
        "affinity": { "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
            { "topologyKey": "zone", "labelSelector": { "matchLabels": { "image": "b" } } }] } },
    });
    assert_eq!(fields(&pod(spec)).len(), 1);
}

#[test]
fn no_exemption_is_bought() {
    let template = json!({ "spec": spec() });
    for object in [
        json!({ "spec": { "replicas": 0, "template": template } }),
        json!({ "metadata": { "deletionTimestamp": "2026-11-23T12:00:00Z" }, "spec": { "template": template } }),
        json!({ "metadata": { "ownerReferences": [{ "kind": "Deployment", "controller": true }] }, "spec": { "template": template } }),
        json!({ "metadata": { "annotations": { "tidewaiter.dev/skip": "true" } }, "spec": { "template": template } }),
    ] {
        let mut scaled_down = request("apps", "ReplicaSet", object.clone());
        scaled_down.operation = Operation::Update;
        scaled_down.old_object = Some(value(&json!({ "spec": { "replicas": 3, "template": template } })));
        let workload = workload(&scaled_down);
        assert_eq!(workload.images.len(), 1);
        assert!(!workload.images[0].unchanged, "{object}"); // B4 is for Pods
    }
    let owned =
        request("", "Pod", json!({ "metadata": { "ownerReferences": [{ "kind": "ReplicaSet" }] }, "spec": spec() }));
    assert!(!workload(&owned).images[0].unchanged);
}

#[test]
fn a_pinned_image_an_update_leaves_alone_is_unchanged() {
    let spec = json!({
        "containers": [{ "name": "api", "image": PINNED }],
        "initContainers": [{ "name": "init", "image": PINNED }],
        "volumes": [{ "name": "model", "image": { "reference": PINNED } }],
    });
    let images = workload(&update(spec.clone(), spec.clone())).images;
    assert_eq!(images.iter().map(|image| image.unchanged).collect::<Vec<_>>(), [true, true, true]);
    // Nothing is unchanged in what is new.
    assert!(!workload(&pod(spec.clone())).images[0].unchanged);
    let created = Request { operation: Operation::Create, ..update(spec.clone(), spec) };
    assert!(!workload(&created).images[0].unchanged);
}

#[test]
fn what_an_update_changes_is_judged() {
    let one = |name: &str, image: &str| json!({ "containers": [{ "name": name, "image": image }] });
    let other = PINNED.replace("3f9a", "0b0b");
    for (old, new) in [
        (one("api", &other), one("api", PINNED)), // another image
        (one("web", PINNED), one("api", PINNED)), // under another name
        (one("api", "registry.example.com/api:1"), one("api", "registry.example.com/api:1")), // not pinned
        (one("api", &PINNED.replace("api@", "api:2@")), one("api", PINNED)), // not the same text
        (json!({}), one("api", PINNED)),
        (
            json!({ "containers": [{ "name": "x", "image": "y" }], "initContainers": [{ "name": "api", "image": PINNED }] }),
            one("api", PINNED), // from another list
        ),
        (
            json!({ "containers": [{ "name": "api", "image": PINNED }, { "name": "api", "image": &other }] }),
            one("api", PINNED), // a name that stands twice
        ),
    ] {
        assert!(!workload(&update(old.clone(), new)).images[0].unchanged, "{old}");
    }
    let mut no_old = update(one("api", PINNED), one("api", PINNED));
    assert!(workload(&no_old).images[0].unchanged);
    no_old.old_object = None;
    assert!(!workload(&no_old).images[0].unchanged);
}

#[test]
fn an_ephemeral_container_added_by_its_subresource_is_judged() {
    let old = json!({ "containers": [{ "name": "api", "image": PINNED }] });
    let new = json!({
        "containers": [{ "name": "api", "image": PINNED }],
        "ephemeralContainers": [{ "name": "debug", "image": "busybox" }],
    });
    let request = Request { sub_resource: Some("ephemeralcontainers".into()), ..update(old, new) };
    let images = workload(&request).images;
    assert_eq!(
        images.iter().map(|image| (image.name.as_str(), image.unchanged)).collect::<Vec<_>>(),
        [("api", true), ("debug", false)]
    );
}

/// B1: the fields we know are all that the API has. When Kubernetes adds one, this fails before a cluster does.
#[test]
fn the_schema_of_kubernetes_has_no_image_we_do_not_know() {
    use k8s_openapi::schemars::SchemaGenerator;
    let mut generator = SchemaGenerator::default();
    let root = generator.root_schema_for::<k8s_openapi::api::core::v1::PodSpec>();
    let root = serde_json::to_value(root).unwrap();
    let mut seen = BTreeSet::new();
    schema(&root, &root, "", &mut Vec::new(), &mut seen);
    // Strings and objects called an image; `volumes[].image` is the object around its reference.
    let known: BTreeSet<String> = KNOWN.iter().map(ToString::to_string).collect();
    assert_eq!(seen, known);
}

/// Collects the shapes of image-like properties. Maps with free keys are not descended into: they have no properties.
fn schema(root: &Json, node: &Json, shape: &str, above: &mut Vec<String>, seen: &mut BTreeSet<String>) {
    if let Some(name) = node["$ref"].as_str() {
        if above.iter().any(|it| it == name) {
            return;
        }
        above.push(name.to_owned());
        let target = root.pointer(name.trim_start_matches('#')).unwrap();
        schema(root, target, shape, above, seen);
        above.pop();
        return;
    }
    for list in ["allOf", "anyOf", "oneOf"] {
        for branch in node[list].as_array().into_iter().flatten() {
            schema(root, branch, shape, above, seen);
        }
    }
    if let Some(items) = node.get("items") {
        schema(root, items, &format!("{shape}[]"), above, seen);
    }
    for (key, property) in node["properties"].as_object().into_iter().flatten() {
        let dot = if shape.is_empty() { "" } else { "." };
        let shape = format!("{shape}{dot}{key}");
        let lower = key.to_lowercase();
        if lower.ends_with("image")
            || lower.ends_with("images")
            || lower.starts_with("imageref")
            || lower == "reference"
        {
            seen.insert(shape.clone());
        }
        schema(root, property, &shape, above, seen);
    }
}

#[test]
fn the_pods_credentials_are_named_wherever_its_spec_stands() {
    let mut spec = spec();
    spec["imagePullSecrets"] = json!([{ "name": "one" }, {}, { "name": "two" }, { "name": "one" }]);
    spec["serviceAccountName"] = json!("builder");
    let template = json!({ "metadata": {}, "spec": spec });
    for (group, kind, object) in [
        ("", "Pod", json!({ "spec": spec })),
        ("apps", "Deployment", json!({ "spec": { "template": template } })),
        ("batch", "CronJob", json!({ "spec": { "jobTemplate": { "spec": { "template": template } } } })),
    ] {
        let workload = workload(&request(group, kind, object));
        assert_eq!(workload.pull_secrets, ["one", "two"], "{kind}");
        assert_eq!(workload.service_account, "builder", "{kind}");
    }
    let mut old = self::spec();
    old["serviceAccount"] = json!("older");
    assert_eq!(workload(&pod(old)).service_account, "older");
    let bare = workload(&pod(self::spec()));
    assert_eq!((bare.pull_secrets.len(), bare.service_account.as_str()), (0, ""));
    let many: Vec<Json> = (0..100).map(|n| json!({ "name": format!("s{n}") })).collect();
    let mut spec = self::spec();
    spec["imagePullSecrets"] = json!(many);
    assert_eq!(workload(&pod(spec.clone())).pull_secrets.len(), 9);
    spec["imagePullSecrets"] = json!({ "name": "one" });
    says(&pod(spec), "spec.imagePullSecrets is no list");
}
