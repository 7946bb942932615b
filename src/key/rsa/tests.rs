//! Salts of every length, SHA-224, and what only looks like a signature.

use super::*;
use crate::key::{PublicKey, SecretKey};
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaSignatureEncoding},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use num_bigint::BigUint;

fn sign(key: &KeyPair, encoding: RsaSignatureEncoding) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(Box::leak(Box::new(encoding)), &SystemRandom::new(), b"message", &mut signature).unwrap();
    signature
}

fn pair() -> (KeyPair, PublicKey) {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<PublicKeyX509Der>::as_der(key.public_key()).unwrap();
    (key, PublicKey::from_spki(der.as_ref()).unwrap())
}

#[test]
fn pss_takes_a_salt_of_every_length_and_no_other_padding() {
    let (key, public) = pair();
    // The largest leaves room for the hash, the byte before the salt and the one behind everything.
    for len in 0..=256 - 32 - 2 {
        let signature = sign(&key, RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Custom(len)));
        assert_eq!(public.verify(b"message", &signature), Ok(()), "a salt of {len}");
        if len % 37 == 0 {
            assert_eq!(public.verify(b"massage", &signature), Err(BadSignature), "a salt of {len}");
        }
    }
    for (scheme, encoding) in [(Scheme::RsaPssSha384, RSA_PSS_SHA384), (Scheme::RsaPssSha512, RSA_PSS_SHA512)] {
        let signature = sign(&key, encoding.with_pss_salt_length(RsaPssSaltLength::Custom(13)));
        assert_eq!(public.with_scheme(scheme).unwrap().verify(b"message", &signature), Ok(()));
        assert_eq!(public.verify(b"message", &signature), Err(BadSignature), "of another hash");
    }
    assert_eq!(public.verify(b"message", &sign(&key, RSA_PKCS1_SHA256)), Err(BadSignature));
}

/// Signed over "message" by pyca/cryptography 46: keys of 2,048 bits, of 2,049, where the encoded message is a byte shorter than the modulus,
/// and of 2,055; salts of 0, 28, 33 and the most there can be.
fn signed() -> Vec<(PublicKey, Vec<u8>)> {
    let mut keys = std::collections::BTreeMap::new();
    let mut signed = Vec::new();
    for line in include_str!("signed.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let bytes = STANDARD.decode(words[2]).unwrap();
        match words[0] {
            "key" => drop(keys.insert(words[1], PublicKey::from_spki(&bytes).unwrap())),
            key => {
                let scheme = Scheme::ALL.into_iter().find(|scheme| scheme.name() == words[1]).unwrap();
                signed.push((keys[key].with_scheme(scheme).unwrap(), bytes));
            }
        }
    }
    signed
}

#[test]
fn signatures_of_python_verify_under_their_own_scheme_alone() {
    let signed = signed();
    assert_eq!(signed.len(), 21);
    for (key, signature) in &signed {
        for scheme in Scheme::ALL.into_iter().filter(|scheme| scheme.keytype() == "rsa") {
            let verdict = if scheme == key.scheme() { Ok(()) } else { Err(BadSignature) };
            assert_eq!(key.with_scheme(scheme).unwrap().verify(b"message", signature), verdict, "{scheme:?}");
        }
        assert_eq!(key.verify(b"massage", signature), Err(BadSignature));
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut flipped = signature.clone();
            flipped[at] ^= 1;
            assert_eq!(key.verify(b"message", &flipped), Err(BadSignature), "{:?} byte {at}", key.scheme());
        }
        for other in [&[], &signature[1..], &[signature, &[0][..]].concat(), &[&[0], &signature[..]].concat()] {
            assert_eq!(key.verify(b"message", other), Err(BadSignature), "{:?}", key.scheme());
        }
    }
}

/// The same number, a multiple of the modulus further: RSAVP1 takes only what is smaller than the modulus.
#[test]
fn a_signature_has_one_number() {
    let mut tried = 0;
    for (key, signature) in signed() {
        let Material::Rsa { n, .. } = &key.material else { panic!("no RSA key") };
        let further = (BigUint::from_bytes_be(&signature) + BigUint::from_bytes_be(n)).to_bytes_be();
        if further.len() == signature.len() {
            assert_eq!(key.verify(b"message", &further), Err(BadSignature), "{:?}", key.scheme());
            tried += 1;
        }
    }
    assert!(tried > 0, "none had room");
}

/// Each byte that must be what it is, in an encoded message made by hand: nothing but the right one is read.
#[test]
fn an_encoded_message_is_read_to_its_last_bit() {
    let hashed = digest(&SHA224, b"message");
    let encoded = |bits: usize, salt: &[u8]| {
        let len = (bits - 1).div_ceil(8);
        let inner = digest(&SHA224, &[&[0; 8], hashed.as_ref(), salt].concat());
        let mut block = vec![0; len - 28 - 2 - salt.len()];
        block.push(1);
        block.extend_from_slice(salt);
        let mask: Vec<u8> = open::mask(&SHA224, inner.as_ref()).take(block.len()).collect();
        block.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        block[0] &= 0xff >> (8 * len - (bits - 1));
        [vec![0; bits.div_ceil(8) - len], block, inner.as_ref().to_vec(), vec![0xbc]].concat()
    };
    for bits in [2048, 2049, 2050, 2055] {
        let good = encoded(bits, b"salt");
        let read = Pss::read(&good, bits, &SHA224).unwrap();
        assert_eq!((read.salt.as_slice(), read.is_of(&hashed)), (&b"salt"[..], true), "{bits}");
        assert!(!read.is_of(&digest(&SHA224, b"massage")));
        let with = |at: usize, bit: u8| {
            let mut bad = good.clone();
            bad[at] ^= bit;
            Pss::read(&bad, bits, &SHA224).is_some_and(|read| read.is_of(&hashed))
        };
        for at in 0..good.len() {
            assert!((0..8).all(|bit| !with(at, 1 << bit)), "{bits} bits, byte {at}");
        }
    }
    // No 1 before the salt, the whole of it zeros, and no room for a hash.
    let inner = digest(&SHA224, b"");
    let zeros: Vec<u8> = open::mask(&SHA224, inner.as_ref()).take(227).collect();
    let mut zeros = [zeros, inner.as_ref().to_vec(), vec![0xbc]].concat();
    zeros[0] &= 0x7f;
    assert_eq!(Pss::read(&zeros, 2048, &SHA224), None);
    for len in [0, 1, 28, 29] {
        assert_eq!(Pss::read(&vec![0xbc; len], 8 * len, &SHA224), None, "{len}");
    }
}

#[test]
fn nothing_is_signed_over_sha_224() {
    for scheme in [Scheme::RsaPssSha224, Scheme::RsaPkcs1Sha224] {
        let what = format!("signing by \"{}\"", scheme.name());
        assert_eq!(SecretKey::generate(scheme).unwrap_err(), KeyError::Unsupported { what: what.clone() });
        let key = SecretKey::generate(Scheme::RsaPssSha256).unwrap();
        assert_eq!(key.with_scheme(scheme).unwrap_err(), KeyError::Unsupported { what });
    }
}
