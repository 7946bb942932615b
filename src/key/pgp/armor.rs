//! ASCII armor (RFC 9580 6.2) around a certificate: one block and white space around it.

use crate::key::KeyError;
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// More than people's certificates have, with all who certified them; what a TrustRoot may carry for one key.
pub(super) const BYTES_MAX: usize = 256 << 10;

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// The packets, out of their armor where they are in one.
pub(super) fn open(bytes: &[u8]) -> Result<Vec<u8>, KeyError> {
    if bytes.len() > BYTES_MAX {
        return Err(KeyError::Malformed { what: "the OpenPGP certificate has more than 256 KiB" });
    }
    // The first bit of every packet is set, and of no letter.
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        return Ok(bytes.to_vec());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| NO_BLOCK)?.trim_ascii();
    if text.starts_with("-----BEGIN PGP PRIVATE KEY BLOCK-----") {
        return Err(KeyError::Malformed { what: "it is a private OpenPGP key, expected a public one" });
    }
    let inner = text.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)).ok_or(NO_BLOCK)?;
    decode(inner).ok_or(KeyError::Malformed { what: "its OpenPGP armor is not base64 behind an empty line" })
}

const NO_BLOCK: KeyError = KeyError::Malformed { what: "it is not one block PGP PUBLIC KEY BLOCK and nothing else" };

/// What stands between the two lines: headers such as `Version:`, which mean nothing, an empty line, the packets in base64.
fn decode(inner: &str) -> Option<Vec<u8>> {
    let mut lines = inner.lines().map(str::trim_ascii);
    // The rest of the first line, then the headers.
    let before =
        lines.next()?.is_empty() && lines.by_ref().take_while(|line| !line.is_empty()).all(|l| l.contains(": "));
    // The checksum is not looked at, as RFC 9580 6.1 demands: signatures protect what matters.
    let base64: String = lines.filter(|line| !line.starts_with('=')).collect();
    if before { STANDARD.decode(base64).ok() } else { None }
}
