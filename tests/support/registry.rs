//! A registry in this process, good enough to be pushed to and read from: with or without the referrers API, with or without a
//! login. It keeps a log of what it was asked and sees how many round trips follow one another. Honest, unless a test swaps
//! what it holds; the hostile one is `hostile.rs`.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tidewaiter::digest::Digest;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const USER: &str = "ci";
pub const PASSWORD: &str = "s3cret";
const TOKEN: &str = "a-token-for-pushing";

/// How one must log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    #[default]
    None,
    Basic,
    Bearer,
}

/// What kind of registry it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kind {
    pub referrers_api: bool,
    /// Says `OCI-Subject` to a manifest with a subject.
    pub says_subject: bool,
    pub login: Login,
}

impl Kind {
    /// As the specification has it since 1.1.
    pub fn modern() -> Self {
        Kind { referrers_api: true, says_subject: true, ..Kind::default() }
    }
    /// As most are: no referrers API.
    pub fn old() -> Self {
        Kind::default()
    }
}

#[derive(Clone)]
pub struct Registry {
    pub address: SocketAddr,
    kind: Kind,
    held: Arc<Mutex<Held>>,
}

/// What it holds and has seen.
#[derive(Default)]
pub struct Held {
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// (repository, tag or digest) → Content-Type and bytes.
    pub manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    uploads: BTreeMap<String, Vec<u8>>,
    /// Each answer is that late, so that what is asked at once is seen to be.
    pub delay: Duration,
    /// `GET /v2/…` and the like, in the order they came.
    pub log: Vec<String>,
    /// The longest row of requests of which each began after the one before had ended.
    pub rounds: usize,
    finished: usize,
}

impl Registry {
    /// Listens on a free loopback port until the runtime ends.
    pub async fn start(kind: Kind) -> Self {
        Registry::at(tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port"), kind)
    }

    /// The same on a port of the test's.
    pub fn at(listener: tokio::net::TcpListener, kind: Kind) -> Self {
        let address = listener.local_addr().expect("an address");
        let registry = Registry { address, kind, held: Arc::default() };
        let app = Router::new().fallback(answer).with_state(registry.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        registry
    }

    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no panic while held")
    }

    /// Forgets what it was asked.
    pub fn reset(&self) {
        let mut held = self.held();
        (held.log, held.rounds, held.finished) = (Vec::new(), 0, 0);
    }

    /// A blob, put there without a request.
    pub fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        self.held().blobs.insert(digest.to_string(), bytes.to_vec());
        digest
    }

    /// A manifest under its digest and, where one is given, a tag.
    pub fn manifest(&self, repository: &str, tag: Option<&str>, manifest: &Value) -> Digest {
        let bytes = manifest.to_string().into_bytes();
        let media_type = manifest["mediaType"].as_str().expect("a media type").to_owned();
        let digest = Digest::sha256(&bytes);
        for name in tag.map(String::from).into_iter().chain([digest.to_string()]) {
            self.held().manifests.insert((repository.to_owned(), name), (media_type.clone(), bytes.clone()));
        }
        digest
    }

    /// A manifest by tag or digest, as JSON.
    pub fn find(&self, repository: &str, name: &str) -> Option<Value> {
        let held = self.held();
        let (_, bytes) = held.manifests.get(&(repository.to_owned(), name.to_owned()))?;
        Some(serde_json::from_slice(bytes).expect("JSON"))
    }

    fn may(&self, headers: &HeaderMap) -> bool {
        let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        let said = headers.get(header::AUTHORIZATION).and_then(|text| text.to_str().ok()).unwrap_or_default();
        match self.kind.login {
            Login::None => true,
            Login::Basic => said == basic,
            Login::Bearer => said == format!("Bearer {TOKEN}"),
        }
    }

    fn challenge(&self) -> Response {
        let challenge = match self.kind.login {
            Login::Bearer => format!("Bearer realm=\"http://{}/token\",service=\"test\"", self.address),
            _ => "Basic realm=\"test\"".to_owned(),
        };
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], r#"{"errors":[]}"#).into_response()
    }
}

