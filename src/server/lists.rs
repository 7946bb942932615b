//! `GET /v1/chains`, `/v1/runs`, `/v1/layouts` and `/v1/keys`.

use super::{
    access::Reader,
    http::App,
    problem::Problem,
    question::{Question, cursor},
    sight::Sight,
    views::RecordView,
};
use crate::store::{images, lists, records};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::get,
};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

const PAGE: usize = 100;
const PAGE_MAX: usize = 500;
/// Records of one run that are shown.
const RECORDS_MAX: i64 = 500;
const KEYS_MAX: i64 = 4_096;

/// The routes of this file.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/chains", get(get_chains))
        .route("/v1/runs", get(get_runs))
        .route("/v1/runs/{id}", get(get_run))
        .route("/v1/layouts", get(get_layouts))
        .route("/v1/keys", get(get_keys))
}

type Asked = Query<Vec<(String, String)>>;

/// The chains that the token may read.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Chains {
    pub chains: Vec<ChainView>,
}

/// A chain.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChainView {
    pub name: String,
    /// Its latest layout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<LayoutView>,
}

/// A version of a chain's layout.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayoutView {
    pub digest: String,
    pub version: i64,
    pub issued_at: String,
    pub expires_at: String,
    /// Which keys it authorises for which steps.
    pub keys: Vec<StepKeyView>,
}

/// A key of a step.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StepKeyView {
    pub step: String,
    pub key: String,
}

/// The chains that the token may read, each with its latest layout.
#[utoipa::path(get, path = "/v1/chains", tag = "lists",
    responses((status = 200, body = Chains), super::openapi::Refusals))]
pub async fn get_chains(
    State(app): State<Arc<App>>,
    Query(query): Asked,
    reader: Reader,
) -> Result<Json<Chains>, Problem> {
    Question::new(query)?.end()?;
    let sight = Sight::of(&app, &reader, None)?;
    let mut session = app.database.read().await?;
    let mut chains = Vec::with_capacity(sight.chains.len());
    for (id, name) in sight.chains {
        let layout = lists::layouts(&mut session, id, i64::MAX, 1).await?.pop().map(LayoutView::from);
        chains.push(ChainView { name, layout });
    }
    Ok(Json(Chains { chains }))
}

/// Layouts, latest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Layouts {
    pub layouts: Vec<LayoutView>,
    /// For the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The layouts of a chain, latest first.
#[utoipa::path(get, path = "/v1/layouts", tag = "lists", params(
    ("chain" = String, Query, description = "the chain"),
    ("cursor" = Option<String>, Query, description = "from the page before"),
    ("limit" = Option<i64>, Query, minimum = 1, maximum = 500),
), responses((status = 200, body = Layouts), super::openapi::Refusals))]
pub async fn get_layouts(
    State(app): State<Arc<App>>,
    Query(query): Asked,
    reader: Reader,
) -> Result<Json<Layouts>, Problem> {
    let mut question = Question::new(query)?;
    let (_, chain) = one_chain(&app, &reader, &mut question)?;
    let before = question.cursor()?.unwrap_or(i64::MAX);
    let limit = question.limit(PAGE, PAGE_MAX)?;
    question.end()?;
    let found = lists::layouts(&mut app.database.read().await?, chain, before, count(limit)).await?;
    let next = found.get(limit.saturating_sub(1)).map(|layout| cursor(layout.version));
    Ok(Json(Layouts { layouts: found.into_iter().map(LayoutView::from).collect(), cursor: next }))
}

impl From<lists::LayoutVersion> for LayoutView {
    fn from(layout: lists::LayoutVersion) -> Self {
        LayoutView {
            digest: layout.digest.to_string(),
            version: layout.version,
            issued_at: layout.issued_at.to_string(),
            expires_at: layout.expires_at.to_string(),
            keys: layout.keys.into_iter().map(|(step, key)| StepKeyView { step, key }).collect(),
        }
    }
}

/// Keys by step.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Keys {
    pub keys: Vec<KeyView>,
}

/// A key that some layout of the chain authorised.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyView {
    pub step: String,
    /// What `/v1/search?key=` takes.
    pub key: String,
    pub scheme: String,
    /// The key object of in-toto 4.2.1.
    #[schema(value_type = Object)]
    pub public: serde_json::Value,
}

/// The keys that layouts of a chain, the latest or an earlier one, have authorised, by step.
#[utoipa::path(get, path = "/v1/keys", tag = "lists", params(("chain" = String, Query, description = "the chain")),
    responses((status = 200, body = Keys), super::openapi::Refusals))]
