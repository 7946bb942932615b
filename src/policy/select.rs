//! Which policies select an image, and the first look at a workload, before any packet (design §3, security §0.3).

use super::{IMAGES_MAX, PolicySet, Reading, Unmatched, Workload, check::Check};
use crate::{
    key::KeyRing,
    reason::{Fault, Reason},
    reference::{ImagePattern, Reference, ReferenceError},
    resource::{DigestRule, Mode},
};
use jiff::SignedDuration;
use std::collections::BTreeSet;

/// A policy, compiled.
#[derive(Debug)]
pub(crate) struct Policy {
    /// `ClusterImagePolicy/shop` or `ImagePolicy/ns/shop`.
    pub label: String,
    /// The name alone.
    pub name: String,
    /// `None`: the cluster's.
    pub namespace: Option<String>,
    pub images: Vec<ImagePattern>,
    pub exclude: Vec<ImagePattern>,
    /// Patterns of namespace names; `None`: all.
    pub namespaces: Option<Vec<String>>,
    pub mode: Mode,
    pub digest: DigestRule,
    pub combination: Combination,
    pub requirements: Vec<Requirement>,
    pub exceptions: Option<ExceptionRule>,
}

/// How many of the requirements must be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Combination {
    All,
    Any,
    AtLeast(usize),
}

impl Combination {
    /// Whether `met` of `of` are enough. Of nothing, nothing is ever enough.
    pub fn is_met(self, met: usize, of: usize) -> bool {
        let needed = match self {
            Combination::All => of,
            Combination::Any => 1,
            Combination::AtLeast(count) => count,
        };
        needed > 0 && met >= needed
    }
}

/// One thing an image must show.
#[derive(Debug)]
pub(crate) struct Requirement {
    pub name: String,
    pub check: Check,
}

/// Whose exceptions count, and for how long.
#[derive(Debug)]
pub(crate) struct ExceptionRule {
    pub max: SignedDuration,
    /// As written, for messages.
    pub max_text: String,
    /// The trust root's name.
    pub signers: String,
    pub ring: KeyRing,
}

impl Policy {
    /// Whether the policy has a say in the namespace.
    pub fn applies_in(&self, namespace: &str) -> bool {
        match (&self.namespace, &self.namespaces) {
            (Some(own), _) => own == namespace,
            (None, None) => true,
            (None, Some(patterns)) => patterns.iter().any(|pattern| glob(pattern, namespace)),
        }
    }
    /// Whether the policy selects the image in the namespace.
    pub fn selects(&self, image: &Reference, namespace: &str) -> bool {
        self.applies_in(namespace)
            && self.images.iter().any(|pattern| pattern.matches(image))
            && !self.exclude.iter().any(|pattern| pattern.matches(image))
    }
    /// Why a reference without a digest breaks the policy's digest rule, if it does. `Pin` is broken only where it is enforced: what only
    /// warns or records asks what enforcing would do, and that would have pinned the Pod first.
    pub fn unpinned(&self, image: &Reference, is_pod: bool) -> Option<Fault> {
        if image.digest().is_some() {
            return None;
        }
        let rule = match self.digest {
            DigestRule::Require => "Require",
            DigestRule::Pin if is_pod && self.mode == Mode::Enforce => "Pin",
            DigestRule::Pin | DigestRule::Resolve => return None,
        };
        Some(Fault::new(
            Reason::ImageNotPinned,
            format!("\"{image}\" has no digest, and the policy says digest: {rule}"),
        ))
    }
}

/// `*` stands for any run of characters, everything else for itself. Linear in the name for each `*`.
fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

