//! Evidence beside the image in its registry: referrers (API and tag schema), cosign's tags (design §8, §12; signatures §2.1–2.2).
//! One `ImageEvidence` reads referrers once and serves both signatures and envelopes from it.
//!
//! Everything found is a candidate: annotations, artifact types and the listing itself decide nothing. A candidate that is
//! broken, lies about its digest or is too large is left out and said; a place that could not be read is a fault that goes
//! along with what the other places gave, so that the judgement can tell *missing* from *we could not look*.

use crate::{
    cosign::{self, Bundle, Candidate},
    digest::Digest,
    oci::{Descriptor, Document, Manifest, media, referrers_tag},
    reason::{Class, Fault, Reason},
    registry::{Blob, Registries, Repository},
};
use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

/// Referrers that are opened (security §2.D9).
const REFERRERS_MAX: usize = 256;
/// Signatures of one image (security §2.D9).
const SIGNATURES_MAX: usize = 64;
/// Envelopes of one image: 16 evidence sets of 64 links (security §2.D9).
const ENVELOPES_MAX: usize = 1024;
/// Bytes of one envelope, bundle or payload (security §2.D8: a link is the largest).
pub(crate) const BLOB_BYTES_MAX: u64 = 4 << 20;
/// Bytes of everything beside one image (security §2.D8).
pub(crate) const TOTAL_BYTES_MAX: u64 = 32 << 20;
/// Bytes beside one image that are read whatever else goes on: what a usual chain has.
const OWN_BYTES_MAX: u64 = 1 << 20;
/// KiB of all beyond that, of all images that are judged at once (security §3, overload; design §10, memory).
const SHARED_KIB_MAX: usize = 64 << 10;
static SHARED: Semaphore = Semaphore::const_new(SHARED_KIB_MAX);
/// Blobs of one image in flight.
const BLOBS_AT_ONCE: usize = 8;
/// Manifests of one image in flight: the bulkhead of one registry (security §2.D7).
const MANIFESTS_AT_ONCE: usize = 16;

/// What is read of a registry: [`Registries`], and the double of the tests.
pub(crate) trait Remote: Sync {
    fn manifest(&self, digest: &Digest) -> impl Future<Output = Result<Option<Blob>, Fault>> + Send;
    fn tag(&self, tag: &str) -> impl Future<Output = Result<Option<Blob>, Fault>> + Send;
    fn blob(&self, digest: &Digest, bytes_max: u64) -> impl Future<Output = Result<Option<Blob>, Fault>> + Send;
    fn referrers(&self, digest: &Digest) -> impl Future<Output = Result<Option<Vec<Descriptor>>, Fault>> + Send;
}

/// One repository of the installation's registries, until a deadline.
pub(crate) struct RegistryRemote<'a> {
    pub registries: &'a Registries,
    pub repository: &'a Repository,
    pub deadline: Instant,
}

impl Remote for RegistryRemote<'_> {
    async fn manifest(&self, digest: &Digest) -> Result<Option<Blob>, Fault> {
        self.registries.manifest(self.repository, digest, self.deadline).await
    }
    async fn tag(&self, tag: &str) -> Result<Option<Blob>, Fault> {
        self.registries.tag(self.repository, tag, self.deadline).await
    }
    async fn blob(&self, digest: &Digest, bytes_max: u64) -> Result<Option<Blob>, Fault> {
        self.registries.blob(self.repository, digest, bytes_max, self.deadline).await
    }
    async fn referrers(&self, digest: &Digest) -> Result<Option<Vec<Descriptor>>, Fault> {
        self.registries.referrers(self.repository, digest, self.deadline).await
    }
}

/// What was found, and what kept us from finding all of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found<T> {
    pub items: Vec<T>,
    /// The gravest: a place that could not be read before a candidate that was not what its digest says.
    pub fault: Option<Fault>,
}

