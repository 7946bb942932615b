//! Reading: everything known about an image, or about up to a hundred.

use super::{
    access::Reader,
    budget::Purpose,
    http::App,
    parameters::{Parameters, image},
    problem::Problem,
    question::Question,
};
use crate::{
    digest::Digest,
    source::store::TRUNCATED,
    store::{Evidence, EvidenceLimits, Found},
};
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Digest as _;
use std::{collections::BTreeSet, sync::Arc};
use utoipa::ToSchema;

/// Images of one batch: the containers of many pods.
const IMAGES_MAX: usize = 100;
const BATCH_BYTES_MAX: usize = 32 << 10;

/// What reads evidence.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/evidence/{image}", get(one)).route("/v1/evidence:batch", post(batch))
}

/// Everything known about an image.
#[utoipa::path(get, path = "/v1/evidence/{image}", tag = "evidence", params(
    ("image" = String, Path, description = "sha256:<hex>"),
    ("chain" = Option<String>, Query, description = "of this chain alone"),
), responses(
    (status = 200, body = super::openapi::Evidence),
    (status = 304, description = "as the ETag says that it is known"),
    super::openapi::Refusals,
))]
pub async fn one(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut question = Question::new(query)?;
    let chain = question.text("chain");
    question.end()?;
    let image = image(&name)?;
    let may_read = reader.may_read(&app, chain.as_deref())?;
    let found = look_up(&app, &image, &may_read, app.bounds.evidence).await?;
    let etag = etag(&app, &image, &found);
    let mut response = if is_known(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(json!({ "image": image.to_string(), "records": records(&app, &found) })).into_response()
    };
    let answer = response.headers_mut();
    answer.insert(header::ETAG, HeaderValue::from_str(&etag).map_err(|_| Problem::internal())?);
    // Whose it is depends on who asks, and whether it is still so on us.
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answer.insert(header::VARY, HeaderValue::from_static("Authorization"));
    if found.truncated {
        answer.insert(TRUNCATED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Which images.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ImageBatch {
    #[schema(max_items = 100)]
    images: Vec<String>,
    chain: Option<String>,
}

/// Everything known about each of up to a hundred images.
///
/// The images share the bytes of one answer: when they run out, the rest is said to be truncated.
#[utoipa::path(post, path = "/v1/evidence:batch", tag = "evidence", request_body = ImageBatch,
    responses((status = 200, body = super::openapi::EvidenceOfMany), super::openapi::Refusals))]
pub async fn batch(
    State(app): State<Arc<App>>,
    reader: Reader,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Question::new(query)?.end()?;
    let (body, _place) = app.reading.body(&reader.payer, &headers, body, "a batch of images", BATCH_BYTES_MAX).await?;
    let batch: ImageBatch = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("the body is no batch of images: {error}")))?;
    let count = batch.images.len();
    if count > IMAGES_MAX {
        return Err(Problem::bad_request(format!("a batch has at most {IMAGES_MAX} images, found {count}")));
    }
    // One is paid already.
    app.budgets.take(&reader.payer, Purpose::Read, count.saturating_sub(1) as u32)?;
    let parameters = Parameters::of(batch.chain, None, None, &[])?;
    let images = batch.images.iter().map(|name| image(name)).collect::<Result<Vec<_>, _>>()?;
    let may_read = reader.may_read(&app, parameters.chain.as_deref())?;
    let mut limits = app.bounds.evidence;
    let mut answers: Vec<Value> = Vec::with_capacity(count);
    for image in &images {
        let found = look_up(&app, image, &may_read, limits).await?;
        let bytes: usize = found.records.iter().map(|record| record.envelope.len()).sum();
        limits.bytes_max = limits.bytes_max.saturating_sub(bytes);
        answers.push(json!({
            "image": image.to_string(),
            "records": records(&app, &found),
            "truncated": found.truncated,
            "etag": etag(&app, image, &found),
        }));
    }
    Ok(Json(json!({ "images": answers })).into_response())
}

async fn look_up(
    app: &App,
    image: &Digest,
    may_read: &BTreeSet<i64>,
    limits: EvidenceLimits,
) -> Result<Evidence, Problem> {
    let found = app.store.evidence(image, may_read, app.clock.now(), limits).await?;
    app.metrics.evidence_records.observe(found.records.len() as f64);
    Ok(found)
}

fn records(app: &App, found: &Evidence) -> Vec<Value> {
    found.records.iter().map(|record| record_json(app, record)).collect()
}

fn record_json(app: &App, record: &Found) -> Value {
    let mut value = json!({
        "digest": record.digest.to_string(),
        "kind": record.kind.as_str(),
        "chain": app.chain_name(record.chain),
        "envelope": STANDARD.encode(&record.envelope),
    });
    if let (Some(step), Some(members)) = (&record.step, value.as_object_mut()) {
        members.insert("step".into(), step.as_str().into());
    }
    value
}

/// A strong validator (RFC 9110 §8.8.1): over everything the answer says, in its order, signatures included.
fn etag(app: &App, image: &Digest, found: &Evidence) -> String {
    let mut hash = sha2::Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    add(image.to_string().as_bytes());
    add(&[u8::from(found.truncated)]);
    for record in &found.records {
        add(app.chain_name(record.chain).as_bytes());
        add(record.kind.as_str().as_bytes());
        add(record.step.as_deref().unwrap_or_default().as_bytes());
        add(record.digest.hex().as_bytes());
        add(&record.envelope);
    }
    format!("\"{}\"", hex::encode(hash.finalize()))
}

/// `If-None-Match` (RFC 9110 §13.1.2), compared weakly as it is to be.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    tags.any(|tag| tag == etag || tag == "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_by_its_text() {
        let headers = |value: &str| HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().unwrap())]);
        assert!(is_known(&headers("\"a\""), "\"a\""));
        assert!(is_known(&headers("\"b\", W/\"a\""), "\"a\""));
        assert!(is_known(&headers("*"), "\"a\""));
        assert!(!is_known(&headers("\"b\""), "\"a\""));
        assert!(!is_known(&headers("a"), "\"a\""));
        assert!(!is_known(&HeaderMap::new(), "\"a\""));
    }
}
