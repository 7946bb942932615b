//! R26: the functionaries of a step report the same results.

use super::{Rejection, rules::NAMED_MAX, thresholds::Report};
use crate::{
    digest::DigestSet,
    intoto::{Artifacts, Link, Profile, Step, rule::Side},
};

/// What the valid links of a step agree on is the step's link.
///
/// Off-spec: the reference compares only where the threshold is above 1, and else takes the first in the order of the step's `pubkeys`.
pub(super) fn agree(step: &Step, reports: Vec<Report>, profile: Profile) -> Result<Link, Rejection> {
    let mut distinct: Vec<Report> = Vec::new();
    for report in reports {
        let same = |other: &Report| {
            other.link.materials == report.link.materials && other.link.products == report.link.products
        };
        if distinct.iter().any(same) {
            continue;
        }
        // Every pair, since agreeing with one link of other hash algorithms says nothing about a third.
        for other in distinct.iter().filter(|_| profile == Profile::Strict || step.threshold > 1) {
            for side in [Side::Materials, Side::Products] {
                let differing = differing(artifacts(&other.link, side), artifacts(&report.link, side), profile);
                if !differing.is_empty() {
                    return Err(Rejection::LinksDisagree {
                        step: step.name.clone(),
                        keys: [&other.signers, &report.signers].map(|signers| signers.join("+")),
                        side,
                        count: differing.len(),
                        artifacts: differing.into_iter().take(NAMED_MAX).map(str::to_owned).collect(),
                    });
                }
            }
        }
        distinct.push(report);
    }
    if profile == Profile::Compat {
        let place = |report: &Report| step.pubkeys.iter().position(|id| report.signers.contains(id));
        distinct.sort_by_key(|report| place(report).unwrap_or(usize::MAX));
        distinct.truncate(1);
    }
    let merged = distinct.into_iter().map(|report| report.link).reduce(|mut link, other| {
        add_hashes(&mut link.materials, &other.materials);
        add_hashes(&mut link.products, &other.products);
        link
    });
    // A threshold is at least 1, so there is a link.
    merged.ok_or_else(|| Rejection::ThresholdNotMet {
        step: step.name.clone(),
        threshold: step.threshold,
        counted: Vec::new(),
        missing: step.pubkeys.clone(),
        ignored: Vec::new(),
    })
}

pub(super) fn artifacts(link: &Link, side: Side) -> &Artifacts {
    match side {
        Side::Materials => &link.materials,
        Side::Products => &link.products,
    }
}

/// The names that one of the two does not have, or has with other hashes.
pub(super) fn differing<'a>(left: &'a Artifacts, right: &'a Artifacts, profile: Profile) -> Vec<&'a str> {
    let only_right = right.keys().filter(|name| !left.contains_key(name));
    // The same hashes agree even where none of them is of an accepted algorithm, as a provenance may know a commit.
    let same = |one: &DigestSet, other: &DigestSet| one == other || profile.same(one, other);
    let not_the_same = left.iter().filter(|(name, hashes)| !right.get(name).is_some_and(|other| same(other, hashes)));
    let mut names: Vec<&str> = not_the_same.map(|(name, _)| name).chain(only_right).collect();
    names.sort_unstable();
    names
}

/// Links that agree have the same names and may know different hash algorithms of one: together they know all.
fn add_hashes(artifacts: &mut Artifacts, more: &Artifacts) {
    for ((_, hashes), (_, more)) in artifacts.iter_mut().zip(more) {
        hashes.merge(more);
    }
}
