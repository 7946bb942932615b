//! Which files there are at and below a path: level by level, the directories of a level side by side.
//!
//! Links to files and directories are followed under their own names, as `in-toto-run` follows them; broken ones and special files are
//! left out. Levels rather than recursion: however deep a hostile tree is, no stack grows with it.

use super::{fence::Fence, record::RecordError};
use rayon::prelude::*;
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Most files and directories of one recording. Links to directories can multiply: forty of them, each twice below the one before, are a
/// tree without end.
const ENTRIES_MAX: usize = 4_000_000;

/// A directory on the way down.
struct Directory {
    /// As the caller would write it.
    path: String,
    id: (u64, u64),
    parent: Option<Arc<Directory>>,
}

impl Directory {
    /// Whether the directory is this one or one it lies in.
    fn is_within(&self, id: (u64, u64)) -> bool {
        let mut next = Some(self);
        while let Some(directory) = next {
            if directory.id == id {
                return true;
            }
            next = directory.parent.as_deref();
        }
        false
    }

    fn child(&self, name: &str) -> String {
        match self.path.as_str() {
            "." => name.to_owned(),
            path if path.ends_with('/') => format!("{path}{name}"),
            path => format!("{path}/{name}"),
        }
    }
}

/// The regular files below the directory `top`, which is named as the caller wrote it and found below `base`; `leaves_out` is asked about
/// each file and directory by its path, and what it leaves out is not entered. No link leads out of the fence, where there is one.
///
/// # Errors
/// A directory that cannot be read, a loop of links, a name that is not UTF-8, more than four million entries: an incomplete record
/// is a false one.
pub fn files(
    base: &Path,
    top: &str,
    leaves_out: &(dyn Fn(&str) -> bool + Sync),
    fence: Option<&Fence>,
) -> Result<Vec<String>, RecordError> {
    let root = base.join(top);
    let metadata = fs::metadata(&root).map_err(|error| RecordError::Io { path: root, error })?;
    let mut level = vec![Directory { path: top.to_owned(), id: id(&metadata), parent: None }];
    let (mut files, mut directories) = (Vec::new(), 0);
    while !level.is_empty() {
        directories += level.len();
        let listed: Vec<(Vec<String>, Vec<Directory>)> = std::mem::take(&mut level)
            .into_par_iter()
            .map(|directory| list(base, directory, leaves_out, fence))
            .collect::<Result<_, _>>()?;
        for (found, below) in listed {
            files.extend(found);
            level.extend(below);
        }
        if files.len() + directories + level.len() > ENTRIES_MAX {
            return Err(RecordError::TooMany { path: base.join(top), max: ENTRIES_MAX });
        }
    }
    Ok(files)
}

/// The files and the directories in one directory.
fn list(
    base: &Path,
    directory: Directory,
    leaves_out: &(dyn Fn(&str) -> bool + Sync),
    fence: Option<&Fence>,
) -> Result<(Vec<String>, Vec<Directory>), RecordError> {
    let directory = Arc::new(directory);
    let on_disk = base.join(&directory.path);
    let failed = |path: PathBuf| |error| RecordError::Io { path, error };
    let (mut files, mut below) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(&on_disk).map_err(failed(on_disk.clone()))? {
        let entry = entry.map_err(failed(on_disk.clone()))?;
        let name = entry.file_name().into_string().map_err(|_| RecordError::NotUtf8(entry.path()))?;
        let path = directory.child(&name);
        if leaves_out(&path) {
            continue;
        }
        let kind = entry.file_type().map_err(failed(entry.path()))?;
        if kind.is_file() {
            files.push(path);
            continue;
        }
        if !kind.is_dir() && !kind.is_symlink() {
            continue;
        }
        let metadata = match fs::metadata(entry.path()) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(failed(entry.path())(error)),
        };
        if let Some(fence) = fence.filter(|_| kind.is_symlink()) {
            fence.check(&entry.path())?;
        }
        if metadata.is_file() {
            files.push(path);
        } else if metadata.is_dir() {
            if kind.is_symlink() && directory.is_within(id(&metadata)) {
                return Err(RecordError::Loop(entry.path()));
            }
            below.push(Directory { path, id: id(&metadata), parent: Some(directory.clone()) });
        }
    }
    Ok((files, below))
}

fn id(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Nothing there, or a link to nothing, or a link to itself.
pub fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}
