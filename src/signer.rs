//! Where a private key lives. One file a home.

use crate::key::SecretKey;
use anyhow::Context as _;
use std::path::Path;

pub mod file;

/// The variable that may hold a key itself, as CI systems hand out secrets. Its value is kept from the commands we run.
pub const PEM_VARIABLE: &str = "TIDEWAITER_KEY_PEM";

/// The key that a variable holds: unencrypted PKCS#8 in PEM, its line breaks perhaps written as `\n`.
///
/// # Errors
/// It is no key, or encrypted.
pub fn from_text(pem: &str) -> anyhow::Result<SecretKey> {
    file::parse(&pem.replace("\\n", "\n")).with_context(|| format!("the key in {PEM_VARIABLE}"))
}

/// An unencrypted PKCS#8 PEM file; refuses one that others may write.
pub fn from_file(path: &Path) -> anyhow::Result<SecretKey> {
    file::read(path)
}
