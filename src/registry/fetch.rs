//! One object of one repository: authenticates once, follows redirects of blobs, and reads what the status says (security §2.D4, D5,
//! D12).

use super::{
    auth::{self, Challenge, RealmRules, TokenKey},
    breaker::{Gate, Health},
    credentials::{Credential, Secret},
    http::{Answer, Failure, Question, Way, Wire},
};
use crate::{
    oci::media,
    reason::{Fault, Reason},
};
use http::{StatusCode, header};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use url::Url;

/// One registry reached over the network.
pub struct Remote {
    /// `host[:port]` as references name it.
    pub name: String,
    pub base: Url,
    pub way: Way,
    /// The operator's.
    pub credential: Option<Arc<Credential>>,
    /// A pod's may be used where the operator has none.
    pub borrows: bool,
    pub auth_realms: Vec<String>,
    pub gate: Gate,
    /// What it asked for last, so that the next repository needs no refusal first.
    pub challenge: Mutex<Option<Challenge>>,
}

/// What kind of object is asked for; only blobs may be elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Manifest,
    Blob,
    Referrers,
}

/// An object of a repository.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    pub kind: Kind,
    /// The repository's path at this registry.
    pub repository: &'a str,
    pub url: Url,
    pub bytes_max: u64,
    /// Whose name we ask in, at this registry and at its token server.
    pub credential: Option<&'a Credential>,
}

/// An answer that may be one.
#[derive(Debug)]
pub enum Reply {
    Found(Found),
    /// 404.
    Missing,
    /// No such API here: 400, 405, 406 or a redirect. For referrers alone.
    NoApi,
}
#[derive(Debug)]
pub struct Found {
    pub bytes: Vec<u8>,
    /// Without parameters, in lower case.
    pub media_type: Option<String>,
    /// `Docker-Content-Digest`, as sent.
    pub digest: Option<String>,
    /// `Link` lines.
    pub links: Vec<String>,
}

/// Everything a fetch needs beside the registry itself.
pub struct Fetcher {
    pub wire: Wire,
    pub tokens: auth::Tokens,
    /// Configured hosts by `host[:port]`: where a redirect may need rules of its own.
    pub ways: BTreeMap<String, Way>,
    /// The way to every other host.
    pub stranger: Way,
}

impl Fetcher {
    /// Asks one registry once, through its gate.
    pub async fn fetch(&self, remote: &Remote, ask: &Ask<'_>, deadline: Instant) -> Result<Reply, Fault> {
        let pass = remote.gate.enter(deadline).await?;
        let outcome = self.attempt(remote, ask, deadline).await;
        match outcome {
            Ok(reply) => {
                pass.tell(Health::Alive);
                Ok(reply)
            }
            Err(failure) => {
                pass.tell(failure.health);
                Err(failure.fault)
            }
        }
    }

    async fn attempt(&self, remote: &Remote, ask: &Ask<'_>, deadline: Instant) -> Result<Reply, Failure> {
        let mut url = ask.url.clone();
        let mut authorization = self.known_authorization(remote, ask, deadline).await?;
        let (mut may_authenticate, mut hops) = (true, 0);
        loop {
            let way = self.way(remote, &url);
            let question = Question {
                url: url.clone(),
                accept: accept(ask.kind),
                authorization: authorization.clone(),
                form: None,
            };
            let answer = self.wire.send(way, &question, deadline).await?;
            match answer.status.as_u16() {
                200 => return self.found(answer, ask, deadline).await,
                // Another host's 401 is not answered: what we have is for the registry alone.
                401 if may_authenticate && same_origin(&url, &remote.base) && hops == 0 => {
                    may_authenticate = false;
                    let challenge = auth::challenge(&answer.headers);
                    self.wire.drain(answer, deadline).await;
                    authorization =
                        Some(self.authenticate(remote, ask, challenge, authorization.as_ref(), deadline).await?);
                }
                301 | 302 | 303 | 307 | 308 => match ask.kind {
                    Kind::Referrers => return Ok(Reply::NoApi),
                    Kind::Manifest => return Err(refused(remote, "redirects a manifest, which only blobs may be")),
                    Kind::Blob => {
                        hops += 1;
                        if hops > self.wire.limits.redirects_max {
                            return Err(refused(remote, "redirects a blob too often"));
                        }
                        let next = self.redirected(remote, &url, &answer)?;
                        self.wire.drain(answer, deadline).await;
                        if !same_origin(&next, &url) {
                            authorization = None;
                        }
                        url = next;
                    }
                },
                404 => {
                    self.wire.drain(answer, deadline).await;
                    return Ok(Reply::Missing);
                }
                400 | 405 | 406 if ask.kind == Kind::Referrers => {
                    self.wire.drain(answer, deadline).await;
                    return Ok(Reply::NoApi);
                }
                status => return Err(denied(remote, ask, status)),
            }
        }
    }

