//! An OCI image layout directory, read file by file (image-spec, "Image Layout"): its first image, and blobs by digest.
//!
//! The registry reader answers from such a directory too; this is for commands that are given one on the command line.

use crate::{
    digest::Digest,
    file,
    oci::{self, Descriptor, Document},
    reference::Reference,
};
use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};

/// An OCI layout directory.
#[derive(Clone, Debug)]
pub struct LayoutDir {
    dir: PathBuf,
    index: oci::Index,
}

impl LayoutDir {
    /// Reads `oci-layout` and `index.json`.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        let marker = read_at_most(&dir.join("oci-layout"), 64 << 10)?;
        let marker: serde_json::Value =
            serde_json::from_slice(&marker).with_context(|| format!("{}: oci-layout is no JSON", dir.display()))?;
        let version = marker.get("imageLayoutVersion").and_then(|version| version.as_str());
        ensure!(version == Some("1.0.0"), "{} is no OCI layout of version 1.0.0", dir.display());
        Self::unmarked(dir)
    }

    /// Reads `index.json`, of a directory that is only read and so needs no `oci-layout`.
    pub fn unmarked(dir: &Path) -> anyhow::Result<Self> {
        let bytes = read_at_most(&dir.join("index.json"), oci::DOCUMENT_BYTES_MAX as u64)?;
        match Document::parse(&bytes, None).with_context(|| format!("{}/index.json", dir.display()))? {
            Document::Index(index) => Ok(LayoutDir { dir: dir.into(), index }),
            Document::Manifest(_) => bail!("{}/index.json is a manifest, not an index", dir.display()),
        }
    }

    /// The image: the first entry of index.json (design §11).
    pub fn first(&self) -> anyhow::Result<&Descriptor> {
        self.index.manifests.first().with_context(|| format!("{}/index.json has no entry", self.dir.display()))
    }

    /// The whole reference in this annotation of the first entry. Many tools write a bare tag there, which reads as a repository of
    /// Docker Hub that nobody meant: what names no host is no name.
    pub fn name(&self, annotation: &str) -> Option<Reference> {
        let name = self.index.manifests.first()?.annotations.get(annotation)?;
        let (host, _) = name.split_once('/')?;
        (host.contains(['.', ':']) || host == "localhost").then(|| name.parse().ok())?
    }

    /// `host[:port]/path` of the first entry: `image` where it is given, else the entry's own name.
    pub fn repository(&self, image: Option<&Reference>) -> anyhow::Result<String> {
        let name = image.cloned().or_else(|| self.name(oci::REF_NAME));
        let name = name.with_context(|| {
            format!("the first entry of {}/index.json names no repository; give --image REF", self.dir.display())
        })?;
        Ok(name.name())
    }

    /// The file of a blob, whether it is there or not.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(oci::blob_path(digest))
    }

    /// A blob of at most `bytes_max`, its hash checked.
    pub fn blob(&self, digest: &Digest, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
        let bytes = read_at_most(&self.path(digest), bytes_max)?;
        ensure!(digest.matches(&bytes), "{} does not hash to its name", self.path(digest).display());
        Ok(bytes)
    }
}

fn read_at_most(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    ensure!(!path.exists() || path.is_file(), "{} is no file", path.display());
    file::read(path, usize::try_from(bytes_max)?)
}
