//! Files → artifacts: which files, under which names, with which hashes (in-toto §1.15).
//!
//! The same files and names as `in-toto-run`: links to files and directories are followed under their own names, broken ones and
//! special files left out, excluded directories not entered. Where in-toto goes on in silence (a directory it may not read, two files
//! under one name, a loop of links), this is an error: an incomplete record is a false one.

use super::{hash, names};
use crate::{digest::DigestSet, intoto::Artifacts};
use ignore::{
    WalkBuilder,
    gitignore::{Gitignore, GitignoreBuilder},
};
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What in-toto leaves out unless it is told otherwise.
pub const EXCLUDES_DEFAULT: [&str; 4] = ["*.link*", ".git", "*.pyc", "*~"];

/// Why a tree could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the exclude pattern \"{pattern}\" is malformed: {why}")]
    Exclude { pattern: String, why: String },
    #[error("\"{0}\" and \"{1}\" can not both be stripped: one begins with the other")]
    Prefixes(String, String),
    #[error("{0:#}")]
    Path(anyhow::Error),
    #[error("\"{first}\" and \"{second}\" would both be recorded as \"{name}\"")]
    Collision { name: String, first: PathBuf, second: PathBuf },
    #[error("\"{0}\" links to a directory it lies in; exclude it")]
    Loop(PathBuf),
    #[error("\"{0}\" has a name that is not UTF-8")]
    NotUtf8(PathBuf),
    #[error("\"{path}\" can not be read: {error}")]
    Io { path: PathBuf, error: std::io::Error },
}

/// What was found below the paths.
#[derive(Debug, Default)]
pub struct Recording {
    pub artifacts: Artifacts,
    pub warnings: Vec<String>,
}

/// A bar on a terminal, nothing elsewhere.
#[derive(Default)]
pub struct Progress {
    shown: bool,
}
impl Progress {
    /// Shows itself where standard error is a terminal.
    pub fn on_terminal() -> Self {
        Progress { shown: std::io::IsTerminal::is_terminal(&std::io::stderr()) }
    }
    fn bar(&self, files: usize) -> indicatif::ProgressBar {
        match self.shown && files > 1_000 {
            true => indicatif::ProgressBar::new(files as u64).with_message("hashing"),
            false => indicatif::ProgressBar::hidden(),
        }
    }
}

/// How paths become artifacts.
#[derive(Clone, Debug)]
pub struct Recorder {
    excludes: Gitignore,
    lstrip: Vec<String>,
    normalise_line_endings: bool,
}
impl Recorder {
    /// `excludes` are gitignore patterns; none given means in-toto's defaults, as there.
    pub fn new(excludes: &[String], lstrip: &[String], normalise_line_endings: bool) -> Result<Self, RecordError> {
        for (at, one) in lstrip.iter().enumerate() {
            if let Some(other) =
                lstrip.iter().skip(at + 1).find(|o| o.starts_with(one.as_str()) || one.starts_with(o.as_str()))
            {
                return Err(RecordError::Prefixes(one.clone(), other.clone()));
            }
        }
        let excludes = match excludes.is_empty() {
            true => compile(&EXCLUDES_DEFAULT)?,
            false => compile(excludes)?,
        };
        Ok(Recorder { excludes, lstrip: lstrip.to_vec(), normalise_line_endings })
    }

    /// Every file at or below the paths, relative ones starting from `base`. A path that does not exist is a warning, as a step may
    /// well make it or remove it.
    pub fn record(&self, base: &Path, paths: &[String], progress: &Progress) -> Result<Recording, RecordError> {
        let mut found = Found::default();
        for path in paths {
            let (scheme, path) = names::split_scheme(path).map_err(RecordError::Path)?;
            self.find(base, &names::normalise(path), scheme, &mut found)?;
        }
        let bar = progress.bar(found.files.len());
        let files: Vec<(String, PathBuf)> = found.files.into_iter().collect();
        let artifacts = files
            .into_par_iter()
            .map(|(name, path)| {
                let hex =
                    hash::file(&path, self.normalise_line_endings).map_err(|error| RecordError::Io { path, error })?;
                bar.inc(1);
                Ok((name, [("sha256".to_owned(), hex)].into_iter().collect()))
            })
            .collect::<Result<Vec<(String, DigestSet)>, RecordError>>();
        bar.finish_and_clear();
        Ok(Recording { artifacts: artifacts?.into_iter().collect(), warnings: found.warnings })
    }

