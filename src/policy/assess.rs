//! One image under the policies that select it: asks, is given, and finishes.

use super::{
    DENIAL_KEPT_SECONDS, Given, ImageVerdict, PolicyDecision, PolicySet, RequirementDecision, Want,
    check::{Check, Gathered, Met},
    select::Policy,
};
use crate::{
    image::ImageFacts,
    reason::{Class, Fault, Reason},
    reference::Reference,
};
use jiff::{SignedDuration, Timestamp};

/// One image (repository and digest) under the policies that select it.
#[derive(Debug)]
pub struct Assessment<'p> {
    selected: Vec<&'p Policy>,
    /// `None` for a reference without a digest, which nothing can be said about.
    image: Option<ImageFacts>,
    gathered: Gathered,
}

impl<'p> Assessment<'p> {
    /// `image` has a digest. Nothing selected: `wants` is empty.
    pub fn new(set: &'p PolicySet, image: &Reference, namespace: &str) -> Self {
        let selected = set.policies.iter().filter(|policy| policy.selects(image, namespace)).collect();
        let facts = image.digest().map(|digest| ImageFacts::new(image.name(), digest.clone()));
        Assessment { selected, image: facts, gathered: Gathered::default() }
    }

    /// What is still missing; ask again after giving (an index wants its children). Empty: ready.
    pub fn wants(&self) -> Vec<Want> {
        let Some(image) = &self.image else { return Vec::new() };
        let mut wants = std::collections::BTreeSet::new();
        for check in self.checks() {
            wants.extend(check.wants().into_iter().filter(|want| !self.has(want)));
            if check.wants_manifests() {
                let manifests = image.wants().into_iter().map(Want::Manifest);
                wants.extend(manifests.filter(|want| !self.has(want)));
            }
        }
        wants.into_iter().collect()
    }

    fn checks(&self) -> impl Iterator<Item = &'p Check> {
        self.selected.iter().flat_map(|policy| policy.requirements.iter().map(|requirement| &requirement.check))
    }

    fn has(&self, want: &Want) -> bool {
        match want {
            Want::Signatures => self.gathered.signatures.is_some(),
            Want::Envelopes(source) => self.gathered.envelopes.contains_key(source),
            // One that was given well is not among the image's wants any more.
            Want::Manifest(digest) => self.gathered.manifest_faults.contains_key(digest),
        }
    }

    /// A fault is kept: it denies whatever depends on it, under its own reason, unless what is in hand suffices. Given after something
    /// was found for the same want, it says that this is not all there is.
    pub fn give(&mut self, want: &Want, found: Result<Given, Fault>) {
        let mismatch = || Fault::new(Reason::InternalError, "something else was fetched than was wanted");
        let in_hand = match want {
            Want::Signatures => matches!(self.gathered.signatures, Some(Ok(_))),
            Want::Envelopes(source) => matches!(self.gathered.envelopes.get(source), Some(Ok(_))),
            Want::Manifest(_) => false,
        };
        match (want, found) {
            (_, Err(fault)) if in_hand => drop(self.gathered.partial.insert(want.clone(), fault)),
            (Want::Signatures, Ok(Given::Signatures(candidates))) => self.gathered.signatures = Some(Ok(candidates)),
            (Want::Signatures, Err(fault)) => self.gathered.signatures = Some(Err(fault)),
            (Want::Signatures, Ok(_)) => self.gathered.signatures = Some(Err(mismatch())),
            (Want::Envelopes(source), found) => {
                let found = match found {
                    Ok(Given::Envelopes(envelopes)) => Ok(envelopes),
                    Ok(_) => Err(mismatch()),
                    Err(fault) => Err(fault),
                };
                self.gathered.envelopes.insert(*source, found);
            }
            (Want::Manifest(digest), found) => {
                let given = match found {
                    Ok(Given::Manifest(bytes)) => match &mut self.image {
                        Some(image) => image.give(digest, &bytes),
                        None => Ok(()),
                    },
                    Ok(_) => Err(mismatch()),
                    Err(fault) => Err(fault),
                };
                if let Err(fault) = given {
                    self.gathered.manifest_faults.insert(digest.clone(), fault);
                }
            }
        }
    }

    /// As of `now`. The outcome per policy, and until when it may be reused.
    pub fn finish(self, now: Timestamp) -> ImageVerdict {
        let mut verdict = ImageVerdict { policies: Vec::new(), warnings: Vec::new(), valid_until: None };
        // Two policies that demand the same are judged once.
        let mut judged: Vec<(&Check, Result<Met, Fault>)> = Vec::new();
        for policy in &self.selected {
            let mut requirements = Vec::with_capacity(policy.requirements.len());
            for requirement in &policy.requirements {
                let known =
                    judged.iter().find(|(check, _)| **check == requirement.check).map(|(_, found)| found.clone());
                let found = known.unwrap_or_else(|| {
                    let found = self.judge(&requirement.check, now);
                    judged.push((&requirement.check, found.clone()));
                    found
                });
                if let Ok(met) = &found {
                    let label = format!("{} {}", policy.label, requirement.name);
                    verdict.warnings.extend(met.warnings.iter().map(|warning| format!("{label}: {warning}")));
                }
                verdict.bound(found.as_ref().ok().and_then(|met| met.until));
                requirements.push(RequirementDecision::of(&requirement.name, requirement.check.describe(), found));
            }
            let met = requirements.iter().filter(|requirement| requirement.met).count();
            let met = policy.combination.is_met(met, requirements.len());
            if !met {
                let blind = requirements.iter().any(|requirement| requirement.class == Some(Class::Unavailable));
                let kept = SignedDuration::from_secs(if blind { 0 } else { DENIAL_KEPT_SECONDS });
                verdict.bound(Some(now.checked_add(kept).unwrap_or(now)));
            }
            verdict.policies.push(PolicyDecision {
                policy: policy.label.clone(),
                mode: policy.mode,
                met,
                requirements,
            });
        }
        verdict
    }

    fn judge(&self, check: &Check, now: Timestamp) -> Result<Met, Fault> {
        match &self.image {
            Some(image) => check.judge(image, &self.gathered, now),
            None => Err(Fault::new(Reason::InternalError, "an image without a digest was judged")),
        }
    }
}

impl ImageVerdict {
    /// Not to be reused from `until` on.
    fn bound(&mut self, until: Option<Timestamp>) {
        if let Some(until) = until {
            self.valid_until = Some(self.valid_until.map_or(until, |earlier| earlier.min(until)));
        }
    }
}

impl RequirementDecision {
    /// A check's outcome under its name.
    pub(super) fn of(name: &str, checked: String, found: Result<Met, Fault>) -> Self {
        let mut decision = RequirementDecision { name: name.to_owned(), ..Self::default() };
        let mut details = vec![checked];
        match found {
            Ok(met) => {
                decision.met = true;
                // Signers come in the order of their keys; people read names.
                decision.by = met.by;
                decision.by.sort();
                details.extend(met.details);
            }
            Err(fault) => {
                decision.class = Some(fault.reason.class());
                decision.reason = Some(fault.reason);
                decision.message = Some(fault.message);
            }
        }
        decision.details = details.into();
        decision
    }
}
