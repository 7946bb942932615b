//! ML-DSA (FIPS 204) as TUF's TAP 21 and securesystemslib ≥ 1.6 use it: pure, with an empty context, over
//! `"tuf" ‖ 0x01 ‖ SHA-512(message)`.

use super::{BadSignature, KeyError};
use aws_lc_rs::{
    digest::{SHA512, digest},
    signature::{
        ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING, ML_DSA_87, ML_DSA_87_SIGNING, ParsedPublicKey,
        PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm, UnparsedPublicKey,
    },
};

/// The parameter sets of FIPS 204.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MlDsa {
    Set44,
    Set65,
    Set87,
}

impl MlDsa {
    /// The word in a key object's `scheme`; `1` is TAP 21's version.
    pub(super) fn scheme(self) -> &'static str {
        match self {
            MlDsa::Set44 => "ml-dsa-44/1",
            MlDsa::Set65 => "ml-dsa-65/1",
            MlDsa::Set87 => "ml-dsa-87/1",
        }
    }

    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            MlDsa::Set44 => "ML-DSA-44",
            MlDsa::Set65 => "ML-DSA-65",
            MlDsa::Set87 => "ML-DSA-87",
        }
    }

    /// Bytes of a public key (FIPS 204, table 2).
    fn key_len(self) -> usize {
        match self {
            MlDsa::Set44 => 1312,
            MlDsa::Set65 => 1952,
            MlDsa::Set87 => 2592,
        }
    }

    fn algorithm(self) -> &'static PqdsaVerificationAlgorithm {
        match self {
            MlDsa::Set44 => &ML_DSA_44,
            MlDsa::Set65 => &ML_DSA_65,
            MlDsa::Set87 => &ML_DSA_87,
        }
    }
}

/// The key has the length of its parameter set. The library would also take an SPKI in its place.
pub(super) fn check(set: MlDsa, key: &[u8]) -> Result<(), KeyError> {
    if key.len() != set.key_len() || ParsedPublicKey::new(set.algorithm(), key).is_err() {
        return Err(KeyError::Malformed { what: "its ML-DSA public key is not one of its parameter set" });
    }
    Ok(())
}

/// What is signed instead of the message.
pub(super) fn to_sign(message: &[u8]) -> Vec<u8> {
    [b"tuf\x01".as_slice(), digest(&SHA512, message).as_ref()].concat()
}

pub(super) fn verify(set: MlDsa, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    UnparsedPublicKey::new(set.algorithm(), key).verify(&to_sign(message), signature).map_err(|_| BadSignature)
}

pub(super) fn signing(set: MlDsa) -> &'static PqdsaSigningAlgorithm {
    match set {
        MlDsa::Set44 => &ML_DSA_44_SIGNING,
        MlDsa::Set65 => &ML_DSA_65_SIGNING,
        MlDsa::Set87 => &ML_DSA_87_SIGNING,
    }
}
