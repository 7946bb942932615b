//! What a digest itself proves about an image: the facts the virtual inspections are made of (design §5).

use crate::{
    digest::Digest,
    oci::{Descriptor, Document, media},
    reason::{Fault, Reason},
};
use std::collections::{BTreeMap, BTreeSet};

/// How the artifact that is an image begins (design §5).
pub const ARTIFACT_SCHEME: &str = "oci:";

/// `oci:<registry>/<repository>`: the artifact that the inspection `image` sees and that `run --image` records; no tag, no digest.
pub fn artifact_name(repository: &str) -> String {
    format!("{ARTIFACT_SCHEME}{repository}")
}

/// `<registry>/<repository>` of such an artifact; `None` for every other one.
pub fn artifact_repository(name: &str) -> Option<&str> {
    name.strip_prefix(ARTIFACT_SCHEME)
}

/// Manifests behind one image: an index of every platform there is names fewer than 40.
pub const DOCUMENTS_MAX: usize = 128;

/// An image as a decision sees it: repository and digest, and the blobs its manifests name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// `host[:port]/path`, canonical.
    pub repository: String,
    /// The digest the pod names.
    pub digest: Digest,
    /// Manifests and indexes given so far; each hashes to its key.
    documents: BTreeMap<Digest, Document>,
}

/// What is behind the image as far as it is known.
#[derive(Default)]
struct Walk {
    blobs: BTreeSet<Digest>,
    /// Wanted manifests with the media type by which their parent names them.
    missing: BTreeMap<Digest, Option<String>>,
    /// Manifests and indexes met, known or not.
    documents: usize,
}

impl ImageFacts {
    /// Nothing is known yet but the digest.
    pub fn new(repository: String, digest: Digest) -> Self {
        ImageFacts { repository, digest, documents: BTreeMap::new() }
    }

    /// Manifests not seen yet: the image itself first; for an index its runnable children (platform `unknown/unknown` is BuildKit's
    /// attestation: ignored). Empty: `blobs` can be answered.
    pub fn wants(&self) -> Vec<Digest> {
        self.walk().missing.into_keys().collect()
    }

    /// Bytes must hash to the digest (`digest_mismatch`), and be a manifest or index, of the kind their parent says
    /// (`registry_unavailable`). What was not wanted is not kept.
    pub fn give(&mut self, digest: &Digest, bytes: &[u8]) -> Result<(), Fault> {
        if !digest.matches(bytes) {
            let what = format!("manifest {digest} has bytes that hash to {}", Digest::sha256(bytes));
            return Err(Fault::new(Reason::DigestMismatch, what));
        }
        let Some(named) = self.walk().missing.remove(digest) else { return Ok(()) };
        self.documents.insert(digest.clone(), Document::parse(bytes, named.as_deref())?);
        if self.walk().documents > DOCUMENTS_MAX {
            self.documents.remove(digest);
            let what = format!("index {digest} brings the manifests behind the image to more than {DOCUMENTS_MAX}");
            return Err(Fault::new(Reason::RegistryUnavailable, what));
        }
        Ok(())
    }

    /// Every digest behind the image: manifest or index, config, layers, runnable children with theirs. `None` while manifests are wanted.
    pub fn blobs(&self) -> Option<BTreeSet<Digest>> {
        let walk = self.walk();
        walk.missing.is_empty().then_some(walk.blobs)
    }

    /// The document behind a digest of the image, where it was given.
    pub fn document(&self, digest: &Digest) -> Option<&Document> {
        self.documents.get(digest)
    }

    /// The descriptors of everything behind the image that is no manifest: configs and layers, each digest once, in their order.
    pub fn leaves(&self) -> Vec<&Descriptor> {
        let mut seen = BTreeSet::new();
        let manifests = self.documents.values().filter_map(|document| match document {
            Document::Manifest(manifest) => Some(manifest),
            Document::Index(_) => None,
        });
        manifests
            .flat_map(|manifest| std::iter::once(&manifest.config).chain(&manifest.layers))
            .filter(|leaf| seen.insert(&leaf.digest))
            .collect()
    }

    /// From the image's digest down; each document once, so an index that names itself ends too.
    fn walk(&self) -> Walk {
        let mut walk = Walk::default();
        let mut open = vec![(&self.digest, None)];
        while let Some((digest, media_type)) = open.pop() {
            let known = self.documents.get(digest);
            if !walk.blobs.insert(digest.clone()) {
                continue;
            }
            walk.documents += 1;
            match known {
                None => {
                    walk.missing.insert(digest.clone(), media_type.map(String::from));
                }
                Some(Document::Manifest(manifest)) => {
                    walk.blobs.insert(manifest.config.digest.clone());
                    walk.blobs.extend(manifest.layers.iter().map(|layer| layer.digest.clone()));
                }
                Some(Document::Index(index)) => {
                    for child in index.manifests.iter().filter(|child| is_runnable(child)) {
                        if media::is_manifest(&child.media_type) || media::is_index(&child.media_type) {
                            open.push((&child.digest, Some(child.media_type.as_str())));
                        } else {
                            // No runtime opens it; it is content of the index all the same.
                            walk.blobs.insert(child.digest.clone());
                        }
                    }
                }
            }
        }
        walk
    }
}

