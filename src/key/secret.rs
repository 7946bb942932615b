//! Private keys in memory, and signing with them.

use super::{
    KeyError, PublicKey, Scheme,
    der::{self, Material, PrivateKind},
    ml_dsa, pem,
};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
        RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaSignatureEncoding,
    },
};
use std::fmt;

/// A private key in memory (PKCS#8 PEM, unencrypted). Where it lives is `signer`'s business.
pub struct SecretKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    MlDsa(super::MlDsa, PqdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl SecretKey {
    /// A new key; RSA of 3072 bits.
    ///
    /// # Errors
    /// [`KeyError::Generation`] when the library has no randomness; [`KeyError::Unsupported`] as [`SecretKey::with_scheme`].
    pub fn generate(scheme: Scheme) -> Result<Self, KeyError> {
        refuse_sha224(scheme)?;
        let pair = match scheme {
            Scheme::Ed25519 => Ed25519KeyPair::generate().map(Pair::Ed25519),
            Scheme::EcdsaP256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map(Pair::Ecdsa),
            Scheme::EcdsaP384 => EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).map(Pair::Ecdsa),
            Scheme::EcdsaP521 => EcdsaKeyPair::generate(&ECDSA_P521_SHA512_ASN1_SIGNING).map(Pair::Ecdsa),
            Scheme::MlDsa(set) => PqdsaKeyPair::generate(ml_dsa::signing(set)).map(|pair| Pair::MlDsa(set, pair)),
            _ => RsaKeyPair::generate(KeySize::Rsa3072).map(Pair::Rsa),
        };
        let pair = pair.map_err(|_| KeyError::Generation { scheme: scheme.name() })?;
        let public = pair.public()?.with_scheme(scheme)?;
        Ok(SecretKey { pair, public })
    }

    /// One PEM block `PRIVATE KEY`: PKCS#8, unencrypted. The scheme is the default of the key type.
    ///
    /// # Errors
    /// [`KeyError::NotPkcs8`] names the command that converts another container; [`KeyError::Malformed`],
    /// [`KeyError::Unsupported`], [`KeyError::WeakRsa`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = pem::read_private(pem)?;
        let ecdsa =
            |algorithm: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::from_pkcs8(algorithm, &der).map(Pair::Ecdsa);
        let pair = match der::private_kind(&der)? {
            PrivateKind::Ed25519 => Ed25519KeyPair::from_pkcs8(&der).map(Pair::Ed25519),
            PrivateKind::P256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            PrivateKind::P384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            PrivateKind::P521 => ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING),
            PrivateKind::MlDsa(set) => {
                PqdsaKeyPair::from_pkcs8(ml_dsa::signing(set), &der).map(|pair| Pair::MlDsa(set, pair))
            }
            PrivateKind::Rsa { bits } if !(2048..=8192).contains(&bits) => return Err(KeyError::WeakRsa { bits }),
            PrivateKind::Rsa { .. } => RsaKeyPair::from_pkcs8(&der).map(Pair::Rsa),
        };
        let pair = pair.map_err(|_| KeyError::Malformed { what: "its PKCS#8 holds no sound private key" })?;
        let public = pair.public()?;
        Ok(SecretKey { pair, public })
    }

    /// The same key, signing by another scheme of its type.
    ///
    /// # Errors
    /// [`KeyError::SchemeMismatch`]; [`KeyError::Unsupported`] when we only verify by it.
    pub fn with_scheme(self, scheme: Scheme) -> Result<Self, KeyError> {
        refuse_sha224(scheme)?;
        Ok(SecretKey { public: self.public.with_scheme(scheme)?, pair: self.pair })
    }

    /// One PEM block `PRIVATE KEY`, which OpenSSL reads. Empty should the library fail to write it.
    pub fn to_pem(&self) -> String {
        self.pair.to_pkcs8().map(|der| pem::write("PRIVATE KEY", &der)).unwrap_or_default()
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs under the key's scheme: ECDSA as DER, PSS with a salt as long as the hash.
    ///
    /// # Errors
    /// [`KeyError::Signing`] when the library has no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Signing { scheme: self.public.scheme.name() };
        match &self.pair {
            Pair::Ed25519(pair) => pair.try_sign(message).map(|s| s.as_ref().to_vec()).map_err(failed),
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message).map(|s| s.as_ref().to_vec()).map_err(failed),
            Pair::MlDsa(set, pair) => {
                let mut signature = vec![0; ml_dsa::signing(*set).signature_len()];
                pair.sign(&ml_dsa::to_sign(message), &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding(self.public.scheme), &SystemRandom::new(), message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

/// The public half only: a private key is printed by `to_pem` and by nothing else.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("id", &self.public.id()).finish_non_exhaustive()
    }
}

impl Pair {
    fn public(&self) -> Result<PublicKey, KeyError> {
        let point = match self {
            Pair::Ed25519(pair) => Material::Ed25519(pair.public_key().as_ref().to_vec()),
            Pair::Ecdsa(pair) => {
                let point = pair.public_key().as_ref().to_vec();
                match point.len() {
                    65 => Material::P256(point),
                    97 => Material::P384(point),
                    _ => Material::P521(point),
                }
            }
            Pair::MlDsa(set, pair) => Material::MlDsa(*set, pair.public_key().as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let der = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der>::as_der(pair.public_key())
                    .map_err(|_| KeyError::Malformed { what: "its public half cannot be written" })?;
                return PublicKey::from_spki(der.as_ref());
            }
        };
        PublicKey::from_spki(&der::write_spki(&point))
    }

    fn to_pkcs8(&self) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        match self {
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
            Pair::MlDsa(_, pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
            Pair::Rsa(pair) => AsDer::<Pkcs8V1Der>::as_der(pair).map(|der| der.as_ref().to_vec()),
        }
    }
}

/// The library does not sign over SHA-224, and nobody needs new signatures of it.
fn refuse_sha224(scheme: Scheme) -> Result<(), KeyError> {
    match scheme {
        Scheme::RsaPssSha224 | Scheme::RsaPkcs1Sha224 => {
            Err(KeyError::Unsupported { what: format!("signing by \"{}\"", scheme.name()) })
        }
        _ => Ok(()),
    }
}

fn encoding(scheme: Scheme) -> &'static RsaSignatureEncoding {
    match scheme {
        Scheme::RsaPssSha384 => &RSA_PSS_SHA384,
        Scheme::RsaPssSha512 => &RSA_PSS_SHA512,
        Scheme::RsaPkcs1Sha256 => &RSA_PKCS1_SHA256,
        Scheme::RsaPkcs1Sha384 => &RSA_PKCS1_SHA384,
        Scheme::RsaPkcs1Sha512 => &RSA_PKCS1_SHA512,
        // The scheme of an RSA key is one of RSA (`Scheme::fits`) that signs (`refuse_sha224`).
        _ => &RSA_PSS_SHA256,
    }
}
