//! `POST /v1/verdicts:batch`: clusters report what they decided; `GET /v1/verdicts` and `/v1/workloads` tell it.
//!
//! A reader whose Chain document says `reports: true` reports for the cluster of its own name and for no other. A report decides nothing:
//! it is shown to those who ask where an image runs.

use super::{
    access::{Reader, Reporter},
    http::App,
    parameters,
    problem::Problem,
    question::{Question, cursor},
    sight::Sight,
};
use crate::{
    digest::Digest,
    store::{
        images,
        session::Session,
        verdicts::{self, Decided, Of, Report, Verdict, Workload},
    },
};
use axum::{
    Json, Router,
    body::Body,
    extract::{Query, State},
    http::HeaderMap,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use utoipa::ToSchema;

/// Verdicts of one report, and its bytes.
const VERDICTS_MAX: usize = 1_000;
const REPORT_BYTES_MAX: usize = 2 << 20;
/// Bytes of one text of a verdict. Kubernetes' names have at most 253, and image references of ours fewer than this.
const TEXT_BYTES_MAX: usize = 1_024;
const PAGE: usize = 100;
const PAGE_MAX: usize = 500;

/// The routes of this file.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/verdicts:batch", post(post_verdicts))
        .route("/v1/verdicts", get(get_verdicts))
        .route("/v1/workloads", get(get_workloads))
}

/// What a cluster reports.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdicts {
    #[schema(min_items = 1, max_items = 1000)]
    pub verdicts: Vec<ReportedVerdict>,
}

/// One decision about one image of one workload.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportedVerdict {
    /// The reporting reader's name.
    pub cluster: String,
    pub namespace: String,
    pub workload: WorkloadName,
    /// As the workload names it.
    pub image: String,
    /// What it was found to be: `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// `allowed`, `denied`, `warned` or `audited`.
    pub decision: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// When, RFC 3339.
    pub at: String,
}

/// Which workload.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadName {
    pub kind: String,
    pub name: String,
    /// Empty, or absent, before the API server gave one: such a verdict is kept, and makes no workload.
    #[serde(default)]
    pub uid: String,
}

/// What became of a report.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Kept {
    /// Verdicts that are kept: all of them.
    pub kept: usize,
}

/// A cluster's decisions: all are kept, or, where one is malformed or another cluster's, none.
#[utoipa::path(post, path = "/v1/verdicts:batch", tag = "verdicts", request_body = Verdicts,
    responses((status = 200, body = Kept), super::openapi::Refusals))]
pub async fn post_verdicts(
    State(app): State<Arc<App>>,
    Reporter { clusters, payer }: Reporter,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Kept>, Problem> {
    Question::new(query)?.end()?;
    let (bytes, _place) = app.writing.body(&payer, &headers, body, "a report", REPORT_BYTES_MAX).await?;
    let report: Verdicts = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad_request(format!("the body is no report: {error}")))?;
    let count = report.verdicts.len();
    if count == 0 || count > VERDICTS_MAX {
        return Err(Problem::bad_request(format!("a report has between 1 and {VERDICTS_MAX} verdicts")));
    }
    let mut verdicts = Vec::with_capacity(count);
    for (at, reported) in report.verdicts.into_iter().enumerate() {
        let verdict = verdict(reported).map_err(|why| Problem::bad_request(format!("verdicts[{at}]: {why}")))?;
        if !clusters.contains(&verdict.cluster) {
            let cluster = verdict.cluster.escape_debug();
            return Err(Problem::forbidden(format!("verdicts[{at}]: this token does not report for \"{cluster}\"")));
        }
        verdicts.push(verdict);
    }
    app.database.write(Report { verdicts, received_at: app.clock.now() }).await?;
    Ok(Json(Kept { kept: count }))
}

