//! The metadata store's HTTP face (docs/store.md): who may write and read, what is admitted, and the answers.
//!
//! Nothing a client sends is kept before its signatures were verified against the chain's owners or its layouts, and
//! nothing a store answers is believed by those who read it. Where records lie is `store`'s business.

pub mod access;
pub mod admit;
pub mod auth;
pub mod body;
pub mod budget;
pub mod chains;
pub mod clock;
pub mod desk;
pub mod evidence;
pub mod graph;
pub mod http;
pub mod lists;
pub mod metrics;
pub mod openapi;
pub mod parameters;
pub mod problem;
pub mod publisher;
pub mod quarantine;
pub mod question;
pub mod record;
pub mod records;
pub mod retention;
pub mod search;
pub mod sight;
pub mod stream;
pub mod verdicts;
pub mod views;

pub use self::{body::Pace, budget::Rates, chains::Chains, http::Bounds};

use self::publisher::Publisher;
use crate::{
    serve,
    store::{Database, Metadata as _, database},
};
use anyhow::{Context as _, bail};
use jiff::SignedDuration;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Connections at once; each may have several requests, which `Bounds` limits.
const CONNECTIONS_MAX: usize = 512;
const DRAIN: Duration = Duration::from_secs(10);

/// A server to be.
#[derive(Clone, Debug)]
pub struct Options {
    pub listen: SocketAddr,
    /// Certificate and key, PEM; `None`: plain http.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Authorities of client certificates, PEM; `None`: nobody is asked for one. Only with `tls`.
    pub client_ca: Option<PathBuf>,
    /// Metrics and health, plain http.
    pub metrics_listen: Option<SocketAddr>,
    pub database: database::Options,
    pub chains: Chains,
    pub bounds: Bounds,
}

/// A server whose ports are open and whose database is ready.
pub struct Server {
    api: serve::Bound,
    operations: Option<serve::Bound>,
    app: Arc<http::App>,
    publisher: Option<Publisher>,
    keep_verdicts: Option<SignedDuration>,
    broken: CancellationToken,
}

impl Server {
    /// Opens database and ports. The database's tables are made or brought up to date.
    pub async fn open(options: Options) -> anyhow::Result<Self> {
        let database = options.database.location.to_string();
        let store = Database::open(options.database).await.with_context(|| format!("database {database}"))?;
        let broken = store.broken();
        let mut ids = Vec::new();
        for (_, rules) in options.chains.iter() {
            ids.push(store.chain(&rules.name).await.with_context(|| format!("chain \"{}\"", rules.name))?);
        }
        let store = Arc::new(store);
        let app = http::App::new(options.chains, ids, store, metrics::Metrics::new()?, options.bounds);
        let bind =
            |listen, tls| serve::bind(serve::Options { listen, tls, connections_max: CONNECTIONS_MAX, drain: DRAIN });
        let mut api = bind(options.listen, options.tls.map(Into::into))
            .await
            .with_context(|| format!("listen on {}", options.listen))?;
        if let Some(authorities) = options.client_ca {
            api = api.ask_clients(&authorities)?;
        }
        let operations = match options.metrics_listen {
            Some(listen) => Some(bind(listen, None).await.with_context(|| format!("listen on {listen}"))?),
            None => None,
        };
        Ok(Server { api, operations, app, publisher: None, keep_verdicts: None, broken })
    }

    /// Publishes evidence as well, of the chains that say so.
    pub fn publishing(self, options: publisher::Options) -> Self {
        let (store, chains) = (self.app.database.clone(), self.app.chains.clone());
        let publications = self.app.metrics.publications.clone();
        let publisher = Publisher::new(store, chains, &self.app.ids, options, publications);
        Server { publisher: Some(publisher), ..self }
    }

    /// Forgets verdicts that came longer ago.
    pub fn keeping_verdicts(self, keep: SignedDuration) -> Self {
        Server { keep_verdicts: Some(keep), ..self }
    }

    /// Where the API listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.api.local_addr()
    }

    /// Where metrics and health listen.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.operations.as_ref().map(serve::Bound::local_addr)
    }

    /// Serves until `stop`, then drains. An error when the disk failed under a write: what is durable is then found out by
    /// starting anew (security §4.3 F9).
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let (broken, watched, stopping) = (self.broken, stop.clone(), self.app.stopping.clone());
        let failed = broken.clone();
        // Ends with the server: `stop` is cancelled below.
        let watch = tokio::spawn(async move {
            tokio::select! {
                () = broken.cancelled() => watched.cancel(),
                () = watched.cancelled() => {}
            }
            // Those who wait for records go home, so that the drain is short.
            stopping.cancel();
        });
        let publishing = self.publisher.map(|publisher| tokio::spawn(publisher.run(stop.clone())));
        let forgetting =
            self.keep_verdicts.map(|keep| tokio::spawn(retention::run(self.app.clone(), keep, stop.clone())));
        let releases = tokio::spawn(quarantine::run(self.app.clone(), stop.clone()));
        let api = self.api.run(http::api(self.app.clone()), stop.clone());
        let served = match self.operations {
            Some(operations) => {
                let operations = operations.run(http::operations(self.app), stop.clone());
                tokio::try_join!(api, operations).map(|_| ())
            }
            None => api.await,
        };
        stop.cancel();
        watch.await.context("the watch over the database")?;
        if let Some(publishing) = publishing {
            publishing.await.context("publishing")?;
        }
        if let Some(forgetting) = forgetting {
            forgetting.await.context("forgetting verdicts")?;
        }
        releases.await.context("the releases from quarantine")?;
        served?;
        if failed.is_cancelled() {
            bail!("the database could not be written");
        }
        Ok(())
    }
}
