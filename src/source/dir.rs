//! A directory of `*.link`, `*.layout`, `*.json` envelopes (for `in-toto verify --links DIR` and tests): bounded, never recursing.
//!
//! File names choose what is read and mean nothing more (in-toto R22).

use crate::{file, json, verify};
use anyhow::Context;
use std::{fs, path::Path};

/// The files that may hold an envelope, by the end of their name.
const EXTENSIONS: [&str; 3] = ["link", "layout", "json"];

/// Entries of a directory that are looked at. Ours: eight for each envelope that one verification may have.
const ENTRIES_MAX: usize = 8 * verify::Limits::DEFAULT.envelopes_max;

/// The envelopes of the directory, in the order of their file names, bytes as they are. A file larger than an envelope may be is cut
/// there, so that the verification counts it as unreadable. Files reached by a symbolic link are read, as mounted ConfigMaps are such.
///
/// # Errors
/// No such directory, a file that cannot be read, or more than one verification may have.
pub fn read(dir: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let limits = verify::Limits::DEFAULT;
    let mut paths = Vec::new();
    for (at, entry) in fs::read_dir(dir).with_context(|| format!("read the directory {}", dir.display()))?.enumerate() {
        anyhow::ensure!(at < ENTRIES_MAX, "{} has more than {ENTRIES_MAX} entries", dir.display());
        let path = entry.with_context(|| format!("read the directory {}", dir.display()))?.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if EXTENSIONS.contains(&extension) && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    anyhow::ensure!(
        paths.len() <= limits.envelopes_max,
        "{} has more than {} files of envelopes",
        dir.display(),
        limits.envelopes_max
    );
    let mut total = 0;
    let mut envelopes = Vec::new();
    for path in paths {
        let envelope = read_file(&path)?;
        total += envelope.len();
        anyhow::ensure!(
            total <= limits.evidence_bytes_max,
            "the envelopes in {} have more than {} bytes",
            dir.display(),
            limits.evidence_bytes_max
        );
        envelopes.push(envelope);
    }
    Ok(envelopes)
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
    fn envelopes_are_read_by_extension_in_order_and_no_deeper() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.link", "a.json", "c.layout", "readme.txt", ".build.link-unfinished"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        fs::create_dir(dir.path().join("deeper.link")).unwrap();
        fs::write(dir.path().join("deeper.link/d.link"), "d").unwrap();
        assert_eq!(read(dir.path()).unwrap(), [&b"a.json"[..], b"b.link", b"c.layout"]);
    }

    #[test]
    fn a_file_too_large_is_cut_and_no_directory_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let max = json::Limits::METADATA.bytes_max;
        fs::write(dir.path().join("big.link"), vec![b' '; max + 5]).unwrap();
        assert_eq!(read(dir.path()).unwrap()[0].len(), max + 1);
        assert!(read(&dir.path().join("none")).is_err());
    }
}
