//! Our Kubernetes resources: the documents, nothing else (design §6, §8).
//!
//! One strict reader for YAML and JSON ([`text`]), one typed decoder that knows the path of what it reads ([`typed`]), and one
//! file a kind. What can be wrong within one document is found here; what needs several documents (an unknown trust root)
//! is found by `policy::PolicySet::compile`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub mod chain;
pub mod duration;
pub mod image_policy;
pub mod registry_config;
pub mod text;
pub mod trust_root;
pub mod typed;

pub use chain::{
    Chain, ChainSpec, Identity, KeySource, Kubernetes, Mtls, Oidc, Owners, Reader, RecordKind, RunTemplate,
    SpiffePattern, Writer,
};
pub use duration::Span;
pub use image_policy::{
    AtLeast, ClusterImagePolicy, CosignSpec, DigestRule, EvidenceSource, ExceptionsSpec, ImagePolicy, ImagePolicySpec,
    LayoutSpec, Mode, Refusal, Require, RequirementSpec, SignatureSpec, SupplyChainSpec,
};
pub use registry_config::{Credentials, RegistryConfig, RegistryConfigSpec};
pub use text::{DOCUMENTS_MAX, TEXT_BYTES_MAX};
pub use trust_root::{SecretKeyRef, TrustKey, TrustRoot, TrustRootSpec};

/// Group and version of every document.
pub const API_VERSION: &str = "tidewaiter.dev/v1alpha1";

/// One document of a file, typed and valid in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A namespace's own demands on its images.
    ImagePolicy(ImagePolicy),
    /// The cluster's demands on images.
    ClusterImagePolicy(ClusterImagePolicy),
    /// Named keys.
    TrustRoot(TrustRoot),
    /// How one registry host is read.
    RegistryConfig(RegistryConfig),
    /// A product line's supply chain, for the metadata store.
    Chain(Chain),
}

impl Resource {
    /// The word in `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Resource::ImagePolicy(_) => "ImagePolicy",
            Resource::ClusterImagePolicy(_) => "ClusterImagePolicy",
            Resource::TrustRoot(_) => "TrustRoot",
            Resource::RegistryConfig(_) => "RegistryConfig",
            Resource::Chain(_) => "Chain",
        }
    }
    /// Name, namespace, labels and annotations.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Resource::ImagePolicy(r) => &r.metadata,
            Resource::ClusterImagePolicy(r) => &r.metadata,
            Resource::TrustRoot(r) => &r.metadata,
            Resource::RegistryConfig(r) => &r.metadata,
            Resource::Chain(r) => &r.metadata,
        }
    }
}

/// What Kubernetes calls the object. Labels and annotations are tolerated and mean nothing here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Metadata {
    /// Unique within its kind (and namespace).
    pub name: String,
    /// Only an `ImagePolicy` has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A document of one kind: what it is called and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Object<S> {
    /// Always [`API_VERSION`].
    pub api_version: String,
    /// The kind, as read.
    pub kind: String,
    pub metadata: Metadata,
    pub spec: S,
}

/// What is wrong with a document. The message begins with the path of the field, `spec.require.all[0].name: …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: document {document}: {message}")]
pub struct ResourceError {
    /// The file as the caller named it.
    pub file: String,
    /// Counted from 1; 0 where no document could be told apart.
    pub document: usize,
    /// Path and what is wrong there.
    pub message: String,
}

/// Something wrong at a path of one document; the caller knows file and number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{message}", path, if path.is_empty() { "" } else { ": " })]
pub struct FieldError {
    /// `spec.require.all[0].name`; empty for the document itself.
    pub path: String,
    /// One lower-case clause.
    pub message: String,
}

impl FieldError {
    /// An error at a path.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        FieldError { path: path.into(), message: message.into() }
    }
}

/// Reads every document of a file: YAML 1.2 (of which JSON is a part), at most 256 KiB and 256 documents; anchors, aliases,
/// tags, duplicate keys and unknown fields are errors. All errors of the file are reported; one is enough to refuse it all.
pub fn parse(file: &str, text: &str) -> Result<Vec<Resource>, Vec<ResourceError>> {
    let documents = parse_numbered(file, text)?;
    Ok(documents.into_iter().map(|(_, resource)| resource).collect())
}

