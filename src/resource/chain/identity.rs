//! How a writer or a reader of a `Chain` proves who it is: a static token, a token of a CI system (OpenID Connect), a client
//! certificate (SPIFFE), or a token of a Kubernetes service account.

use super::{RunTemplate, SpiffePattern};
use crate::{
    digest::Digest,
    pattern::Pattern,
    resource::{FieldError, Span, is_dns_name},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Claims one grant may name.
const CLAIMS_MAX: usize = 32;
const ISSUER_BYTES_MAX: usize = 512;
const AUDIENCE_BYTES_MAX: usize = 512;
/// Claims that have rules of their own.
const RESERVED: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

/// Tokens that an OpenID Connect issuer signs, such as those CI systems give to their jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Oidc {
    /// The token's `iss`, exactly: https, or http on loopback.
    pub issuer: String,
    /// One of the token's `aud`, exactly.
    pub audience: String,
    /// Claim → the text it must have, or a glob. At least one, for an issuer alone is everybody.
    pub claims: BTreeMap<String, String>,
    /// How long a token may live, from its `iat` to its `exp`; absent: one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lifetime: Option<Span>,
    /// The run its records belong to, of claims: `{repository}/{run_id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// A token writes one record, and needs a `jti`.
    #[serde(default)]
    pub one_time: bool,
    /// The issuer's keys, a JWK set (RFC 7517 §5); without it and `jwksFile` they are discovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    /// A file with the issuer's JWK set; read again when a token names a key that it did not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<String>,
    /// Authorities of the issuer's certificate, PEM; absent: those the system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
}

/// A client certificate of an authority of `--client-ca`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    /// The SPIFFE ID: `spiffe://corp/ns/ci/sa/build`; `*` stands within one segment.
    pub spiffe: String,
}

/// Projected tokens of one service account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Kubernetes {
    /// The cluster's service account issuer.
    pub issuer: String,
    /// The `audience` of the projected volume.
    pub audience: String,
    pub namespace: String,
    pub service_account: String,
    /// As of `oidc`: `kubectl get --raw /openid/v1/jwks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeySource {
    /// JSON in the document.
    Inline(String),
    File(String),
    /// OpenID Connect Discovery 1.0 §4, from a server with a certificate of this bundle, or of the system's authorities.
    Discovery {
        ca_bundle: Option<String>,
    },
}

impl KeySource {
    fn of(jwks: Option<&serde_json::Value>, file: Option<&str>, ca_bundle: Option<&str>) -> Self {
        match (jwks, file) {
            (Some(jwks), _) => KeySource::Inline(jwks.to_string()),
            (None, Some(file)) => KeySource::File(file.to_owned()),
            (None, None) => KeySource::Discovery { ca_bundle: ca_bundle.map(str::to_owned) },
        }
    }
}

impl Oidc {
    pub fn key_source(&self) -> KeySource {
        KeySource::of(self.jwks.as_ref(), self.jwks_file.as_deref(), self.ca_bundle.as_deref())
    }
}

impl Kubernetes {
    pub fn key_source(&self) -> KeySource {
        KeySource::of(self.jwks.as_ref(), self.jwks_file.as_deref(), self.ca_bundle.as_deref())
    }

    /// What such a token says in `sub`.
    pub fn subject(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.service_account)
    }
}

