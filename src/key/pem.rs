//! PEM (RFC 7468), strictly: one block and white space around it; in front of a public key, text.

use super::{KeyError, der};
use crate::json::shown;
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// No key we take comes near: RSA 8192 is under 7 KiB with its private half.
const PEM_BYTES_MAX: usize = 16 << 10;

/// The SubjectPublicKeyInfo in a block `PUBLIC KEY`, or that of the key in a block `RSA PUBLIC KEY` (PKCS#1). Text may stand in front of it
/// (RFC 7468 2), as OpenSSL writes it with `-text`, as long as no other block begins there: readers would differ about which is meant.
pub(super) fn read_public(pem: &str) -> Result<Vec<u8>, KeyError> {
    match block(behind_text(pem))? {
        ("PUBLIC KEY", body) => decode(body),
        ("RSA PUBLIC KEY", body) => der::spki_of_pkcs1(&decode(body)?),
        (label, _) if label.ends_with("PRIVATE KEY") => {
            Err(KeyError::Malformed { what: "it is a private key, expected a PEM block PUBLIC KEY" })
        }
        (label, _) => Err(KeyError::Unsupported { what: format!("the PEM block \"{}\"", shown(label)) }),
    }
}

/// The DER in a block `CERTIFICATE`.
pub(super) fn read_certificate(pem: &str) -> Result<Vec<u8>, KeyError> {
    match block(pem)? {
        ("CERTIFICATE", body) => decode(body),
        (label, _) => Err(KeyError::Unsupported { what: format!("the PEM block \"{}\"", shown(label)) }),
    }
}

/// The DER in a block `PRIVATE KEY`.
pub(super) fn read_private(pem: &str) -> Result<Vec<u8>, KeyError> {
    match block(pem)? {
        ("PRIVATE KEY", body) => decode(body),
        (label, _) => Err(KeyError::NotPkcs8 { label: shown(label) }),
    }
}

/// From the first block on, where that begins a line.
fn behind_text(pem: &str) -> &str {
    match pem.split_once(BEGIN) {
        Some((text, _)) if text.trim_end_matches([' ', '\t']).ends_with(['\n', '\r']) => {
            pem.get(text.len()..).unwrap_or(pem)
        }
        _ => pem,
    }
}

/// What every block begins with.
pub(super) const BEGIN: &str = "-----BEGIN ";

/// Label and body of the only block.
fn block(pem: &str) -> Result<(&str, &str), KeyError> {
    if pem.len() > PEM_BYTES_MAX {
        return Err(KeyError::Malformed { what: "it has more than 16 KiB" });
    }
    split(pem.trim_ascii()).ok_or(KeyError::Malformed { what: "it is not one PEM block and nothing else" })
}

fn split(pem: &str) -> Option<(&str, &str)> {
    let (label, rest) = pem.strip_prefix(BEGIN)?.split_once("-----")?;
    let body = rest.strip_suffix("-----")?.strip_suffix(label)?.strip_suffix("-----END ")?;
    (!label.is_empty() && !body.contains('-')).then_some((label, body))
}

fn decode(body: &str) -> Result<Vec<u8>, KeyError> {
    let base64: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(base64).map_err(|_| KeyError::Malformed { what: "its PEM is not base64" })
}

/// A block with lines of 64 and a newline at its end, byte for byte as OpenSSL writes it.
pub(super) fn write(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for (i, c) in base64.chars().enumerate() {
        if i > 0 && i % 64 == 0 {
            out.push('\n');
        }
        out.push(c);
    }
    out.push_str(&format!("\n-----END {label}-----\n"));
    out
}
