//! Every Namespace, watched: its uid and those of its annotations that are ours.
//!
//! A namespace that the watch has not shown is asked for; one that cannot be found out is `namespace_unknown`, never one without
//! annotations (security T-35).

use super::{
    Cluster,
    watch::{self, Change, Health},
};
use crate::{
    policy::Namespace,
    reason::{Fault, Reason},
    resource::is_dns_name,
};
use k8s_openapi::api::core::v1::Namespace as Object;
use kube::{Api, api::ObjectMeta, core::PartialObjectMeta};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Other annotations are not kept: `kubectl apply` alone writes some KiB into each namespace.
const PREFIX: &str = "tidewaiter.dev/";

/// The namespaces of the cluster.
pub struct Namespaces {
    api: Api<PartialObjectMeta<Object>>,
    known: RwLock<HashMap<String, Arc<Namespace>>>,
    health: Health,
}

impl Namespaces {
    /// Nothing is watched before `run`.
    pub fn new(cluster: &Cluster) -> Arc<Self> {
        let api = Api::all(cluster.client.clone());
        Arc::new(Namespaces { api, known: RwLock::default(), health: Health::default() })
    }

    /// How the watch does.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// How many are known.
    pub fn count(&self) -> usize {
        self.known.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// As the watch last showed it.
    pub fn cached(&self, name: &str) -> Option<Arc<Namespace>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// From the watch; else, made a moment ago perhaps, by one request.
    ///
    /// # Errors
    /// `namespace_unknown`: there is none of the name, or the API server does not say so in time.
    pub async fn get(&self, name: &str, deadline: Instant) -> Result<Arc<Namespace>, Fault> {
        if let Some(known) = self.cached(name) {
            return Ok(known);
        }
        let unknown = |why: String| Err(Fault::new(Reason::NamespaceUnknown, why));
        // It becomes part of a path.
        if !is_dns_name(name) {
            return unknown(format!("\"{}\" is no name of a namespace", name.escape_default()));
        }
        match tokio::time::timeout_at(deadline.into(), self.api.get_opt(name)).await {
            // Not kept: whether it is still there tomorrow, only the watch says.
            Ok(Ok(Some(object))) => Ok(Arc::new(namespace(object.metadata))),
            Ok(Ok(None)) => unknown(format!("there is no namespace \"{}\"", name.escape_default())),
            Ok(Err(error)) => {
                let why = watch::chain(&error);
                unknown(format!("namespace \"{}\" could not be looked up: {why}", name.escape_default()))
            }
            Err(_) => unknown(format!("namespace \"{}\" was not looked up in time", name.escape_default())),
        }
    }

    /// Watches until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let seen = |change: Change<PartialObjectMeta<Object>>| {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            match change {
                Change::Listed(objects) => *known = objects.into_iter().map(named).collect(),
                Change::Applied(object) => known.extend([named(object)]),
                Change::Deleted(object) => drop(object.metadata.name.and_then(|name| known.remove(&name))),
            }
        };
        watch::follow(self.api.clone(), "Namespace", &self.health, seen, stop).await;
    }
}

fn named(object: PartialObjectMeta<Object>) -> (String, Arc<Namespace>) {
    let namespace = namespace(object.metadata);
    (namespace.name.clone(), Arc::new(namespace))
}

fn namespace(metadata: ObjectMeta) -> Namespace {
    let annotations = metadata.annotations.unwrap_or_default();
    Namespace {
        name: metadata.name.unwrap_or_default(),
        uid: metadata.uid.unwrap_or_default(),
        annotations: annotations.into_iter().filter(|(key, _)| key.starts_with(PREFIX)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::exception;
    use std::time::Duration;

    #[tokio::test]
    async fn what_is_no_name_is_not_asked_for() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = kube::Client::try_from(config).unwrap();
        let namespaces = Namespaces::new(&Cluster { client, namespace: "tidewaiter".into() });
        let deadline = Instant::now() + Duration::from_secs(5);
        for name in ["", "../secrets", "shop/../..", "shop?a=b", "Shop"] {
            let fault = namespaces.get(name, deadline).await.unwrap_err();
            assert_eq!(fault.reason, Reason::NamespaceUnknown);
            assert!(fault.message.ends_with("is no name of a namespace"), "{fault}");
        }
        // And what is one is, of an API server that is not there.
        let fault = namespaces.get("shop", deadline).await.unwrap_err();
        assert_eq!(fault.reason, Reason::NamespaceUnknown);
        assert!(fault.message.starts_with("namespace \"shop\" could not be looked up"), "{fault}");
    }

    #[test]
    fn what_an_exception_stands_in_is_kept_and_nothing_else() {
        assert!(exception::ANNOTATION.starts_with(PREFIX) && exception::SEAL_ANNOTATION.starts_with(PREFIX));
        let annotations = [(exception::ANNOTATION, "x"), ("kubectl.kubernetes.io/last-applied-configuration", "{}")];
        let metadata = ObjectMeta {
            name: Some("shop".into()),
            uid: Some("u-1".into()),
            annotations: Some(annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        };
        let kept = namespace(metadata);
        assert_eq!((kept.name.as_str(), kept.uid.as_str()), ("shop", "u-1"));
        assert_eq!(kept.annotations.into_keys().collect::<Vec<_>>(), [exception::ANNOTATION]);
    }
}
