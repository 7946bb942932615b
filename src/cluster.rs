//! The Kubernetes cluster we run in: what a decision reads of it, and what we write into it.
//!
//! Reading never stops a review: watches are kept open beside it, and what breaks leaves the last good view in place.
//! Writing (status, events, certificates, registration) never delays one.

use anyhow::Context;
use std::time::Duration;

pub mod certificates; // the serving certificate in its Secret, made and renewed
mod complaints; // trouble that lasts, told once
pub mod crd; // our CustomResourceDefinitions, from the types that are parsed
pub mod events; // what became of a workload, told where its owner looks
pub mod leader; // what the replica that leads does
pub mod lease; // one replica of many writes
mod named; // one object by its name, never a list
pub mod namespaces; // every Namespace's uid and annotations, watched
pub mod pull_secrets; // the credentials of one pod, by name
pub mod referenced; // the Secrets that our own resources name
pub mod registration; // the API server's list of webhooks, filled when we are ready
pub mod resources; // our four kinds, watched; the last good version of each
pub mod status; // conditions and counts, for the authors of resources
pub mod watch; // one kind of object, listed and then watched

/// A connection to the API server, and our own place in the cluster.
#[derive(Clone)]
pub struct Cluster {
    pub client: kube::Client,
    /// The namespace we run in: our Lease and our Secrets are there, and no others are read by default.
    pub namespace: String,
}

/// Who we are to the API server: the field manager of what we apply, the reporting controller of our events.
pub const MANAGER: &str = "tidewaiter";

/// An API server is near: what takes longer to answer a connection is not there.
const CONNECT: Duration = Duration::from_secs(5);

impl Cluster {
    /// From the service account of the pod, else from the kubeconfig (`KUBECONFIG`, `~/.kube/config`); sends nothing. `namespace`:
    /// where it is not the one of the pod or of the kubeconfig's context.
    ///
    /// # Errors
    /// There is no configuration, or it cannot be used.
    pub async fn connect(namespace: Option<String>) -> anyhow::Result<Self> {
        let mut config =
            kube::Config::infer().await.context("no service account and no kubeconfig to reach a cluster by")?;
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        config.connect_timeout = Some(CONNECT);
        // A watch is quiet for as long as the API server lets it; what is quiet for longer is dead.
        config.read_timeout = Some(Duration::from_secs(u64::from(watch::WATCH_SECONDS)) + CONNECT);
        let client = kube::Client::try_from(config).context("set up the client of the API server")?;
        Ok(Cluster { client, namespace })
    }
}
