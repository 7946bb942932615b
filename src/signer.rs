//! Where a private key lives. One file a home.

use crate::key::SecretKey;
use std::path::Path;

pub mod file;

/// An unencrypted PKCS#8 PEM file; refuses one that others may write.
pub fn from_file(path: &Path) -> anyhow::Result<SecretKey> {
    file::read(path)
}
