//! OpenPGP made by hand: as GnuPG writes it, and as it never would.

use aws_lc_rs::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest},
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tidewaiter::key::{Scheme, SecretKey};

/// When everything here was made: November 2023.
pub const MADE: u32 = 1_700_000_000;
pub const SHA_1: u8 = 2;
pub const SHA_256: u8 = 8;

/// Certifies and signs, and signs alone.
pub const CERTIFIES_AND_SIGNS: u8 = 3;
pub const SIGNS: u8 = 2;

/// A key pair, as its packet says it.
pub struct Key {
    pub secret: SecretKey,
    pub created: u32,
    pub algorithm: u8,
}

/// A signature as in-toto writes it, and what its packet has more.
#[derive(Clone)]
pub struct Made {
    pub headers: Vec<u8>,
    pub value: Vec<u8>,
    algorithm: u8,
}

impl Key {
    pub fn ed25519() -> Self {
        Key { secret: SecretKey::generate(Scheme::Ed25519).unwrap(), created: MADE, algorithm: 22 }
    }

    /// 3,072 bits; not by SHA-1.
    pub fn rsa() -> Self {
        Key { secret: SecretKey::generate(Scheme::RsaPkcs1Sha256).unwrap(), created: MADE, algorithm: 1 }
    }

    pub fn body(&self) -> Vec<u8> {
        let spki = self.secret.public().spki();
        let material = match self.algorithm {
            22 => {
                let point = [&[0x40], &spki[spki.len() - 32..]].concat();
                [&[9, 0x2b, 6, 1, 4, 1, 0xda, 0x47, 0x0f, 1][..], &integer(&point)].concat()
            }
            27 => spki[spki.len() - 32..].to_vec(),
            // The modulus stands before the five bytes of 65537.
            _ => [integer(&spki[spki.len() - 5 - 384..spki.len() - 5]), integer(&[1, 0, 1])].concat(),
        };
        [&[4], &self.created.to_be_bytes()[..], &[self.algorithm], &material].concat()
    }

    /// As signatures hash it.
    pub fn hashed(&self) -> Vec<u8> {
        let body = self.body();
        [&[0x99], &u16::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
    }

    pub fn fingerprint(&self) -> Vec<u8> {
        digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.hashed()).as_ref().to_vec()
    }

    pub fn id(&self) -> String {
        hex::encode(self.fingerprint())
    }

    /// Subpackets that every signature has: whose it is and when it was made.
    pub fn usual(&self, made: u32) -> Vec<u8> {
        [subpacket(33, &[&[4], self.fingerprint().as_slice()].concat()), subpacket(2, &made.to_be_bytes())].concat()
    }

    pub fn sign(&self, kind: u8, hash: u8, hashed: &[u8], message: &[u8]) -> Made {
        let len = u16::try_from(hashed.len()).unwrap().to_be_bytes();
        let headers = [&[4, kind, self.algorithm, hash], &len[..], hashed].concat();
        let trailer = [&[4, 0xff], &u32::try_from(headers.len()).unwrap().to_be_bytes()[..]].concat();
        let all = [message, &headers, &trailer].concat();
        let value = match self.algorithm {
            22 | 27 => self.secret.sign(digest(algorithm(hash), &all).as_ref()),
            // It hashes by itself.
            _ if hash == SHA_256 => self.secret.sign(&all),
            _ => Ok(rsa_by(&self.secret, hash, &all)),
        };
        Made { headers, value: value.unwrap(), algorithm: self.algorithm }
    }

    /// A signature over metadata, without frills.
    pub fn sign_metadata(&self, message: &[u8]) -> Made {
        self.sign(0, SHA_256, &self.usual(MADE), message)
    }
}

impl Made {
    /// The body of its packet.
    pub fn body(&self, unhashed: &[u8]) -> Vec<u8> {
        let value = match self.algorithm {
            22 => [integer(&self.value[..32]), integer(&self.value[32..])].concat(),
            27 => self.value.clone(),
            _ => integer(&self.value),
        };
        let len = u16::try_from(unhashed.len()).unwrap().to_be_bytes();
        [&self.headers, &len[..], unhashed, &[0, 0], &value].concat()
    }

