//! Content digests: OCI `sha256:<hex>` strings and in-toto hash objects.

use std::{collections::BTreeMap, fmt, str::FromStr};

/// The hash algorithms we judge by (in-toto research R34; OCI image-spec, descriptor digests).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

/// A digest that is well formed: known algorithm, right length, lower-case hex. Written `sha256:<hex>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

/// Why a text is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("\"{0}\" is not a digest such as sha256:<64 lower-case hex digits>")]
    Malformed(String),
}

impl Digest {
    /// SHA-256 of the bytes.
    pub fn sha256(bytes: &[u8]) -> Self {
        let _ = bytes;
        todo!()
    }
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
    pub fn hex(&self) -> &str {
        &self.hex
    }
    /// Whether the bytes hash to this digest.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let _ = bytes;
        todo!()
    }
}
impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let _ = text;
        todo!()
    }
}
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!()
    }
}
// also: serde Serialize (as the string) and Deserialize (strict)

/// An in-toto hash object: algorithm name → hex, as written in a link or a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DigestSet(pub BTreeMap<String, String>);

impl DigestSet {
    pub fn of(digest: &Digest) -> Self {
        let _ = digest;
        todo!()
    }
    /// R34: they share at least one accepted algorithm and agree on all shared ones.
    pub fn agrees_with(&self, other: &DigestSet) -> bool {
        let _ = other;
        todo!()
    }
    /// R34: at least one accepted algorithm, each of them with the right length in lower-case hex.
    pub fn is_well_formed(&self) -> bool {
        todo!()
    }
}
