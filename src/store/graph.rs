//! The graph around a digest, breadth-first, each node once, with caps. Upstream: what an image was made of. Downstream: what used a digest.
//!
//! Edges inside a run are found in memory, from the artifact lists of its links; edges between runs by the digests that one used and
//! another made. Never one row per artifact: the walk reads chunks.

use super::{
    Kind, StoreError, artifacts,
    body::{self, BlobColumns},
    family, images,
    records::{self, Row},
    session::{Arg, Session},
    sql, verdicts,
};
use crate::{args, digest::Digest};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Records of one image, runs' records, sets of one chunk, records of one set.
const MAKERS_MAX: i64 = 16;
const RECORDS_OF_RUN_MAX: i64 = 256;
const FAN_OUT_MAX: i64 = 64;
const CHUNKS_OF_SET_MAX: i64 = 4_096;
const WORKLOADS_MAX: i64 = 100;
/// Digests of one record that are looked up among what others made.
const MATERIALS_MAX: usize = 4_096;
/// Artifact lists that one graph reads, and look-ups of other kinds.
const SETS_MAX: usize = 512;
const LOOKUPS_MAX: usize = 4_096;
/// Digests of all those lists together, some tens of megabytes: one link may list a hundred thousand files.
const DIGESTS_MAX: usize = 400_000;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Query<'q> {
    pub digest: &'q Digest,
    pub direction: Direction,
    /// Steps from image to image.
    pub depth: usize,
    pub nodes_max: usize,
    pub chains: &'q BTreeSet<i64>,
    /// Clusters whose workloads may be shown.
    pub clusters: &'q BTreeSet<String>,
}

/// A thing in the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// An image, or a file, by its digest.
    Digest(Digest),
    Record(Box<Row>),
    /// A run, by id, chain and key.
    Run(i64, i64, String),
    /// A workload that has the image, by cluster, namespace, kind, name and uid.
    Workload {
        cluster: String,
        namespace: String,
        kind: String,
        name: String,
        uid: String,
    },
}

/// How two nodes hang together, in the direction in which things were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// The record's step made the image.
    Made,
    /// The record's step used the digest.
    Used,
    /// What one step made, the next used: so many artifacts.
    Passed,
    /// The run has the record.
    Has,
    /// The workload has the image.
    Runs,
}

/// An edge between nodes, by their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    pub relation: Relation,
    /// Artifacts it stands for.
    pub count: usize,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    /// A cap ended the walk.
    pub truncated: bool,
}

/// The graph around the digest.
pub async fn graph(session: &mut Session, query: &Query<'_>) -> Result<Graph, StoreError> {
    let mut walk = Walk {
        session,
        query,
        graph: Graph::default(),
        places: BTreeMap::new(),
        edges: BTreeSet::new(),
        lists: BTreeMap::new(),
        digests_left: DIGESTS_MAX,
        runs: BTreeSet::new(),
        lookups: 0,
    };
    walk.node(Key::Digest(artifacts::raw(query.digest)), || Node::Digest(query.digest.clone()));
    let mut seen = BTreeSet::from([query.digest.clone()]);
    let mut waiting = VecDeque::from([(query.digest.clone(), 0)]);
    while let Some((digest, depth)) = waiting.pop_front() {
        if walk.graph.truncated {
            break;
        }
        let next = match query.direction {
            Direction::Up => walk.up(&digest).await?,
            Direction::Down => walk.down(&digest).await?,
        };
        if depth + 1 < query.depth {
            waiting.extend(
                next.into_iter().filter(|digest| seen.insert(digest.clone())).map(|digest| (digest, depth + 1)),
            );
        }
    }
    Ok(walk.graph)
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Digest(Vec<u8>),
    Record(i64),
    Run(i64),
    Workload(String, String),
}

type Digests = BTreeSet<Vec<u8>>;

struct Walk<'w> {
    session: &'w mut Session,
    query: &'w Query<'w>,
    graph: Graph,
    places: BTreeMap<Key, usize>,
    edges: BTreeSet<(usize, usize, Relation)>,
    /// Artifact lists that were read.
    lists: BTreeMap<i64, Arc<Digests>>,
    /// Digests that may still be read into them.
    digests_left: usize,
    /// Runs whose records are in the graph.
    runs: BTreeSet<i64>,
    lookups: usize,
}

