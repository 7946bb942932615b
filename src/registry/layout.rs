//! An OCI image layout directory that answers like a registry (image-spec, "Image Layout"): for the demo and for the air gap. Everything in
//! it is as hostile as a registry's answer: sizes are bounded, hashes are checked, and no name becomes a path but a digest's own hex.

use super::{Blob, Repository, limits::Limits};
use crate::{
    digest::Digest,
    oci::{self, Descriptor, Document, Index},
    reason::{Fault, Reason},
};
use std::{
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

/// One layout directory. Its functions read files: call them where blocking is allowed.
#[derive(Clone, Debug)]
pub struct Layout {
    pub directory: PathBuf,
    pub limits: Limits,
}

impl Layout {
    /// The manifest that a tag names. A full name (`host/path:tag` or `path:tag`) goes before a bare tag, which any repository answers to.
    pub fn tag(&self, repository: &Repository, tag: &str) -> Result<Option<Blob>, Fault> {
        let index = self.index()?;
        let full = format!("{}/{}:{tag}", repository.registry, repository.path);
        let path = format!("{}:{tag}", repository.path);
        let named = |name: &str| index.manifests.iter().find(|entry| ref_name(entry) == Some(name));
        let Some(entry) = named(&full).or_else(|| named(&path)).or_else(|| named(tag)) else { return Ok(None) };
        self.entry(entry)
    }

    /// A manifest or index by digest: an entry of `index.json`, or a child of one.
    pub fn manifest(&self, digest: &Digest) -> Result<Option<Blob>, Fault> {
        let index = self.index()?;
        let media_type =
            index.manifests.iter().find(|entry| entry.digest == *digest).map(|entry| entry.media_type.clone());
        Ok(self.blob(digest, self.limits.manifest_bytes_max)?.map(|blob| Blob { media_type, ..blob }))
    }

    /// `blobs/<algorithm>/<hex>`, of at most `bytes_max` bytes, hash checked.
    pub fn blob(&self, digest: &Digest, bytes_max: u64) -> Result<Option<Blob>, Fault> {
        let path = self.directory.join(oci::blob_path(digest));
        let Some(bytes) = self.read(&path, bytes_max)? else { return Ok(None) };
        super::object::check(digest, &bytes, &self.name())?;
        Ok(Some(Blob { digest: digest.clone(), bytes, media_type: None }))
    }

    /// What refers to a digest: entries of `index.json` whose manifest says so, and those of the tag schema's index.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Fault> {
        let index = self.index()?;
        let schema = oci::referrers_tag(subject);
        let mut found: Vec<Descriptor> = Vec::new();
        for entry in &index.manifests {
            let Some(blob) = self.entry(entry)? else { continue };
            // An entry that is no manifest refers to nothing.
            match Document::parse(&blob.bytes, None) {
                Ok(Document::Manifest(manifest)) if manifest.subject.as_ref().is_some_and(|s| s.digest == *subject) => {
                    let artifact_type = manifest.artifact_type.or(Some(manifest.config.media_type));
                    found.push(Descriptor { artifact_type, annotations: manifest.annotations, ..entry.clone() });
                }
                Ok(Document::Index(listed)) if is_tag(entry, &schema) => found.extend(listed.manifests),
                _ => {}
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|descriptor| seen.insert(descriptor.digest.clone()));
        if found.len() > self.limits.referrers_max {
            return Err(self.bad(&format!("more than {} referrers", self.limits.referrers_max)));
        }
        Ok(found)
    }

    fn index(&self) -> Result<Index, Fault> {
        let bytes = self
            .read(&self.directory.join("index.json"), self.limits.manifest_bytes_max)?
            .ok_or_else(|| Fault::new(Reason::RegistryUnreachable, format!("{} holds no index.json", self.name())))?;
        match Document::parse(&bytes, None)? {
            Document::Index(index) if index.manifests.len() <= self.limits.layout_entries_max => Ok(index),
            Document::Index(_) => Err(self.bad(&format!("more than {} entries", self.limits.layout_entries_max))),
            Document::Manifest(_) => Err(self.bad("an index.json that is no index")),
        }
    }

    fn entry(&self, entry: &Descriptor) -> Result<Option<Blob>, Fault> {
        let blob = self.blob(&entry.digest, self.limits.manifest_bytes_max)?;
        Ok(blob.map(|blob| Blob { media_type: Some(entry.media_type.clone()), ..blob }))
    }

    /// A regular file's bytes; `None`: there is no such file.
    fn read(&self, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, Fault> {
        let unreadable = |error: std::io::Error| {
            Fault::new(Reason::RegistryUnreachable, format!("{} cannot be read: {error}", self.name()))
        };
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() && metadata.len() <= bytes_max => {}
            Ok(metadata) if metadata.is_file() => {
                return Err(self.bad(&format!("a file of more than {bytes_max} bytes")));
            }
            Ok(_) => return Err(self.bad("something that is no file in a file's place")),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound) => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        }
        let mut bytes = Vec::new();
        std::fs::File::open(path).and_then(|f| f.take(bytes_max + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
        if bytes.len() as u64 > bytes_max {
            return Err(self.bad(&format!("a file of more than {bytes_max} bytes")));
        }
        Ok(Some(bytes))
    }

    fn name(&self) -> String {
        format!("OCI layout {}", self.directory.display())
    }

    fn bad(&self, what: &str) -> Fault {
        Fault::new(Reason::RegistryUnavailable, format!("{} has {what}", self.name()))
    }
}

fn ref_name(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(oci::REF_NAME).map(String::as_str)
}

/// Whether an entry is named by this tag, bare or after a repository's name.
fn is_tag(entry: &Descriptor, tag: &str) -> bool {
    ref_name(entry).is_some_and(|name| name == tag || name.strip_suffix(tag).is_some_and(|rest| rest.ends_with(':')))
}
