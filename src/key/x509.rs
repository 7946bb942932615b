//! X.509 certificates (RFC 5280): what one says, and whether a root vouches for it. Revocation lists are not read: who must be
//! stopped at once is taken out of the layout.

use super::{KeyError, PublicKey, pem};
use crate::{digest::Digest, json::shown};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, time::ASN1Time, x509::X509Name};

mod path;

/// A certificate comes to some 1.5 KiB, with a key of ML-DSA to 8.
const DER_BYTES_MAX: usize = 12 << 10;
/// More names than one functionary goes by.
const NAMES_MAX: usize = 64;

/// One certificate, read strictly, of which nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    spki: Vec<u8>,
    names: Names,
    subject: String,
    not_before: Timestamp,
    not_after: Timestamp,
    usage: Usage,
}

/// The names by which a layout may know the owner of a certificate, each list in the order of the certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Of the subject: usually one, and any number by the standard.
    pub common_names: Vec<String>,
    /// Of the subject.
    pub organizations: Vec<String>,
    /// Subject alternative names of type dNSName, as written.
    pub dns_names: Vec<String>,
    /// Those of type rfc822Name.
    pub emails: Vec<String>,
    /// Those of type uniformResourceIdentifier, such as SPIFFE IDs.
    pub uris: Vec<String>,
}

/// What the extensions allow the key for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Usage {
    /// basicConstraints with cA; how many authorities may stand between this one and the last certificate.
    authority: Option<PathLen>,
    /// keyUsage: digitalSignature or contentCommitment. Without the extension: yes (RFC 5280 4.2.1.3).
    signs: bool,
    /// keyUsage: keyCertSign. Without the extension: yes.
    certifies: bool,
    /// extendedKeyUsage; without the extension: every one (RFC 5280 4.2.1.12).
    purposes: Vec<Purpose>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PathLen {
    Unlimited,
    AtMost(u32),
}

/// The extended key usages of which a functionary's certificate has one, or no such extension. None is made for signing links:
/// codeSigning is meant for signing what others run, and is what Sigstore issues; SPIFFE issues serverAuth with clientAuth;
/// in-toto-golang insists on serverAuth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    CodeSigning,
    ServerAuth,
    ClientAuth,
}