impl<T> Found<T> {
    fn new() -> Self {
        Found { items: Vec::new(), fault: None }
    }
    fn failed(&mut self, fault: Fault) {
        let weight = |fault: &Fault| fault.reason.class() == Class::Unavailable;
        if self.fault.as_ref().is_none_or(|kept| !weight(kept) && weight(&fault)) {
            self.fault = Some(fault);
        }
    }
}

/// A blob that is fetched, or was.
type Once = Arc<OnceCell<Result<Option<Vec<u8>>, Fault>>>;

/// One image's evidence in its registry, for one decision: each object is asked for once.
pub(crate) struct ImageEvidence<'a, R> {
    remote: &'a R,
    image: &'a Digest,
    referrers: OnceCell<Found<Manifest>>,
    blobs: Mutex<BTreeMap<Digest, Once>>,
    blob_slots: Semaphore,
    manifest_slots: Semaphore,
    bytes_left: Mutex<u64>,
    shared: &'a Semaphore,
    /// Held until the image is judged.
    share: Mutex<Vec<SemaphorePermit<'a>>>,
    warnings: Mutex<Vec<String>>,
}

impl<'a, R: Remote> ImageEvidence<'a, R> {
    pub fn new(remote: &'a R, image: &'a Digest) -> Self {
        Self::sharing(remote, image, &SHARED)
    }

    fn sharing(remote: &'a R, image: &'a Digest, shared: &'a Semaphore) -> Self {
        ImageEvidence {
            remote,
            image,
            referrers: OnceCell::new(),
            blobs: Mutex::default(),
            blob_slots: Semaphore::new(BLOBS_AT_ONCE),
            manifest_slots: Semaphore::new(MANIFESTS_AT_ONCE),
            bytes_left: Mutex::new(TOTAL_BYTES_MAX),
            shared,
            share: Mutex::default(),
            warnings: Mutex::default(),
        }
    }

    /// A manifest of the image itself.
    pub async fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, Fault> {
        let _slot = self.manifest_slots.acquire().await.map_err(closed)?;
        match self.remote.manifest(digest).await? {
            Some(blob) => Ok(checked(digest, blob)?),
            None => Err(Fault::new(Reason::ImageNotFound, format!("the registry has no manifest {digest}"))),
        }
    }

    /// cosign signatures from every place: the legacy tag and the referrers, side by side, each payload once.
    pub async fn signatures(&self) -> Found<Candidate> {
        let (mut found, among_referrers) = futures::join!(self.legacy_signatures(), self.referrer_signatures());
        merge(&mut found, among_referrers);
        let mut seen = BTreeSet::new();
        found.items.retain(|candidate| seen.insert(fingerprint(candidate)));
        if found.items.len() > SIGNATURES_MAX {
            found.items.truncate(SIGNATURES_MAX);
            self.cut(&mut found, SIGNATURES_MAX, "signatures");
        }
        found
    }

    /// Envelopes among the referrers, in evidence sets and in bundles, and of cosign's attestations; each once.
    pub async fn envelopes(&self) -> Found<Vec<u8>> {
        let (referrers, attached) = futures::join!(self.referrers(), self.attached("att"));
        let mut found = Found::new();
        let mut seen = BTreeSet::new();
        let layers = referrers.items.iter().chain(&attached.items).flat_map(|manifest| &manifest.layers);
        let holds = |layer: &&Descriptor| is_envelope(&layer.media_type) || cosign::is_bundle(&layer.media_type);
        let mut wanted: Vec<_> = layers.filter(holds).filter(|layer| seen.insert(&layer.digest)).collect();
        if wanted.len() > ENVELOPES_MAX {
            wanted.truncate(ENVELOPES_MAX);
            self.cut(&mut found, ENVELOPES_MAX, "envelopes");
        }
        for (layer, blob) in self.blobs_of(&wanted, &mut found).await {
            if is_envelope(&layer.media_type) {
                found.items.push(blob);
            } else {
                found.items.extend(self.bundled(layer, &blob));
            }
        }
        for fault in [&referrers.fault, &attached.fault].into_iter().flatten() {
            found.failed(fault.clone());
        }
        found
    }

