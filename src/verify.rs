//! in-toto verification, pure: layout, links, keys and a time in, a verified chain or a rejection out (specification 5.2;
//! order of work as in-toto §1.4).

use crate::{
    image::ImageFacts,
    key::KeyRing,
    reason::{Fault, Reason},
};
use jiff::Timestamp;

pub mod budget;
pub mod inspection;
pub mod quorum;
pub mod rules;
pub mod thresholds;

/// What a supply chain must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainDemand {
    pub owners: KeyRing,
    /// How many distinct owners must have signed the layout; `None`: all of them (R19).
    pub threshold: Option<u32>,
}

/// A chain that held. Only this module makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedChain {
    /// SHA-256 name of the layout's record.
    layout: crate::digest::Digest,
    /// Owners who signed it, by name.
    owners: Vec<String>,
    /// When the layout expires: bounds how long a verdict may be kept.
    expires: Timestamp,
    steps: Vec<VerifiedStep>,
    /// Structured remarks: command mismatch, ignored envelopes, …
    warnings: Vec<String>,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedStep {
    pub name: String,
    pub signers: Vec<String>, /* key ids as the layout writes them */
}
impl VerifiedChain {
    pub fn owners(&self) -> &[String] {
        &self.owners
    }
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
    pub fn steps(&self) -> &[VerifiedStep] {
        &self.steps
    }
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
    pub fn layout(&self) -> &crate::digest::Digest {
        &self.layout
    }
}

/// Why a chain did not hold: facts, comparable. Owner makes it the closed list (one variant per flaw, with step, rule, artifacts, key).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    #[error("{0}")]
    Placeholder(String),
}
impl Rejection {
    pub fn reason(&self) -> Reason {
        todo!()
    }
    pub fn fault(&self) -> Fault {
        Fault::new(self.reason(), self.to_string())
    }
}

/// Verifies a chain from a set of envelopes, in whatever order and with whatever strangers among them. Layouts and links are told apart
/// by their signed content. Among several layouts of the owners the newest-expiring valid one that verifies is judged; the error is that of the best.
/// `image` is what a virtual inspection sees; `None` (plain `in-toto verify`) refuses layouts with built-in inspections, and asks no binding.
pub fn verify(
    demand: &ChainDemand,
    image: Option<&ImageFacts>,
    envelopes: &[Vec<u8>],
    now: Timestamp,
) -> Result<VerifiedChain, Rejection> {
    let _ = (demand, image, envelopes, now);
    todo!()
}
