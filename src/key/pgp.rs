//! OpenPGP, as much as in-toto needs: certificates, the key objects of layouts, and signatures over metadata (in-toto §1.3).
//!
//! A master and its subkeys are one functionary. A layout that names a master trusts its subkeys, and one that names a subkey trusts
//! nothing else (R24).

mod armor;
mod body;
mod certificate;
mod object;
mod packet;
mod public;
mod signature;

use super::{KeyError, Members, Scheme, der::Material};
use jiff::Timestamp;
use signature::Headers;
use std::collections::BTreeMap;

/// The keys of one functionary, and which of them sign.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pgp {
    pub(super) master: Part,
    /// Not when a certificate gives it other work, nor where a subkey is authorised alone.
    master_signs: bool,
    /// By fingerprint. One that must not sign is kept as the reason why.
    subkeys: BTreeMap<String, Result<Part, KeyError>>,
    /// There is one subkey, and it is authorised without its master.
    alone: bool,
}

/// One key of a functionary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    /// The fingerprint, in hexadecimal.
    pub(super) id: String,
    pub(super) material: Material,
    pub(super) spki: Vec<u8>,
    validity: Validity,
}

/// When a key holds, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Validity {
    created: Option<u32>,
    /// How long from its creation; `None`: for ever.
    period: Option<u32>,
    /// When the signature was made that says so; layouts do not tell.
    vouched: u32,
}

/// A signature that verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<'k> {
    /// The very key that made it, by its SPKI: a subkey, where one of OpenPGP did.
    pub by: &'k [u8],
    /// When it ceases to count: OpenPGP's keys and signatures expire.
    pub until: Option<Timestamp>,
}

/// Why an OpenPGP signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureFault {
    /// Its hashed part cannot be read (RFC 9580 5.2.3; R17).
    #[error("its other_headers are no OpenPGP: {what}")]
    Headers { what: &'static str },
    /// A signature over something else, such as a certification (R17).
    #[error("it is an OpenPGP signature of type 0x{kind:02x}, expected 0x00")]
    Kind { kind: u8 },
    /// R17.
    #[error("its OpenPGP hash is {hash}, expected 8 (SHA-256)")]
    Hash { hash: u8 },
    /// The key of another algorithm.
    #[error("its OpenPGP algorithm is {algorithm}, which is not that of the key")]
    Algorithm { algorithm: u8 },
    /// The issuer fingerprint is not the id (R17).
    #[error("its keyid is {id:?}, and its issuer {issuer:?}")]
    Issuer { id: String, issuer: String },
    /// None of the keys.
    #[error("it is by none of the keys that may sign")]
    AnotherKey,
    /// The key must not sign, or not now.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Made after now, or before the key, or no longer holding (in-toto §2.4, GHSA-jjgp-whrp-gq8m).
    #[error("it says it was made {made}, which is {what}")]
    Time { made: Timestamp, what: &'static str },
    /// It is not by this key, or not over this.
    #[error("it does not verify")]
    Bad,
}

impl Pgp {
    pub(super) fn from_certificate(bytes: &[u8]) -> Result<Self, KeyError> {
        certificate::read(bytes)
    }

    pub(super) fn from_layout(value: &crate::json::Value, members: Members) -> Result<Self, KeyError> {
        object::read(value, members)
    }

    pub(super) fn to_layout(&self) -> serde_json::Value {
        object::write(self)
    }

    /// That subkey without its master; `None` when there is none of that id.
    pub(super) fn alone(&self, id: &str) -> Option<Result<Self, KeyError>> {
        let subkey = match self.subkeys.get(id)? {
            Ok(subkey) => subkey.clone(),
            Err(cause) => return Some(Err(cause.clone())),
        };
        let subkeys = BTreeMap::from([(id.to_owned(), Ok(subkey))]);
        Some(Ok(Pgp { master: self.master.clone(), master_signs: false, subkeys, alone: true }))
    }

    pub(super) fn master_signs(&self) -> bool {
        self.master_signs
    }

    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// The key that the whole goes by: the master, or the subkey that is authorised alone.
    pub(super) fn main(&self) -> &Part {
        match self.subkeys.values().next() {
            Some(Ok(subkey)) if self.alone => subkey,
            _ => &self.master,
        }
    }

    /// The fingerprints of all keys but a master that is not meant.
    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        (!self.alone).then_some(&self.master.id).into_iter().chain(self.subkeys.keys())
    }

    /// Every key that may sign, now or at another time, and its master.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.master).chain(self.subkeys.values().filter_map(|subkey| subkey.as_ref().ok()))
    }

    /// The keys that may sign, whatever the time.
    pub(super) fn signing(&self) -> impl Iterator<Item = &Part> {
        self.parts().skip(usize::from(!self.master_signs))
    }

    /// Why none may sign: the revocation of one that was meant to.
    fn unusable(&self) -> Option<KeyError> {
        let causes = || self.subkeys.values().filter_map(|subkey| subkey.as_ref().err());
        let meant = |cause: &&KeyError| !matches!(cause, KeyError::NotForSigning { .. } | KeyError::Unsupported { .. });
        causes().find(|cause| matches!(cause, KeyError::Revoked { .. })).or_else(|| causes().find(meant)).cloned()
    }

    /// Whether any of the keys may sign at that time.
    pub(super) fn usable_at(&self, now: Timestamp) -> Result<(), KeyError> {
        self.master.holds_at(now)?;
        let mut held = self.signing().map(|part| part.holds_at(now)).peekable();
        let first = held.peek().cloned().unwrap_or_else(|| Err(KeyError::NotForSigning { id: self.master.id.clone() }));
        if held.any(|held| held.is_ok()) { Ok(()) } else { first.map(drop) }
    }

    /// When the last of the keys ends that may sign; `None`: never.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        let master = self.master.validity.end();
        let ends = |part: &Part| [master, part.validity.end()].into_iter().flatten().min();
        self.signing().map(ends).try_fold(Timestamp::MIN, |last, end| Some(last.max(end?)))
    }

    /// `value` is the signature as in-toto writes it: the integer of RSA, or R and S.
    pub(super) fn verify(
        &self,
        message: &[u8],
        keyid: Option<&str>,
        hashed: &[u8],
        value: &[u8],
        now: Timestamp,
    ) -> Result<Verified<'_>, SignatureFault> {
        let headers = Headers::read(hashed).map_err(|what| SignatureFault::Headers { what })?;
        if headers.kind != 0 {
            return Err(SignatureFault::Kind { kind: headers.kind });
        }
        // The reference hashes with SHA-256 whatever this says.
        if headers.hash != signature::HASH_SHA256 {
            return Err(SignatureFault::Hash { hash: headers.hash });
        }
        let part = self.signer(keyid, headers.issuer.as_deref())?;
        if !headers.is_by(&part.material) {
            return Err(SignatureFault::Algorithm { algorithm: headers.algorithm });
        }
        let ends = [self.master.holds_at(now)?, part.holds_at(now)?, part.in_time(&headers, now)?];
        let digest = signature::hash(headers.hash, &[message], hashed).ok_or(SignatureFault::Bad)?;
        signature::check(&part.material, &part.spki, &digest, value).map_err(|_| SignatureFault::Bad)?;
        Ok(Verified { by: &part.spki, until: ends.into_iter().flatten().min() })
    }

    /// Whom the signature says it is by: its id and, where it has one, the issuer in what is signed.
    fn signer(&self, keyid: Option<&str>, issuer: Option<&str>) -> Result<&Part, SignatureFault> {
        if let (Some(id), Some(issuer)) = (keyid, issuer)
            && id != issuer
        {
            return Err(SignatureFault::Issuer { id: id.to_owned(), issuer: issuer.to_owned() });
        }
        let id = keyid.or(issuer).ok_or(SignatureFault::AnotherKey)?;
        match self.subkeys.get(id) {
            Some(Ok(subkey)) => Ok(subkey),
            Some(Err(cause)) => Err(cause.clone().into()),
            None if id != self.master.id || self.alone => Err(SignatureFault::AnotherKey),
            None if self.master_signs => Ok(&self.master),
            None => Err(KeyError::NotForSigning { id: id.to_owned() }.into()),
        }
    }
}

