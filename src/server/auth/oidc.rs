//! What a token of an issuer must say: audience, times, claims; for OpenID Connect and for Kubernetes service accounts
//! alike. Pure.

use super::{
    jwt::{self, Token},
    refusal::Refusal,
};
use crate::{
    json::{Value, shown},
    pattern::Pattern,
    resource::{Kubernetes, Oidc, RunTemplate},
};
use anyhow::Context as _;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// How long a token may live where the document does not say (store §3.5).
const LIFETIME_SECONDS: i64 = 3_600;
/// What clocks may differ by, for `nbf`, `iat` and a token's length of life; not for its end.
const SKEW_SECONDS: i64 = 60;
/// Bytes of the claims that are kept beside a record.
const KEPT_BYTES_MAX: usize = 4 << 10;

/// Claims kept as a witness beside those that the grant names: what CI systems say of a job, and no person's particulars.
const KEPT: [&str; 22] = [
    "sub",
    "jti",
    "iat",
    "exp",
    "repository",
    "repository_id",
    "repository_owner_id",
    "ref",
    "ref_type",
    "sha",
    "run_id",
    "run_attempt",
    "event_name",
    "environment",
    "job_workflow_ref",
    "job_workflow_sha",
    "runner_environment",
    "project_path",
    "project_id",
    "pipeline_id",
    "job_id",
    "ci_config_ref_uri",
];

/// A writer's or reader's demand on tokens of its issuer.
#[derive(Clone, Debug)]
pub struct Grant {
    audience: String,
    claims: Vec<(String, Pattern)>,
    max_lifetime: i64,
    run: Option<RunTemplate>,
    /// A token writes one record.
    pub one_time: bool,
}

impl Grant {
    /// Of a document that is valid.
    ///
    /// # Errors
    /// A pattern or template that is none.
    pub fn new(oidc: &Oidc) -> anyhow::Result<Self> {
        let mut claims = Vec::with_capacity(oidc.claims.len());
        for (name, text) in &oidc.claims {
            claims.push((name.clone(), Pattern::new(text).with_context(|| format!("claim {name}"))?));
        }
        Ok(Grant {
            audience: oidc.audience.clone(),
            claims,
            max_lifetime: oidc.max_lifetime.as_ref().map_or(LIFETIME_SECONDS, |span| span.duration().as_secs()),
            run: oidc.run.as_deref().map(str::parse).transpose().context("run")?,
            one_time: oidc.one_time,
        })
    }

    /// The same path with one claim: the service account.
    ///
    /// # Errors
    /// As `new`.
    pub fn of_account(account: &Kubernetes) -> anyhow::Result<Self> {
        let subject = Pattern::new(&account.subject()).context("service account")?;
        Ok(Grant {
            audience: account.audience.clone(),
            claims: vec![("sub".into(), subject)],
            max_lifetime: LIFETIME_SECONDS,
            run: None,
            one_time: false,
        })
    }

    /// Whether it is met, and the run that the token's records then belong to.
    ///
    /// # Errors
    /// The first demand that is not met, in the order of `Refusal`.
    pub fn check(&self, token: &Token, now: Timestamp) -> Result<Option<String>, Refusal> {
        self.check_audience(token)?;
        self.check_lifetime(token, now)?;
        for (name, pattern) in &self.claims {
            let value = token.get(name);
            if !value.is_some_and(|value| matches(pattern, value)) {
                return Err(claim(name, value));
            }
        }
        if self.one_time && token.text("jti").is_none_or(|jti| jti.is_empty()) {
            return Err(Refusal::NoJti);
        }
        let Some(template) = &self.run else { return Ok(None) };
        let missing = template.claims().find(|name| token.text(name).is_none());
        match missing {
            Some(name) => Err(claim(name, token.get(name))),
            None => Ok(template.render(|name| token.text(name))),
        }
    }

    fn check_audience(&self, token: &Token) -> Result<(), Refusal> {
        let meant = match token.get("aud") {
            Some(Value::String(audience)) => *audience == self.audience,
            Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(&self.audience)),
            _ => false,
        };
        if meant { Ok(()) } else { Err(Refusal::Audience) }
    }

    /// From its making, or where it does not say so from now, to its end.
    fn check_lifetime(&self, token: &Token, now: Timestamp) -> Result<(), Refusal> {
        let from = token.time("iat")?.unwrap_or(now.as_second());
        let seconds = token.time("exp")?.unwrap_or(i64::MAX).saturating_sub(from);
        if seconds > self.max_lifetime.saturating_add(SKEW_SECONDS) {
            return Err(Refusal::Lifetime { seconds, max: self.max_lifetime });
        }
        Ok(())
    }

    /// What is kept of the token beside its records, at most 4 KiB: the claims of this grant, then those of `KEPT`. One that
    /// does not fit is left out.
    pub fn witness(&self, token: &Token) -> serde_json::Value {
        let of_run = self.run.iter().flat_map(RunTemplate::claims);
        let names = self.claims.iter().map(|(name, _)| name.as_str()).chain(of_run).chain(KEPT);
        let (mut kept, mut bytes, mut seen) = (serde_json::Map::new(), 2, BTreeSet::new());
        for name in names.filter(|name| seen.insert(*name)) {
            let Some(value) = token.text(name) else { continue };
            let cost = serde_json::json!({ name: value }).to_string().len();
            if bytes + cost <= KEPT_BYTES_MAX {
                bytes += cost;
                kept.insert(name.to_owned(), value.into());
            }
        }
        kept.into()
    }
}

/// A token's own times, whoever may be meant by it. An end there must be; it is given back, in seconds since 1970.
///
/// # Errors
/// `Malformed`, `Expired` or `NotYetValid`.
pub fn check_times(token: &Token, now: Timestamp) -> Result<i64, Refusal> {
    let at = |seconds: i64| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    let expires = token.time("exp")?.ok_or_else(|| Refusal::Malformed("it has no exp".into()))?;
    if expires <= now.as_second() {
        return Err(Refusal::Expired(at(expires)));
    }
    for name in ["nbf", "iat"] {
        let early = token.time(name)?.filter(|seconds| *seconds > now.as_second().saturating_add(SKEW_SECONDS));
        if let Some(seconds) = early {
            return Err(Refusal::NotYetValid(at(seconds)));
        }
    }
    Ok(expires)
}

/// Of a list (`groups`), one that matches is enough.
fn matches(pattern: &Pattern, value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().filter_map(jwt::text).any(|text| pattern.matches(&text)),
        value => jwt::text(value).is_some_and(|text| pattern.matches(&text)),
    }
}

fn claim(name: &str, found: Option<&Value>) -> Refusal {
    let found = match found {
        None => "missing".into(),
        Some(value) => match jwt::text(value) {
            Some(text) => format!("\"{}\"", shown(&text)),
            None => "no text".into(),
        },
    };
    Refusal::Claim { name: shown(name), found }
}
