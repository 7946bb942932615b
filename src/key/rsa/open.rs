//! What an RSA signature holds, by the public operation alone. The cryptographic library judges signatures; here is what it does not
//! have: PSS of whatever salt length, and SHA-224.

use aws_lc_rs::digest::{self, Algorithm, Digest};
use num_bigint::BigUint;

/// The encoded message of a signature (RSAVP1, RFC 8017 5.2.2), as long as the modulus. One exponentiation, whose exponent has at most
/// 33 bits (`rsa::check`): not more work than a verification is.
pub(super) fn open(n: &[u8], e: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
    let len = n.len();
    let [n, e, number] = [n, e, signature].map(BigUint::from_bytes_be);
    if signature.len() != len || number >= n {
        return None;
    }
    let opened = number.modpow(&e, &n).to_bytes_be();
    Some([vec![0; len.checked_sub(opened.len())?], opened].concat())
}

/// An encoded message of PSS taken apart (EMSA-PSS, RFC 8017 9.1.2, up to step 11).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pss {
    pub(super) salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Pss {
    /// `bits` are the modulus's. Off-spec as in step 10 alone: the salt is as long as it is, not as it should be.
    pub(super) fn read(encoded: &[u8], bits: usize, hash: &'static Algorithm) -> Option<Self> {
        // One bit less than the modulus: where that makes a byte less, the first one is zero.
        let (len, free) = (bits.checked_sub(1)?.div_ceil(8), 8 * encoded.len() - bits.checked_sub(1)?);
        let (before, encoded) = encoded.split_at_checked(encoded.len().checked_sub(len)?)?;
        let (masked, rest) = encoded.split_at_checked(len.checked_sub(hash.output_len() + 1)?)?;
        let (digest, trailer) = rest.split_at_checked(hash.output_len())?;
        let top = 0xff_u8.checked_shr(u32::try_from(free % 8).ok()?)?;
        if before.iter().any(|byte| *byte != 0) || trailer != [0xbc] || masked.first()? & !top != 0 {
            return None;
        }
        let mut block: Vec<u8> = masked.iter().zip(mask(hash, digest)).map(|(byte, mask)| byte ^ mask).collect();
        *block.first_mut()? &= top;
        let padding = block.iter().take_while(|byte| **byte == 0).count();
        let salt = block.get(padding..)?.strip_prefix(&[1])?;
        Some(Pss { salt: salt.to_vec(), hash: digest.to_vec() })
    }

    /// Steps 12 to 14: whether it is that message's.
    pub(super) fn is_of(&self, hashed: &Digest) -> bool {
        let message = [&[0; 8], hashed.as_ref(), &self.salt].concat();
        digest::digest(hashed.algorithm(), &message).as_ref() == self.hash
    }
}

/// MGF1 (RFC 8017 B.2.1), without an end.
pub(super) fn mask(hash: &'static Algorithm, seed: &[u8]) -> impl Iterator<Item = u8> {
    (0_u32..).flat_map(move |counter| {
        let block = digest::digest(hash, &[seed, &counter.to_be_bytes()].concat());
        block.as_ref().to_vec()
    })
}

/// The DER of `DigestInfo` before a SHA-224 (RFC 8017 9.2, note 1).
const SHA224_INFO: &[u8] = &[0x30, 45, 0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 4, 5, 0, 4, 28];

/// The one encoded message of that length over a SHA-224 (EMSA-PKCS1-v1_5, RFC 8017 9.2): whoever compares it whole has no padding to
/// read, and so none to misread.
pub(super) fn pkcs1_sha224(hashed: &Digest, len: usize) -> Option<Vec<u8>> {
    let info = [SHA224_INFO, hashed.as_ref()].concat();
    let padding = len.checked_sub(info.len() + 3).filter(|padding| *padding >= 8)?;
    Some([&[0, 1], vec![0xff; padding].as_slice(), &[0], &info].concat())
}
