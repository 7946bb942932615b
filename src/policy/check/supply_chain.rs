//! `supplyChain`: an in-toto chain under the owners' layout that ends in the image (design §5).

use super::{Gathered, Met, cut_short, no_trust_root, not_fetched};
use crate::{
    image::ImageFacts,
    policy::{EvidenceSource, Want},
    reason::{Fault, Reason},
    verify::{self, ChainDemand, Piece, VerifiedChain},
};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Compiled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SupplyChain {
    /// The trust root's name.
    pub owners: String,
    pub demand: ChainDemand,
    pub evidence: BTreeSet<EvidenceSource>,
}

impl SupplyChain {
    pub fn describe(&self) -> String {
        let sources: Vec<&str> = self
            .evidence
            .iter()
            .map(|source| match source {
                EvidenceSource::Oci => "the registry",
                EvidenceSource::Store => "the store",
            })
            .collect();
        let owners = self.demand.owners.distinct();
        let count = match self.demand.threshold {
            Some(threshold) => format!("{threshold} of the {owners} owners"),
            None if owners == 1 => "the owner".into(),
            None => format!("all {owners} owners"),
        };
        format!(
            "an in-toto chain that ends in the digest, its layout signed by {count} of TrustRoot \"{}\", evidence from {}",
            self.owners,
            sources.join(" and ")
        )
    }

    /// The envelopes of all sources are judged together. A source or manifest that could not be had denies under its own reason, but only
    /// where the rest does not suffice.
    pub fn judge(&self, image: &ImageFacts, gathered: &Gathered, now: Timestamp) -> Result<Met, Fault> {
        if self.demand.owners.is_empty() {
            return Err(no_trust_root(&self.owners));
        }
        let (mut envelopes, mut faults): (Vec<Piece<'_>>, Vec<Fault>) = (Vec::new(), Vec::new());
        for source in &self.evidence {
            match gathered.envelopes.get(source) {
                Some(Ok(found)) => {
                    envelopes.extend(found.iter().map(|bytes| Piece::of(bytes)));
                }
                Some(Err(fault)) => faults.push(fault.clone()),
                None => faults.push(not_fetched("envelopes")),
            }
            faults.extend(gathered.partial.get(&Want::Envelopes(*source)).cloned());
        }
        faults.extend(gathered.manifest_faults.values().cloned());
        envelopes.sort_unstable();
        envelopes.dedup();
        match verify::verify(&self.demand, Some(image), &envelopes, now) {
            Ok(chain) => Ok(self.met(&chain, envelopes.len())),
            Err(rejection) => Err(cut_short(self.name(rejection.fault()), faults.first())),
        }
    }

    fn met(&self, chain: &VerifiedChain, envelopes: usize) -> Met {
        let mut details = vec![
            format!("envelopes looked at: {envelopes}"),
            format!(
                "layout {}, valid until {}, signed by {}",
                chain.layout(),
                chain.expires(),
                chain.owners().join(", ")
            ),
        ];
        details.extend(
            chain.steps().iter().map(|step| format!("step \"{}\": links by {}", step.name, step.signers.join(", "))),
        );
        details.extend(chain.remarks().iter().map(|remark| format!("remark: {remark}")));
        Met { by: chain.owners().to_vec(), until: Some(chain.expires()), warnings: chain.warnings().to_vec(), details }
    }

    /// Says whose layout is missed.
    fn name(&self, fault: Fault) -> Fault {
        match fault.reason {
            Reason::NoLayout | Reason::LayoutUntrusted => {
                Fault::new(fault.reason, format!("{} (owners: \"{}\")", fault.message, self.owners))
            }
            _ => fault,
        }
    }
}
