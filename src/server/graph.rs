//! `GET /v1/graph/{digest}`: what an image was made of, and what used a digest.

use super::{access::Reader, http::App, parameters::image, problem::Problem, question::Question, sight::Sight};
use crate::store::graph::{self, Direction, Node, Query as Wanted, Relation};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::get,
};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

const DEPTH: i64 = 3;
const DEPTH_MAX: i64 = 8;
const NODES: usize = 200;
const NODES_MAX: usize = 1_000;

/// The routes of this file.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/graph/{digest}", get(get_graph))
}

/// Nodes and edges. An edge points the way things were made: from what was there first to what came of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GraphView {
    /// The node that was asked for.
    pub root: String,
    pub nodes: Vec<NodeView>,
    pub edges: Vec<EdgeView>,
    /// There is more than depth, limit, or the work allowed for one answer, let in.
    pub truncated: bool,
}

/// A thing.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum NodeView {
    /// An image, or a file, by its digest.
    #[serde(rename_all = "camelCase")]
    Digest { id: String, digest: String },
    /// A link.
    #[serde(rename_all = "camelCase")]
    Record {
        id: String,
        digest: String,
        chain: String,
        step: Option<String>,
        run_id: Option<String>,
        received_at: String,
        return_value: Option<i64>,
    },
    /// A run of a pipeline.
    #[serde(rename_all = "camelCase")]
    Run { id: String, run_id: String, chain: String, run: String },
    /// A workload that has the image.
    #[serde(rename_all = "camelCase")]
    Workload { id: String, cluster: String, namespace: String, kind: String, name: String, uid: String },
}

/// How two things hang together.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EdgeView {
    pub from: String,
    pub to: String,
    /// `made` (record, image) · `used` (digest, record) · `passed` (record, record: artifacts that one made and the other used) ·
    /// `has` (run, record) · `runs` (image, workload).
    pub relation: &'static str,
    /// Artifacts it stands for.
    pub count: usize,
}

/// The graph around a digest.
#[utoipa::path(get, path = "/v1/graph/{digest}", tag = "graph", params(
    ("digest" = String, Path, description = "sha256:<hex> of an image, or with dir=down of any file"),
    ("dir" = Option<String>, Query, description = "up (what it was made of; without it) or down (what used it)"),
    ("depth" = Option<i64>, Query, minimum = 1, maximum = 8, description = "from image to image; 3"),
    ("limit" = Option<i64>, Query, minimum = 1, maximum = 1000, description = "nodes; 200"),
    ("chain" = Option<String>, Query, description = "a chain; without it all that the token may read"),
), responses((status = 200, body = GraphView), super::openapi::Refusals))]
pub async fn get_graph(
    State(app): State<Arc<App>>,
    Path(digest): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    reader: Reader,
) -> Result<Json<GraphView>, Problem> {
    let mut question = Question::new(query)?;
    let sight = Sight::of(&app, &reader, question.text("chain").as_deref())?;
    let direction = match question.text("dir").as_deref() {
        None | Some("up") => Direction::Up,
        Some("down") => Direction::Down,
        Some(_) => return Err(Problem::bad_request("dir is up or down")),
    };
    let depth = question.number("depth", 1, DEPTH_MAX)?.unwrap_or(DEPTH);
    let nodes_max = question.limit(NODES, NODES_MAX)?;
    question.end()?;
    let digest = image(&digest)?;
    let chains = sight.ids();
    let wanted = Wanted {
        digest: &digest,
        direction,
        depth: usize::try_from(depth).unwrap_or(1),
        nodes_max,
        chains: &chains,
        clusters: &sight.clusters,
    };
    let found = graph::graph(&mut app.database.read().await?, &wanted).await?;
    let ids: Vec<String> = found.nodes.iter().map(id).collect();
    let edge = |edge: &graph::Edge| {
        let (from, to) = (ids.get(edge.from)?.clone(), ids.get(edge.to)?.clone());
        Some(EdgeView { from, to, relation: word(edge.relation), count: edge.count })
    };
    Ok(Json(GraphView {
        root: ids.first().cloned().unwrap_or_default(),
        edges: found.edges.iter().filter_map(edge).collect(),
        truncated: found.truncated,
        nodes: found.nodes.into_iter().zip(&ids).map(|(node, id)| view(node, id.clone(), &sight)).collect(),
    }))
}

fn word(relation: Relation) -> &'static str {
    match relation {
        Relation::Made => "made",
        Relation::Used => "used",
        Relation::Passed => "passed",
        Relation::Has => "has",
        Relation::Runs => "runs",
    }
}

/// A node's name in this answer.
fn id(node: &Node) -> String {
    match node {
        Node::Digest(digest) => digest.to_string(),
        Node::Record(row) => format!("record:{}", row.id),
        Node::Run(id, _, _) => format!("run:{id}"),
        Node::Workload { cluster, uid, .. } => format!("workload:{cluster}/{uid}"),
    }
}

fn view(node: Node, id: String, sight: &Sight) -> NodeView {
    match node {
        Node::Digest(digest) => NodeView::Digest { id, digest: digest.to_string() },
        Node::Record(row) => NodeView::Record {
            id,
            digest: row.digest.to_string(),
            chain: sight.name(row.chain),
            run_id: row.run.map(|run| run.to_string()),
            received_at: row.received_at.to_string(),
            return_value: row.return_code,
            step: row.step,
        },
        Node::Run(run, chain, key) => NodeView::Run { id, run_id: run.to_string(), chain: sight.name(chain), run: key },
        Node::Workload { cluster, namespace, kind, name, uid } => {
            NodeView::Workload { id, cluster, namespace, kind, name, uid }
        }
    }
}
