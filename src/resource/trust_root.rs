//! `TrustRoot`: named keys (design §6). What a key is trusted for is said by the place that names its root.

use super::{FieldError, Object, is_item_name, refuse_namespace};
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
    /// Not honoured yet: refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// Not honoured yet: refused.
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
    /// The keys, usable. An error names the key's field, `spec.keys[1].pem: …`.
    pub fn key_ring(&self) -> Result<KeyRing, FieldError> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for (index, key) in self.keys.iter().enumerate() {
            let pem = key.pem.as_deref().unwrap_or_default();
            let public = PublicKey::from_pem(pem)
                .map_err(|error| FieldError::new(format!("spec.keys[{index}].pem"), error.to_string()))?;
            keys.push(NamedKey { name: key.name.clone(), key: public });
        }
        Ok(KeyRing::new(keys))
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
        if key.secret_key_ref.is_some() {
            errors.push(FieldError::new(at(".secretKeyRef"), "is not supported yet: give the key as pem"));
        }
        if key.pgp.is_some() {
            errors.push(FieldError::new(at(".pgp"), "is not supported yet: give the key as pem"));
        }
        if key.pem.is_none() && key.secret_key_ref.is_none() && key.pgp.is_none() {
            errors.push(FieldError::new(at(""), "expected pem"));
        }
    }
    if errors.len() == before
        && let Err(error) = object.spec.key_ring()
    {
        errors.push(error);
    }
}
