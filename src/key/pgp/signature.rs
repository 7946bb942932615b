//! Version 4 signatures (RFC 9580 5.2.3): what they say in the part that is signed, and whether they verify.

use super::packet;
use crate::key::{BadSignature, der, der::Material, ed25519, rsa};
use aws_lc_rs::digest::{Algorithm, Context, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};

/// SHA-256, the hash of in-toto's signatures.
pub(super) const HASH_SHA256: u8 = 8;

/// What the hashed part of a signature says. Only what we go by is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    pub(super) kind: u8,
    pub(super) algorithm: u8,
    pub(super) hash: u8,
    /// Seconds since 1970.
    pub(super) created: u32,
    /// Seconds from then, until when the signature holds; absent or zero: for ever.
    pub(super) expires_after: Option<u32>,
    /// Seconds from the creation of the key, until when the key holds.
    pub(super) key_expires_after: Option<u32>,
    /// What the key may be used for.
    pub(super) flags: Option<u8>,
    /// The fingerprint of the key that signed.
    pub(super) issuer: Option<String>,
    /// Another key may revoke this one.
    pub(super) revoker: bool,
}

impl Headers {
    /// From the version to the end of the hashed subpackets, and nothing behind them. A critical subpacket that we do not know, and one
    /// that we go by and that stands twice, is a fault: readers would differ about what is signed.
    pub(super) fn read(hashed: &[u8]) -> Result<Self, &'static str> {
        let (kind, algorithm, hash, mut rest) = match hashed {
            [4, kind, algorithm, hash, a, b, rest @ ..] if rest.len() == usize::from(u16::from_be_bytes([*a, *b])) => {
                (*kind, *algorithm, *hash, rest)
            }
            [4, ..] => return Err("its hashed part is not as long as it says"),
            _ => return Err("it is not of version 4"),
        };
        let mut headers = Headers { kind, algorithm, hash, ..Headers::default() };
        let mut created = None;
        while !rest.is_empty() {
            let (content, after) = packet::subpacket(rest).ok_or("a subpacket is cut short")?;
            let (tag, content) = content.split_first().ok_or("a subpacket is empty")?;
            match (tag & 0x7f, content) {
                (2, [a, b, c, d]) => once(&mut created, u32::from_be_bytes([*a, *b, *c, *d]))?,
                (3, [a, b, c, d]) => once(&mut headers.expires_after, u32::from_be_bytes([*a, *b, *c, *d]))?,
                (9, [a, b, c, d]) => once(&mut headers.key_expires_after, u32::from_be_bytes([*a, *b, *c, *d]))?,
                (27, flags) => once(&mut headers.flags, flags.first().copied().unwrap_or_default())?,
                (33, [4, fingerprint @ ..]) => once(&mut headers.issuer, hex::encode(fingerprint))?,
                (2 | 3 | 9 | 33, _) => return Err("a subpacket is malformed"),
                (12, _) => headers.revoker = true,
                // Trust, preferences, remarks: they change nothing about who signed what.
                (4..=7 | 11 | 16 | 21..=26 | 28..=32 | 34 | 35 | 39, _) => {}
                _ if tag & 0x80 != 0 => return Err("it has a critical subpacket of a kind that is not known"),
                _ => {}
            }
            rest = after;
        }
        headers.created = created.ok_or("it does not say when it was made")?;
        Ok(headers)
    }

    /// Whether a signature by such a key says so.
    pub(super) fn is_by(&self, material: &Material) -> bool {
        match material {
            Material::Rsa { .. } => matches!(self.algorithm, 1 | 3),
            Material::Ed25519(_) => matches!(self.algorithm, 22 | 27),
            Material::Dsa(_) => self.algorithm == 17,
            Material::P256(_) | Material::P384(_) | Material::P521(_) | Material::MlDsa(..) => false,
        }
    }

    /// When the signature ends to hold, in seconds since 1970.
    pub(super) fn expires(&self) -> Option<i64> {
        self.expires_after.filter(|after| *after > 0).map(|after| i64::from(self.created) + i64::from(after))
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("a subpacket stands twice"),
    }
}

/// A signature of a certificate.
#[derive(Clone, Debug)]
pub(super) struct Signature<'b> {
    pub(super) headers: Headers,
    hashed: &'b [u8],
    unhashed: &'b [u8],
    value: &'b [u8],
}

