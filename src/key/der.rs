//! SubjectPublicKeyInfo and PKCS#8, as much of their DER as our keys need (RFC 5280 4.1, 8017 A.1, 5480, 8410, 9881, 5208).
//!
//! Strictness comes from writing: what was read is written again and must be the same bytes, so that a key has one
//! encoding and a threshold cannot count it twice.

use super::{KeyError, MlDsa, dsa, ecdsa, ed25519, ml_dsa, rsa};

/// What a public key consists of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Material {
    /// The 32 bytes of RFC 8032.
    Ed25519(Vec<u8>),
    /// The uncompressed point, 65 bytes.
    P256(Vec<u8>),
    /// The uncompressed point, 97 bytes.
    P384(Vec<u8>),
    /// The uncompressed point, 133 bytes.
    P521(Vec<u8>),
    /// The encoded public key of FIPS 204.
    MlDsa(MlDsa, Vec<u8>),
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// Written as a SubjectPublicKeyInfo (RFC 3279 2.3.2) to be compared, and never read from one: OpenPGP alone has such keys.
    Dsa(dsa::Key),
}

impl Material {
    /// Whether its numbers are a sound key of their kind.
    pub(super) fn check(&self) -> Result<(), KeyError> {
        match self {
            Material::Ed25519(point) => ed25519::check(point),
            Material::P256(point) => ecdsa::check_p256(point),
            Material::P384(point) => ecdsa::check_p384(point),
            Material::P521(point) => ecdsa::check_p521(point),
            Material::MlDsa(set, key) => ml_dsa::check(*set, key),
            Material::Rsa { n, e } => rsa::check(n, e),
            Material::Dsa(key) => key.check(),
        }
    }

    /// What people call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Material::Ed25519(_) => "ed25519",
            Material::P256(_) => "ECDSA P-256",
            Material::P384(_) => "ECDSA P-384",
            Material::P521(_) => "ECDSA P-521",
            Material::MlDsa(set, _) => set.name(),
            Material::Rsa { .. } => "RSA",
            Material::Dsa(_) => "DSA",
        }
    }
}

// The AlgorithmIdentifiers as they stand in both containers, with their parameters.
const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
const P256: &[u8] = &[0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x30, 16, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22];
const P521: &[u8] = &[0x30, 16, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x23];
// RFC 9881: no parameters.
const ML_DSA_44: &[u8] = &[0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 17];
const ML_DSA_65: &[u8] = &[0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 18];
const ML_DSA_87: &[u8] = &[0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 19];
const RSA: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0xd, 1, 1, 1, 5, 0];

const DSA: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1];

/// Object identifiers we can name, though not use.
const NAMED: &[(&[u8], &str)] = &[
    (&[6, 5, 0x2b, 0x81, 4, 0, 0x21], "ECDSA P-224"),
    (&[6, 5, 0x2b, 0x81, 4, 0, 0x0a], "ECDSA secp256k1"),
    (&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0xd, 1, 1, 10], "a key restricted to RSASSA-PSS"),
    (DSA, "DSA"),
    (&[6, 3, 0x2b, 0x65, 0x71], "Ed448"),
    (&[6, 3, 0x2b, 0x65, 0x6e], "X25519"),
];

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
const OCTET_STRING: u8 = 4;

const NOT_SPKI: KeyError = KeyError::Malformed { what: "it is not the strict DER of a SubjectPublicKeyInfo" };
const NOT_PKCS8: KeyError = KeyError::Malformed { what: "it is not the DER of a PKCS#8 private key" };

/// Reads a SubjectPublicKeyInfo. Its numbers are not judged here.
pub(super) fn read_spki(der: &[u8]) -> Result<Material, KeyError> {
    let (algorithm, bits) = spki_parts(der).ok_or(NOT_SPKI)?;
    let material = match algorithm {
        ED25519 => Material::Ed25519(bits.to_vec()),
        // The same key in fewer bytes (RFC 5480 2.2), which is compared and written in as many as any.
        P256 | P384 | P521 if matches!(bits, [2 | 3, ..]) && spki(algorithm, bits) == der => {
            let point = ecdsa::uncompressed(bits)?;
            return Ok(match algorithm {
                P256 => Material::P256(point),
                P384 => Material::P384(point),
                _ => Material::P521(point),
            });
        }
        P256 => Material::P256(bits.to_vec()),
        P384 => Material::P384(bits.to_vec()),
        P521 => Material::P521(bits.to_vec()),
        ML_DSA_44 => Material::MlDsa(MlDsa::Set44, bits.to_vec()),
        ML_DSA_65 => Material::MlDsa(MlDsa::Set65, bits.to_vec()),
        ML_DSA_87 => Material::MlDsa(MlDsa::Set87, bits.to_vec()),
        RSA => {
            let (n, e) = read_rsa(bits).ok_or(NOT_SPKI)?;
            Material::Rsa { n: n.to_vec(), e: e.to_vec() }
        }
        other => return Err(unsupported(other)),
    };
    match write_spki(&material) == der {
        true => Ok(material),
        false => Err(NOT_SPKI),
    }
}