impl Walk<'_> {
    /// The place of a node, which is added where it is new and there is room.
    fn node(&mut self, key: Key, node: impl FnOnce() -> Node) -> Option<usize> {
        if let Some(place) = self.places.get(&key) {
            return Some(*place);
        }
        let place = self.graph.nodes.len();
        if place >= self.query.nodes_max {
            self.graph.truncated = true;
            return None;
        }
        self.places.insert(key, place);
        self.graph.nodes.push(node());
        Some(place)
    }

    fn digest(&mut self, digest: &Digest) -> Option<usize> {
        self.node(Key::Digest(artifacts::raw(digest)), || Node::Digest(digest.clone()))
    }

    fn record(&mut self, row: &Row) -> Option<usize> {
        self.node(Key::Record(row.id), || Node::Record(Box::new(row.clone())))
    }

    fn edge(&mut self, from: Option<usize>, to: Option<usize>, relation: Relation, count: usize) {
        if let (Some(from), Some(to)) = (from, to)
            && self.edges.insert((from, to, relation))
        {
            self.graph.edges.push(Edge { from, to, relation, count });
        }
    }

    /// One more look-up; none when there were enough.
    fn may_look(&mut self) -> bool {
        may_look(&mut self.lookups, &mut self.graph)
    }

    /// The links that made an image and their runs; the images that those used.
    async fn up(&mut self, image: &Digest) -> Result<BTreeSet<Digest>, StoreError> {
        let (place, raw) = (self.digest(image), artifacts::raw(image));
        let mut records = BTreeMap::<i64, Row>::new();
        for chain in self.query.chains {
            if !self.may_look() {
                break;
            }
            let ids: Vec<i64> = self.session.values(sql::MAKERS, args![&raw, *chain, MAKERS_MAX]).await?;
            for row in self.links(&ids).await? {
                let from = self.record(&row);
                self.edge(from, place, Relation::Made, 1);
                if let Some(run) = row.run {
                    records.extend(self.run(run).await?.into_iter().map(|row| (row.id, row)));
                }
                records.insert(row.id, row);
            }
        }
        let mut used = BTreeSet::new();
        for row in records.values() {
            used.extend(self.images_used(row, image).await?);
        }
        Ok(used)
    }

    /// The images that a record's step used: what it used is looked up among what records made.
    async fn images_used(&mut self, row: &Row, but: &Digest) -> Result<BTreeSet<Digest>, StoreError> {
        let materials = self.list(row.inputs).await?;
        let list: Vec<Arg<'_>> = materials.iter().take(MATERIALS_MAX).map(Arg::from).collect();
        self.graph.truncated |= materials.len() > MATERIALS_MAX;
        let made: Vec<(Vec<u8>, i64, i64)> = self.session.rows_in(&sql::MADE, &[], &list).await?;
        let readable =
            made.into_iter().filter(|(_, chain, record)| self.query.chains.contains(chain) && *record != row.id);
        let images: BTreeSet<Digest> = readable.filter_map(|(digest, _, _)| artifacts::sha256_of(&digest)).collect();
        let to = self.record(row);
        for image in images.iter().filter(|image| *image != but) {
            let from = self.digest(image);
            self.edge(from, to, Relation::Used, 1);
        }
        Ok(images)
    }

    /// The links of a run, and what one passed to another. Once for each run.
    async fn run(&mut self, run: i64) -> Result<Vec<Row>, StoreError> {
        if !self.runs.insert(run) || !self.may_look() {
            return Ok(Vec::new());
        }
        let ids: Vec<i64> = self.session.values(sql::RECORDS_OF_RUN_ALL, args![run, RECORDS_OF_RUN_MAX]).await?;
        let links = self.links(&ids).await?;
        let Some(chain) = links.first().map(|row| row.chain) else { return Ok(links) };
        let key = records::run_keys(self.session, &[run].into()).await?.remove(&run).unwrap_or_default();
        let from = self.node(Key::Run(run), || Node::Run(run, chain, key));
        for row in &links {
            let to = self.record(row);
            self.edge(from, to, Relation::Has, 1);
        }
        for maker in &links {
            let made = self.list(maker.outputs).await?;
            for user in links.iter().filter(|user| user.id != maker.id && !made.is_empty()) {
                let passed = self.list(user.inputs).await?.intersection(&made).count();
                // Lists in hand are compared without waiting for anything: others have their turn, and the request its end.
                tokio::task::yield_now().await;
                if passed > 0 {
                    let (from, to) = (self.record(maker), self.record(user));
                    self.edge(from, to, Relation::Passed, passed);
                }
            }
        }
        Ok(links)
    }

    /// The links that used a digest, and the images they or their runs made.
    async fn down(&mut self, digest: &Digest) -> Result<BTreeSet<Digest>, StoreError> {
        let place = self.digest(digest);
        self.workloads(digest, place).await?;
        let mut images = BTreeSet::new();
        for row in self.users(digest).await? {
            let at = self.record(&row);
            self.edge(place, at, Relation::Used, 1);
            let mut made = records::subjects(self.session, row.id, FAN_OUT_MAX).await?;
            for image in &made {
                let to = self.digest(image);
                self.edge(at, to, Relation::Made, 1);
            }
            if let Some(run) = row.run.filter(|_| self.may_look()) {
                for link in self.run(run).await? {
                    let from = self.record(&link);
                    for image in records::subjects(self.session, link.id, FAN_OUT_MAX).await? {
                        let to = self.digest(&image);
                        self.edge(from, to, Relation::Made, 1);
                    }
                }
                made.extend(images::of_run(self.session, run).await?);
            }
            images.extend(made);
        }
        images.remove(digest);
        Ok(images)
    }

    /// The links whose materials have the digest: posting, chunk, set, record. Postings are eight bytes, so the chunk itself is asked.
    async fn users(&mut self, digest: &Digest) -> Result<Vec<Row>, StoreError> {
        let Some(d64) = artifacts::posting(digest) else { return Ok(Vec::new()) };
        let raw = artifacts::raw(digest);
        let mut ids = BTreeSet::new();
        let (lookups, graph) = (&mut self.lookups, &mut self.graph);
        let chunks = family::holders(self.session, &[d64].into(), || may_look(lookups, graph)).await?;
        self.graph.truncated |= chunks.len() >= family::HOLDERS_MAX;
        for (_, chunk) in chunks {
            if !self.may_look() {
                break;
            }
            let row: Option<BlobColumns> = self.session.row(sql::CHUNK, args![chunk]).await?;
            let Some(row) = row else { continue };
            if !digests(self.session, row, chunk).await?.contains(&raw) {
                continue;
            }
            let sets: Vec<(i64, i64)> = self.session.rows(sql::SETS_OF_CHUNK, args![chunk, FAN_OUT_MAX]).await?;
            self.graph.truncated |= sets.len() >= FAN_OUT_MAX as usize;
            for (_, set) in sets {
                for chain in self.query.chains {
                    if !self.may_look() {
                        break;
                    }
                    let using: Vec<(i64, i64, String)> =
                        self.session.rows(sql::RECORDS_USING, args![set, *chain, FAN_OUT_MAX]).await?;
                    ids.extend(using.into_iter().map(|(_, id, _)| id));
                }
            }
        }
        self.links(&ids.into_iter().collect::<Vec<_>>()).await
    }

    async fn workloads(&mut self, digest: &Digest, from: Option<usize>) -> Result<(), StoreError> {
        if self.query.clusters.is_empty() {
            return Ok(());
        }
        let of = verdicts::Of::Image(digest.clone());
        let found = verdicts::workloads(self.session, &of, &Default::default(), WORKLOADS_MAX).await?;
        for workload in found.into_iter().filter(|workload| self.query.clusters.contains(&workload.cluster)) {
            let verdicts::Workload { cluster, namespace, kind, name, uid, .. } = workload;
            let key = Key::Workload(cluster.clone(), uid.clone());
            let to = self.node(key, || Node::Workload { cluster, namespace, kind, name, uid });
            self.edge(from, to, Relation::Runs, 1);
        }
        Ok(())
    }

    /// The links among these records that may be read.
    async fn links(&mut self, ids: &[i64]) -> Result<Vec<Row>, StoreError> {
        let mut rows = records::rows(self.session, ids).await?;
        rows.retain(|row| row.kind == Kind::Link && self.query.chains.contains(&row.chain) && !row.quarantined);
        Ok(rows)
    }

    /// The SHA-256 digests of an artifact list.
    async fn list(&mut self, set: Option<i64>) -> Result<Arc<Digests>, StoreError> {
        let Some(set) = set else { return Ok(Arc::default()) };
        if let Some(list) = self.lists.get(&set) {
            return Ok(Arc::clone(list));
        }
        if self.lists.len() >= SETS_MAX || self.digests_left == 0 {
            self.graph.truncated = true;
            return Ok(Arc::default());
        }
        let chunks: Vec<BlobColumns> = self.session.rows(sql::CHUNKS_OF_SET, args![set, CHUNKS_OF_SET_MAX]).await?;
        let mut list = Digests::new();
        for chunk in chunks {
            list.extend(digests(self.session, chunk, set).await?);
        }
        self.digests_left = self.digests_left.saturating_sub(list.len());
        let list = Arc::new(list);
        self.lists.insert(set, Arc::clone(&list));
        Ok(list)
    }
}

fn may_look(lookups: &mut usize, graph: &mut Graph) -> bool {
    *lookups += 1;
    graph.truncated |= *lookups > LOOKUPS_MAX;
    *lookups <= LOOKUPS_MAX
}

/// The SHA-256 digests of a chunk. `of`: what it is asked for, for the error.
async fn digests(session: &Session, chunk: BlobColumns, of: i64) -> Result<Digests, StoreError> {
    let what = format!("a chunk of artifact list {of}");
    let bytes = body::bytes(session, chunk, &what).await?;
    artifacts::digests(&bytes).ok_or_else(|| StoreError::Corrupt(format!("{what} does not parse")))
}
