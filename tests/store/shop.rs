//! A shop with a store: two owners, a pipeline of two steps, a server on a real socket over a database in a scratch directory.

use super::databases::{On, Place};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::PathBuf};
use tidewaiter::{
    digest::Digest,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    json as strict,
    key::{Scheme, SecretKey},
    server::{Bounds, Chains, Options, Server},
    store::{blob::objects::Objects, database},
};
use tokio_util::sync::CancellationToken;

pub const FUTURE: &str = "2099-01-01T00:00:00Z";

/// Bearer tokens of the writers and the reader.
pub const LAPTOP: &str = "laptop-token";
pub const CI: &str = "ci-token";
pub const CLUSTER: &str = "cluster-token";

pub struct Keys {
    pub alice: SecretKey,
    pub bob: SecretKey,
    pub ci: SecretKey,
    pub tester: SecretKey,
    pub stranger: SecretKey,
}

impl Keys {
    pub fn new() -> Self {
        let key = |scheme| SecretKey::generate(scheme).unwrap();
        Keys {
            alice: key(Scheme::Ed25519),
            bob: key(Scheme::EcdsaP256),
            ci: key(Scheme::Ed25519),
            tester: key(Scheme::EcdsaP256),
            stranger: key(Scheme::Ed25519),
        }
    }
}

pub fn token_hash(token: &str) -> String {
    Digest::sha256(token.as_bytes()).to_string()
}

/// The documents of the chain `shop`: both owners must sign; `laptop` writes all, `ci` links of `build`, `cluster` reads.
pub fn documents(keys: &Keys) -> String {
    let chain = chain(
        "shop",
        "registry.example.com/shop/api",
        json!([
            {"name": "laptop", "tokenHash": token_hash(LAPTOP), "steps": ["*"], "kinds": ["layout", "link"]},
            {"name": "ci", "tokenHash": token_hash(CI), "steps": ["build"], "kinds": ["link"]},
        ]),
        json!([{"name": "cluster", "tokenHash": token_hash(CLUSTER)}]),
    );
    [owners(keys), chain].map(|document| document.to_string()).join("\n---\n")
}

pub fn owners(keys: &Keys) -> Value {
    json!({"apiVersion": "tidewaiter.dev/v1alpha1", "kind": "TrustRoot", "metadata": {"name": "owners"}, "spec": {"keys": [
        {"name": "alice", "pem": keys.alice.public().to_pem()},
        {"name": "bob", "pem": keys.bob.public().to_pem()},
    ]}})
}

pub fn chain(name: &str, image: &str, writers: Value, readers: Value) -> Value {
    json!({"apiVersion": "tidewaiter.dev/v1alpha1", "kind": "Chain", "metadata": {"name": name}, "spec": {
        "owners": {"trust": "owners", "threshold": 2}, "images": [image], "writers": writers, "readers": readers}})
}

/// A layout of `test` (by the tester) and `build` (by ci).
pub fn layout(keys: &Keys, expires: &str, readme: &str) -> Value {
    let step = |name: &str, key: &SecretKey| {
        json!({"_type": "step", "name": name, "threshold": 1, "pubkeys": [key.public().id()], "expected_command": [],
            "expected_materials": [], "expected_products": [["ALLOW", "oci:registry.example.com/shop/api"]]})
    };
    let key = |key: &SecretKey| {
        let mut value = key.public().to_layout();
        value["keyid"] = json!(key.public().id());
        value
    };
    json!({"_type": "layout", "expires": expires, "readme": readme, "inspect": [],
        "keys": {keys.ci.public().id(): key(&keys.ci), keys.tester.public().id(): key(&keys.tester)},
        "steps": [step("test", &keys.tester), step("build", &keys.ci)]})
}

/// A link whose products are the image `shop/api` of this digest.
pub fn link(step: &str, image: &Digest) -> Value {
    json!({"_type": "link", "name": step, "command": [], "materials": {"src/main.c": {"sha256": Digest::sha256(b"main").hex()}},
        "products": {"oci:registry.example.com/shop/api": {"sha256": image.hex()}},
        "byproducts": {"return-value": 0}, "environment": {}})
}

/// A signed record with its name.
#[derive(Clone)]
pub struct Record {
    pub name: String,
    pub bytes: Vec<u8>,
}

pub fn seal(document: &Value, keys: &[&SecretKey]) -> Record {
    let payload = strict::to_text(&document.into()).into_bytes();
    named(Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, payload, keys).unwrap())
}

pub fn metablock(document: &Value, keys: &[&SecretKey]) -> Record {
    named(Envelope::sign_metablock(document.into(), keys).unwrap())
}

fn named(envelope: Envelope) -> Record {
    Record { name: envelope.digest().to_string(), bytes: envelope.to_bytes() }
}

