//! The bounded reader of OCI registries: the hostile world (security §2.D). An OCI layout directory answers like one.

use crate::{digest::Digest, reason::Fault, reference::Reference, resource::Resource};
use std::{path::PathBuf, time::Instant};

/// Everything of one installation's registries: per-host configuration, connections, tokens, bulkheads, breakers. Cheap to share (Arc).
pub struct Registries {/* owner */}
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A docker `config.json` with credentials (`--docker-config`, else $DOCKER_CONFIG or ~/.docker for the CLI; none for the webhook unless given).
    pub docker_config: Option<PathBuf>,
    /// Hosts that RegistryConfig documents do not name are reached by https at public addresses only.
    pub resources: Vec<Resource>,
}
/// Bytes that hash to the digest they came by.
#[derive(Clone, Debug)]
pub struct Blob {
    pub digest: Digest,
    pub bytes: Vec<u8>,
    pub media_type: Option<String>,
}

impl Registries {
    pub fn new(options: &Options) -> anyhow::Result<Self> {
        let _ = options;
        todo!()
    }
    /// Tag → digest; one request (GET manifest, hashed by us; the bytes are kept for `manifest`). 404 → `image_not_found`, same text as no access (G4).
    pub async fn resolve(&self, image: &Reference, deadline: Instant) -> Result<Blob, Fault> {
        let _ = (image, deadline);
        todo!()
    }
    /// Manifest or index by digest, ≤ 4 MiB, hash checked (`digest_mismatch`). `Ok(None)`: 404.
    pub async fn manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        deadline: Instant,
    ) -> Result<Option<Blob>, Fault> {
        let _ = (repository, digest, deadline);
        todo!()
    }
    /// Manifest by tag; its digest is ours. `Ok(None)`: 404.
    pub async fn tag(&self, repository: &Repository, tag: &str, deadline: Instant) -> Result<Option<Blob>, Fault> {
        let _ = (repository, tag, deadline);
        todo!()
    }
    /// Blob by digest, at most `bytes_max`, hash checked.
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        bytes_max: u64,
        deadline: Instant,
    ) -> Result<Option<Blob>, Fault> {
        let _ = (repository, digest, bytes_max, deadline);
        todo!()
    }
    /// Descriptors of the referrers API, all pages (≤ 8 pages, ≤ 256); `Ok(None)` where the registry has no such API (404, 400, 405, 406, redirect elsewhere):
    /// then the caller reads the tag schema.
    pub async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
        deadline: Instant,
    ) -> Result<Option<Vec<crate::oci::Descriptor>>, Fault> {
        let _ = (repository, digest, deadline);
        todo!()
    }
    /// Requests sent since start, for metrics and tests.
    pub fn requests(&self) -> u64 {
        todo!()
    }
}
/// `host[:port]` and path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    pub registry: String,
    pub path: String,
}
impl From<&Reference> for Repository {
    fn from(r: &Reference) -> Self {
        Repository { registry: r.registry().into(), path: r.repository().into() }
    }
}