/// Why a certificate cannot be read, or nobody vouches for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not one PEM block `CERTIFICATE`.
    #[error("the certificate is no PEM of a certificate")]
    NotPem,
    /// Breaks DER, or RFC 5280.
    #[error("the certificate is malformed: {what}")]
    Malformed { what: &'static str },
    /// More than we read.
    #[error("the certificate has {found} {what}, more than {max}")]
    TooLarge { what: &'static str, found: usize, max: usize },
    /// Its key is none that we verify with.
    #[error("of the certificate's key: {0}")]
    Key(#[from] KeyError),
    /// RFC 5280 4.1.2.5: at that time, not yet.
    #[error("the certificate of {subject} is not valid before {from}")]
    NotYetValid { subject: String, from: Timestamp },
    /// RFC 5280 4.1.2.5: at that time, no longer.
    #[error("the certificate of {subject} expired at {until}")]
    Expired { subject: String, until: Timestamp },
    /// Authorities issue certificates; they do no step.
    #[error("the certificate is that of an authority")]
    Authority,
    /// RFC 5280 4.2.1.9, 4.2.1.3: basicConstraints without cA, or keyUsage without keyCertSign.
    #[error("the certificate is not that of an authority")]
    NoAuthority,
    /// RFC 5280 4.2.1.3: keyUsage without digitalSignature and contentCommitment.
    #[error("the certificate's key is not meant for signing")]
    NotForSigning,
    /// RFC 5280 4.2.1.12: extendedKeyUsage without codeSigning, serverAuth and clientAuth.
    #[error("the certificate's key is meant for something else than codeSigning, serverAuth and clientAuth")]
    Purpose,
    /// No certificate of an authority we know has issued it.
    #[error("no authority of the layout issued the certificate")]
    NoIssuer,
    /// There is a path, and something is wrong with it.
    #[error("the path from the certificate to its root does not hold: {why}")]
    Path { why: String },
}

impl Certificate {
    /// One PEM block `CERTIFICATE`, nothing else around it but white space.
    ///
    /// # Errors
    /// [`CertificateError::NotPem`], and as [`Certificate::from_der`].
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        Self::from_der(&pem::read_certificate(text).map_err(|_| CertificateError::NotPem)?)
    }

    /// The first of one or more such blocks. What follows, as SPIFFE has its intermediates there, is not read: only the authorities
    /// of the layout count, as in in-toto-golang.
    ///
    /// # Errors
    /// As [`Certificate::from_pem`].
    pub fn first_of_pem(text: &str) -> Result<Self, CertificateError> {
        const END: &str = "-----END CERTIFICATE-----";
        let end = text.find(END).map(|at| at + END.len()).ok_or(CertificateError::NotPem)?;
        let (first, rest) = text.split_at_checked(end).ok_or(CertificateError::NotPem)?;
        let rest = rest.trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with("-----BEGIN CERTIFICATE-----") {
            return Err(CertificateError::NotPem);
        }
        Self::from_pem(first)
    }

    /// A certificate of X.509 version 3, as DER. Two readers must agree about it: the one that checks paths, and the one that
    /// gives the names.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`], [`CertificateError::TooLarge`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > DER_BYTES_MAX {
            return Err(CertificateError::TooLarge { what: "bytes", found: der.len(), max: DER_BYTES_MAX });
        }
        let der = CertificateDer::from(der.to_vec());
        let Ok((rest, fields)) = x509_parser::parse_x509_certificate(&der) else {
            return Err(CertificateError::Malformed { what: "it is not the DER of a certificate" });
        };
        let Ok(strict) = EndEntityCert::try_from(&der) else {
            return Err(CertificateError::Malformed {
                what: "it is not the strict DER of a certificate of version 3, or has an unknown critical extension",
            });
        };
        let spki = fields.public_key().raw.to_vec();
        if !rest.is_empty() || strict.subject_public_key_info().as_ref() != spki {
            return Err(CertificateError::Malformed { what: "its encoding is ambiguous" });
        }
        let usage = Usage::of(&fields)?;
        let names = match Names::of(&fields) {
            // Old authorities are named in old encodings, and nobody asks for their names.
            Err(_) if usage.authority.is_some() => Names::default(),
            names => names?,
        };
        let subject = names.shown(&fields);
        let validity = fields.validity();
        let (not_before, not_after) = (timestamp(validity.not_before), timestamp(validity.not_after));
        drop(strict);
        Ok(Certificate { spki, names, subject, not_before, not_after, usage, der })
    }

    /// For a certificate of a layout's authorities.
    ///
    /// # Errors
    /// [`CertificateError::NoAuthority`].
    pub fn check_authority(&self) -> Result<(), CertificateError> {
        match self.usage.authority {
            Some(_) if self.usage.certifies => Ok(()),
            _ => Err(CertificateError::NoAuthority),
        }
    }

    /// The certified key, with the default scheme of its type.
    ///
    /// # Errors
    /// [`CertificateError::Key`].
    pub fn public_key(&self) -> Result<PublicKey, CertificateError> {
        Ok(PublicKey::from_spki(&self.spki)?)
    }

    /// Who the certificate says its owner is.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The same for a person: its URI, else an e-mail address or DNS name, else its subject.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The first and the last second it is valid in.
    pub fn validity(&self) -> (Timestamp, Timestamp) {
        (self.not_before, self.not_after)
    }

    /// SHA-256 of the DER.
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.der)
    }

    /// One PEM block `CERTIFICATE` with a newline at its end.
    pub fn to_pem(&self) -> String {
        pem::write("CERTIFICATE", &self.der)
    }
}

