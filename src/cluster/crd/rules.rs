//! What a schema says beyond types: bounds, without which CEL would cost too much, and in CEL what the parser refuses.
//!
//! Each rule is said once more here in another language; that both say the same is tested field by field.

use super::Kind;
use crate::resource::{image_policy::ITEMS_MAX, registry_config::HOSTS_MAX};
use serde_json::{Value, json};

/// Adds the rules of a kind to the schema of its objects.
pub fn add(kind: Kind, schema: &mut Value) {
    match kind {
        Kind::ImagePolicy | Kind::ClusterImagePolicy => policy(kind, schema),
        Kind::TrustRoot => trust_root(schema),
        Kind::RegistryConfig => registry_config(schema),
    }
}

/// Characters of a pattern, a name in a list, a reference to another object.
const TEXT_MAX: usize = 512;
const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

fn policy(kind: Kind, schema: &mut Value) {
    let spec = at(schema, &["spec"]);
    let patterns = json!({ "maxItems": ITEMS_MAX, "items": { "minLength": 1, "maxLength": TEXT_MAX } });
    merge(at(spec, &["images"]), patterns.clone());
    merge(at(spec, &["images"]), json!({ "minItems": 1 }));
    merge(at(spec, &["exclude"]), patterns);
    let word = json!({ "minLength": 1, "maxLength": 63, "pattern": "^[-a-z0-9*]+$" });
    merge(at(spec, &["namespaces"]), json!({ "minItems": 1, "maxItems": ITEMS_MAX, "items": word }));
    for (field, default) in [("mode", "Enforce"), ("digest", "Pin")] {
        merge(at(spec, &[field]), json!({ "default": default }));
    }
    for path in [&["require", "all"][..], &["require", "any"], &["require", "atLeast", "of"]] {
        requirements(at(spec, path));
    }
    let at_least = at(spec, &["require", "atLeast"]);
    merge(at(at_least, &["count"]), json!({ "minimum": 1, "maximum": ITEMS_MAX }));
    rule(at_least, "self.count <= size(self.of)", "is more than there are requirements", ".count");
    let exceptions = at(spec, &["exceptions"]);
    merge(at(exceptions, &["signers"]), name());
    merge(at(exceptions, &["maxDuration"]), json!({ "maxLength": 32, "pattern": "^([0-9]+[smhd])+$" }));
    if kind == Kind::ImagePolicy {
        rule(
            spec,
            "!has(self.namespaces)",
            "an ImagePolicy applies to its own namespace and names none",
            ".namespaces",
        );
        rule(spec, "!has(self.exceptions)", "only a ClusterImagePolicy has exceptions", ".exceptions");
    }
}

fn requirements(list: &mut Value) {
    merge(
        list,
        json!({
            "minItems": 1, "maxItems": ITEMS_MAX, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        }),
    );
    let Some(item) = list.get_mut("items") else { return };
    merge(at(item, &["name"]), item_name());
    rule(item, "self.name != 'digest'", "\"digest\" is what the digest rule is reported as", ".name");
    rule(item, "!has(self.attestation)", "is not supported yet", ".attestation");
    let one = "[has(self.signature), has(self.supplyChain), has(self.attestation)].filter(it, it).size() == 1";
    rule(item, one, "expected exactly one of signature, supplyChain, attestation", "");
    merge(at(item, &["signature", "cosign", "trust"]), name());
    let chain = at(item, &["supplyChain"]);
    merge(at(chain, &["layout", "owners"]), name());
    merge(at(chain, &["layout", "threshold"]), json!({ "minimum": 1, "maximum": 64 }));
    merge(
        at(chain, &["evidence"]),
        json!({ "minItems": 1, "maxItems": 2, "x-kubernetes-list-type": "set", "default": ["oci"] }),
    );
    merge(at(chain, &["parameters"]), json!({ "maxProperties": ITEMS_MAX }));
    merge(at(chain, &["refuse"]), json!({ "maxItems": 2, "x-kubernetes-list-type": "set" }));
}

