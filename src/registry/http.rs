//! One request, one answer, both bounded: time to the first byte, size of the head, no compression, size and speed of the body
//! (security §2.D6, D8, D10). What the answer means is decided in `fetch`.

use super::{address, breaker::Health, credentials::Secret, limits::Limits};
use crate::reason::{Fault, Reason};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::{
    error::Error,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};
use url::Url;

/// A fault, and what it says about the registry's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub fault: Fault,
    pub health: Health,
}

impl Failure {
    /// The registry is in trouble.
    pub fn failing(reason: Reason, message: String) -> Self {
        let fault = Fault::new(reason, message);
        Failure { health: Health::Failing(fault.clone()), fault }
    }
    /// The registry answers; this answer is of no use.
    pub fn useless(reason: Reason, message: String) -> Self {
        Failure { fault: Fault::new(reason, message), health: Health::Alive }
    }
}
/// A fault of ours says nothing about the registry.
impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure { fault, health: Health::Unknown }
    }
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Question {
    pub url: Url,
    pub accept: Option<&'static str>,
    pub authorization: Option<Secret>,
    /// Makes it a POST, which is not sent twice.
    pub form: Option<Secret>,
}

/// The head of an answer; its body is still to be read.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// `host[:port]`, for messages.
    from: String,
    started: Instant,
    response: reqwest::Response,
}

/// A client and the rule it was built with.
#[derive(Clone)]
pub struct Way {
    pub client: reqwest::Client,
    pub allow_private: bool,
    pub insecure: bool,
}

/// Sends requests and counts them.
pub struct Wire {
    pub limits: Limits,
    requests: AtomicU64,
}

impl Wire {
    pub fn new(limits: Limits) -> Self {
        Wire { limits, requests: AtomicU64::new(0) }
    }
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Sends, and waits for the head of the answer. A GET whose connection was closed before it answered is sent once more (F3).
    pub async fn send(&self, way: &Way, question: &Question, deadline: Instant) -> Result<Answer, Failure> {
        let from = super::auth::authority(&question.url);
        address::check_literal(&question.url, way.allow_private)?;
        let started = Instant::now();
        if started >= deadline {
            return Err(Fault::new(Reason::DeadlineExceeded, format!("no time was left to ask registry {from}")).into());
        }
        let own = started + self.limits.first_byte;
        let mut again = question.form.is_none();
        loop {
            let request = build(&way.client, question)?;
            self.requests.fetch_add(1, Ordering::Relaxed);
            match tokio::time::timeout_at(deadline.min(own).into(), way.client.execute(request)).await {
                Err(_) => return Err(late(&from, "did not answer", started, self.limits.first_byte, deadline < own)),
                Ok(Ok(response)) => return self.head(from, started, response),
                Ok(Err(error)) if again && closed_early(&error) => again = false,
                Ok(Err(error)) => return Err(explain(&from, &error)),
            }
        }
    }

