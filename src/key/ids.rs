//! The ids a key is known by (in-toto §1.3). An id is a label that helps to find a key; nothing is ever trusted for it.

use super::{Scheme, der::Material};
use crate::digest::Digest;
use std::collections::BTreeSet;

/// The id we write (K2), and every id known: with or without scheme × with or without hash algorithms × PEM stripped of its
/// last newline or not (K0, K0b, K1, K2 and the mixtures between them), under both spellings of an ECDSA key type; and the
/// SHA-256 of the PEM itself (K4).
pub(super) fn of(material: &Material, scheme: Scheme, pem: &str) -> (String, BTreeSet<String>) {
    let hexed = match material {
        Material::Ed25519(point) => Some(hex::encode(point)),
        _ => None,
    };
    let public = hexed.as_deref().unwrap_or(pem);
    let id = sha256(&object(scheme.keytype(), Some(scheme), public, false));
    let mut ids = as_written(scheme, public);
    ids.insert(sha256(pem));
    (id, ids)
}

/// The same for the text of a key, whatever it looks like: another PEM of the key, or capital letters.
pub(super) fn as_written(scheme: Scheme, public: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for keytype in [scheme.keytype(), old_keytype(scheme)] {
        for public in [public, public.trim_end()] {
            for scheme in [None, Some(scheme)] {
                for algorithms in [false, true] {
                    ids.insert(sha256(&object(keytype, scheme, public, algorithms)));
                }
            }
        }
    }
    ids
}

/// The canonical JSON of a key object. Only the text that stands in front of a PEM can hold a character that canonical JSON escapes.
fn object(keytype: &str, scheme: Option<Scheme>, public: &str, algorithms: bool) -> String {
    let public = public.replace('\\', "\\\\").replace('"', "\\\"");
    let algorithms = if algorithms { "\"keyid_hash_algorithms\":[\"sha256\",\"sha512\"]," } else { "" };
    let scheme = scheme.map(|s| format!(",\"scheme\":\"{}\"", s.name())).unwrap_or_default();
    format!("{{{algorithms}\"keytype\":\"{keytype}\",\"keyval\":{{\"public\":\"{public}\"}}{scheme}}}")
}

/// The deprecated spelling, which repeats the scheme.
fn old_keytype(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::EcdsaP256 | Scheme::EcdsaP384 | Scheme::EcdsaP521 => scheme.name(),
        other => other.keytype(),
    }
}

fn sha256(text: &str) -> String {
    Digest::sha256(text.as_bytes()).hex().to_owned()
}