fn trust_root(schema: &mut Value) {
    let keys = at(schema, &["spec", "keys"]);
    merge(
        keys,
        json!({
            "maxItems": crate::resource::trust_root::KEYS_MAX, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        }),
    );
    let Some(item) = keys.get_mut("items") else { return };
    merge(at(item, &["name"]), item_name());
    merge(at(item, &["pem"]), json!({ "maxLength": 16384 }));
    merge(at(item, &["pgp"]), json!({ "maxLength": 262_144, "pattern": "-----BEGIN PGP PUBLIC KEY BLOCK-----" }));
    merge(at(item, &["secretKeyRef", "name"]), name());
    let entry = json!({ "minLength": 1, "maxLength": 253, "pattern": "^[-._a-zA-Z0-9]+$" });
    merge(at(item, &["secretKeyRef", "key"]), entry);
    let one = "[has(self.pem), has(self.secretKeyRef), has(self.pgp)].filter(it, it).size() == 1";
    rule(item, one, "expected exactly one of pem, secretKeyRef, pgp", "");
}

fn registry_config(schema: &mut Value) {
    let spec = at(schema, &["spec"]);
    merge(at(spec, &["host"]), json!({ "minLength": 1, "maxLength": 253, "pattern": "^[^/@ ]+$" }));
    for field in ["mirrors", "authRealms"] {
        merge(at(spec, &[field]), json!({ "maxItems": HOSTS_MAX, "items": { "minLength": 1, "maxLength": TEXT_MAX } }));
    }
    merge(at(spec, &["caBundle"]), json!({ "maxLength": 262_144, "pattern": "-----BEGIN CERTIFICATE-----" }));
    for path in [&["ociLayout"][..], &["credentials", "dockerConfig"]] {
        merge(at(spec, path), json!({ "maxLength": 4096, "pattern": "^/" }));
    }
    merge(at(spec, &["credentials", "secretRef", "name"]), name());
    let insecure = "!has(self.insecure) || !self.insecure || ";
    rule(spec, &format!("{insecure}!has(self.credentials)"), "credentials are not sent over plain http", ".insecure");
    rule(spec, &format!("{insecure}!has(self.caBundle)"), "a caBundle has no meaning over plain http", ".insecure");
    rule(spec, &format!("{insecure}!has(self.ociLayout)"), "is read instead of the network: no insecure", ".ociLayout");
    let one = "has(self.secretRef) != has(self.dockerConfig)";
    rule(at(spec, &["credentials"]), one, "expected one of secretRef and dockerConfig", "");
}

/// The name of an object.
fn name() -> Value {
    json!({ "minLength": 1, "maxLength": 253, "pattern": NAME })
}

/// A name of ours within a list: `resource::is_item_name`.
fn item_name() -> Value {
    json!({ "minLength": 1, "maxLength": 63, "pattern": "^[!-~]+$" })
}

/// The node of a field, through objects and, where a name meets a list, its items.
fn at<'s>(schema: &'s mut Value, path: &[&str]) -> &'s mut Value {
    path.iter().fold(schema, |node, name| &mut node["properties"][*name])
}

fn merge(node: &mut Value, more: Value) {
    let Value::Object(more) = more else { return };
    for (key, value) in more {
        match node.get_mut(&key) {
            Some(there) if there.is_object() => merge(there, value),
            _ => node[key] = value,
        }
    }
}

/// A rule of CEL; `field` is the path below the node that the message is about.
fn rule(node: &mut Value, rule: &str, message: &str, field: &str) {
    let mut entry = json!({ "rule": rule, "message": message });
    // The API server wants a path that exists in the schema; ours do, or the CRD would be refused.
    if !field.is_empty() {
        entry["fieldPath"] = json!(field);
    }
    match node.get_mut("x-kubernetes-validations").and_then(Value::as_array_mut) {
        Some(rules) => rules.push(entry),
        None => node["x-kubernetes-validations"] = json!([entry]),
    }
}
