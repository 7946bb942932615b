//! `GET /v1/records/{digest}`: one record with what is known of it.

use super::{
    access::Reader, http::App, parameters::image, problem::Problem, question::Question, sight::Sight, views::RecordView,
};
use crate::store::{read, records};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Images of one record that are shown.
const SUBJECTS_MAX: i64 = 1_024;

/// The routes of this file.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/records/{name}", get(get_record))
}

/// A record with its envelope.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WholeRecord {
    #[serde(flatten)]
    pub record: RecordView,
    /// The images it is about.
    pub subjects: Vec<String>,
    /// base64 of the bytes as received, with the signatures that joined them.
    pub envelope: String,
}

/// One record. Where several chains have it, or it came in both containers, the newest that the token may read.
#[utoipa::path(get, path = "/v1/records/{name}", tag = "records", params(
    ("name" = String, Path, description = "sha256:<hex>"),
    ("chain" = Option<String>, Query, description = "of this chain"),
), responses((status = 200, body = WholeRecord), super::openapi::Refusals))]
pub async fn get_record(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    reader: Reader,
) -> Result<Json<WholeRecord>, Problem> {
    let mut question = Question::new(query)?;
    let sight = Sight::of(&app, &reader, question.text("chain").as_deref())?;
    question.end()?;
    let name = image(&name)?;
    let mut session = app.database.read().await?;
    let mut rows = records::named(&mut session, &name).await?;
    rows.retain(|row| sight.chains.contains_key(&row.chain) && !row.quarantined);
    rows.truncate(1);
    let listed = records::listed(&mut session, rows).await?.pop();
    let listed =
        listed.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "not_found", "no such record that you may read"))?;
    let id = listed.row.id;
    let subjects = records::subjects(&mut session, id, SUBJECTS_MAX).await?;
    let found = read::envelope(&mut session, id).await?;
    Ok(Json(WholeRecord {
        record: RecordView::of(listed, &sight),
        subjects: subjects.iter().map(ToString::to_string).collect(),
        envelope: STANDARD.encode(found.envelope),
    }))
}
