//! `TrustRoot`: named keys (design §6). What a key is trusted for is said by the place that names its root.

use super::{FieldError, Object, is_dns_name, is_item_name, refuse_namespace};
use crate::key::{KeyRing, NamedKey, PublicKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Named trust material.
pub type TrustRoot = Object<TrustRootSpec>;

/// Most keys of one root.
pub const KEYS_MAX: usize = 64;

/// The keys. None at all is loadable (it may be filled later), and whatever names such a root is denied with `no_trust_root`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrustRootSpec {
    /// Each under a name of its own.
    #[serde(default)]
    pub keys: Vec<TrustKey>,
}

/// One key under a name of its own: exactly one of `pem`, `secretKeyRef`, `pgp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrustKey {
    /// What decisions call the signer.
    pub name: String,
    /// One PEM block `PUBLIC KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
    /// A key of a Secret of tidewaiter's own namespace, which holds the PEM block or the OpenPGP certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// One armored block `PGP PUBLIC KEY BLOCK`: RSA, DSA or Ed25519, of version 4. For owners of layouts; images are not signed by OpenPGP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pgp: Option<String>,
}

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret.
    pub name: String,
    /// The entry of its `data`.
    pub key: String,
}

impl TrustRootSpec {
    /// The keys, usable. An error names the key's field, `spec.keys[1].pem: …`; a key that is still in its Secret is one.
    pub fn key_ring(&self) -> Result<KeyRing, FieldError> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for (index, key) in self.keys.iter().enumerate() {
            if key.secret_key_ref.is_some() {
                let field = format!("spec.keys[{index}].secretKeyRef");
                return Err(FieldError::new(
                    field,
                    "is a Secret of a cluster, and there is none here: give the key as pem or pgp",
                ));
            }
            let public = key.read(index)?;
            keys.push(NamedKey { name: key.name.clone(), key: public });
        }
        Ok(KeyRing::new(keys))
    }
}

impl TrustKey {
    /// The key, where it is not in a Secret. An error names the field of the key of that index.
    pub(crate) fn read(&self, index: usize) -> Result<PublicKey, FieldError> {
        let (field, key) = match &self.pgp {
            Some(pgp) => ("pgp", PublicKey::from_pgp(pgp.as_bytes())),
            None => ("pem", PublicKey::from_pem(self.pem.as_deref().unwrap_or_default())),
        };
        key.map_err(|error| FieldError::new(format!("spec.keys[{index}].{field}"), error.to_string()))
    }
}

pub(super) fn validate(object: &TrustRoot, errors: &mut Vec<FieldError>) {
    refuse_namespace(&object.metadata, errors);
    let keys = &object.spec.keys;
    if keys.len() > KEYS_MAX {
        errors.push(FieldError::new("spec.keys", format!("has {} items, more than {KEYS_MAX}", keys.len())));
    }
    let mut names = BTreeSet::new();
    let before = errors.len();
    for (index, key) in keys.iter().enumerate() {
        let at = |field: &str| format!("spec.keys[{index}]{field}");
        if !is_item_name(&key.name) {
            errors.push(FieldError::new(
                at(".name"),
                format!("\"{}\" is no name: 1 to 63 printable characters without blanks", key.name.escape_default()),
            ));
        } else if !names.insert(key.name.as_str()) {
            errors.push(FieldError::new(at(".name"), format!("duplicate key name \"{}\"", key.name)));
        }
        if let Some(secret) = &key.secret_key_ref {
            if !is_dns_name(&secret.name) {
                let name = secret.name.escape_default();
                errors.push(FieldError::new(at(".secretKeyRef.name"), format!("\"{name}\" is no name of a Secret")));
            }
            if !is_secret_key(&secret.key) {
                let key = secret.key.escape_default();
                errors.push(FieldError::new(at(".secretKeyRef.key"), format!("\"{key}\" is no key of a Secret")));
            }
        }
        let given = [key.pem.is_some(), key.secret_key_ref.is_some(), key.pgp.is_some()];
        if given.into_iter().filter(|given| *given).count() != 1 {
            errors.push(FieldError::new(at(""), "expected exactly one of pem, secretKeyRef, pgp"));
        }
    }
    if errors.len() > before {
        return;
    }
    // What Secrets hold is seen in the cluster.
    let here = keys.iter().enumerate().filter(|(_, key)| key.secret_key_ref.is_none());
    errors.extend(here.map(|(index, key)| key.read(index)).find_map(Result::err));
}

/// As Kubernetes demands of the keys of a Secret's data.
fn is_secret_key(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && !text.starts_with("..")
        && text != "."
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