async fn answer(
    State(registry): State<Registry>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (round, delay) = {
        let mut held = registry.held();
        held.log.push(format!("{method} {}", uri.path()));
        (held.finished + 1, held.delay)
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let response = respond(&registry, &method, &uri, &headers, &body);
    let mut held = registry.held();
    held.finished = held.finished.max(round);
    held.rounds = held.rounds.max(round);
    response
}

fn respond(registry: &Registry, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
    let path = uri.path();
    if path == "/token" {
        let basic = Registry { kind: Kind { login: Login::Basic, ..registry.kind }, ..registry.clone() };
        return match basic.may(headers) {
            true => axum::Json(json!({ "token": TOKEN })).into_response(),
            false => StatusCode::UNAUTHORIZED.into_response(),
        };
    }
    if !registry.may(headers) {
        return registry.challenge();
    }
    let Some(path) = path.strip_prefix("/v2/") else { return StatusCode::NOT_FOUND.into_response() };
    if path.is_empty() {
        return StatusCode::OK.into_response();
    }
    for what in ["/blobs/uploads/", "/blobs/", "/manifests/", "/referrers/"] {
        if let Some((repository, name)) = path.split_once(what) {
            let mut held = registry.held();
            return match what {
                "/blobs/uploads/" => held.upload(method, repository, name, uri.query().unwrap_or_default(), body),
                "/blobs/" => held.read_blob(name),
                "/manifests/" if method == Method::PUT => held.put(registry.kind, repository, name, headers, body),
                "/manifests/" => held.read_manifest(repository, name),
                _ if registry.kind.referrers_api => held.referrers(repository, name),
                _ => StatusCode::NOT_FOUND.into_response(),
            };
        }
    }
    StatusCode::NOT_FOUND.into_response()
}

impl Held {
    fn upload(&mut self, method: &Method, repository: &str, id: &str, query: &str, body: &[u8]) -> Response {
        if method == Method::POST {
            let id = format!("upload-{}", self.uploads.len());
            self.uploads.insert(id.clone(), Vec::new());
            return (StatusCode::ACCEPTED, [(header::LOCATION, format!("/v2/{repository}/blobs/uploads/{id}"))])
                .into_response();
        }
        let Some(upload) = self.uploads.get_mut(id) else { return StatusCode::NOT_FOUND.into_response() };
        upload.extend_from_slice(body);
        if method == Method::PATCH {
            return (StatusCode::ACCEPTED, [(header::LOCATION, format!("/v2/{repository}/blobs/uploads/{id}"))])
                .into_response();
        }
        let bytes = upload.clone();
        let digest = query.strip_prefix("digest=").unwrap_or_default().replace("%3A", ":");
        if Digest::sha256(&bytes).to_string() != digest {
            return StatusCode::BAD_REQUEST.into_response();
        }
        self.blobs.insert(digest.clone(), bytes);
        (StatusCode::CREATED, [(header::LOCATION, format!("/v2/{repository}/blobs/{digest}"))]).into_response()
    }

    fn read_blob(&self, digest: &str) -> Response {
        match self.blobs.get(digest) {
            Some(bytes) => ([(header::CONTENT_TYPE, "application/octet-stream")], bytes.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }

    fn read_manifest(&self, repository: &str, name: &str) -> Response {
        match self.manifests.get(&(repository.to_owned(), name.to_owned())) {
            Some((media_type, bytes)) => ([(header::CONTENT_TYPE, media_type.clone())], bytes.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }

    /// As the specification demands: by its own digest only, and only after its blobs.
    fn put(&mut self, kind: Kind, repository: &str, name: &str, headers: &HeaderMap, body: &[u8]) -> Response {
        let digest = Digest::sha256(body).to_string();
        let Ok(manifest) = serde_json::from_slice::<Value>(body) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
        let named = layers.iter().chain(manifest.get("config")).filter_map(|blob| blob["digest"].as_str());
        let there = named.into_iter().all(|digest| self.blobs.contains_key(digest));
        if (name.starts_with("sha256:") && name != digest) || !there {
            return StatusCode::BAD_REQUEST.into_response();
        }
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|text| text.to_str().ok()).unwrap_or_default();
        for name in [name, &digest] {
            self.manifests.insert((repository.into(), name.into()), (media_type.into(), body.to_vec()));
        }
        let location = (header::LOCATION, format!("/v2/{repository}/manifests/{digest}"));
        match manifest["subject"]["digest"].as_str().filter(|_| kind.says_subject) {
            Some(subject) => {
                (StatusCode::CREATED, [location, (header::HeaderName::from_static("oci-subject"), subject.into())])
                    .into_response()
            }
            None => (StatusCode::CREATED, [location]).into_response(),
        }
    }

    fn referrers(&self, repository: &str, subject: &str) -> Response {
        let of = |(key, (media_type, bytes)): (&(String, String), &(String, Vec<u8>))| {
            let manifest: Value = serde_json::from_slice(bytes).ok()?;
            let ours = key.0 == repository && key.1.starts_with("sha256:") && manifest["subject"]["digest"] == subject;
            ours.then(|| {
                json!({ "mediaType": media_type, "digest": key.1, "size": bytes.len(), "artifactType": manifest["artifactType"] })
            })
        };
        let found: Vec<Value> = self.manifests.iter().filter_map(of).collect();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": found });
        ([(header::CONTENT_TYPE, INDEX)], index.to_string()).into_response()
    }
}
