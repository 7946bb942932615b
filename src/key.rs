//! Public keys, their ids, and signatures by them. One file a scheme in `key/`.

mod der;
mod dsa;
mod ecdsa;
mod ed25519;
mod ids;
mod layout;
mod ml_dsa;
mod pem;
mod pgp;
mod rsa;
mod same;
mod secret;
pub mod x509;

pub use ml_dsa::MlDsa;
pub use pgp::{SignatureFault, Verified};
pub use secret::SecretKey;

pub(crate) use same::unite;

use der::Material;
use jiff::Timestamp;
use pgp::Pgp;
use std::collections::BTreeSet;

/// in-toto's scheme names (spec 4.2.1), which fix algorithm and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    Ed25519,
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    /// ML-DSA (FIPS 204) over a hash of the message, as TUF's TAP 21 and securesystemslib ≥ 1.6 sign.
    MlDsa(MlDsa),
    /// Verified, and not signed by.
    RsaPssSha224,
    RsaPssSha256,
    RsaPssSha384,
    RsaPssSha512,
    /// Verified, and not signed by.
    RsaPkcs1Sha224,
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
    /// OpenPGP's, which key objects name as their `method`.
    PgpRsa,
    /// Verified, and not signed by.
    PgpDsa,
    PgpEddsa,
}

impl Scheme {
    /// Every word there is for a key object's `scheme`.
    pub const ALL: [Scheme; 15] = [
        Scheme::Ed25519,
        Scheme::EcdsaP256,
        Scheme::EcdsaP384,
        Scheme::EcdsaP521,
        Scheme::MlDsa(MlDsa::Set44),
        Scheme::MlDsa(MlDsa::Set65),
        Scheme::MlDsa(MlDsa::Set87),
        Scheme::RsaPssSha224,
        Scheme::RsaPssSha256,
        Scheme::RsaPssSha384,
        Scheme::RsaPssSha512,
        Scheme::RsaPkcs1Sha224,
        Scheme::RsaPkcs1Sha256,
        Scheme::RsaPkcs1Sha384,
        Scheme::RsaPkcs1Sha512,
    ];

    /// The word in a key object's `scheme`, or in OpenPGP's `method`.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Ed25519 => "ed25519",
            Scheme::EcdsaP256 => "ecdsa-sha2-nistp256",
            Scheme::EcdsaP384 => "ecdsa-sha2-nistp384",
            Scheme::EcdsaP521 => "ecdsa-sha2-nistp521",
            Scheme::MlDsa(set) => set.scheme(),
            Scheme::RsaPssSha224 => "rsassa-pss-sha224",
            Scheme::RsaPssSha256 => "rsassa-pss-sha256",
            Scheme::RsaPssSha384 => "rsassa-pss-sha384",
            Scheme::RsaPssSha512 => "rsassa-pss-sha512",
            Scheme::RsaPkcs1Sha224 => "rsa-pkcs1v15-sha224",
            Scheme::RsaPkcs1Sha256 => "rsa-pkcs1v15-sha256",
            Scheme::RsaPkcs1Sha384 => "rsa-pkcs1v15-sha384",
            Scheme::RsaPkcs1Sha512 => "rsa-pkcs1v15-sha512",
            Scheme::PgpRsa => "pgp+rsa-pkcsv1.5",
            Scheme::PgpDsa => "pgp+dsa-fips-180-2",
            Scheme::PgpEddsa => "pgp+eddsa-ed25519",
        }
    }

    /// The word in a key object's `keytype`, or in OpenPGP's `type`.
    pub fn keytype(self) -> &'static str {
        match self {
            Scheme::Ed25519 => "ed25519",
            Scheme::EcdsaP256 | Scheme::EcdsaP384 | Scheme::EcdsaP521 => "ecdsa",
            Scheme::MlDsa(_) => "ml-dsa",
            Scheme::PgpDsa => "dsa",
            Scheme::PgpEddsa => "eddsa",
            _ => "rsa",
        }
    }

    /// Whether a key of this material can use the scheme.
    fn fits(self, material: &Material) -> bool {
        match material {
            Material::Ed25519(_) => self == Scheme::Ed25519,
            Material::P256(_) => self == Scheme::EcdsaP256,
            Material::P384(_) => self == Scheme::EcdsaP384,
            Material::P521(_) => self == Scheme::EcdsaP521,
            Material::MlDsa(set, _) => self == Scheme::MlDsa(*set),
            Material::Rsa { .. } => self.keytype() == "rsa" && self != Scheme::PgpRsa,
            // OpenPGP's alone.
            Material::Dsa(_) => false,
        }
    }
}