fn spki_parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = only(der, SEQUENCE)?;
    let (_, rest) = element(inner, SEQUENCE)?;
    let algorithm = inner.get(..inner.len() - rest.len())?;
    // The first byte of a bit string counts unused bits; keys have none.
    let bits = only(rest, BIT_STRING)?.strip_prefix(&[0])?;
    Some((algorithm, bits))
}

/// `RSAPublicKey`, or the beginning of an `RSAPrivateKey` behind its version: modulus and exponent without sign bytes.
fn read_rsa(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (n, rest) = element(only(der, SEQUENCE)?, INTEGER)?;
    let (e, _) = element(rest, INTEGER)?;
    Some((n.strip_prefix(&[0]).unwrap_or(n), e.strip_prefix(&[0]).unwrap_or(e)))
}

/// The SubjectPublicKeyInfo of a PKCS#1 `RSAPublicKey` in its only strict encoding. Its numbers are not judged here.
pub(super) fn spki_of_pkcs1(der: &[u8]) -> Result<Vec<u8>, KeyError> {
    const NOT_PKCS1: KeyError = KeyError::Malformed { what: "it is not the strict DER of an RSAPublicKey" };
    let (n, e) = read_rsa(der).ok_or(NOT_PKCS1)?;
    match rsa_public_key(n, e) == der {
        true => Ok(spki(RSA, der)),
        false => Err(NOT_PKCS1),
    }
}

/// Writes the one DER of the key.
pub(super) fn write_spki(material: &Material) -> Vec<u8> {
    let (algorithm, bits) = match material {
        Material::Ed25519(point) => (ED25519, point.clone()),
        Material::P256(point) => (P256, point.clone()),
        Material::P384(point) => (P384, point.clone()),
        Material::P521(point) => (P521, point.clone()),
        Material::MlDsa(MlDsa::Set44, key) => (ML_DSA_44, key.clone()),
        Material::MlDsa(MlDsa::Set65, key) => (ML_DSA_65, key.clone()),
        Material::MlDsa(MlDsa::Set87, key) => (ML_DSA_87, key.clone()),
        Material::Rsa { n, e } => (RSA, rsa_public_key(n, e)),
        Material::Dsa(dsa::Key { p, q, g, y }) => {
            let parameters = tlv(SEQUENCE, &[p, q, g].map(|number| unsigned(number)).concat());
            return spki(&tlv(SEQUENCE, &[DSA, &parameters].concat()), &unsigned(y));
        }
    };
    spki(algorithm, &bits)
}

fn spki(algorithm: &[u8], bits: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[algorithm, &tlv(BIT_STRING, &[&[0], bits].concat())].concat())
}

fn rsa_public_key(n: &[u8], e: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[unsigned(n), unsigned(e)].concat())
}

/// The two integers of a DSA signature (RFC 3279 2.2.2), in their only strict encoding.
pub(super) fn read_dsa_signature(der: &[u8]) -> Option<(&[u8], &[u8])> {
    // The same shape as modulus and exponent.
    let (r, s) = read_rsa(der)?;
    (dsa_signature(r, s) == der).then_some((r, s))
}

/// The DER of a DSA signature.
pub(super) fn dsa_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    rsa_public_key(r, s)
}

/// What kind of private key a PKCS#8 holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrivateKind {
    Ed25519,
    P256,
    P384,
    P521,
    MlDsa(MlDsa),
    Rsa { bits: usize },
}

