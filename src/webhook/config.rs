//! The policy documents of a file or directory, loaded whole and watched.

use super::policies::{LoadError, Policies, Settings, Snapshot};
use crate::{
    cache::Cache,
    file,
    policy::PolicySet,
    reason::{Fault, Reason},
    resource::{self, Resource},
    serve::tls::watcher,
};
use anyhow::Context;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A file, or a directory of `*.yaml`, `*.yml` and `*.json`, and the policies in it.
pub struct Directory {
    path: PathBuf,
    policies: Arc<Policies>,
    read: Mutex<Option<Files>>,
}

impl Directory {
    /// Loads for the first time. An error leaves the policies empty: everything is denied until a good load.
    pub fn open(path: PathBuf, settings: Settings) -> Self {
        let none = Fault::new(Reason::PolicyInvalid, "no policy is loaded");
        let directory = Directory { path, policies: Arc::new(Policies::none(settings, none)), read: Mutex::default() };
        let _ = directory.reload();
        directory
    }

    pub fn policies(&self) -> Arc<Policies> {
        Arc::clone(&self.policies)
    }

    /// Looks at the files again; `Ok(false)` where they are as they were.
    ///
    /// # Errors
    /// The set in use, if any, stays.
    pub fn reload(&self) -> Result<bool, LoadError> {
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let files = read(&self.path).map_err(|error| LoadError::invalid(format!("{error:#}")));
        if let Ok(files) = &files
            && last.as_ref() == Some(files)
            && self.policies.state().ok
        {
            return Ok(false);
        }
        let loaded = files.and_then(|files| {
            let snapshot = snapshot(&files, self.policies.settings(), Arc::clone(self.policies.cache()))?;
            Ok((files, snapshot))
        });
        let (files, snapshot) = match loaded {
            Ok((files, snapshot)) => (Some(files), Ok(snapshot)),
            Err(error) => (None, Err(error)),
        };
        self.policies.take(snapshot)?;
        *last = files;
        Ok(true)
    }

    /// Reloads when the directory changes, and every 30 s whatever the file system says; until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let (changed, mut changes) = mpsc::channel(1);
        let _watcher = watcher(&[&self.path], changed);
        let mut told = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(30)) => {}
                Some(()) = changes.recv() => tokio::time::sleep(Duration::from_millis(100)).await,
            }
            let this = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || this.reload()).await {
                Ok(Ok(false)) => told = None,
                Ok(result) => self.policies.tell(result.map(|_| ()), &mut told),
                Err(error) => tracing::error!(%error, "loading policies failed"),
            }
        }
    }
}

fn snapshot(files: &Files, settings: &Settings, cache: Arc<Cache>) -> Result<Snapshot, LoadError> {
    let (set, resources) = compile(files, settings)?;
    let sources = settings.sources(resources).map_err(|error| LoadError::invalid(format!("{error:#}")))?;
    Ok(Snapshot::new(set, sources, cache, Vec::new()))
}

/// Policies and judge for one use, by `verify` and `review`.
///
/// # Errors
/// The documents are in error.
pub fn load(path: &Path, settings: &Settings) -> Result<Snapshot, LoadError> {
    let files = read(path).map_err(|error| LoadError::invalid(format!("{error:#}")))?;
    snapshot(&files, settings, Arc::default())
}

fn compile(files: &Files, settings: &Settings) -> Result<(PolicySet, Vec<Resource>), LoadError> {
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
    let set = PolicySet::compile(&documents, settings.unmatched).map_err(|found| LoadError {
        reason: if has_trust_root(files) { Reason::PolicyInvalid } else { Reason::NoTrustRoot },
        lines: found.iter().map(ToString::to_string).collect(),
    })?;
    Ok((settings.set(set), documents.into_iter().map(|(.., resource)| resource).collect()))
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
