//! Evidence sets into a registry or an OCI layout directory (design §12), by the publishing library; the tag schema where the referrers API is missing.
//!
//! The same envelopes make the same manifest, so publishing twice changes nothing. `publish/set` is what is published,
//! `publish/remote` the registry it goes to; this file is the order in which things happen: blobs before the manifest that
//! names them, the manifest before the listing that names it.

use crate::{
    digest::Digest,
    file,
    oci::{self, Document},
    reference::Reference,
    source::layout_dir,
};
use anyhow::{Context, bail, ensure};
use remote::Remote;
use set::{EvidenceSet, Subject};
use std::{
    fs::{self, File},
    path::Path,
};

mod remote;
mod set;

/// Rounds of read, change, write, read again for a listing that others write too.
const LISTING_ATTEMPTS: usize = 4;

/// How a registry is reached for publishing.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A docker `config.json`; absent: `$DOCKER_CONFIG` or `~/.docker`, where there is one.
    pub docker_config: Option<std::path::PathBuf>,
    /// http instead of https; refused together with credentials unless the registry is on this machine.
    pub plain_http: bool,
    /// The only roots to trust, in PEM; absent: the platform's.
    pub ca_file: Option<std::path::PathBuf>,
    /// The same, where they are at hand.
    pub ca_bundle: Option<String>,
}

/// Publishes envelopes as one evidence set of the image; returns the manifest's digest. Idempotent: same envelopes, same digest.
/// An image without a digest is what its tag names now.
pub async fn publish(image: &Reference, envelopes: &[Vec<u8>], options: &Options) -> anyhow::Result<Digest> {
    let remote = Remote::connect(image, options).await?;
    let wanted = image.digest().map_or_else(|| image.tag().unwrap_or("latest").to_owned(), Digest::to_string);
    let found = remote.manifest(&wanted).await?;
    let (bytes, media_type) = found.with_context(|| format!("the registry has no image {image}"))?;
    let subject = subject(&bytes, media_type.as_deref(), image.digest())?;
    let set = EvidenceSet::new(&subject, envelopes)?;
    for (digest, bytes) in set.blobs() {
        remote.push_blob(digest, bytes).await?;
    }
    let understood = remote.push_manifest(&set.digest.to_string(), oci::media::OCI_MANIFEST, &set.manifest).await?;
    // distribution-spec, "Pushing Manifests with Subject": without OCI-Subject in the answer the client keeps the tag schema.
    // A registry that says so, and then has no API to list it by, is not believed.
    if !understood || !remote.has_referrers_api(&subject.digest).await? {
        list_by_tag(&remote, &subject.digest, &set).await?;
    }
    Ok(set.digest)
}

/// Reads, changes and writes the listing until it is seen to hold the set: another client may write it between our two steps.
async fn list_by_tag(remote: &Remote, image: &Digest, set: &EvidenceSet) -> anyhow::Result<()> {
    let tag = oci::referrers_tag(image);
    for _ in 0..LISTING_ATTEMPTS {
        let listing = remote.manifest(&tag).await?.map(|(bytes, _)| bytes);
        match set.listed_in(listing.as_deref()).with_context(|| format!("tag {tag}"))? {
            None => return Ok(()),
            Some(listing) => remote.push_manifest(&tag, oci::media::OCI_INDEX, &listing).await?,
        };
    }
    bail!("tag {tag} is written by others all the time; the evidence is pushed as {} and not listed", set.digest)
}

/// The same into an OCI layout directory (temp file, fsync, rename; index.json gets the manifest, and the tag schema's entry).
/// A lock on `oci-layout` keeps two of us apart.
pub fn publish_to_layout(dir: &Path, image: &Digest, envelopes: &[Vec<u8>]) -> anyhow::Result<Digest> {
    let marker = dir.join("oci-layout");
    let lock = File::open(&marker).with_context(|| format!("{} cannot be opened", marker.display()))?;
    lock.lock().with_context(|| format!("{} cannot be locked", marker.display()))?;
    let layout = layout_dir::LayoutDir::open(dir)?;
    let bytes = layout.blob(image, oci::DOCUMENT_BYTES_MAX as u64)?;
    let set = EvidenceSet::new(&subject(&bytes, None, Some(image))?, envelopes)?;
    for (digest, bytes) in set.blobs() {
        write_blob(dir, digest, bytes)?;
    }
    write_blob(dir, &set.digest, &set.manifest)?;
    let index_path = dir.join("index.json");
    let mut index = fs::read(&index_path).with_context(|| format!("{} cannot be read", index_path.display()))?;
    let before = index.clone();
    if let Some(listed) = set.listed_in(Some(&index))? {
        index = listed;
    }
    let tag = oci::referrers_tag(image);
    let listing = match set::named_entry(&index, &tag)? {
        Some(digest) => Some(layout.blob(&digest, oci::DOCUMENT_BYTES_MAX as u64)?),
        None => None,
    };
    if let Some(listing) = set.listed_in(listing.as_deref()).with_context(|| format!("tag {tag}"))? {
        write_blob(dir, &Digest::sha256(&listing), &listing)?;
        index = set::with_named_entry(&index, &tag, &listing)?;
    }
    if index != before {
        file::write(&index_path, &index)?;
    }
    Ok(set.digest)
}

/// The image as the set's manifest names it.
fn subject(bytes: &[u8], media_type: Option<&str>, expected: Option<&Digest>) -> anyhow::Result<Subject> {
    let digest = expected.cloned().unwrap_or_else(|| Digest::sha256(bytes));
    ensure!(digest.matches(bytes), "the image's manifest does not hash to {digest}");
    let media_type = Document::parse(bytes, media_type)?.media_type().to_owned();
    Ok(Subject { media_type, digest, size: u64::try_from(bytes.len())? })
}

fn write_blob(dir: &Path, digest: &Digest, bytes: &[u8]) -> anyhow::Result<()> {
    let path = dir.join(oci::blob_path(digest));
    match fs::read(&path) {
        Ok(there) if there == bytes => Ok(()),
        _ => {
            let parent = path.parent().context("a blob has a directory")?;
            fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
            file::write(&path, bytes)
        }
    }
}

#[cfg(test)]
mod tests;
