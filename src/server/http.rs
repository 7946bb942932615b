//! The API over HTTP (docs/store.md): writing a record, reading an image's evidence, health, metrics.

use super::{
    admit::{self, Request},
    chains::Chains,
    graph, lists,
    metrics::Metrics,
    openapi,
    problem::Problem,
    record, search, stream, verdicts,
};
use crate::{
    digest::Digest,
    json::Limits,
    source::store::TRUNCATED,
    store::{
        Database, EvidenceLimits, Metadata, Put,
        failpoint::{self, Point},
    },
};
use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Bytes of a request's body that are read (research: 16 MiB; an envelope itself has at most 8).
pub const BODY_BYTES_MAX: usize = 16 << 20;
/// Images that may be named beside one record.
const DECLARED_MAX: usize = 64;
const RUN_KEY_BYTES_MAX: usize = 512;

/// What one server may have in hand.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Requests that read, and as many that write, at once; the next is answered 503.
    pub requests_max: usize,
    /// From a request's head to its answer.
    pub request_timeout: Duration,
    pub evidence: EvidenceLimits,
}

impl Default for Bounds {
    fn default() -> Self {
        // Sixteen bodies of 16 MiB and their parsed form stay under 1 GiB in the worst case; 30 s is the longest a
        // webhook may wait for anything.
        Bounds { requests_max: 16, request_timeout: Duration::from_secs(30), evidence: EvidenceLimits::DEFAULT }
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
    /// Apart from each other: a writer who sends his body byte by byte keeps no webhook waiting.
    pub reading: Semaphore,
    pub writing: Semaphore,
    /// Cancelled when the server drains.
    pub stopping: CancellationToken,
}

impl App {
    pub fn new(chains: Chains, ids: Vec<i64>, database: Arc<Database>, metrics: Metrics, bounds: Bounds) -> Arc<Self> {
        let slots = || Semaphore::new(bounds.requests_max);
        let store = database.clone();
        let (reading, writing) = (slots(), slots());
        Arc::new(App {
            chains,
            ids,
            store,
            database,
            metrics,
            bounds,
            reading,
            writing,
            stopping: CancellationToken::new(),
        })
    }
}

/// The API, with health.
pub fn api(app: Arc<App>) -> Router {
    let bounded = Router::new()
        .route("/v1/records/{name}", put(put_record))
        .route("/v1/evidence/{image}", get(get_evidence))
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
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "a defect of the store").into_response()
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

/// A slot, a deadline and a count for every request.
async fn bound(
    State(app): State<Arc<App>>,
    path: MatchedPath,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    app.metrics.in_flight.inc();
    let is_reading = request.method().is_safe();
    let slots = if is_reading { &app.reading } else { &app.writing };
    let response = match slots.try_acquire() {
        Err(_) => refused(&app, Problem::overloaded()),
        Ok(_slot) => match tokio::time::timeout(app.bounds.request_timeout, next.run(request)).await {
            Ok(response) => response,
            Err(_) => refused(&app, Problem::timeout()),
        },
    };
    app.metrics.in_flight.dec();
    app.metrics.seconds.observe(start.elapsed().as_secs_f64());
    app.metrics.requests.with_label_values(&[path.as_str(), response.status().as_str()]).inc();
    response
}

fn refused(app: &App, problem: Problem) -> Response {
    app.metrics.refused.with_label_values(&[problem.reason]).inc();
    problem.into_response()
}

/// Query parameters and the headers that stand for them.
#[derive(Debug, Default)]
struct Parameters {
    chain: Option<String>,
    run: Option<String>,
    step: Option<String>,
    subjects: BTreeSet<Digest>,
}

impl Parameters {
    fn read(query: Vec<(String, String)>, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut parameters = Parameters::default();
        for (name, value) in query {
            match name.as_str() {
                "chain" => set(&mut parameters.chain, "chain", value)?,
                "run" => set(&mut parameters.run, "run", value)?,
                "step" => set(&mut parameters.step, "step", value)?,
                "subject" => {
                    parameters.subjects.insert(image(&value)?);
                }
                other => return Err(Problem::bad_request(format!("unknown parameter \"{}\"", other.escape_default()))),
            }
        }
        for (name, slot) in [("tidewaiter-chain", &mut parameters.chain), ("tidewaiter-run", &mut parameters.run)] {
            if let Some(value) = headers.get(name) {
                let value =
                    value.to_str().map_err(|_| Problem::bad_request(format!("{name} is not printable ASCII")))?;
                set(slot, name, value.to_owned())?;
            }
        }
        if parameters.subjects.len() > DECLARED_MAX {
            return Err(Problem::bad_request(format!("more than {DECLARED_MAX} subjects")));
        }
        Ok(parameters)
    }
}

fn set(slot: &mut Option<String>, name: &str, value: String) -> Result<(), Problem> {
    if value.is_empty() || value.len() > RUN_KEY_BYTES_MAX || value.chars().any(char::is_control) {
        let detail = format!("{name} has between 1 and {RUN_KEY_BYTES_MAX} printable characters");
        return Err(Problem::bad_request(detail));
    }
    match slot.replace(value.clone()) {
        Some(other) if other != value => Err(Problem::bad_request(format!("{name} is given twice, differently"))),
        _ => Ok(()),
    }
}

/// `sha256:<hex>`, or the hex alone.
fn image(text: &str) -> Result<Digest, Problem> {
    let digest: Option<Digest> =
        if text.contains(':') { text.parse().ok() } else { format!("sha256:{text}").parse().ok() };
    digest
        .filter(|digest| digest.algorithm() == crate::digest::Algorithm::Sha256)
        .ok_or_else(|| Problem::bad_request("expected sha256:<64 lower-case hex digits>"))
}

async fn put_record(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match write(&app, &name, query, &headers, body).await {
        Ok((status, chain, digest)) => {
            let body = serde_json::json!({ "digest": digest.to_string(), "chain": chain });
            (status, axum::Json(body)).into_response()
        }
        Err(problem) => refused(&app, problem),
    }
}

/// Authentication comes before the body: a stranger sends no 16 MiB.
async fn write(
    app: &App,
    name: &str,
    query: Vec<(String, String)>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(StatusCode, String, Digest), Problem> {
    let parameters = Parameters::read(query, headers)?;
    let principal = app.chains.principal(headers, parameters.chain.as_deref());
    if principal.writers.is_empty() {
        // A token that another chain knows is no stranger's.
        let known = principal.has_token() && !app.chains.principal(headers, None).is_stranger();
        return Err(if known {
            Problem::forbidden("this token may not write here")
        } else {
            Problem::unauthenticated("writing needs the bearer token of a writer")
        });
    }
    let name = image(name)?;
    let body = read(headers, body).await?;
    failpoint::reach(Point::Received);
    let request = Request {
        name,
        body,
        writers: principal.writers,
        run: parameters.run,
        step: parameters.step,
        declared: parameters.subjects,
        now: Timestamp::now(),
    };
    let record = admit::admit(request, &app.chains, &app.ids, &*app.store).await?;
    failpoint::reach(Point::Admitted);
    let (kind, chain, digest) = (record.kind, record.chain, record.digest.clone());
    let put = app.store.put(record).await?;
    failpoint::reach(Point::Answered);
    let (status, result) = match put {
        Put::Created => (StatusCode::CREATED, "created"),
        Put::Known => (StatusCode::OK, "known"),
        Put::Extended => (StatusCode::OK, "extended"),
    };
    app.metrics.records.with_label_values(&[kind.as_str(), result]).inc();
    let chain = chain_name(app, chain);
    tracing::info!(%digest, kind = kind.as_str(), chain, result, "record");
    Ok((status, chain, digest))
}

fn chain_name(app: &App, id: i64) -> String {
    let mut chains = app.chains.iter().zip(&app.ids);
    chains.find(|(_, known)| **known == id).map(|((_, rules), _)| rules.name.clone()).unwrap_or_default()
}

/// The whole body, bounded.
async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Problem> {
    let encoded = headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity");
    if encoded {
        return Err(Problem::bad_request("a body with a content encoding is not read"));
    }
    let stated = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if stated.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        return Err(Problem::too_large(Limits::METADATA.bytes_max));
    }
    match axum::body::to_bytes(body, BODY_BYTES_MAX).await {
        Ok(bytes) if bytes.len() > Limits::METADATA.bytes_max => Err(Problem::too_large(Limits::METADATA.bytes_max)),
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(error) if is_limit(&error) => Err(Problem::too_large(Limits::METADATA.bytes_max)),
        Err(_) => Err(Problem::bad_request("the body ended before it was whole")),
    }
}

fn is_limit(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

async fn get_evidence(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    match evidence(&app, &name, query, &headers).await {
        Ok(response) => response,
        Err(problem) => refused(&app, problem),
    }
}

async fn evidence(
    app: &App,
    name: &str,
    query: Vec<(String, String)>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let parameters = Parameters::read(query, headers)?;
    let principal = app.chains.principal(headers, None);
    if principal.is_stranger() {
        return Err(Problem::unauthenticated("nobody has this token"));
    }
    let readable: Vec<usize> = app.chains.readable(&principal).collect();
    if readable.is_empty() {
        return Err(if principal.has_token() {
            Problem::forbidden("this token may read no chain")
        } else {
            Problem::unauthenticated("reading needs the bearer token of a reader")
        });
    }
    let image = image(name)?;
    let wanted = |index: &usize| {
        parameters.chain.as_ref().is_none_or(|name| app.chains.get(*index).is_some_and(|rules| rules.name == *name))
    };
    let may_read: BTreeSet<i64> =
        readable.into_iter().filter(wanted).filter_map(|index| app.ids.get(index).copied()).collect();
    let found = app.store.evidence(&image, &may_read, Timestamp::now(), app.bounds.evidence).await?;
    app.metrics.evidence_records.observe(found.records.len() as f64);
    let records: Vec<serde_json::Value> = found
        .records
        .iter()
        .map(|record| {
            let mut value = serde_json::json!({
                "digest": record.digest.to_string(),
                "kind": record.kind.as_str(),
                "chain": chain_name(app, record.chain),
                "envelope": STANDARD.encode(&record.envelope),
            });
            if let (Some(step), Some(members)) = (&record.step, value.as_object_mut()) {
                members.insert("step".into(), step.as_str().into());
            }
            value
        })
        .collect();
    let body = serde_json::json!({ "image": image.to_string(), "records": records });
    let mut response = axum::Json(body).into_response();
    if found.truncated {
        response.headers_mut().insert(TRUNCATED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
