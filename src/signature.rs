//! Image signatures, pure: candidates, keys and a digest in, the names of those who signed out.
use crate::{cosign::Candidate, digest::Digest, key::KeyRing, reason::Fault};
pub mod cosign;

/// Who of the ring signed the image. Only this module makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBy {
    names: Vec<String>,
    warnings: Vec<String>,
    notes: Vec<String>,
}
impl SignedBy {
    /// The names the ring gives to the keys that signed: each distinct public key once, in the order of the ring, at least one.
    pub fn names(&self) -> &[String] {
        &self.names
    }
    /// Candidates that did not count, and why.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
    /// What was there and neither needed nor checked: log entries.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// One valid candidate is enough; others are reported, not fatal. Faults: `no_signature` (none found), `signature_untrusted` (signed, but by
/// no key of the ring), `signature_invalid` (claims a key of ours or verifies but covers something else: other digest, wrong type, attestation).
pub fn cosign(candidates: &[Candidate], image: &Digest, ring: &KeyRing) -> Result<SignedBy, Fault> {
    cosign::verify(candidates, image, ring)
}
