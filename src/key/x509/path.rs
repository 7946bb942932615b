//! The path from a certificate to a root (RFC 5280 6), by webpki; and what webpki leaves to others.

use super::{Certificate, CertificateError, PathLen, Purpose};
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

impl Certificate {
    /// Whether the certificate may sign at that time at all, whoever issued it.
    ///
    /// # Errors
    /// [`CertificateError::Authority`], [`CertificateError::NotForSigning`], [`CertificateError::Purpose`],
    /// [`CertificateError::NotYetValid`], [`CertificateError::Expired`].
    pub fn check_signer(&self, now: Timestamp) -> Result<(), CertificateError> {
        if self.usage.authority.is_some() {
            return Err(CertificateError::Authority);
        }
        if !self.usage.signs {
            return Err(CertificateError::NotForSigning);
        }
        if self.usage.purposes.is_empty() {
            return Err(CertificateError::Purpose);
        }
        self.check_time(now)
    }

    fn check_time(&self, now: Timestamp) -> Result<(), CertificateError> {
        let (now, subject) = (now.as_second(), || self.subject.clone());
        if now < self.not_before.as_second() {
            return Err(CertificateError::NotYetValid { subject: subject(), from: self.not_before });
        }
        if now > self.not_after.as_second() {
            return Err(CertificateError::Expired { subject: subject(), until: self.not_after });
        }
        Ok(())
    }

    /// Whether this very root vouches for the certificate at that time, by way of the intermediates. Every certificate of the path is
    /// valid then, the root too, and allows one purpose that all the others allow. Gives the last second in which that is so.
    ///
    /// # Errors
    /// As [`Certificate::check_signer`], and [`CertificateError::NoIssuer`], [`CertificateError::NoAuthority`],
    /// [`CertificateError::Path`].
    pub fn check_path<'c>(
        &self,
        root: &Certificate,
        intermediates: impl IntoIterator<Item = &'c Certificate>,
        now: Timestamp,
    ) -> Result<Timestamp, CertificateError> {
        self.check_signer(now)?;
        root.check_authority()?;
        let malformed = |_| CertificateError::Malformed { what: "it is not the strict DER of a certificate" };
        let leaf = EndEntityCert::try_from(&self.der).map_err(malformed)?;
        let anchors = [anchor_from_trusted_cert(&root.der).map_err(malformed)?];
        let authorities: Vec<&Certificate> = intermediates.into_iter().collect();
        let intermediates: Vec<CertificateDer<'_>> =
            authorities.iter().map(|certificate| certificate.der.clone()).collect();
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        // webpki takes a root to be a name and a key; RFC 5280 6.2 lets us ask for more.
        let short_enough = |path: &VerifiedPath<'_>| match root.usage.authority {
            Some(PathLen::AtMost(max)) if path.intermediate_certificates().count() > max as usize => {
                Err(Error::PathLenConstraintViolated)
            }
            _ => Ok(()),
        };
        let mut found = Err(CertificateError::Purpose);
        for purpose in self.usage.purposes.iter().filter(|purpose| root.usage.purposes.contains(purpose)) {
            let path = leaf.verify_for_usage(
                ALL_VERIFICATION_ALGS,
                &anchors,
                &intermediates,
                time,
                purpose.usage(),
                None,
                Some(&short_enough),
            );
            let until = |path: VerifiedPath<'_>| {
                let on_it = |authority: &&&Certificate| {
                    path.intermediate_certificates().any(|certificate| certificate.der() == authority.der)
                };
                let authorities = authorities.iter().filter(on_it).map(|authority| authority.not_after);
                authorities.fold(self.not_after.min(root.not_after), Timestamp::min)
            };
            found = path.map(until).map_err(reason);
            if !matches!(found, Err(CertificateError::Purpose)) {
                break;
            }
        }
        found.and_then(|until| root.check_time(now).map(|()| until))
    }
}

impl Purpose {
    /// Where there is the extension, it must say so.
    fn usage(self) -> KeyUsage {
        match self {
            // 1.3.6.1.5.5.7.3.3
            Purpose::CodeSigning => KeyUsage::required_if_present(&[0x2b, 6, 1, 5, 5, 7, 3, 3]),
            Purpose::ServerAuth => KeyUsage::server_auth(),
            Purpose::ClientAuth => KeyUsage::client_auth(),
        }
    }
}

/// The certificate itself was looked at before: these are about the authorities between it and the root.
fn reason(error: Error) -> CertificateError {
    let path = |why: &str| CertificateError::Path { why: why.to_owned() };
    match error {
        Error::UnknownIssuer => CertificateError::NoIssuer,
        Error::RequiredEkuNotFoundContext(_) => CertificateError::Purpose,
        Error::CertExpired { .. } => path("an authority between them has expired"),
        Error::CertNotValidYet { .. } => path("an authority between them is not valid yet"),
        Error::EndEntityUsedAsCa => path("what issued a certificate is no authority"),
        Error::PathLenConstraintViolated => path("more authorities lie between them than one of them allows"),
        Error::NameConstraintViolation => path("an authority may not certify that name"),
        Error::InvalidSignatureForPublicKey => path("a signature does not verify"),
        other => CertificateError::Path { why: other.to_string() },
    }
}
