//! Hash objects: what links and subjects say of a content, under several algorithms.

use super::{Algorithm, Digest};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// An in-toto hash object: algorithm name → hex, as written in a link or a subject. May hold algorithms we do not judge by.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DigestSet(Hashes);

/// One content in one form: `Sha256` wherever that alone says it, as nearly every link does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hashes {
    /// A well-formed SHA-256, and nothing else.
    Sha256([u8; 32]),
    /// Sorted by algorithm.
    Named(Box<[(String, String)]>),
}

impl Default for Hashes {
    fn default() -> Self {
        Hashes::Named(Box::default())
    }
}

impl DigestSet {
    /// The hash object with this one digest.
    pub fn of(digest: &Digest) -> Self {
        [(digest.algorithm().name().to_owned(), digest.hex().to_owned())].into_iter().collect()
    }

    /// The hash object with a SHA-256 alone, where its hex is well formed.
    pub(crate) fn sha256(hex: &str) -> Option<Self> {
        Some(DigestSet(Hashes::Sha256(unhex(hex.as_bytes().try_into().ok()?)?)))
    }

    /// The hash object with this SHA-256.
    pub fn of_sha256(hash: [u8; 32]) -> Self {
        DigestSet(Hashes::Sha256(hash))
    }

    /// The hex under that algorithm.
    pub fn get(&self, algorithm: &str) -> Option<Cow<'_, str>> {
        match &self.0 {
            Hashes::Sha256(bytes) => (algorithm == "sha256").then(|| hex(bytes).into()),
            Hashes::Named(named) => {
                let at = named.binary_search_by(|(name, _)| name.as_str().cmp(algorithm)).ok()?;
                named.get(at).map(|(_, hex)| hex.as_str().into())
            }
        }
    }

    /// Algorithm and hex, sorted by algorithm.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let (one, named) = match &self.0 {
            Hashes::Sha256(bytes) => (Some(("sha256", hex(bytes).into())), Default::default()),
            Hashes::Named(named) => (None, named.iter()),
        };
        one.into_iter().chain(named.map(|(name, hex)| (name.as_str(), hex.as_str().into())))
    }

    /// Takes in what the other knows; where both know, the other's word stays.
    pub fn merge(&mut self, other: &DigestSet) {
        if self != other {
            *self = self.iter().chain(other.iter()).map(|(name, hex)| (name.to_owned(), hex.into_owned())).collect();
        }
    }

    /// R34: they share at least one accepted algorithm and agree on all shared ones, accepted or not.
    ///
    /// Off-spec: the reference implementations compare the whole map, so that `{}` equals `{}`.
    pub fn agrees_with(&self, other: &DigestSet) -> bool {
        if let (Hashes::Sha256(ours), Hashes::Sha256(theirs)) = (&self.0, &other.0) {
            return ours == theirs;
        }
        let mut shared_accepted = false;
        for (name, hex) in self.iter() {
            match other.get(name) {
                None => continue,
                Some(theirs) if theirs != hex => return false,
                Some(_) => shared_accepted |= accepted(name).is_some_and(|a| a.accepts(&hex)),
            }
        }
        shared_accepted
    }

    /// R34: at least one accepted algorithm, each of them with the right length in lower-case hex.
    pub fn is_well_formed(&self) -> bool {
        let Hashes::Named(named) = &self.0 else { return true };
        let mut known = named.iter().filter_map(|(name, hex)| Some(accepted(name)?.accepts(hex))).peekable();
        known.peek().is_some() && known.all(|fits| fits)
    }

    /// The well-formed digests among them, strongest last.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        Algorithm::ALL.into_iter().filter_map(|a| Digest::new(a, &self.get(a.name())?).ok())
    }
}

/// Of an algorithm that comes twice the last counts.
impl FromIterator<(String, String)> for DigestSet {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(hashes: I) -> Self {
        let mut named: Vec<(String, String)> = hashes.into_iter().collect();
        named.reverse();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        named.dedup_by(|(a, _), (b, _)| a == b);
        match named.as_slice() {
            [(name, hex)] if name == "sha256" => DigestSet::sha256(hex),
            _ => None,
        }
        .unwrap_or_else(|| DigestSet(Hashes::Named(named.into())))
    }
}

/// As it stands in a link.
impl Serialize for DigestSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// The accepted algorithm of that name.
fn accepted(name: &str) -> Option<Algorithm> {
    Algorithm::ALL.into_iter().find(|a| a.name() == name)
}

/// Lower-case hex, by whole bytes: links have thousands of them.
fn hex(bytes: &[u8; 32]) -> String {
    let mut text = vec![0; 64];
    // It does not fail: there is room for two digits a byte, and digits are text.
    let _ = hex::encode_to_slice(bytes, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// The bytes behind lower-case hex, eight digits at a time.
fn unhex(hex: &[u8; 64]) -> Option<[u8; 32]> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let (words, _) = hex.as_chunks::<8>();
    let mut bytes = [0; 32];
    let (fours, _) = bytes.as_chunks_mut::<4>();
    let mut valid = true;
    for (word, four) in words.iter().zip(fours) {
        // No byte ever carries into the next: digits are at most 24 on the way.
        let word = u64::from_be_bytes(*word);
        let letters = (word >> 6) & ONES;
        let digits = (word & (0xf * ONES)).wrapping_add(9 * letters);
        let are_letters = (digits.wrapping_add(6 * ONES) >> 4) & ONES;
        let written = digits.wrapping_add(0x30 * ONES).wrapping_add(0x27 * letters);
        valid &= written == word && are_letters == letters && digits & (0x10 * ONES) == 0;
        // Neighbours together: two digits of eight bits, then four of them to a word.
        let pairs = (digits | (digits >> 4)) & 0x00ff_00ff_00ff_00ff;
        let quads = (pairs | (pairs >> 8)) & 0x0000_ffff_0000_ffff;
        let [_, _, _, _, packed @ ..] = (quads | (quads >> 16)).to_be_bytes();
        *four = packed;
    }
    valid.then_some(bytes)
}
