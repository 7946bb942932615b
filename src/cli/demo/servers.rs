//! The demonstration's servers, all on loopback: the metadata store, and the webhook over TLS under an authority of its own.

use super::{keys::Keys, pipeline::REPOSITORY};
use crate::{
    digest::Digest,
    file,
    policy::Unmatched,
    serve,
    server::{Bounds, Chains, Options, Server},
    source::store::{self, StoreClient},
    store::{Location, database},
    webhook::{
        config::Directory,
        http::{self, Webhook},
        metrics::Metrics,
        policies::Settings,
    },
};
use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// A port the kernel chooses.
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The documents of policies and store, and the tokens of those who write and read.
pub fn write_documents(directory: &Path, keys: &Keys) -> anyhow::Result<()> {
    let pem = |key: &crate::key::SecretKey| serde_json::Value::from(key.public().to_pem()).to_string();
    let token = |name: &str| -> anyhow::Result<String> {
        let mut random = [0u8; 32];
        aws_lc_rs::rand::fill(&mut random)?;
        let token = hex::encode(random);
        std::fs::create_dir_all(directory.join("tokens"))?;
        file::write_new(&directory.join("tokens").join(name), token.as_bytes(), 0o600)?;
        Ok(Digest::sha256(token.as_bytes()).to_string())
    };
    let registry = directory.join("registry");
    super::image::create(&registry)?;
    let text = format!(
        r#"apiVersion: tidewaiter.dev/v1alpha1
kind: ClusterImagePolicy
metadata: {{ name: shop }}
spec:
  images: ["registry.example.com/shop/**"]
  mode: Enforce
  digest: Pin
  require:
    all:
      - name: released
        signature: {{ cosign: {{ trust: release-keys }} }}
      - name: built-by-us
        supplyChain:
          layout: {{ owners: shop-owners, threshold: 2 }}
          evidence: [oci, store]
---
apiVersion: tidewaiter.dev/v1alpha1
kind: TrustRoot
metadata: {{ name: shop-owners }}
spec:
  keys:
    - {{ name: alice, pem: {alice} }}
    - {{ name: bob, pem: {bob} }}
---
apiVersion: tidewaiter.dev/v1alpha1
kind: TrustRoot
metadata: {{ name: release-keys }}
spec:
  keys:
    - {{ name: release, pem: {release} }}
---
apiVersion: tidewaiter.dev/v1alpha1
kind: RegistryConfig
metadata: {{ name: demo }}
spec:
  host: registry.example.com
  ociLayout: {registry}
---
apiVersion: tidewaiter.dev/v1alpha1
kind: Chain
metadata: {{ name: shop-api }}
spec:
  owners: {{ trust: shop-owners, threshold: 2 }}
  images: ["{REPOSITORY}"]
  writers:
    - {{ name: ci, tokenHash: "{writer}", steps: ["*"], kinds: [layout, link] }}
  readers:
    - {{ name: webhook, tokenHash: "{reader}" }}
"#,
        alice = pem(&keys.alice),
        bob = pem(&keys.bob),
        release = pem(&keys.release),
        registry = serde_json::Value::from(registry.to_str().context("the temporary directory is not UTF-8")?),
        writer = token("writer")?,
        reader = token("reader")?,
    );
    std::fs::create_dir_all(directory.join("policy"))?;
    file::write(&directory.join("policy/shop.yaml"), text.as_bytes())
}

/// Both servers, running.
pub struct Servers {
    store_address: SocketAddr,
    /// The store has a runtime of its own, with which it can be ended as a process is: connections and all.
    store: Option<Runtime>,
    webhook: Option<(SocketAddr, JoinHandle<anyhow::Result<()>>)>,
    client: reqwest::Client,
    token_file: PathBuf,
    reader_token: PathBuf,
}

