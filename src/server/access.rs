//! The door of the API: every request is of somebody, within their budget, before anything else is read of it.

use super::{
    auth::{Credentials, Principal, authenticate},
    budget::Purpose,
    http::App,
    problem::Problem,
};
use crate::serve::ClientCertificate;
use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::request::Parts,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

/// Somebody who writes: a writer of at least one chain.
#[derive(Debug)]
pub struct Author(pub Principal);

/// Whose budget a request is paid from: a principal's, or that of the address it comes from.
type Payer = String;

/// Somebody who reads: nobody in particular, or a reader of at least one chain.
#[derive(Debug)]
pub struct Reader {
    pub principal: Principal,
    /// For what costs more than one request.
    pub payer: Payer,
    /// The chains they may read, by index; at least one.
    pub chains: Vec<usize>,
}

/// Somebody who reports what clusters decided.
#[derive(Debug)]
pub struct Reporter {
    pub clusters: BTreeSet<String>,
    pub payer: Payer,
}

impl Reader {
    /// The store's ids of the chains they may read; `only`: of this one.
    ///
    /// # Errors
    /// It is not theirs to read, or is not there; the answer does not tell which. 401 where a token may change that, 403 where it does not.
    pub fn may_read(&self, app: &App, only: Option<&str>) -> Result<BTreeSet<i64>, Problem> {
        let wanted =
            |index: &&usize| only.is_none_or(|name| app.chains.get(**index).is_some_and(|rules| rules.name == name));
        let ids: BTreeSet<i64> =
            self.chains.iter().filter(wanted).filter_map(|index| app.ids.get(*index).copied()).collect();
        let Some(chain) = only.filter(|_| ids.is_empty()).map(str::escape_debug) else { return Ok(ids) };
        match self.principal.who {
            Some(_) => Err(Problem::forbidden(format!("this token may not read the chain \"{chain}\""))),
            None => {
                let detail = format!("reading the chain \"{chain}\" needs the token or the certificate of a reader");
                Err(Problem::unauthenticated(detail))
            }
        }
    }
}

impl FromRequestParts<Arc<App>> for Author {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let (principal, _) = principal(parts, app, Purpose::Write).await?;
        match (&principal.who, principal.writes.is_empty()) {
            (None, _) => Err(Problem::unauthenticated("writing needs the token or the certificate of a writer")),
            (Some(_), true) => Err(Problem::forbidden("this token may not write here")),
            (Some(_), false) => Ok(Author(principal)),
        }
    }
}

impl FromRequestParts<Arc<App>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let (principal, payer) = principal(parts, app, Purpose::Read).await?;
        let chains: Vec<usize> = app.chains.readable(&principal).collect();
        match (&principal.who, chains.is_empty()) {
            (_, false) => Ok(Reader { principal, payer, chains }),
            (Some(_), true) => Err(Problem::forbidden("this token may read no chain")),
            (None, true) => Err(Problem::unauthenticated("reading needs the token or the certificate of a reader")),
        }
    }
}

impl FromRequestParts<Arc<App>> for Reporter {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let (principal, payer) = principal(parts, app, Purpose::Write).await?;
        match (&principal.who, principal.reports.is_empty()) {
            (_, false) => Ok(Reporter { clusters: principal.reports, payer }),
            (Some(_), true) => Err(Problem::forbidden("this token may not report verdicts")),
            (None, true) => {
                Err(Problem::unauthenticated("reporting needs the token or the certificate of a reader that reports"))
            }
        }
    }
}

/// Whose request it is, paid from their budget. Whoever is not believed pays as the address they come from.
async fn principal(parts: &Parts, app: &App, purpose: Purpose) -> Result<(Principal, Payer), Problem> {
    let certificate = parts.extensions.get::<ClientCertificate>();
    let credentials = Credentials::of(&parts.headers, certificate.map(|certificate| certificate.0.as_ref()));
    let found = authenticate(&app.chains, credentials, app.clock.now()).await;
    let payer = found.as_ref().ok().and_then(Principal::name).map_or_else(|| peer(parts), str::to_owned);
    app.budgets.take(&payer, purpose, 1)?;
    Ok((found?, payer))
}

/// The address; of IPv6 the network, of which one host has all.
fn peer(parts: &Parts) -> String {
    match parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical()) {
        Some(IpAddr::V6(address)) => format!("peer:{}/64", Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        Some(address) => format!("peer:{address}"),
        None => "peer:unknown".into(),
    }
}
