//! The people of the demonstration.

use crate::{
    file,
    key::{Scheme, SecretKey},
};
use std::path::Path;

/// Their private keys; each lies in `keys/` too, as `tidewaiter key new` would leave it.
pub struct Keys {
    /// Own the layout.
    pub alice: SecretKey,
    pub bob: SecretKey,
    /// Do the steps.
    pub dev: SecretKey,
    pub ci: SecretKey,
    pub packer: SecretKey,
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
        Ok(Keys {
            alice: key("alice", Scheme::Ed25519)?,
            bob: key("bob", Scheme::EcdsaP256)?,
            dev: key("dev", Scheme::Ed25519)?,
            ci: key("ci", Scheme::EcdsaP256)?,
            packer: key("packer", Scheme::Ed25519)?,
            release: key("release", Scheme::EcdsaP256)?,
            mallory: key("mallory", Scheme::EcdsaP256)?,
        })
    }
}