impl Servers {
    /// Starts the store on the documents, and the webhook that reads from it.
    pub async fn start(directory: &Path) -> anyhow::Result<Self> {
        let options = Options {
            listen: LOOPBACK,
            tls: None,
            client_ca: None,
            metrics_listen: None,
            database: database::Options::at(Location::Sqlite(directory.join("store.db"))),
            chains: Chains::read(&directory.join("policy"))?,
            bounds: Bounds::default(),
        };
        // From here on `drop` ends it, whatever fails.
        let mut servers = Servers {
            store_address: LOOPBACK,
            store: None,
            webhook: None,
            client: client(directory)?,
            token_file: directory.join("tokens/writer"),
            reader_token: directory.join("tokens/reader"),
        };
        let (store, server) = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
            let store = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            let server = store.block_on(Server::open(options))?;
            Ok((store, server))
        })
        .await??;
        servers.store_address = server.local_addr();
        // Ends with its runtime.
        servers.store.insert(store).spawn(server.run(CancellationToken::new()));
        servers.webhook = Some(webhook(directory, servers.store_address).await?);
        Ok(servers)
    }

    /// The store as a recorder sends to it.
    pub fn store(&self) -> crate::capture::upload::Store {
        crate::capture::upload::Store {
            url: self.store_url(),
            credential: crate::capture::upload::Credential::File(self.token_file.clone()),
            ca_file: None,
        }
    }
    pub fn store_url(&self) -> String {
        format!("http://{}", self.store_address)
    }
    pub fn webhook_url(&self) -> String {
        format!("https://localhost:{}", self.webhook.as_ref().map_or(0, |(address, _)| address.port()))
    }

    /// Posts a review, as the API server would; the answer.
    pub async fn review(&self, review: &serde_json::Value) -> anyhow::Result<serde_json::Value> {
        let url = format!("{}/validate?timeout=10s", self.webhook_url());
        let response = self.client.post(&url).json(review).send().await.context("post the review")?;
        anyhow::ensure!(response.status().is_success(), "the webhook answered {}", response.status());
        Ok(response.json().await?)
    }

    /// What the store has of an image, asked for by its digest as an auditor would: one line.
    pub async fn evidence(&self, image: &Digest) -> anyhow::Result<String> {
        let token = std::fs::read_to_string(&self.reader_token)?;
        let url = format!("{}/v1/evidence/{image}", self.store_url());
        let response = self.client.get(&url).bearer_auth(token.trim()).send().await.context("ask the store")?;
        anyhow::ensure!(response.status().is_success(), "the store answered {}", response.status());
        let found: serde_json::Value = response.json().await?;
        let records = found["records"].as_array().map(Vec::as_slice).unwrap_or_default();
        let what = records.iter().map(|record| match record["step"].as_str() {
            Some(step) => format!("{} of {step}", record["kind"].as_str().unwrap_or_default()),
            None => record["kind"].as_str().unwrap_or_default().to_owned(),
        });
        let short: String = image.hex().chars().take(12).collect();
        Ok(format!("of sha256:{short}…, by its digest from the store: {}", what.collect::<Vec<_>>().join(", ")))
    }

    /// The store is gone from one moment to the next: no drain.
    pub fn kill_store(&mut self) {
        if let Some(runtime) = self.store.take() {
            runtime.shutdown_background();
        }
    }
}
impl Drop for Servers {
    fn drop(&mut self) {
        self.kill_store();
        if let Some((_, webhook)) = &self.webhook {
            webhook.abort();
        }
    }
}

/// Trusts the demonstration's own authority and nobody else.
fn client(directory: &Path) -> anyhow::Result<reqwest::Client> {
    let tls = directory.join("tls");
    write_certificates(&tls)?;
    let ca = std::fs::read(tls.join("ca.crt"))?;
    Ok(reqwest::Client::builder()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(&ca)?)
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()?)
}

async fn webhook(directory: &Path, store: SocketAddr) -> anyhow::Result<(SocketAddr, JoinHandle<anyhow::Result<()>>)> {
    let tls = directory.join("tls");
    let token = std::fs::read_to_string(directory.join("tokens/reader"))?;
    let store = StoreClient::new(&store::Options {
        url: format!("http://{store}"),
        token: Some(token),
        ca_file: None,
        timeout: Duration::from_secs(5),
    })?;
    let settings =
        Settings { unmatched: Unmatched::Deny, audit_only: false, store: Some(Arc::new(store)), docker_config: None };
    let path = directory.join("policy");
    let policies = tokio::task::spawn_blocking(move || Directory::open(path, settings).policies()).await?;
    policies.current().map_err(|fault| anyhow::anyhow!("the policies are not loaded: {fault}"))?;
    let bound = serve::bind(serve::Options {
        listen: LOOPBACK,
        tls: Some((tls.join("tls.crt"), tls.join("tls.key")).into()),
        connections_max: 64,
        drain: Duration::ZERO,
    })
    .await?;
    let address = bound.local_addr();
    let stop = CancellationToken::new();
    let webhook = Webhook::new(policies, Arc::new(Metrics::new()?), http::REVIEWS_MAX, stop.clone());
    let router = webhook.router();
    Ok((address, tokio::spawn(bound.run(router, stop))))
}

/// An authority, and a certificate of `localhost` by it.
fn write_certificates(directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &authority)?;
    file::write(&directory.join("ca.crt"), authority.pem().as_bytes())?;
    file::write(&directory.join("tls.crt"), certificate.pem().as_bytes())?;
    file::write_new(&directory.join("tls.key"), key.serialize_pem().as_bytes(), 0o600)
}
