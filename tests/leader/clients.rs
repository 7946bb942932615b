//! Steady requests while certificates change: the API server's own, and those of a client that trusts what the configuration says.

use crate::site::{NAME, Site};
use base64::Engine;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long an API server may go on with what a configuration said before; shorter than the tests' `settle`.
const LATE: Duration = Duration::from_secs(2);

/// Clients that go on until they are asked for their count.
pub struct Clients {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<Vec<String>>>,
    done: Arc<AtomicUsize>,
}

impl Clients {
    /// One creates objects through the API server. Two call the replicas themselves, on a connection for every call: one with
    /// the bundle of this moment, one with a bundle that is up to `LATE` old.
    /// `replicas`: all of them are called in turn, whichever the Service would choose.
    pub async fn start(site: &Site, replicas: &[SocketAddr]) -> Self {
        let (stop, done) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let admin = site.admin().await;
        let api: Api<ConfigMap> = Api::namespaced(admin.clone(), &site.namespace);
        let (halt, counted) = (stop.clone(), Arc::clone(&done));
        let creates = async move {
            let parameters = PostParams { dry_run: true, ..PostParams::default() };
            let mut object = ConfigMap::default();
            object.metadata.name = Some("steady".into());
            let mut failed = Vec::new();
            while !halt.is_cancelled() {
                failed.extend(api.create(&parameters, &object).await.err().map(|error| format!("API server: {error}")));
                counted.fetch_add(1, Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            failed
        };
        let mut tasks = vec![tokio::spawn(creates)];
        for late in [Duration::from_millis(20), LATE] {
            let api: Api<crate::site::Validating> = Api::all(admin.clone());
            let (halt, counted, replicas) = (stop.clone(), Arc::clone(&done), replicas.to_vec());
            let (host, namespace) = (format!("{NAME}.{}.svc", site.namespace), site.namespace.clone());
            tasks.push(tokio::spawn(async move {
                let mut failed = Vec::new();
                while !halt.is_cancelled() {
                    let bundle = bundle(&api.get(&namespace).await.unwrap());
                    let read = Instant::now();
                    // At least one call, and calls until the bundle is as old as it may be.
                    loop {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        for address in &replicas {
                            let error = call(&host, *address, &bundle).await.err();
                            failed.extend(error.map(|error| format!("{address}, {late:?} late: {error:?}")));
                            counted.fetch_add(1, Relaxed);
                        }
                        if halt.is_cancelled() || read.elapsed() >= late {
                            break;
                        }
                    }
                }
                failed
            }));
        }
        Clients { stop, tasks, done }
    }

    /// Ends them: none of their requests has failed, and there were some.
    pub async fn none_failed(self) {
        self.stop.cancel();
        for task in self.tasks {
            let failed = task.await.unwrap();
            assert!(failed.is_empty(), "{} failed, the first: {}", failed.len(), failed[0]);
        }
        assert!(self.done.load(Relaxed) > 20, "hardly a request was made");
    }
}

fn bundle(configuration: &crate::site::Validating) -> Vec<u8> {
    let webhook = configuration.webhooks.as_ref().and_then(|webhooks| webhooks.first()).expect("registered");
    webhook.client_config.ca_bundle.clone().expect("a bundle").0
}

/// One request on a connection of its own, trusting the bundle alone.
pub async fn call(host: &str, address: SocketAddr, bundle: &[u8]) -> Result<u16, reqwest::Error> {
    let client = reqwest::Client::builder()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(bundle)?)
        .resolve(host, address)
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()?;
    Ok(client.get(format!("https://{host}:{}/readyz", address.port())).send().await?.status().as_u16())
}

/// The text as the API server keeps it.
pub fn encoded(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}
