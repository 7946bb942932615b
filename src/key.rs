//! Public keys, their ids, and signatures by them. One file a scheme in `key/`.

use std::collections::BTreeSet;

/// in-toto's scheme names (spec 4.2.1), which fix algorithm and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    Ed25519,
    EcdsaP256,
    EcdsaP384,
    RsaPssSha256,
    RsaPssSha384,
    RsaPssSha512,
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
}

/// A public key in its one identity: the DER of its SubjectPublicKeyInfo (R15).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey {
    /* owner's choice; must contain */ spki: Vec<u8>,
    scheme: Scheme,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    #[error("{0}")]
    Placeholder(String), /* Malformed, Unsupported{what} (→ layout_unsupported), WeakRsa{bits}, SchemeMismatch… */
}

/// The signature does not verify under this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

impl PublicKey {
    /// One PEM block `PUBLIC KEY` (SPKI), nothing else around it but white space. Default scheme of the key type:
    /// rsassa-pss-sha256, ecdsa by curve, ed25519.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let _ = pem;
        todo!()
    }
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let _ = der;
        todo!()
    }
    /// A key object of a layout: `{keytype, scheme, keyval:{public}, …}` (in-toto 4.2.1); PEM or hex of ed25519.
    pub fn from_layout(value: &crate::json::Value) -> Result<Self, KeyError> {
        let _ = value;
        todo!()
    }
    /// The key object that a layout carries (with `scheme`), and its PEM.
    pub fn to_layout(&self) -> serde_json::Value {
        todo!()
    }
    pub fn to_pem(&self) -> String {
        todo!()
    }
    /// What makes two keys the same (R15).
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }
    /// Every id this key is known by: K0, K0b, K1, K2, K4 (in-toto §1.3).
    pub fn ids(&self) -> &BTreeSet<String> {
        todo!()
    }
    /// The id we write: K2, as securesystemslib ≥ 1.0.
    pub fn id(&self) -> &str {
        todo!()
    }
    /// Verifies under the key's scheme. RSA PSS accepts any salt length (see in-toto §1.3); ECDSA is DER; ed25519 strict.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let _ = (message, signature);
        todo!()
    }
    /// As cosign signs image signatures: SHA-256 whatever the curve, RSA by PKCS#1 v1.5 (cosign's default) or PSS.
    pub fn verify_cosign(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let _ = (message, signature);
        todo!()
    }
}

/// A public key under the name its trust root gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedKey {
    pub name: String,
    pub key: PublicKey,
}

/// The keys trusted for one purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRing {
    keys: Vec<NamedKey>,
}
impl KeyRing {
    pub fn new(keys: Vec<NamedKey>) -> Self {
        KeyRing { keys }
    }
    pub fn iter(&self) -> impl Iterator<Item = &NamedKey> {
        self.keys.iter()
    }
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
    /// Distinct public keys in the ring.
    pub fn distinct(&self) -> usize {
        todo!()
    }
}

/// A private key in memory (PKCS#8 PEM, unencrypted). Where it lives is `signer`'s business.
pub struct SecretKey {
    /* aws-lc-rs key pair per scheme */ public: PublicKey,
}
impl SecretKey {
    pub fn generate(scheme: Scheme) -> Result<Self, KeyError> {
        let _ = scheme;
        todo!()
    }
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let _ = pem;
        todo!()
    }
    pub fn to_pem(&self) -> String {
        todo!()
    }
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let _ = message;
        todo!()
    }
}