/// The one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity<'w> {
    /// `sha256:<hex>` of a bearer token.
    Token(&'w str),
    Oidc(&'w Oidc),
    Mtls(&'w Mtls),
    Kubernetes(&'w Kubernetes),
}

impl<'w> Identity<'w> {
    pub(super) fn one(
        token_hash: Option<&'w str>,
        oidc: Option<&'w Oidc>,
        mtls: Option<&'w Mtls>,
        kubernetes: Option<&'w Kubernetes>,
    ) -> Result<Self, FieldError> {
        let ways = [
            token_hash.map(Identity::Token),
            oidc.map(Identity::Oidc),
            mtls.map(Identity::Mtls),
            kubernetes.map(Identity::Kubernetes),
        ];
        let mut found = ways.into_iter().flatten();
        match (found.next(), found.next()) {
            (Some(identity), None) => Ok(identity),
            (None, _) => Err(FieldError::new("", "needs one of tokenHash, oidc, mtls and kubernetes")),
            (Some(_), Some(_)) => Err(FieldError::new("", "has several of tokenHash, oidc, mtls and kubernetes")),
        }
    }
}

/// What is wrong with an identity at this path.
pub(super) fn validate(path: &str, identity: Result<Identity<'_>, FieldError>, errors: &mut Vec<FieldError>) {
    let mut wrong = |field: &str, message: String| {
        errors.push(FieldError::new(format!("{path}{field}"), message));
    };
    match identity {
        Err(error) => wrong("", error.message),
        Ok(Identity::Token(hash)) => {
            if !hash.starts_with("sha256:") || hash.parse::<Digest>().is_err() {
                wrong(".tokenHash", "is not sha256:<64 lower-case hex digits>".into());
            }
        }
        Ok(Identity::Oidc(oidc)) => {
            let field = |name: &str| format!(".oidc.{name}");
            issuer(&oidc.issuer, &oidc.audience, &mut |name, message| wrong(&field(name), message));
            keys(oidc.jwks.as_ref(), oidc.jwks_file.as_deref(), oidc.ca_bundle.as_deref(), &mut |name, message| {
                wrong(&field(name), message);
            });
            claims(&oidc.claims, &mut |name, message| wrong(&field(name), message));
            if let Some(Err(error)) = oidc.run.as_deref().map(str::parse::<RunTemplate>) {
                wrong(".oidc.run", error.to_string());
            }
        }
        Ok(Identity::Mtls(mtls)) => {
            if let Err(error) = mtls.spiffe.parse::<SpiffePattern>() {
                wrong(".mtls.spiffe", error.to_string());
            }
        }
        Ok(Identity::Kubernetes(account)) => {
            let field = |name: &str| format!(".kubernetes.{name}");
            issuer(&account.issuer, &account.audience, &mut |name, message| wrong(&field(name), message));
            let (jwks, file, bundle) = (&account.jwks, &account.jwks_file, &account.ca_bundle);
            keys(jwks.as_ref(), file.as_deref(), bundle.as_deref(), &mut |name, message| wrong(&field(name), message));
            for (name, value) in [("namespace", &account.namespace), ("serviceAccount", &account.service_account)] {
                if !is_dns_name(value) {
                    wrong(&field(name), format!("\"{}\" is no name of Kubernetes", value.escape_default()));
                }
            }
        }
    }
}

fn issuer(issuer: &str, audience: &str, wrong: &mut dyn FnMut(&str, String)) {
    if let Err(why) = check_issuer(issuer) {
        wrong("issuer", why.into());
    }
    if audience.is_empty() || audience.len() > AUDIENCE_BYTES_MAX {
        wrong("audience", format!("expected 1 to {AUDIENCE_BYTES_MAX} characters"));
    }
}

/// What may be an issuer, and where its keys may be: https, or http on this machine; no credentials, query or fragment.
pub(crate) fn check_issuer(text: &str) -> Result<(), &'static str> {
    if text.len() > ISSUER_BYTES_MAX {
        return Err("has more than 512 bytes");
    }
    if text.contains(['?', '#', '@', '\\']) || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err("has credentials, a query, a fragment or a character no URL has");
    }
    let host = |rest: &str| rest.split('/').next().unwrap_or_default().to_owned();
    if let Some(rest) = text.strip_prefix("https://") {
        return if host(rest).is_empty() { Err("has no host") } else { Ok(()) };
    }
    let Some(rest) = text.strip_prefix("http://") else { return Err("expected https, or http on loopback") };
    let host = host(rest);
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if loopback { Ok(()) } else { Err("expected https, or http on loopback") }
}

fn keys(
    jwks: Option<&serde_json::Value>,
    file: Option<&str>,
    bundle: Option<&str>,
    wrong: &mut dyn FnMut(&str, String),
) {
    if let Some(jwks) = jwks {
        if file.is_some() {
            wrong("jwksFile", "stands beside jwks: give one of them".into());
        }
        if !jwks.get("keys").is_some_and(serde_json::Value::is_array) {
            wrong("jwks", "expected a JWK set: { keys: […] }".into());
        }
    }
    if file.is_some_and(str::is_empty) {
        wrong("jwksFile", "is empty".into());
    }
    if bundle.is_some() && (jwks.is_some() || file.is_some()) {
        wrong("caBundle", "means nothing beside jwks or jwksFile: nobody is asked for the keys".into());
    }
    if bundle.is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----")) {
        wrong("caBundle", "holds no PEM certificate".into());
    }
}

fn claims(claims: &BTreeMap<String, String>, wrong: &mut dyn FnMut(&str, String)) {
    if claims.is_empty() || claims.len() > CLAIMS_MAX {
        wrong("claims", format!("expected 1 to {CLAIMS_MAX} claims: an issuer alone is everybody it knows"));
    }
    if !claims.is_empty() && claims.values().all(|text| text.chars().all(|c| c == '*')) {
        wrong("claims", "are all *, which is everybody the issuer knows".into());
    }
    for (name, text) in claims {
        let field = format!("claims.{name}");
        if RESERVED.contains(&name.as_str()) {
            wrong(&field, "has a field of its own".into());
        }
        match Pattern::new(text) {
            Err(error) => wrong(&field, error.to_string()),
            Ok(_) if text.is_empty() => wrong(&field, "is empty".into()),
            Ok(pattern) => {
                if let Some(lint) = pattern.lint() {
                    wrong(&field, format!("\"{}\": {lint}", text.escape_default()));
                }
            }
        }
    }
}
