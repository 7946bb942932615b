//! Ed25519 (RFC 8032), strictly: no small-order keys, one encoding a key, canonical S.

use super::{BadSignature, KeyError};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

/// The y coordinates, little-endian, of the points of small order other than 0, 1 and p − 1: under such a key one
/// signature verifies for many messages.
const SMALL_ORDER: [[u8; 32]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// Refuses points of small order and encodings of y that are not below p.
pub(super) fn check(point: &[u8]) -> Result<(), KeyError> {
    let mut y: [u8; 32] =
        point.try_into().map_err(|_| KeyError::Malformed { what: "an ed25519 public key has 32 bytes" })?;
    // The top bit is the sign of x.
    let [.., sign] = &mut y;
    *sign &= 0x7f;
    let ([first, middle @ .., last], weak) = (&y, KeyError::Malformed { what: "the ed25519 point has small order" });
    if middle.iter().all(|b| *b == 0xff) && *last == 0x7f {
        // p is 2^255 − 19, so its lowest byte is 0xed.
        match first {
            0xec => return Err(weak),
            0xed.. => return Err(KeyError::Malformed { what: "the ed25519 point is not encoded canonically" }),
            _ => {}
        }
    }
    let zero_or_one = *first <= 1 && middle.iter().chain([last]).all(|b| *b == 0);
    if zero_or_one || SMALL_ORDER.contains(&y) { Err(weak) } else { Ok(()) }
}

/// The library checks that S is below the order of the group and compares R byte for byte.
pub(super) fn verify(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    UnparsedPublicKey::new(&ED25519, point).verify(message, signature).map_err(|_| BadSignature)
}