    pub fn packet(&self) -> Vec<u8> {
        packet(2, &self.body(&[]))
    }
}

/// PKCS#1 v1.5 over another hash than the one a key of ours is for.
fn rsa_by(key: &SecretKey, hash: u8, message: &[u8]) -> Vec<u8> {
    let pem = key.to_pem();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(base64).unwrap()).unwrap();
    let encoding = if hash == 9 { &RSA_PKCS1_SHA384 } else { &RSA_PKCS1_SHA512 };
    let mut value = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut value).unwrap();
    value
}

fn algorithm(hash: u8) -> &'static aws_lc_rs::digest::Algorithm {
    match hash {
        SHA_1 => &SHA1_FOR_LEGACY_USE_ONLY,
        9 => &SHA384,
        10 => &SHA512,
        _ => &SHA256,
    }
}

/// A multiprecision integer: without the zeros it begins with.
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let number: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    let bits = number.first().map_or(0, |top| 8 * number.len() - top.leading_zeros() as usize);
    [u16::try_from(bits).unwrap().to_be_bytes().as_slice(), &number].concat()
}

pub fn subpacket(tag: u8, content: &[u8]) -> Vec<u8> {
    [&length(content.len() + 1), &[tag][..], content].concat()
}

/// In the new format.
pub fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[0xc0 | tag][..], &length(body.len()), body].concat()
}

fn length(len: usize) -> Vec<u8> {
    match len {
        0..192 => vec![len as u8],
        192..8384 => vec![((len - 192) >> 8) as u8 + 192, (len - 192) as u8],
        _ => [&[255], &(len as u32).to_be_bytes()[..]].concat(),
    }
}

/// The key packet that a certificate begins with.
pub fn public_key(key: &Key) -> Vec<u8> {
    packet(6, &key.body())
}

/// A user and the certification of the master, which says what the master is for, and `more`.
pub fn user(master: &Key, name: &str, hash: u8, made: u32, more: &[Vec<u8>]) -> Vec<u8> {
    let message = [master.hashed(), hashed_user(name)].concat();
    let certification = master.sign(0x13, hash, &[master.usual(made), more.concat()].concat(), &message);
    [packet(13, name.as_bytes()), certification.packet()].concat()
}

pub fn hashed_user(name: &str) -> Vec<u8> {
    [&[0xb4], &u32::try_from(name.len()).unwrap().to_be_bytes()[..], name.as_bytes()].concat()
}

/// A subkey and how `by` binds it to the master; with `back`, the signature by which that key takes the master.
pub fn subkey(master: &Key, subkey: &Key, by: &Key, hash: u8, more: &[Vec<u8>], back: Option<&Key>) -> Vec<u8> {
    let message = [master.hashed(), subkey.hashed()].concat();
    let back = back.map(|back| subpacket(32, &back.sign(0x19, hash, &back.usual(MADE), &message).body(&[])));
    let hashed = [by.usual(MADE), more.concat(), back.unwrap_or_default()].concat();
    [packet(14, &subkey.body()), by.sign(0x18, hash, &hashed, &message).packet()].concat()
}

/// What the key is for.
pub fn flags(flags: u8) -> Vec<u8> {
    subpacket(27, &[flags])
}

/// How long a key holds from its creation.
pub fn expires(seconds: u32) -> Vec<u8> {
    subpacket(9, &seconds.to_be_bytes())
}

/// A certificate as people have them: a master that certifies and signs, and a subkey that signs.
pub fn certificate(master: &Key, sub: Option<&Key>) -> Vec<u8> {
    let mut certificate =
        [public_key(master), user(master, "Alice", SHA_256, MADE, &[flags(CERTIFIES_AND_SIGNS)])].concat();
    if let Some(sub) = sub {
        certificate.extend(subkey(master, sub, master, SHA_256, &[flags(SIGNS)], Some(sub)));
    }
    certificate
}

/// In armor, lines of 64.
pub fn armored(certificate: &[u8]) -> String {
    let base64 = STANDARD.encode(certificate);
    let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let lines = lines.join("\n");
    format!("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{lines}\n=AAAA\n-----END PGP PUBLIC KEY BLOCK-----\n")
}