impl<'b> Signature<'b> {
    /// The body of a signature packet; `None`: not one that could count.
    pub(super) fn read(body: &'b [u8]) -> Option<Self> {
        let [4, _, _, _, a, b, ..] = body else { return None };
        let (hashed, rest) = body.split_at_checked(6 + usize::from(u16::from_be_bytes([*a, *b])))?;
        let (len, rest) = rest.split_first_chunk()?;
        let (unhashed, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        // The first two bytes of the hash only help to be fast.
        let (_, value) = rest.split_at_checked(2)?;
        Some(Signature { headers: Headers::read(hashed).ok()?, hashed, unhashed, value })
    }

    /// Whether it says that the key of that fingerprint made it. Saves the work on what others certified.
    pub(super) fn claims(&self, id: &str) -> bool {
        if let Some(issuer) = &self.headers.issuer {
            return issuer == id;
        }
        let hinted =
            |(tag, content): (u8, &[u8])| tag == 16 && id.ends_with(&hex::encode(content)) && content.len() == 8;
        let areas = [self.hashed.get(6..).unwrap_or_default(), self.unhashed];
        areas.into_iter().flat_map(Subpackets).any(hinted)
    }

    /// Signatures in this one: those by which a subkey takes its master. They vouch for themselves, wherever they stand.
    pub(super) fn embedded(&self) -> impl Iterator<Item = Signature<'b>> {
        let areas = [self.hashed.get(6..).unwrap_or_default(), self.unhashed];
        let inner = areas.into_iter().flat_map(Subpackets).filter(|(tag, _)| *tag == 32);
        inner.filter_map(|(_, content)| Signature::read(content)).take(2)
    }

    /// Whether it is by that key over these bytes.
    pub(super) fn verifies(&self, material: &Material, spki: &[u8], message: &[&[u8]]) -> bool {
        let Some(digest) = self.headers.is_by(material).then(|| hash(self.headers.hash, message, self.hashed)) else {
            return false;
        };
        let Some((digest, value)) = digest.zip(self.value()) else { return false };
        check(material, spki, &digest, &value).is_ok()
    }

    /// The numbers of the signature as one text of bytes.
    fn value(&self) -> Option<Vec<u8>> {
        if self.headers.algorithm == 27 {
            return Some(self.value.to_vec());
        }
        let (first, rest) = packet::integer(self.value)?;
        if !matches!(self.headers.algorithm, 17 | 22) {
            return rest.is_empty().then(|| first.to_vec());
        }
        let (second, rest) = packet::integer(rest)?;
        if self.headers.algorithm == 17 {
            return rest.is_empty().then(|| der::dsa_signature(first, second));
        }
        // Integers lose their leading zeros; the halves of an Ed25519 signature have 32 bytes (RFC 9580 5.2.3.3.1).
        Some([padded(first, 32)?, padded(second, 32)?].concat()).filter(|_| rest.is_empty())
    }
}

/// Type and content of each subpacket of an area; ends where it cannot be read.
struct Subpackets<'b>(&'b [u8]);
impl<'b> Iterator for Subpackets<'b> {
    type Item = (u8, &'b [u8]);
    fn next(&mut self) -> Option<Self::Item> {
        let (content, rest) = packet::subpacket(self.0)?;
        self.0 = rest;
        content.split_first().map(|(tag, content)| (tag & 0x7f, content))
    }
}

/// What a signature signs: the hash of the message, its own hashed part, and how long that is (RFC 9580 5.2.4).
pub(super) fn hash(algorithm: u8, message: &[&[u8]], hashed: &[u8]) -> Option<Digest> {
    let algorithm: &'static Algorithm = match algorithm {
        2 => &SHA1_FOR_LEGACY_USE_ONLY,
        HASH_SHA256 => &SHA256,
        9 => &SHA384,
        10 => &SHA512,
        _ => return None,
    };
    let mut context = Context::new(algorithm);
    message.iter().for_each(|part| context.update(part));
    context.update(hashed);
    context.update(&[4, 0xff]);
    context.update(&u32::try_from(hashed.len()).ok()?.to_be_bytes());
    Some(context.finish())
}

/// RSA by PKCS#1 v1.5, which integers may have robbed of its leading zeros; DSA as DER; EdDSA over the hash.
pub(super) fn check(material: &Material, spki: &[u8], digest: &Digest, value: &[u8]) -> Result<(), BadSignature> {
    match material {
        Material::Rsa { n, .. } => rsa::verify_pkcs1(spki, digest, &padded(value, n.len()).ok_or(BadSignature)?),
        Material::Ed25519(point) => ed25519::verify(point, digest.as_ref(), value),
        Material::Dsa(key) => key.verify(digest.as_ref(), value),
        Material::P256(_) | Material::P384(_) | Material::P521(_) | Material::MlDsa(..) => Err(BadSignature),
    }
}

fn padded(number: &[u8], len: usize) -> Option<Vec<u8>> {
    let zeros = len.checked_sub(number.len())?;
    Some([vec![0; zeros].as_slice(), number].concat())
}
