//! What OpenPGP adds to a public key.

use super::{Pgp, SignatureFault, Verified};
use crate::key::{KeyError, PublicKey};
use jiff::Timestamp;

impl PublicKey {
    /// An OpenPGP certificate (RFC 9580 10.1.1) of version 4, armored or binary: RSA, DSA and Ed25519. Its self signatures are verified here,
    /// and whether it has expired is judged at each use ([`PublicKey::usable_at`]). It verifies OpenPGP signatures and no others.
    ///
    /// # Errors
    /// As [`PublicKey::from_pem`], and [`KeyError::Revoked`], [`KeyError::NotForSigning`], [`KeyError::Unbound`].
    pub fn from_pgp(certificate: &[u8]) -> Result<Self, KeyError> {
        Pgp::from_certificate(certificate).map(Self::of_pgp)
    }

    /// Whether anything can be signed with it at that time: OpenPGP keys expire, and none may be from the future.
    ///
    /// # Errors
    /// [`KeyError::Expired`], [`KeyError::NotYetValid`], [`KeyError::NotForSigning`].
    pub fn usable_at(&self, now: Timestamp) -> Result<(), KeyError> {
        self.pgp.as_ref().map_or(Ok(()), |pgp| pgp.usable_at(now))
    }

    /// When nothing more can be signed with it; `None`: never, as a bare public key.
    pub fn expires(&self) -> Option<Timestamp> {
        self.pgp.as_ref()?.expires()
    }

    /// Of an OpenPGP key that subkey, without its master; `None` when it has none of that id. Both are the same functionary.
    pub fn subkey(&self, id: &str) -> Option<Result<Self, KeyError>> {
        Some(self.pgp.as_ref()?.alone(id)?.map(Self::of_pgp))
    }

    /// What a step's `pubkeys` say to authorise it: its id; the ids of its subkeys where an OpenPGP certificate says that its master itself
    /// does not sign, which the key objects of layouts cannot.
    pub fn step_ids(&self) -> Vec<String> {
        match &self.pgp {
            Some(pgp) if !pgp.master_signs() => pgp.signing().map(|part| part.id.clone()).collect(),
            _ => vec![self.id.clone()],
        }
    }

    /// Whether it makes OpenPGP signatures, and no others.
    pub fn is_openpgp(&self) -> bool {
        self.pgp.is_some()
    }

    /// Whether it is a part of another key, that [`PublicKey::subkey`] made.
    pub fn is_subkey(&self) -> bool {
        self.pgp.as_ref().is_some_and(|pgp| pgp.is_alone())
    }

    /// Verifies an OpenPGP signature as in-toto writes it (in-toto §1.3, R17). It covers the message, its own headers, and their length.
    ///
    /// # Errors
    /// Why it does not count; [`SignatureFault::AnotherKey`] when the key is not OpenPGP's.
    pub fn verify_pgp(
        &self,
        message: &[u8],
        keyid: Option<&str>,
        other_headers: &[u8],
        signature: &[u8],
        now: Timestamp,
    ) -> Result<Verified<'_>, SignatureFault> {
        let pgp = self.pgp.as_ref().ok_or(SignatureFault::AnotherKey)?;
        pgp.verify(message, keyid, other_headers, signature, now)
    }

    pub(in crate::key) fn of_pgp(pgp: Pgp) -> Self {
        let main = pgp.main();
        PublicKey {
            spki: main.spki.clone(),
            scheme: main.scheme(),
            material: main.material.clone(),
            ids: pgp.ids().cloned().collect(),
            id: main.id.clone(),
            functionary: pgp.master.spki.clone(),
            pgp: Some(Box::new(pgp)),
        }
    }
}
