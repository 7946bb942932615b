//! Admission reviews: whatever comes is answered, and a naive walk over the pod spec finds no image that we did not.
//! (security §4.4 `admission_review`)
#![no_main]

// The two pure files of the webhook are compiled into this target: the rest of the program would bring its whole tree.
#[allow(dead_code)]
#[path = "../../src/webhook/images.rs"]
mod images;
#[allow(dead_code)]
#[path = "../../src/webhook/review.rs"]
mod review;

use images::Subject;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
// What those files name `crate::…`.
use tidewaiter::{json, policy, reason, reference};

/// Group, kind, and where the pod spec stands, written down a second time.
const KINDS: [(&str, &str, &str); 9] = [
    ("", "Pod", "/spec"),
    ("", "PodTemplate", "/template/spec"),
    ("", "ReplicationController", "/spec/template/spec"),
    ("apps", "ReplicaSet", "/spec/template/spec"),
    ("apps", "Deployment", "/spec/template/spec"),
    ("apps", "StatefulSet", "/spec/template/spec"),
    ("apps", "DaemonSet", "/spec/template/spec"),
    ("batch", "Job", "/spec/template/spec"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template/spec"),
];

// A first byte below the number of kinds says: what follows is a pod spec, wrap it. Anything else is a whole review.
fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((kind, spec)) if usize::from(*kind) < KINDS.len() => {
            let Ok(spec) = std::str::from_utf8(spec) else { return };
            judge(wrapped(KINDS[usize::from(*kind)], spec).as_bytes());
        }
        _ => judge(bytes),
    }
});

fn wrapped((group, kind, path): (&str, &str, &str), spec: &str) -> String {
    let object =
        path.rsplit('/').filter(|key| !key.is_empty()).fold(spec.to_owned(), |o, key| format!("{{\"{key}\":{o}}}"));
    format!(
        "{{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":{{\"uid\":\"u\",\"kind\":{{\"group\":\"{group}\",\
         \"version\":\"v1\",\"kind\":\"{kind}\"}},\"resource\":{{\"group\":\"{group}\",\"version\":\"v1\",\"resource\":\"r\"}},\
         \"operation\":\"CREATE\",\"namespace\":\"n\",\"name\":\"x\",\"object\":{object}}}}}"
    )
}

fn judge(bytes: &[u8]) {
    let Ok(request) = review::parse(bytes) else { return };
    assert!(!request.uid.is_empty(), "an answer needs the uid");
    let Ok(Subject::Workload(workload)) = images::subject(&request) else { return };
    assert!(!workload.images.is_empty(), "a pod has images");
    let (_, _, path) = *KINDS.iter().find(|(_, kind, _)| *kind == workload.kind).expect("a kind that we know");
    let review: serde_json::Value = match serde_json::from_slice(bytes) {
        Ok(review) => review,
        // It has no infinity, and reads `1e999` as one; we keep the digits.
        Err(error) => return assert!(error.to_string().starts_with("number out of range"), "{error}"),
    };
    let spec = review["request"]["object"].pointer(path).expect("the pod spec");
    let mut there = BTreeSet::new();
    walk(spec, "", &mut there);
    let found: BTreeSet<&str> = workload.images.iter().map(|image| image.image.as_str()).collect();
    let missed: Vec<_> = there.difference(&found).collect();
    assert!(missed.is_empty(), "{missed:?} in {spec}");
}

/// Every text under a key `image` or, in an `image`, under `reference`; but not in maps whose keys the author chooses.
fn walk<'v>(value: &'v serde_json::Value, parent: &str, there: &mut BTreeSet<&'v str>) {
    const FREE: [&str; 7] = ["annotations", "labels", "limits", "matchLabels", "nodeSelector", "overhead", "requests"];
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, parent, there)),
        serde_json::Value::Object(members) => {
            for (key, member) in members {
                match (parent, key.as_str(), member) {
                    // The name of a RADOS block device.
                    ("rbd", "image", _) => {}
                    (_, "image", serde_json::Value::String(text)) => drop(there.insert(text)),
                    ("image", "reference", serde_json::Value::String(text)) => drop(there.insert(text)),
                    (_, key, serde_json::Value::Object(_)) if FREE.contains(&key) => {}
                    (_, key, member) => walk(member, key, there),
                }
            }
        }
        _ => {}
    }
}
