//! Content digests: OCI `sha256:<hex>` strings and in-toto hash objects.

use crate::json;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::{fmt, str::FromStr};

mod set;

pub use set::DigestSet;

/// The hash algorithms we judge by (in-toto research R34; OCI image-spec, descriptor digests).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, 64 hex digits.
    Sha256,
    /// SHA-384, 96 hex digits.
    Sha384,
    /// SHA-512, 128 hex digits.
    Sha512,
}

impl Algorithm {
    /// Every accepted algorithm.
    pub const ALL: [Algorithm; 3] = [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];

    /// The name that OCI and in-toto share: `sha256`, `sha384`, `sha512`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha384 => "sha384",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// How many hex digits such a digest has.
    pub fn hex_len(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha384 => 96,
            Algorithm::Sha512 => 128,
        }
    }

    /// The hash of the bytes as lower-case hex.
    fn hex_of(self, bytes: &[u8]) -> String {
        match self {
            Algorithm::Sha256 => hex::encode(Sha256::digest(bytes)),
            Algorithm::Sha384 => hex::encode(Sha384::digest(bytes)),
            Algorithm::Sha512 => hex::encode(Sha512::digest(bytes)),
        }
    }

    /// Whether the text is a digest of this algorithm: its length, in lower-case hex.
    fn accepts(self, hex: &str) -> bool {
        hex.len() == self.hex_len() && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(name: &str) -> Result<Self, DigestError> {
        Algorithm::ALL.into_iter().find(|a| a.name() == name).ok_or_else(|| DigestError::malformed(name))
    }
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
    /// Not `algorithm:hex` of an accepted algorithm, its length and lower-case hex (security §2.A7). Holds the text, shortened.
    #[error("\"{0}\" is not a digest such as sha256:<64 lower-case hex digits>")]
    Malformed(String),
}

impl DigestError {
    fn malformed(text: &str) -> Self {
        DigestError::Malformed(json::shown(text))
    }
}

impl Digest {
    /// SHA-256 of the bytes.
    pub fn sha256(bytes: &[u8]) -> Self {
        Digest { algorithm: Algorithm::Sha256, hex: Algorithm::Sha256.hex_of(bytes) }
    }

    /// A digest from its two parts.
    ///
    /// # Errors
    /// [`DigestError::Malformed`] when the hex has another length or other characters than the algorithm's.
    pub fn new(algorithm: Algorithm, hex: &str) -> Result<Self, DigestError> {
        match algorithm.accepts(hex) {
            true => Ok(Digest { algorithm, hex: hex.to_owned() }),
            false => Err(DigestError::malformed(hex)),
        }
    }

    /// The algorithm before the colon.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The lower-case hex after the colon.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// Whether the bytes hash to this digest.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.algorithm.hex_of(bytes) == self.hex
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, hex) = text.split_once(':').ok_or_else(|| DigestError::malformed(text))?;
        let algorithm = name.parse().map_err(|_| DigestError::malformed(text))?;
        Digest::new(algorithm, hex).map_err(|_| DigestError::malformed(text))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
