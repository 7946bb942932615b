//! Files → artifacts: which files, under which names, with which hashes (in-toto §1.15).
//!
//! The same files and names as `in-toto-run`: links to files and directories are followed under their own names, broken ones and
//! special files left out, excluded directories not entered. Where in-toto goes on in silence (a directory it may not read, two files
//! under one name, a loop of links), this is an error: an incomplete record is a false one.

use super::{
    cache::{Hash, Known, Seen, Stat},
    exclude::Excludes,
    fence::Fence,
    hash,
    names::{self, Scheme},
    progress::Progress,
    walk,
};
use crate::{digest::DigestSet, intoto::Artifacts};
use rayon::prelude::*;
use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
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
    #[error(
        "\"{0}\" leads out of the working directory, whose .tidewaiter.toml names it; exclude it, or name it on the command line"
    )]
    Outside(PathBuf),
    #[error("\"{0}\" has a name that is not UTF-8")]
    NotUtf8(PathBuf),
    #[error("there are more than {max} files and directories at \"{path}\"")]
    TooMany { path: PathBuf, max: usize },
    #[error("\"{path}\" can not be read: {error}")]
    Io { path: PathBuf, error: std::io::Error },
}

/// What was found below the paths.
#[derive(Debug, Default)]
pub struct Recording {
    pub artifacts: Artifacts,
    pub warnings: Vec<String>,
    /// What the next recording in this process need not read again.
    pub known: Known,
}

/// How paths become artifacts.
#[derive(Clone, Debug)]
pub struct Recorder {
    excludes: Excludes,
    lstrip: Vec<String>,
    normalise_line_endings: bool,
    /// Around the paths that are not the caller's own.
    fence: Fence,
}

/// A file to hash.
struct File {
    name: String,
    path: String,
    /// Given by itself, and not found below something: it is read whatever is known of it.
    is_named: bool,
}

/// The hash of a file, and by what it may be known again.
type Hashed = (Hash, Option<Seen>);