/// A server in this process.
pub struct Shop {
    pub keys: Keys,
    pub address: SocketAddr,
    pub metrics: SocketAddr,
    pub http: reqwest::Client,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<anyhow::Result<()>>,
    pub place: Place,
}

/// What is not as usual.
pub struct Setup {
    pub on: On,
    pub documents: Option<String>,
    pub pages_max: Option<u32>,
    /// Whether large bodies are objects, in a directory beside the database.
    pub objects: bool,
    pub bounds: Option<Bounds>,
    /// Certificate and key; the client of a shop does not know them.
    pub tls: Option<(PathBuf, PathBuf)>,
    pub client_ca: Option<PathBuf>,
}

impl Setup {
    pub fn on(on: On) -> Self {
        Setup { on, documents: None, pages_max: None, objects: false, bounds: None, tls: None, client_ca: None }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Setup::on(On::Sqlite)
    }
}

impl Shop {
    pub async fn open() -> Self {
        Shop::on(On::Sqlite).await
    }

    pub async fn on(on: On) -> Self {
        Shop::with(Keys::new(), Setup::on(on)).await
    }

    pub async fn with(keys: Keys, setup: Setup) -> Self {
        Shop::at(Place::new(setup.on), keys, setup).await
    }

    pub async fn at(place: Place, keys: Keys, setup: Setup) -> Self {
        let documents = setup.documents.unwrap_or_else(|| documents(&keys));
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = Options {
            listen: loopback,
            tls: setup.tls,
            client_ca: setup.client_ca,
            metrics_listen: Some(loopback),
            database: database::Options {
                pages_max: setup.pages_max,
                objects: setup.objects.then(|| Objects::open(&objects_url(place.dir.path())).unwrap()),
                ..database::Options::at(place.url.parse().unwrap())
            },
            chains: Chains::parse("chains.yaml", &documents).unwrap(),
            bounds: setup.bounds.unwrap_or_default(),
        };
        let server = Server::open(options).await.unwrap();
        let (address, metrics) = (server.local_addr(), server.metrics_addr().unwrap());
        let stop = CancellationToken::new();
        let served = tokio::spawn(server.run(stop.clone()));
        Shop { keys, address, metrics, http: client(), stop, served, place }
    }

    /// Ends the server and gives back what outlives it.
    pub async fn close(self) -> (Place, Keys) {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
        (self.place, self.keys)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Writes a record; the status, and the reason where there is one.
    pub async fn put(&self, token: &str, record: &Record) -> (u16, String) {
        self.put_as(token, &record.name, record.bytes.clone()).await
    }

    pub async fn put_as(&self, token: &str, name: &str, body: Vec<u8>) -> (u16, String) {
        let request = self.http.put(self.url(&format!("/v1/records/{name}"))).bearer_auth(token).body(body);
        answer(request.send().await.unwrap()).await
    }

    /// Writes the usual layout.
    pub async fn put_layout(&self) -> Record {
        let layout = seal(&layout(&self.keys, FUTURE, ""), &[&self.keys.alice, &self.keys.bob]);
        assert_eq!(self.put(LAPTOP, &layout).await, (201, String::new()));
        layout
    }

    pub async fn evidence(&self, token: Option<&str>, image: &str) -> (u16, Value) {
        let mut request = self.http.get(self.url(&format!("/v1/evidence/{image}")));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// The records' names of an evidence answer.
    pub async fn names(&self, image: &Digest) -> Vec<String> {
        let (status, body) = self.evidence(Some(CLUSTER), &image.to_string()).await;
        assert_eq!(status, 200, "{body}");
        body["records"].as_array().unwrap().iter().map(|r| r["digest"].as_str().unwrap().to_owned()).collect()
    }
}

/// Where large bodies of a database in this directory are.
pub fn objects_url(dir: &std::path::Path) -> String {
    format!("file://{}", dir.join("objects").display())
}

pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Status, and the reason of a problem, whose form is checked here.
pub async fn answer(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    let problem = response.headers().get("content-type").is_some_and(|value| value == "application/problem+json");
    let body: Value = response.json().await.unwrap();
    if status < 400 {
        assert!(!problem);
        return (status, String::new());
    }
    assert!(problem, "{body}");
    assert_eq!(body["status"], status);
    let reason = body["reason"].as_str().unwrap();
    assert_eq!(body["type"], format!("urn:tidewaiter:problem:{reason}"));
    assert!(!body["title"].as_str().unwrap().is_empty() && !body["detail"].as_str().unwrap().is_empty(), "{body}");
    (status, reason.to_owned())
}

pub fn no(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

pub fn yes(status: u16) -> (u16, String) {
    (status, String::new())
}
