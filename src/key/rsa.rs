//! RSA (RFC 8017): PSS and PKCS#1 v1.5, moduli of 2048 to 8192 bits.

use super::{BadSignature, KeyError, Scheme};
use aws_lc_rs::{
    digest::{self, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512},
    signature::{
        RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
        RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
        RsaParameters, RsaPssSaltLength, UnparsedPublicKey,
    },
};

/// Off-spec: the salt lengths tried. Python verifies any length, but the library has no such mode, and signers use few:
/// the hash's (Python ≥ 0.25, Go, ring), the largest (OpenSSL, Vault, securesystemslib 0.24), RFC 8017's default of 20,
/// none, and another hash's. A signature of another length does not verify, which denies.
macro_rules! salts {
    ($base:expr) => {
        [
            $base,
            $base.with_pss_salt_length(RsaPssSaltLength::Max),
            $base.with_pss_salt_length(RsaPssSaltLength::Custom(20)),
            $base.with_pss_salt_length(RsaPssSaltLength::Custom(0)),
            $base.with_pss_salt_length(RsaPssSaltLength::Custom(32)),
            $base.with_pss_salt_length(RsaPssSaltLength::Custom(48)),
            $base.with_pss_salt_length(RsaPssSaltLength::Custom(64)),
        ]
    };
}

static PSS_SHA256: [RsaParameters; 7] = salts!(RSA_PSS_2048_8192_SHA256);
static PSS_SHA384: [RsaParameters; 7] = salts!(RSA_PSS_2048_8192_SHA384);
static PSS_SHA512: [RsaParameters; 7] = salts!(RSA_PSS_2048_8192_SHA512);
static PKCS1_SHA256: [RsaParameters; 1] = [RSA_PKCS1_2048_8192_SHA256];
static PKCS1_SHA384: [RsaParameters; 1] = [RSA_PKCS1_2048_8192_SHA384];
static PKCS1_SHA512: [RsaParameters; 1] = [RSA_PKCS1_2048_8192_SHA512];

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

pub(super) fn verify(scheme: Scheme, spki: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    let (hash, parameters): (_, &'static [RsaParameters]) = match scheme {
        Scheme::RsaPssSha256 => (&SHA256, &PSS_SHA256),
        Scheme::RsaPssSha384 => (&SHA384, &PSS_SHA384),
        Scheme::RsaPssSha512 => (&SHA512, &PSS_SHA512),
        Scheme::RsaPkcs1Sha256 => (&SHA256, &PKCS1_SHA256),
        Scheme::RsaPkcs1Sha384 => (&SHA384, &PKCS1_SHA384),
        Scheme::RsaPkcs1Sha512 => (&SHA512, &PKCS1_SHA512),
        Scheme::Ed25519
        | Scheme::EcdsaP256
        | Scheme::EcdsaP384
        | Scheme::EcdsaP521
        | Scheme::MlDsa(_)
        | Scheme::PgpRsa
        | Scheme::PgpEddsa => {
            return Err(BadSignature);
        }
    };
    let hashed = digest::digest(hash, message);
    let verifies =
        |p: &'static RsaParameters| UnparsedPublicKey::new(p, spki).verify_digest(&hashed, signature).is_ok();
    if parameters.iter().any(verifies) { Ok(()) } else { Err(BadSignature) }
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
