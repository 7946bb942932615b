//! ECDSA over P-256, P-384 and P-521 (FIPS 186-5), signatures as DER.

use super::{BadSignature, KeyError};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA256_ASN1,
    ECDSA_P521_SHA512_ASN1, EcdsaVerificationAlgorithm, ParsedPublicKey, UnparsedPublicKey,
};

/// The point is uncompressed and on the curve.
pub(super) fn check_p256(point: &[u8]) -> Result<(), KeyError> {
    check(&ECDSA_P256_SHA256_ASN1, 65, point)
}

/// The point is uncompressed and on the curve.
pub(super) fn check_p384(point: &[u8]) -> Result<(), KeyError> {
    check(&ECDSA_P384_SHA384_ASN1, 97, point)
}

/// The point is uncompressed and on the curve.
pub(super) fn check_p521(point: &[u8]) -> Result<(), KeyError> {
    check(&ECDSA_P521_SHA512_ASN1, 133, point)
}

/// The point whose first coordinate and sign are given, by the curve whose coordinates are that long.
pub(super) fn uncompressed(point: &[u8]) -> Result<Vec<u8>, KeyError> {
    const OFF_CURVE: KeyError = KeyError::Malformed { what: "its compressed point is on none of our curves" };
    let algorithm = match point.len() {
        33 => &ECDSA_P256_SHA256_ASN1,
        49 => &ECDSA_P384_SHA384_ASN1,
        67 => &ECDSA_P521_SHA512_ASN1,
        _ => return Err(OFF_CURVE),
    };
    let key = ParsedPublicKey::new(algorithm, point).map_err(|_| OFF_CURVE)?;
    let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(&key).map_err(|_| OFF_CURVE)?;
    // The point is what a SubjectPublicKeyInfo ends with.
    let found = spki.as_ref().len().checked_sub(2 * point.len() - 1).and_then(|at| spki.as_ref().get(at..));
    Ok(found.ok_or(OFF_CURVE)?.to_vec())
}

fn check(algorithm: &'static EcdsaVerificationAlgorithm, len: usize, point: &[u8]) -> Result<(), KeyError> {
    if point.len() != len || point.first() != Some(&4) {
        return Err(KeyError::Malformed { what: "it holds no uncompressed elliptic curve point of the right length" });
    }
    match ParsedPublicKey::new(algorithm, point) {
        Ok(_) => Ok(()),
        Err(_) => Err(KeyError::Malformed { what: "its point is not on the curve" }),
    }
}

pub(super) fn verify_p256(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    verify(&ECDSA_P256_SHA256_ASN1, point, message, signature)
}

pub(super) fn verify_p384(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    verify(&ECDSA_P384_SHA384_ASN1, point, message, signature)
}

pub(super) fn verify_p521(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    verify(&ECDSA_P521_SHA512_ASN1, point, message, signature)
}

/// As cosign signs, whatever the curve.
pub(super) fn verify_p384_sha256(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    verify(&ECDSA_P384_SHA256_ASN1, point, message, signature)
}

/// As cosign signs, whatever the curve.
pub(super) fn verify_p521_sha256(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    verify(&ECDSA_P521_SHA256_ASN1, point, message, signature)
}

fn verify(
    algorithm: &'static EcdsaVerificationAlgorithm,
    point: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    UnparsedPublicKey::new(algorithm, point).verify(message, signature).map_err(|_| BadSignature)
}
