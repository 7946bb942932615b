//! Image signatures, pure: candidates, keys and a digest in, the names of those who signed out.
use crate::{cosign::Candidate, digest::Digest, key::KeyRing, reason::Fault};
pub mod cosign;

/// Who of the ring signed the image. Only this module makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBy {
    names: Vec<String>,
    warnings: Vec<String>,
}
impl SignedBy {
    pub fn names(&self) -> &[String] {
        &self.names
    }
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// One valid candidate is enough; others are reported, not fatal. Faults: `no_signature` (none found), `signature_untrusted` (signed, but by
/// no key of the ring), `signature_invalid` (claims a key of ours or verifies but covers something else: other digest, wrong type, attestation).
pub fn cosign(candidates: &[Candidate], image: &Digest, ring: &KeyRing) -> Result<SignedBy, Fault> {
    cosign::verify(candidates, image, ring)
}
