//! The people of the demonstration.

use crate::{
    file,
    key::{Scheme, SecretKey},
};
use std::path::Path;

/// Their private keys; each lies in `keys/` too, as `tidewaiter key new` would leave it, and those of who does the steps (dev, ci, packer)
/// lie there alone.
pub struct Keys {
    /// Own the layout.
    pub alice: SecretKey,
    pub bob: SecretKey,
    /// Signs images.
    pub release: SecretKey,
    /// Nobody trusts this one.
    pub mallory: SecretKey,
}

impl Keys {
    /// New ones, of several schemes.
    pub fn new(directory: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let key = |name: &str, scheme| -> anyhow::Result<SecretKey> {
            let key = SecretKey::generate(scheme)?;
            file::write_new(&directory.join(format!("{name}.pem")), key.to_pem().as_bytes(), 0o600)?;
            file::write_new(&directory.join(format!("{name}.pem.pub")), key.public().to_pem().as_bytes(), 0o644)?;
            Ok(key)
        };
        for (name, scheme) in [("dev", Scheme::Ed25519), ("ci", Scheme::EcdsaP256), ("packer", Scheme::Ed25519)] {
            key(name, scheme)?;
        }
        Ok(Keys {
            alice: key("alice", Scheme::Ed25519)?,
            bob: key("bob", Scheme::EcdsaP256)?,
            release: key("release", Scheme::EcdsaP256)?,
            mallory: key("mallory", Scheme::EcdsaP256)?,
        })
    }
}
