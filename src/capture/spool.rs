//! Where records wait for a store that is down (store §5.4): one file a record, written whole or not at all. In it are the signed bytes
//! and where they belong; never a store's address or a token.
//!
//! A file is named by the record's digest, for people, and by all that is sent: two functionaries may sign the very same payload, and one
//! payload may belong to two runs. Each of these waits for itself.

use super::{
    ci::{Detected, Variables, template},
    upload::{Belongs, Refusal},
};
use crate::{digest::Digest, envelope::Envelope, file};
use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Digits of the hash of all that is sent, in a file's name: as many as nobody finds another record for.
const MARK_DIGITS: usize = 32;
/// Files are named like links, so that who leaves links out of a recording leaves these out.
const SUFFIX: &str = ".link.json";
/// Where records lie that a store refused.
const ASIDE: &str = "refused";
/// The bytes a spool may have unless it is told otherwise.
pub const BYTES_MAX_DEFAULT: u64 = 256 << 20;
/// One record in base64 with what belongs to it.
const RECORD_BYTES_MAX: usize = 24 << 20;
/// What a killed writer left is of no use after this long.
const STALE: Duration = Duration::from_secs(3_600);

/// A directory of records.
#[derive(Clone, Debug)]
pub struct Spool {
    directory: PathBuf,
    bytes_max: u64,
}

/// A record that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The record's name, `sha256:…`.
    pub digest: String,
    /// In base64.
    pub envelope: String,
    pub belongs: Belongs,
    /// Why the store did not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
}
impl Record {
    pub fn new(envelope: &Envelope, belongs: Belongs) -> Self {
        let bytes = envelope.to_bytes();
        Record { digest: envelope.digest().to_string(), envelope: STANDARD.encode(bytes), belongs, refused: None }
    }

    /// Whether the store would be told the same: every signature counts, and so does where it belongs. Why it was refused does not.
    fn is_same(&self, other: &Self) -> bool {
        (&self.digest, &self.envelope, &self.belongs) == (&other.digest, &other.envelope, &other.belongs)
    }

    /// Its file's name.
    fn file_name(&self) -> anyhow::Result<String> {
        let hex = self.digest.strip_prefix("sha256:").context("the record's name is no SHA-256")?;
        let sent = Digest::sha256(&serde_json::to_vec(&(&self.envelope, &self.belongs))?);
        Ok(format!("{hex}.{}{SUFFIX}", sent.hex().get(..MARK_DIGITS).unwrap_or_default()))
    }

    /// The envelope's bytes, which are what the record's name says.
    fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        let bytes = STANDARD.decode(&self.envelope)?;
        let digest = Envelope::parse(&bytes)?.digest().to_string();
        anyhow::ensure!(digest == self.digest, "it is {digest}, and named {}", self.digest);
        Ok(bytes)
    }
}

/// A record with its file.
#[derive(Clone, Debug)]
pub struct Entry {
    path: PathBuf,
    pub record: Record,
    pub envelope: Vec<u8>,
}

/// Held by who empties the spool; released when it is dropped, or its holder dies.
pub struct Lock {
    _directory: File,
}

/// Where the spool is: `TIDEWAITER_SPOOL`, a place of the CI system's own that outlives a step, or the person's.
pub fn place(environment: &Variables, detected: Option<&Detected>) -> Option<PathBuf> {
    let given = |name| template::given(name, environment).map(PathBuf::from);
    let system = || detected.and_then(|detected| detected.spool.clone());
    let state = || given("XDG_STATE_HOME").or_else(|| given("HOME").map(|home| home.join(".local/state")));
    given("TIDEWAITER_SPOOL").or_else(system).or_else(|| state().map(|state| state.join("tidewaiter/spool")))
}