pub async fn get_keys(State(app): State<Arc<App>>, Query(query): Asked, reader: Reader) -> Result<Json<Keys>, Problem> {
    let mut question = Question::new(query)?;
    let (_, chain) = one_chain(&app, &reader, &mut question)?;
    question.end()?;
    let found = lists::keys(&mut app.database.read().await?, chain, KEYS_MAX).await?;
    let view = |key: lists::Granted| KeyView {
        step: key.step,
        key: key.key,
        scheme: key.scheme,
        public: serde_json::from_str(&key.public).unwrap_or_default(),
    };
    Ok(Json(Keys { keys: found.into_iter().map(view).collect() }))
}

/// Runs, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Runs {
    pub runs: Vec<RunView>,
    /// For the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A run of a pipeline, as its records tell.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    pub id: String,
    pub chain: String,
    /// What its writers call it.
    pub run: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
}

/// Runs of a chain, or of a commit.
#[utoipa::path(get, path = "/v1/runs", tag = "lists", params(
    ("chain" = Option<String>, Query, description = "the chain; without it commit must be given"),
    ("commit" = Option<String>, Query, description = "the commit"),
    ("cursor" = Option<String>, Query, description = "from the page before"),
    ("limit" = Option<i64>, Query, minimum = 1, maximum = 500),
), responses((status = 200, body = Runs), super::openapi::Refusals))]
pub async fn get_runs(State(app): State<Arc<App>>, Query(query): Asked, reader: Reader) -> Result<Json<Runs>, Problem> {
    let mut question = Question::new(query)?;
    let commit = question.text("commit");
    let (sight, chain) = match commit {
        Some(_) => (Sight::of(&app, &reader, question.text("chain").as_deref())?, None),
        None => one_chain(&app, &reader, &mut question).map(|(sight, chain)| (sight, Some(chain)))?,
    };
    let before = question.cursor()?.unwrap_or(i64::MAX);
    let limit = question.limit(PAGE, PAGE_MAX)?;
    question.end()?;
    let mut session = app.database.read().await?;
    let mut found = match (commit, chain) {
        (Some(commit), _) => lists::runs_of_commit(&mut session, &commit, before, count(limit)).await?,
        (None, chain) => lists::runs(&mut session, chain.unwrap_or(0), before, count(limit)).await?,
    };
    let next = found.get(limit.saturating_sub(1)).map(|run| cursor(run.id));
    found.retain(|run| sight.chains.contains_key(&run.chain));
    Ok(Json(Runs { runs: found.into_iter().map(|run| RunView::of(run, &sight)).collect(), cursor: next }))
}

/// A run with its records and images.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WholeRun {
    #[serde(flatten)]
    pub run: RunView,
    /// The newest 500.
    pub records: Vec<RecordView>,
    pub images: Vec<String>,
}

/// One run.
#[utoipa::path(get, path = "/v1/runs/{id}", tag = "lists", params(("id" = String, Path, description = "its id")),
    responses((status = 200, body = WholeRun), super::openapi::Refusals))]
pub async fn get_run(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Asked,
    reader: Reader,
) -> Result<Json<WholeRun>, Problem> {
    Question::new(query)?.end()?;
    let sight = Sight::of(&app, &reader, None)?;
    let id: i64 = id.parse().map_err(|_| Problem::bad_request("a run's id is a number"))?;
    let mut session = app.database.read().await?;
    let run = lists::run(&mut session, id).await?.filter(|run| sight.chains.contains_key(&run.chain));
    let run = run.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "not_found", "no such run that you may read"))?;
    let ids = lists::records_of_run(&mut session, id, RECORDS_MAX).await?;
    let mut rows = records::rows(&mut session, &ids).await?;
    rows.retain(|row| !row.quarantined);
    let listed = records::listed(&mut session, rows).await?;
    let images = images::of_run(&mut session, id).await?;
    Ok(Json(WholeRun {
        records: listed.into_iter().map(|listed| RecordView::of(listed, &sight)).collect(),
        images: images.iter().map(ToString::to_string).collect(),
        run: RunView::of(run, &sight),
    }))
}

impl RunView {
    fn of(run: lists::Run, sight: &Sight) -> Self {
        RunView {
            id: run.id.to_string(),
            chain: sight.name(run.chain),
            run: run.key,
            provider: run.provider,
            url: run.url,
            commit: run.commit,
            git_ref: run.git_ref,
            trigger: run.trigger,
            actor: run.actor,
            started_at: run.started_at.map(|time| time.to_string()),
            finished_at: run.finished_at.map(|time| time.to_string()),
        }
    }
}

/// The chain that a request must name.
fn one_chain(app: &App, reader: &Reader, question: &mut Question) -> Result<(Sight, i64), Problem> {
    let name = question.text("chain");
    let sight = Sight::of(app, reader, name.as_deref())?;
    let chain = sight.chains.keys().next().copied().filter(|_| name.is_some());
    let chain = chain.ok_or_else(|| Problem::bad_request("chain is missing"))?;
    Ok((sight, chain))
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
