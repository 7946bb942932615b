//! `GET /openapi.json`: the API as OpenAPI 3.1, from the handlers themselves.

use super::http::App;
use axum::{Json, Router, routing::get};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};
use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::{
        ContentBuilder, Ref, RefOr, ResponseBuilder,
        response::Response,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

/// The routes of this file.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/openapi.json", get(async || Json(Api::openapi())))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tidewaiter metadata store",
        description = "Layouts, links and statements of supply chains, and what is known of images."
    ),
    paths(
        super::records::put_record,
        super::records::put_batch,
        super::evidence::one,
        super::evidence::batch,
        super::record::get_record,
        super::stream::get_stream,
        super::search::get_search,
        super::search::get_images,
        super::graph::get_graph,
        super::lists::get_chains,
        super::lists::get_runs,
        super::lists::get_run,
        super::lists::get_layouts,
        super::lists::get_keys,
        super::verdicts::post_verdicts,
        super::verdicts::get_verdicts,
        super::verdicts::get_workloads,
    ),
    components(schemas(Problem)),
    modifiers(&Bearer),
    security((), ("bearer" = [])),
)]
struct Api;

/// Bearer tokens, which chains without readers do not ask for.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        api.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

/// Why a request was not done: problem+json (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// `urn:tidewaiter:problem:<reason>`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// For people.
    pub detail: String,
    /// A stable word, docs/store.md.
    pub reason: String,
}

/// The answers that say no, of every operation.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let refusal = |(status, when): (&str, &str)| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            let response = ResponseBuilder::new().description(when).content("application/problem+json", content);
            (status.to_owned(), response.build().into())
        };
        let statuses = [
            ("400", "the request is malformed"),
            ("401", "no credential, or nobody's"),
            ("403", "a credential without this right"),
            ("404", "nothing of that name"),
            ("405", "the path has other methods"),
            ("408", "the body came too slowly"),
            ("413", "more bytes than are read"),
            ("415", "an encoding that is not read"),
            ("422", "what is signed, or by whom, does not allow it"),
            ("429", "the budget is spent; Retry-After says until when"),
            ("503", "later, perhaps"),
            ("507", "the disk is full"),
        ];
        statuses.into_iter().map(refusal).collect()
    }
}

// Answers that are written member by member.

/// A record that is kept.
#[derive(ToSchema)]
#[allow(dead_code)] // a schema
pub struct Written {
    digest: String,
    chain: String,
    /// `quarantined`, of a record that is kept aside.
    #[schema(required = false, nullable = false)]
    state: Option<String>,
}

/// What became of each record, in the order of the request.
#[derive(ToSchema)]
#[allow(dead_code)] // a schema
pub struct BatchResults {
    results: Vec<BatchResult>,
}

/// What became of one record: as if it had been written alone.
#[derive(ToSchema)]
#[allow(dead_code)] // a schema
pub struct BatchResult {
    digest: String,
    status: u16,
    #[schema(required = false, nullable = false)]
    chain: Option<String>,
    /// `quarantined`, of a record that is kept aside.
    #[schema(required = false, nullable = false)]
    state: Option<String>,
    #[schema(required = false, nullable = false)]
    reason: Option<String>,
    #[schema(required = false, nullable = false)]
    detail: Option<String>,
}

/// Everything known about an image.
#[derive(ToSchema)]
#[allow(dead_code)] // a schema
pub struct Evidence {
    image: String,
    records: Vec<EvidenceRecord>,
}

/// A record of an image.
#[derive(ToSchema)]
#[allow(dead_code)] // a schema
pub struct EvidenceRecord {
    digest: String,
    /// `layout`, `link` or `statement`.
    kind: String,
    chain: String,
    #[schema(required = false, nullable = false)]
    step: Option<String>,
    /// base64 of the bytes as received.
    envelope: String,
}

/// Everything known about each image, in the order of the request.
#[derive(ToSchema)]
#[allow(dead_code)] // a schema
pub struct EvidenceOfMany {
    images: Vec<EvidenceOfOne>,
}

/// Everything known about one of the images.
#[derive(ToSchema)]
#[allow(dead_code)] // a schema
pub struct EvidenceOfOne {
    image: String,
    records: Vec<EvidenceRecord>,
    /// More was known than one answer holds.
    truncated: bool,
    etag: String,
}
