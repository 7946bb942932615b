//! The webhook over HTTP: routes, the request's time, overload, panics, health (security §2.B13, §2.H, §3).
//!
//! A review is answered with 200 and a review, whatever happens; 400 is for what is no review at all, 405 for another
//! method. There is no redirect.

use super::{
    admit::{self, Outcome},
    images::{self, Subject},
    metrics::{Endpoint, Labels, Metrics},
    policies::{Policies, Snapshot},
    reports::Reports,
    resources::{self, Known},
    review::{self, Answer, Request, Unreadable, printable},
    told,
    watched::Watched,
};
use crate::{
    cluster::{
        events::{Events, Regarding},
        leader::Report,
        status::Counting,
    },
    json::Limits,
    policy::{Decision, Namespace, PolicySet, Reading},
    reason::{Fault, Reason},
    serve::tls::Certificates,
};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::FutureExt;
use http_body_util::BodyExt;
use jiff::Timestamp;
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

/// The running webhook.
pub struct Webhook {
    policies: Arc<Policies>,
    /// Where the policies are the cluster's.
    watched: Option<Arc<Watched>>,
    tellers: Option<Tellers>,
    reports: OnceLock<Reports>,
    /// What this replica finds when it leads.
    report: Option<Arc<Report>>,
    metrics: Arc<Metrics>,
    /// Cancelled: draining; readiness fails first.
    stop: CancellationToken,
    /// Reviews at once; beyond it the answer is `overloaded`, at once.
    reviews: Semaphore,
    /// KiB of bodies in memory, and KiB of text being parsed: a tree is many times its text (§2.E).
    bodies: Semaphore,
    parsing: Semaphore,
}

/// Where what became of a review is told, beside its answer: never in its way.
pub struct Tellers {
    pub events: Events,
    pub counting: Arc<Counting>,
}

/// Some ten times what one replica decides in a second of cold registries.
pub const REVIEWS_MAX: usize = 1024;
const BODIES_KIB_MAX: usize = 64 << 10;
const PARSING_KIB_MAX: usize = 12 << 10;
/// Beyond this a body is not even read to its end.
const DISCARDED_BYTES_MAX: usize = 64 << 20;
/// The API server waits for `?timeout=`; without it, as long as its default.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// security §0.14: the answer is on its way this long before the API server gives up.
const MARGIN: Duration = Duration::from_millis(1500);

impl Webhook {
    /// Over documents on disk: nothing is known of namespaces but their names, so no exception counts.
    pub fn new(
        policies: Arc<Policies>,
        metrics: Arc<Metrics>,
        reviews_max: usize,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Webhook::over(policies, metrics, reviews_max, stop))
    }

    /// Over what is watched of the cluster.
    pub fn in_cluster(
        watched: Arc<Watched>,
        tellers: Tellers,
        report: Arc<Report>,
        metrics: Arc<Metrics>,
        reviews_max: usize,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let webhook = Webhook::over(watched.policies(), metrics, reviews_max, stop);
        Arc::new(Webhook { watched: Some(watched), tellers: Some(tellers), report: Some(report), ..webhook })
    }

    fn over(policies: Arc<Policies>, metrics: Arc<Metrics>, reviews_max: usize, stop: CancellationToken) -> Self {
        Webhook {
            policies,
            watched: None,
            tellers: None,
            reports: OnceLock::new(),
            report: None,
            metrics,
            stop,
            reviews: Semaphore::new(reviews_max.min(Semaphore::MAX_PERMITS)),
            bodies: Semaphore::new(BODIES_KIB_MAX),
            parsing: Semaphore::new(PARSING_KIB_MAX),
        }
    }

    /// From now on the store is told what is decided. Once.
    pub fn report(&self, reports: Reports) {
        // A second one would be a defect of whoever calls; the first goes on.
        let _ = self.reports.set(reports);
    }

    /// The routes of the admission port.
    pub fn router(self: &Arc<Self>) -> Router {
        let routes = Router::new()
            .route("/validate", post(validate))
            .route("/mutate", post(mutate))
            .route("/resources", post(own))
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .with_state(Arc::clone(self));
        guarded(routes)
    }

    /// The routes of the metrics port: it shows nothing of any review (H8).
    pub fn metrics_router(self: &Arc<Self>, certificates: Option<Certificates>) -> Router {
        let metrics = {
            let this = Arc::clone(self);
            move || async move {
                if let Some(watched) = &this.watched {
                    this.metrics.watched(watched);
                }
                if let Some(tellers) = &this.tellers {
                    this.metrics.events(tellers.events.counts());
                }
                if let Some(reports) = this.reports.get() {
                    this.metrics.reports(reports.counts());
                }
                if let Some(report) = &this.report {
                    this.metrics.led(report);
                }
                let text = this.metrics.render(&this.policies, this.policies.cache(), certificates.as_ref());
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
            }
        };
        Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .with_state(Arc::clone(self))
            .route("/metrics", get(metrics))
    }
}