    fn head(&self, from: String, started: Instant, mut response: reqwest::Response) -> Result<Answer, Failure> {
        let headers = std::mem::take(response.headers_mut());
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if size > self.limits.header_bytes_max || headers.len() > self.limits.headers_max {
            return Err(no_answer(&from, format!("{size} bytes of header fields, more than we read")));
        }
        // D10: a body is hashed and bounded as it came, so it has to come as it is.
        if headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| coding != "identity") {
            return Err(no_answer(&from, "a compressed body, which we did not ask for".to_owned()));
        }
        Ok(Answer { status: response.status(), headers, from, started, response })
    }

    /// The body, of at most `bytes_max` bytes, at a speed and until a time.
    pub async fn body(&self, answer: Answer, bytes_max: u64, deadline: Instant) -> Result<Vec<u8>, Failure> {
        let Answer { from, started, mut response, headers, .. } = answer;
        let too_large = || no_answer(&from, format!("a body of more than {bytes_max} bytes"));
        let length =
            headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
        if length.or(response.content_length()).is_some_and(|length| length > bytes_max) {
            return Err(too_large());
        }
        let whole = started + self.limits.object;
        let first = Instant::now();
        let mut body = Vec::new();
        loop {
            let received = body.len() as u64;
            let own = whole.min(first + self.limits.speed_grace + self.time_for(received));
            let chunk = match tokio::time::timeout_at(deadline.min(own).into(), response.chunk()).await {
                Err(_) => {
                    let limit = self.limits.object.min(self.limits.speed_grace);
                    return Err(late(&from, "did not send its whole answer", started, limit, deadline < own));
                }
                Ok(Err(error)) => return Err(broken(&from, &error)),
                Ok(Ok(None)) => return Ok(body),
                Ok(Ok(Some(chunk))) => chunk,
            };
            if received + chunk.len() as u64 > bytes_max {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// Reads what is left of an answer that said enough with its head, so that the connection can be used again: a short body, for a
    /// short time, and without regard to how it ends.
    pub async fn drain(&self, answer: Answer, deadline: Instant) {
        let until = deadline.min(Instant::now() + self.limits.first_byte / 10);
        if answer.response.content_length().is_some_and(|length| length <= DRAINED_BYTES_MAX) {
            let _ = self.body(answer, DRAINED_BYTES_MAX, until).await;
        }
    }

    /// How long so many bytes may take.
    fn time_for(&self, bytes: u64) -> Duration {
        Duration::from_millis(bytes.saturating_mul(1000) / self.limits.bytes_per_second_min.max(1))
    }
}

/// A longer body is not read for the sake of its connection.
const DRAINED_BYTES_MAX: u64 = 16 << 10;

fn build(client: &reqwest::Client, question: &Question) -> Result<reqwest::Request, Fault> {
    let mut request = match &question.form {
        None => client.get(question.url.clone()),
        Some(form) => client
            .post(question.url.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.expose().to_owned()),
    };
    if let Some(accept) = question.accept {
        request = request.header(header::ACCEPT, accept);
    }
    if let Some(authorization) = &question.authorization {
        let mut value = HeaderValue::from_str(authorization.expose())
            .map_err(|_| Fault::new(Reason::RegistryAuth, "the registry's credentials cannot be sent in a header"))?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    request.build().map_err(|_| Fault::new(Reason::InternalError, "a request to a registry could not be built"))
}

/// It ran out of time: of its own, or of what the review had left (`review`), who is told so. The breaker hears of a registry that was
/// waited for, and not of one that was asked late.
fn late(from: &str, what: &str, started: Instant, limit: Duration, review: bool) -> Failure {
    let waited = started.elapsed();
    let slow = Fault::new(Reason::RegistryTimeout, format!("registry {from} {what} within {} ms", waited.as_millis()));
    let fault = match review {
        true => Fault::new(Reason::DeadlineExceeded, format!("the review's time ran out: {}", slow.message)),
        false => slow.clone(),
    };
    let health = if waited * 2 >= limit { Health::Failing(slow) } else { Health::Unknown };
    Failure { fault, health }
}

/// It answers with something that is no answer.
fn no_answer(from: &str, what: String) -> Failure {
    Failure::useless(Reason::RegistryUnavailable, format!("registry {from} sent {what}"))
}

fn broken(from: &str, error: &reqwest::Error) -> Failure {
    let timed_out = error.is_timeout();
    let reason = if timed_out { Reason::RegistryTimeout } else { Reason::RegistryUnavailable };
    Failure::failing(reason, format!("registry {from} broke off in the middle of its answer"))
}

/// Errors, and what caused them, the outermost first.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'e (dyn Error + 'static) = *error;
        error.source()
    })
    .take(16)
}

/// The connection was closed before it answered: an idle one that the registry had given up, most often.
fn closed_early(error: &reqwest::Error) -> bool {
    !error.is_connect()
        && causes(error).any(|cause| {
            cause
                .downcast_ref::<hyper::Error>()
                .is_some_and(|e| e.is_incomplete_message() || e.is_canceled() || e.is_closed())
                || cause.downcast_ref::<io::Error>().is_some_and(|e| {
                    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
                    matches!(e.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
                })
        })
}

/// Why no head came.
fn explain(from: &str, error: &reqwest::Error) -> Failure {
    if let Some(refused) = causes(error).find_map(|cause| cause.downcast_ref::<address::Refused>()) {
        return refused.0.clone().into();
    }
    if error.is_connect() {
        return Failure::failing(
            Reason::RegistryUnreachable,
            format!("registry {from} could not be connected to: {}", innermost(error)),
        );
    }
    if causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)) {
        return no_answer(from, "something that is not http".to_owned());
    }
    let reason = if error.is_timeout() { Reason::RegistryTimeout } else { Reason::RegistryUnavailable };
    Failure::failing(reason, format!("registry {from} closed the connection instead of answering"))
}

/// The cause at the bottom, short and printable: it may quote what came from outside.
fn innermost(error: &reqwest::Error) -> String {
    let text = causes(error).last().map(ToString::to_string).unwrap_or_default();
    text.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).take(160).collect()
}