impl Part {
    fn new(id: String, material: Material, validity: Validity) -> Result<Self, KeyError> {
        material.check()?;
        let spki = super::der::write_spki(&material);
        Ok(Part { id, material, spki, validity })
    }

    pub(super) fn scheme(&self) -> Scheme {
        match self.material {
            Material::Rsa { .. } => Scheme::PgpRsa,
            Material::Dsa(_) => Scheme::PgpDsa,
            _ => Scheme::PgpEddsa,
        }
    }

    fn unbound(&self) -> KeyError {
        KeyError::Unbound { id: self.id.clone() }
    }

    /// Until when. Off-spec: the last second of a key counts as expired already, as that of a layout does (R20).
    fn holds_at(&self, now: Timestamp) -> Result<Option<Timestamp>, KeyError> {
        let id = || self.id.clone();
        let from = self.validity.begin();
        if now < from {
            return Err(KeyError::NotYetValid { id: id(), from });
        }
        match self.validity.end() {
            Some(at) if at <= now => Err(KeyError::Expired { id: id(), at }),
            end => Ok(end),
        }
    }

    /// Until when the signature holds.
    fn in_time(&self, headers: &Headers, now: Timestamp) -> Result<Option<Timestamp>, SignatureFault> {
        let (made, end) = (time(i64::from(headers.created)), headers.expires().map(time));
        let wrong = |what| Err(SignatureFault::Time { made, what });
        match () {
            () if made > now => wrong("in the future"),
            () if self.validity.created.is_some_and(|created| headers.created < created) => wrong("before its key"),
            () if end.is_some_and(|end| end <= now) => wrong("too long ago for it to hold"),
            () => Ok(end),
        }
    }
}

impl Validity {
    fn begin(&self) -> Timestamp {
        time(i64::from(self.created.unwrap_or_default().max(self.vouched)))
    }

    fn end(&self) -> Option<Timestamp> {
        let (created, period) = self.created.zip(self.period)?;
        Some(time(i64::from(created) + i64::from(period)))
    }
}

/// Sums of two numbers of 32 bits are dates.
fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
