//! What decisions are made by: the current snapshot, swapped whole, and how the last look at the documents came out.
//!
//! Documents come from a file or directory ([`super::config`]) or from the cluster ([`super::watched`]). What cannot be compiled never
//! replaces what could (F20, F21): it is counted, and the last good set goes on deciding. Where there was none, everything is denied and
//! nothing is ready.

use super::Judge;
use crate::{
    cache::Cache,
    cluster::resources::Broken,
    policy::{PolicySet, Unmatched},
    reason::{Fault, Reason},
    registry::{self, HostCredentials, Registries},
    resource::Resource,
    source::{Sources, store::StoreClient},
};
use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

/// What is added to the documents by flag.
#[derive(Clone)]
pub struct Settings {
    pub unmatched: Unmatched,
    pub audit_only: bool,
    pub store: Option<Arc<StoreClient>>,
    pub docker_config: Option<PathBuf>,
}

impl Settings {
    /// Where evidence is read, under these documents.
    ///
    /// # Errors
    /// A RegistryConfig that cannot be honoured.
    pub fn sources(&self, resources: Vec<Resource>) -> anyhow::Result<Sources> {
        let options = registry::Options { docker_config: self.docker_config.clone(), resources };
        Ok(Sources { registries: Arc::new(Registries::new(&options)?), store: self.store.clone() })
    }

    /// The same in a cluster, with the credentials that RegistryConfigs name by Secret.
    ///
    /// # Errors
    /// A RegistryConfig that cannot be honoured.
    pub fn sources_with(&self, resources: Vec<Resource>, secrets: &HostCredentials) -> anyhow::Result<Sources> {
        let options = registry::Options { docker_config: self.docker_config.clone(), resources };
        Ok(Sources { registries: Arc::new(Registries::in_cluster(&options, secrets)?), store: self.store.clone() })
    }

    /// The set as it is used.
    pub(super) fn set(&self, set: PolicySet) -> PolicySet {
        if self.audit_only { set.audit_only() } else { set }
    }
}

/// What a decision reads: a compiled policy set, and the judge with the registries its documents describe.
pub struct Snapshot {
    pub set: Arc<PolicySet>,
    pub judge: Judge,
    pub loaded: Timestamp,
    /// Policies that nothing is known of but that they are there: only in a cluster.
    pub broken: Vec<Broken>,
}

impl Snapshot {
    pub fn new(set: PolicySet, sources: Sources, cache: Arc<Cache>, broken: Vec<Broken>) -> Self {
        Snapshot { set: Arc::new(set), judge: Judge::with_cache(sources, cache), loaded: Timestamp::now(), broken }
    }

    /// Why nothing can be admitted to a namespace: a policy that has a say there cannot be read, so what it selects is not known.
    pub fn refusal(&self, namespace: &str) -> Option<Fault> {
        let broken = self.broken.iter().find(|it| it.namespace.as_deref().is_none_or(|own| own == namespace))?;
        let Broken { kind, name, message, .. } = broken;
        Some(Fault::new(Reason::PolicyInvalid, format!("{} \"{name}\" is in error: {message}", kind.as_str())))
    }
}

/// The documents are in error; each line names file, document and field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// `no_trust_root` where no document holds trust material, else `policy_invalid`.
    pub reason: Reason,
    pub lines: Vec<String>,
}
impl LoadError {
    pub(super) fn invalid(line: impl Into<String>) -> Self {
        LoadError { reason: Reason::PolicyInvalid, lines: vec![line.into()] }
    }
    fn fault(&self) -> Fault {
        let first = self.lines.first().map_or("no policy is loaded", String::as_str);
        Fault::new(self.reason, first)
    }
}
impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}
impl std::error::Error for LoadError {}

/// The policy set in use, and how the last look at its documents came out.
pub struct Policies {
    settings: Settings,
    cache: Arc<Cache>,
    current: ArcSwapOption<Snapshot>,
    /// Why there is no set, where there is none.
    fault: ArcSwap<Fault>,
    ok: AtomicBool,
    errors: AtomicU64,
    /// Requests of registries that earlier sets used.
    registry_requests: AtomicU64,
}
/// For metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub loaded: Option<Timestamp>,
    pub ok: bool,
    pub errors: u64,
}

impl Policies {
    /// None yet: everything is denied for this reason until the first good set.
    pub fn none(settings: Settings, fault: Fault) -> Self {
        Policies {
            settings,
            cache: Arc::default(),
            current: ArcSwapOption::empty(),
            fault: ArcSwap::from_pointee(fault),
            ok: AtomicBool::new(false),
            errors: AtomicU64::new(0),
            registry_requests: AtomicU64::new(0),
        }
    }

    /// What to decide by now.
    ///
    /// # Errors
    /// Why there is nothing yet.
    pub fn current(&self) -> Result<Arc<Snapshot>, Fault> {
        self.current.load_full().ok_or_else(|| Fault::clone(&self.fault.load()))
    }

    /// Takes over a set, or keeps the last good one.
    ///
    /// # Errors
    /// The given one.
    pub fn take(&self, loaded: Result<Snapshot, LoadError>) -> Result<(), LoadError> {
        self.ok.store(loaded.is_ok(), Relaxed);
        match loaded {
            Ok(snapshot) => {
                if let Some(old) = self.current.swap(Some(Arc::new(snapshot))) {
                    self.registry_requests.fetch_add(old.judge.sources().registries.requests(), Relaxed);
                }
                Ok(())
            }
            Err(error) => {
                self.errors.fetch_add(1, Relaxed);
                self.fault.store(Arc::new(error.fault()));
                Err(error)
            }
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The cache of verdicts that all snapshots share.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// Whether the installation only watches.
    pub fn audit_only(&self) -> bool {
        self.settings.audit_only
    }

    pub fn state(&self) -> State {
        let loaded = self.current.load().as_ref().map(|snapshot| snapshot.loaded);
        State { loaded, ok: self.ok.load(Relaxed), errors: self.errors.load(Relaxed) }
    }

    /// Requests sent to registries and to the store since start.
    pub fn requests(&self) -> (u64, u64) {
        let current = self.current.load().as_ref().map_or(0, |it| it.judge.sources().registries.requests());
        let store = self.settings.store.as_ref().map_or(0, |store| store.requests());
        (self.registry_requests.load(Relaxed) + current, store)
    }

    /// Says how a look at the documents came out; the same error is told once. `told`: the one before.
    pub(super) fn tell(&self, taken: Result<(), LoadError>, told: &mut Option<LoadError>) {
        match taken {
            Ok(()) => {
                let hash = self.current().map(|snapshot| snapshot.set.hash().to_string()).unwrap_or_default();
                tracing::info!(policy_hash = hash, "policies loaded");
                *told = None;
            }
            Err(error) => {
                if told.as_ref() != Some(&error) {
                    let kept = self.current().is_ok();
                    tracing::error!(reason = error.reason.as_str(), %error, kept, "policies not loaded");
                }
                *told = Some(error);
            }
        }
    }
}
