//! `GET /openapi.json`: the API as OpenAPI 3.1, from the handlers themselves.

use super::http::App;
use axum::{Json, Router, routing::get};
use serde::Serialize;
use std::sync::Arc;
use utoipa::{
    Modify, OpenApi, ToResponse, ToSchema,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

/// The routes of this file.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/openapi.json", get(async || Json(Api::openapi())))
}

/// Why a request was not done: problem+json (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema, ToResponse)]
#[response(description = "the request was not done", content_type = "application/problem+json")]
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

#[derive(OpenApi)]
#[openapi(
    info(title = "tidewaiter metadata store", description = "Layouts, links and statements of supply chains, and what is known of images."),
    paths(
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
    components(responses(Problem)),
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
