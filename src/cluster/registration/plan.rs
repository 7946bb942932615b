//! From what is desired and what is live to what must be written: pure.

use super::desired::{API_VERSION, Desired};
use base64::Engine;
use serde_json::{Map, Value, json};

/// The hash of what we applied last.
pub const APPLIED: &str = "tidewaiter.dev/registration";

/// One write to one object. Each names the version it was planned for: over another one it is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// Everything, by server-side apply: entries that we no longer want go, too.
    Apply(Value),
    /// `caBundle` of some entries and nothing else, by strategic merge: entries are found by their names, what a person
    /// set beside it stays.
    Trust(Value),
}

/// What to write, if anything. `ca`: the bundle, PEM.
pub fn plan(desired: &Desired, live: &Value, ca: &str) -> Option<Patch> {
    let version = live.pointer("/metadata/resourceVersion");
    let encoded = base64::engine::general_purpose::STANDARD.encode(ca);
    if !applied(desired, live) {
        let filled = desired.webhooks.iter().cloned().map(|mut webhook| {
            if let Some(client) = webhook.pointer_mut("/clientConfig").and_then(Value::as_object_mut) {
                client.insert("caBundle".into(), encoded.clone().into());
            }
            webhook
        });
        return Some(Patch::Apply(json!({
            "apiVersion": API_VERSION,
            "kind": desired.kind.name(),
            "metadata": { "name": desired.name, "resourceVersion": version, "annotations": { APPLIED: desired.hash } },
            "webhooks": filled.collect::<Vec<_>>(),
        })));
    }
    let stale: Vec<Value> = ours(desired, live)
        .filter(|(_, entry)| bundle_of(entry) != Some(&encoded))
        .map(|(name, _)| json!({ "name": name, "clientConfig": { "caBundle": encoded } }))
        .collect();
    (!stale.is_empty()).then(|| Patch::Trust(json!({ "metadata": { "resourceVersion": version }, "webhooks": stale })))
}

/// Whether the object notes that this was applied.
pub fn applied(desired: &Desired, live: &Value) -> bool {
    let annotations = live.pointer("/metadata/annotations").and_then(Value::as_object);
    annotations.and_then(|annotations| annotations.get(APPLIED)).and_then(Value::as_str) == Some(&desired.hash)
}

/// Whether every entry of ours that is there trusts the bundle.
pub fn trusts(desired: &Desired, live: &Value, ca: &str) -> bool {
    let encoded = base64::engine::general_purpose::STANDARD.encode(ca);
    ours(desired, live).all(|(_, entry)| bundle_of(entry) == Some(&encoded))
}

/// What a person changed since it was applied: one line an entry, naming the first field.
pub fn differences(desired: &Desired, live: &Value) -> Vec<String> {
    if !applied(desired, live) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for webhook in &desired.webhooks {
        let name = webhook.get("name").and_then(Value::as_str).unwrap_or_default();
        match entries(live).find(|entry| entry.get("name") == webhook.get("name")) {
            None => found.push(format!("{desired}: {name} is missing")),
            Some(entry) => {
                found.extend(differs(webhook, entry, "").map(|field| format!("{desired}: {name}: {field}")));
            }
        }
    }
    found
}

/// The first field of `desired` that is another one in `live`. What only `live` has was filled in by the API server.
fn differs(desired: &Value, live: &Value, path: &str) -> Option<String> {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            let nothing = Value::Null;
            desired.iter().find_map(|(key, value)| differs(value, live.get(key).unwrap_or(&nothing), &below(key)))
        }
        (Value::Array(desired), Value::Array(live)) if desired.len() == live.len() => {
            let mut pairs = desired.iter().zip(live).enumerate();
            pairs.find_map(|(index, (desired, live))| differs(desired, live, &format!("{path}[{index}]")))
        }
        (desired, live) => (desired != live).then(|| format!("{path} is {live}, expected {desired}")),
    }
}

/// The live entries that bear a name of ours.
fn ours<'a>(desired: &'a Desired, live: &'a Value) -> impl Iterator<Item = (&'a str, &'a Map<String, Value>)> {
    let wanted =
        |name: &&str| desired.webhooks.iter().any(|webhook| webhook.get("name").and_then(Value::as_str) == Some(name));
    entries(live).filter_map(move |entry| Some((entry.get("name")?.as_str().filter(wanted)?, entry.as_object()?)))
}

fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    live.get("webhooks").and_then(Value::as_array).into_iter().flatten()
}

fn bundle_of(entry: &Map<String, Value>) -> Option<&str> {
    entry.get("clientConfig")?.get("caBundle")?.as_str()
}
