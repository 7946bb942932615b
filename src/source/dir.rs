//! A directory of `*.link`, `*.layout`, `*.json` envelopes (for `in-toto verify --links DIR` and tests), and of the directories in it that
//! hold the links of sublayouts: bounded, and no deeper than layouts may stand inside one another.
//!
//! File names choose what is read; what more they mean, and that they can never let anything in, `verify::Piece` says (in-toto R22).

use crate::{file, json, verify};
use anyhow::Context;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The files that may hold an envelope, by the end of their name.
const EXTENSIONS: [&str; 3] = ["link", "layout", "json"];

/// Entries of all directories that are looked at. Ours: eight for each envelope that one verification may have.
const ENTRIES_MAX: usize = 8 * verify::Limits::DEFAULT.envelopes_max;

/// A file that may hold an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Below the directory, with `/` between its parts.
    pub name: String,
    pub bytes: Vec<u8>,
}

impl File {
    /// As evidence.
    pub fn piece(&self) -> verify::Piece<'_> {
        verify::Piece { bytes: &self.bytes, name: Some(&self.name) }
    }
}

/// The envelopes of the directory and of the sublayouts' in it (`<step>.<8 hex>/`, specification 4.5.2), in the order of their names, bytes
/// as they are. A file larger than an envelope may be is cut there, so that the verification counts it as unreadable. Files reached by a
/// symbolic link are read, as mounted ConfigMaps are such; directories are not.
///
/// # Errors
/// No such directory, a file that cannot be read, or more than one verification may have.
pub fn read(dir: &Path) -> anyhow::Result<Vec<File>> {
    let limits = verify::Limits::DEFAULT;
    let mut found = Found { dir, entries: 0, files: Vec::new() };
    found.look(dir, "", limits.sublayouts_deep_max)?;
    found.files.sort();
    anyhow::ensure!(
        found.files.len() <= limits.envelopes_max,
        "{} has more than {} files of envelopes",
        dir.display(),
        limits.envelopes_max
    );
    let mut total = 0;
    let mut envelopes = Vec::new();
    for (name, path) in found.files {
        let bytes = read_file(&path)?;
        total += bytes.len();
        anyhow::ensure!(
            total <= limits.evidence_bytes_max,
            "the envelopes in {} have more than {} bytes",
            dir.display(),
            limits.evidence_bytes_max
        );
        envelopes.push(File { name, bytes });
    }
    Ok(envelopes)
}

struct Found<'d> {
    dir: &'d Path,
    entries: usize,
    files: Vec<(String, PathBuf)>,
}

impl Found<'_> {
    /// Looks into one directory, whose name below the first is `prefix`, and so many deeper.
    fn look(&mut self, dir: &Path, prefix: &str, deeper: usize) -> anyhow::Result<()> {
        for entry in fs::read_dir(dir).with_context(|| format!("read the directory {}", dir.display()))? {
            self.entries += 1;
            anyhow::ensure!(self.entries <= ENTRIES_MAX, "{} has more than {ENTRIES_MAX} entries", self.dir.display());
            let entry = entry.with_context(|| format!("read the directory {}", dir.display()))?;
            // A name that is no text is no name of an envelope's file.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = entry.path();
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_dir && deeper > 0 && is_key_prefix(extension) {
                self.look(&path, &format!("{prefix}{name}/"), deeper - 1)?;
            } else if EXTENSIONS.contains(&extension) && path.is_file() {
                self.files.push((format!("{prefix}{name}"), path));
            }
        }
        Ok(())
    }
}

/// The end of a sublayout's directory: the beginning of a key id.
fn is_key_prefix(extension: &str) -> bool {
    extension.len() == 8 && extension.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A file that may hold an envelope: at most one byte more than such may have.
///
/// # Errors
/// It cannot be read.
pub fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    file::read_cut(path, json::Limits::METADATA.bytes_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_read_by_extension_in_order_and_those_of_sublayouts_below() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.link", "a.json", "c.layout", "readme.txt", ".build.link-unfinished"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        for folder in ["deeper.link", "other", "b.1a2b3c4d/e.12345678"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
            fs::write(dir.path().join(folder).join("d.link"), "d").unwrap();
        }
        std::os::unix::fs::symlink(dir.path().join("other"), dir.path().join("l.1a2b3c4d")).unwrap();
        let names: Vec<String> = read(dir.path()).unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["a.json", "b.1a2b3c4d/e.12345678/d.link", "b.link", "c.layout"]);
    }

    #[test]
    fn a_file_too_large_is_cut_and_no_directory_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let max = json::Limits::METADATA.bytes_max;
        fs::write(dir.path().join("big.link"), vec![b' '; max + 5]).unwrap();
        assert_eq!(read(dir.path()).unwrap()[0].bytes.len(), max + 1);
        assert!(read(&dir.path().join("none")).is_err());
    }
}
