//! `signature: { cosign: { trust } }`: one valid signature by one key of the trust root.

use super::{Gathered, Met, cut_short, no_trust_root, not_fetched};
use crate::{
    image::ImageFacts,
    key::KeyRing,
    policy::Want,
    reason::{Fault, Reason},
    signature,
};

/// Compiled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cosign {
    /// The trust root's name.
    pub trust: String,
    pub ring: KeyRing,
}

impl Cosign {
    pub fn describe(&self) -> String {
        format!("a cosign signature of the digest by a key of TrustRoot \"{}\"", self.trust)
    }

    pub fn judge(&self, image: &ImageFacts, gathered: &Gathered) -> Result<Met, Fault> {
        if self.ring.is_empty() {
            return Err(no_trust_root(&self.trust));
        }
        let candidates = match &gathered.signatures {
            Some(Ok(candidates)) => candidates,
            Some(Err(fault)) => return Err(fault.clone()),
            None => return Err(not_fetched("signatures")),
        };
        let signed = signature::cosign(candidates, &image.digest, &self.ring)
            .map_err(|fault| cut_short(self.name(fault), gathered.partial.get(&Want::Signatures)))?;
        let mut details = vec![format!("candidates looked at: {}", candidates.len())];
        details.extend(signed.notes().iter().cloned());
        Ok(Met { by: signed.names().to_vec(), until: None, warnings: signed.warnings().to_vec(), details })
    }

    /// Says whose signature is missed.
    fn name(&self, fault: Fault) -> Fault {
        match fault.reason {
            Reason::NoSignature => Fault::new(fault.reason, format!("no cosign signature by \"{}\"", self.trust)),
            _ => Fault::new(fault.reason, format!("{} (trusted: \"{}\")", fault.message, self.trust)),
        }
    }
}
