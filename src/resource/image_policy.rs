//! `ImagePolicy` and `ClusterImagePolicy`: which images, and what they must show (design §6).

use super::{FieldError, Object, Span, is_dns_name, is_item_name, refuse_namespace};
use crate::{
    intoto::{Parameter, Parameters, parameters::ParameterError},
    reference::ImagePattern,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The demands of one namespace, on top of the cluster's.
pub type ImagePolicy = Object<ImagePolicySpec>;
/// The demands of the cluster.
pub type ClusterImagePolicy = Object<ImagePolicySpec>;

/// Most requirements of one policy, patterns of one list, namespaces of one list.
pub const ITEMS_MAX: usize = 64;
/// The requirement under which a broken digest rule is reported; not a name for one of a policy's own.
pub const DIGEST_REQUIREMENT: &str = "digest";

/// What follows when the policy is not met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
pub enum Mode {
    /// Denies.
    #[default]
    Enforce,
    /// Admits, and returns a warning.
    Warn,
    /// Admits, and records.
    Audit,
}

/// What is asked of the reference itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
pub enum DigestRule {
    /// A reference without a digest is refused, on every kind.
    Require,
    /// A Pod's reference is pinned by the mutating webhook and refused without a digest by the validating one.
    #[default]
    Pin,
    /// What the tag names now is judged, with a warning.
    Resolve,
}

/// Where a chain's envelopes may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum EvidenceSource {
    /// The image's own registry, among its referrers.
    Oci,
    /// The metadata store.
    Store,
}

/// The same for both kinds; `namespaces` and `exceptions` are the cluster's alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ImagePolicySpec {
    /// Host/path patterns, at least one.
    pub images: Vec<String>,
    /// Patterns taken out again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Namespaces by name, `*` for any run of characters; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// What follows when the policy is not met. `Enforce` denies, `Warn` admits with a warning, `Audit` admits and records.
    #[serde(default)]
    pub mode: Mode,
    /// What is asked of the reference itself. `Require`: one without a digest is refused. `Pin`: the same for Pods, which are pinned first.
    /// `Resolve`: what the tag names now is judged, with a warning.
    #[serde(default)]
    pub digest: DigestRule,
    /// What an image must show.
    pub require: Require,
    /// Who may make exceptions from this policy, and how long ones; absent: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exceptions: Option<ExceptionsSpec>,
}

impl ImagePolicySpec {
    /// The names of the TrustRoots it needs.
    pub fn trust_roots(&self) -> BTreeSet<&str> {
        let mut names: BTreeSet<&str> = self.exceptions.iter().map(|it| it.signers.as_str()).collect();
        for item in self.require.items() {
            names.extend(item.signature.iter().map(|it| it.cosign.trust.as_str()));
            names.extend(item.supply_chain.iter().map(|it| it.layout.owners.as_str()));
        }
        names
    }
}

/// How the requirements combine: one of the three, always written out (security §2.F8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Require {
    /// Each of these.
    All(Vec<RequirementSpec>),
    /// One of these.
    Any(Vec<RequirementSpec>),
    /// A number of these.
    AtLeast(AtLeast),
}

impl Require {
    /// The requirements, in the order written.
    pub fn items(&self) -> &[RequirementSpec] {
        match self {
            Require::All(items) | Require::Any(items) => items,
            Require::AtLeast(at_least) => &at_least.of,
        }
    }
    /// `spec.require.all`, `spec.require.atLeast.of`.
    fn path(&self) -> &'static str {
        match self {
            Require::All(_) => "spec.require.all",
            Require::Any(_) => "spec.require.any",
            Require::AtLeast(_) => "spec.require.atLeast.of",
        }
    }
}

/// `count` of the requirements are enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AtLeast {
    /// How many of them are enough.
    pub count: u32,
    /// The requirements, each under a name of its own.
    pub of: Vec<RequirementSpec>,
}

/// One thing an image must show: exactly one of the three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RequirementSpec {
    /// What denials and exceptions call it; unique within the policy.
    pub name: String,
    /// An image signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureSpec>,
    /// An in-toto chain that ends in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supply_chain: Option<SupplyChainSpec>,
    /// Not honoured yet: refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<serde_json::Value>,
}

