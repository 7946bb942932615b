//! The registry, the API server and the judge between them.

use crate::{
    hostile::{Act, Double, Pki, Seen, answer},
    world::World,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tidewaiter::{
    cluster::pull_secrets::PullSecrets,
    policy::{Decision, PolicySet, Unmatched, Workload, WorkloadImage},
    reason::Reason,
    registry::{HostConfig, Limits, Lookup, Registries},
    resource,
    source::Sources,
    webhook::Judge,
};

pub const USER: &str = "robot";
pub const PASSWORD: &str = "hunter2-hunter2";
/// Long enough for no test to see it pass.
pub const KEPT: Duration = Duration::from_secs(600);

/// Path → status and body.
type Objects = Arc<Mutex<BTreeMap<String, (u16, Value)>>>;

/// An API server that knows some objects.
pub struct Api {
    pub double: Double,
    objects: Objects,
}

impl Api {
    pub async fn start() -> Self {
        let objects = Objects::default();
        let known = Arc::clone(&objects);
        let double = Double::plain(move |seen| {
            let missing = || (404, json!({"kind": "Status", "status": "Failure", "code": 404}));
            let (status, body) = known.lock().unwrap().get(seen.path()).cloned().unwrap_or_else(missing);
            answer(status, &[("Content-Type", "application/json")], body.to_string().as_bytes())
        });
        Api { double: double.await, objects }
    }

    pub fn client(&self) -> kube::Client {
        let url = format!("http://127.0.0.1:{}", self.double.port).parse().unwrap();
        kube::Client::try_from(kube::Config::new(url)).unwrap()
    }

    pub fn put(&self, path: &str, status: u16, body: Value) {
        self.objects.lock().unwrap().insert(path.to_owned(), (status, body));
    }

    /// A Secret of one value.
    pub fn secret(&self, namespace: &str, name: &str, kind: &str, key: &str, text: &str) {
        static VERSION: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
        let version = VERSION.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
        let object = json!({"kind": "Secret", "metadata": {"name": name, "uid": name, "resourceVersion": version}, "type": kind,
            "data": {key: STANDARD.encode(text)}});
        self.put(&format!("/api/v1/namespaces/{namespace}/secrets/{name}"), 200, object);
    }

    /// A pull secret for these hosts.
    pub fn pull_secret(&self, namespace: &str, name: &str, hosts: &[&str], password: &str) {
        let auths: BTreeMap<_, _> =
            hosts.iter().map(|host| (*host, json!({"username": USER, "password": password}))).collect();
        let text = json!({ "auths": auths }).to_string();
        self.secret(namespace, name, "kubernetes.io/dockerconfigjson", ".dockerconfigjson", &text);
    }

    pub fn service_account(&self, namespace: &str, name: &str, secrets: &[&str]) {
        let secrets: Vec<Value> = secrets.iter().map(|name| json!({ "name": name })).collect();
        let object = json!({"kind": "ServiceAccount", "metadata": {"name": name}, "imagePullSecrets": secrets});
        self.put(&format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}"), 200, object);
    }

    /// What it was asked for, in order. Only GETs, each of one object by its name, and without options.
    pub fn asked(&self) -> Vec<String> {
        let asked = self.double.seen().into_iter().map(|seen| {
            assert_eq!(seen.method, "GET", "{seen:?}");
            assert_eq!(seen.target.matches('/').count(), 6, "a list was asked for: {}", seen.target);
            assert!(!seen.target.contains('?') && !seen.target.ends_with('/'), "{}", seen.target);
            seen.target.trim_start_matches("/api/v1/namespaces/").to_owned()
        });
        asked.collect()
    }
}

/// Everything; the registry is `registry.test` on a port of its own, and shows nothing without a password that it knows.
pub struct Site {
    pub world: World,
    pub host: String,
    pub registry: Double,
    pub passwords: Arc<Mutex<BTreeSet<String>>>,
    pub api: Api,
    pub judge: Judge,
    pub set: Arc<PolicySet>,
}

/// Whether the request was let in → what is done instead of the honest thing.
type Does = dyn Fn(&Seen, bool) -> Option<Vec<Act>> + Send + Sync;

/// What a site may be made with.
pub struct Made {
    pub pki: Pki,
    /// What the operator says of the registry, beside its name, address and CA.
    pub rules: HostConfig,
    /// Another answer than the honest one, to whoever is let in or not.
    pub does: Arc<Does>,
    pub kept: Duration,
}
impl Default for Made {
    fn default() -> Self {
        Made { pki: Pki::new(), rules: HostConfig::default(), does: Arc::new(|_, _| None), kept: KEPT }
    }
}

impl Site {
    pub async fn new() -> Self {
        Self::made(Made::default()).await
    }

    pub async fn made(made: Made) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("registry.test:{}", listener.local_addr().unwrap().port());
        let mut world = World::at(&host);
        world.image("good");
        world.sign("good", "release");
        world.image("unsigned");
        let passwords = Arc::new(Mutex::new(BTreeSet::from([PASSWORD.to_owned()])));
        let (known, shelf) = (Arc::clone(&passwords), world.layout_dir());
        let registry = Double::serve(listener, Some(made.pki.acceptor()), move |seen| {
            let basic = |password: &String| format!("Basic {}", STANDARD.encode(format!("{USER}:{password}")));
            let let_in =
                known.lock().unwrap().iter().any(|it| seen.header("authorization") == Some(basic(it).as_str()));
            match (made.does)(seen, let_in) {
                Some(acts) => acts,
                None if let_in => honest(&shelf, seen),
                None => answer(401, &[("WWW-Authenticate", "Basic realm=\"shop\"")], b"{}"),
            }
        });
        let rules = HostConfig {
            host: host.clone(),
            allow_private: true,
            ca_bundle: Some(made.pki.ca.clone()),
            ..made.rules.clone()
        };
        let lookup = Lookup::new(|_| Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) }));
        let mut hosts = vec![rules.clone()];
        // Mirrors are reached by the same CA, so that nothing but our own rules keeps a credential from them.
        hosts.extend(rules.mirrors.iter().map(|mirror| HostConfig {
            host: mirror.clone(),
            mirrors: Vec::new(),
            ..rules.clone()
        }));
        let registries = Arc::new(Registries::with(hosts, None, Limits::default(), lookup).unwrap());
        let api = Api::start().await;
        let secrets = Arc::new(PullSecrets::keeping(api.client(), made.kept));
        let judge = Judge::new(Sources { registries, store: None }).with_pull_secrets(secrets);
        let policy = json!({"digest": "Pin", "require": {"all": [
            {"name": "released", "signature": {"cosign": {"trust": "release-keys"}}}]}});
        let documents: Vec<String> = world.documents(policy).iter().map(Value::to_string).collect();
        let parsed = resource::parse_numbered("world.yaml", &documents.join("\n---\n")).unwrap();
        let parsed: Vec<_> = parsed.into_iter().map(|(number, it)| ("world.yaml".to_owned(), number, it)).collect();
        let set = Arc::new(PolicySet::compile(&parsed, Unmatched::Allow).unwrap());
        Site { world, host, registry, passwords, api, judge, set }
    }

    /// A Pod of one container.
    pub fn pod(&self, namespace: &str, image: &str, pull_secrets: &[&str]) -> Workload {
        let image = WorkloadImage { field: "spec.containers[0].image".into(), image: image.into(), ..image_default() };
        Workload {
            namespace: namespace.into(),
            kind: "Pod".into(),
            images: vec![image],
            is_pod: true,
            pull_secrets: pull_secrets.iter().map(|name| (*name).to_owned()).collect(),
            ..Workload::default()
        }
    }

    pub async fn judge(&self, workload: &Workload) -> Decision {
        self.judge.judge(&self.set, workload, None, soon(), jiff::Timestamp::now()).await
    }

    /// The good image, in a Pod of this namespace with these pull secrets.
    pub async fn good(&self, namespace: &str, pull_secrets: &[&str]) -> Result<(), Reason> {
        outcome(&self.judge(&self.pod(namespace, &self.world.images["good"].pinned(), pull_secrets)).await)
    }

    /// The passwords that the registry was told, in order.
    pub fn told(&self) -> Vec<String> {
        let told = self.registry.seen().into_iter().filter_map(|seen| {
            let pair = STANDARD.decode(seen.header("authorization")?.strip_prefix("Basic ")?).unwrap();
            Some(String::from_utf8(pair).unwrap().split_once(':').unwrap().1.to_owned())
        });
        let mut told: Vec<String> = told.collect();
        told.dedup();
        told
    }
}