impl Spool {
    /// Nothing is read or made yet.
    pub fn new(directory: PathBuf, bytes_max: u64) -> Self {
        Spool { directory, bytes_max }
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Keeps a record until it is sent. One that waits already is kept once.
    ///
    /// # Errors
    /// The directory is not ours, or full, or the disk is.
    pub fn add(&self, record: &Record) -> anyhow::Result<()> {
        self.make(&self.directory)?;
        let bytes = serde_json::to_vec(record)?;
        self.check_room(bytes.len())?;
        self.write(&self.directory, record, &bytes)
    }

    /// Keeps a record that the store refused, with why, out of the way of the others.
    ///
    /// # Errors
    /// As [`Spool::add`].
    pub fn set_aside(&self, record: &Record, refusal: Refusal) -> anyhow::Result<()> {
        self.refuse(record, refusal, true)
    }

    /// The same of one that waits: it makes room as it leaves. Aside first, then away: whoever dies between the two leaves it twice,
    /// never lost.
    ///
    /// # Errors
    /// The disk is full, or a file cannot be moved.
    pub fn move_aside(&self, entry: &Entry, refusal: Refusal) -> anyhow::Result<()> {
        self.refuse(&entry.record, refusal, false)?;
        self.remove(entry)
    }

    fn refuse(&self, record: &Record, refusal: Refusal, takes_room: bool) -> anyhow::Result<()> {
        let directory = self.directory.join(ASIDE);
        self.make(&self.directory)?;
        self.make(&directory)?;
        let record = Record { refused: Some(refusal), ..record.clone() };
        let bytes = serde_json::to_vec(&record)?;
        if takes_room {
            self.check_room(bytes.len())?;
        }
        self.write(&directory, &record, &bytes)
    }

    /// A record that is sent.
    ///
    /// # Errors
    /// It cannot be removed; sending it again would be harmless.
    pub fn remove(&self, entry: &Entry) -> anyhow::Result<()> {
        match fs::remove_file(&entry.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove \"{}\"", entry.path.display()))
            }
            _ => Ok(()),
        }
    }

    /// The records that wait, the oldest first, and what is wrong with files that are none.
    ///
    /// # Errors
    /// The directory cannot be read, or is not ours.
    pub fn waiting(&self) -> anyhow::Result<(Vec<Entry>, Vec<anyhow::Error>)> {
        let mut files = Vec::new();
        for (path, metadata) in self.files(&self.directory)? {
            match path.file_name().and_then(|name| name.to_str()) {
                Some(name) if !name.starts_with('.') && name.ends_with(SUFFIX) => {
                    files.push((metadata.modified()?, path))
                }
                Some(name) if name.starts_with('.') && is_stale(&metadata) => drop(fs::remove_file(&path)),
                _ => {}
            }
        }
        files.sort();
        let (mut entries, mut broken) = (Vec::new(), Vec::new());
        for (_, path) in files {
            match read(&path) {
                Ok((record, envelope)) => entries.push(Entry { path, record, envelope }),
                Err(error) => broken.push(error.context(format!("\"{}\" is no record", path.display()))),
            }
        }
        Ok((entries, broken))
    }

    /// Brings back what was set aside; how many.
    ///
    /// # Errors
    /// A file cannot be moved.
    pub fn recall(&self) -> anyhow::Result<usize> {
        let mut recalled = 0;
        for (path, _) in self.files(&self.directory.join(ASIDE))? {
            let Ok((record, _)) = read(&path) else { continue };
            let record = Record { refused: None, ..record };
            self.write(&self.directory, &record, &serde_json::to_vec(&record)?)?;
            fs::remove_file(&path)?;
            recalled += 1;
        }
        Ok(recalled)
    }

    /// Keeps others from emptying it at the same time; waits for them where `wait`. `None`: someone else is at it, or there is no
    /// spool.
    ///
    /// # Errors
    /// The directory cannot be locked, or is not ours.
    pub fn lock(&self, wait: bool) -> anyhow::Result<Option<Lock>> {
        let named = || format!("the spool \"{}\"", self.directory.display());
        let directory = match File::open(&self.directory) {
            Ok(directory) => directory,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(named),
        };
        self.check(&self.directory)?;
        match wait {
            true => directory.lock().with_context(named)?,
            false => match directory.try_lock() {
                Err(fs::TryLockError::WouldBlock) => return Ok(None),
                Err(fs::TryLockError::Error(error)) => return Err(error).with_context(named),
                Ok(()) => {}
            },
        }
        Ok(Some(Lock { _directory: directory }))
    }

    fn write(&self, directory: &Path, record: &Record, bytes: &[u8]) -> anyhow::Result<()> {
        let path = directory.join(record.file_name()?);
        match file::write_new(&path, bytes, 0o600) {
            // It is there already: that very one, and not what somebody else put in its place.
            Err(_) if read(&path).is_ok_and(|(known, _)| known.is_same(record)) => Ok(()),
            other => other,
        }
    }

    fn check_room(&self, bytes: usize) -> anyhow::Result<()> {
        let used = self.bytes()?;
        anyhow::ensure!(
            used.saturating_add(bytes as u64) <= self.bytes_max,
            "the spool \"{}\" has {used} bytes of at most {}",
            self.directory.display(),
            self.bytes_max
        );
        Ok(())
    }

    fn make(&self, directory: &Path) -> anyhow::Result<()> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.with_context(|| format!("make the spool \"{}\"", directory.display()))?;
        self.check(directory)
    }

    /// It may lie in a checked-out tree, which could have made it a way to somewhere else.
    fn check(&self, directory: &Path) -> anyhow::Result<()> {
        let metadata = directory.symlink_metadata().with_context(|| format!("\"{}\"", directory.display()))?;
        let ours = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
        anyhow::ensure!(ours, "\"{}\" can not be the spool: it is no directory of ours", directory.display());
        Ok(())
    }

    fn bytes(&self) -> anyhow::Result<u64> {
        let (own, aside) = (self.files(&self.directory)?, self.files(&self.directory.join(ASIDE))?);
        Ok(own.iter().chain(&aside).map(|(_, metadata)| metadata.len()).sum())
    }

    /// The regular files of a directory; none where it is not there.
    fn files(&self, directory: &Path) -> anyhow::Result<Vec<(PathBuf, fs::Metadata)>> {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("read the spool \"{}\"", directory.display())),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_file() => files.push((entry.path(), metadata)),
                _ => {}
            }
        }
        Ok(files)
    }
}