/// What a key object of a layout may consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Members {
    Known,
    Any,
}

impl Members {
    /// Another member could restrict the key: to an end, to a use, or to nothing any more (R41).
    fn refuse_unknown(self, value: &crate::json::Value, known: &[&str], of: &str) -> Result<(), KeyError> {
        match value.unknown_member(known).filter(|_| self == Members::Known) {
            Some(name) => {
                Err(KeyError::Unsupported { what: format!("the member \"{}\" of {of}", crate::json::shown(name)) })
            }
            None => Ok(()),
        }
    }
}

/// A public key in its one identity: the DER of its SubjectPublicKeyInfo (R15). There is one such DER for a key: other
/// encodings of the same key are refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey {
    spki: Vec<u8>,
    scheme: Scheme,
    material: Material,
    ids: BTreeSet<String>,
    id: String,
    /// See [`PublicKey::functionary`].
    functionary: Vec<u8>,
    pgp: Option<Box<Pgp>>,
}

/// Why something is no key for us, or a key does not do its work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Breaks its format: PEM, strict DER, or the key object of a layout (in-toto 4.2.1; security §2.E3).
    #[error("the key is malformed: {what}")]
    Malformed { what: &'static str },
    /// A kind of key, scheme or encoding that we do not implement (→ `layout_unsupported`).
    #[error("{what} is not supported")]
    Unsupported { what: String },
    /// An RSA modulus under 2048 bits (in-toto 4.2.1; design §5), or over 8192.
    #[error("the RSA key has {bits} bits, expected 2048 to 8192")]
    WeakRsa { bits: usize },
    /// A DSA prime under 2048 bits, or over 3072 (FIPS 186-4 4.2).
    #[error("the DSA key has {bits} bits, expected 2048 to 3072")]
    WeakDsa { bits: usize },
    /// The scheme cannot be used with such a key.
    #[error("the scheme \"{scheme}\" does not fit the key, which is of type {key}")]
    SchemeMismatch { scheme: String, key: &'static str },
    /// An OpenPGP key that its master has revoked, for whatever reason.
    #[error("the OpenPGP key {id} is revoked")]
    Revoked { id: String },
    /// An OpenPGP key after its time. This and the next are found where there is a time to judge by.
    #[error("the OpenPGP key {id} expired at {at}")]
    Expired { id: String, at: Timestamp },
    /// An OpenPGP key from the future (in-toto §2.4, GHSA-jjgp-whrp-gq8m).
    #[error("the OpenPGP key {id} holds only from {from}")]
    NotYetValid { id: String, from: Timestamp },
    /// An OpenPGP key whose flags do not say that it signs.
    #[error("the OpenPGP key {id} is not for signing")]
    NotForSigning { id: String },
    /// An OpenPGP key of which nothing trustworthy says that it is its master's: SHA-1 is not.
    #[error("no signature with SHA-256 or better by its master and itself vouches for the OpenPGP key {id}")]
    Unbound { id: String },
    /// A private key in another container than unencrypted PKCS#8.
    #[error(
        "the private key is \"{label}\", expected \"PRIVATE KEY\" (PKCS#8): openssl pkcs8 -topk8 -nocrypt -in KEY -out KEY.pkcs8"
    )]
    NotPkcs8 { label: String },
    /// The cryptographic library could not make a key.
    #[error("a {scheme} key could not be made")]
    Generation { scheme: &'static str },
    /// The cryptographic library could not sign.
    #[error("the {scheme} key could not sign")]
    Signing { scheme: &'static str },
}

/// The signature does not verify under this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

impl PublicKey {
    /// One PEM block `PUBLIC KEY` (SPKI), nothing else around it but white space. Default scheme of the key type:
    /// rsassa-pss-sha256, ecdsa by curve, ed25519, ml-dsa by parameter set.
    ///
    /// # Errors
    /// [`KeyError::Malformed`], [`KeyError::Unsupported`], [`KeyError::WeakRsa`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::from_spki(&pem::read_public(pem)?)
    }

    /// The DER of a SubjectPublicKeyInfo (RFC 5280 4.1.2.7) in its only strict encoding. Default scheme as `from_pem`.
    ///
    /// # Errors
    /// As [`PublicKey::from_pem`].
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let material = der::read_spki(der)?;
        let scheme = match &material {
            Material::Ed25519(_) => Scheme::Ed25519,
            Material::P256(_) => Scheme::EcdsaP256,
            Material::P384(_) => Scheme::EcdsaP384,
            Material::P521(_) => Scheme::EcdsaP521,
            Material::MlDsa(set, _) => Scheme::MlDsa(*set),
            Material::Rsa { .. } => Scheme::RsaPssSha256,
            Material::Dsa(_) => Scheme::PgpDsa,
        };
        Self::new(material, scheme)
    }

    /// What people keep in a file: a PEM block `PUBLIC KEY`, or an OpenPGP certificate.
    ///
    /// # Errors
    /// As [`PublicKey::from_pem`] and [`PublicKey::from_pgp`].
    pub fn from_file(bytes: &[u8]) -> Result<Self, KeyError> {
        let armored = bytes.trim_ascii_start().starts_with(b"-----BEGIN PGP ");
        match std::str::from_utf8(bytes) {
            Ok(text) if !armored => Self::from_pem(text),
            _ => Self::from_pgp(bytes),
        }
    }

    /// A key object of a layout: `{keytype, scheme, keyval:{public}, …}` (in-toto 4.2.1), PEM or hex of ed25519; or OpenPGP's
    /// `{type, method, keyval, subkeys, …}` (in-toto §1.3). The ids of the former are left to the caller (R13, R16).
    ///
    /// # Errors
    /// As [`PublicKey::from_pem`], and [`KeyError::SchemeMismatch`]; [`KeyError::Unsupported`] for a member that we do not know, which
    /// could restrict the key (R41).
    pub fn from_layout(value: &crate::json::Value) -> Result<Self, KeyError> {
        layout::read(value, Members::Known)
    }

    /// The same as the Python reference reads it, which passes over what it does not know.
    ///
    /// # Errors
    /// As [`PublicKey::from_layout`].
    pub fn from_layout_leniently(value: &crate::json::Value) -> Result<Self, KeyError> {
        layout::read(value, Members::Any)
    }

    /// The one way to a key: its material is sound and the scheme fits.
    fn new(material: Material, scheme: Scheme) -> Result<Self, KeyError> {
        material.check()?;
        if !scheme.fits(&material) {
            return Err(KeyError::SchemeMismatch { scheme: scheme.name().into(), key: material.name() });
        }
        let spki = der::write_spki(&material);
        let (id, ids) = ids::of(&material, scheme, &pem::write("PUBLIC KEY", &spki));
        Ok(PublicKey { functionary: spki.clone(), spki, scheme, material, ids, id, pgp: None })
    }

    /// The same key under another scheme of its type.
    ///
    /// # Errors
    /// [`KeyError::SchemeMismatch`].
    pub fn with_scheme(&self, scheme: Scheme) -> Result<Self, KeyError> {
        if self.pgp.is_some() {
            return Err(KeyError::SchemeMismatch { scheme: scheme.name().into(), key: "OpenPGP" });
        }
        Self::new(self.material.clone(), scheme)
    }

    /// The key object that a layout carries, as securesystemslib ≥ 1.0 writes it: keyid (K2), keytype, scheme, keyval; for OpenPGP its
    /// own, with the subkeys that may sign.
    pub fn to_layout(&self) -> serde_json::Value {
        match &self.pgp {
            Some(pgp) => pgp.to_layout(),
            None => layout::write(self),
        }
    }

    /// One PEM block `PUBLIC KEY` with a newline at its end.
    pub fn to_pem(&self) -> String {
        pem::write("PUBLIC KEY", &self.spki)
    }

    /// What makes two keys the same (R15).
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// What makes two keys the same person's or machine's, and one in every count (R15, R24): the SPKI; that of the master for OpenPGP's
    /// subkeys and, within one layout or ring, for any key that is one of them.
    pub fn functionary(&self) -> &[u8] {
        &self.functionary
    }

    /// The very keys whose signatures are its signatures, by SPKI: itself, or OpenPGP's master and subkeys as far as they may sign.
    pub fn covers(&self) -> impl Iterator<Item = &[u8]> {
        let own = self.pgp.is_none().then_some(self.spki());
        own.into_iter().chain(self.pgp.iter().flat_map(|pgp| pgp.signing()).map(|part| part.spki.as_slice()))
    }

    /// How the key signs.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Every id this key is known by: K0, K0b, K1, K2, K4, or OpenPGP's fingerprints with those of its subkeys (in-toto §1.3).
    pub fn ids(&self) -> &BTreeSet<String> {
        &self.ids
    }

    /// The same key under one more id.
    pub(crate) fn also_known_as(mut self, id: &str) -> Self {
        self.ids.insert(id.to_owned());
        self
    }

    /// The id we write: K2, as securesystemslib ≥ 1.0, or OpenPGP's fingerprint.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How many verifications under an ordinary key one under this key is as dear as, as limits of attempts count. Ours: two long
    /// exponentiations, of DSA alone.
    pub(crate) fn effort(&self) -> usize {
        let is_dsa = |material: &Material| matches!(material, Material::Dsa(_));
        match &self.pgp {
            Some(pgp) if pgp.parts().any(|part| is_dsa(&part.material)) => 4,
            _ => 1,
        }
    }

    /// Verifies under the key's scheme. ECDSA is DER; ed25519 strict; the salt of RSA PSS is of any length.
    ///
    /// # Errors
    /// [`BadSignature`], whatever is wrong with it.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        // An OpenPGP key makes OpenPGP signatures alone (R10).
        if self.pgp.is_some() {
            return Err(BadSignature);
        }
        match &self.material {
            Material::Ed25519(point) => ed25519::verify(point, message, signature),
            Material::P256(point) => ecdsa::verify_p256(point, message, signature),
            Material::P384(point) => ecdsa::verify_p384(point, message, signature),
            Material::P521(point) => ecdsa::verify_p521(point, message, signature),
            Material::MlDsa(set, key) => ml_dsa::verify(*set, key, message, signature),
            Material::Rsa { .. } => rsa::verify(self.scheme, &self.material, message, signature),
            Material::Dsa(_) => Err(BadSignature),
        }
    }

    /// As cosign signs image signatures: SHA-256 whatever the curve, RSA by PKCS#1 v1.5 (cosign's default) or PSS.
    ///
    /// # Errors
    /// [`BadSignature`], whatever is wrong with it.
    pub fn verify_cosign(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        if self.pgp.is_some() {
            return Err(BadSignature);
        }
        match &self.material {
            Material::P384(point) => ecdsa::verify_p384_sha256(point, message, signature),
            Material::P521(point) => ecdsa::verify_p521_sha256(point, message, signature),
            // What TAP 21 puts before the hash says "tuf".
            Material::MlDsa(..) => Err(BadSignature),
            Material::Rsa { .. } => rsa::verify(Scheme::RsaPkcs1Sha256, &self.material, message, signature)
                .or_else(|_| rsa::verify(Scheme::RsaPssSha256, &self.material, message, signature)),
            _ => self.verify(message, signature),
        }
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
    /// The ring of these keys, in their order.
    pub fn new(mut keys: Vec<NamedKey>) -> Self {
        unite(keys.iter_mut().map(|named| &mut named.key));
        KeyRing { keys }
    }

    /// The keys, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &NamedKey> {
        self.keys.iter()
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Distinct functionaries in the ring: one key under two names, or two schemes, is one (R15).
    pub fn distinct(&self) -> usize {
        self.keys.iter().map(|named| named.key.functionary()).collect::<BTreeSet<_>>().len()
    }
}

#[cfg(test)]
mod tests;
