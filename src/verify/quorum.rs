//! The one place that counts signatures: distinct public keys, never ids or signatures (R15, design §3.3).
use crate::{
    envelope::Envelope,
    key::{KeyRing, NamedKey},
};

/// The keys of the ring that signed the envelope: each distinct public key once. Tries every signature whose id is one of the key's ids,
/// and those without an id (R5, R14). Bounded work.
pub fn signers<'k>(envelope: &Envelope, ring: &'k KeyRing) -> Vec<&'k NamedKey> {
    let _ = (envelope, ring);
    todo!()
}
