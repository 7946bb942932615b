//! The store over HTTP: one image by GET, several by one POST; bounded, redirected nowhere, and nothing believed.

use super::{
    Options,
    answer::{self, Found},
    authorities, base, unavailable,
};
use crate::{
    digest::Digest,
    reason::{Fault, Reason},
    registry,
};
use anyhow::Context as _;
use futures::StreamExt as _;
use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

/// Bytes of one answer.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Images of one question (docs/store.md, `evidence:batch`).
const IMAGES_MAX: usize = 100;
/// Questions at once, where several are needed for one review.
const AT_ONCE: usize = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an error's answer that are read for its words.
const PROBLEM_BYTES_MAX: usize = 16 << 10;
/// How long a store that knows no batches is asked one by one: it may be brought up to date.
const OLD_FOR: Duration = Duration::from_secs(60);
/// What is read of an answer whatever else goes on, and the MiB of all beyond that at once (design §10, memory).
const OWN_BYTES_MAX: usize = 1 << 20;
static SHARED_MIB: Semaphore = Semaphore::const_new(64);

/// The header by which a store says that it left records out (docs/store.md).
pub const TRUNCATED: &str = "tidewaiter-truncated";

/// The store was not told.
#[derive(Clone, Debug)]
pub struct Untold {
    pub fault: Fault,
    /// Whether another try may help.
    pub again: bool,
}

/// The way to one store.
pub(super) struct Wire {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
    requests: AtomicU64,
    /// It answered that it knows no batches.
    old_until: Mutex<Option<Instant>>,
}

impl Wire {
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
        Ok(Wire {
            http: http.build().context("store client")?,
            base,
            token: options.token.clone(),
            requests: AtomicU64::new(0),
            old_until: Mutex::default(),
        })
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// What the store has for each of these images: one question, where the store is of today.
    pub async fn ask(&self, images: &[Digest]) -> BTreeMap<Digest, Found> {
        let mut found = BTreeMap::new();
        if images.len() > 1 && !self.is_old() {
            let questions: Vec<_> = images.chunks(IMAGES_MAX).map(|images| self.many(images)).collect();
            let mut answers = futures::stream::iter(questions).buffer_unordered(AT_ONCE);
            while let Some(answer) = answers.next().await {
                found.extend(answer);
            }
        }
        // Of those that were not asked for so; and where the whole did not fit into one answer, one image may fit into its own.
        let alone = images.iter().filter(|image| match found.get(*image) {
            None => true,
            Some(Ok(stored)) => !stored.whole,
            Some(Err(_)) => false,
        });
        let alone: Vec<_> = alone.map(|image| async move { (image.clone(), self.one(image).await) }).collect();
        let alone: Vec<_> = futures::stream::iter(alone).buffer_unordered(AT_ONCE).collect().await;
        found.extend(alone);
        found
    }

    /// One image. GET is what every store knows.
    async fn one(&self, image: &Digest) -> Found {
        let response = self.send(self.http.get(self.url(&format!("v1/evidence/sha256:{}", image.hex()))?)).await?;
        if response.status() != StatusCode::OK {
            return Err(refusal(response).await);
        }
        let whole = !response.headers().contains_key(TRUNCATED);
        answer::one(image, &Body::read(response, ANSWER_BYTES_MAX).await?.bytes, whole)
    }

    /// Several images in one question. Nothing: they have to be asked for one by one.
    async fn many(&self, images: &[Digest]) -> BTreeMap<Digest, Found> {
        match self.batch(images).await {
            Ok(Some(found)) => found,
            Ok(None) => BTreeMap::new(),
            Err(fault) => images.iter().map(|image| (image.clone(), Err(fault.clone()))).collect(),
        }
    }

    async fn batch(&self, images: &[Digest]) -> Result<Option<BTreeMap<Digest, Found>>, Fault> {
        let names: Vec<String> = images.iter().map(Digest::to_string).collect();
        let question = serde_json::json!({ "images": names });
        let response = self.send(self.http.post(self.url("v1/evidence:batch")?).json(&question)).await?;
        match response.status() {
            StatusCode::OK => {}
            // An older store.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                let until = Instant::now().checked_add(OLD_FOR);
                *self.old_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
                return Ok(None);
            }
            // What is wrong with one of them (`corrupt`) is no other's business.
            StatusCode::INTERNAL_SERVER_ERROR => return Ok(None),
            _ => return Err(refusal(response).await),
        }
        answer::many(images, &Body::read(response, ANSWER_BYTES_MAX).await?.bytes).map(Some)
    }

    /// Tells the store something that it only has to take.
    pub async fn tell(&self, path: &str, told: &serde_json::Value) -> Result<(), Untold> {
        let never = |fault| Untold { fault, again: false };
        let sent = self.send(self.http.post(self.url(path).map_err(never)?).json(told)).await;
        let response = sent.map_err(|fault| Untold { fault, again: true })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let again = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        Err(Untold { fault: refusal(response).await, again })
    }

    fn is_old(&self) -> bool {
        let until = *self.old_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn url(&self, path: &str) -> Result<Url, Fault> {
        self.base.join(path).map_err(|error| unavailable(error.to_string()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let mut request = request.header(header::ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        self.requests.fetch_add(1, Relaxed);
        // `without_url`: the message is shown to whoever applied the workload.
        request.send().await.map_err(|error| unavailable(chain(&error.without_url())))
    }
}

/// An answer that is none, with its reason where that is a plain word.
async fn refusal(response: Response) -> Fault {
    let status = response.status().as_u16();
    let body = Body::read(response, PROBLEM_BYTES_MAX).await.map(|body| body.bytes).unwrap_or_default();
    unavailable(format!("it answered {status}{}", reason(&body)))
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

/// A body in memory, and its share of what all of them may take, until it is read.
struct Body {
    bytes: Vec<u8>,
    share: Vec<SemaphorePermit<'static>>,
}

impl Body {
    /// The whole body, or an error once it is more than `max`.
    async fn read(response: Response, max: usize) -> Result<Body, Fault> {
        let too_long = || unavailable(format!("its answer has more than {max} bytes"));
        if response.content_length().is_some_and(|bytes| bytes > max as u64) {
            return Err(too_long());
        }
        let mut stream = response.bytes_stream();
        let mut body = Body { bytes: Vec::new(), share: Vec::new() };
        while let Some(part) = stream.next().await {
            let part = part.map_err(|error| unavailable(chain(&error.without_url())))?;
            if body.bytes.len() + part.len() > max {
                return Err(too_long());
            }
            body.bytes.extend_from_slice(&part);
            body.pay()?;
        }
        Ok(body)
    }

    fn pay(&mut self) -> Result<(), Fault> {
        while self.bytes.len() > OWN_BYTES_MAX * (self.share.len() + 1) {
            self.share.push(SHARED_MIB.try_acquire().map_err(|_| {
                Fault::new(Reason::Overloaded, "too much evidence is being read at once; try again in some seconds")
            })?);
        }
        Ok(())
    }
}
