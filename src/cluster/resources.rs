//! Our own resources, watched; the last good version of each.
//!
//! [`Resources`] keeps the four watches and publishes a [`View`] of them: every object as judged by our own parser, and the documents to
//! decide by. There is none before each kind was listed once; a watch that breaks leaves the last one in place.

pub use super::crd::Kind;
use super::{
    Cluster,
    watch::{self, Change, Health},
};
use crate::resource::{FieldError, Resource};
use kube::{Api, api::DynamicObject};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch as channel};
use tokio_util::sync::CancellationToken;

mod store; // what was seen → what to decide by; pure

use store::Store;

/// Changes come in bunches (`kubectl apply -f dir`); one view for each bunch.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// One object of the cluster, judged by our own parser.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub kind: Kind,
    /// Of an ImagePolicy.
    pub namespace: Option<String>,
    pub name: String,
    /// `metadata.generation` that `outcome` is about.
    pub generation: i64,
    pub outcome: Result<Arc<Resource>, Vec<FieldError>>,
    /// Whether a version of it decides: this one, or where it is in error, the last good one. Not in use: in error from the start, or a
    /// RegistryConfig whose host an older one is about.
    pub in_use: bool,
}

/// A policy in error that has no good version: whatever it would have selected is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub kind: Kind,
    /// `None`: the cluster's, and so everything may be its.
    pub namespace: Option<String>,
    pub name: String,
    /// The first error, with its field.
    pub message: String,
}

/// A document under the name its errors are told by.
pub type Document = (String, usize, Resource);

/// The cluster's documents at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Every object, by kind, namespace and name.
    pub judged: Vec<Judged>,
    /// The last good version of each, to decide by.
    pub documents: Vec<Document>,
    pub broken: Vec<Broken>,
}

impl View {
    /// Names of the TrustRoots there are, in error or not.
    pub fn trust_roots(&self) -> impl Iterator<Item = &str> {
        self.judged.iter().filter(|it| it.kind == Kind::TrustRoot).map(|it| it.name.as_str())
    }

    /// The RegistryConfigs in use: host, and the document's name.
    pub fn registries(&self) -> BTreeMap<String, &str> {
        let configs = self.documents.iter().filter_map(|(.., resource)| match resource {
            Resource::RegistryConfig(config) => Some((config.spec.canonical_host()?, config.metadata.name.as_str())),
            _ => None,
        });
        configs.collect()
    }
}

/// The four watches.
pub struct Resources {
    store: Mutex<Store>,
    changed: Notify,
    health: [Health; 4],
    view: channel::Sender<Option<Arc<View>>>,
}

impl Resources {
    /// Nothing is watched before `run`.
    pub fn new() -> Arc<Self> {
        Arc::new(Resources {
            store: Mutex::default(),
            changed: Notify::new(),
            health: Default::default(),
            view: channel::Sender::new(None),
        })
    }

    /// The view now and, by `changed`, each later one; `None` until every kind was listed.
    pub fn subscribe(&self) -> channel::Receiver<Option<Arc<View>>> {
        self.view.subscribe()
    }

    /// The watch of one kind.
    pub fn health(&self, kind: Kind) -> &Health {
        let [cluster_policies, policies, roots, registries] = &self.health;
        match kind {
            Kind::ClusterImagePolicy => cluster_policies,
            Kind::ImagePolicy => policies,
            Kind::TrustRoot => roots,
            Kind::RegistryConfig => registries,
        }
    }

    /// Watches until `stop`.
    pub async fn run(self: Arc<Self>, cluster: &Cluster, stop: CancellationToken) {
        let watches = Kind::ALL.map(|kind| self.follow(cluster, kind, stop.clone()));
        tokio::select! {
            () = self.publish() => {}
            _ = futures::future::join_all(watches) => {}
        }
    }

    async fn follow(&self, cluster: &Cluster, kind: Kind, stop: CancellationToken) {
        let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &kind.api_resource());
        let seen = |change: Change<DynamicObject>| {
            let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = match change {
                Change::Listed(objects) => store.listed(kind, objects),
                Change::Applied(object) => store.applied(kind, object),
                Change::Deleted(object) => store.deleted(kind, &object),
            };
            drop(store);
            if changed {
                self.changed.notify_one();
            }
        };
        watch::follow(api, kind.as_str(), self.health(kind), seen, stop).await;
    }

    async fn publish(&self) {
        loop {
            self.changed.notified().await;
            tokio::time::sleep(DEBOUNCE).await;
            let view = self.store.lock().unwrap_or_else(PoisonError::into_inner).view();
            if let Some(view) = view {
                self.view.send_replace(Some(Arc::new(view)));
            }
        }
    }
}
