//! Keys and certificates as bytes: a CA of our own for nothing but our own Service, and what it signs. Pure but for the random
//! source of new keys.

use super::Times;
use anyhow::{Context, anyhow, bail};
use base64::Engine;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData,
};
use rustls::{RootCertStore, crypto::aws_lc_rs, server::ParsedCertificate};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use std::time::Duration;
use x509_parser::extensions::GeneralName;

/// Most certificates a bundle of ours holds: two during a renewal, more only where somebody edited it.
const BUNDLE_MAX: usize = 8;

/// From when until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub from: Timestamp,
    pub until: Timestamp,
}
impl Validity {
    /// Of a certificate made now. It begins a little earlier, for API servers whose clock is behind.
    fn starting(now: Timestamp, life: Duration) -> anyhow::Result<Self> {
        let early = Duration::from_secs(300).min(life / 10);
        Ok(Validity { from: now.checked_sub(early)?, until: now.checked_add(life)? })
    }

    pub fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    /// The last third of its life has begun (security §3).
    pub fn due(&self, now: Timestamp) -> bool {
        let life = self.until.as_second() - self.from.as_second();
        self.until.as_second() - now.as_second() <= life / 3
    }
}

/// The certificate of a CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    der: CertificateDer<'static>,
    name: String,
    public_key: Vec<u8>,
    /// The DNS names it may sign for; empty: any.
    permitted: Vec<String>,
    pub validity: Validity,
}

impl Authority {
    fn parse(der: CertificateDer<'static>) -> anyhow::Result<Self> {
        let (_, certificate) =
            x509_parser::parse_x509_certificate(&der).map_err(|error| anyhow!("not a certificate: {error}"))?;
        if !certificate.is_ca() {
            bail!("not the certificate of a CA");
        }
        let validity = validity(&certificate)?;
        let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let name = name.unwrap_or_default().to_owned();
        let public_key = certificate.public_key().raw.to_vec();
        let constraints = certificate.name_constraints().map_err(|error| anyhow!("name constraints: {error}"))?;
        let permitted = constraints.and_then(|constraints| constraints.value.permitted_subtrees.as_ref());
        let dns = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        };
        let permitted = permitted.into_iter().flatten().filter_map(|tree| dns(&tree.base)).collect();
        Ok(Authority { name, public_key, permitted, validity, der: der.clone() })
    }

    /// Whether it may sign for all of the names.
    pub fn permits(&self, names: &[String]) -> bool {
        let within = |name: &String, tree: &String| name == tree || name.ends_with(&format!(".{tree}"));
        self.permitted.is_empty() || names.iter().all(|name| self.permitted.iter().any(|tree| within(name, tree)))
    }

    pub fn holds_key(&self, key: &KeyPair) -> bool {
        self.public_key == key.subject_public_key_info()
    }

    /// A new CA that can vouch for `names` alone: whoever steals its key gains no other name, and no address.
    pub fn make(names: &[String], times: &Times, now: Timestamp) -> anyhow::Result<(Self, KeyPair)> {
        let key = KeyPair::generate().context("make the CA's key")?;
        // Two CAs must not share a name: during a renewal both are trusted.
        let number = crate::digest::Digest::sha256(&key.subject_public_key_info());
        let mut parameters = parameters(&format!("tidewaiter CA {}", &number.hex()[..12]));
        let validity = Validity::starting(now, times.ca)?;
        set_validity(&mut parameters, validity);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let addresses = [CidrSubnet::V4([0; 4], [0; 4]), CidrSubnet::V6([0; 16], [0; 16])];
        parameters.name_constraints = Some(NameConstraints {
            permitted_subtrees: names.iter().cloned().map(GeneralSubtree::DnsName).collect(),
            excluded_subtrees: addresses.map(GeneralSubtree::IpAddress).into(),
        });
        let certificate = parameters.self_signed(&key).context("make the CA")?;
        Ok((Self::parse(certificate.der().clone())?, key))
    }

    /// A new serving key and its certificate, in PEM.
    pub fn sign(
        &self,
        ca_key: &KeyPair,
        names: &[String],
        times: &Times,
        now: Timestamp,
    ) -> anyhow::Result<(String, String)> {
        let key = KeyPair::generate().context("make the serving key")?;
        let mut parameters = parameters(names.first().map_or("tidewaiter", String::as_str));
        let mut validity = Validity::starting(now, times.leaf)?;
        validity.until = validity.until.min(self.validity.until);
        set_validity(&mut parameters, validity);
        parameters.subject_alt_names = CertificateParams::new(names).context("the service's names")?.subject_alt_names;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let mut issuer = CertificateParams::default();
        issuer.distinguished_name = common_name(&self.name);
        let certificate = parameters.signed_by(&key, &Issuer::new(issuer, ca_key)).context("sign the certificate")?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// Whether this CA, and this alone, makes an API server believe the leaf to be each of the names.
    fn vouches(&self, leaf: &CertificateDer<'_>, names: &[String], now: Timestamp) -> bool {
        let mut roots = RootCertStore::empty();
        let Ok(seconds) = u64::try_from(now.as_second()) else { return false };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
        let Ok(parsed) = ParsedCertificate::try_from(leaf) else { return false };
        roots.add(self.der.clone()).is_ok()
            && rustls::client::verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms).is_ok()
            && names.iter().all(|name| {
                ServerName::try_from(name.as_str())
                    .is_ok_and(|name| rustls::client::verify_server_name(&parsed, &name).is_ok())
            })
    }
}