    /// The way to a URL: its host's own rules, which an unnamed host has none of.
    fn way<'f>(&'f self, remote: &'f Remote, url: &Url) -> &'f Way {
        if same_origin(url, &remote.base) {
            return &remote.way;
        }
        self.ways.get(&auth::authority(url)).unwrap_or(&self.stranger)
    }

    async fn found(&self, answer: Answer, ask: &Ask<'_>, deadline: Instant) -> Result<Reply, Failure> {
        let text = |name: &str| answer.headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        let media_type = text("content-type")
            .map(|t| t.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
            .filter(|t| !t.is_empty());
        let digest = text("docker-content-digest");
        let links =
            answer.headers.get_all(header::LINK).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect();
        let bytes = self.wire.body(answer, ask.bytes_max, deadline).await?;
        Ok(Reply::Found(Found { bytes, media_type, digest, links }))
    }

    fn redirected(&self, remote: &Remote, from: &Url, answer: &Answer) -> Result<Url, Failure> {
        let location = answer.headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
        let Some(mut next) = location.and_then(|location| from.join(location).ok()) else {
            return Err(refused(remote, "redirects a blob to what is no URL"));
        };
        next.set_fragment(None);
        if !next.username().is_empty() || next.password().is_some() {
            return Err(refused(remote, "redirects a blob to a URL with a user"));
        }
        // D4: https stays https; plain http stays with hosts that are plain http by configuration.
        let plain = next.scheme() == "http" && from.scheme() == "http" && self.way(remote, &next).insecure;
        if next.scheme() != "https" && !plain {
            return Err(refused(remote, "redirects a blob to something other than https"));
        }
        Ok(next)
    }

    /// What to send along at once: a registry that has asked before is told before it asks again.
    async fn known_authorization(
        &self,
        remote: &Remote,
        ask: &Ask<'_>,
        deadline: Instant,
    ) -> Result<Option<Secret>, Failure> {
        let known = remote.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(ask.credential.and_then(Credential::basic)),
            Some(Challenge::Bearer { realm, service }) => {
                self.token(remote, ask, &realm, service.as_deref(), None, deadline).await.map(Some)
            }
        }
    }

    /// Answers a 401. `stale`: what was sent already, and is not good any more.
    async fn authenticate(
        &self,
        remote: &Remote,
        ask: &Ask<'_>,
        challenge: Option<Challenge>,
        stale: Option<&Secret>,
        deadline: Instant,
    ) -> Result<Secret, Failure> {
        let challenge =
            challenge.ok_or_else(|| not_let_in(remote, "asks for an authentication that we do not know"))?;
        let header = match &challenge {
            Challenge::Basic => {
                let basic = ask.credential.and_then(Credential::basic);
                basic.filter(|basic| stale != Some(basic)).ok_or_else(|| denied(remote, ask, 401))?
            }
            Challenge::Bearer { realm, service } => {
                self.token(remote, ask, realm, service.as_deref(), stale, deadline).await?
            }
        };
        *remote.challenge.lock().unwrap_or_else(PoisonError::into_inner) = Some(challenge);
        Ok(header)
    }

