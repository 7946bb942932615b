//! `Chain`: what the metadata store keeps for one product line, and from whom (design §8).

use super::{FieldError, Object, is_item_name, refuse_namespace};
use crate::{intoto::facts, reference::ImagePattern};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

pub mod identity;
pub mod publish;
pub mod run_template;
pub mod spiffe;

pub use identity::{Identity, KeySource, Kubernetes, Mtls, Oidc};
pub use publish::Publish;
pub use run_template::RunTemplate;
pub use spiffe::SpiffePattern;

/// A product line's supply chain.
pub type Chain = Object<ChainSpec>;

/// Owners, images, and who may write and read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ChainSpec {
    pub owners: Owners,
    /// Host/path patterns, at least one.
    pub images: Vec<String>,
    #[serde(default)]
    pub writers: Vec<Writer>,
    #[serde(default)]
    pub readers: Vec<Reader>,
    /// Names of facts that records are found by, beside those of every store; at most 24.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
    /// Links whose key no layout authorises yet are kept aside instead of refused.
    #[serde(default)]
    pub quarantine: bool,
    /// The evidence goes beside the images as well, where the store publishes at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Publish>,
}

/// Whose layouts count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Owners {
    /// A `TrustRoot` by name.
    pub trust: String,
    /// How many distinct owners must have signed; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
}

/// Who may write what; exactly one of `tokenHash`, `oidc`, `mtls` and `kubernetes` says who.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Writer {
    pub name: String,
    /// `sha256:<hex>` of the bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtls: Option<Mtls>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
    /// Steps by name, or `*`.
    pub steps: Vec<String>,
    pub kinds: Vec<RecordKind>,
}

/// Who may read; exactly one of `tokenHash`, `oidc`, `mtls` and `kubernetes` says who.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Reader {
    pub name: String,
    /// `sha256:<hex>` of the bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtls: Option<Mtls>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
    /// Whether it reports verdicts, for the cluster of its name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reports: bool,
}

impl Writer {
    /// How it proves who it is.
    ///
    /// # Errors
    /// None of the ways, or several.
    pub fn identity(&self) -> Result<Identity<'_>, FieldError> {
        Identity::one(self.token_hash.as_deref(), self.oidc.as_ref(), self.mtls.as_ref(), self.kubernetes.as_ref())
    }
}

impl Reader {
    /// As of a writer.
    ///
    /// # Errors
    /// None of the ways, or several.
    pub fn identity(&self) -> Result<Identity<'_>, FieldError> {
        Identity::one(self.token_hash.as_deref(), self.oidc.as_ref(), self.mtls.as_ref(), self.kubernetes.as_ref())
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordKind {
    Layout,
    Link,
    Fact,
}

pub(super) fn validate(object: &Chain, errors: &mut Vec<FieldError>) {
    refuse_namespace(&object.metadata, errors);
    let spec = &object.spec;
    if spec.owners.trust.is_empty() {
        errors.push(FieldError::new("spec.owners.trust", "is empty: name a TrustRoot"));
    }
    if spec.owners.threshold == Some(0) {
        errors.push(FieldError::new("spec.owners.threshold", "is 0, expected at least 1"));
    }
    if spec.images.is_empty() {
        errors.push(FieldError::new("spec.images", "is empty"));
    }
    for (index, text) in spec.images.iter().enumerate() {
        if let Err(error) = text.parse::<ImagePattern>() {
            errors.push(FieldError::new(format!("spec.images[{index}]"), error.to_string()));
        }
    }
    if let Some(publish) = &spec.publish {
        publish::validate(publish, &spec.images, errors);
    }
    if spec.facts.len() > facts::MORE_MAX {
        let message = format!("has {} names, more than {}", spec.facts.len(), facts::MORE_MAX);
        errors.push(FieldError::new("spec.facts", message));
    }
    for (index, name) in spec.facts.iter().enumerate().filter(|(_, name)| !facts::is_name(name)) {
        let message = format!("\"{}\" is no name of a fact", name.escape_default());
        errors.push(FieldError::new(format!("spec.facts[{index}]"), message));
    }
    let mut names = BTreeSet::new();
    for (index, writer) in spec.writers.iter().enumerate() {
        let path = format!("spec.writers[{index}]");
        named(&path, &writer.name, &mut names, errors);
        identity::validate(&path, writer.identity(), errors);
        if writer.steps.is_empty() || writer.steps.iter().any(String::is_empty) {
            errors.push(FieldError::new(format!("{path}.steps"), "expected names of steps, or \"*\""));
        }
        if writer.kinds.is_empty() {
            errors.push(FieldError::new(format!("{path}.kinds"), "expected some of layout, link, fact"));
        }
    }
    let mut names = BTreeSet::new();
    for (index, reader) in spec.readers.iter().enumerate() {
        let path = format!("spec.readers[{index}]");
        named(&path, &reader.name, &mut names, errors);
        identity::validate(&path, reader.identity(), errors);
        let oidc = reader.oidc.as_ref();
        for (field, given) in
            [("run", oidc.is_some_and(|o| o.run.is_some())), ("oneTime", oidc.is_some_and(|o| o.one_time))]
        {
            if given {
                errors.push(FieldError::new(format!("{path}.oidc.{field}"), "means nothing for a reader"));
            }
        }
    }
}

/// A name of its own.
fn named<'a>(path: &str, name: &'a str, names: &mut BTreeSet<&'a str>, errors: &mut Vec<FieldError>) {
    if !is_item_name(name) {
        errors.push(FieldError::new(
            format!("{path}.name"),
            format!("\"{}\" is no name: 1 to 63 printable characters without blanks", name.escape_default()),
        ));
    } else if !names.insert(name) {
        errors.push(FieldError::new(format!("{path}.name"), format!("duplicate name \"{name}\"")));
    }
}
