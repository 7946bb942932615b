//! The documents: a good one of each kind, and those with one field wrong.

use serde::Deserialize;
use serde_json::{Value, json};
use std::{fs, path::Path};

/// The corpus only grows.
const CASES_MIN: usize = 77;

pub const KINDS: [&str; 4] = ["ClusterImagePolicy", "ImagePolicy", "TrustRoot", "RegistryConfig"];

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The folder, and where in the document it is tried.
    #[serde(skip)]
    pub id: String,
    #[allow(dead_code)] // for the reader
    source: String,
    #[allow(dead_code)]
    why: String,
    pub kind: String,
    with: Option<Value>,
    pub at: String,
    value: Option<Value>,
    pub field: String,
    pub by: By,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum By {
    Schema,
    Strict,
    Webhook,
}

const PEM: [&str; 2] = [
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n-----END PUBLIC KEY-----\n",
];

/// A good document of the kind.
pub fn good(kind: &str) -> Value {
    let chain = json!({ "layout": { "owners": "shop-owners", "threshold": 2 }, "evidence": ["oci", "store"] });
    let requirements = json!([
        { "name": "released", "signature": { "cosign": { "trust": "release-keys" } } },
        { "name": "built", "supplyChain": chain },
    ]);
    let mut policy = json!({
        "images": ["registry.example.com/shop/**"], "exclude": ["registry.example.com/shop/sandbox/**"],
        "mode": "Warn", "digest": "Require", "require": { "all": requirements },
    });
    let mut metadata = json!({ "name": "subject" });
    let spec = match kind {
        "ClusterImagePolicy" => {
            policy["namespaces"] = json!(["shop-*"]);
            policy["exceptions"] = json!({ "maxDuration": "30d", "signers": "security-team" });
            policy
        }
        "ImagePolicy" => {
            metadata["namespace"] = json!("default");
            policy
        }
        "TrustRoot" => json!({ "keys": [{ "name": "alice", "pem": PEM[0] }, { "name": "bob", "pem": PEM[1] }] }),
        "RegistryConfig" => json!({
            "host": "registry.example.com:5000", "allowPrivate": true, "insecure": false,
            "mirrors": ["mirror.example.com/proxy"], "authRealms": ["auth.example.com"],
            "credentials": { "dockerConfig": "/etc/docker/config.json" },
        }),
        other => panic!("no such kind: {other}"),
    };
    json!({ "apiVersion": "tidewaiter.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec })
}

impl Case {
    /// The document with the field as it should be.
    pub fn right(&self) -> Value {
        let mut document = good(&self.kind);
        if let Some(patch) = &self.with {
            merge(&mut document, patch);
        }
        document
    }

    /// And with that field wrong.
    pub fn wrong(&self) -> Value {
        let mut document = self.right();
        let (parent, name) = self.at.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("{}: no {}", self.id, self.at));
        match (parent, &self.value) {
            (Value::Object(members), Some(value)) => drop(members.insert(name.into(), value.clone())),
            (Value::Object(members), None) => drop(members.remove(name).expect("a field to take away")),
            (Value::Array(items), Some(value)) => items[name.parse::<usize>().unwrap()] = value.clone(),
            _ => panic!("{}: no object and no list", self.at),
        }
        document
    }

    /// The same with the requirements under `any`, or under `atLeast.of`.
    fn under(&self, place: &str) -> Option<Case> {
        let all = "/spec/require/all";
        if !self.at.starts_with(all) || self.with.is_some() {
            return None;
        }
        let requirements = good(&self.kind).pointer(all).cloned();
        let require = match place {
            "any" => json!({ "all": null, "any": requirements }),
            _ => json!({ "all": null, "atLeast": { "count": 1, "of": requirements } }),
        };
        Some(Case {
            id: format!("{} under {place}", self.id),
            with: Some(json!({ "spec": { "require": require } })),
            at: self.at.replace(all, &format!("/spec/require/{}", place.replace('.', "/"))),
            field: self.field.replace("require.all", &format!("require.{place}")),
            ..self.clone()
        })
    }

    /// The same in a namespace's own policy.
    fn namespaced(&self) -> Option<Case> {
        let clusters = ["/spec/exceptions", "/spec/namespaces"].iter().any(|it| self.at.starts_with(it));
        let id = format!("{} in a namespace", self.id);
        (self.kind == "ClusterImagePolicy" && !clusters).then(|| Case {
            id,
            kind: "ImagePolicy".into(),
            ..self.clone()
        })
    }
}

/// Each folder's.
pub fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let folders = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let read = |folder: std::path::PathBuf| {
        let text = fs::read_to_string(folder.join("resource.yaml")).ok()?;
        let id = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let case: Case = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{id}: {error}"));
        Some(Case { id, ..case })
    };
    let mut cases: Vec<Case> = folders.filter_map(read).collect();
    assert!(cases.len() >= CASES_MIN, "{} cases, fewer than {CASES_MIN}", cases.len());
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    cases
}

/// And the same in every place, and for every kind, that has the field.
pub fn everywhere() -> Vec<Case> {
    let cases = cases();
    let moved: Vec<Case> = cases.iter().flat_map(|it| [it.under("any"), it.under("atLeast.of")]).flatten().collect();
    let all: Vec<Case> = cases.into_iter().chain(moved).collect();
    let others: Vec<Case> = all.iter().filter_map(Case::namespaced).collect();
    all.into_iter().chain(others).collect()
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let (Value::Object(members), true) = (patch, target.is_object()) else {
        *target = patch.clone();
        return;
    };
    let object = target.as_object_mut().unwrap();
    for (key, value) in members {
        match value {
            Value::Null => drop(object.remove(key)),
            value => merge(object.entry(key.clone()).or_insert(json!({})), value),
        }
    }
}
