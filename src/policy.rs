//! Policy, pure: which policies select an image, what it must show, and what follows (design §6, §7).

use crate::{
    cosign::Candidate,
    digest::Digest,
    image::ImageFacts,
    reason::{Class, Fault, Reason},
    reference::Reference,
    resource::{Resource, ResourceError},
};
use jiff::Timestamp;
use serde::Serialize;

pub mod check;
pub mod decision;
pub mod exception;
pub mod explain;
pub mod select;

pub use crate::resource::{DigestRule, EvidenceSource, Mode};
pub use decision::{Decision, ImageDecision, PolicyDecision, RequirementDecision};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
pub enum Unmatched {
    Allow,
    #[default]
    Warn,
    Deny,
}

/// A compiled, valid set of policies with everything they name: what a decision reads. Immutable; swapped whole.
#[derive(Debug)]
pub struct PolicySet {/* policies, trust roots → KeyRings, unmatched, hash */}
impl PolicySet {
    /// The only way to one. Errors name file, document, field: unknown trust root, empty combinator, unsupported field, duplicate name …
    pub fn compile(
        resources: &[(/*file*/ String, /*document*/ usize, Resource)],
        unmatched: Unmatched,
    ) -> Result<Self, Vec<ResourceError>> {
        let _ = (resources, unmatched);
        todo!()
    }
    /// `sha256:…` over the canonical form of all documents: part of every verdict and cache key.
    pub fn hash(&self) -> &Digest {
        todo!()
    }
    /// Forces `Mode::Audit` everywhere (`--audit-only`).
    pub fn audit_only(self) -> Self {
        todo!()
    }
}

/// The pod-bearing object of a request, as judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    pub namespace: String,
    /// `Pod`, `Deployment`, …
    pub kind: String,
    pub name: String,
    pub images: Vec<WorkloadImage>,
    /// Only Pods are pinned by the mutating webhook; for others a tag is judged as what it names now.
    pub is_pod: bool,
}
/// One image field of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadImage {
    /// `spec.containers[0].image`, the path from the object's root.
    pub field: String,
    /// The container's or volume's name.
    pub name: String,
    /// The text as written.
    pub image: String,
    /// B4: a Pod's UPDATE left this image, pinned, as it was: not judged again.
    pub unchanged: bool,
}
/// What is known of the namespace; annotations are what an exception stands in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    pub name: String,
    pub uid: String,
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// Something a judgement needs about one image. The edge fetches all of a round at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Want {
    Manifest(Digest),
    Signatures,
    Envelopes(EvidenceSource),
}
/// What was found for a want.
#[derive(Clone, Debug)]
pub enum Given {
    Manifest(Vec<u8>),
    Signatures(Vec<Candidate>),
    Envelopes(Vec<Vec<u8>>),
}

/// One image (repository and digest) under the policies that select it: asks, is given, and finishes.
#[derive(Debug)]
pub struct Assessment<'p> {
    set: &'p PolicySet,
    image: ImageFacts, /* + selected policies, gathered values and faults */
}
impl<'p> Assessment<'p> {
    /// `image` has a digest. Nothing selected: `wants` is empty.
    pub fn new(set: &'p PolicySet, image: &Reference, namespace: &str) -> Self {
        let _ = (set, image, namespace);
        todo!()
    }
    /// What is still missing; ask again after giving (an index wants its children). Empty: ready.
    pub fn wants(&self) -> Vec<Want> {
        todo!()
    }
    /// A fault is kept: it denies whatever depends on it, under its own reason, unless what is in hand suffices.
    pub fn give(&mut self, want: &Want, found: Result<Given, Fault>) {
        let _ = (want, found);
        todo!()
    }
    /// As of `now`. The outcome per policy, and until when it may be reused.
    pub fn finish(self, now: Timestamp) -> ImageVerdict {
        let _ = now;
        todo!()
    }
}
/// What the evidence said about one image, before modes and exceptions: what the verdict cache keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageVerdict {
    pub policies: Vec<PolicyDecision>,
    pub warnings: Vec<String>,
    /// min(metadata's expiry) where all is met; a denial may be kept only for seconds, a network fault not at all.
    pub valid_until: Option<Timestamp>,
}

/// How one image field of a workload stands before evidence is looked at.
#[derive(Clone, Debug)]
pub enum Reading {
    /// No policy selects it (or the unchanged allowance applies): nothing is fetched.
    Settled,
    /// Denied without a packet: reference or digest rule (image_ref_invalid, image_not_pinned, …).
    Refused(Fault),
    /// Selected; `digest` is to be resolved where it is None.
    Judge { reference: Reference },
}
impl PolicySet {
    /// Pure first look at each image (security §0.3): which are judged, in the order of `workload.images`.
    pub fn read(&self, workload: &Workload) -> Vec<Reading> {
        let _ = workload;
        todo!()
    }
    /// Joins everything into the answer: verdicts by image field (same order; Err = could not even resolve), exceptions of the namespace, modes, warnings.
    pub fn decide(
        &self,
        workload: &Workload,
        namespace: Option<&Namespace>,
        readings: Vec<Reading>,
        verdicts: Vec<Option<Result<(Digest, ImageVerdict), Fault>>>,
        now: Timestamp,
    ) -> Decision {
        let _ = (workload, namespace, readings, verdicts, now);
        todo!()
    }
}
#[allow(unused_imports)]
use {Class as _, Reason as _};