/// A verdict that can be kept, or what is wrong with it.
fn verdict(reported: ReportedVerdict) -> Result<Verdict, String> {
    let ReportedVerdict { cluster, namespace, workload, image, digest, decision, reason, policy, at } = reported;
    let fits = |text: &str| text.len() <= TEXT_BYTES_MAX && !text.contains('\0');
    let texts = [&cluster, &namespace, &workload.kind, &workload.name, &workload.uid, &image];
    if !texts.into_iter().chain(&reason).chain(&policy).all(|text| fits(text)) {
        return Err(format!("a text has more than {TEXT_BYTES_MAX} bytes, or a NUL"));
    }
    let digest =
        digest.map(|digest| parameters::image(&digest).map_err(|problem| format!("digest: {}", problem.detail)));
    Ok(Verdict {
        id: 0,
        cluster,
        namespace,
        kind: workload.kind,
        name: workload.name,
        uid: workload.uid,
        image,
        digest: digest.transpose()?,
        decided: Decided::from_word(&decision).ok_or("decision is allowed, denied, warned or audited")?,
        reason,
        policy,
        at: at.parse().map_err(|_| "at is no time of RFC 3339")?,
    })
}

/// Verdicts, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VerdictsPage {
    pub verdicts: Vec<ReportedVerdict>,
    /// For the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What clusters decided about an image, or what one cluster decided. Shown are verdicts of clusters that the token reports for, and about
/// images that a link of a chain it may read made, and that run by a name among that chain's images.
#[utoipa::path(get, path = "/v1/verdicts", tag = "verdicts", params(
    ("digest" = Option<String>, Query, description = "the image; this or cluster"),
    ("cluster" = Option<String>, Query, description = "the cluster"),
    ("cursor" = Option<String>, Query, description = "from the page before"),
    ("limit" = Option<i64>, Query, minimum = 1, maximum = 500),
), responses((status = 200, body = VerdictsPage), super::openapi::Refusals))]
pub async fn get_verdicts(
    State(app): State<Arc<App>>,
    Query(query): Query<Vec<(String, String)>>,
    reader: Reader,
) -> Result<Json<VerdictsPage>, Problem> {
    let mut question = Question::new(query)?;
    let sight = Sight::of(&app, &reader, None)?;
    let of = of(&mut question)?;
    let before = question.cursor()?.unwrap_or(i64::MAX);
    let limit = question.limit(PAGE, PAGE_MAX)?;
    question.end()?;
    let mut session = app.database.read().await?;
    let mut found = verdicts::verdicts(&mut session, &of, before, count(limit)).await?;
    let next = found.get(limit.saturating_sub(1)).map(|verdict| cursor(verdict.id));
    let shown =
        Shown::of(&app, &mut session, &sight, found.iter().filter_map(|verdict| verdict.digest.clone())).await?;
    let next = next.filter(|_| shown.may_go_on(&of));
    found.retain(|verdict| shown.has(&verdict.cluster, &verdict.image, verdict.digest.as_ref()));
    Ok(Json(VerdictsPage { verdicts: found.into_iter().map(ReportedVerdict::from).collect(), cursor: next }))
}

impl From<Verdict> for ReportedVerdict {
    fn from(verdict: Verdict) -> Self {
        ReportedVerdict {
            cluster: verdict.cluster,
            namespace: verdict.namespace,
            workload: WorkloadName { kind: verdict.kind, name: verdict.name, uid: verdict.uid },
            image: verdict.image,
            digest: verdict.digest.map(|digest| digest.to_string()),
            decision: verdict.decided.as_str().to_owned(),
            reason: verdict.reason,
            policy: verdict.policy,
            at: verdict.at.to_string(),
        }
    }
}

/// Workloads.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Workloads {
    pub workloads: Vec<WorkloadView>,
    /// For the next page of a cluster; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// An image that a workload has.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadView {
    pub cluster: String,
    pub namespace: String,
    pub workload: WorkloadName,
    pub image: String,
    pub digest: String,
    /// The times of the first and of the latest verdict.
    pub first_seen: String,
    pub last_seen: String,
}