/// A panic that is not caught where the review's uid is known is caught here: the answer is still a denial.
fn guarded(routes: Router) -> Router {
    routes.layer(CatchPanicLayer::custom(|_| {
        let fault = Fault::new(Reason::InternalError, "a defect of tidewaiter; its log says where");
        answered(&review::respond("", &Answer::refused(&fault)))
    }))
}

async fn healthz() -> &'static str {
    "ok\n"
}

/// Ready: a policy set is loaded, everything that is watched was listed once, and we are not draining. The listener is up, or nobody
/// could ask.
async fn readyz(State(webhook): State<Arc<Webhook>>) -> (StatusCode, String) {
    match webhook.ready() {
        Ok(()) => (StatusCode::OK, "ok\n".into()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", printable(&why, 1024))),
    }
}

async fn validate(State(webhook): State<Arc<Webhook>>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    webhook.serve(Endpoint::Validate, &uri, &headers, body).await
}

async fn own(State(webhook): State<Arc<Webhook>>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    webhook.serve(Endpoint::Resources, &uri, &headers, body).await
}

async fn mutate(State(webhook): State<Arc<Webhook>>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    webhook.serve(Endpoint::Mutate, &uri, &headers, body).await
}

impl Webhook {
    /// Whether a decision could be made now.
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&self) -> Result<(), String> {
        if self.stop.is_cancelled() {
            return Err("draining".into());
        }
        let waiting = self.watched.as_ref().map(|watched| watched.waiting()).unwrap_or_default();
        if !waiting.is_empty() {
            return Err(format!("waiting for the first list of {}", waiting.join(", ")));
        }
        self.policies.current().map(drop).map_err(|fault| fault.to_string())
    }

    /// One review, from the head of the request to its answer.
    async fn serve(&self, endpoint: Endpoint, uri: &Uri, headers: &HeaderMap, body: Body) -> Response {
        let (started, now) = (Instant::now(), Timestamp::now());
        let deadline = started + time_to_answer(uri.query());
        let _flying = InFlight::enter(&self.metrics);
        let review = match self.review(endpoint, headers, body, deadline).await {
            Ok(Seated { request, asked, regarding, seat }) => {
                let outcome = match asked {
                    Asked::Workload(subject) => self.outcome(endpoint, &request, subject, deadline, now).await,
                    Asked::Answered(answer) => Ok(Judged::Answered(answer)),
                };
                drop(seat);
                Review { outcome, uid: request.uid.clone(), request: Some(request), regarding }
            }
            Err(Unreadable::NotAReview(why)) => {
                tracing::warn!(endpoint = endpoint.as_str(), why = printable(&why, 256), "no review");
                return (StatusCode::BAD_REQUEST, format!("{}\n", printable(&why, 256))).into_response();
            }
            Err(Unreadable::Denied { uid, fault }) => {
                Review { outcome: Err(fault), uid, request: None, regarding: None }
            }
        };
        let (answer, labels) = self.answer(endpoint, &review);
        self.metrics.answered(endpoint, labels, started.elapsed());
        log(endpoint, &review, &answer, labels, started.elapsed());
        if endpoint == Endpoint::Validate {
            self.tell(&review, &answer, now);
        }
        answered(&review::respond(&review.uid, &answer))
    }

    /// Reads and parses the body, in bounded memory and time. What is judged is taken out of the object at once: a tree that waited
    /// for a slow registry would be one of many.
    async fn review(
        &self,
        endpoint: Endpoint,
        headers: &HeaderMap,
        body: Body,
        deadline: Instant,
    ) -> Result<Seated<'_>, Unreadable> {
        let mut read = Read::default();
        let denied = |read: &Read, reason, why: &str| {
            let uid = review::peek_uid(&read.bytes).unwrap_or_default();
            Unreadable::Denied { uid, fault: Fault::new(reason, why) }
        };
        let Ok(seat) = self.reviews.try_acquire() else {
            read.keep_max = review::HEAD_BYTES;
            let _ = tokio::time::timeout_at(deadline.into(), read.all(body)).await;
            return Err(denied(&read, Reason::Overloaded, "too many reviews at once; try again in some seconds"));
        };
        let length = headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
        read.keep_max = match length {
            Some(length) if length > Limits::REVIEW.bytes_max => review::HEAD_BYTES,
            _ => Limits::REVIEW.bytes_max,
        };
        let kib = |bytes: usize| u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let size = kib(length.unwrap_or(read.keep_max).min(read.keep_max));
        let all = async {
            let body_seat = self.bodies.acquire_many(size).await;
            read.all(body).await.map(|()| body_seat)
        };
        let _body_seat = match tokio::time::timeout_at(deadline.into(), all).await {
            Ok(Ok(seat)) => seat,
            Ok(Err(_)) => return Err(denied(&read, Reason::ReviewMalformed, "the body broke off")),
            Err(_) => return Err(denied(&read, Reason::DeadlineExceeded, "the body did not arrive in time")),
        };
        if read.cut {
            return Err(review::too_large(&read.bytes));
        }
        let parsing = self.parsing.acquire_many(kib(read.bytes.len()));
        let Ok(_parsing) = tokio::time::timeout_at(deadline.into(), parsing).await else {
            return Err(denied(&read, Reason::Overloaded, "too much to parse at once; try again in some seconds"));
        };
        let parsed = self.caught(async {
            let mut request = review::parse(&read.bytes)?;
            let asked = match endpoint {
                Endpoint::Resources => Asked::Answered(resources::answer(&request, &self.known())),
                Endpoint::Validate | Endpoint::Mutate => Asked::Workload(images::subject(&request)),
            };
            let told = self.tellers.is_some() || self.reports.get().is_some();
            let regarding = told.then(|| told::regarding(&request)).flatten();
            (request.object, request.old_object) = (None, None);
            Ok((request, asked, regarding))
        });
        let (request, asked, regarding) =
            parsed.await.unwrap_or_else(|fault| Err(denied(&read, fault.reason, &fault.message)))?;
        Ok(Seated { request, asked, regarding, seat })
    }

    /// Judges, with a panic as one more way to fail (T-62, F18).
    async fn outcome(
        &self,
        endpoint: Endpoint,
        request: &Request,
        subject: Result<Subject, Fault>,
        deadline: Instant,
        now: Timestamp,
    ) -> Result<Judged, Fault> {
        let judged = self.caught(async {
            let snapshot: Arc<Snapshot> = self.policies.current()?;
            let Snapshot { judge, set, .. } = snapshot.as_ref();
            match endpoint {
                Endpoint::Mutate => Ok(Judged::Answered(admit::mutate(judge, set, subject, deadline).await?)),
                Endpoint::Validate | Endpoint::Resources => {
                    let name = &request.namespace;
                    if let Some(fault) = snapshot.refusal(name).filter(|_| lets_in(&subject)) {
                        return Err(fault);
                    }
                    let namespace = match self.namespace(set, &subject, deadline).await {
                        Ok(namespace) => namespace,
                        // Where nothing is enforced, nothing is denied.
                        Err(fault) if !set.may_deny_in(name) => {
                            return Ok(Judged::Validated(Outcome::Watched(fault)));
                        }
                        Err(fault) => return Err(fault),
                    };
                    let namespace = namespace.as_deref();
                    let outcome = admit::validate(judge, set, name, subject, namespace, deadline, now).await?;
                    Ok(Judged::Validated(outcome))
                }
            }
        });
        // Whatever is inside minds the deadline; this is for what does not.
        match tokio::time::timeout_at(deadline.into(), judged).await {
            Ok(judged) => judged?,
            Err(_) => Err(Fault::new(Reason::DeadlineExceeded, "the review's time ran out")),
        }
    }

    /// The other documents of the cluster, for one that is being written.
    fn known(&self) -> Known {
        let view = self.watched.as_ref().and_then(|watched| watched.resources().subscribe().borrow().clone());
        let view = view.unwrap_or_default();
        let mut known = Known::of(view.documents.iter().map(|(.., resource)| resource));
        known.trust_roots.extend(view.trust_roots().map(str::to_owned));
        known
    }

    /// What became of it, on the workload's owner and in the policies' counts.
    fn tell(&self, review: &Review, answer: &Answer, now: Timestamp) {
        if let (Some(reports), Some(request), Ok(Judged::Validated(Outcome::Decided(decision)))) =
            (self.reports.get(), &review.request, &review.outcome)
        {
            reports.tell(request, review.regarding.as_ref(), decision);
        }
        let Some(tellers) = &self.tellers else { return };
        let outcome = match &review.outcome {
            Ok(Judged::Validated(outcome)) => Ok(outcome),
            Ok(Judged::Answered(_)) => return,
            Err(fault) => Err(fault),
        };
        if let Ok(Outcome::Decided(decision)) = outcome {
            let dry_run = review.request.as_ref().is_some_and(|request| request.dry_run);
            tellers.counting.decided(decision, dry_run, now);
        }
        if let Some(regarding) = &review.regarding {
            tellers.events.tell(told::of(regarding, outcome, answer.allowed));
        }
    }

    /// The namespace of a workload that some policy is about. Without a cluster none is known.
    async fn namespace(
        &self,
        set: &PolicySet,
        subject: &Result<Subject, Fault>,
        deadline: Instant,
    ) -> Result<Option<Arc<Namespace>>, Fault> {
        let (Some(watched), Ok(Subject::Workload(workload))) = (&self.watched, subject) else { return Ok(None) };
        if let Some(known) = watched.namespaces().cached(&workload.namespace) {
            return Ok(Some(known));
        }
        // Nothing that an exception could be about: no request for it.
        if set.read(workload).iter().all(|reading| *reading == Reading::Settled) {
            return Ok(None);
        }
        watched.namespaces().get(&workload.namespace, deadline).await.map(Some)
    }

    async fn caught<T>(&self, work: impl Future<Output = T>) -> Result<T, Fault> {
        AssertUnwindSafe(work).catch_unwind().await.map_err(|_| {
            self.metrics.panicked();
            Fault::new(Reason::InternalError, "a defect of tidewaiter; its log says where")
        })
    }

    fn answer(&self, endpoint: Endpoint, review: &Review) -> (Answer, Labels) {
        match &review.outcome {
            Ok(Judged::Answered(answer)) => (answer.clone(), Labels::of_answer(answer)),
            Ok(Judged::Validated(outcome)) => {
                let labels = match outcome {
                    Outcome::Nothing => Labels::ALLOWED,
                    Outcome::Watched(fault) => Labels::refused(fault, true),
                    Outcome::Decided(decision) => {
                        self.metrics.images(decision.images.len());
                        Labels::of(decision)
                    }
                };
                (outcome.answer(), labels)
            }
            // The mutating half never denies what it can read: the validating one decides (security §3).
            Err(fault) if endpoint == Endpoint::Mutate && !is_of_the_body(fault.reason) => {
                (Answer::allowed(), Labels::refused(fault, true))
            }
            // `--audit-only` denies nothing.
            Err(fault) if self.policies.audit_only() => (Answer::watched(fault), Labels::refused(fault, true)),
            Err(fault) => (Answer::refused(fault), Labels::refused(fault, false)),
        }
    }
}

