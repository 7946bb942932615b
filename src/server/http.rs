//! The API over HTTP (docs/store.md): its routes, what bounds every request, health, metrics.

use super::{
    body::Pace,
    budget::{Budgets, Rates},
    chains::{ChainRules, Chains},
    clock::Clock,
    desk::Desk,
    evidence, graph, lists,
    metrics::Metrics,
    openapi,
    problem::{Problem, Refused},
    question, record, records, search, stream, verdicts,
};
use crate::store::{Database, EvidenceLimits, Metadata};
use axum::{
    Router,
    extract::{MatchedPath, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus::IntGauge;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Bytes of bodies that arrive at once: records, and the lists of images that are asked for, of which one has some kilobytes.
const WRITTEN_BYTES_MAX: usize = 64 << 20;
const ASKED_BYTES_MAX: usize = 16 << 20;
/// Bytes of an answer not of our making that become its detail.
const DETAIL_BYTES_MAX: usize = 512;

/// What one server may have in hand.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Requests that read, and as many that write, at once, their bodies being here; the next waits, and is answered 503 after a second.
    pub requests_max: usize,
    /// From a request's head to its answer.
    pub request_timeout: Duration,
    /// How long its body may take of that.
    pub pace: Pace,
    pub evidence: EvidenceLimits,
    pub rates: Rates,
}

impl Default for Bounds {
    fn default() -> Self {
        // Sixteen bodies of 16 MiB and their parsed form stay under 1 GiB in the worst case, with what arrives meanwhile; 30 s is the
        // longest a webhook may wait for anything.
        Bounds {
            requests_max: 16,
            request_timeout: Duration::from_secs(30),
            pace: Pace::default(),
            evidence: EvidenceLimits::DEFAULT,
            rates: Rates::default(),
        }
    }
}

/// What every request sees.
pub struct App {
    pub chains: Chains,
    /// The store's id of each chain, by index.
    pub ids: Vec<i64>,
    /// The hot path, and all else that is asked of it.
    pub store: Arc<dyn Metadata>,
    pub database: Arc<Database>,
    pub metrics: Metrics,
    pub bounds: Bounds,
    pub budgets: Budgets,
    pub clock: Clock,
    /// A layout came: links in quarantine may be released.
    pub released: Notify,
    pub reading: Desk,
    pub writing: Desk,
    /// Cancelled when the server drains.
    pub stopping: CancellationToken,
}

impl App {
    pub fn new(chains: Chains, ids: Vec<i64>, database: Arc<Database>, metrics: Metrics, bounds: Bounds) -> Arc<Self> {
        let desk = |bytes_max| Desk::new(bounds.requests_max, bytes_max, bounds.pace);
        let (budgets, clock) = (Budgets::new(bounds.rates), Clock::default());
        let (reading, writing) = (desk(ASKED_BYTES_MAX), desk(WRITTEN_BYTES_MAX));
        let (store, stopping, released) = (database.clone(), CancellationToken::new(), Notify::new());
        Arc::new(App {
            chains,
            ids,
            store,
            database,
            metrics,
            bounds,
            budgets,
            clock,
            released,
            reading,
            writing,
            stopping,
        })
    }

    /// A chain by the store's id.
    pub fn rules(&self, id: i64) -> Option<&ChainRules> {
        let mut chains = self.chains.iter().zip(&self.ids);
        chains.find(|(_, known)| **known == id).map(|((_, rules), _)| rules)
    }

    /// The name of a chain by the store's id.
    pub fn chain_name(&self, id: i64) -> String {
        self.rules(id).map(|rules| rules.name.clone()).unwrap_or_default()
    }
}

/// The API, with health.
pub fn api(app: Arc<App>) -> Router {
    let bounded = Router::new()
        .merge(records::routes())
        .merge(evidence::routes())
        .merge(search::routes())
        .merge(record::routes())
        .merge(graph::routes())
        .merge(lists::routes())
        .merge(verdicts::routes())
        .merge(openapi::routes())
        .layer(middleware::from_fn_with_state(app.clone(), bound));
    bounded
        .merge(stream::routes())
        .merge(health())
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path has other methods")
        })
        .layer(middleware::from_fn(legible))
        .layer(middleware::from_fn(problems))
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::internal().into_response()
        }))
        .with_state(app)
}

/// Metrics and health, for a port of their own.
pub fn operations(app: Arc<App>) -> Router {
    Router::new().route("/metrics", get(metrics)).merge(health()).with_state(app)
}

fn health() -> Router<Arc<App>> {
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(readyz))
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
    match app.store.ready().await {
        Ok(()) => "ok\n".into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "the database does not answer").into_response()
        }
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    match app.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A deadline and a count for every request; and a place, where it is whole. One with a body takes its place when that is here, and its body
/// is read when it is known who sends it: in its handler (`Desk::body`).
async fn bound(
    State(app): State<Arc<App>>,
    path: MatchedPath,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let in_flight = InFlight::enter(&app.metrics.in_flight);
    let answer = async {
        let _place = match request.method().is_safe() {
            true => Some(app.reading.place().await?),
            false => None,
        };
        Ok::<_, Problem>(next.run(request).await)
    };
    let response = match tokio::time::timeout(app.bounds.request_timeout, answer).await {
        Ok(response) => response.unwrap_or_else(IntoResponse::into_response),
        Err(_) => Problem::timeout().into_response(),
    };
    drop(in_flight);
    app.metrics.seconds.observe(start.elapsed().as_secs_f64());
    app.metrics.requests.with_label_values(&[path.as_str(), response.status().as_str()]).inc();
    if let Some(Refused(reason)) = response.extensions().get() {
        app.metrics.refused.with_label_values(&[*reason]).inc();
    }
    response
}

/// A request in hand; ends also when its client is gone.
struct InFlight<'m>(&'m IntGauge);

impl<'m> InFlight<'m> {
    fn enter(gauge: &'m IntGauge) -> Self {
        gauge.inc();
        InFlight(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A query that is no text names nothing.
async fn legible(request: axum::extract::Request, next: Next) -> Response {
    match request.uri().query().is_none_or(question::is_text) {
        true => next.run(request).await,
        false => Problem::bad_request("the query is no UTF-8").into_response(),
    }
}

/// Every answer that says no is a problem with a reason, those of the framework too.
async fn problems(request: axum::extract::Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let ours = response.extensions().get::<Refused>().is_some();
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let words = axum::body::to_bytes(body, DETAIL_BYTES_MAX).await.unwrap_or_default();
    let words = String::from_utf8_lossy(&words).into_owned();
    let detail = if words.is_empty() { "the request is not one of this API".to_owned() } else { words };
    let mut problem = Problem::of_status(status, detail).into_response();
    if let Some(allow) = parts.headers.get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}
