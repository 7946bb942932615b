//! Documents → a set: every cross-reference is resolved here, once, or named as an error.

use super::{
    PolicySet, Unmatched,
    check::{Check, Cosign, SupplyChain},
    select::{Combination, ExceptionRule, Policy, Requirement},
};
use crate::{
    digest::Digest,
    intoto::Profile,
    json,
    key::KeyRing,
    reference::ImagePattern,
    resource::{
        FieldError, ImagePolicySpec, Metadata, Refusal, Require, RequirementSpec, Resource, ResourceError,
        SupplyChainSpec,
    },
    verify::{ChainDemand, Insist},
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

impl PolicySet {
    /// The only way to one. Errors name file, document, field: unknown trust root, threshold out of reach, duplicate name …
    /// An empty set is valid: then `unmatched` answers for every image.
    pub fn compile(
        resources: &[(/*file*/ String, /*document*/ usize, Resource)],
        unmatched: Unmatched,
    ) -> Result<Self, Vec<ResourceError>> {
        Self::compiled(resources, unmatched, Compiling::default())
    }

    /// The documents of a cluster, which come and go one by one, so that a policy may be there before what it names, or after. A TrustRoot that
    /// is not there is one without keys, and a threshold that its keys do not reach is one that nothing reaches: such images are denied, and
    /// told why; the rest of the set counts.
    pub fn compile_present(
        resources: &[(/*label*/ String, /*document*/ usize, Resource)],
        unmatched: Unmatched,
    ) -> Result<Self, Vec<ResourceError>> {
        Self::compiled(resources, unmatched, Compiling { incomplete: true, ..Compiling::default() })
    }

    fn compiled<'r>(
        resources: &'r [(String, usize, Resource)],
        unmatched: Unmatched,
        mut compiling: Compiling<'r>,
    ) -> Result<Self, Vec<ResourceError>> {
        for (file, document, resource) in resources {
            compiling.at = (file.as_str(), *document);
            compiling.first_pass(resource);
        }
        let mut policies = Vec::new();
        for (file, document, resource) in resources {
            compiling.at = (file.as_str(), *document);
            let metadata = resource.metadata();
            match resource {
                Resource::ClusterImagePolicy(policy) => policies.extend(compiling.policy(metadata, &policy.spec)),
                Resource::ImagePolicy(policy) => policies.extend(compiling.policy(metadata, &policy.spec)),
                _ => {}
            }
        }
        if !compiling.errors.is_empty() {
            return Err(compiling.errors);
        }
        policies.sort_by(|a, b| a.label.cmp(&b.label));
        compiling.canonical.sort();
        let hash = Digest::sha256(compiling.canonical.join("\n").as_bytes());
        Ok(PolicySet { policies, unmatched, hash })
    }
}

/// Kind, namespace, name.
type Identity<'r> = (&'static str, Option<&'r str>, &'r str);

#[derive(Default)]
struct Compiling<'r> {
    /// What is named need not be there.
    incomplete: bool,
    at: (&'r str, usize),
    errors: Vec<ResourceError>,
    roots: BTreeMap<&'r str, KeyRing>,
    identities: BTreeSet<Identity<'r>>,
    hosts: BTreeSet<String>,
    /// One line a document that a decision depends on.
    canonical: Vec<String>,
}

/// What of a document counts for the hash: labels, annotations, order and comments do not.
#[derive(Serialize)]
struct Canonical<'r, S> {
    kind: &'static str,
    namespace: Option<&'r str>,
    name: &'r str,
    spec: &'r S,
}

impl<'r> Compiling<'r> {
    fn error(&mut self, error: FieldError) {
        let (file, document) = self.at;
        self.errors.push(ResourceError { file: file.to_owned(), document, message: error.to_string() });
    }

    fn first_pass(&mut self, resource: &'r Resource) {
        let (kind, metadata) = (resource.kind(), resource.metadata());
        let identity = (kind, metadata.namespace.as_deref(), metadata.name.as_str());
        if !self.identities.insert(identity) {
            self.error(FieldError::new("metadata.name", format!("duplicate {kind} \"{}\"", metadata.name)));
        }
        match resource {
            Resource::ClusterImagePolicy(policy) | Resource::ImagePolicy(policy) => {
                self.canonical(identity, &policy.spec)
            }
            Resource::TrustRoot(root) => {
                match root.spec.key_ring() {
                    Ok(ring) => {
                        self.roots.insert(&root.metadata.name, ring);
                    }
                    Err(error) => self.error(error),
                }
                self.canonical(identity, &root.spec);
            }
            Resource::RegistryConfig(config) => {
                match config.spec.canonical_host() {
                    Some(host) if !self.hosts.insert(host.clone()) => {
                        self.error(FieldError::new("spec.host", format!("duplicate RegistryConfig for {host}")));
                    }
                    Some(_) => {}
                    None => self.error(FieldError::new("spec.host", "is no host[:port] of an image reference")),
                }
                self.canonical(identity, &config.spec);
            }
            // The store's; no decision reads it.
            Resource::Chain(_) => {}
        }
    }

