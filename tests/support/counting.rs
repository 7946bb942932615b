//! A registry that serves a world's OCI layout directory, counts what is asked of it, and sees how many round trips
//! follow one another. Honest; the hostile one is `hostile.rs`.

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

#[derive(Clone)]
pub struct Counting(Arc<Inner>);

struct Inner {
    layout: PathBuf,
    delay: Duration,
    seen: Mutex<Seen>,
}

/// What was asked since the last reset.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Path → how often.
    pub requests: BTreeMap<String, usize>,
    /// The longest row of requests of which each began after the one before had ended.
    pub rounds: usize,
    finished: usize,
}

impl Seen {
    pub fn total(&self) -> usize {
        self.requests.values().sum()
    }
}

impl Counting {
    /// Listens on a free loopback port before the world exists, since its images are named after the address.
    pub async fn bind() -> (tokio::net::TcpListener, SocketAddr) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        (listener, addr)
    }

    /// Serves the layout until the task is aborted; each answer is `delay` late.
    pub fn serve<L>(listener: L, layout: PathBuf, delay: Duration) -> (Self, tokio::task::JoinHandle<()>)
    where
        L: axum::serve::Listener,
        L::Addr: std::fmt::Debug,
    {
        let counting = Counting(Arc::new(Inner { layout, delay, seen: Mutex::default() }));
        let app = Router::new().route("/v2/{*rest}", get(answer)).with_state(counting.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        (counting, server)
    }

    /// One request and its answer, counted among the others; `delay` late.
    pub async fn trip<T>(&self, what: String, answer: impl Future<Output = T>) -> T {
        let round = {
            let mut seen = self.0.seen.lock().expect("no panic while counting");
            *seen.requests.entry(what).or_default() += 1;
            seen.finished + 1
        };
        if !self.0.delay.is_zero() {
            tokio::time::sleep(self.0.delay).await;
        }
        let answer = answer.await;
        let mut seen = self.0.seen.lock().expect("no panic while counting");
        seen.finished = seen.finished.max(round);
        seen.rounds = seen.rounds.max(round);
        answer
    }

    pub fn seen(&self) -> Seen {
        self.0.seen.lock().expect("no panic while counting").clone()
    }

    pub fn reset(&self) {
        *self.0.seen.lock().expect("no panic while counting") = Seen::default();
    }
}

async fn answer(State(registry): State<Counting>, Path(rest): Path<String>) -> Response {
    let found = registry.0.find(&rest).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response());
    registry.trip(rest, async { found }).await
}

impl Inner {
    fn find(&self, rest: &str) -> Option<Response> {
        let (repository, kind, name) = ["manifests", "blobs", "referrers"].iter().find_map(|kind| {
            let (repository, name) = rest.rsplit_once(&format!("/{kind}/"))?;
            Some((repository, *kind, name))
        })?;
        match kind {
            "referrers" => Some(self.referrers(name)),
            "blobs" => self.bytes(name).map(|b| ([(CONTENT_TYPE, "application/octet-stream")], b).into_response()),
            _ => {
                let digest = if name.starts_with("sha256:") { name.to_owned() } else { self.tag(repository, name)? };
                let bytes = self.bytes(&digest)?;
                let document: Value = serde_json::from_slice(&bytes).ok()?;
                let media = document["mediaType"].as_str()?.to_owned();
                Some(([(CONTENT_TYPE, media), ("docker-content-digest".parse().ok()?, digest)], bytes).into_response())
            }
        }
    }

    fn bytes(&self, digest: &str) -> Option<Vec<u8>> {
        let hex = digest.strip_prefix("sha256:").filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))?;
        fs::read(self.layout.join("blobs/sha256").join(hex)).ok()
    }

    fn entries(&self) -> Vec<Value> {
        let index = fs::read(self.layout.join("index.json")).expect("an index");
        let index: Value = serde_json::from_slice(&index).expect("JSON");
        index["manifests"].as_array().expect("manifests").clone()
    }

    fn tag(&self, repository: &str, tag: &str) -> Option<String> {
        let wanted = format!("/{repository}:{tag}");
        self.entries().into_iter().find_map(|entry| {
            let name = entry["annotations"]["org.opencontainers.image.ref.name"].as_str()?;
            name.ends_with(&wanted).then(|| entry["digest"].as_str().map(str::to_owned))?
        })
    }

    fn referrers(&self, subject: &str) -> Response {
        let found: Vec<Value> = self
            .entries()
            .into_iter()
            .filter(|entry| {
                let bytes = entry["digest"].as_str().and_then(|d| self.bytes(d));
                let document = bytes.and_then(|b| serde_json::from_slice::<Value>(&b).ok());
                document.is_some_and(|d| d["subject"]["digest"] == subject)
            })
            .collect();
        let media = "application/vnd.oci.image.index.v1+json";
        let body = json!({"schemaVersion": 2, "mediaType": media, "manifests": found}).to_string();
        ([(CONTENT_TYPE, media)], body).into_response()
    }
}
