//! The decision: a value that can be printed as text and JSON, logged, annotated and replayed (design §11).

use super::message;
use crate::{
    policy::Mode,
    reason::{Class, Reason},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The answer to one request, field for field the JSON of `verify --output json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// `tidewaiter.dev/v1alpha1`.
    pub api_version: &'static str,
    /// `Decision`.
    pub kind: &'static str,
    pub allowed: bool,
    /// One an image field of the workload, in its order.
    pub images: Vec<ImageDecision>,
    /// What the person at kubectl is shown beside the answer; each at most 256 printable characters.
    pub warnings: Vec<String>,
    /// Exceptions used or ignored, each with its why.
    pub exceptions: Vec<ExceptionUse>,
    /// `sha256:…` of the policies.
    pub policy_hash: String,
    /// RFC 3339.
    pub decided_at: String,
    /// Where the workload is; only for the command that reproduces the decision.
    #[serde(skip)]
    pub namespace: String,
}

impl Decision {
    /// One more thing to tell beside the answer: bounded, printable, said once.
    pub fn warn(&mut self, text: &str) {
        let text = message::warning(text);
        if self.warnings.len() < message::WARNINGS_GATHERED_MAX && !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}

/// One image field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageDecision {
    /// `spec.containers[0].image`.
    pub field: String,
    /// The container's or volume's name.
    #[serde(skip)]
    pub name: String,
    /// As written.
    pub reference: String,
    /// What was judged; absent (`null`) where nothing was resolved.
    pub digest: Option<String>,
    /// Every policy that selects the image.
    pub policies: Vec<PolicyDecision>,
    /// A fault of the image itself, before any policy's requirement: reference, resolution. It stands in the image's own `class`, `reason`
    /// and `message`, and is there in an allowed decision too, where the policies only warn or record.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultDecision>,
    /// Whether this image denies the workload.
    #[serde(skip)]
    pub denied: bool,
}

/// A fault, flat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultDecision {
    pub class: Class,
    pub reason: Reason,
    pub message: String,
}

/// One policy on one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyDecision {
    /// `ClusterImagePolicy/shop` or `ImagePolicy/ns/shop`.
    pub policy: String,
    pub mode: Mode,
    /// By evidence, or by an exception: then some requirement is `waived`.
    pub met: bool,
    pub requirements: Vec<RequirementDecision>,
}

/// One requirement of one policy on one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct RequirementDecision {
    /// `digest` is the policy's digest rule.
    pub name: String,
    /// What the evidence says, whatever was waived.
    pub met: bool,
    /// Who made it so, by the names of the trust root.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// An exception stands in for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub waived: bool,
    /// For `--explain`: what was checked, and what was looked at.
    #[serde(skip)]
    pub details: Arc<[String]>,
}

/// An exception that was used on one image, or is ignored altogether (`field` is empty).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionUse {
    pub policy: String,
    pub field: String,
    pub honoured: bool,
    pub message: String,
}

/// Why an image is denied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause<'d> {
    /// `ClusterImagePolicy/shop`; `None` for a fault of the image itself.
    pub policy: Option<&'d str>,
    pub requirement: Option<&'d str>,
    pub class: Class,
    pub reason: Reason,
    pub message: &'d str,
}

impl ImageDecision {
    /// Why the image denies, by class and then in the order of the policies; empty where it does not.
    pub(super) fn causes(&self) -> Vec<Cause<'_>> {
        if !self.denied {
            return Vec::new();
        }
        let fault = self.fault.iter().map(|fault| Cause {
            policy: None,
            requirement: None,
            class: fault.class,
            reason: fault.reason,
            message: &fault.message,
        });
        let requirements = self.denying().flat_map(|policy| {
            policy.requirements.iter().filter(|item| !item.met && !item.waived).filter_map(|item| {
                Some(Cause {
                    policy: Some(&policy.policy),
                    requirement: Some(&item.name),
                    class: item.class?,
                    reason: item.reason?,
                    message: item.message.as_deref().unwrap_or_default(),
                })
            })
        });
        let mut causes: Vec<Cause<'_>> = fault.chain(requirements).collect();
        causes.sort_by_key(|cause| cause.class);
        causes
    }

    /// The policies that deny.
    pub(super) fn denying(&self) -> impl Iterator<Item = &PolicyDecision> {
        self.policies.iter().filter(|policy| self.denied && !policy.met && policy.mode == Mode::Enforce)
    }
}

/// What would deny, were its policy enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unenforced<'d> {
    pub image: &'d ImageDecision,
    /// `ClusterImagePolicy/shop`; `None` for an image that cannot be told apart and so has no policy of its own.
    pub policy: Option<&'d str>,
    /// `Warn` or `Audit`; `None` without a policy.
    pub mode: Option<Mode>,
    pub reason: Reason,
    pub message: &'d str,
}

impl Decision {
    /// What policies in mode Warn and Audit found wrong, by class and then in the order of the images.
    pub fn unenforced(&self) -> Vec<Unenforced<'_>> {
        let mut found = Vec::new();
        for image in &self.images {
            let fault = image.fault.as_ref().map(|fault| (fault.reason, fault.message.as_str()));
            let told = |policy, mode, (reason, message)| Unenforced { image, policy, mode, reason, message };
            for policy in image.policies.iter().filter(|policy| !policy.met && policy.mode != Mode::Enforce) {
                let unmet = policy.requirements.iter().filter(|item| !item.met && !item.waived);
                let unmet = unmet.filter_map(|item| Some((item.reason?, item.message.as_deref().unwrap_or_default())));
                let (label, mode) = (Some(policy.policy.as_str()), Some(policy.mode));
                found.extend(unmet.chain(fault).map(|why| told(label, mode, why)));
            }
            if image.policies.is_empty() && !image.denied {
                found.extend(fault.map(|why| told(None, None, why)));
            }
        }
        found.sort_by_key(|it| it.reason.class());
        found
    }

    /// The images that deny, that with the first cause first: invalid before missing before unavailable, then in the order of the workload.
    pub(super) fn denied_images(&self) -> Vec<(&ImageDecision, Vec<Cause<'_>>)> {
        let mut denied: Vec<_> =
            self.images.iter().filter(|image| image.denied).map(|image| (image, image.causes())).collect();
        denied.sort_by_key(|(_, causes)| causes.first().map_or(Class::Invalid, |cause| cause.class));
        denied
    }

    /// 0 allowed; else the first of 1, 3, 4 among the causes (design §11).
    pub fn exit_code(&self) -> u8 {
        match (self.allowed, self.denied_images().first()) {
            (true, _) => 0,
            (false, Some((_, causes))) => causes.first().map_or(Class::Invalid, |cause| cause.class).exit_code(),
            (false, None) => Class::Invalid.exit_code(),
        }
    }

    /// The first cause: what `status.reason` says. `None` when allowed.
    pub fn reason(&self) -> Option<Reason> {
        if self.allowed {
            return None;
        }
        let first = self.denied_images().first().and_then(|(_, causes)| causes.first().map(|cause| cause.reason));
        Some(first.unwrap_or(Reason::InternalError))
    }

    /// What the person at kubectl reads (design §7): ≤ 1 KiB, printable ASCII, with the command that reproduces it. Empty when allowed.
    pub fn message(&self) -> String {
        message::denial(self)
    }
}

#[cfg(test)]
mod tests;
