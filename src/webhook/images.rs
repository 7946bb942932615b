//! Every image of every kind that embeds a pod (security §2.B): no skip paths, no exemptions.
//!
//! Owner references, zero replicas, scaling down and a deletion timestamp are not read at all.

use super::review::{Gvk, Operation, Request};
use crate::{
    json::Value,
    policy::{PULL_SECRETS_MAX, Workload, WorkloadImage},
    reason::{Fault, Reason},
    reference::Reference,
};

/// Images of one workload, the same one counted as often as it stands there: each is looked at and told of. Ours: no node runs so many.
const IMAGES_MAX: usize = 1_024;

/// What a request asks us to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nothing comes into the cluster: DELETE (B12).
    Nothing,
    Workload(Workload),
}

/// The containers of a pod spec, by the list they stand in.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// The pod-bearing kinds, each in the version we know (B9), and where the pod spec stands in it.
const KINDS: &[(&str, &str, &str, &[&str])] = &[
    ("", "v1", "Pod", &["spec"]),
    ("", "v1", "PodTemplate", &["template", "spec"]),
    ("", "v1", "ReplicationController", &["spec", "template", "spec"]),
    ("apps", "v1", "ReplicaSet", &["spec", "template", "spec"]),
    ("apps", "v1", "Deployment", &["spec", "template", "spec"]),
    ("apps", "v1", "StatefulSet", &["spec", "template", "spec"]),
    ("apps", "v1", "DaemonSet", &["spec", "template", "spec"]),
    ("batch", "v1", "Job", &["spec", "template", "spec"]),
    ("batch", "v1", "CronJob", &["spec", "jobTemplate", "spec", "template", "spec"]),
];

/// The images of a request's object.
///
/// # Errors
/// `unsupported_resource`, `unsupported_field`, `review_malformed`, `namespace_unknown`, `too_many_images`, and
/// `internal_error` where a Pod has containers and no image was found (T-17).
pub fn subject(request: &Request) -> Result<Subject, Fault> {
    match &request.operation {
        Operation::Delete => return Ok(Subject::Nothing),
        Operation::Create | Operation::Update => {}
        Operation::Connect => {
            return Err(Fault::new(Reason::UnsupportedResource, "CONNECT is not judged; it should not be registered"));
        }
        Operation::Other(other) => {
            return Err(Fault::new(Reason::ReviewMalformed, format!("operation \"{other}\" is unknown")));
        }
    }
    let path = pod_spec_path(&request.kind)?;
    let object = request.object.as_ref().ok_or_else(|| malformed("request.object is missing"))?;
    // The kind of the request chooses where we look; an object that calls itself something else is not judged.
    if let Some(kind) = object.get("kind").and_then(Value::as_str)
        && kind != request.kind.kind
    {
        return Err(malformed(format!("request.kind is {}, the object's is {kind}", request.kind.kind)));
    }
    if request.namespace.is_empty() {
        return Err(Fault::new(Reason::NamespaceUnknown, "the request names no namespace"));
    }
    let spec = pod_spec(object, path)?;
    let at = path.join(".");
    if let Some(field) = unknown_image_field(spec, &at) {
        let why = format!("{field} looks like an image, and this version does not know it");
        return Err(Fault::new(Reason::UnsupportedField, why));
    }
    let is_pod = request.kind.kind == "Pod";
    let mut images = found(spec, &at)?;
    if is_pod && request.operation == Operation::Update {
        let old = request.old_object.as_ref().and_then(|old| pod_spec(old, path).ok());
        for image in &mut images {
            image.unchanged = old.is_some_and(|old| is_unchanged(old, image));
        }
    }
    Ok(Subject::Workload(Workload {
        namespace: request.namespace.clone(),
        kind: request.kind.kind.clone(),
        name: name(request, object),
        images,
        is_pod,
        pull_secrets: pull_secrets(spec, &at)?,
        service_account: service_account(spec).into(),
    }))
}

fn pod_spec_path(kind: &Gvk) -> Result<&'static [&'static str], Fault> {
    KINDS
        .iter()
        .find(|(group, version, name, _)| kind.group == *group && kind.version == *version && kind.kind == *name)
        .map(|(.., path)| *path)
        .ok_or_else(|| Fault::new(Reason::UnsupportedResource, format!("{kind} is not judged by this version")))
}

fn pod_spec<'v>(object: &'v Value, path: &[&str]) -> Result<&'v Value, Fault> {
    let spec = path.iter().try_fold(object, |value, key| value.get(key));
    spec.filter(|spec| spec.as_object().is_some()).ok_or_else(|| malformed(format!("{} is no object", path.join("."))))
}

/// The name of the object, for people: a new one may only have the beginning of a name (B10).
fn name(request: &Request, object: &Value) -> String {
    let metadata = |key| object.get("metadata").and_then(|metadata| metadata.get(key)).and_then(Value::as_str);
    let name = Some(request.name.as_str()).filter(|name| !name.is_empty());
    name.or_else(|| metadata("name")).or_else(|| metadata("generateName")).unwrap_or_default().into()
}

