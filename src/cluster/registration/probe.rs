//! A call through our own Service, as an API server would make it: by its cluster address, its DNS name and our CA.

use super::desired::Service;
use crate::cluster::Cluster;
use anyhow::{Context, bail, ensure};
use kube::api::Api;
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Succeeds when `/readyz` answers 200.
pub async fn probe(cluster: &Cluster, service: &Service, bundle: &str) -> anyhow::Result<()> {
    let Service { namespace, name, port } = service;
    let api: Api<k8s_openapi::api::core::v1::Service> = Api::namespaced(cluster.client.clone(), namespace);
    let object = api.get(name).await.with_context(|| format!("read the service {namespace}/{name}"))?;
    let spec = object.spec.unwrap_or_default();
    let address = spec.cluster_ip.unwrap_or_default();
    let Ok(address) = address.parse::<IpAddr>() else {
        bail!("the service {namespace}/{name} has no cluster address, but \"{address}\"");
    };
    let has = spec.ports.iter().flatten().any(|have| have.port == i32::from(*port));
    ensure!(has, "the service {namespace}/{name} has no port {port}");
    let host = format!("{name}.{namespace}.svc");
    let certificates = reqwest::Certificate::from_pem_bundle(bundle.as_bytes()).context("the CA bundle")?;
    let client = reqwest::Client::builder()
        .tls_certs_only(certificates)
        .resolve(&host, SocketAddr::new(address, *port))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(5))
        .build()
        .context("set up the call")?;
    let url = format!("https://{host}:{port}/readyz");
    let answer = client.get(&url).send().await.with_context(|| format!("call {url} at {address}"))?;
    ensure!(answer.status() == 200, "{url} answered {}", answer.status());
    Ok(())
}
