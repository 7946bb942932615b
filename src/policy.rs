//! Policy, pure: which policies select an image, what it must show, and what follows (design §6, §7).
//!
//! In reading order: [`PolicySet::compile`] joins documents into a set; [`PolicySet::read`] looks at a workload's references without
//! a packet; an [`Assessment`] gathers and judges the evidence of one image; [`PolicySet::decide`] joins the verdicts, the exceptions
//! and the modes into the [`Decision`], which prints itself.

use crate::{cosign::Candidate, digest::Digest, reason::Fault, reference::Reference};
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;

mod assess;
pub mod check;
mod compile;
mod decide;
pub mod decision;
pub mod exception;
pub mod explain;
mod message;
pub mod select;

pub use crate::resource::{DigestRule, EvidenceSource, Mode};
pub use assess::Assessment;
pub use decision::{
    Decision, ExceptionUse, FaultDecision, ImageDecision, PolicyDecision, RequirementDecision, Unenforced,
};
pub use message::clean;

/// Most distinct images of one review (security §2.B14).
pub const IMAGES_MAX: usize = 100;
/// How long a denial may be kept, in seconds (security §2.G2).
pub const DENIAL_KEPT_SECONDS: i64 = 10;

/// What happens to an image that no policy selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
pub enum Unmatched {
    /// Admitted in silence.
    Allow,
    /// Admitted with a warning.
    #[default]
    Warn,
    /// Denied with `unmatched_image`.
    Deny,
}

/// A compiled, valid set of policies with everything they name: what a decision reads. Immutable; swapped whole.
#[derive(Debug)]
pub struct PolicySet {
    policies: Vec<select::Policy>,
    unmatched: Unmatched,
    hash: Digest,
}

impl PolicySet {
    /// `sha256:…` over the canonical form of all documents: part of every verdict and cache key.
    pub fn hash(&self) -> &Digest {
        &self.hash
    }
    /// Forces `Mode::Audit` everywhere (`--audit-only`): nothing is denied any more, images that nothing selects included. The hash changes
    /// with it, so that no verdict of one is taken for the other's.
    pub fn audit_only(mut self) -> Self {
        for policy in &mut self.policies {
            policy.mode = Mode::Audit;
        }
        if self.unmatched == Unmatched::Deny {
            self.unmatched = Unmatched::Warn;
        }
        self.hash = Digest::sha256(format!("audit-only\n{}", self.hash).as_bytes());
        self
    }
    /// What happens to an image that no policy selects.
    pub fn unmatched(&self) -> Unmatched {
        self.unmatched
    }
}

/// Pull secrets of one workload that are read.
pub const PULL_SECRETS_MAX: usize = 8;

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
    /// Names of the pod's `imagePullSecrets`, in its namespace. None: those of its service account.
    pub pull_secrets: Vec<String>,
    /// Empty: `default`.
    pub service_account: String,
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
    /// A manifest or index by digest.
    Manifest(Digest),
    /// Everything that may be a cosign signature of the image.
    Signatures,
    /// Everything a source has that may belong to the image's chain.
    Envelopes(EvidenceSource),
}

/// What was found for a want.
#[derive(Clone, Debug)]
pub enum Given {
    Manifest(Vec<u8>),
    Signatures(Vec<Candidate>),
    Envelopes(Vec<Vec<u8>>),
}

/// What the evidence said about one image, before modes and exceptions: what the verdict cache keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageVerdict {
    /// Every policy that selects the image, in the set's order.
    pub policies: Vec<PolicyDecision>,
    /// Remarks of the verification, met or not.
    pub warnings: Vec<String>,
    /// From when on it may not be reused. Met: the earliest expiry of the metadata it rests on, `None` where nothing expires (whoever keeps it
    /// has a limit of its own, security §2.G3). A denial: ten seconds from its judgement; one for a network fault: its judgement itself.
    pub valid_until: Option<Timestamp>,
}

/// What judging one image came to: its digest with the verdict, or why it could not even be resolved.
pub type ImageOutcome = Result<(Digest, Arc<ImageVerdict>), Fault>;

/// How one image field of a workload stands before evidence is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// No policy selects it (or the unchanged allowance applies): nothing is fetched.
    Settled,
    /// Not looked at any further: reference, digest rule, count (image_ref_invalid, image_not_pinned, …). Whether it denies, `decide` says.
    Refused(Fault),
    /// Selected; `digest` is to be resolved where it is None.
    Judge { reference: Reference },
}

#[cfg(test)]
mod tests;
