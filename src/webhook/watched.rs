//! The policy documents of the cluster: watched, compiled beside the reviews, swapped whole.
//!
//! A change decides within a second (security §4.3 F22 allows five). Nothing here is in a review's way: where the API server is gone, the last
//! set and the last namespaces stay, and where there was none yet, everything is denied with `policies_unknown`.

use super::policies::{LoadError, Policies, Settings, Snapshot};
use crate::{
    cluster::{
        Cluster,
        namespaces::Namespaces,
        pull_secrets::PullSecrets,
        referenced::{Problem, REREAD, Referenced, Resolved},
        resources::{Document, Kind, Resources, View},
        status::Why,
    },
    policy::PolicySet,
    reason::{Fault, Reason},
    registry::HostCredentials,
    resource::Resource,
};
use std::sync::Arc;
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// What is read of the cluster, and the policies that follow.
pub struct Watched {
    cluster: Cluster,
    policies: Arc<Policies>,
    resources: Arc<Resources>,
    namespaces: Arc<Namespaces>,
    /// The reader of the Secrets that resources name.
    referenced: Referenced,
    problems: watch::Sender<Arc<Vec<Problem>>>,
    /// The reader of pods' own; none where they are not to be read.
    pull_secrets: Option<Arc<PullSecrets>>,
}

impl Watched {
    /// Nothing is read before `run`. `pull_secrets`: whether those of pods are, when one is judged.
    pub fn new(cluster: Cluster, settings: Settings, pull_secrets: bool) -> Arc<Self> {
        let none = Fault::new(Reason::PoliciesUnknown, "the policies of the cluster have not been read yet");
        let (resources, namespaces) = (Resources::new(), Namespaces::new(&cluster));
        Arc::new(Watched {
            policies: Arc::new(Policies::none(settings, none)),
            resources,
            namespaces,
            referenced: Referenced::new(cluster.clone()),
            problems: watch::Sender::default(),
            pull_secrets: pull_secrets.then(|| Arc::new(PullSecrets::new(cluster.client.clone()))),
            cluster,
        })
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

    /// Resources that parse and are not in use as they stand.
    pub fn problems(&self) -> watch::Receiver<Arc<Vec<Problem>>> {
        self.problems.subscribe()
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

    /// Compiles each view that differs from the one before in what decides, and looks now and then whether a Secret does.
    async fn follow(&self) {
        let mut views = self.resources.subscribe();
        let mut again = tokio::time::interval(REREAD);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last, mut told) = (None, None);
        loop {
            tokio::select! {
                changed = views.changed() => if changed.is_err() { return },
                _ = again.tick() => {}
            }
            let Some(view) = views.borrow_and_update().clone() else { continue };
            let resources = view.documents.iter().map(|(.., resource)| resource.clone()).collect();
            let resolved = self.referenced.resolve(resources).await;
            let now = Some((resolved.clone(), view.broken.clone()));
            if now == last {
                continue;
            }
            last = now;
            let (policies, pull_secrets) = (Arc::clone(&self.policies), self.pull_secrets.clone());
            let taken = tokio::task::spawn_blocking(move || {
                let mut problems = resolved.problems.clone();
                let snapshot = snapshot(&policies, &view, resolved, &mut problems).map(|it| match pull_secrets {
                    Some(secrets) => Snapshot { judge: it.judge.with_pull_secrets(secrets), ..it },
                    None => it,
                });
                (policies.take(snapshot), problems)
            });
            match taken.await {
                Ok((taken, problems)) => {
                    self.policies.tell(taken, &mut told);
                    self.problems.send_replace(Arc::new(problems));
                }
                // What was compiled was lost: the next view is another one, whatever it says.
                Err(error) => {
                    last = None;
                    tracing::error!(%error, "compiling policies failed");
                }
            }
        }
    }
}

/// `problems`: a RegistryConfig that cannot be honoured is one more.
fn snapshot(
    policies: &Policies,
    view: &View,
    resolved: Resolved,
    problems: &mut Vec<Problem>,
) -> Result<Snapshot, LoadError> {
    let settings = policies.settings();
    let Resolved { resources, credentials, .. } = resolved;
    let labels = view.documents.iter().map(|(label, number, _)| (label.clone(), *number));
    let mut documents: Vec<Document> =
        labels.zip(resources).map(|((label, number), resource)| (label, number, resource)).collect();
    let resources = |documents: &[Document]| documents.iter().map(|(.., resource)| resource.clone()).collect();
    let sources = match settings.sources_with(resources(&documents), &credentials) {
        Ok(sources) => sources,
        // One that cannot be honoured (no such file, no CA in it) is as good as absent: its host is read by the strict rules.
        Err(_) => {
            documents.retain(|document| match unhonoured(settings, document, &credentials) {
                Some(problem) => {
                    problems.push(problem);
                    false
                }
                None => true,
            });
            let error = |error: anyhow::Error| LoadError::invalid(format!("{error:#}"));
            settings.sources_with(resources(&documents), &credentials).map_err(error)?
        }
    };
    let set = PolicySet::compile_present(&documents, settings.unmatched).map_err(|found| LoadError {
        reason: Reason::PolicyInvalid,
        lines: found.iter().map(ToString::to_string).collect(),
    })?;
    Ok(Snapshot::new(settings.set(set), sources, Arc::clone(policies.cache()), view.broken.clone()))
}

fn unhonoured(settings: &Settings, document: &Document, credentials: &HostCredentials) -> Option<Problem> {
    let (label, _, resource @ Resource::RegistryConfig(config)) = document else { return None };
    let error = format!("{:#}", settings.sources_with(vec![resource.clone()], credentials).err()?);
    tracing::error!(resource = label, error, "registry configuration left out");
    Some(Problem {
        kind: "RegistryConfig",
        name: config.metadata.name.clone(),
        field: "spec".into(),
        why: Why::NotHonoured,
        message: format!("{error}; its host is read as if this RegistryConfig were not there"),
    })
}