/// An image signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SignatureSpec {
    /// One made by cosign.
    pub cosign: CosignSpec,
}

/// A cosign signature by one key of a trust root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CosignSpec {
    /// A `TrustRoot` by name.
    pub trust: String,
}

/// An in-toto chain that ends in the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SupplyChainSpec {
    /// Whose layout it must follow.
    pub layout: LayoutSpec,
    /// Where envelopes are looked for; absent: the registry alone.
    #[serde(default = "oci_alone")]
    pub evidence: Vec<EvidenceSource>,
    /// What stands for `{name}` in the rules and commands of the layout. Wildcards in a value stand for themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// What the specification allows, and this policy does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refuse: Vec<Refusal>,
}

/// What a policy may refuse beyond the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Refusal {
    /// A step done by another command than the layout expects.
    CommandMismatch,
    /// A list of artifact rules that does not end in `DISALLOW *`.
    OpenRuleLists,
}

impl SupplyChainSpec {
    /// As the verification takes them.
    ///
    /// # Errors
    /// The first name or value that is none.
    pub fn parameters(&self) -> Result<Parameters, ParameterError> {
        let mut parameters = Parameters::default();
        for (name, value) in &self.parameters {
            parameters.add(name, Parameter { value: value.clone(), pattern: false })?;
        }
        Ok(parameters)
    }
}

/// Whose layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LayoutSpec {
    /// A `TrustRoot` by name.
    pub owners: String,
    /// How many distinct owners must have signed; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
}

/// Who may make exceptions from this policy, and how long ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "programs", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ExceptionsSpec {
    /// From the seal to the end: `30d`, `12h`, `1h30m`.
    #[cfg_attr(feature = "programs", schemars(with = "String"))]
    pub max_duration: Span,
    /// A `TrustRoot` by name.
    pub signers: String,
}

fn oci_alone() -> Vec<EvidenceSource> {
    vec![EvidenceSource::Oci]
}

/// A cluster's policy in itself.
pub(super) fn validate_cluster(object: &ClusterImagePolicy, errors: &mut Vec<FieldError>) {
    refuse_namespace(&object.metadata, errors);
    validate(&object.spec, errors);
}

/// A namespace's policy in itself.
pub(super) fn validate_namespaced(object: &ImagePolicy, errors: &mut Vec<FieldError>) {
    match &object.metadata.namespace {
        None => errors.push(FieldError::new("metadata.namespace", "is missing: an ImagePolicy belongs to a namespace")),
        Some(namespace) if !is_dns_name(namespace) || namespace.contains('.') || namespace.len() > 63 => {
            errors.push(FieldError::new("metadata.namespace", format!("\"{namespace}\" is no name of a namespace")));
        }
        Some(_) => {}
    }
    if object.spec.namespaces.is_some() {
        errors.push(FieldError::new("spec.namespaces", "an ImagePolicy applies to its own namespace and names none"));
    }
    if object.spec.exceptions.is_some() {
        errors.push(FieldError::new("spec.exceptions", "only a ClusterImagePolicy has exceptions"));
    }
    validate(&object.spec, errors);
}

fn validate(spec: &ImagePolicySpec, errors: &mut Vec<FieldError>) {
    count("spec.images", spec.images.len(), errors);
    if spec.exclude.len() > ITEMS_MAX {
        count("spec.exclude", spec.exclude.len(), errors);
    }
    for (path, patterns) in [("spec.images", &spec.images), ("spec.exclude", &spec.exclude)] {
        for (index, text) in patterns.iter().enumerate() {
            if let Err(error) = text.parse::<ImagePattern>() {
                errors.push(FieldError::new(format!("{path}[{index}]"), error.to_string()));
            }
        }
    }
    if let Some(namespaces) = &spec.namespaces {
        count("spec.namespaces", namespaces.len(), errors);
        for (index, text) in namespaces.iter().enumerate() {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '*';
            if text.is_empty() || text.len() > 63 || !text.chars().all(plain) {
                errors.push(FieldError::new(
                    format!("spec.namespaces[{index}]"),
                    format!("\"{text}\" is no pattern of a namespace's name: a-z, 0-9, '-' and '*'"),
                ));
            }
        }
    }
    validate_require(&spec.require, errors);
    if let Some(exceptions) = &spec.exceptions {
        trust_root("spec.exceptions.signers", &exceptions.signers, errors);
    }
}

