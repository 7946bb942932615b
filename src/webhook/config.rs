//! The policy documents of a file or directory, loaded whole, watched, and swapped whole.
//!
//! A load with any error never replaces a good one (F20, F21): it is logged and counted, and the last good set goes on
//! deciding. Where there was none, everything is denied and nothing is ready.

use super::Judge;
use crate::{
    cache::Cache,
    file,
    policy::{PolicySet, Unmatched},
    reason::{Fault, Reason},
    registry::{self, Registries},
    resource::{self, Resource},
    serve::tls::watcher,
    source::{Sources, store::StoreClient},
};
use anyhow::Context;
use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Where policies come from and what is added to them by flag.
#[derive(Clone)]
pub struct Settings {
    /// A file, or a directory of `*.yaml`, `*.yml` and `*.json`.
    pub path: PathBuf,
    pub unmatched: Unmatched,
    pub audit_only: bool,
    pub store: Option<Arc<StoreClient>>,
    pub docker_config: Option<PathBuf>,
}

/// What a decision reads: a compiled policy set, and the judge with the registries its documents describe.
pub struct Snapshot {
    pub set: Arc<PolicySet>,
    pub judge: Judge,
    pub loaded: Timestamp,
}

/// The documents are in error; each line names file, document and field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// `no_trust_root` where no document holds trust material, else `policy_invalid`.
    pub reason: Reason,
    pub lines: Vec<String>,
}
impl LoadError {
    fn invalid(line: impl Into<String>) -> Self {
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
    read: Mutex<Option<Files>>,
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
    /// Loads for the first time. An error leaves it empty: everything is denied until a good load.
    pub fn open(settings: Settings) -> Self {
        let policies = Policies {
            settings,
            cache: Arc::default(),
            current: ArcSwapOption::empty(),
            fault: ArcSwap::from_pointee(Fault::new(Reason::PolicyInvalid, "no policy is loaded")),
            read: Mutex::default(),
            ok: AtomicBool::new(false),
            errors: AtomicU64::new(0),
            registry_requests: AtomicU64::new(0),
        };
        let _ = policies.reload();
        policies
    }

    /// What to decide by now.
    ///
    /// # Errors
    /// `policy_invalid` or `no_trust_root` where no load has succeeded yet.
    pub fn current(&self) -> Result<Arc<Snapshot>, Fault> {
        self.current.load_full().ok_or_else(|| Fault::clone(&self.fault.load()))
    }

    /// The cache of verdicts that all snapshots share.
    pub fn cache(&self) -> &Cache {
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

    /// Looks at the files again; `Ok(false)` where they are as they were.
    ///
    /// # Errors
    /// The set in use, if any, stays.
    pub fn reload(&self) -> Result<bool, LoadError> {
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let files = read(&self.settings.path).map_err(|error| LoadError::invalid(format!("{error:#}")));
        if let Ok(files) = &files
            && last.as_ref() == Some(files)
            && self.ok.load(Relaxed)
        {
            return Ok(false);
        }
        let loaded = files.and_then(|files| {
            let snapshot = snapshot(&files, &self.settings, Arc::clone(&self.cache))?;
            Ok((files, snapshot))
        });
        self.ok.store(loaded.is_ok(), Relaxed);
        match loaded {
            Ok((files, snapshot)) => {
                *last = Some(files);
                if let Some(old) = self.current.swap(Some(Arc::new(snapshot))) {
                    self.registry_requests.fetch_add(old.judge.sources().registries.requests(), Relaxed);
                }
                Ok(true)
            }
            Err(error) => {
                self.errors.fetch_add(1, Relaxed);
                self.fault.store(Arc::new(error.fault()));
                Err(error)
            }
        }
    }

    /// Reloads when the directory changes, and every 30 s whatever the file system says; until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let (changed, mut changes) = mpsc::channel(1);
        let _watcher = watcher(&[&self.settings.path], changed);
        let mut told = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(30)) => {}
                Some(()) = changes.recv() => tokio::time::sleep(Duration::from_millis(100)).await,
            }
            let this = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || this.reload()).await {
                Ok(result) => told = tell(&self, result, told),
                Err(error) => tracing::error!(%error, "loading policies failed"),
            }
        }
    }
}

