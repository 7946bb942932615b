//! A namespace of its own on the shared API server, with what the chart would install there, and replicas of ours in this process.

use crate::apiserver::{self, ApiServer};
use axum::{Json, Router, routing::get, routing::post};
use kube::{
    api::{Api, DynamicObject},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tidewaiter::{
    cluster::{
        Cluster, certificates,
        leader::{Job, Leader, Report, Trust},
        lease::{self, Lease},
        registration::Registration,
    },
    serve::{
        self,
        tls::{Certificates, Source},
    },
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// What the tests wait for at most.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The shortened times of an election.
pub const ELECTION: lease::Times = lease::Times {
    duration: Duration::from_secs(4),
    deadline: Duration::from_secs(3),
    retry: Duration::from_millis(300),
};

/// One API server for the tests that run at the same moment. Cluster addresses are loopback's, so that the API server reaches a
/// Service where no kube-proxy runs: whoever listens there is the Service.
pub fn server() -> Arc<ApiServer> {
    static SHARED: Mutex<Weak<ApiServer>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(ApiServer::start(&["--service-cluster-ip-range", "127.97.0.0/16"]));
        *shared = Arc::downgrade(&server);
        server
    })
}

/// One installation.
pub struct Site {
    pub server: Arc<ApiServer>,
    /// With the rights of the chart's service account.
    pub cluster: Cluster,
    /// As `cluster`, but without the right to watch: it learns late of every change.
    pub late: Cluster,
    pub namespace: String,
    /// Where the Service is.
    pub address: SocketAddr,
    /// `registration.yaml` lies here.
    pub directory: tempfile::TempDir,
    token: String,
}

pub const NAME: &str = "tidewaiter";
pub const SECRET: &str = "tidewaiter-tls";

