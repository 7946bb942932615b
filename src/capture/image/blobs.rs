//! An image of a layout directory blob by blob: what any recorder would write over the directory, less what is not of the image.

use crate::{
    capture::hash,
    digest::{Algorithm, Digest},
    image::ImageFacts,
    oci::{self, Document},
    source::layout_dir::LayoutDir,
};
use anyhow::{Context as _, ensure};
use std::{collections::BTreeSet, path::Path};

/// The first image of a layout directory, its manifests read.
pub struct Image {
    layout: LayoutDir,
    facts: ImageFacts,
    blobs: BTreeSet<Digest>,
}

impl Image {
    /// Reads the manifest or index, and of an index its runnable children, each checked against its digest.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        ensure!(directory.is_dir(), "it is no OCI image layout directory, whose blobs and configuration could be read");
        let layout = LayoutDir::unmarked(directory)?;
        let mut facts = ImageFacts::new(String::new(), layout.first()?.digest.clone());
        while let Some(digest) = facts.wants().first() {
            facts.give(digest, &layout.blob(digest, oci::DOCUMENT_BYTES_MAX as u64)?)?;
        }
        let blobs = facts.blobs().context("a manifest is missing")?;
        Ok(Image { layout, facts, blobs })
    }

    /// The digests of its configurations: one, or one for each platform.
    pub fn configs(&self) -> Vec<Digest> {
        let documents = self.blobs.iter().filter_map(|digest| self.facts.document(digest));
        documents
            .filter_map(|document| match document {
                Document::Manifest(manifest) => Some(manifest.config.digest.clone()),
                Document::Index(_) => None,
            })
            .collect()
    }

    /// `blobs/sha256/<hex>` for each manifest, configuration and layer.
    ///
    /// # Errors
    /// A blob that is not there, or that does not hash to its name: whoever records files would record another hash.
    pub fn artifacts(&self) -> anyhow::Result<Vec<(String, Digest)>> {
        let mut buffer = vec![0; hash::BUFFER_BYTES];
        let mut artifacts = Vec::new();
        for digest in &self.blobs {
            ensure!(digest.algorithm() == Algorithm::Sha256, "blob {digest} is named by no SHA-256");
            let path = self.layout.path(digest);
            let (found, _) = hash::file(&path, false, &mut buffer).with_context(|| format!("{}", path.display()))?;
            ensure!(hex::encode(found) == digest.hex(), "{} does not hash to its name", path.display());
            artifacts.push((oci::blob_path(digest), digest.clone()));
        }
        Ok(artifacts)
    }
}
