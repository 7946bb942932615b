//! Specification 4.5.3: what the owners of a layout signed about an inspection, in the place of running it.

use super::{
    Rejection, agreement,
    budget::Budget,
    chain::Authority,
    evidence::{Content, Held, Record},
    quorum,
    rules::NAMED_MAX,
    thresholds::View,
};
use crate::intoto::{Inspection, Link, Profile, Reported, rule::Side};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What owners of a layout signed beside it. They may have signed copies.
#[derive(Default)]
pub(super) struct Told<'e> {
    signed: BTreeMap<Record<'e>, Vouched<'e>>,
}

struct Vouched<'e> {
    held: &'e Held<'e>,
    owners: BTreeSet<Vec<u8>>,
    /// When the first of their signatures ceases to count; only OpenPGP's do.
    until: Option<Timestamp>,
}

impl<'e> Told<'e> {
    /// Finds it among the envelopes: once, however many inspections there are.
    pub fn find(authority: &Authority<'_>, view: &View<'e>, budget: &mut Budget) -> Result<Self, Rejection> {
        let mut signed = BTreeMap::new();
        for held in view.envelopes() {
            let mut attempts = view.evidence.attempts_max;
            let signers = quorum::every_signer(&held.envelope, authority.ring, &mut attempts, view.now);
            if !view.around.is_empty() {
                budget.hashed(view.evidence.attempts_max - attempts, held.envelope.signed_len())?;
            }
            if signers.is_empty() {
                continue;
            }
            let vouched = signed.entry(held.record()).or_insert(Vouched { held, owners: BTreeSet::new(), until: None });
            vouched.owners.extend(signers.iter().map(|signer| signer.key.key.functionary().to_vec()));
            let ends = signers.iter().filter_map(|signer| signer.verified.until);
            vouched.until = vouched.until.into_iter().chain(ends).min();
        }
        Ok(Told { signed })
    }

    /// What enough of them say of the inspection, and until when. All that do say the same (R26): bytes must not choose.
    ///
    /// # Errors
    /// Nothing that enough of them signed, or links that disagree.
    pub fn of(
        &self,
        inspection: &Inspection,
        needed: usize,
        profile: Profile,
    ) -> Result<(Link, Option<Timestamp>), Rejection> {
        let mut most = 0;
        let mut found: Option<(Link, Option<Timestamp>)> = None;
        for vouched in self.signed.values() {
            let Some(link) = vouched.link(&inspection.name, profile) else { continue };
            most = vouched.owners.len().max(most);
            if vouched.owners.len() < needed {
                continue;
            }
            found = Some(match found {
                None => (link, vouched.until),
                Some((known, until)) => {
                    agree(inspection, &known, &link, profile)?;
                    (known, until.into_iter().chain(vouched.until).min())
                }
            });
        }
        found.ok_or_else(|| Rejection::InspectionNotSupported {
            inspection: inspection.name.clone(),
            run: inspection.run.clone(),
            signed: most,
            needed,
        })
    }
}

impl Vouched<'_> {
    /// The link of that name, or the statement that reads as one.
    fn link(&self, name: &str, profile: Profile) -> Option<Link> {
        match Content::of(self.held, profile) {
            Content::Link(reading) if reading.step == name => reading.link.ok(),
            Content::Statement(value) if profile == Profile::Strict => {
                let reported = Reported::from_value(&value).ok()?;
                (reported.step.as_deref() == Some(name)).then_some(reported.link)
            }
            _ => None,
        }
    }
}

fn agree(inspection: &Inspection, one: &Link, other: &Link, profile: Profile) -> Result<(), Rejection> {
    for side in [Side::Materials, Side::Products] {
        let differing =
            agreement::differing(agreement::artifacts(one, side), agreement::artifacts(other, side), profile);
        if !differing.is_empty() {
            return Err(Rejection::InspectionsDisagree {
                inspection: inspection.name.clone(),
                side,
                count: differing.len(),
                artifacts: differing.into_iter().take(NAMED_MAX).map(str::to_owned).collect(),
            });
        }
    }
    Ok(())
}
