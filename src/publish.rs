//! Evidence sets into a registry or an OCI layout directory (design §12), by the publishing library; the tag schema where the referrers API is missing.
use crate::{digest::Digest, reference::Reference};
use std::path::Path;
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub docker_config: Option<std::path::PathBuf>,
    pub plain_http: bool,
    pub ca_file: Option<std::path::PathBuf>,
}
/// Publishes envelopes as one evidence set of the image; returns the manifest's digest. Idempotent: same envelopes, same digest.
pub async fn publish(image: &Reference, envelopes: &[Vec<u8>], options: &Options) -> anyhow::Result<Digest> {
    let _ = (image, envelopes, options);
    todo!()
}
/// The same into an OCI layout directory (temp file, fsync, rename; index.json gets the manifest, and the tag schema's entry).
pub fn publish_to_layout(dir: &Path, image: &Digest, envelopes: &[Vec<u8>]) -> anyhow::Result<Digest> {
    let _ = (dir, image, envelopes);
    todo!()
}
