//! What is known of files that were hashed a moment ago: the products of a step are mostly its materials, and need not be read again.
//!
//! A file is taken for unchanged when device, inode, size, mtime and ctime are what they were. The command can set mtime back; ctime is
//! the kernel's, and moves with every write, rename and `utimensat`. What remains is guarded so:
//!
//! * the racy rule of git's index: two writes within one tick of the clock have one ctime, so a file that had just been changed when it
//!   was hashed is not remembered;
//! * only file systems whose ctime is this kernel's clock are remembered; a server, or a program behind FUSE, can say anything;
//! * one file of a hundred, chosen by a random key, is read all the same, and a difference throws everything away;
//! * a product that is named by itself is always read.
//!
//! It lives in this process and nowhere else. On disk, between the steps of a job, it would lie within reach of every step: they run as
//! the user we run as, so no key could sign it that they could not read. Who owns the clock (CAP_SYS_TIME) or the block device can
//! forge a ctime; so can the calls of XFS that swap extents. A file so changed has the hash it had before the step, which the next step
//! that reads it contradicts.

use std::{
    collections::HashMap,
    fs::Metadata,
    hash::{BuildHasher as _, RandomState},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Of so many files that are known, one is read again.
const SAMPLE: u64 = 100;
/// A tick of the kernel's clock is at most 10 ms; ten of them.
const TICK: Duration = Duration::from_millis(100);
/// The same where only whole seconds are kept, as ext3 and ext4 with small inodes do.
const COARSE_TICK: Duration = Duration::from_secs(2);

/// SHA-256.
pub type Hash = [u8; 32];

/// By what a file is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    id: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stat {
    pub fn of(metadata: &Metadata) -> Self {
        Stat {
            id: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether a change at `now` or later could not bear the same ctime. A ctime of the future is of another clock.
    fn is_settled(&self, now: SystemTime) -> bool {
        let tick = if self.changed.1 == 0 { COARSE_TICK } else { TICK };
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(self.changed.0), u32::try_from(self.changed.1)) else {
            return false;
        };
        let changed = UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds));
        changed.and_then(|changed| now.duration_since(changed).ok()).is_some_and(|age| age > tick)
    }
}

/// Hashes of files that were read once, in this process.
#[derive(Clone, Debug, Default)]
pub struct Known {
    files: HashMap<(u64, u64), (Stat, Hash)>,
    sample: RandomState,
}

/// A file that was read to its end while it held still.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub stat: Stat,
    pub hash: Hash,
    /// Before the first byte was read.
    pub at: SystemTime,
}

impl Known {
    /// Remembers what may be remembered of these; each path is where the file is, below `base`.
    pub fn of<'a>(base: &Path, seen: impl Iterator<Item = (&'a Path, Seen)>) -> Self {
        let mut devices = HashMap::new();
        let mut known = Known::default();
        for (path, Seen { stat, hash, at }) in seen {
            let keeps_time = *devices.entry(stat.id.0).or_insert_with(|| keeps_kernel_time(&base.join(path)));
            if keeps_time && stat.is_settled(at) {
                known.files.insert(stat.id, (stat, hash));
            }
        }
        known
    }

    /// The hash of a file that looks as it did.
    pub fn get(&self, stat: &Stat) -> Option<&Hash> {
        self.files.get(&stat.id).filter(|(known, _)| known == stat).map(|(_, hash)| hash)
    }

    /// Whether this file is one of those that are read all the same. Nobody else knows the key.
    pub fn is_sampled(&self, stat: &Stat) -> bool {
        self.sample.hash_one(stat.id).is_multiple_of(SAMPLE)
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

#[cfg(test)]
impl Known {
    /// The same files under another key of the sample, all with this hash.
    pub fn with_hashes(&self, hash: Hash) -> Self {
        let files = self.files.iter().map(|(id, (stat, _))| (*id, (*stat, hash))).collect();
        Known { files, sample: RandomState::new() }
    }
    /// Whether none of its files is read again.
    pub fn samples_none(&self) -> bool {
        !self.files.values().any(|(stat, _)| self.is_sampled(stat))
    }
}

/// Whether the file system at the path stamps changes with this kernel's own clock: ext2 to ext4, xfs, btrfs, f2fs, bcachefs, zfs,
/// tmpfs, overlayfs. (`linux/magic.h`)
fn keeps_kernel_time(path: &Path) -> bool {
    const KINDS: [i64; 8] =
        [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0xCA45_1A4E, 0x2FC1_2FC1, 0x0102_1994, 0x794C_7630];
    #[allow(clippy::useless_conversion)] // elsewhere the field has another width
    rustix::fs::statfs(path).is_ok_and(|found| KINDS.contains(&i64::from(found.f_type)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(changed: (i64, i64)) -> Stat {
        Stat { id: (1, 2), size: 3, modified: (4, 5), changed }
    }
    fn at(seconds: u64, nanoseconds: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, nanoseconds)
    }

    #[test]
    fn what_changed_within_a_tick_is_not_settled() {
        assert!(stat((1_000, 1)).is_settled(at(1_000, 200_000_000)));
        assert!(!stat((1_000, 1)).is_settled(at(1_000, 90_000_000)));
        // Whole seconds, and a file system that knows no others.
        assert!(!stat((1_000, 0)).is_settled(at(1_001, 500_000_000)));
        assert!(stat((1_000, 0)).is_settled(at(1_003, 0)));
        // Of the future, and of before all time.
        assert!(!stat((2_000, 1)).is_settled(at(1_000, 0)));
        assert!(!stat((-1, 1)).is_settled(at(1_000, 0)));
    }

    #[test]
    fn a_file_is_known_by_all_of_its_stat() {
        let directory = tempfile::tempdir().unwrap();
        let one = stat((1_000, 1));
        let seen = |at| Seen { stat: one, hash: [7; 32], at };
        let mut known = Known::default();
        known.files.insert(one.id, (one, [7; 32]));
        assert_eq!(known.get(&one), Some(&[7; 32]));
        for other in [
            Stat { id: (1, 3), ..one },
            Stat { id: (2, 2), ..one },
            Stat { size: 4, ..one },
            Stat { modified: (4, 6), ..one },
            Stat { changed: (1_000, 2), ..one },
        ] {
            assert_eq!(known.get(&other), None, "{other:?}");
        }
        assert!(Known::of(directory.path(), [(Path::new("."), seen(at(1_000, 2)))].into_iter()).is_empty());
        // A file system that another than this kernel keeps the time of.
        assert!(Known::of(Path::new("/proc"), [(Path::new("self"), seen(at(9_000, 0)))].into_iter()).is_empty());
    }

    #[test]
    fn one_of_a_hundred_is_read_all_the_same() {
        let known = Known::default();
        let sampled = (0..10_000).filter(|n| known.is_sampled(&Stat { id: (1, *n), ..stat((1, 1)) })).count();
        assert!((40..200).contains(&sampled), "{sampled}");
    }
}