/// Looks into a PKCS#8 as far as its algorithm and, of RSA, the size. Reading the key is the cryptographic library's.
pub(super) fn private_kind(der: &[u8]) -> Result<PrivateKind, KeyError> {
    let (algorithm, key) = pkcs8_parts(der).ok_or(NOT_PKCS8)?;
    match algorithm {
        ED25519 => Ok(PrivateKind::Ed25519),
        P256 => Ok(PrivateKind::P256),
        P384 => Ok(PrivateKind::P384),
        P521 => Ok(PrivateKind::P521),
        ML_DSA_44 => Ok(PrivateKind::MlDsa(MlDsa::Set44)),
        ML_DSA_65 => Ok(PrivateKind::MlDsa(MlDsa::Set65)),
        ML_DSA_87 => Ok(PrivateKind::MlDsa(MlDsa::Set87)),
        RSA => {
            let (_version, rest) = only(key, SEQUENCE).and_then(|k| element(k, INTEGER)).ok_or(NOT_PKCS8)?;
            let (n, _) = element(rest, INTEGER).ok_or(NOT_PKCS8)?;
            Ok(PrivateKind::Rsa { bits: super::rsa::bits(n) })
        }
        other => Err(unsupported(other)),
    }
}

fn pkcs8_parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_version, inner) = element(only(der, SEQUENCE)?, INTEGER)?;
    let (_, rest) = element(inner, SEQUENCE)?;
    let algorithm = inner.get(..inner.len() - rest.len())?;
    // Version 2 of the structure has the public key and attributes behind it.
    let (key, _) = element(rest, OCTET_STRING)?;
    Some((algorithm, key))
}

fn unsupported(algorithm: &[u8]) -> KeyError {
    let named = NAMED.iter().find(|(oid, _)| algorithm.windows(oid.len()).any(|w| w == *oid));
    KeyError::Unsupported { what: named.map_or("the algorithm of the key", |(_, name)| name).into() }
}

/// The content of an element of that tag, and what follows it. Lengths up to 65535, by their shortest form.
fn element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (len, rest) = match input.strip_prefix(&[tag])? {
        [0x82, high, low, rest @ ..] if *high > 0 => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [0x81, len, rest @ ..] if *len >= 0x80 => (usize::from(*len), rest),
        [len, rest @ ..] if *len < 0x80 => (usize::from(*len), rest),
        _ => return None,
    };
    rest.split_at_checked(len)
}

/// The content of the element that is the whole input.
fn only(input: &[u8], tag: u8) -> Option<&[u8]> {
    element(input, tag).filter(|(_, rest)| rest.is_empty()).map(|(content, _)| content)
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u16::try_from(content.len()).map(u16::to_be_bytes) {
        Ok([0, low]) if low < 0x80 => out.push(low),
        Ok([0, low]) => out.extend([0x81, low]),
        Ok([high, low]) => out.extend([0x82, high, low]),
        // What we write has been read by `element`, or is a key of ours: never this long. An empty element is no key.
        Err(_) => return Vec::new(),
    }
    out.extend_from_slice(content);
    out
}

/// A non-negative INTEGER.
fn unsigned(magnitude: &[u8]) -> Vec<u8> {
    match magnitude {
        [0x80..=0xff, ..] | [] => tlv(INTEGER, &[&[0], magnitude].concat()),
        _ => tlv(INTEGER, magnitude),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_in_its_shortest_form() {
        let of = |head: &[u8], len: usize| {
            let bytes = [head, &vec![7; len], &[9]].concat();
            element(&bytes, 4).map(|(content, rest)| (content.len(), rest.to_vec()))
        };
        let found = |len| Some((len, vec![9]));
        assert_eq!((of(&[4, 0], 0), of(&[4, 0x7f], 0x7f)), (found(0), found(0x7f)));
        assert_eq!((of(&[4, 0x81, 0x80], 0x80), of(&[4, 0x81, 0xff], 0xff)), (found(0x80), found(0xff)));
        assert_eq!((of(&[4, 0x82, 1, 0], 0x100), of(&[4, 0x82, 1, 1], 0x101)), (found(0x100), found(0x101)));
        // Longer than it need be, without an end, and beyond what there is.
        for (head, len) in [
            (&[4, 0x81, 0x7f][..], 0x7f),
            (&[4, 0x82, 0, 0xff], 0xff),
            (&[4, 0x80], 0x80),
            (&[4, 0x83, 0, 1, 0], 0x100),
        ] {
            assert_eq!(of(head, len), None, "{head:?}");
        }
        assert_eq!(of(&[4, 9], 7), None);
        assert_eq!(of(&[3, 1], 1), None, "another tag");
        for len in [0, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            let written = tlv(4, &vec![7; len]);
            assert_eq!(only(&written, 4).map(<[u8]>::len), Some(len));
        }
    }
}
