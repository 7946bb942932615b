//! Envelopes, in two ways. As they come: what is read is written and read back the same, and what is signed is what the
//! specification says. And signed by us, then edited: while a signature still verifies, type and payload are what was
//! signed. (security §4.4 `dsse_envelope`)
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tidewaiter::{
    digest::Digest,
    envelope::{Content, Envelope},
    json::{self, Limits},
    key::SecretKey,
};

/// The same key in every run, so that a finding can be repeated: a PKCS#8 of ed25519 with a seed of sevens.
static KEY: LazyLock<SecretKey> = LazyLock::new(|| {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let der = [hex::decode("302e020100300506032b657004220420").expect("hex"), vec![7; 32]].concat();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
    SecretKey::from_pem(&pem).expect("a key")
});

fuzz_target!(|bytes: &[u8]| {
    match bytes {
        [0, rest @ ..] => edited(rest, true),
        [1, rest @ ..] => edited(rest, false),
        _ => as_it_comes(bytes),
    }
});

fn as_it_comes(bytes: &[u8]) {
    let Ok(envelope) = Envelope::parse(bytes) else { return };
    assert_eq!(Envelope::parse(&envelope.to_bytes()).as_ref(), Ok(&envelope));
    match &envelope.content {
        Content::Dsse { payload_type, payload } => {
            let head = format!("DSSEv1 {} {} {} ", payload_type.len(), payload_type, payload.len());
            assert_eq!(envelope.signed_bytes().as_ref(), [head.as_bytes(), payload].concat());
            assert_eq!(envelope.digest(), Digest::sha256(payload));
        }
        Content::Metablock { canonical } => {
            // The canonical form is written while reading; a tree in between makes no difference.
            let whole = json::parse(bytes, &Limits::METADATA).expect("it was read before");
            assert_eq!(json::canonical(whole.get("signed").expect("signed")).as_ref(), Ok(canonical));
            assert_eq!(json::canonical(&envelope.value().expect("it was JSON")).as_ref(), Ok(canonical));
            assert_eq!(envelope.digest(), Digest::sha256(canonical));
        }
    }
    assert!(!verifies(&envelope), "nobody signed this");
}

/// Four bytes: how long the edits are; then edits of three bytes, a place and what to do there; then what is signed.
fn edited(bytes: &[u8], dsse: bool) {
    let Some((count, rest)) = bytes.split_first() else { return };
    let Some((edits, payload)) = rest.split_at_checked(3 * usize::from(count % 8)) else { return };
    let made = match dsse {
        true => Envelope::sign_dsse("t", payload.to_vec(), &[&KEY]).ok(),
        false => json::parse(payload, &Limits::METADATA).ok().and_then(|v| Envelope::sign_metablock(v, &[&KEY]).ok()),
    };
    let Some(made) = made else { return };
    assert!(verifies(&made));
    let mut file = made.to_bytes();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % file.len();
        match edit[2] {
            0 => drop(file.remove(at)),
            what @ 1..=127 => file[at] ^= what,
            what => file.insert(at, what & 0x7f),
        }
        if file.is_empty() {
            return;
        }
    }
    let Ok(found) = Envelope::parse(&file) else { return };
    if verifies(&found) {
        match (&found.content, &made.content) {
            (Content::Dsse { .. }, Content::Dsse { .. }) => assert_eq!(found.content, made.content),
            // The order of members is not signed.
            (Content::Metablock { canonical: a }, Content::Metablock { canonical: b }) => assert_eq!(a, b),
            _ => panic!("the container is another"),
        }
    }
}

fn verifies(envelope: &Envelope) -> bool {
    let signed = envelope.signed_bytes();
    envelope.signatures.iter().any(|s| KEY.public().verify(&signed, &s.sig).is_ok())
}
