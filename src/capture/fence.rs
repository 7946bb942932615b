//! What a checked-out tree names must lie in it: else a hostile one has the hash of any file published that its name or a link leads to
//! (security T-25). What the command line names is free, and walked as in-toto-run walks it.

use super::record::RecordError;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Around the paths that the tree named.
#[derive(Clone, Debug, Default)]
pub struct Fence {
    /// As they were written.
    paths: BTreeSet<String>,
    /// Where they may lead, links followed.
    roots: Vec<PathBuf>,
}

impl Fence {
    /// Around `paths`, which must not lead out of `directories`.
    ///
    /// # Errors
    /// One of the directories is not there.
    pub fn new(paths: impl IntoIterator<Item = String>, directories: &[&Path]) -> std::io::Result<Self> {
        let roots = directories.iter().map(|directory| directory.canonicalize()).collect::<Result<_, _>>()?;
        Ok(Fence { paths: paths.into_iter().collect(), roots })
    }

    /// The fence, if this path is one of those.
    pub fn around(&self, written: &str) -> Option<&Self> {
        self.paths.contains(written).then_some(self)
    }

    /// The same around another path, which one of those led to.
    pub fn of(&self, path: &str) -> Self {
        Fence { paths: [path.to_owned()].into(), roots: self.roots.clone() }
    }

    /// Whether what a path leads to lies within: of one that leads to nothing, what lies on its way.
    ///
    /// # Errors
    /// It does not, or cannot be looked at.
    pub fn check(&self, path: &Path) -> Result<(), RecordError> {
        for part in path.ancestors() {
            let part = if part.as_os_str().is_empty() { Path::new(".") } else { part };
            return match part.canonicalize() {
                Ok(real) if self.roots.iter().any(|root| real.starts_with(root)) => Ok(()),
                Ok(_) => Err(RecordError::Outside(path.to_owned())),
                Err(error) if super::walk::is_absent(&error) => continue,
                Err(error) => Err(RecordError::Io { path: path.to_owned(), error }),
            };
        }
        Err(RecordError::Outside(path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn links_within_and_links_out() {
        let (tree, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| tree.path().join(name);
        fs::create_dir(at("src")).unwrap();
        fs::write(at("src/a"), "a").unwrap();
        fs::write(outside.path().join("b"), "b").unwrap();
        symlink("src", at("within")).unwrap();
        symlink(outside.path(), at("out")).unwrap();
        symlink("out", at("by-way")).unwrap();
        symlink("missing", at("broken")).unwrap();
        let fence = Fence::new(["src".to_owned()], &[tree.path()]).unwrap();
        for name in ["", "src", "src/a", "within/a", "missing", "missing/a", "broken", "src/../src/a"] {
            assert!(fence.check(&at(name)).is_ok(), "{name}");
        }
        for name in ["out", "out/b", "by-way/b", "out/missing", "..", "src/../.."] {
            assert!(matches!(fence.check(&at(name)), Err(RecordError::Outside(_))), "{name}");
        }
        assert!(fence.around("src").is_some() && fence.around("lib").is_none() && fence.of("x").around("x").is_some());
        assert!(Fence::new([], &[&at("missing")]).is_err());
    }
}