    fn canonical<S: Serialize>(&mut self, (kind, namespace, name): Identity<'r>, spec: &'r S) {
        let document = Canonical { kind, namespace, name, spec };
        let line = serde_json::to_value(&document)
            .map_err(|error| error.to_string())
            .and_then(|value| json::canonical(&json::Value::from(&value)).map_err(|error| error.to_string()))
            .and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()));
        match line {
            Ok(line) => self.canonical.push(line),
            Err(error) => self.error(FieldError::new("spec", error)),
        }
    }

    /// `None` after an error was noted.
    fn policy(&mut self, metadata: &Metadata, spec: &ImagePolicySpec) -> Option<Policy> {
        let before = self.errors.len();
        let images = self.patterns("spec.images", &spec.images);
        let exclude = self.patterns("spec.exclude", &spec.exclude);
        let (combination, path) = match &spec.require {
            Require::All(_) => (Combination::All, "spec.require.all"),
            Require::Any(_) => (Combination::Any, "spec.require.any"),
            Require::AtLeast(at_least) => {
                (Combination::AtLeast(usize::try_from(at_least.count).unwrap_or(usize::MAX)), "spec.require.atLeast.of")
            }
        };
        let mut requirements = Vec::new();
        for (index, item) in spec.require.items().iter().enumerate() {
            if let Some(check) = self.check(&format!("{path}[{index}]"), item) {
                requirements.push(Requirement { name: item.name.clone(), check });
            }
        }
        if !combination.is_met(requirements.len(), requirements.len()) {
            self.error(FieldError::new(path, "can never be met"));
        }
        let exceptions = spec.exceptions.as_ref().and_then(|exceptions| {
            let ring = self.ring("spec.exceptions.signers", &exceptions.signers)?;
            Some(ExceptionRule {
                max: exceptions.max_duration.duration(),
                max_text: exceptions.max_duration.to_string(),
                signers: exceptions.signers.clone(),
                ring,
            })
        });
        let label = match &metadata.namespace {
            Some(namespace) => format!("ImagePolicy/{namespace}/{}", metadata.name),
            None => format!("ClusterImagePolicy/{}", metadata.name),
        };
        (self.errors.len() == before).then_some(Policy {
            label,
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            images,
            exclude,
            namespaces: spec.namespaces.clone(),
            mode: spec.mode,
            digest: spec.digest,
            combination,
            requirements,
            exceptions,
        })
    }

    fn patterns(&mut self, path: &str, texts: &[String]) -> Vec<ImagePattern> {
        let mut patterns = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            match text.parse() {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => self.error(FieldError::new(format!("{path}[{index}]"), format!("{error}"))),
            }
        }
        patterns
    }

    fn check(&mut self, path: &str, item: &RequirementSpec) -> Option<Check> {
        match (&item.signature, &item.supply_chain, &item.attestation) {
            (Some(signature), None, None) => {
                let trust = &signature.cosign.trust;
                let ring = self.ring(&format!("{path}.signature.cosign.trust"), trust)?;
                Some(Check::Cosign(Cosign { trust: trust.clone(), ring }))
            }
            (None, Some(chain), None) => {
                let demand = self.demand(&format!("{path}.supplyChain.layout"), chain)?;
                Some(Check::SupplyChain(SupplyChain {
                    owners: chain.layout.owners.clone(),
                    demand,
                    evidence: chain.evidence.iter().copied().collect(),
                }))
            }
            _ => {
                self.error(FieldError::new(path, "expected exactly one of signature, supplyChain, attestation"));
                None
            }
        }
    }

    fn demand(&mut self, path: &str, chain: &SupplyChainSpec) -> Option<ChainDemand> {
        let layout = &chain.layout;
        let owners = self.ring(&format!("{path}.owners"), &layout.owners)?;
        let distinct = owners.distinct();
        if let Some(threshold) = layout.threshold {
            let wanted = usize::try_from(threshold).unwrap_or(usize::MAX);
            // A root that is empty for now says no_trust_root at every judgement; it makes no threshold wrong.
            if wanted == 0 || (distinct > 0 && wanted > distinct && !self.incomplete) {
                self.error(FieldError::new(
                    format!("{path}.threshold"),
                    format!("is {threshold}, expected 1 to {distinct}, the distinct keys of \"{}\"", layout.owners),
                ));
                return None;
            }
        }
        // The names and values were checked with the document.
        let parameters = chain.parameters().ok()?;
        let insist = Insist {
            commands: chain.refuse.contains(&Refusal::CommandMismatch),
            closed_lists: chain.refuse.contains(&Refusal::OpenRuleLists),
        };
        Some(ChainDemand { owners, threshold: layout.threshold, parameters, profile: Profile::Strict, insist })
    }

    fn ring(&mut self, path: &str, name: &str) -> Option<KeyRing> {
        let ring = self.roots.get(name).cloned().or_else(|| self.incomplete.then(KeyRing::default));
        if ring.is_none() {
            self.error(FieldError::new(path, format!("names TrustRoot \"{name}\", which is not there")));
        }
        ring
    }
}
