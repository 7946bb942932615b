//! Files on this machine: read with a bound, and written whole or not at all (a temporary file beside, fsync, rename, fsync of the
//! directory).

use anyhow::Context as _;
use std::{
    fs::{File, Permissions},
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

/// Most bytes of a token, a certificate bundle or a key: what is larger is another file.
pub const SMALL_BYTES_MAX: usize = 1 << 20;

/// All of a file.
///
/// # Errors
/// It cannot be read, or has more bytes.
pub fn read(path: &Path, bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    let bytes = read_cut(path, bytes_max)?;
    anyhow::ensure!(bytes.len() <= bytes_max, "\"{}\" has more than {bytes_max} bytes", path.display());
    Ok(bytes)
}

/// A file, one byte longer than `bytes_max` where it is larger: for who has an answer of its own to what is too large. `-` is standard
/// input.
///
/// # Errors
/// It cannot be read.
pub fn read_cut(path: &Path, bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    let named = |what| format!("\"{}\" cannot be {what}", path.display());
    let input: Box<dyn std::io::Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(File::open(path).with_context(|| named("opened"))?),
    };
    let mut bytes = Vec::new();
    input.take(bytes_max as u64 + 1).read_to_end(&mut bytes).with_context(|| named("read"))?;
    Ok(bytes)
}

/// A text file; see [`read`].
///
/// # Errors
/// As [`read`], or it is not UTF-8.
pub fn read_text(path: &Path, bytes_max: usize) -> anyhow::Result<String> {
    String::from_utf8(read(path, bytes_max)?).with_context(|| format!("\"{}\" is not UTF-8", path.display()))
}

/// Writes (or replaces) a file that everybody may read, as far as the umask allows.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let temporary = temporary(path, bytes, 0o666)?;
    temporary.persist(path).map_err(|error| error.error).with_context(|| format!("write \"{}\"", path.display()))?;
    sync_directory(path)
}

/// Writes a file that must not be there yet; `mode` is its mode, less the umask.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let temporary = temporary(path, bytes, mode)?;
    temporary
        .persist_noclobber(path)
        .map_err(|error| error.error)
        .with_context(|| format!("\"{}\" is not overwritten", path.display()))?;
    sync_directory(path)
}

/// Whether a file could be put there: asked before a command runs, rather than after.
pub fn check_writable(path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!path.is_dir(), "\"{}\" is a directory", path.display());
    temporary(path, b"", 0o666).map(drop)
}

/// The temporary file's name begins like the file's own, so that whoever leaves out `*.link*` leaves it out too.
fn temporary(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<tempfile::NamedTempFile> {
    let name = path.file_name().with_context(|| format!("\"{}\" names no file", path.display()))?;
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push("-");
    let mut file = tempfile::Builder::new()
        .prefix(&prefix)
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory(path))
        .with_context(|| format!("write into \"{}\"", directory(path).display()))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .with_context(|| format!("write \"{}\"", path.display()))?;
    Ok(file)
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_directory(path: &Path) -> anyhow::Result<()> {
    let directory = directory(path);
    File::open(directory)
        .and_then(|handle| handle.sync_all())
        .with_context(|| format!("sync \"{}\"", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_larger_is_refused_and_never_cut_unsaid() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read_text(&path, 5).unwrap(), "12345");
        assert!(read(&path, 4).unwrap_err().to_string().contains("has more than 4 bytes"));
        assert_eq!(read_cut(&path, 3).unwrap(), b"1234");
        std::fs::write(&path, [0xff]).unwrap();
        assert!(read_text(&path, 5).unwrap_err().to_string().contains("not UTF-8"));
        assert!(read(directory.path(), 5).is_err());
    }

    #[test]
    fn replaces_whole_and_leaves_nothing_beside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.link");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(names(directory.path()), ["a.link"]);
    }

    #[test]
    fn a_new_file_replaces_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write_new(&path, b"secret", 0o600).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_new(&path, b"other", 0o600).unwrap_err().to_string().contains("not overwritten"));
        assert_eq!(std::fs::read(&path).unwrap(), b"secret");
        assert_eq!(names(directory.path()), ["key"]);
    }

    #[test]
    fn what_can_not_be_written_is_known_before() {
        let directory = tempfile::tempdir().unwrap();
        assert!(check_writable(&directory.path().join("a")).is_ok());
        assert!(check_writable(directory.path()).is_err());
        assert!(check_writable(&directory.path().join("missing/a")).is_err());
        assert_eq!(names(directory.path()), Vec::<String>::new());
    }
}
