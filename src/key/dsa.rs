//! DSA (FIPS 186-4 §4), as old OpenPGP keys sign: verified, and never signed by. The cryptographic library has none; a few lines on the
//! integers that are here already (`key/rsa/open.rs`) take fewer words than would check and call another library. All numbers are public,
//! so nothing has to take the same time.

use super::{BadSignature, KeyError, der};
use num_bigint::BigUint;

/// Bits of the prime (§4.2): fewer are weak, and more nobody makes.
const PRIME: std::ops::RangeInclusive<u64> = 2048..=3072;
/// Bits of the order of the subgroup (§4.2).
const ORDER: std::ops::RangeInclusive<u64> = 224..=256;

/// A key's numbers, big-endian.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) p: Vec<u8>,
    pub(super) q: Vec<u8>,
    pub(super) g: Vec<u8>,
    pub(super) y: Vec<u8>,
}

impl Key {
    fn numbers(&self) -> [BigUint; 4] {
        [&self.p, &self.q, &self.g, &self.y].map(|bytes| BigUint::from_bytes_be(bytes))
    }

    /// The sizes, and that `g` and `y` are of the order `q`, without which whoever likes could sign (SP 800-89 5.3.1). That `p` and `q` are
    /// prime is whose key it is to answer for.
    pub(super) fn check(&self) -> Result<(), KeyError> {
        let [p, q, g, y] = self.numbers();
        let bits = usize::try_from(p.bits()).unwrap_or(usize::MAX);
        if !PRIME.contains(&p.bits()) {
            return Err(KeyError::WeakDsa { bits });
        }
        let one = BigUint::from(1_u8);
        let of_order = |number: &BigUint| *number > one && *number < p && number.modpow(&q, &p) == one;
        let odd = p.bit(0) && q.bit(0);
        if !odd || !ORDER.contains(&q.bits()) || (&p - &one) % &q != BigUint::ZERO || !of_order(&g) || !of_order(&y) {
            return Err(KeyError::Malformed { what: "its DSA numbers are out of range, or do not belong together" });
        }
        Ok(())
    }

    /// §4.7, over what is hashed already. The signature is the DER of `r` and `s` (RFC 3279 2.2.2). Of a key that was checked.
    pub(super) fn verify(&self, hashed: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let (r, s) = der::read_dsa_signature(signature).ok_or(BadSignature)?;
        let ([p, q, g, y], [r, s]) = (self.numbers(), [r, s].map(BigUint::from_bytes_be));
        if r == BigUint::ZERO || r >= q || s >= q {
            return Err(BadSignature);
        }
        // Zero has no inverse.
        let w = s.modinv(&q).ok_or(BadSignature)?;
        // The leftmost bits of the hash, as many as `q` has.
        let beyond = (8 * hashed.len() as u64).saturating_sub(q.bits());
        let z = BigUint::from_bytes_be(hashed) >> beyond;
        let (u1, u2) = (z * &w % &q, &r * w % &q);
        let v = g.modpow(&u1, &p) * y.modpow(&u2, &p) % p % q;
        if v == r { Ok(()) } else { Err(BadSignature) }
    }
}

#[cfg(test)]
mod tests;