/// Whether a request lets in an image that was not in already, or cannot be looked at.
fn lets_in(subject: &Result<Subject, Fault>) -> bool {
    match subject {
        Ok(Subject::Nothing) => false,
        Ok(Subject::Workload(workload)) => workload.images.iter().any(|image| !image.unchanged),
        Err(fault) => !is_of_the_body(fault.reason),
    }
}

fn is_of_the_body(reason: Reason) -> bool {
    matches!(reason, Reason::ReviewMalformed | Reason::ReviewTooLarge)
}

/// A review that was read, and its place among those that are judged at once.
struct Seated<'w> {
    request: Request,
    asked: Asked,
    /// What an event about it would lie on.
    regarding: Option<Regarding>,
    seat: SemaphorePermit<'w>,
}

/// What is to be judged, or where that takes no time, how it came out.
enum Asked {
    Workload(Result<Subject, Fault>),
    Answered(Answer),
}

struct Review {
    uid: String,
    request: Option<Request>,
    regarding: Option<Regarding>,
    outcome: Result<Judged, Fault>,
}
enum Judged {
    Validated(Outcome),
    Answered(Answer),
}

fn answered(body: &[u8]) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_vec()).into_response()
}

/// One line a decision (H6). Values are printable ASCII, the body is never among them.
fn log(endpoint: Endpoint, review: &Review, answer: &Answer, labels: Labels, took: Duration) {
    let request = review.request.as_ref();
    let text = |value: Option<&str>| printable(value.unwrap_or_default(), 256);
    let decision: Option<&Decision> = match &review.outcome {
        Ok(Judged::Validated(Outcome::Decided(decision))) => Some(decision),
        _ => None,
    };
    let message = match (&review.outcome, &answer.denial) {
        (Err(fault), _) => fault.message.clone(),
        (_, Some((_, message))) => message.clone(),
        _ => String::new(),
    };
    tracing::info!(
        target: "tidewaiter::decision",
        endpoint = endpoint.as_str(),
        uid = text(Some(&review.uid)),
        operation = text(request.map(|it| it.operation.as_str())),
        kind = text(request.map(|it| it.kind.kind.as_str())),
        namespace = text(request.map(|it| it.namespace.as_str())),
        name = text(request.map(|it| it.name.as_str())),
        user = text(request.map(|it| it.user.as_str())),
        dry_run = request.is_some_and(|it| it.dry_run),
        allowed = answer.allowed,
        reason = labels.reason.map(Reason::as_str),
        message = printable(&message, 1024),
        images = decision.map(|it| it.images.len()),
        digests = answer.audit.get("digests").map(|it| printable(it, 1024)),
        policies = answer.audit.get("policies").map(|it| printable(it, 1024)),
        exceptions = answer.audit.get("exceptions").map(|it| printable(it, 1024)),
        policy_hash = decision.map(|it| it.policy_hash.as_str()),
        pinned = answer.patch.len(),
        milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "decision"
    );
}