/// One artifact for something that is no file: its name, where it is, its hash.
type Whole = (String, PathBuf, Hash);

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
            true => Excludes::new(&EXCLUDES_DEFAULT),
            false => Excludes::new(excludes),
        };
        let excludes = excludes.map_err(|(pattern, why)| RecordError::Exclude { pattern, why })?;
        Ok(Recorder { excludes, lstrip: lstrip.to_vec(), normalise_line_endings, fence: Fence::default() })
    }

    /// With a fence around some paths.
    pub fn fenced(self, fence: Fence) -> Self {
        Recorder { fence, ..self }
    }

    /// Whether any of the paths leads out of its fence, as far as can be told before a command makes what they name.
    ///
    /// # Errors
    /// One does, or a directory cannot be read.
    pub fn check(&self, base: &Path, paths: &[String]) -> Result<(), RecordError> {
        for written in paths.iter().filter(|written| self.fence.around(written).is_some()) {
            match names::split_scheme(written).map_err(RecordError::Path)? {
                (Scheme::Files { .. }, path) => {
                    let path = names::normalise(path);
                    self.find(base, &path, "", self.fence.around(written), &mut Vec::new(), &mut Vec::new())?;
                }
                (Scheme::Directory, path) => {
                    let (root, fence) = (base.join(path), self.fence.of("."));
                    fence.check(&root)?;
                    if root.is_dir() {
                        self.find(&root, ".", "", Some(&fence), &mut Vec::new(), &mut Vec::new())?;
                    }
                }
                // Read as it is recorded.
                (Scheme::OsTree, _) => {}
            }
        }
        Ok(())
    }

    /// Every file at or below the paths, relative ones starting from `base`. A path that does not exist is a warning, as a step may
    /// well make it or remove it. What is `known` of the files is believed where it may be (see [`super::cache`]).
    pub fn record(
        &self,
        base: &Path,
        paths: &[String],
        known: &Known,
        progress: Progress,
    ) -> Result<Recording, RecordError> {
        let mut recording = Recording::default();
        let (mut files, mut others) = (Vec::new(), Vec::new());
        for written in paths {
            let fence = self.fence.around(written);
            match names::split_scheme(written).map_err(RecordError::Path)? {
                (Scheme::Files { prefix }, path) => {
                    let path = names::normalise(path);
                    self.find(base, &path, prefix, fence, &mut files, &mut recording.warnings)?;
                }
                (Scheme::Directory, path) => others.push(self.directory(base, path, fence, known, progress)?),
                (Scheme::OsTree, path) => others.push(ostree(base, path, fence)?),
            }
        }
        let files = distinct(base, files)?;
        let (mut hashed, lied) = self.hash(base, &files, known, progress)?;
        if lied {
            recording.warnings.push("a file changed and its ctime did not; every file is read again".to_owned());
            hashed = self.hash(base, &files, &Known::default(), progress)?.0;
        }
        let seen = hashed.iter().zip(&files).filter_map(|((_, seen), file)| Some((Path::new(&file.path), (*seen)?)));
        recording.known = Known::of(base, seen);
        let hashes = hashed.iter().map(|(hash, _)| DigestSet::of_sha256(*hash));
        recording.artifacts = files.into_iter().map(|file| file.name).zip(hashes).collect();
        for (name, path, hash) in others {
            let hash = DigestSet::of_sha256(hash);
            if recording.artifacts.insert(&name, hash.clone()).is_some_and(|other| other != hash) {
                return Err(RecordError::Collision { name, first: path.clone(), second: path });
            }
        }
        Ok(recording)
    }

    /// The files at or below one path.
    fn find(
        &self,
        base: &Path,
        path: &str,
        prefix: &str,
        fence: Option<&Fence>,
        files: &mut Vec<File>,
        warnings: &mut Vec<String>,
    ) -> Result<(), RecordError> {
        // Off-spec: in-toto asks about `.` too, so that `.*` leaves out everything there is.
        if path != "." && self.excludes.matches(path) {
            return Ok(());
        }
        let root = base.join(path);
        fence.map_or(Ok(()), |fence| fence.check(&root))?;
        let metadata = match std::fs::metadata(&root) {
            Ok(metadata) => metadata,
            Err(error) if walk::is_absent(&error) => {
                warnings.push(format!("\"{path}\" does not exist and is not recorded"));
                return Ok(());
            }
            Err(error) => return Err(RecordError::Io { path: root, error }),
        };
        let file = |path: String, is_named| File { name: names::mangle(&path, &self.lstrip, prefix), path, is_named };
        if metadata.is_file() {
            files.push(file(path.to_owned(), true));
        } else if metadata.is_dir() {
            let found = walk::files(base, path, &|path| self.excludes.matches(path), fence)?;
            files.extend(found.into_iter().map(|path| file(path, false)));
        }
        Ok(())
    }

    /// The hash of each file, by what it may be known again, and whether a file that is known turned out to be another.
    fn hash(
        &self,
        base: &Path,
        files: &[File],
        known: &Known,
        progress: Progress,
    ) -> Result<(Vec<Hashed>, bool), RecordError> {
        let lied = AtomicBool::new(false);
        let one = |buffer: &mut Vec<u8>, file: &File| -> std::io::Result<Hashed> {
            let path = base.join(&file.path);
            let remembered = match known.is_empty() || file.is_named {
                true => None,
                false => {
                    let stat = Stat::of(&std::fs::metadata(&path)?);
                    known.get(&stat).map(|hash| (stat, *hash))
                }
            };
            match remembered {
                Some((stat, hash)) if !known.is_sampled(&stat) => Ok((hash, None)),
                Some((stat, hash)) => {
                    let found = hash::file(&path, self.normalise_line_endings, buffer)?;
                    let same_file = found.1.is_some_and(|seen| seen.stat == stat);
                    lied.fetch_or(same_file && found.0 != hash, Ordering::Relaxed);
                    Ok(found)
                }
                None => hash::file(&path, self.normalise_line_endings, buffer),
            }
        };
        let hashed = progress.during(files.len(), |counter| {
            files
                .par_iter()
                .map_init(
                    || vec![0; hash::BUFFER_BYTES],
                    |buffer, file| {
                        let hashed = one(buffer, file);
                        counter.step();
                        hashed.map_err(|error| RecordError::Io { path: base.join(&file.path), error })
                    },
                )
                .collect::<Result<Vec<_>, _>>()
        })?;
        Ok((hashed, lied.into_inner()))
    }

    /// One artifact for a directory: the SHA-256 of what `sha256sum` would print of its files, sorted by name.
    fn directory(
        &self,
        base: &Path,
        path: &str,
        fence: Option<&Fence>,
        known: &Known,
        progress: Progress,
    ) -> Result<Whole, RecordError> {
        let fence_inside = fence.map(|fence| fence.of(".")).unwrap_or_default();
        let inside = Recorder { lstrip: Vec::new(), fence: fence_inside, ..self.clone() };
        let root = base.join(path);
        fence.map_or(Ok(()), |fence| fence.check(&root))?;
        if !root.is_dir() {
            return Err(RecordError::Path(anyhow::anyhow!("\"{path}\" is no directory")));
        }
        let files = inside.record(&root, &[".".to_owned()], known, progress)?.artifacts;
        let mut text = String::new();
        for (name, hashes) in &files {
            // It would be two lines, and the directory's hash that of another directory.
            if name.contains('\n') {
                let name = name.escape_debug();
                return Err(RecordError::Path(anyhow::anyhow!(
                    "\"{name}\" in \"{path}\" has a line break in its name"
                )));
            }
            text.extend([hashes.get("sha256").as_deref().unwrap_or_default(), "  ", name, "\n"]);
        }
        let hash = hash::reader(text.as_bytes(), false, &mut [0; 4096])
            .map_err(|error| RecordError::Io { path: root.clone(), error })?;
        Ok((names::mangle(path, &self.lstrip, names::DIRECTORY), root, hash))
    }
}

