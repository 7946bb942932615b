//! A file of SQLite is one process's to serve. Two would each keep what the other does not see: budgets, dictionaries, who waits for what.
//! Those who look, copy or migrate beside it are not kept out.

use super::Location;
use anyhow::{Context as _, bail};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// Held by the process that serves a file of SQLite. The system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "locked as long as it is open")] File);

impl Lock {
    /// Takes the lock of a database; `None` where several processes may serve it.
    ///
    /// # Errors
    /// Another process has it.
    pub fn take(location: &Location) -> anyhow::Result<Option<Self>> {
        let Location::Sqlite(database) = location else { return Ok(None) };
        let path = beside(database);
        // Not the database itself: SQLite's own locks of it would be lost with the first of our files that is closed.
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => {
                bail!("another store serves it, and a file of SQLite has one at a time ({} is locked)", path.display())
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(path = %path.display(), "the file system has no locks: see that no other store serves the database");
                Ok(None)
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
        }
    }
}

/// One place for every name that leads to the file.
fn beside(database: &Path) -> PathBuf {
    let mut path = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    path.push(".lock");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_by_whatever_name() {
        let dir = tempfile::tempdir().unwrap();
        let location = |name: &str| Location::Sqlite(dir.path().join(name));
        let error = |name: &str| format!("{:#}", Lock::take(&location(name)).unwrap_err());
        std::fs::write(dir.path().join("store.db"), "").unwrap();
        std::os::unix::fs::symlink("store.db", dir.path().join("other.db")).unwrap();
        let held = Lock::take(&location("store.db")).unwrap();
        assert!(held.is_some());
        for name in ["store.db", "other.db"] {
            assert!(error(name).starts_with("another store serves it"), "{}", error(name));
        }
        assert!(Lock::take(&location("new.db")).unwrap().is_some(), "another file is another database");
        drop(held);
        assert!(Lock::take(&location("other.db")).unwrap().is_some());
        assert!(error("missing/store.db").contains("missing/store.db.lock"));
        assert!(Lock::take(&"postgres://localhost/store".parse().unwrap()).unwrap().is_none());
    }
}
