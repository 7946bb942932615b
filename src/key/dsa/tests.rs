use super::*;
use crate::key::{BadSignature, PublicKey, der::Material};
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// A key, with signatures over the SHA-256 and the SHA-512 of "message", and its SubjectPublicKeyInfo, all made by OpenSSL 3.0.
struct Signed {
    key: Key,
    over_sha256: Vec<u8>,
    over_sha512: Vec<u8>,
    spki: Vec<u8>,
}

/// Of all sizes that FIPS 186-4 has, of 2,560 bits, which GnuPG makes too, and of 1,024.
fn signed() -> Vec<Signed> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let bytes = |at: usize| hex::decode(words[at]).unwrap();
        let key = Key { p: bytes(2), q: bytes(3), g: bytes(4), y: bytes(5) };
        let spki = STANDARD.decode(words[8]).unwrap();
        Signed { key, over_sha256: bytes(6), over_sha512: bytes(7), spki }
    };
    include_str!("signed.txt").lines().map(line).collect()
}

/// The key, if it is one.
fn sound(key: &Key) -> Result<(), KeyError> {
    Material::Dsa(key.clone()).check()
}

#[test]
fn signatures_of_openssl_verify_and_nothing_else_does() {
    let (message, longer) = (digest(&SHA256, b"message"), digest(&SHA512, b"message"));
    let signed = signed();
    let (weak, keys) = signed.split_last().unwrap();
    assert_eq!(keys.len(), 4);
    for Signed { key, over_sha256, over_sha512, spki } in keys {
        assert_eq!(sound(key), Ok(()));
        assert_eq!(der::write_spki(&Material::Dsa(key.clone())), *spki, "what OpenSSL writes");
        assert_eq!(PublicKey::from_spki(spki), Err(KeyError::Unsupported { what: "DSA".into() }), "OpenPGP's alone");
        assert_eq!(key.verify(message.as_ref(), over_sha256), Ok(()));
        assert_eq!(key.verify(longer.as_ref(), over_sha512), Ok(()));
        for (hashed, signature) in [(&message, over_sha512), (&longer, over_sha256)] {
            assert_eq!(key.verify(hashed.as_ref(), signature), Err(BadSignature));
        }
        assert_eq!(key.verify(digest(&SHA256, b"massage").as_ref(), over_sha256), Err(BadSignature));
        for at in 0..over_sha256.len() {
            let mut flipped = over_sha256.clone();
            flipped[at] ^= 1;
            assert_eq!(key.verify(message.as_ref(), &flipped), Err(BadSignature), "byte {at}");
        }
        for other in [vec![], [over_sha256.as_slice(), &[0]].concat(), over_sha256[1..].to_vec()] {
            assert_eq!(key.verify(message.as_ref(), &other), Err(BadSignature));
        }
        assert_eq!(weak.key.verify(message.as_ref(), over_sha256), Err(BadSignature), "another key");
    }
    assert_eq!(sound(&weak.key), Err(KeyError::WeakDsa { bits: 1024 }));
}

/// §4.7: 0 < r, s < q, whatever else holds; each in one encoding.
#[test]
fn numbers_of_a_signature_are_in_range() {
    let Signed { key, over_sha256: signature, .. } = signed().swap_remove(1);
    let hashed = digest(&SHA256, b"message");
    let (r, s) = der::read_dsa_signature(&signature).unwrap();
    let verdict = |r: &[u8], s: &[u8]| key.verify(hashed.as_ref(), &der::dsa_signature(r, s));
    assert_eq!(verdict(r, s), Ok(()));
    let more = |number: &[u8]| (BigUint::from_bytes_be(number) + BigUint::from_bytes_be(&key.q)).to_bytes_be();
    for (r, s) in [(&[][..], s), (r, &[]), (&[], &[]), (&key.q, s), (r, &key.q), (&more(r), s), (r, &more(s)), (s, r)] {
        assert_eq!(verdict(r, s), Err(BadSignature));
    }
    // Integers longer than they need be, and negative ones.
    let integer = |sign: &[u8], number: &[u8]| [&[2, (sign.len() + number.len()) as u8][..], sign, number].concat();
    let sequence = |inner: Vec<u8>| [&[0x30, inner.len() as u8][..], &inner].concat();
    let sign = |number: &[u8]| if number[0] & 0x80 == 0 { vec![] } else { vec![0] };
    let whole = sequence([integer(&sign(r), r), integer(&sign(s), s)].concat());
    assert_eq!(whole, signature);
    let longer = sequence([integer(&[&[0][..], &sign(r)].concat(), r), integer(&sign(s), s)].concat());
    assert_eq!(key.verify(hashed.as_ref(), &longer), Err(BadSignature));
}

/// A generator, or a key, of a small order lets anybody sign.
#[test]
fn numbers_of_a_key_belong_together() {
    let Signed { key, .. } = signed().swap_remove(1);
    let less = |number: &[u8], by: u8| (BigUint::from_bytes_be(number) - BigUint::from(by)).to_bytes_be();
    let malformed = KeyError::Malformed { what: "its DSA numbers are out of range, or do not belong together" };
    let one = vec![1];
    for broken in [
        Key { g: one.clone(), ..key.clone() },
        Key { y: one.clone(), ..key.clone() },
        Key { y: vec![], ..key.clone() },
        Key { g: less(&key.p, 1), ..key.clone() },
        Key { y: less(&key.p, 1), ..key.clone() },
        Key { y: key.p.clone(), ..key.clone() },
        Key { y: (BigUint::from_bytes_be(&key.y) + BigUint::from_bytes_be(&key.p)).to_bytes_be(), ..key.clone() },
        Key { y: vec![2], ..key.clone() },
        Key { q: less(&key.q, 2), ..key.clone() },
        Key { q: one, ..key.clone() },
        Key { q: vec![], ..key.clone() },
        Key { p: less(&key.p, 1), ..key.clone() },
        Key { q: key.p.clone(), ..key.clone() },
    ] {
        assert_eq!(sound(&broken), Err(malformed.clone()));
    }
    assert_eq!(sound(&Key { p: vec![], ..key.clone() }), Err(KeyError::WeakDsa { bits: 0 }));
    let large = [key.p.as_slice(), &[1; 129]].concat();
    assert_eq!(sound(&Key { p: large, ..key }), Err(KeyError::WeakDsa { bits: 2048 + 8 * 129 }));
}