fn read(path: &Path) -> anyhow::Result<(Record, Vec<u8>)> {
    let record: Record = serde_json::from_slice(&file::read(path, RECORD_BYTES_MAX)?)?;
    let envelope = record.bytes()?;
    Ok((record, envelope))
}

fn is_stale(metadata: &fs::Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    age.is_some_and(|age| age > STALE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        envelope::INTOTO_PAYLOAD_TYPE,
        key::{Scheme, SecretKey},
    };

    /// Signed by somebody new each time.
    fn record(payload: &str) -> Record {
        let key = SecretKey::generate(Scheme::Ed25519).unwrap();
        let envelope = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, payload.as_bytes().to_vec(), &[&key]).unwrap();
        Record::new(&envelope, Belongs { run: Some("7".into()), ..Belongs::default() })
    }
    fn waiting(spool: &Spool) -> Vec<Record> {
        let (entries, broken) = spool.waiting().unwrap();
        assert!(broken.is_empty(), "{broken:?}");
        entries.into_iter().map(|entry| entry.record).collect()
    }
    fn spool(bytes_max: u64) -> (tempfile::TempDir, Spool) {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path().join("a/spool"), bytes_max);
        (directory, spool)
    }

    #[test]
    fn a_record_is_kept_once_under_its_digest_and_removed() {
        let (_directory, spool) = spool(1 << 20);
        assert!(spool.waiting().unwrap().0.is_empty() && spool.lock(true).unwrap().is_none());
        let record = record("{}");
        spool.add(&record).unwrap();
        spool.add(&record).unwrap();
        let (entries, broken) = spool.waiting().unwrap();
        assert_eq!((entries.len(), broken.len()), (1, 0));
        assert_eq!(entries[0].record, record);
        let hex = record.digest.strip_prefix("sha256:").unwrap();
        let name = entries[0].path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(&format!("{hex}.")) && name.ends_with(SUFFIX), "{name}");
        spool.remove(&entries[0]).unwrap();
        spool.remove(&entries[0]).unwrap();
        assert!(spool.waiting().unwrap().0.is_empty());
    }

    #[test]
    fn each_signature_and_each_place_it_belongs_to_waits_for_itself() {
        let (_directory, spool) = spool(1 << 20);
        let first = record("{}");
        let by_another = record("{}");
        let mut of_another_run = first.clone();
        of_another_run.belongs.run = Some("8".into());
        let mut of_another_chain = first.clone();
        of_another_chain.belongs.chain = Some("shop".into());
        let all = [first, by_another, of_another_run, of_another_chain];
        assert!(all.iter().all(|record| record.digest == all[0].digest));
        for record in all.iter().chain(&all) {
            spool.add(record).unwrap();
        }
        let waits = waiting(&spool);
        assert!(waits.len() == 4 && all.iter().all(|record| waits.contains(record)), "{waits:?}");
        // Refused together, and brought back together.
        for entry in spool.waiting().unwrap().0 {
            spool.move_aside(&entry, Refusal { status: 422, ..Refusal::default() }).unwrap();
        }
        assert_eq!((waiting(&spool).len(), spool.recall().unwrap(), waiting(&spool).len()), (0, 4, 4));
        assert!(all.iter().all(|record| waiting(&spool).contains(record)));
        for record in &all {
            spool.set_aside(record, Refusal { status: 422, ..Refusal::default() }).unwrap();
        }
        assert_eq!(spool.files(&spool.directory.join(ASIDE)).unwrap().len(), 4);
    }

    #[test]
    fn files_of_before_are_read_and_leave() {
        let (_directory, spool) = spool(1 << 20);
        let (sent, refused) = (record("{}"), record("{\"n\":1}"));
        spool.make(&spool.directory).unwrap();
        for record in [&sent, &refused] {
            let name = format!("{}{SUFFIX}", record.digest.strip_prefix("sha256:").unwrap());
            fs::write(spool.directory.join(name), serde_json::to_vec(record).unwrap()).unwrap();
        }
        let (entries, broken) = spool.waiting().unwrap();
        assert_eq!((entries.len(), broken.len()), (2, 0), "{broken:?}");
        for entry in &entries {
            match entry.record == sent {
                true => spool.remove(entry).unwrap(),
                false => spool.move_aside(entry, Refusal { status: 422, ..Refusal::default() }).unwrap(),
            }
        }
        assert!(waiting(&spool).is_empty());
        assert_eq!((spool.recall().unwrap(), waiting(&spool)), (1, vec![refused]));
    }

    #[test]
    fn what_was_refused_waits_elsewhere_with_why() {
        let (_directory, spool) = spool(1 << 20);
        let record = record("{}");
        let refusal = Refusal { status: 422, reason: "signature_untrusted".into(), detail: "x".into() };
        spool.set_aside(&record, refusal.clone()).unwrap();
        assert!(spool.waiting().unwrap().0.is_empty());
        let aside = spool.files(&spool.directory.join(ASIDE)).unwrap();
        assert_eq!(read(&aside[0].0).unwrap().0.refused, Some(refusal));
        assert_eq!(spool.recall().unwrap(), 1);
        assert_eq!(spool.waiting().unwrap().0[0].record, record);
    }

    #[test]
    fn it_never_grows_beyond_its_size() {
        let (_directory, spool) = spool(1_000);
        let mut kept = 0;
        let full = loop {
            match spool.add(&record(&format!("{{\"n\":{kept}}}"))) {
                Ok(()) => kept += 1,
                Err(error) => break error,
            }
        };
        assert!(kept > 0 && full.to_string().contains("of at most 1000"), "{kept}: {full}");
        assert_eq!(spool.waiting().unwrap().0.len(), kept);
        // Nor by what is refused at once; what was let in may move aside.
        let refusal = Refusal { status: 422, ..Refusal::default() };
        let full = spool.set_aside(&record("{\"other\":1}"), refusal.clone()).unwrap_err();
        assert!(full.to_string().contains("of at most 1000"), "{full}");
        spool.move_aside(&spool.waiting().unwrap().0[0], refusal).unwrap();
    }

    #[test]
    fn what_lies_in_its_place_is_not_taken_for_the_record() {
        let (_directory, spool) = spool(1 << 20);
        let record = record("{}");
        spool.make(&spool.directory).unwrap();
        let path = spool.directory.join(record.file_name().unwrap());
        for other in ["half".to_owned(), serde_json::to_string(&self::record("{}")).unwrap()] {
            fs::write(&path, other).unwrap();
            assert!(spool.add(&record).unwrap_err().to_string().contains("is not overwritten"));
        }
    }

    #[test]
    fn one_at_a_time_empties_it() {
        let (_directory, spool) = spool(1 << 20);
        spool.add(&record("{}")).unwrap();
        let held = spool.lock(true).unwrap().unwrap();
        assert!(spool.lock(false).unwrap().is_none());
        drop(held);
        assert!(spool.lock(false).unwrap().is_some());
    }

    #[test]
    fn what_is_no_record_is_said_and_stays() {
        let (_directory, spool) = spool(1 << 20);
        let mut wrong = record("{}");
        wrong.digest = format!("sha256:{}", "0".repeat(64));
        spool.add(&wrong).unwrap();
        fs::write(spool.directory.join(format!("x{SUFFIX}")), "half").unwrap();
        fs::write(spool.directory.join(".half.link.json-abc"), "half").unwrap();
        let (entries, broken) = spool.waiting().unwrap();
        assert_eq!((entries.len(), broken.len()), (0, 2), "{broken:?}");
    }

    #[test]
    fn a_way_to_somewhere_else_is_no_spool() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/tmp", directory.path().join("spool")).unwrap();
        let error = Spool::new(directory.path().join("spool"), 1 << 20).add(&record("{}")).unwrap_err();
        assert!(error.to_string().contains("no directory of ours"), "{error}");
    }

    #[test]
    fn the_place_is_given_or_the_systems_or_the_persons() {
        let known = |pairs: &[(&str, &str)]| -> Variables {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let github = Detected { spool: Some("/t/tidewaiter".into()), ..Detected::default() };
        let home = known(&[("HOME", "/home/a")]);
        assert_eq!(place(&known(&[("TIDEWAITER_SPOOL", "/s")]), Some(&github)), Some("/s".into()));
        assert_eq!(place(&home, Some(&github)), Some("/t/tidewaiter".into()));
        assert_eq!(place(&home, None), Some("/home/a/.local/state/tidewaiter/spool".into()));
        assert_eq!(
            place(&known(&[("XDG_STATE_HOME", "/st"), ("HOME", "/h")]), None),
            Some("/st/tidewaiter/spool".into())
        );
        assert_eq!(place(&Variables::new(), None), None);
    }
}
