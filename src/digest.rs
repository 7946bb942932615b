//! Content digests: OCI `sha256:<hex>` strings and in-toto hash objects.

use crate::json;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::{collections::BTreeMap, fmt, str::FromStr};

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

/// An in-toto hash object: algorithm name → hex, as written in a link or a subject. May hold algorithms we do not judge by.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DigestSet(pub BTreeMap<String, String>);

impl DigestSet {
    /// The hash object with this one digest.
    pub fn of(digest: &Digest) -> Self {
        DigestSet(BTreeMap::from([(digest.algorithm.name().to_owned(), digest.hex.clone())]))
    }

    /// R34: they share at least one accepted algorithm and agree on all shared ones, accepted or not.
    ///
    /// Off-spec: the reference implementations compare the whole map, so that `{}` equals `{}`.
    pub fn agrees_with(&self, other: &DigestSet) -> bool {
        let mut shared_accepted = false;
        for (name, hex) in &self.0 {
            match other.0.get(name) {
                None => continue,
                Some(theirs) if theirs != hex => return false,
                Some(_) => shared_accepted |= accepted(name).is_some_and(|a| a.accepts(hex)),
            }
        }
        shared_accepted
    }

    /// R34: at least one accepted algorithm, each of them with the right length in lower-case hex.
    pub fn is_well_formed(&self) -> bool {
        let mut known = self.0.iter().filter_map(|(name, hex)| Some(accepted(name)?.accepts(hex))).peekable();
        known.peek().is_some() && known.all(|fits| fits)
    }

    /// The well-formed digests among them, strongest last.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        Algorithm::ALL.into_iter().filter_map(|a| Digest::new(a, self.0.get(a.name())?).ok())
    }
}

/// The accepted algorithm of that name.
fn accepted(name: &str) -> Option<Algorithm> {
    Algorithm::ALL.into_iter().find(|a| a.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn set(pairs: &[(&str, &str)]) -> DigestSet {
        DigestSet(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn a_digest_is_read_and_written_as_it_stands() {
        let digest: Digest = EMPTY.parse().unwrap();
        assert_eq!((digest.algorithm(), digest.to_string().as_str()), (Algorithm::Sha256, EMPTY));
        assert_eq!(digest, Digest::sha256(b""));
        assert!(digest.matches(b"") && !digest.matches(b"x"));
        let long = format!("sha512:{}", "0a".repeat(64));
        assert_eq!(long.parse::<Digest>().unwrap().to_string(), long);
        assert_eq!(Algorithm::Sha384.hex_of(b"").len(), 96);
    }

    #[test]
    fn anything_else_is_no_digest() {
        let upper = EMPTY.to_uppercase();
        let mixed = EMPTY.replace('e', "E");
        let md5 = format!("md5:{}", "0".repeat(32));
        let short = &EMPTY[..70];
        let long = format!("{EMPTY}0");
        for text in
            ["", ":", "sha256", "sha256:", &upper, &mixed, &md5, short, &long, &EMPTY[7..], " sha256:00", "sha512:00"]
        {
            assert!(matches!(text.parse::<Digest>(), Err(DigestError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn an_error_shows_no_control_characters() {
        assert_eq!("a\u{1b}[2J".parse::<Digest>(), Err(DigestError::Malformed("a\\u{1b}[2J".into())));
    }

    #[test]
    fn serde_is_as_strict_as_parsing() {
        let text = format!("\"{EMPTY}\"");
        let digest: Digest = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&digest).unwrap(), text);
        assert!(serde_json::from_str::<Digest>("\"sha256:00\"").is_err());
    }

    #[test]
    fn sets_agree_on_all_they_share() {
        let (a, b, c) = ("a".repeat(64), "b".repeat(64), "c".repeat(128));
        let one = set(&[("sha256", &a)]);
        assert!(one.agrees_with(&one));
        assert!(one.agrees_with(&set(&[("sha256", &a), ("sha512", &c)])));
        assert!(!one.agrees_with(&set(&[("sha256", &b)])));
        assert!(!one.agrees_with(&set(&[("sha512", &c)])), "nothing shared");
        let with_md5 = set(&[("sha256", &a), ("md5", "00")]);
        assert!(one.agrees_with(&with_md5));
        assert!(!with_md5.agrees_with(&set(&[("sha256", &a), ("md5", "11")])), "all shared ones count");
        assert!(!set(&[]).agrees_with(&set(&[])));
        assert!(!set(&[("md5", "00")]).agrees_with(&set(&[("md5", "00")])));
        assert!(!set(&[("sha256", "ab")]).agrees_with(&set(&[("sha256", "ab")])), "too short to mean anything");
    }

    #[test]
    fn a_set_needs_an_accepted_digest_of_the_right_form() {
        let a = "a".repeat(64);
        assert!(set(&[("sha256", &a)]).is_well_formed());
        assert!(set(&[("sha256", &a), ("gitBlob", "?")]).is_well_formed());
        assert!(DigestSet::of(&Digest::sha256(b"")).is_well_formed());
        for bad in [set(&[]), set(&[("md5", &a)]), set(&[("sha256", "ab")]), set(&[("sha256", &a.to_uppercase())])] {
            assert!(!bad.is_well_formed(), "{bad:?}");
        }
        assert!(!set(&[("sha256", &a), ("sha512", &a)]).is_well_formed(), "each accepted one must fit");
        assert_eq!(DigestSet::of(&Digest::sha256(b"")).digests().collect::<Vec<_>>(), [Digest::sha256(b"")]);
    }
}
