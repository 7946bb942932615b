//! The webhook in a cluster: what is watched, what is told, and what the leader of the replicas does.

use crate::{
    cluster::{
        Cluster,
        certificates::{self, Kept},
        events::Events,
        leader::{self, Leader, Trust},
        lease::Lease,
        registration::Registration,
        status,
    },
    webhook::{
        http::{Tellers, Webhook},
        metrics::Metrics,
        policies::Settings,
        watched::Watched,
    },
};
use std::{path::PathBuf, sync::Arc};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Where in a cluster we are.
pub struct Place {
    pub namespace: Option<String>,
    pub service: String,
    pub registration: Option<PathBuf>,
    pub tls_secret: Option<String>,
    pub pull_secrets: bool,
}

impl Place {
    /// The serving certificate of our own making, where we are to make one. Waits for the API server.
    ///
    /// # Errors
    /// There is no way to a cluster, or the Secret cannot be had.
    pub async fn certificate(&self, stop: &CancellationToken) -> anyhow::Result<Option<Kept>> {
        let Some(secret) = &self.tls_secret else { return Ok(None) };
        let cluster = Cluster::connect(self.namespace.clone()).await?;
        let names = certificates::names(&self.service, &cluster.namespace);
        certificates::open(&cluster, secret, names, certificates::Times::default(), stop.clone()).await.map(Some)
    }

    /// Starts everything but the listener; the task ends with `stop`.
    ///
    /// # Errors
    /// There is no way to a cluster.
    pub async fn start(
        self,
        settings: Settings,
        trust: Option<Trust>,
        metrics: Arc<Metrics>,
        reviews_max: usize,
        stop: &CancellationToken,
    ) -> anyhow::Result<(Arc<Webhook>, JoinHandle<()>)> {
        let cluster = Cluster::connect(self.namespace).await?;
        let watched = Watched::new(cluster.clone(), settings, self.pull_secrets);
        let (leading, leads) = watch::channel(false);
        let findings = status::findings::follow(watched.resources().subscribe(), watched.problems());
        let tellers = Tellers {
            events: Events::start(&cluster, stop.clone()),
            counting: status::start(&cluster, findings, leads.clone(), stop.clone()),
        };
        let report = Arc::new(leader::Report::default());
        let (led, stopped) = (Arc::clone(&report), stop.clone());
        let webhook = Webhook::in_cluster(Arc::clone(&watched), tellers, led, metrics, reviews_max, stopped);
        let ready = {
            let webhook = Arc::clone(&webhook);
            Box::new(move || webhook.ready().is_ok())
        };
        let lease = Lease::new(&cluster, &self.service, identity());
        let leader = trust.map(|trust| Leader {
            trust,
            registration: self.registration.map(|directory| Registration::new(cluster.clone(), directory)),
            ready,
            jobs: Vec::new(),
            period: leader::PERIOD,
            report,
        });
        let stop = stop.clone();
        let task = tokio::spawn(async move {
            let led = async {
                if let Some(leader) = leader {
                    leader.run(leads, stop.clone()).await;
                }
            };
            tokio::join!(watched.run(stop.clone()), lease.hold(leading, stop.clone()), led);
        });
        Ok((webhook, task))
    }
}

/// Who holds the Lease: the pod's name, and what makes a restart of it another one.
fn identity() -> String {
    let name = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_else(|_| "tidewaiter".into());
    let started = jiff::Timestamp::now().as_microsecond();
    format!("{name}_{}_{started:x}", std::process::id())
}