    /// The envelope of a bundle. What a bundle has beside it (a log's entry, a certificate) is not believed, and makes nothing count.
    fn bundled(&self, layer: &Descriptor, blob: &[u8]) -> Option<Vec<u8>> {
        match Bundle::parse(blob) {
            Ok(Bundle { content: cosign::Content::Dsse(envelope), .. }) => Some(envelope.to_bytes()),
            Ok(Bundle { content: cosign::Content::MessageSignature, .. }) => None,
            Err(error) => {
                self.warn(format!("bundle {}: {error}", layer.digest));
                None
            }
        }
    }

    /// More than we look at: said, and whoever finds nothing in what is left has not seen everything.
    fn cut<T>(&self, found: &mut Found<T>, max: usize, what: &str) {
        let message = format!("more than {max} {what} of {}: the rest was not looked at", self.image);
        self.warn(message.clone());
        found.failed(Fault::new(Reason::RegistryUnavailable, message));
    }

    /// What was left out, and why.
    pub fn into_warnings(self) -> Vec<String> {
        self.warnings.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Layout A (signatures §2.1): the layers of the manifest tagged `sha256-<hex>.sig`.
    async fn legacy_signatures(&self) -> Found<Candidate> {
        let attached = self.attached("sig").await;
        let mut found = Found { items: Vec::new(), fault: attached.fault };
        self.candidates(&attached.items.iter().collect::<Vec<_>>(), &mut found).await;
        found
    }

    /// What cosign 2 and Tekton Chains attach to an image: the manifest tagged `sha256-<hex>.<suffix>`.
    async fn attached(&self, suffix: &str) -> Found<Manifest> {
        let mut found = Found::new();
        let tag = format!("{}.{suffix}", referrers_tag(self.image));
        match self.remote.tag(&tag).await {
            Err(fault) => found.failed(fault),
            Ok(None) => {}
            Ok(Some(blob)) => match Document::parse(&blob.bytes, blob.media_type.as_deref()) {
                Ok(Document::Manifest(manifest)) => found.items.push(manifest),
                Ok(Document::Index(_)) => self.warn(format!("tag {tag} names an index, and no evidence")),
                Err(fault) => self.warn(format!("tag {tag}: {}", fault.message)),
            },
        }
        found
    }

    /// Layout C, and layout A where it was attached as a referrer.
    async fn referrer_signatures(&self) -> Found<Candidate> {
        let mut found = Found::new();
        let referrers = self.referrers().await;
        let manifests: Vec<_> = referrers.items.iter().collect();
        self.candidates(&manifests, &mut found).await;
        if let Some(fault) = &referrers.fault {
            found.failed(fault.clone());
        }
        found
    }

    /// Signature layers of the manifests, fetched.
    async fn candidates(&self, manifests: &[&Manifest], found: &mut Found<Candidate>) {
        let layers = manifests.iter().flat_map(|manifest| &manifest.layers);
        let is_signature =
            |layer: &&Descriptor| layer.media_type == cosign::LEGACY_LAYER || cosign::is_bundle(&layer.media_type);
        // One more than counts, so that the end can say that there were more.
        let wanted: Vec<_> = layers.filter(is_signature).take(SIGNATURES_MAX + 1).collect();
        for (layer, blob) in self.blobs_of(&wanted, found).await {
            found.items.push(match layer.media_type == cosign::LEGACY_LAYER {
                // A missing annotation is an empty signature: the judgement says what is wrong with it.
                true => Candidate::Legacy {
                    signature: layer.annotations.get(cosign::LEGACY_SIGNATURE_ANNOTATION).cloned().unwrap_or_default(),
                    payload: blob,
                },
                false => Candidate::Bundle(blob),
            });
        }
    }

    /// The referrers' manifests, opened: listed by the API or the tag schema, whose `subject` is the image.
    async fn referrers(&self) -> &Found<Manifest> {
        self.referrers.get_or_init(|| self.read_referrers()).await
    }

    async fn read_referrers(&self) -> Found<Manifest> {
        let mut found = Found::new();
        let listed = self.list_referrers(&mut found).await;
        let opened: Vec<_> = listed.iter().map(|descriptor| self.open(descriptor)).collect();
        for (descriptor, manifest) in listed.iter().zip(join_all(opened).await) {
            match manifest {
                Ok(Some(manifest)) => found.items.push(manifest),
                Ok(None) => {}
                Err(fault) => {
                    self.warn(format!("referrer {}: {}", descriptor.digest, fault.message));
                    found.failed(fault);
                }
            }
        }
        found
    }

    /// Both places at once, joined by digest: a registry that answers the API may hold older entries under the tag, and
    /// some clients write the tag although the API works (components §1).
    async fn list_referrers(&self, found: &mut Found<Manifest>) -> Vec<Descriptor> {
        let tag = referrers_tag(self.image);
        let (api, fallback) = futures::join!(self.remote.referrers(self.image), self.remote.tag(&tag));
        let mut listed = Vec::new();
        match api {
            Ok(descriptors) => listed.extend(descriptors.into_iter().flatten()),
            Err(fault) => found.failed(fault),
        }
        match fallback {
            Err(fault) => found.failed(fault),
            Ok(None) => {}
            Ok(Some(blob)) => match Document::parse(&blob.bytes, blob.media_type.as_deref()) {
                Ok(Document::Index(index)) => listed.extend(index.manifests),
                Ok(Document::Manifest(_)) => self.warn(format!("tag {tag} names a manifest, and no referrers")),
                Err(fault) => self.warn(format!("tag {tag}: {}", fault.message)),
            },
        }
        let mut seen = BTreeSet::from([self.image.clone()]);
        listed.retain(|descriptor| seen.insert(descriptor.digest.clone()));
        // Likely ones first, so that a flood of others costs them nothing; never a filter (components §1).
        listed.sort_by_cached_key(|descriptor| (!looks_like_evidence(descriptor), descriptor.digest.clone()));
        if listed.len() > REFERRERS_MAX {
            listed.truncate(REFERRERS_MAX);
            self.cut(found, REFERRERS_MAX, "referrers");
        }
        listed
    }

    /// `Ok(None)`: there, and not about this image.
    async fn open(&self, descriptor: &Descriptor) -> Result<Option<Manifest>, Fault> {
        let digest = &descriptor.digest;
        if !self.reserve(descriptor)? {
            return Ok(None);
        }
        let _slot = self.manifest_slots.acquire().await.map_err(closed)?;
        let Some(blob) = self.remote.manifest(digest).await? else {
            self.warn(format!("referrer {digest} is listed, and not there"));
            return Ok(None);
        };
        let media_type = blob.media_type.clone();
        let bytes = checked(digest, blob)?;
        if u64::try_from(bytes.len()) != Ok(descriptor.size) {
            self.warn(format!("referrer {digest} has {} bytes, and is listed with {}", bytes.len(), descriptor.size));
            return Ok(None);
        }
        match Document::parse(&bytes, media_type.as_deref()) {
            Ok(Document::Manifest(manifest)) => {
                let subject = manifest.subject.as_ref().map(|subject| &subject.digest);
                if subject == Some(self.image) {
                    return Ok(Some(manifest));
                }
                self.warn(format!("referrer {digest} is about another image"));
            }
            Ok(Document::Index(_)) => self.warn(format!("referrer {digest} is an index, and carries no evidence")),
            Err(fault) => self.warn(format!("referrer {digest}: {}", fault.message)),
        }
        Ok(None)
    }

    /// The blobs that could be had, in the order of the layers.
    async fn blobs_of<'l, T>(&self, layers: &[&'l Descriptor], found: &mut Found<T>) -> Vec<(&'l Descriptor, Vec<u8>)> {
        let mut running: FuturesUnordered<_> =
            layers.iter().enumerate().map(|(at, layer)| async move { (at, self.blob(layer).await) }).collect();
        let mut blobs = BTreeMap::new();
        while let Some((at, result)) = running.next().await {
            match result {
                Ok(Some(bytes)) => {
                    blobs.insert(at, bytes);
                }
                Ok(None) => {}
                Err(fault) => found.failed(fault),
            }
        }
        blobs.into_iter().filter_map(|(at, bytes)| Some((*layers.get(at)?, bytes))).collect()
    }

    /// One blob, once. `Ok(None)`: not there, or too large.
    async fn blob(&self, layer: &Descriptor) -> Result<Option<Vec<u8>>, Fault> {
        let cell = {
            let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(blobs.entry(layer.digest.clone()).or_default())
        };
        cell.get_or_init(|| self.fetch(layer)).await.clone()
    }

    async fn fetch(&self, layer: &Descriptor) -> Result<Option<Vec<u8>>, Fault> {
        let digest = &layer.digest;
        if !self.reserve(layer)? {
            return Ok(None);
        }
        let _slot = self.blob_slots.acquire().await.map_err(closed)?;
        let fetched = match self.remote.blob(digest, layer.size).await {
            Ok(Some(blob)) => checked(digest, blob).map(Some),
            Ok(None) => {
                self.warn(format!("blob {digest} is named by a manifest, and not there"));
                Ok(None)
            }
            Err(fault) => Err(fault),
        };
        if let Err(fault) = &fetched {
            self.warn(format!("blob {digest}: {}", fault.message));
        }
        fetched
    }

    /// Takes the object's size from what one image, and what all together may cost. No: it is not fetched. `overloaded`: not now.
    fn reserve(&self, descriptor: &Descriptor) -> Result<bool, Fault> {
        let (digest, size) = (&descriptor.digest, descriptor.size);
        if size > BLOB_BYTES_MAX {
            self.warn(format!("{digest} has {size} bytes, more than {BLOB_BYTES_MAX}"));
            return Ok(false);
        }
        let mut left = self.bytes_left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rest) = left.checked_sub(size) else {
            drop(left);
            self.warn(format!("{digest} would bring the evidence to more than {TOTAL_BYTES_MAX} bytes"));
            return Ok(false);
        };
        if TOTAL_BYTES_MAX - rest > OWN_BYTES_MAX {
            let kib = u32::try_from(size / 1024 + 1).unwrap_or(u32::MAX);
            let share = self.shared.try_acquire_many(kib).map_err(|_| {
                Fault::new(Reason::Overloaded, "too much evidence is being read at once; try again in some seconds")
            })?;
            self.share.lock().unwrap_or_else(PoisonError::into_inner).push(share);
        }
        *left = rest;
        Ok(true)
    }

    fn warn(&self, text: String) {
        tracing::debug!(image = %self.image, "{text}");
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

/// Whether a layer is an envelope of a chain. A bundle is none; it may hold one.
pub fn is_envelope(media_type: &str) -> bool {
    matches!(media_type, media::DSSE | media::METABLOCK)
}

fn looks_like_evidence(descriptor: &Descriptor) -> bool {
    let hint = descriptor.artifact_type.as_deref().unwrap_or_default();
    hint == media::EVIDENCE || cosign::is_bundle(hint)
}

/// The reader hashes too; this is the one place that believes no reader.
fn checked(digest: &Digest, blob: Blob) -> Result<Vec<u8>, Fault> {
    match digest.matches(&blob.bytes) {
        true => Ok(blob.bytes),
        false => Err(Fault::new(Reason::DigestMismatch, format!("{digest} was answered with other bytes"))),
    }
}

fn merge<T>(into: &mut Found<T>, from: Found<T>) {
    into.items.extend(from.items);
    if let Some(fault) = from.fault {
        into.failed(fault);
    }
}

fn fingerprint(candidate: &Candidate) -> (Digest, String) {
    match candidate {
        Candidate::Legacy { payload, signature } => (Digest::sha256(payload), signature.clone()),
        Candidate::Bundle(bytes) => (Digest::sha256(bytes), String::new()),
    }
}

fn closed(_: tokio::sync::AcquireError) -> Fault {
    Fault::new(Reason::InternalError, "the evidence session is closed")
}

#[cfg(test)]
mod tests;