    fn find(&self, base: &Path, path: &str, scheme: &str, found: &mut Found) -> Result<(), RecordError> {
        let root = base.join(path);
        if path != "." && self.is_excluded(path) {
            return Ok(());
        }
        let metadata = match std::fs::metadata(&root) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => {
                found.warnings.push(format!("\"{path}\" does not exist and is not recorded"));
                return Ok(());
            }
            Err(error) => return Err(RecordError::Io { path: root, error }),
        };
        if metadata.is_file() {
            return found.add(names::mangle(path, &self.lstrip, scheme), root);
        }
        match metadata.is_dir() {
            true => self.walk(&root, path, scheme, found),
            false => Ok(()),
        }
    }

    fn walk(&self, root: &Path, path: &str, scheme: &str, found: &mut Found) -> Result<(), RecordError> {
        let excludes = self.clone();
        let (top, prefix) = (root.to_owned(), path.to_owned());
        let walk = WalkBuilder::new(root)
            .standard_filters(false)
            .follow_links(true)
            .filter_entry(move |entry| {
                entry.depth() == 0
                    || joined(&top, &prefix, entry.path()).is_none_or(|path| !excludes.is_excluded(&path))
            })
            .build();
        for entry in walk {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.walk_error(error, root, path)?;
                    continue;
                }
            };
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                continue;
            }
            let path = joined(root, path, entry.path()).ok_or_else(|| RecordError::NotUtf8(entry.path().to_owned()))?;
            found.add(names::mangle(&path, &self.lstrip, scheme), entry.into_path())?;
        }
        Ok(())
    }

    /// A broken link is left out, and so is whatever is excluded anyway; everything else is an error.
    fn walk_error(&self, error: ignore::Error, root: &Path, path: &str) -> Result<(), RecordError> {
        let Some((at, fault)) = unwrap(error) else { return Ok(()) };
        let at = at.unwrap_or_else(|| root.to_owned());
        if at != root && joined(root, path, &at).is_some_and(|path| self.is_excluded(&path)) {
            return Ok(());
        }
        match fault {
            Fault::Loop => Err(RecordError::Loop(at)),
            // Asked again: the walker's error hides what the system said.
            Fault::Io(_) if at.is_symlink() && std::fs::metadata(&at).is_err_and(|error| is_absent(&error)) => Ok(()),
            Fault::Io(error) => Err(RecordError::Io { path: at, error }),
        }
    }

    /// As in-toto asks: the whole path, without a trailing slash for directories.
    fn is_excluded(&self, path: &str) -> bool {
        self.excludes.matched_path_or_any_parents(path.trim_start_matches('/'), false).is_ignore()
    }
}

fn compile<S: AsRef<str>>(patterns: &[S]) -> Result<Gitignore, RecordError> {
    let mut builder = GitignoreBuilder::new("");
    let malformed =
        |pattern: &str, error: ignore::Error| RecordError::Exclude { pattern: pattern.into(), why: error.to_string() };
    for pattern in patterns {
        builder.add_line(None, pattern.as_ref()).map_err(|error| malformed(pattern.as_ref(), error))?;
    }
    builder.build().map_err(|error| malformed("", error))
}

/// The files to hash, by name.
#[derive(Default)]
struct Found {
    files: BTreeMap<String, PathBuf>,
    warnings: Vec<String>,
}
impl Found {
    /// The same file may be found twice (`-m . -m src`); two files may not share a name.
    fn add(&mut self, name: String, path: PathBuf) -> Result<(), RecordError> {
        match self.files.get(&name) {
            Some(first) if names::normalise(&first.to_string_lossy()) != names::normalise(&path.to_string_lossy()) => {
                Err(RecordError::Collision { name, first: first.clone(), second: path })
            }
            _ => {
                self.files.insert(name, path);
                Ok(())
            }
        }
    }
}

/// The path of an entry as the caller would write it: the given path and what lies below it. `None`: not UTF-8.
fn joined(root: &Path, path: &str, entry: &Path) -> Option<String> {
    let below = entry.strip_prefix(root).ok()?.to_str()?;
    Some(match path {
        "." => below.to_owned(),
        _ if path.ends_with('/') => format!("{path}{below}"),
        _ => format!("{path}/{below}"),
    })
}

/// Nothing there, or a link to nothing, or a link to itself.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

enum Fault {
    Loop,
    Io(std::io::Error),
}

/// The path and the cause in the walker's nest of errors. `None`: a remark about something we do not use.
fn unwrap(error: ignore::Error) -> Option<(Option<PathBuf>, Fault)> {
    match error {
        ignore::Error::WithPath { path, err } => unwrap(*err).map(|(inner, fault)| (inner.or(Some(path)), fault)),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => unwrap(*err),
        ignore::Error::Loop { child, .. } => Some((Some(child), Fault::Loop)),
        ignore::Error::Io(error) => Some((None, Fault::Io(error))),
        other => Some((None, Fault::Io(std::io::Error::other(other.to_string())))),
    }
}

#[cfg(test)]
mod tests;