fn validate_require(require: &Require, errors: &mut Vec<FieldError>) {
    let (path, items) = (require.path(), require.items());
    count(path, items.len(), errors);
    if let Require::AtLeast(at_least) = require {
        let (found, of) = (usize::try_from(at_least.count).unwrap_or(usize::MAX), items.len());
        if found == 0 || found > of {
            errors.push(FieldError::new(
                "spec.require.atLeast.count",
                format!("is {found}, expected 1 to {of}, the number of requirements"),
            ));
        }
    }
    let mut names = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let at = |field: &str| format!("{path}[{index}]{field}");
        if !is_item_name(&item.name) {
            errors.push(FieldError::new(
                at(".name"),
                format!("\"{}\" is no name: 1 to 63 printable characters without blanks", item.name.escape_default()),
            ));
        } else if item.name == DIGEST_REQUIREMENT {
            errors.push(FieldError::new(at(".name"), "\"digest\" is what the digest rule is reported as"));
        } else if !names.insert(item.name.as_str()) {
            errors.push(FieldError::new(at(".name"), format!("duplicate requirement \"{}\"", item.name)));
        }
        if item.attestation.is_some() {
            errors.push(FieldError::new(at(".attestation"), "is not supported yet"));
            continue;
        }
        match (&item.signature, &item.supply_chain) {
            (Some(signature), None) => {
                trust_root(&at(".signature.cosign.trust"), &signature.cosign.trust, errors);
            }
            (None, Some(chain)) => validate_chain(chain, &at(".supplyChain"), errors),
            _ => errors.push(FieldError::new(at(""), "expected exactly one of signature, supplyChain, attestation")),
        }
    }
}

fn validate_chain(chain: &SupplyChainSpec, path: &str, errors: &mut Vec<FieldError>) {
    trust_root(&format!("{path}.layout.owners"), &chain.layout.owners, errors);
    if chain.layout.threshold == Some(0) {
        errors.push(FieldError::new(format!("{path}.layout.threshold"), "is 0, expected at least 1"));
    }
    if chain.evidence.is_empty() {
        errors.push(FieldError::new(format!("{path}.evidence"), "is empty: name oci, store or both"));
    }
    let mut sources = BTreeSet::new();
    for (index, source) in chain.evidence.iter().enumerate() {
        if !sources.insert(source) {
            errors.push(FieldError::new(format!("{path}.evidence[{index}]"), "is named twice"));
        }
    }
    if chain.parameters.len() > ITEMS_MAX {
        errors.push(FieldError::new(format!("{path}.parameters"), format!("are more than {ITEMS_MAX}")));
    }
    let mut refused = BTreeSet::new();
    for (index, refusal) in chain.refuse.iter().enumerate() {
        if !refused.insert(refusal) {
            errors.push(FieldError::new(format!("{path}.refuse[{index}]"), "is named twice"));
        }
    }
    if let Err(error) = chain.parameters() {
        errors.push(FieldError::new(format!("{path}.parameters"), error.to_string()));
    }
}

/// A name that a TrustRoot can have: another would never be there.
fn trust_root(path: &str, name: &str, errors: &mut Vec<FieldError>) {
    if !is_dns_name(name) {
        errors.push(FieldError::new(path, format!("\"{}\" is no name of a TrustRoot", name.escape_default())));
    }
}

/// Between one and [`ITEMS_MAX`] items.
fn count(path: &str, found: usize, errors: &mut Vec<FieldError>) {
    if found == 0 {
        errors.push(FieldError::new(path, "is empty"));
    } else if found > ITEMS_MAX {
        errors.push(FieldError::new(path, format!("has {found} items, more than {ITEMS_MAX}")));
    }
}