/// How long we have: what the API server says it waits, less the margin (at least half of it).
fn time_to_answer(query: Option<&str>) -> Duration {
    let parameters = query.unwrap_or_default().split('&');
    let named = parameters.filter_map(|pair| pair.strip_prefix("timeout=")).find_map(|text| {
        let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    });
    let timeout = named.filter(|it| !it.is_zero()).unwrap_or(TIMEOUT_DEFAULT).min(TIMEOUT_MAX);
    timeout.saturating_sub(MARGIN).max(timeout / 2)
}

/// A body being read: kept up to `keep_max`; of a larger one only the head stays.
#[derive(Default)]
struct Read {
    bytes: Vec<u8>,
    keep_max: usize,
    cut: bool,
}
impl Read {
    /// Reads to the end, so that an HTTP/1.1 client gets to reading our answer, or to where it is pointless.
    async fn all(&mut self, mut body: Body) -> Result<(), axum::Error> {
        let mut seen = 0usize;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            seen += data.len();
            if !self.cut {
                self.bytes.extend_from_slice(data.get(..self.keep_max.saturating_add(1)).unwrap_or(&data));
            }
            if seen > self.keep_max {
                self.cut = true;
                self.bytes.truncate(review::HEAD_BYTES);
                self.bytes.shrink_to_fit();
            }
            if seen > DISCARDED_BYTES_MAX {
                break;
            }
        }
        Ok(())
    }
}

struct InFlight<'m>(&'m Metrics);
impl<'m> InFlight<'m> {
    fn enter(metrics: &'m Metrics) -> Self {
        metrics.in_flight.inc();
        InFlight(metrics)
    }
}
impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

#[cfg(test)]
mod tests;
