//! Client certificates: the one URI of a SPIFFE X.509-SVID. Its path to an authority of `--client-ca` was checked by TLS.

use super::refusal::Refusal;
use crate::{json::shown, key::x509::Certificate};
use jiff::Timestamp;

/// The SPIFFE ID of a client certificate (DER): its only URI (X509-SVID §2). It is asked at each request, for a connection
/// may outlive its certificate.
///
/// # Errors
/// `Certificate` or `CertificateExpired`.
pub fn spiffe_id(der: &[u8], now: Timestamp) -> Result<String, Refusal> {
    let certificate = Certificate::from_der(der).map_err(|error| Refusal::Certificate(error.to_string()))?;
    let (from, until) = certificate.validity();
    if now < from || now > until {
        return Err(Refusal::CertificateExpired);
    }
    match certificate.names().uris.as_slice() {
        [id] if id.starts_with("spiffe://") => Ok(id.clone()),
        [other] => Err(Refusal::Certificate(format!("its URI is {}", shown(other)))),
        several => Err(Refusal::Certificate(format!("it has {} URIs, expected 1", several.len()))),
    }
}
