//! Certificates, in two ways. As they come: what is read is written and read back the same, and nobody vouches for it. And issued by a root,
//! then edited: while the root still vouches for it, every name, the key and the times are what was issued. (security §4.4 `x509_chain`)
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tidewaiter::key::x509::Certificate;

const LEAF: &[u8] = include_bytes!("../seeds/x509/leaf.der");

static ROOT: LazyLock<Certificate> =
    LazyLock::new(|| Certificate::from_der(include_bytes!("../seeds/x509/root.der")).expect("a root"));
static ISSUED: LazyLock<Certificate> = LazyLock::new(|| Certificate::from_der(LEAF).expect("a certificate"));

fuzz_target!(|bytes: &[u8]| {
    match bytes {
        [0, edits @ ..] => edited(edits),
        _ => as_it_comes(bytes),
    }
});

fn vouched(certificate: &Certificate) -> bool {
    let noon = "2026-11-25T12:00:00Z".parse().expect("a time");
    certificate.check_path(&ROOT, [&*ROOT], noon).is_ok()
}

fn as_it_comes(bytes: &[u8]) {
    let Ok(certificate) = Certificate::from_der(bytes) else { return };
    let pem = certificate.to_pem();
    assert_eq!(Certificate::from_pem(&pem).as_ref(), Ok(&certificate));
    assert_eq!(Certificate::first_of_pem(&format!("{pem}{pem}")).as_ref(), Ok(&certificate));
    if let Ok(key) = certificate.public_key() {
        // A key is in the certificate as it is anywhere else.
        assert!(bytes.windows(key.spki().len()).any(|window| window == key.spki()));
    }
    let names = certificate.names();
    for name in [&names.common_names, &names.organizations, &names.dns_names, &names.emails, &names.uris].into_iter().flatten() {
        assert!(bytes.windows(name.len().max(1)).any(|window| window == name.as_bytes()) || name.is_empty());
    }
    assert!(bytes == LEAF || !vouched(&certificate), "the root never issued this");
}

/// Edits of three bytes: a place, and what to do there.
fn edited(edits: &[u8]) {
    assert!(vouched(&ISSUED));
    let mut der = LEAF.to_vec();
    for edit in edits.chunks_exact(3).take(8) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % der.len();
        match edit[2] {
            0 => drop(der.remove(at)),
            what @ 1..=127 => der[at] ^= what,
            what => der.insert(at, what & 0x7f),
        }
    }
    let Ok(found) = Certificate::from_der(&der) else { return };
    if vouched(&found) {
        assert_eq!((found.names(), found.validity()), (ISSUED.names(), ISSUED.validity()));
        assert_eq!(found.public_key(), ISSUED.public_key());
    }
}
