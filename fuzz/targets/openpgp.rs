//! OpenPGP, in three ways. A certificate as it comes: no panic, and what is read is written as a layout's key object and read back the
//! same. A certificate of ours, edited: no key signs that did not before. A signature of ours, edited: while it verifies, message and
//! headers are what was signed. (security §4.4 `openpgp_key`, `openpgp_sig`)
#![no_main]

#[allow(dead_code)] // the tests use other parts
#[path = "../../tests/support/openpgp.rs"]
mod openpgp;

use libfuzzer_sys::fuzz_target;
use openpgp::{Key, MADE, certificate};
use std::sync::LazyLock;
use tidewaiter::{
    PublicKey,
    json::{Limits, parse},
    key::SecretKey,
};

/// The same keys in every run, so that a finding can be repeated: PKCS#8 of ed25519 with a seed of sevens, and of eights.
fn key(seed: u8) -> Key {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let der = [hex::decode("302e020100300506032b657004220420").expect("hex"), vec![seed; 32]].concat();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
    Key { secret: SecretKey::from_pem(&pem).expect("a key"), created: MADE, algorithm: 22 }
}

static MASTER: LazyLock<Key> = LazyLock::new(|| key(7));
static SUB: LazyLock<Key> = LazyLock::new(|| key(8));
static CERTIFICATE: LazyLock<Vec<u8>> = LazyLock::new(|| certificate(&MASTER, Some(&SUB)));
static PUBLIC: LazyLock<PublicKey> = LazyLock::new(|| PublicKey::from_pgp(&CERTIFICATE).expect("a certificate"));

fuzz_target!(|bytes: &[u8]| {
    match bytes {
        [0, edits @ ..] => edited_certificate(edits),
        [1, edits @ ..] => edited_signature(edits),
        _ => as_it_comes(bytes),
    }
});

fn as_it_comes(bytes: &[u8]) {
    let Ok(key) = PublicKey::from_file(bytes) else { return };
    let text = key.to_layout().to_string();
    let again = PublicKey::from_layout(&parse(text.as_bytes(), &Limits::METADATA).expect("JSON")).expect("a key");
    assert_eq!(again.to_layout().to_string(), text);
    assert_eq!(again.spki(), key.spki());
    // What a layout says of a key takes nothing from it.
    assert!(key.covers().all(|spki| again.covers().any(|other| other == spki)));
}

fn edited_certificate(edits: &[u8]) {
    let mut bytes = CERTIFICATE.clone();
    edit(&mut bytes, edits);
    let Ok(key) = PublicKey::from_pgp(&bytes) else { return };
    let known = [MASTER.secret.public().spki(), SUB.secret.public().spki()];
    assert!(key.covers().all(|spki| known.contains(&spki)));
    assert_eq!(key.id(), MASTER.id());
}

/// The first byte: how many edits are for the headers, the next ones for the value, the rest for the message.
fn edited_signature(edits: &[u8]) {
    let Some((parts, edits)) = edits.split_first() else { return };
    let (of_headers, of_value) = (usize::from(parts >> 4) * 3, usize::from(parts & 15) * 3);
    let (of_headers, edits) = edits.split_at(of_headers.min(edits.len()));
    let (of_value, of_message) = edits.split_at(of_value.min(edits.len()));
    let made = SUB.sign_metadata(b"metadata");
    let (mut message, mut headers, mut value) = (b"metadata".to_vec(), made.headers.clone(), made.value.clone());
    edit(&mut headers, of_headers);
    edit(&mut value, of_value);
    edit(&mut message, of_message);
    let now = jiff::Timestamp::from_second(i64::from(MADE) + 60).expect("a time");
    for id in [None, Some(SUB.id()), Some(MASTER.id())] {
        if PUBLIC.verify_pgp(&message, id.as_deref(), &headers, &value, now).is_ok() {
            assert_eq!((message.as_slice(), &headers, &value), (&b"metadata"[..], &made.headers, &made.value));
            assert_ne!(id, Some(MASTER.id()));
        }
    }
}

/// Edits of three bytes: a place, and what to do there.
fn edit(bytes: &mut Vec<u8>, edits: &[u8]) {
    for edit in edits.chunks_exact(3).take(8) {
        if bytes.is_empty() {
            return;
        }
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % bytes.len();
        match edit[2] {
            0 => drop(bytes.remove(at)),
            what @ 1..=127 => bytes[at] ^= what,
            what => bytes.insert(at, what),
        }
    }
}
