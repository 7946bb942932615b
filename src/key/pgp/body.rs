//! The body of a version 4 public-key packet (RFC 9580 5.5.2.2, 5.5.5).

use super::packet;
use crate::key::{KeyError, der::Material, dsa};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// The curve of legacy EdDSA keys, 1.3.6.1.4.1.11591.15.1 behind its length.
const ED25519_LEGACY: &[u8] = &[9, 0x2b, 6, 1, 4, 1, 0xda, 0x47, 0x0f, 1];

/// A key as its packet says it.
pub(super) struct Body {
    /// What a signature over this key hashes: `99`, the length, the body.
    pub(super) hashed: Vec<u8>,
    /// The fingerprint, in hexadecimal.
    pub(super) id: String,
    pub(super) created: u32,
    /// Not checked yet.
    pub(super) material: Result<Material, KeyError>,
}

pub(super) fn read(body: &[u8]) -> Result<Body, KeyError> {
    let (created, algorithm, rest) = match body {
        [4, a, b, c, d, algorithm, rest @ ..] => (u32::from_be_bytes([*a, *b, *c, *d]), *algorithm, rest),
        [version, ..] if *version != 4 => {
            return Err(KeyError::Unsupported { what: format!("an OpenPGP key of version {version}") });
        }
        _ => return Err(MALFORMED),
    };
    let len = u16::try_from(body.len()).map_err(|_| MALFORMED)?;
    let hashed = [&[0x99], len.to_be_bytes().as_slice(), body].concat();
    // A version 4 fingerprint is SHA-1 (RFC 9580 5.5.4.2). It is a label: nothing is trusted for it.
    let id = hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &hashed));
    Ok(Body { hashed, id, created, material: material(algorithm, rest) })
}

const MALFORMED: KeyError = KeyError::Malformed { what: "its OpenPGP public-key packet is broken" };

fn material(algorithm: u8, bytes: &[u8]) -> Result<Material, KeyError> {
    let unsupported = |what: &str| Err(KeyError::Unsupported { what: format!("an OpenPGP key of {what}") });
    match algorithm {
        1 | 3 => rsa(bytes).ok_or(MALFORMED),
        22 => legacy_ed25519(bytes).unwrap_or_else(|| unsupported("legacy EdDSA on another curve than Ed25519")),
        27 => match bytes.len() {
            32 => Ok(Material::Ed25519(bytes.to_vec())),
            _ => Err(MALFORMED),
        },
        2 => unsupported("RSA for encryption alone"),
        16 => unsupported("Elgamal"),
        17 => dsa(bytes).ok_or(MALFORMED),
        18 => unsupported("ECDH"),
        19 => unsupported("ECDSA"),
        25 => unsupported("X25519"),
        other => unsupported(&format!("algorithm {other}")),
    }
}

fn rsa(bytes: &[u8]) -> Option<Material> {
    let (n, rest) = packet::integer(bytes)?;
    let (e, rest) = packet::integer(rest)?;
    rest.is_empty().then(|| Material::Rsa { n: n.to_vec(), e: e.to_vec() })
}

fn dsa(bytes: &[u8]) -> Option<Material> {
    let (p, rest) = packet::integer(bytes)?;
    let (q, rest) = packet::integer(rest)?;
    let (g, rest) = packet::integer(rest)?;
    let (y, rest) = packet::integer(rest)?;
    let [p, q, g, y] = [p, q, g, y].map(<[u8]>::to_vec);
    rest.is_empty().then_some(Material::Dsa(dsa::Key { p, q, g, y }))
}

/// `None` on another curve.
fn legacy_ed25519(bytes: &[u8]) -> Option<Result<Material, KeyError>> {
    // An integer that begins with 40 is a point in its native encoding (RFC 9580 11.2).
    Some(match packet::integer(bytes.strip_prefix(ED25519_LEGACY)?) {
        Some(([0x40, point @ ..], [])) => Ok(Material::Ed25519(point.to_vec())),
        _ => Err(MALFORMED),
    })
}