pub fn image_default() -> WorkloadImage {
    WorkloadImage { field: String::new(), name: "api".into(), image: String::new(), unchanged: false }
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub fn outcome(decision: &Decision) -> Result<(), Reason> {
    if decision.allowed { Ok(()) } else { Err(decision.reason().expect("a reason")) }
}

/// The layout directory over http, without the referrers API.
fn honest(shelf: &Path, seen: &Seen) -> Vec<Act> {
    let none = || answer(404, &[], b"{}");
    let bytes = |digest: &str| fs::read(shelf.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))).ok();
    let Some((place, name)) = seen.path().rsplit_once('/') else { return none() };
    if place.ends_with("/blobs") {
        return bytes(name).map_or_else(none, |bytes| answer(200, &[], &bytes));
    }
    let Some(repository) = place.strip_prefix("/v2/").and_then(|rest| rest.strip_suffix("/manifests")) else {
        return none();
    };
    let index: Value = serde_json::from_slice(&fs::read(shelf.join("index.json")).unwrap()).unwrap();
    let wanted = format!("/{repository}:{name}");
    let named = index["manifests"].as_array().unwrap().iter().find(|entry| {
        entry["annotations"]["org.opencontainers.image.ref.name"].as_str().is_some_and(|it| it.ends_with(&wanted))
    });
    let digest = named.map_or(name, |entry| entry["digest"].as_str().unwrap());
    let manifest = bytes(digest).filter(|bytes| bytes.starts_with(b"{"));
    let headers = [("Content-Type", "application/vnd.oci.image.manifest.v1+json")];
    manifest.map_or_else(none, |bytes| answer(200, &headers, &bytes))
}
