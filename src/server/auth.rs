//! Who a request is of (store §3.5): one [`Principal`], whichever way it was proved. A bearer token is one that a document
//! names by its hash, or one that an issuer signed; without a token, a client certificate is asked for its SPIFFE ID.
//!
//! Everything but the look-up of an issuer's keys is pure.

pub mod issuer;
pub mod jwt;
pub mod mtls;
pub mod oidc;
pub mod refusal;
pub mod token;

pub use refusal::Refusal;

use super::chains::{Chains, Proof};
use http::HeaderMap;
use jiff::Timestamp;
use jwt::{Jwt, Token};
use std::collections::BTreeSet;
use token::{Bearer, Hash};

/// What came with a request to prove who it is of.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'r> {
    pub bearer: Bearer<'r>,
    /// The client certificate, DER, whose path TLS has checked.
    pub certificate: Option<&'r [u8]>,
}

impl<'r> Credentials<'r> {
    pub fn of(headers: &'r HeaderMap, certificate: Option<&'r [u8]>) -> Self {
        Credentials { bearer: Bearer::of(headers), certificate }
    }
}

/// Whom a request is of, and what they may do.
#[derive(Clone, Debug, Default)]
pub struct Principal {
    /// `None`: nobody in particular, who may read what is open to all.
    pub who: Option<Who>,
    pub writes: Vec<Granted>,
    /// Chains, by index, that name it as a reader.
    pub reads: Vec<usize>,
    /// Clusters it reports for: the names of its readers that may.
    pub reports: BTreeSet<String>,
}

/// A name for whoever it is, and what their token said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// `token:<chain>/<writer>`, `oidc:<issuer>#<sub>`, `mtls:<SPIFFE ID>`: what budgets are kept by, and what is kept beside a record.
    pub name: String,
    pub issuer: Option<String>,
    pub subject: Option<String>,
    /// The token's own name and end, where it has one.
    pub jti: Option<(String, i64)>,
}

/// A writer that the principal is.
#[derive(Clone, Debug, PartialEq)]
pub struct Granted {
    /// The chain, by index.
    pub chain: usize,
    /// The writer of the chain, by index.
    pub writer: usize,
    /// The run that its records belong to, by its token.
    pub run: Option<String>,
    /// Its token writes one record.
    pub one_time: bool,
    /// The claims that are kept beside its records.
    pub claims: serde_json::Value,
}

impl Principal {
    /// Whoever it is, for budgets.
    pub fn name(&self) -> Option<&str> {
        self.who.as_ref().map(|who| who.name.as_str())
    }
}

/// Finds out who it is.
///
/// # Errors
/// A credential came, and it is nobody's, not valid, or grants nothing at all.
pub async fn authenticate(chains: &Chains, credentials: Credentials<'_>, now: Timestamp) -> Result<Principal, Refusal> {
    match (credentials.bearer, credentials.certificate) {
        (Bearer::Token(token), _) => {
            let known = by_hash(chains, &Hash::of(token));
            if known.who.is_some() {
                return Ok(known);
            }
            if chains.issuers().is_empty() || !Jwt::is_like(token) {
                return Err(Refusal::Stranger);
            }
            by_signature(chains, token, now).await
        }
        (Bearer::Other, _) => Err(Refusal::Stranger),
        (Bearer::None, Some(der)) => by_certificate(chains, der, now),
        (Bearer::None, None) => Ok(Principal::default()),
    }
}

/// Every hash is compared, each in constant time.
fn by_hash(chains: &Chains, hash: &Hash) -> Principal {
    let mut principal = Principal::default();
    for seat in chains.seats() {
        if let Proof::Token(known) = seat.proof
            && known.is(hash)
        {
            principal.who.get_or_insert_with(|| Who {
                name: format!("token:{}/{}", chains.get(seat.chain).map_or("", |rules| &rules.name), seat.name),
                issuer: None,
                subject: None,
                jti: None,
            });
            principal.grant(&seat, None, false, serde_json::json!({}));
        }
    }
    principal
}

/// An issuer may be known by several key sources: what any of them proves counts.
async fn by_signature(chains: &Chains, token: &[u8], now: Timestamp) -> Result<Principal, Refusal> {
    let jwt = Jwt::parse(token)?;
    let (mut principal, mut furthest) = (Principal::default(), None);
    for (index, issuer) in chains.issuers().iter().enumerate().filter(|(_, issuer)| issuer.url == jwt.issuer()) {
        let found = match issuer.keys(jwt.kid()).await {
            Ok(keys) => {
                jwt.verify(&keys).and_then(|token| principal.add_token(chains, index, &issuer.url, &token, now))
            }
            Err(refusal) => Err(refusal),
        };
        furthest = furthest.max(found.err());
    }
    match principal.who {
        Some(_) => Ok(principal),
        None => Err(furthest.unwrap_or(Refusal::Issuer)),
    }
}

fn by_certificate(chains: &Chains, der: &[u8], now: Timestamp) -> Result<Principal, Refusal> {
    let id = mtls::spiffe_id(der, now)?;
    let mut principal = Principal::default();
    for seat in chains.seats() {
        if let Proof::Spiffe(pattern) = seat.proof
            && pattern.matches(&id)
        {
            principal.grant(&seat, None, false, serde_json::json!({}));
        }
    }
    if principal.writes.is_empty() && principal.reads.is_empty() {
        return Err(Refusal::Workload(id));
    }
    let name = format!("mtls:{id}");
    principal.who = Some(Who { name, issuer: None, subject: Some(id), jti: None });
    Ok(principal)
}

/// A writer or a reader of a chain, to whom a credential may belong.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'c> {
    pub chain: usize,
    /// The writer by index; `None`: a reader.
    pub writer: Option<usize>,
    pub name: &'c str,
    pub proof: &'c Proof,
    /// A reader that reports verdicts.
    pub reports: bool,
}

impl Principal {
    /// Adds whom a token of this issuer, which verified, stands for.
    fn add_token(
        &mut self,
        chains: &Chains,
        issuer: usize,
        url: &str,
        token: &Token,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let expires = oidc::check_times(token, now)?;
        let (mut granted, mut furthest) = (false, None);
        for seat in chains.seats() {
            let Proof::Signed { issuer: wanted, grant } = seat.proof else { continue };
            if *wanted != issuer {
                continue;
            }
            match grant.check(token, now) {
                Ok(run) => {
                    self.grant(&seat, run, grant.one_time, grant.witness(token));
                    granted = true;
                }
                Err(refusal) => furthest = furthest.max(Some(refusal)),
            }
        }
        if !granted {
            return Err(furthest.unwrap_or(Refusal::Issuer));
        }
        let subject = token.text("sub");
        self.who = Some(Who {
            name: format!("oidc:{url}#{}", subject.as_deref().unwrap_or_default()),
            issuer: Some(url.to_owned()),
            subject,
            jti: token.text("jti").map(|jti| (jti, expires)),
        });
        Ok(())
    }

    fn grant(&mut self, seat: &Seat<'_>, run: Option<String>, one_time: bool, claims: serde_json::Value) {
        match seat.writer {
            Some(writer) => self.writes.push(Granted { chain: seat.chain, writer, run, one_time, claims }),
            None => {
                self.reads.push(seat.chain);
                self.reports.extend(seat.reports.then(|| seat.name.to_owned()));
            }
        }
    }
}