impl PolicySet {
    /// The policies that select the image, in the set's order.
    pub(super) fn selecting<'p>(
        &'p self,
        image: &'p Reference,
        namespace: &'p str,
    ) -> impl Iterator<Item = &'p Policy> {
        self.policies.iter().filter(move |policy| policy.selects(image, namespace))
    }

    /// Whether some image could be denied in the namespace at all: what decides about a reference that cannot be read, and so cannot be
    /// matched. The stricter reading: it counts as selected by every enforced policy of the namespace.
    pub(crate) fn may_deny_in(&self, namespace: &str) -> bool {
        self.unmatched == Unmatched::Deny
            || self.policies.iter().any(|policy| policy.mode == Mode::Enforce && policy.applies_in(namespace))
    }

    /// Pure first look at each image (security §0.3): which are judged, in the order of `workload.images`.
    pub fn read(&self, workload: &Workload) -> Vec<Reading> {
        let mut readings: Vec<Reading> = workload
            .images
            .iter()
            .map(|image| {
                // B4: exactly the pinned text that the stored Pod already has.
                if image.unchanged { Reading::Settled } else { self.look(&image.image, workload) }
            })
            .collect();
        let distinct: BTreeSet<&Reference> = readings
            .iter()
            .filter_map(|reading| match reading {
                Reading::Judge { reference } => Some(reference),
                _ => None,
            })
            .collect();
        if distinct.len() > IMAGES_MAX {
            let fault = Fault::new(
                Reason::TooManyImages,
                format!("{} distinct images to judge, more than {IMAGES_MAX}", distinct.len()),
            );
            for reading in &mut readings {
                if matches!(reading, Reading::Judge { .. }) {
                    *reading = Reading::Refused(fault.clone());
                }
            }
        }
        readings
    }

    fn look(&self, text: &str, workload: &Workload) -> Reading {
        let reference = match parse(text) {
            Ok(reference) => reference,
            Err(fault) => return Reading::Refused(fault),
        };
        let mut selected = false;
        for policy in self.selecting(&reference, &workload.namespace) {
            selected = true;
            // The strictest rule applies; of a policy that does not deny, `decide` makes a warning or a record.
            if policy.mode == Mode::Enforce
                && let Some(fault) = policy.unpinned(&reference, workload.is_pod)
            {
                return Reading::Refused(fault);
            }
        }
        match (selected, self.unmatched) {
            (true, _) => Reading::Judge { reference },
            (false, Unmatched::Deny) => Reading::Refused(unmatched(&reference)),
            (false, _) => Reading::Settled,
        }
    }
}

/// The reference, or why it is none.
pub(super) fn parse(text: &str) -> Result<Reference, Fault> {
    text.parse().map_err(|error: ReferenceError| {
        let reason = match &error {
            ReferenceError::Ambiguous { .. } => Reason::ImageRefAmbiguous,
            _ => Reason::ImageRefInvalid,
        };
        Fault::new(reason, error.to_string())
    })
}

/// No policy selects it.
pub(super) fn unmatched(reference: &Reference) -> Fault {
    Fault::new(Reason::UnmatchedImage, format!("no policy selects {}", reference.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespace_patterns_are_anchored() {
        for (pattern, name, expected) in [
            ("shop", "shop", true),
            ("shop", "shop-a", false),
            ("shop-*", "shop-a", true),
            ("shop-*", "shop-", true),
            ("shop-*", "my-shop-a", false),
            ("*", "anything", true),
            ("*-prod", "shop-prod", true),
            ("*-prod", "shop-prod-a", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "ac", false),
            ("ab*ba", "aba", false),
            ("**", "", true),
        ] {
            assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn nothing_is_never_enough() {
        for combination in [Combination::All, Combination::Any, Combination::AtLeast(0), Combination::AtLeast(1)] {
            assert!(!combination.is_met(0, 0), "{combination:?}");
        }
        assert!(Combination::All.is_met(2, 2) && !Combination::All.is_met(1, 2));
        assert!(Combination::Any.is_met(1, 2) && !Combination::Any.is_met(0, 2));
        assert!(Combination::AtLeast(2).is_met(2, 3) && !Combination::AtLeast(2).is_met(1, 3));
    }
}