impl Site {
    /// `namespace` must be another one in every test: cluster-wide objects bear its name.
    pub async fn new(namespace: &str) -> Self {
        let server = tokio::task::spawn_blocking(server).await.unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let objects = OBJECTS.replace("NAMESPACE", namespace).replace("PORT", &port.to_string());
        apply(&server, &objects);
        let read = |arguments: &[&str]| {
            let output = server.kubectl().args(arguments).args(["-n", namespace]).output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let ip = read(&["get", "service", NAME, "-o", "jsonpath={.spec.clusterIP}"]);
        let token = read(&["create", "token", NAME]);
        let cluster = Cluster { client: client(&server.url, &token).await, namespace: namespace.to_owned() };
        let late = read(&["create", "token", "late"]);
        let late = Cluster { client: client(&server.url, &late).await, namespace: namespace.to_owned() };
        let address = SocketAddr::new(ip.parse().unwrap(), port);
        let site = Site {
            server,
            cluster,
            late,
            namespace: namespace.to_owned(),
            address,
            directory: tempfile::tempdir().unwrap(),
            token,
        };
        site.register(&["CREATE"]);
        site
    }

    /// As the service account, by another address.
    pub async fn cluster_at(&self, url: &str) -> Cluster {
        Cluster { client: client(url, &self.token).await, namespace: self.namespace.clone() }
    }

    /// Writes `registration.yaml`: every ConfigMap of the namespace is asked about at these operations.
    pub fn register(&self, operations: &[&str]) {
        self.register_as("validate.tidewaiter.dev", operations);
    }

    /// With another name for the validating webhook.
    pub fn register_as(&self, name: &str, operations: &[&str]) {
        let webhook = |kind: &str, name: &str, path: &str| {
            format!(
                "apiVersion: admissionregistration.k8s.io/v1\nkind: {kind}\nmetadata: {{ name: {namespace} }}\nwebhooks:\n\
                 - name: {name}\n  clientConfig: {{ service: {{ namespace: {namespace}, name: {NAME}, path: {path}, port: {port} }} }}\n  \
                 rules: [{{ apiGroups: [\"\"], apiVersions: [v1], operations: {operations:?}, resources: [configmaps] }}]\n  \
                 namespaceSelector: {{ matchLabels: {{ kubernetes.io/metadata.name: {namespace} }} }}\n  \
                 failurePolicy: Fail\n  sideEffects: None\n  admissionReviewVersions: [v1]\n  timeoutSeconds: 10\n",
                namespace = self.namespace,
                port = self.address.port(),
            )
        };
        let text = [
            webhook("ValidatingWebhookConfiguration", name, "/validate"),
            webhook("MutatingWebhookConfiguration", "pin.tidewaiter.dev", "/mutate"),
        ];
        std::fs::write(self.directory.path().join("registration.yaml"), text.join("---\n")).unwrap();
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.server.kubectl().args(arguments).args(["-n", &self.namespace]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whoever creates workloads: the administrator.
    pub async fn admin(&self) -> kube::Client {
        client(&self.server.url, apiserver::ADMIN.0).await
    }

    pub async fn configuration(&self, kind: &str) -> Value {
        let resource = match kind {
            "validating" => kube::api::ApiResource::erase::<Validating>(&()),
            _ => kube::api::ApiResource::erase::<
                k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration,
            >(&()),
        };
        let api: Api<DynamicObject> = Api::all_with(self.cluster.client.clone(), &resource);
        serde_json::to_value(api.get(&self.namespace).await.unwrap()).unwrap()
    }

    pub fn secrets(&self) -> Api<k8s_openapi::api::core::v1::Secret> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// A key of the Secret, as text.
    pub async fn stored(&self, key: &str) -> String {
        let secret = self.secrets().get_opt(SECRET).await.unwrap();
        let data = secret.and_then(|secret| secret.data).unwrap_or_default();
        data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned()).unwrap_or_default()
    }
}

pub type Validating = k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;

async fn client(url: &str, token: &str) -> kube::Client {
    let kubeconfig = Kubeconfig::from_yaml(&apiserver::config(url, token)).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

fn apply(server: &ApiServer, objects: &str) {
    let mut child =
        server.kubectl().args(["apply", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), objects.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// One replica: it serves, it wants to lead, and it does what a leader does.
pub struct Replica {
    pub address: SocketAddr,
    pub certificates: Certificates,
    pub ready: Arc<AtomicBool>,
    pub report: Arc<Report>,
    pub reviews: Arc<AtomicUsize>,
    /// Rounds that it led.
    pub rounds: Arc<AtomicUsize>,
    pub leads: watch::Receiver<bool>,
    /// Ends leadership alone, as a SIGTERM would; the listener goes on.
    pub resign: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}
impl Drop for Replica {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Replica {
    pub async fn start(site: &Site, identity: &str, listen: SocketAddr, times: certificates::Times) -> Self {
        Self::start_as(site, &site.cluster, identity, listen, times).await
    }

    /// With the rights of `cluster`.
    pub async fn start_as(
        site: &Site,
        cluster: &Cluster,
        identity: &str,
        listen: SocketAddr,
        times: certificates::Times,
    ) -> Self {
        let names = certificates::names(NAME, &site.namespace);
        let kept = certificates::open(cluster, SECRET, names, times, CancellationToken::new()).await.unwrap();
        Self::start_with(site, cluster, identity, listen, kept.certificates(), Trust::Made(kept)).await
    }

    /// With a pair from elsewhere.
    pub async fn start_with(
        site: &Site,
        cluster: &Cluster,
        identity: &str,
        listen: SocketAddr,
        certificates: Certificates,
        trust: Trust,
    ) -> Self {
        let stop = CancellationToken::new();
        let ready = Arc::new(AtomicBool::new(true));
        let (reviews, rounds, report) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(Report::default()));
        let tls = Some(Source::Held(certificates.clone()));
        let options = serve::Options { listen, tls, connections_max: 256, drain: Duration::ZERO };
        let bound = serve::bind(options).await.unwrap();
        let address = bound.local_addr();
        let router = router(Arc::clone(&ready), Arc::clone(&reviews));
        let resign = CancellationToken::new();
        let (leading, leads) = watch::channel(false);
        let lease = Lease::with_times(cluster, NAME, identity, ELECTION);
        let (asked, counted) = (Arc::clone(&ready), Arc::clone(&rounds));
        let job = move || {
            counted.fetch_add(1, Relaxed);
            async { Ok(()) }
        };
        let leader = Leader {
            trust,
            registration: Some(Registration::new(cluster.clone(), site.directory.path())),
            ready: Box::new(move || asked.load(Relaxed)),
            jobs: vec![Job::new("count", job)],
            period: Duration::from_millis(250),
            report: Arc::clone(&report),
        };
        let tasks = vec![
            tokio::spawn(async move { bound.run(router, stop).await.unwrap() }),
            tokio::spawn(lease.hold(leading, resign.clone())),
            tokio::spawn(leader.run(leads.clone(), resign.clone())),
        ];
        Replica { address, certificates, ready, report, reviews, rounds, leads, resign, tasks }
    }
}

/// Says yes to every review, and counts them.
fn router(ready: Arc<AtomicBool>, reviews: Arc<AtomicUsize>) -> Router {
    let review = move |Json(review): Json<Value>| {
        reviews.fetch_add(1, Relaxed);
        let uid = review["request"]["uid"].clone();
        let response = json!({ "uid": uid, "allowed": true });
        async move { Json(json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response })) }
    };
    let readyz = move || {
        let ready = ready.load(Relaxed);
        async move {
            if ready {
                (axum::http::StatusCode::OK, "ok")
            } else {
                (axum::http::StatusCode::SERVICE_UNAVAILABLE, "not yet")
            }
        }
    };
    Router::new().route("/readyz", get(readyz)).route("/validate", post(review.clone())).route("/mutate", post(review))
}

/// Waits until `done` says so.
pub async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done().await {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the chart installs, as far as it concerns a leader: its rights and nothing more.
const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: { name: NAMESPACE }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: tidewaiter, namespace: NAMESPACE }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: late, namespace: NAMESPACE }
---
apiVersion: v1
kind: Service
metadata: { name: tidewaiter, namespace: NAMESPACE }
spec: { ports: [{ port: PORT, targetPort: 8443 }] }
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: { name: NAMESPACE }
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: { name: NAMESPACE }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: NAMESPACE }
rules:
- { apiGroups: [admissionregistration.k8s.io], resources: [validatingwebhookconfigurations, mutatingwebhookconfigurations], resourceNames: [NAMESPACE], verbs: [get, patch] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: NAMESPACE }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAMESPACE }
subjects: [{ kind: ServiceAccount, name: tidewaiter, namespace: NAMESPACE }, { kind: ServiceAccount, name: late, namespace: NAMESPACE }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: tidewaiter, namespace: NAMESPACE }
rules:
- { apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create] }
- { apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [tidewaiter], verbs: [get, update, patch] }
- { apiGroups: [""], resources: [secrets], verbs: [create] }
- { apiGroups: [""], resources: [secrets], resourceNames: [tidewaiter-tls], verbs: [get, update, patch, watch, list] }
- { apiGroups: [""], resources: [services], resourceNames: [tidewaiter], verbs: [get] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: tidewaiter, namespace: NAMESPACE }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: tidewaiter }
subjects: [{ kind: ServiceAccount, name: tidewaiter, namespace: NAMESPACE }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: late, namespace: NAMESPACE }
rules:
- { apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [tidewaiter], verbs: [get, update, patch] }
- { apiGroups: [""], resources: [secrets], resourceNames: [tidewaiter-tls], verbs: [get, update, patch] }
- { apiGroups: [""], resources: [secrets], verbs: [create] }
- { apiGroups: [""], resources: [services], resourceNames: [tidewaiter], verbs: [get] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: late, namespace: NAMESPACE }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: late }
subjects: [{ kind: ServiceAccount, name: late, namespace: NAMESPACE }]
"#;