/// The CAs of a bundle. What cannot be read is left out: a bundle with one good certificate still vouches for something.
pub fn bundle(pem: &[u8]) -> Vec<Authority> {
    let mut found: Vec<Authority> = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem).take(BUNDLE_MAX).map_while(Result::ok) {
        let authority = Authority::parse(der);
        found.extend(authority.ok().filter(|authority| !found.contains(authority)));
    }
    found
}

/// The bundle as PEM.
pub fn pem<'a>(bundle: impl IntoIterator<Item = &'a Authority>) -> String {
    let mut text = String::new();
    for authority in bundle {
        let body = base64::engine::general_purpose::STANDARD.encode(&authority.der);
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in body.as_bytes().chunks(64) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// Which of the bundle vouches for the leaf, and how long the leaf is valid.
pub fn issuer_of<'a>(
    leaf: &[u8],
    bundle: &'a [Authority],
    names: &[String],
    now: Timestamp,
) -> anyhow::Result<(&'a Authority, Validity)> {
    let leaf = CertificateDer::from_pem_slice(leaf).map_err(|error| anyhow!("the certificate is not PEM: {error}"))?;
    let (_, certificate) =
        x509_parser::parse_x509_certificate(&leaf).map_err(|error| anyhow!("the certificate is not X.509: {error}"))?;
    let validity = validity(&certificate)?;
    let vouches = bundle.iter().find(|authority| authority.validity.holds(now) && authority.vouches(&leaf, names, now));
    let authority =
        vouches.with_context(|| format!("no CA of ca.crt vouches for the certificate as {}", names.join(", ")))?;
    Ok((authority, validity))
}

fn validity(certificate: &x509_parser::certificate::X509Certificate<'_>) -> anyhow::Result<Validity> {
    let time = |time: x509_parser::time::ASN1Time| {
        Timestamp::from_second(time.timestamp()).context("a time of the certificate")
    };
    Ok(Validity { from: time(certificate.validity().not_before)?, until: time(certificate.validity().not_after)? })
}

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = common_name(name);
    parameters
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    // X.520 allows 64 characters.
    subject.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    subject
}

fn set_validity(parameters: &mut CertificateParams, validity: Validity) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |time: Timestamp| epoch + Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0));
    (parameters.not_before, parameters.not_after) = (at(validity.from), at(validity.until));
}
