//! A private key in a file: PKCS#8 in PEM, unencrypted. What protects it is the file's mode.

use crate::key::SecretKey;
use anyhow::Context as _;
use std::{io::Read as _, os::unix::fs::MetadataExt as _, path::Path};
use zeroize::Zeroizing;

/// An RSA-8192 key in PEM has some 6.5 KiB.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Group or others may write it: someone else may have chosen the key.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Reads the key. Refuses a file that is no regular file, or that others may write. Readers are not refused: a Secret that Kubernetes
/// mounts is readable by everyone in its container unless it is told otherwise.
pub fn read(path: &Path) -> anyhow::Result<SecretKey> {
    let named = || format!("the key \"{}\"", path.display());
    let file = std::fs::File::open(path).with_context(named)?;
    // Of the open file, not of the path: what is checked is what is read.
    let metadata = file.metadata().with_context(named)?;
    anyhow::ensure!(metadata.is_file(), "{} is no regular file", named());
    let mode = metadata.mode() & 0o777;
    anyhow::ensure!(
        mode & WRITABLE_BY_OTHERS == 0,
        "{} may be written by others (mode {mode:03o}); run: chmod 600 {}",
        named(),
        path.display()
    );
    let mut pem = Zeroizing::new(String::new());
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut pem).with_context(named)?;
    anyhow::ensure!(read as u64 <= FILE_BYTES_MAX, "{} has more than {FILE_BYTES_MAX} bytes", named());
    parse(&pem).with_context(named)
}

/// The key of a PEM text.
pub(super) fn parse(pem: &str) -> anyhow::Result<SecretKey> {
    anyhow::ensure!(
        !pem.contains("ENCRYPTED PRIVATE KEY"),
        "it is encrypted, and passphrases are not supported yet; decrypt it with: openssl pkcs8"
    );
    Ok(SecretKey::from_pem(pem)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Scheme;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    fn stored(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }
    fn refused(text: &str, mode: u32) -> String {
        let (_directory, path) = stored(text, mode);
        format!("{:#}", read(&path).err().unwrap())
    }

    #[test]
    fn a_private_file_is_read() {
        let key = SecretKey::generate(Scheme::Ed25519).unwrap();
        for mode in [0o600, 0o400, 0o440, 0o644] {
            let (_directory, path) = stored(&key.to_pem(), mode);
            assert_eq!(read(&path).unwrap().public(), key.public());
        }
    }

    #[test]
    fn a_file_others_may_touch_is_refused() {
        let pem = SecretKey::generate(Scheme::Ed25519).unwrap().to_pem();
        assert!(refused(&pem, 0o620).contains("written by others"));
        assert!(refused(&pem, 0o602).contains("written by others"));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(refused("hello", 0o600).contains("the key"));
        assert!(refused("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", 0o600).contains("encrypted"));
        assert!(refused(&"x".repeat(70_000), 0o600).contains("bytes"));
        assert!(format!("{:#}", read(Path::new("/")).err().unwrap()).contains("no regular file"));
    }
}
