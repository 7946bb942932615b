//! What one requirement checks: one file a kind of check, one variant here (design §2).

use super::{EvidenceSource, Want};
use crate::{
    cosign::Candidate,
    digest::Digest,
    image::ImageFacts,
    reason::{Class, Fault, Reason},
};
use jiff::Timestamp;
use std::collections::BTreeMap;

mod cosign;
mod supply_chain;

pub(crate) use cosign::Cosign;
pub(crate) use supply_chain::SupplyChain;

/// A check, compiled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Cosign(Cosign),
    SupplyChain(SupplyChain),
}

/// What was gathered about one image, each with the fault where it could not be had.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub signatures: Option<Result<Vec<Candidate>, Fault>>,
    pub envelopes: BTreeMap<EvidenceSource, Result<Vec<Vec<u8>>, Fault>>,
    /// Manifests that could not be had or are not what their digest says.
    pub manifest_faults: BTreeMap<Digest, Fault>,
    /// What kept a want from being found whole, beside what was found of it.
    pub partial: BTreeMap<Want, Fault>,
}

/// A check that held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Met {
    /// Who made it hold, by the names of the trust root.
    pub by: Vec<String>,
    /// When the metadata it rests on expires.
    pub until: Option<Timestamp>,
    pub warnings: Vec<String>,
    /// For `--explain`: what was looked at.
    pub details: Vec<String>,
}

impl Check {
    /// What the check asks for besides the image's manifests.
    pub fn wants(&self) -> Vec<Want> {
        match self {
            Check::Cosign(_) => vec![Want::Signatures],
            Check::SupplyChain(chain) => chain.evidence.iter().map(|source| Want::Envelopes(*source)).collect(),
        }
    }
    /// Whether the check reads what is behind the image's digest.
    pub fn wants_manifests(&self) -> bool {
        matches!(self, Check::SupplyChain(_))
    }
    /// In words, for `--explain`.
    pub fn describe(&self) -> String {
        match self {
            Check::Cosign(check) => check.describe(),
            Check::SupplyChain(check) => check.describe(),
        }
    }
    /// As of `now`.
    pub fn judge(&self, image: &ImageFacts, gathered: &Gathered, now: Timestamp) -> Result<Met, Fault> {
        match self {
            Check::Cosign(check) => check.judge(image, gathered),
            Check::SupplyChain(check) => check.judge(image, gathered, now),
        }
    }
}

/// A trust root without a key trusts nobody.
fn no_trust_root(name: &str) -> Fault {
    Fault::new(Reason::NoTrustRoot, format!("TrustRoot \"{name}\" holds no key"))
}

/// What is told where the evidence in hand does not suffice and a place it may have come from failed. Evidence that says no says no
/// (design §11: 1 before 4); that there is none, nobody can say who could not look.
fn cut_short(rejected: Fault, failed: Option<&Fault>) -> Fault {
    match failed {
        None => rejected,
        Some(failed) if rejected.reason.class() == Class::Invalid => {
            Fault::new(rejected.reason, format!("{}; besides, {}", rejected.message, failed.message))
        }
        Some(failed) => Fault::new(failed.reason, format!("{}; without it: {}", failed.message, rejected.message)),
    }
}

/// A want that nobody answered before the judgement.
fn not_fetched(what: &str) -> Fault {
    Fault::new(Reason::DeadlineExceeded, format!("{what} were not fetched in time"))
}