/// Whether a node could run what the entry names. Only BuildKit's marker says no: `artifactType` is the builder's word, and would hide a child.
fn is_runnable(entry: &Descriptor) -> bool {
    entry.platform.as_deref() != Some("unknown/unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(media_type: &str, content: &[u8], more: &str) -> String {
        let digest = Digest::sha256(content);
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}{more}}}"#, content.len())
    }
    fn manifest(layer: &[u8]) -> Vec<u8> {
        let config = pointer("application/vnd.oci.image.config.v1+json", b"config", "");
        let layer = pointer("application/vnd.oci.image.layer.v1.tar", layer, "");
        let media_type = media::OCI_MANIFEST;
        format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{config},"layers":[{layer}]}}"#).into()
    }
    fn index(entries: &[String]) -> Vec<u8> {
        let media_type = media::OCI_INDEX;
        format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":[{}]}}"#, entries.join(",")).into()
    }
    fn platform(text: &str) -> String {
        let (os, architecture) = text.split_once('/').unwrap();
        format!(r#","platform":{{"os":"{os}","architecture":"{architecture}"}}"#)
    }
    fn facts(of: &[u8]) -> ImageFacts {
        ImageFacts::new("registry.example.com/shop/api".into(), Digest::sha256(of))
    }

    #[test]
    fn a_manifest_gives_itself_its_config_and_its_layers() {
        let bytes = manifest(b"layer");
        let mut facts = facts(&bytes);
        assert_eq!(facts.blobs(), None);
        assert_eq!(facts.wants(), [facts.digest.clone()]);
        facts.give(&facts.digest.clone(), &bytes).unwrap();
        assert!(facts.wants().is_empty());
        let expected = [Digest::sha256(&bytes), Digest::sha256(b"config"), Digest::sha256(b"layer")];
        assert_eq!(facts.blobs(), Some(expected.into()));
        assert_eq!(facts.leaves().len(), 2);
    }

    #[test]
    fn bytes_that_do_not_hash_to_the_digest_are_refused() {
        let mut facts = facts(&manifest(b"layer"));
        let fault = facts.give(&facts.digest.clone(), &manifest(b"other")).unwrap_err();
        assert_eq!(fault.reason, Reason::DigestMismatch);
        assert_eq!(facts.blobs(), None);
    }

    #[test]
    fn an_index_wants_its_runnable_children_and_not_the_attestations() {
        let (amd64, arm64, note) = (manifest(b"amd64"), manifest(b"arm64"), manifest(b"note"));
        let bytes = index(&[
            pointer(media::OCI_MANIFEST, &amd64, &platform("linux/amd64")),
            pointer(media::OCI_MANIFEST, &arm64, &platform("linux/arm64")),
            pointer(media::OCI_MANIFEST, &note, &platform("unknown/unknown")),
        ]);
        let mut facts = facts(&bytes);
        facts.give(&facts.digest.clone(), &bytes).unwrap();
        let wants: BTreeSet<_> = facts.wants().into_iter().collect();
        assert_eq!(wants, [Digest::sha256(&amd64), Digest::sha256(&arm64)].into());
        facts.give(&Digest::sha256(&amd64), &amd64).unwrap();
        assert_eq!(facts.blobs(), None, "one child is still wanted");
        facts.give(&Digest::sha256(&arm64), &arm64).unwrap();
        let blobs = facts.blobs().unwrap();
        assert_eq!(blobs.len(), 6, "index, two manifests, one config, two layers");
        assert!(!blobs.contains(&Digest::sha256(&note)));
    }

    #[test]
    fn an_artifact_type_does_not_hide_a_child() {
        let child = manifest(b"amd64");
        let bytes = index(&[pointer(media::OCI_MANIFEST, &child, r#","artifactType":"application/x""#)]);
        let mut facts = facts(&bytes);
        facts.give(&facts.digest.clone(), &bytes).unwrap();
        assert_eq!(facts.wants(), [Digest::sha256(&child)]);
    }

    #[test]
    fn a_child_of_another_kind_than_its_index_says_is_refused() {
        let child = index(&[]);
        let bytes = index(&[pointer(media::OCI_MANIFEST, &child, &platform("linux/amd64"))]);
        let mut facts = facts(&bytes);
        facts.give(&facts.digest.clone(), &bytes).unwrap();
        let fault = facts.give(&Digest::sha256(&child), &child).unwrap_err();
        assert_eq!(fault.reason, Reason::RegistryUnavailable);
        assert_eq!(facts.blobs(), None);
    }

    #[test]
    fn what_was_not_wanted_is_not_kept() {
        let (image, stranger) = (manifest(b"layer"), manifest(b"stranger"));
        let mut facts = facts(&image);
        facts.give(&Digest::sha256(&stranger), &stranger).unwrap();
        facts.give(&facts.digest.clone(), &image).unwrap();
        assert!(!facts.blobs().unwrap().contains(&Digest::sha256(b"stranger")));
    }

    #[test]
    fn an_index_of_too_many_manifests_is_refused() {
        let entries = |count: usize| -> Vec<String> {
            (0..count).map(|n| pointer(media::OCI_MANIFEST, &manifest(&n.to_be_bytes()), "")).collect()
        };
        let enough = index(&entries(DOCUMENTS_MAX - 1));
        assert!(facts(&enough).give(&Digest::sha256(&enough), &enough).is_ok());
        let too_many = index(&entries(DOCUMENTS_MAX));
        let fault = facts(&too_many).give(&Digest::sha256(&too_many), &too_many).unwrap_err();
        assert_eq!(fault.reason, Reason::RegistryUnavailable);
    }
}