impl Names {
    fn of(certificate: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        const UNREADABLE: CertificateError = CertificateError::Malformed { what: "a name in it cannot be read" };
        let subject = certificate.subject();
        let mut names = Names {
            common_names: texts(subject, X509Name::iter_common_name).ok_or(UNREADABLE)?,
            organizations: texts(subject, X509Name::iter_organization).ok_or(UNREADABLE)?,
            ..Names::default()
        };
        let alternative = certificate.subject_alternative_name().map_err(|_| UNREADABLE)?;
        for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => names.dns_names.push((*name).to_owned()),
                GeneralName::RFC822Name(name) => names.emails.push((*name).to_owned()),
                GeneralName::URI(name) => names.uris.push((*name).to_owned()),
                GeneralName::Invalid(..) => return Err(UNREADABLE),
                // Addresses and others: ITE-7 has no words for them, as it has none for most of the subject.
                _ => {}
            }
        }
        let found = names.lists().iter().map(|list| list.len()).sum();
        if found > NAMES_MAX {
            return Err(CertificateError::TooLarge { what: "names", found, max: NAMES_MAX });
        }
        Ok(names)
    }

    fn lists(&self) -> [&[String]; 5] {
        [&self.uris, &self.emails, &self.dns_names, &self.common_names, &self.organizations]
    }

    fn shown(&self, certificate: &X509Certificate<'_>) -> String {
        let [uris, emails, dns_names, ..] = self.lists();
        let name = [uris, emails, dns_names].into_iter().flatten().next().cloned();
        shown(&name.unwrap_or_else(|| certificate.subject().to_string()))
    }
}

type Attributes<'a> = x509_parser::x509::AttributeTypeAndValue<'a>;

/// The values of one kind of attribute; `None` when one is in no encoding that has an order of letters we know.
fn texts<'n, I>(name: &'n X509Name<'n>, attributes: impl Fn(&'n X509Name<'n>) -> I) -> Option<Vec<String>>
where
    I: Iterator<Item = &'n Attributes<'n>>,
{
    attributes(name).map(|attribute| attribute.as_str().ok().map(str::to_owned)).collect()
}

impl Usage {
    fn of(certificate: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        const UNREADABLE: CertificateError =
            CertificateError::Malformed { what: "an extension that says what its key is for cannot be read" };
        let constraints = certificate.basic_constraints().map_err(|_| UNREADABLE)?;
        let usage = certificate.key_usage().map_err(|_| UNREADABLE)?;
        let extended = certificate.extended_key_usage().map_err(|_| UNREADABLE)?;
        let limit = |len: Option<u32>| len.map_or(PathLen::Unlimited, PathLen::AtMost);
        let constraints = constraints.map(|extension| extension.value).filter(|constraints| constraints.ca);
        Ok(Usage {
            authority: constraints.map(|constraints| limit(constraints.path_len_constraint)),
            signs: usage.as_ref().is_none_or(|usage| usage.value.digital_signature() || usage.value.non_repudiation()),
            certifies: usage.as_ref().is_none_or(|usage| usage.value.key_cert_sign()),
            purposes: match extended {
                None => Purpose::ALL.to_vec(),
                Some(extension) => {
                    let stated =
                        [extension.value.code_signing, extension.value.server_auth, extension.value.client_auth];
                    Purpose::ALL.into_iter().zip(stated).filter(|(_, stated)| *stated).map(|(p, _)| p).collect()
                }
            },
        })
    }
}

impl Purpose {
    const ALL: [Purpose; 3] = [Purpose::CodeSigning, Purpose::ServerAuth, Purpose::ClientAuth];
}

/// "Without end" is the last second of 9999 (RFC 5280 4.1.2.5), which lies behind the last instant we can count to.
fn timestamp(time: ASN1Time) -> Timestamp {
    let seconds = time.timestamp();
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// Certificates for the tests of all floors.
#[cfg(test)]
#[path = "../../tests/support/certificates.rs"]
pub(crate) mod made;

#[cfg(test)]
mod tests;
