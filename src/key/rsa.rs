//! RSA (RFC 8017): PSS and PKCS#1 v1.5, moduli of 2048 to 8192 bits.

mod open;

use super::{BadSignature, KeyError, Scheme, der::Material};
use aws_lc_rs::{
    digest::{Algorithm, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA224, SHA256, SHA384, SHA512, digest},
    signature::{
        RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
        RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
        RsaParameters, RsaPssSaltLength, RsaPublicKeyComponents, UnparsedPublicKey,
    },
};
use open::Pss;

/// How many bits a modulus has.
pub(super) fn bits(n: &[u8]) -> usize {
    let mut significant = n.iter().skip_while(|b| **b == 0);
    match significant.next() {
        Some(top) => u8::BITS.abs_diff(top.leading_zeros()) as usize + 8 * significant.count(),
        None => 0,
    }
}

/// 2048 to 8192 bits; an odd exponent from 3 to 33 bits, as the library takes.
pub(super) fn check(n: &[u8], e: &[u8]) -> Result<(), KeyError> {
    if !(2048..=8192).contains(&bits(n)) {
        return Err(KeyError::WeakRsa { bits: bits(n) });
    }
    let odd = |number: &[u8]| number.last().is_some_and(|b| b % 2 == 1);
    if !odd(n) || !odd(e) || !(2..=33).contains(&bits(e)) {
        return Err(KeyError::Malformed { what: "its RSA modulus or exponent is out of range" });
    }
    Ok(())
}

/// Verifies under a scheme of RSA. Of `key`, modulus and exponent count; other keys have none and sign nothing.
pub(super) fn verify(scheme: Scheme, key: &Material, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    let Material::Rsa { n, e } = key else { return Err(BadSignature) };
    let verified = match scheme {
        Scheme::RsaPssSha224 => {
            opened_pss(&SHA224, n, e, signature).is_some_and(|p| p.is_of(&digest(&SHA224, message)))
        }
        Scheme::RsaPssSha256 => pss(RSA_PSS_2048_8192_SHA256, &SHA256, n, e, message, signature),
        Scheme::RsaPssSha384 => pss(RSA_PSS_2048_8192_SHA384, &SHA384, n, e, message, signature),
        Scheme::RsaPssSha512 => pss(RSA_PSS_2048_8192_SHA512, &SHA512, n, e, message, signature),
        Scheme::RsaPkcs1Sha224 => pkcs1_sha224(n, e, message, signature),
        Scheme::RsaPkcs1Sha256 => by_library(&RSA_PKCS1_2048_8192_SHA256, n, e, message, signature),
        Scheme::RsaPkcs1Sha384 => by_library(&RSA_PKCS1_2048_8192_SHA384, n, e, message, signature),
        Scheme::RsaPkcs1Sha512 => by_library(&RSA_PKCS1_2048_8192_SHA512, n, e, message, signature),
        Scheme::Ed25519
        | Scheme::EcdsaP256
        | Scheme::EcdsaP384
        | Scheme::EcdsaP521
        | Scheme::MlDsa(_)
        | Scheme::PgpRsa
        | Scheme::PgpDsa
        | Scheme::PgpEddsa => false,
    };
    if verified { Ok(()) } else { Err(BadSignature) }
}

fn by_library(parameters: &RsaParameters, n: &[u8], e: &[u8], message: &[u8], signature: &[u8]) -> bool {
    RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
}

/// PSS of any salt length, as Python verifies it; the specifications say none. The library verifies one length that it is told, and
/// nearly every signer's is the hash's. For another it is told the one that stands in the signature: a hint, the judgement stays its own.
fn pss(
    parameters: RsaParameters,
    hash: &'static Algorithm,
    n: &[u8],
    e: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    if by_library(&parameters, n, e, message, signature) {
        return true;
    }
    let salt = opened_pss(hash, n, e, signature).and_then(|opened| u16::try_from(opened.salt.len()).ok());
    salt.filter(|len| usize::from(*len) != hash.output_len()).is_some_and(|len| {
        let parameters = parameters.with_pss_salt_length(RsaPssSaltLength::Custom(len));
        by_library(&parameters, n, e, message, signature)
    })
}

fn opened_pss(hash: &'static Algorithm, n: &[u8], e: &[u8], signature: &[u8]) -> Option<Pss> {
    Pss::read(&open::open(n, e, signature)?, bits(n), hash)
}

/// The library has no SHA-224.
fn pkcs1_sha224(n: &[u8], e: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let opened = open::open(n, e, signature);
    opened.is_some_and(|opened| open::pkcs1_sha224(&digest(&SHA224, message), opened.len()) == Some(opened))
}

/// PKCS#1 v1.5 over what is hashed already, as OpenPGP signs. SHA-1 is for revocations.
pub(super) fn verify_pkcs1(spki: &[u8], hashed: &Digest, signature: &[u8]) -> Result<(), BadSignature> {
    static SHA1: RsaParameters = RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY;
    static SHA2: [RsaParameters; 3] =
        [RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512];
    let [sha256, sha384, sha512] = &SHA2;
    let parameters = match hashed.algorithm() {
        hash if *hash == SHA256 => sha256,
        hash if *hash == SHA384 => sha384,
        hash if *hash == SHA512 => sha512,
        hash if *hash == SHA1_FOR_LEGACY_USE_ONLY => &SHA1,
        _ => return Err(BadSignature),
    };
    UnparsedPublicKey::new(parameters, spki).verify_digest(hashed, signature).map_err(|_| BadSignature)
}

#[cfg(test)]
mod tests;
