//! Evidence from the metadata store: GET /v1/evidence/sha256:{hex} (design §8), with a deadline of its own, bounded.
//! Nothing it says is believed: a record must be an envelope whose payload hashes to the name it is given under, and what
//! it proves is `verify`'s business.

use crate::{
    digest::Digest,
    envelope::Envelope,
    file,
    reason::{Fault, Reason},
    registry,
};
use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::StreamExt as _;
use serde::Deserialize;
use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};
use url::Url;

/// Bytes of one answer.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Records of one answer.
const RECORDS_MAX: usize = 256;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an error's answer that are read for its words.
const PROBLEM_BYTES_MAX: usize = 16 << 10;

/// Reads one store.
pub struct StoreClient {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
    timeout: Duration,
    requests: AtomicU64,
}

/// Which store, and how.
#[derive(Clone)]
pub struct Options {
    /// `https://…`, or `http://` on loopback.
    pub url: String,
    /// A reader's bearer token.
    pub token: Option<String>,
    /// Only certificates of these authorities, PEM; `None`: those the system trusts.
    pub ca_file: Option<std::path::PathBuf>,
    /// For one answer, whatever the deadline.
    pub timeout: Duration,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token stays out of logs.
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("Options").field("url", &self.url).field("token", &token).finish_non_exhaustive()
    }
}

/// The answer of the API.
#[derive(Deserialize)]
struct Answer {
    image: String,
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    digest: String,
    envelope: String,
}

/// A store's URL, ending in a slash, and whether it is on this machine: https, or http there. Tokens go nowhere else.
///
/// # Errors
/// It is no such URL, or has credentials or a query.
pub(crate) fn base(text: &str) -> anyhow::Result<(Url, bool)> {
    let mut base = Url::parse(text).with_context(|| format!("store \"{text}\""))?;
    let loopback = match base.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if !(base.scheme() == "https" || base.scheme() == "http" && loopback) {
        bail!("store \"{text}\": expected https, or http on loopback");
    }
    if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
        bail!("the store's url has credentials or a query");
    }
    if !base.path().ends_with('/') {
        let path = format!("{}/", base.path());
        base.set_path(&path);
    }
    Ok((base, loopback))
}

/// The certificates of a CA bundle, of which there is at least one.
pub(crate) fn authorities(path: &Path) -> anyhow::Result<Vec<reqwest::Certificate>> {
    let pem = file::read(path, file::SMALL_BYTES_MAX)?;
    let authorities = reqwest::Certificate::from_pem_bundle(&pem).with_context(|| path.display().to_string())?;
    if authorities.is_empty() {
        bail!("{} holds no certificate", path.display());
    }
    Ok(authorities)
}

/// The header by which a store says that it left records out (docs/store.md).
pub const TRUNCATED: &str = "tidewaiter-truncated";

/// What the store has for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub envelopes: Vec<Vec<u8>>,
    /// Whether that is all it has.
    pub whole: bool,
}

impl StoreClient {
    /// A client; nothing is sent yet. An error for a URL that is not https (nor http on loopback), or certificates that do
    /// not read.
    pub fn new(options: &Options) -> anyhow::Result<Self> {
        let base = base(&options.url)?.0;
        let mut http = reqwest::Client::builder()
            // A store that sends us elsewhere is no store of ours; a proxy of the environment is none either.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT.min(options.timeout))
            .user_agent(registry::USER_AGENT);
        if let Some(path) = &options.ca_file {
            http = http.tls_certs_only(authorities(path)?);
        }
        Ok(StoreClient {
            http: http.build().context("store client")?,
            base,
            token: options.token.clone(),
            timeout: options.timeout,
            requests: AtomicU64::new(0),
        })
    }

    /// The envelopes the store has for the image. `digest_mismatch` when a record is not what its name says; `deadline_exceeded`;
    /// `store_unavailable`, with why, for everything else that goes wrong.
    pub async fn envelopes(&self, image: &Digest, deadline: Instant) -> Result<Stored, Fault> {
        let own = Instant::now().checked_add(self.timeout).unwrap_or(deadline);
        let answer = tokio::time::timeout_at(own.min(deadline).into(), self.fetch(image)).await;
        match answer {
            Ok(answer) => {
                let (body, whole) = answer?;
                Ok(Stored { envelopes: records(image, &body)?, whole })
            }
            Err(_) if deadline <= own => {
                let why = "the review's time ran out: the metadata store did not answer";
                Err(Fault::new(Reason::DeadlineExceeded, why))
            }
            Err(_) => Err(unavailable(format!("it did not answer within {:?}", self.timeout))),
        }
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The answer's body, and whether the store says that it is all.
    async fn fetch(&self, image: &Digest) -> Result<(Vec<u8>, bool), Fault> {
        let url = self
            .base
            .join(&format!("v1/evidence/sha256:{}", image.hex()))
            .map_err(|error| unavailable(error.to_string()))?;
        let mut request = self.http.get(url).header(reqwest::header::ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        // `without_url`: the message is shown to whoever applied the workload.
        let response = request.send().await.map_err(|error| unavailable(chain(&error.without_url())))?;
        let status = response.status();
        if status != reqwest::StatusCode::OK {
            let body = body(response, PROBLEM_BYTES_MAX).await.unwrap_or_default();
            return Err(unavailable(format!("it answered {}{}", status.as_u16(), reason(&body))));
        }
        let whole = !response.headers().contains_key(TRUNCATED);
        Ok((body(response, ANSWER_BYTES_MAX).await?, whole))
    }
}

fn unavailable(why: impl std::fmt::Display) -> Fault {
    Fault::new(Reason::StoreUnavailable, format!("the metadata store could not be asked: {why}"))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The reason of a problem+json, where it is a plain word.
fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        reason: String,
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem)
            if problem.reason.len() <= 64 && problem.reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') =>
        {
            format!(" ({})", problem.reason)
        }
        _ => String::new(),
    }
}

/// The whole body, or an error once it is more than `max`.
async fn body(response: reqwest::Response, max: usize) -> Result<Vec<u8>, Fault> {
    let too_long = || unavailable(format!("its answer has more than {max} bytes"));
    if response.content_length().is_some_and(|bytes| bytes > max as u64) {
        return Err(too_long());
    }
    let mut stream = response.bytes_stream();
    let mut body = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| unavailable(chain(&error.without_url())))?;
        if body.len() + part.len() > max {
            return Err(too_long());
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// The envelopes of an answer about this image, each of them what its name says.
fn records(image: &Digest, body: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| unavailable(format!("its answer does not read: {error}")))?;
    if answer.image != image.to_string() {
        return Err(unavailable(format!("it answered about another image than {image}")));
    }
    if answer.records.len() > RECORDS_MAX {
        return Err(unavailable(format!("it answered with {} records, more than {RECORDS_MAX}", answer.records.len())));
    }
    answer.records.iter().map(envelope).collect()
}

fn envelope(record: &Record) -> Result<Vec<u8>, Fault> {
    let name: Digest = record.digest.parse().map_err(|_| unavailable("a record it gave has no digest for a name"))?;
    let bytes = STANDARD
        .decode(&record.envelope)
        .map_err(|_| unavailable(format!("the envelope of record {name} is not base64")))?;
    let envelope =
        Envelope::parse(&bytes).map_err(|error| unavailable(format!("record {name} is no envelope: {error}")))?;
    let found = envelope.digest();
    if found != name {
        return Err(Fault::new(
            Reason::DigestMismatch,
            format!("the metadata store gave a record named {name}, and what is signed in it is {found}"),
        ));
    }
    Ok(bytes)
}
