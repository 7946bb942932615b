//! `RegistryConfig`: how one registry host is read (design §6).

use super::{FieldError, Object, is_dns_name, refuse_namespace};
use crate::reference::Reference;
use serde::{Deserialize, Serialize};

/// Most mirrors of one host, and most other hosts that hand out its tokens.
pub const HOSTS_MAX: usize = 16;

/// How one registry host is read.
pub type RegistryConfig = Object<RegistryConfigSpec>;

/// Everything but `host` is optional; without a document a host is reached by https at public addresses only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RegistryConfigSpec {
    /// `host[:port]`, as image references name it.
    pub host: String,
    /// Private addresses may be connected to (security §2.D1).
    #[serde(default)]
    pub allow_private: bool,
    /// Plain http; refused together with credentials or a CA (security §2.D11).
    #[serde(default)]
    pub insecure: bool,
    /// PEM certificates that are trusted for this host instead of the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// `host[:port][/path]`, asked before the host itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// Other hosts, `host[:port]`, that may hand out this registry's tokens and so are sent its credentials (security §2.D5).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auth_realms: Vec<String>,
    /// An absolute path: an OCI layout directory that is read instead of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci_layout: Option<String>,
    /// Credentials for this host alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
}

/// Credentials for this host alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Credentials {
    /// A Secret of tidewaiter's own namespace (`kubernetes.io/dockerconfigjson`, `kubernetes.io/dockercfg`, `kubernetes.io/basic-auth`); only
    /// its entry for this host is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Path of a docker `config.json`; only its entry for this host is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_config: Option<String>,
}

/// A Secret by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SecretRef {
    /// The Secret.
    pub name: String,
    /// Which version of the Secret was read, so that another one makes another policy hash. Never written by an author.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "programs", schemars(skip))]
    pub revision: Option<String>,
}

impl RegistryConfigSpec {
    /// The host as references have it after canonicalisation (`docker.io`, lower case, no `:443`); `None` when it is no host.
    pub fn canonical_host(&self) -> Option<String> {
        canonical(&self.host).filter(|_| !self.host.contains('/')).map(|reference| reference.registry().to_owned())
    }
}

/// `host[:port][/path]` by the grammar of references. A single word would be read as a path of Docker Hub: refused.
fn canonical(text: &str) -> Option<Reference> {
    let host = text.split('/').next().unwrap_or_default();
    let is_host = host.contains('.') || host.contains(':') || host == "localhost";
    if !is_host || text.contains('@') || text.ends_with('/') {
        return None;
    }
    format!("{text}/x/y").parse().ok()
}

pub(super) fn validate(object: &RegistryConfig, errors: &mut Vec<FieldError>) {
    refuse_namespace(&object.metadata, errors);
    let spec = &object.spec;
    if spec.canonical_host().is_none() {
        errors.push(FieldError::new(
            "spec.host",
            format!("\"{}\" is no host[:port] of an image reference", spec.host.escape_default()),
        ));
    }
    for (field, found) in [("spec.mirrors", spec.mirrors.len()), ("spec.authRealms", spec.auth_realms.len())] {
        if found > HOSTS_MAX {
            errors.push(FieldError::new(field, format!("has {found} items, more than {HOSTS_MAX}")));
        }
    }
    for (index, mirror) in spec.mirrors.iter().enumerate() {
        if canonical(mirror).is_none() {
            errors.push(FieldError::new(
                format!("spec.mirrors[{index}]"),
                format!("\"{}\" is no host[:port][/path]", mirror.escape_default()),
            ));
        }
    }
    for (index, realm) in spec.auth_realms.iter().enumerate() {
        if realm.contains('/') || canonical(realm).is_none_or(|host| host.registry() != realm) {
            errors.push(FieldError::new(
                format!("spec.authRealms[{index}]"),
                format!("\"{}\" is no host[:port]", realm.escape_default()),
            ));
        }
    }
    if spec.insecure && spec.credentials.is_some() {
        errors.push(FieldError::new("spec.insecure", "credentials are not sent over plain http"));
    }
    if spec.insecure && spec.ca_bundle.is_some() {
        errors.push(FieldError::new("spec.insecure", "a caBundle has no meaning over plain http"));
    }
    if let Some(bundle) = &spec.ca_bundle
        && !bundle.contains("-----BEGIN CERTIFICATE-----")
    {
        errors.push(FieldError::new("spec.caBundle", "holds no PEM block CERTIFICATE"));
    }
    if let Some(path) = &spec.oci_layout {
        absolute("spec.ociLayout", path, errors);
        if spec.insecure {
            errors.push(FieldError::new("spec.ociLayout", "is read instead of the network: no insecure"));
        }
    }
    match &spec.credentials {
        None => {}
        Some(Credentials { secret_ref: Some(secret), docker_config: None }) => {
            if !is_dns_name(&secret.name) {
                let name = secret.name.escape_default();
                errors.push(FieldError::new(
                    "spec.credentials.secretRef.name",
                    format!("\"{name}\" is no name of a Secret"),
                ));
            }
            if spec.oci_layout.is_some() {
                errors.push(FieldError::new("spec.ociLayout", "is read instead of the network: no credentials"));
            }
        }
        Some(Credentials { secret_ref: None, docker_config: Some(path) }) => {
            absolute("spec.credentials.dockerConfig", path, errors);
        }
        Some(_) => errors.push(FieldError::new("spec.credentials", "expected one of dockerConfig, secretRef")),
    }
}

fn absolute(field: &str, path: &str, errors: &mut Vec<FieldError>) {
    if !path.starts_with('/') || path.contains('\0') {
        errors.push(FieldError::new(field, format!("\"{}\" is no absolute path", path.escape_default())));
    }
}
