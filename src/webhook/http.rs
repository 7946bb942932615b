//! The webhook over HTTP: routes, the request's time, overload, panics, health (security §2.B13, §2.H, §3).
//!
//! A review is answered with 200 and a review, whatever happens; 400 is for what is no review at all, 405 for another
//! method. There is no redirect.

use super::{
    metrics::{Endpoint, Metrics},
    policies::Policies,
    reports::Reports,
    review::{self, Answer, Unreadable, printable},
    watched::Watched,
};
use crate::{
    cluster::{events::Events, leader::Report, status::Counting},
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
use jiff::Timestamp;
use judge::Judged;
use outcome::{Review, log};
use read::{Asked, Seated};
use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

mod judge;
mod outcome;
mod read;

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
}

fn answered(body: &[u8]) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_vec()).into_response()
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

/// A review in hand; ends also when its client is gone.
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