/// The commit object of a branch, in the OSTree repository at `base`.
fn ostree(base: &Path, branch: &str, fence: Option<&Fence>) -> Result<Whole, RecordError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |error| RecordError::Io { path, error }
    };
    let check = |path: &Path| fence.map_or(Ok(()), |fence| fence.check(path));
    let head = base.join("refs/heads").join(branch);
    check(&head)?;
    let commit = crate::file::read_text(&head, crate::file::SMALL_BYTES_MAX).map_err(RecordError::Path)?;
    let commit = commit.trim_matches('\n');
    let malformed = || RecordError::Path(anyhow::anyhow!("\"{}\" names no commit", head.display()));
    let is_hex = commit.len() > 2 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (directory, rest) = is_hex.then(|| commit.split_at(2)).ok_or_else(malformed)?;
    let object = base.join(format!("objects/{directory}/{rest}.commit"));
    check(&object)?;
    let (hash, _) = hash::file(&object, false, &mut [0; 4096]).map_err(failed(&object))?;
    Ok((format!("{}{branch}", names::OSTREE), object, hash))
}

/// Sorted by name. The same file may be found twice (`-m . -m src`); two files may not share a name.
fn distinct(base: &Path, mut files: Vec<File>) -> Result<Vec<File>, RecordError> {
    // Of a file that was found twice, the one that was named stays.
    files.par_sort_unstable_by(|a, b| {
        a.name.cmp(&b.name).then_with(|| a.path.cmp(&b.path)).then(b.is_named.cmp(&a.is_named))
    });
    files.dedup_by(|next, before| next.name == before.name && next.path == before.path);
    match files.iter().zip(files.iter().skip(1)).find(|(one, next)| one.name == next.name) {
        None => Ok(files),
        Some((one, next)) => Err(RecordError::Collision {
            name: one.name.clone(),
            first: base.join(&one.path),
            second: base.join(&next.path),
        }),
    }
}

#[cfg(test)]
mod tests;