/// As [`parse`], each resource with the number of its document, which `policy::PolicySet::compile` names in its errors.
pub fn parse_numbered(file: &str, text: &str) -> Result<Vec<(usize, Resource)>, Vec<ResourceError>> {
    let at = |document: usize, error: FieldError| ResourceError {
        file: file.to_owned(),
        document,
        message: error.to_string(),
    };
    let documents = text::read(text).map_err(|(document, error)| vec![at(document, error)])?;
    let (mut resources, mut errors) = (Vec::new(), Vec::new());
    for (number, value) in documents {
        match resource(value) {
            Ok(resource) => resources.push((number, resource)),
            Err(found) => errors.extend(found.into_iter().map(|error| at(number, error))),
        }
    }
    if errors.is_empty() { Ok(resources) } else { Err(errors) }
}

/// An object as the API server hands it out; `name` is what it is called there.
pub fn of_object(name: &str, value: serde_json::Value) -> Result<Resource, Vec<FieldError>> {
    let resource = resource(value)?;
    if resource.metadata().name == name {
        return Ok(resource);
    }
    let other = resource.metadata().name.escape_default();
    Err(vec![FieldError::new("metadata.name", format!("is \"{other}\", expected \"{name}\""))])
}

/// One document's value, by its kind.
fn resource(value: serde_json::Value) -> Result<Resource, Vec<FieldError>> {
    let word = |field: &str| value.get(field).and_then(serde_json::Value::as_str).map(str::to_owned);
    match word("apiVersion").as_deref() {
        Some(API_VERSION) => {}
        Some(other) => {
            return Err(vec![FieldError::new("apiVersion", format!("is \"{other}\", expected \"{API_VERSION}\""))]);
        }
        None => return Err(vec![FieldError::new("apiVersion", format!("is missing, expected \"{API_VERSION}\""))]),
    }
    match word("kind").as_deref() {
        Some("ImagePolicy") => object(value, image_policy::validate_namespaced).map(Resource::ImagePolicy),
        Some("ClusterImagePolicy") => object(value, image_policy::validate_cluster).map(Resource::ClusterImagePolicy),
        Some("TrustRoot") => object(value, trust_root::validate).map(Resource::TrustRoot),
        Some("RegistryConfig") => object(value, registry_config::validate).map(Resource::RegistryConfig),
        Some("Chain") => object(value, chain::validate).map(Resource::Chain),
        Some(other) => Err(vec![FieldError::new(
            "kind",
            format!(
                "is \"{other}\", expected one of ImagePolicy, ClusterImagePolicy, TrustRoot, RegistryConfig, Chain"
            ),
        )]),
        None => Err(vec![FieldError::new("kind", "is missing")]),
    }
}

/// What the API server writes into every object, beside what its author wrote.
const WRITTEN_BY_THE_API_SERVER: [&str; 11] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The document as its author wrote it: `kubectl get -o yaml` is as good a file as the one that was applied.
fn authored(mut value: serde_json::Value) -> serde_json::Value {
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
        if let Some(metadata) = object.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
            metadata.retain(|field, _| !WRITTEN_BY_THE_API_SERVER.contains(&field.as_str()));
        }
    }
    value
}

/// Decodes and validates one kind.
fn object<S: serde::de::DeserializeOwned>(
    value: serde_json::Value,
    validate: fn(&Object<S>, &mut Vec<FieldError>),
) -> Result<Object<S>, Vec<FieldError>> {
    let value = authored(value);
    let object: Object<S> = typed::from_value(value).map_err(|error| vec![error])?;
    let mut errors = Vec::new();
    let name = &object.metadata.name;
    if !is_dns_name(name) {
        errors.push(FieldError::new(
            "metadata.name",
            format!("\"{name}\" is no name such as \"shop\": at most 253 of a-z, 0-9, '-' and '.'"),
        ));
    }
    validate(&object, &mut errors);
    if errors.is_empty() { Ok(object) } else { Err(errors) }
}

/// For the kinds that have none.
fn refuse_namespace(metadata: &Metadata, errors: &mut Vec<FieldError>) {
    if metadata.namespace.is_some() {
        errors.push(FieldError::new("metadata.namespace", "this kind belongs to the cluster and has no namespace"));
    }
}

/// RFC 1123 subdomain, as Kubernetes demands of names.
pub(crate) fn is_dns_name(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 253
        && text
            .split('.')
            .all(|part| part.starts_with(edge) && part.ends_with(edge) && part.chars().all(|c| edge(c) || c == '-'))
}

/// A name of ours for an item (a requirement, a key, a writer): 1 to 63 printable ASCII characters without blanks.
pub(crate) fn is_item_name(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