/// Every image of a pod spec, in the order containers start.
fn found(spec: &Value, at: &str) -> Result<Vec<WorkloadImage>, Fault> {
    let (mut images, mut without) = (Vec::new(), Vec::new());
    let mut take = |field: String, name: &str, image: Option<&Value>| match image {
        Some(Value::String(image)) if !image.is_empty() => {
            images.push(WorkloadImage { field, name: name.into(), image: image.clone(), unchanged: false });
        }
        _ => without.push(field),
    };
    for list in CONTAINERS {
        for (index, container) in array(spec, list, at)?.iter().enumerate() {
            take(format!("{at}.{list}[{index}].image"), named(container), container.get("image"));
        }
    }
    if array(spec, "containers", at)?.is_empty() {
        return Err(malformed(format!("{at}.containers is empty")));
    }
    for (index, volume) in array(spec, "volumes", at)?.iter().enumerate() {
        match volume.get("image") {
            None | Some(Value::Null) => {}
            Some(image) => {
                take(format!("{at}.volumes[{index}].image.reference"), named(volume), image.get("reference"));
            }
        }
    }
    match (images.is_empty(), without.first()) {
        (false, None) if images.len() > IMAGES_MAX => {
            let why = format!("{at} names {} images, more than {IMAGES_MAX}", images.len());
            Err(Fault::new(Reason::TooManyImages, why))
        }
        (false, None) => Ok(images),
        (true, _) => Err(Fault::new(Reason::InternalError, format!("no image found in the containers of {at}"))),
        (false, Some(field)) => Err(malformed(format!("{field} is missing"))),
    }
}

/// Names of the pod's own pull secrets, each once; one without a name is none, for the kubelet too.
fn pull_secrets(spec: &Value, at: &str) -> Result<Vec<String>, Fault> {
    let mut names: Vec<String> = Vec::new();
    for name in array(spec, "imagePullSecrets", at)?.iter().map(named) {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.into());
        }
        // One more than are read, so that it can be said that there are more.
        if names.len() > PULL_SECRETS_MAX {
            break;
        }
    }
    Ok(names)
}

/// Today's field before the one it replaced; the API server keeps them alike.
fn service_account(spec: &Value) -> &str {
    let named = |field| spec.get(field).and_then(Value::as_str).filter(|name| !name.is_empty());
    named("serviceAccountName").or_else(|| named("serviceAccount")).unwrap_or_default()
}

fn named(value: &Value) -> &str {
    value.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// A list of objects; absent is empty.
fn array<'v>(spec: &'v Value, list: &str, at: &str) -> Result<&'v [Value], Fault> {
    let items = match spec.get(list) {
        None | Some(Value::Null) => return Ok(&[]),
        Some(value) => value.as_array().ok_or_else(|| malformed(format!("{at}.{list} is no list")))?,
    };
    match items.iter().position(|item| item.as_object().is_none()) {
        Some(index) => Err(malformed(format!("{at}.{list}[{index}] is no object"))),
        None => Ok(items),
    }
}

/// B4: the same string at the same name in the same list of the old Pod, and that string was pinned.
fn is_unchanged(old: &Value, image: &WorkloadImage) -> bool {
    let Some(list) =
        CONTAINERS.iter().chain(&["volumes"]).find(|list| image.field.starts_with(&format!("spec.{list}[")))
    else {
        return false;
    };
    let mut same_name =
        old.get(list).and_then(Value::as_array).unwrap_or_default().iter().filter(|item| named(item) == image.name);
    let (Some(item), None) = (same_name.next(), same_name.next()) else { return false };
    let before = match *list {
        "volumes" => item.get("image").and_then(|volume| volume.get("reference")),
        _ => item.get("image"),
    };
    before.and_then(Value::as_str) == Some(image.image.as_str())
        && image.image.parse::<Reference>().is_ok_and(|reference| reference.digest().is_some())
}

/// Where images stand in a pod spec, with `[]` for any index. A test compares this with the schema of Kubernetes.
const KNOWN: &[&str] = &[
    "containers[].image",
    "initContainers[].image",
    "ephemeralContainers[].image",
    "volumes[].image",
    "volumes[].image.reference",
    // The name of a RADOS block device, not of a container image.
    "volumes[].rbd.image",
];
/// Maps whose keys the author chooses, and which no runtime pulls from: a label may be called `image`.
/// `csi.volumeAttributes` and `flexVolume.options` are not among them: there are drivers that mount an image named there.
const FREE: &[&str] = &["annotations", "labels", "limits", "matchLabels", "nodeSelector", "overhead", "requests"];

/// B1: a field that may name an image and is none of those we know. `at` is where the spec stands.
fn unknown_image_field(spec: &Value, at: &str) -> Option<String> {
    let mut hit = None;
    walk(spec, &mut String::new(), &mut String::new(), &mut hit);
    hit.map(|path| format!("{at}.{path}"))
}

/// `path` with indexes for the message, `shape` without them for the comparison. Depth is bounded by the parser.
fn walk(value: &Value, path: &mut String, shape: &mut String, hit: &mut Option<String>) {
    let (path_len, shape_len) = (path.len(), shape.len());
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if hit.is_some() || (FREE.contains(&key.as_str()) && value.as_object().is_some()) {
                    continue;
                }
                let dot = if shape.is_empty() { "" } else { "." };
                path.extend([dot, key]);
                shape.extend([dot, key]);
                if looks_like_an_image(key, value) && !KNOWN.contains(&shape.as_str()) {
                    *hit = Some(path.clone());
                } else {
                    walk(value, path, shape, hit);
                }
                path.truncate(path_len);
                shape.truncate(shape_len);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                shape.push_str("[]");
                walk(item, path, shape, hit);
                path.truncate(path_len);
                shape.truncate(shape_len);
            }
        }
        _ => {}
    }
}

fn looks_like_an_image(key: &str, value: &Value) -> bool {
    let key = key.to_ascii_lowercase();
    match value {
        Value::String(_) => {
            key.ends_with("image") || ["reference", "imageref", "imagereference", "imagename"].contains(&key.as_str())
        }
        Value::Array(items) => key.ends_with("images") && items.iter().any(|item| item.as_str().is_some()),
        Value::Object(_) => key.ends_with("image") && value.get("reference").is_some(),
        _ => false,
    }
}

fn malformed(why: impl Into<String>) -> Fault {
    Fault::new(Reason::ReviewMalformed, why)
}

#[cfg(test)]
mod tests;