/// Says what is new about the policies; the same error is told once.
fn tell(policies: &Policies, result: Result<bool, LoadError>, told: Option<LoadError>) -> Option<LoadError> {
    match result {
        Ok(false) => None,
        Ok(true) => {
            let hash = policies.current().map(|snapshot| snapshot.set.hash().to_string()).unwrap_or_default();
            tracing::info!(policy_hash = hash, "policies loaded");
            None
        }
        Err(error) => {
            if told.as_ref() != Some(&error) {
                let kept = policies.current().is_ok();
                tracing::error!(reason = error.reason.as_str(), %error, kept, "policies not loaded");
            }
            Some(error)
        }
    }
}

fn snapshot(files: &Files, settings: &Settings, cache: Arc<Cache>) -> Result<Snapshot, LoadError> {
    let (set, resources) = compile(files, settings.unmatched, settings.audit_only)?;
    let sources = sources(settings, resources).map_err(|error| LoadError::invalid(format!("{error:#}")))?;
    Ok(Snapshot { set: Arc::new(set), judge: Judge::with_cache(sources, cache), loaded: Timestamp::now() })
}

/// Policies and judge for one use, by `verify` and `review`.
///
/// # Errors
/// The documents are in error.
pub fn load(settings: &Settings) -> Result<Snapshot, LoadError> {
    let files = read(&settings.path).map_err(|error| LoadError::invalid(format!("{error:#}")))?;
    snapshot(&files, settings, Arc::default())
}

fn sources(settings: &Settings, resources: Vec<Resource>) -> anyhow::Result<Sources> {
    let options = registry::Options { docker_config: settings.docker_config.clone(), resources };
    Ok(Sources { registries: Arc::new(Registries::new(&options)?), store: settings.store.clone() })
}

fn compile(files: &Files, unmatched: Unmatched, audit_only: bool) -> Result<(PolicySet, Vec<Resource>), LoadError> {
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    for (name, text) in files {
        match resource::parse_numbered(name, text) {
            Ok(found) => documents.extend(found.into_iter().map(|(number, resource)| (name.clone(), number, resource))),
            Err(found) => errors.extend(found.iter().map(ToString::to_string)),
        }
    }
    if !errors.is_empty() {
        return Err(LoadError { reason: Reason::PolicyInvalid, lines: errors });
    }
    let set = PolicySet::compile(&documents, unmatched).map_err(|found| LoadError {
        reason: if has_trust_root(files) { Reason::PolicyInvalid } else { Reason::NoTrustRoot },
        lines: found.iter().map(ToString::to_string).collect(),
    })?;
    let set = if audit_only { set.audit_only() } else { set };
    Ok((set, documents.into_iter().map(|(.., resource)| resource).collect()))
}

/// Whether any document is a TrustRoot: policies that name one which is not there fail for want of it (F20).
fn has_trust_root(files: &Files) -> bool {
    files.iter().any(|(_, text)| text.contains("TrustRoot"))
}

/// Name and text of each file.
type Files = Vec<(String, String)>;

const FILES_MAX: usize = 1024;

fn read(path: &Path) -> anyhow::Result<Files> {
    let mut paths = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).with_context(|| format!("read {}", path.display()))? {
            let path = entry.with_context(|| format!("read {}", path.display()))?.path();
            if is_document(&path) {
                paths.push(path);
            }
        }
        paths.sort_unstable();
        anyhow::ensure!(paths.len() <= FILES_MAX, "{} holds more than {FILES_MAX} documents", path.display());
        // An empty directory is a volume that is not mounted, not a wish to let everything in.
        anyhow::ensure!(!paths.is_empty(), "{} holds no *.yaml, *.yml or *.json", path.display());
    } else {
        // A denial names the policy, which is not where its documents are.
        let hint = || {
            format!("{}: no such file: --policy takes the file or directory that holds the documents", path.display())
        };
        anyhow::ensure!(path == Path::new("-") || path.exists(), hint());
        paths.push(path.into());
    }
    paths
        .iter()
        .map(|path| Ok((path.display().to_string(), file::read_text(path, resource::TEXT_BYTES_MAX)?)))
        .collect()
}

/// Kubernetes keeps its own folders beside the links to the files (`..data`).
fn is_document(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let known = path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
    known && !hidden && path.is_file()
}