/// Where an image runs, or what runs in a cluster, as far as verdicts told. Who sees what is as for verdicts.
#[utoipa::path(get, path = "/v1/workloads", tag = "verdicts", params(
    ("digest" = Option<String>, Query, description = "the image; this or cluster"),
    ("cluster" = Option<String>, Query, description = "the cluster"),
    ("cursor" = Option<String>, Query, description = "from the page before, with cluster"),
    ("limit" = Option<i64>, Query, minimum = 1, maximum = 500),
), responses((status = 200, body = Workloads), super::openapi::Refusals))]
pub async fn get_workloads(
    State(app): State<Arc<App>>,
    Query(query): Query<Vec<(String, String)>>,
    reader: Reader,
) -> Result<Json<Workloads>, Problem> {
    let mut question = Question::new(query)?;
    let sight = Sight::of(&app, &reader, None)?;
    let of = of(&mut question)?;
    let after = question.text("cursor").map(|text| place(&text)).transpose()?.unwrap_or_default();
    let limit = question.limit(PAGE, PAGE_MAX)?;
    question.end()?;
    let mut session = app.database.read().await?;
    let mut found = verdicts::workloads(&mut session, &of, &after, count(limit)).await?;
    let last = found.get(limit.saturating_sub(1)).filter(|_| matches!(of, Of::Cluster(_)));
    let next = last.map(|last| URL_SAFE_NO_PAD.encode(format!("{} {}", last.digest.hex(), last.uid)));
    let shown = Shown::of(&app, &mut session, &sight, found.iter().map(|workload| workload.digest.clone())).await?;
    found.retain(|workload| shown.has(&workload.cluster, &workload.image, Some(&workload.digest)));
    let view = |workload: Workload| WorkloadView {
        cluster: workload.cluster,
        namespace: workload.namespace,
        workload: WorkloadName { kind: workload.kind, name: workload.name, uid: workload.uid },
        image: workload.image,
        digest: workload.digest.to_string(),
        first_seen: workload.first_seen.to_string(),
        last_seen: workload.last_seen.to_string(),
    };
    Ok(Json(Workloads { workloads: found.into_iter().map(view).collect(), cursor: next }))
}

/// Where a page of workloads ended: uid and digest.
fn place(text: &str) -> Result<(String, Vec<u8>), Problem> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (digest, uid) = text.split_once(' ')?;
        (!uid.contains('\0')).then_some((uid.to_owned(), hex::decode(digest).ok()?))
    };
    read().ok_or_else(|| Problem::bad_request("cursor is none that a page gave"))
}

/// The image or the cluster that a request must name.
fn of(question: &mut Question) -> Result<Of, Problem> {
    match (question.digest("digest")?, question.text("cluster")) {
        (Some(digest), None) => Ok(Of::Image(digest)),
        (None, Some(cluster)) => Ok(Of::Cluster(cluster)),
        _ => Err(Problem::bad_request("expected either digest or cluster")),
    }
}

/// What of the verdicts and workloads in hand a request is shown.
///
/// Whoever reports for a cluster sees all of it. Others see an image of a chain that they may read: made by a link of the chain, and run by
/// a name that the chain's document counts among its `images`. Neither is enough alone: any chain's writer may claim any digest, and
/// whatever has the name need not be what the chain made.
struct Shown<'a> {
    app: &'a App,
    sight: &'a Sight,
    makers: BTreeMap<Digest, BTreeSet<i64>>,
}

impl<'a> Shown<'a> {
    async fn of(
        app: &'a App,
        session: &mut Session,
        sight: &'a Sight,
        digests: impl Iterator<Item = Digest>,
    ) -> Result<Self, Problem> {
        let makers = images::makers(session, &digests.collect(), &sight.ids()).await?;
        Ok(Shown { app, sight, makers })
    }

    fn has(&self, cluster: &str, image: &str, digest: Option<&Digest>) -> bool {
        let of_chain = |chain: &i64| self.app.rules(*chain).is_some_and(|rules| rules.has_image(image));
        let makers = digest.and_then(|digest| self.makers.get(digest));
        self.sight.clusters.contains(cluster) || makers.into_iter().flatten().any(of_chain)
    }

    /// Whether there may be a next page. Of an image that is none of theirs nobody learns how much there is.
    fn may_go_on(&self, of: &Of) -> bool {
        matches!(of, Of::Cluster(_)) || !self.makers.is_empty() || !self.sight.clusters.is_empty()
    }
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
