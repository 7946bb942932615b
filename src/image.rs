//! What a digest itself proves about an image: the facts the virtual inspections are made of (design §5).

use crate::{digest::Digest, reason::Fault};
use std::collections::BTreeSet;

/// An image as a decision sees it: repository and digest, and the blobs its manifests name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// `host[:port]/path`, canonical.
    pub repository: String,
    pub digest: Digest,
    // private: manifests given so far
}

impl ImageFacts {
    pub fn new(repository: String, digest: Digest) -> Self {
        ImageFacts { repository, digest }
    }
    /// Manifests not seen yet: the image itself first; for an index its runnable children (platform `unknown/unknown` is BuildKit's
    /// attestation: ignored). Empty: `blobs` can be answered.
    pub fn wants(&self) -> Vec<Digest> {
        todo!()
    }
    /// Bytes must hash to the digest (`digest_mismatch`), and be a manifest or index.
    pub fn give(&mut self, digest: &Digest, bytes: &[u8]) -> Result<(), Fault> {
        let _ = (digest, bytes);
        todo!()
    }
    /// Every digest behind the image: manifest or index, config, layers, runnable children with theirs. `None` while manifests are wanted.
    pub fn blobs(&self) -> Option<BTreeSet<Digest>> {
        todo!()
    }
}