    /// A token for pulling from one repository: the one in hand, else a new one. One request at a time for each.
    async fn token(
        &self,
        remote: &Remote,
        ask: &Ask<'_>,
        realm: &str,
        service: Option<&str>,
        stale: Option<&Secret>,
        deadline: Instant,
    ) -> Result<Secret, Failure> {
        let rules = RealmRules {
            registry: &remote.base,
            allowed: &remote.auth_realms,
            allow_private: remote.way.allow_private,
        };
        let realm = auth::realm(realm, &rules)?;
        let identity = ask.credential.map_or_else(|| "anonymous".to_owned(), Credential::identity);
        let key = TokenKey { registry: remote.name.clone(), repository: ask.repository.to_owned(), identity };
        let slot = self.tokens.slot(&key, self.wire.limits.remembered_max);
        let mut held = tokio::time::timeout_at(deadline.into(), slot.lock()).await.map_err(|_| {
            let why = format!("the review's time ran out: registry {} gave no token", remote.name);
            Fault::new(Reason::DeadlineExceeded, why)
        })?;
        if let Some(token) = held.as_ref().filter(|token| token.until > Instant::now() && Some(&token.header) != stale)
        {
            return Ok(token.header.clone());
        }
        *held = None;
        let token = self.new_token(remote, ask, realm, service, deadline).await?;
        let header = token.header.clone();
        *held = Some(token);
        Ok(header)
    }

    async fn new_token(
        &self,
        remote: &Remote,
        ask: &Ask<'_>,
        mut realm: Url,
        service: Option<&str>,
        deadline: Instant,
    ) -> Result<auth::Token, Failure> {
        // D5: the scope is ours to name, whatever the challenge says.
        let mut fields = vec![("scope", format!("repository:{}:pull", ask.repository))];
        fields.extend(service.map(|service| ("service", service.to_owned())));
        let mut question = Question { url: realm.clone(), accept: None, authorization: None, form: None };
        match ask.credential {
            Some(Credential::IdentityToken(refresh)) => {
                fields.extend([("grant_type", "refresh_token".to_owned()), ("client_id", "tidewaiter".to_owned())]);
                fields.push(("refresh_token", refresh.expose().to_owned()));
                let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
                question.form = Some(Secret::new(form));
            }
            password => {
                realm.query_pairs_mut().extend_pairs(&fields);
                question.url = realm;
                question.authorization = password.and_then(Credential::basic);
            }
        }
        // A realm on the registry's own name, behind another port, is reached by the registry's rules.
        let home = question.url.host() == remote.base.host();
        let way = if home { &remote.way } else { self.way(remote, &question.url) };
        let answer = self.wire.send(way, &question, deadline).await?;
        match answer.status {
            StatusCode::OK => {}
            status if status.is_redirection() => return Err(refused(remote, "has a token server that redirects")),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(in_trouble(remote, "'s token server answers", status.as_u16()));
            }
            _ => return Err(not_let_in(remote, "gives us no token")),
        }
        let body = self.wire.body(answer, self.wire.limits.token_bytes_max, deadline).await?;
        auth::token(&body, Instant::now()).ok_or_else(|| {
            Failure::useless(
                Reason::RegistryUnavailable,
                format!("registry {} answers with no token that can be sent", remote.name),
            )
        })
    }
}

/// Media types we ask for; blobs are asked for as they are.
fn accept(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Manifest => Some(media::ACCEPT_DOCUMENT),
        Kind::Referrers => Some(media::OCI_INDEX),
        Kind::Blob => None,
    }
}

fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

fn refused(remote: &Remote, what: &str) -> Failure {
    Failure::useless(Reason::RegistryRefused, format!("registry {} {what}", remote.name))
}

fn not_let_in(remote: &Remote, what: &str) -> Failure {
    Failure::useless(Reason::RegistryAuth, format!("registry {} {what}", remote.name))
}

fn in_trouble(remote: &Remote, what: &str, status: u16) -> Failure {
    Failure::failing(Reason::RegistryUnavailable, format!("registry {}{what} {status}", remote.name))
}

/// A status that is no answer to the question (D12).
fn denied(remote: &Remote, ask: &Ask<'_>, status: u16) -> Failure {
    match status {
        401 | 403 => Failure::useless(Reason::RegistryAuth, hidden(&remote.name, ask.repository)),
        429 | 500..=599 => in_trouble(remote, " answers", status),
        _ => Failure::useless(Reason::RegistryUnavailable, format!("registry {} answers {status}", remote.name)),
    }
}

/// Said of what is not there and of what we may not see, in the same words (security §2.G4).
pub fn hidden(registry: &str, repository: &str) -> String {
    format!("registry {registry} does not have this image of {repository}, or does not show it to us")
}
