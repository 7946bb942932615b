//! The admission webhook: one AdmissionReview as a straight line (design §3).

use crate::{
    cache::{self, Cache, Flights, Key},
    cluster::pull_secrets::PullSecrets,
    digest::Digest,
    policy::{Assessment, Decision, EvidenceSource, ImageOutcome, Namespace, PolicySet, Reading, Want, Workload},
    reason::{Fault, Reason},
    reference::Reference,
    registry::{Blob, Repository},
    source::{self, Sources, store::Together},
};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use lent::{Access, Judged, Lent, in_turn};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

pub mod admit; // a request to its answer, judging and pinning
pub mod config; // documents of a file or directory
pub mod http; // routes, health, panics, overload
pub mod images; // every image of every pod-bearing kind
mod lent; // in whose name an image is read
pub mod metrics;
pub mod namespace; // the Namespace object, for its annotations
pub mod policies; // what decisions are made by, swapped whole
pub mod reports; // verdicts for the metadata store
pub mod resources; // our own kinds, before they are stored
pub mod review; // bytes ⇄ types: parse, respond, patch
pub mod told; // what an answer is worth telling the owner of the workload
pub mod watched; // documents of the cluster

/// B14: images of one review judged at the same time.
const IMAGES_AT_ONCE: usize = 8;

/// The one evaluation behind the webhook, `verify` and `review`.
pub struct Judge {
    sources: Sources,
    cache: Arc<Cache>,
    /// One request for a tag that many reviews name at once, in one name; what it names is not kept (A1).
    resolving: Arc<Flights<Tag, Result<Arc<Blob>, Fault>>>,
    /// The reader of pods' own credentials, in a cluster.
    pull_secrets: Option<Arc<PullSecrets>>,
}

/// A reference, and in whose name it is asked for (G4).
type Tag = (String, String);

impl Judge {
    /// With a cache of its own.
    pub fn new(sources: Sources) -> Self {
        Judge::with_cache(sources, Arc::default())
    }

    /// With a cache that outlives it: the next policy set's judge goes on with the verdicts that still apply.
    pub fn with_cache(sources: Sources, cache: Arc<Cache>) -> Self {
        Judge { sources, cache, resolving: Arc::default(), pull_secrets: None }
    }

    /// Reads images in the name of the pod that wants them, where the operator has none for their registry.
    pub fn with_pull_secrets(self, pull_secrets: Arc<PullSecrets>) -> Self {
        Judge { pull_secrets: Some(pull_secrets), ..self }
    }

    /// Where it reads, for the counts of requests.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Reads, resolves, drives, decides. `now` is taken once by the caller.
    pub async fn judge(
        &self,
        set: &Arc<PolicySet>,
        workload: &Workload,
        namespace: Option<&Namespace>,
        deadline: Instant,
        now: Timestamp,
    ) -> Decision {
        let readings = set.read(workload);
        // The same image in eight containers is judged once.
        let references: BTreeSet<Reference> = readings.iter().filter_map(to_judge).cloned().collect();
        let lent = self.lent(workload, references.iter(), deadline).await;
        let accesses = |reference| (lent.accesses(&self.sources, &reference), reference);
        let images: Vec<_> = references.into_iter().map(accesses).collect();
        let _together = self.together(set, &workload.namespace, &images, now).await;
        let work: Vec<_> = images
            .into_iter()
            .map(|(accesses, reference)| {
                async move {
                    let outcome = self.image(set, &reference, &workload.namespace, accesses, deadline, now).await;
                    (reference, outcome)
                }
                .boxed()
            })
            .collect();
        let outcomes: BTreeMap<Reference, ImageOutcome> =
            futures::stream::iter(work).buffer_unordered(IMAGES_AT_ONCE).collect().await;
        let verdicts =
            readings.iter().map(|reading| to_judge(reading).and_then(|it| outcomes.get(it).cloned())).collect();
        let mut decision = set.decide(workload, namespace, readings, verdicts, now);
        for warning in lent.warnings() {
            decision.warn(warning);
        }
        decision
    }

    async fn lent<'r>(
        &self,
        workload: &Workload,
        references: impl Iterator<Item = &'r Reference>,
        deadline: Instant,
    ) -> Lent {
        let (secrets, registries) = (self.pull_secrets.as_deref(), &self.sources.registries);
        Lent::read(secrets, registries, workload, references, deadline).await
    }

    /// The images that will want the store's evidence are asked for in one question, as long as the value lives. Those behind tags
    /// are not known yet.
    async fn together(
        &self,
        set: &PolicySet,
        namespace: &str,
        images: &[(Vec<Access>, Reference)],
        now: Timestamp,
    ) -> Option<Arc<Together>> {
        let store = self.sources.store.as_ref().filter(|_| images.len() > 1)?;
        let mut wanting = BTreeSet::new();
        for (accesses, reference) in images {
            let (Some(access), Some(digest)) = (accesses.first(), reference.digest()) else { continue };
            let wants = || Assessment::new(set, reference, namespace).wants();
            if !self.cache.holds(&key(reference, digest, set, namespace, access), now).await
                && wants().contains(&Want::Envelopes(EvidenceSource::Store))
            {
                wanting.insert(digest.clone());
            }
        }
        (wanting.len() > 1).then(|| store.together(wanting))
    }

    /// One image: its digest, and what the evidence says about it, in the first name that is shown it.
    async fn image(
        &self,
        set: &Arc<PolicySet>,
        reference: &Reference,
        namespace: &str,
        accesses: Vec<Access>,
        deadline: Instant,
        now: Timestamp,
    ) -> ImageOutcome {
        let ask =
            |access| async move { Judged(self.image_as(&access, set, reference, namespace, deadline, now).await) };
        let nobody = || Err(Fault::new(Reason::InternalError, "an image is read in nobody's name"));
        in_turn(accesses, ask).await.map_or_else(nobody, |Judged(outcome)| outcome)
    }

    async fn image_as(
        &self,
        access: &Access,
        set: &Arc<PolicySet>,
        reference: &Reference,
        namespace: &str,
        deadline: Instant,
        now: Timestamp,
    ) -> ImageOutcome {
        let (digest, known) = match reference.digest() {
            Some(digest) => (digest.clone(), None),
            None => {
                let blob = self.resolve(reference, access, deadline).await?;
                (blob.digest.clone(), Some(blob))
            }
        };
        let repository = Repository::from(reference);
        let key = key(reference, &digest, set, namespace, access);
        let pinned = reference.pinned(digest.clone());
        let drive = |deadline| {
            let (set, sources, repository) = (Arc::clone(set), access.sources.clone(), repository.clone());
            let (pinned, digest, namespace) = (pinned.clone(), digest.clone(), namespace.to_owned());
            let known = known.as_ref().map(|blob| blob.bytes.clone());
            async move {
                let mut assessment = Assessment::new(&set, &pinned, &namespace);
                let left_out = source::drive(&mut assessment, &repository, &digest, known, &sources, deadline).await;
                let mut verdict = assessment.finish(now);
                // D11: in every verdict. What it says of the registry is part of the policy hash, so it may be kept.
                verdict.warnings.extend(sources.registries.warning(&repository.registry));
                verdict.warnings.extend(left_out);
                verdict
            }
        };
        let verdict = self.cache.verdict(key, deadline, now, drive).await?;
        Ok((digest, verdict))
    }

    /// What a tag names now.
    async fn resolve(&self, reference: &Reference, access: &Access, deadline: Instant) -> Result<Arc<Blob>, Fault> {
        let tag = (reference.to_string(), access.identity.clone());
        let mut flights = 0;
        loop {
            flights += 1;
            let flight = self.resolving.join(&tag, deadline, || {
                let (registries, reference) = (Arc::clone(&access.sources.registries), reference.clone());
                async move { registries.resolve(&reference, deadline).await.map(Arc::new) }
            });
            match tokio::time::timeout_at(deadline.into(), flight.landing).await {
                // Whoever started it had less time than we have.
                Ok(Some(Err(fault)))
                    if flights < cache::FLIGHTS_MAX && cache::hurried(fault.reason, flight.until, deadline) => {}
                Ok(Some(found)) => return found,
                Ok(None) => return Err(Fault::new(Reason::InternalError, format!("resolving {reference} failed"))),
                Err(_) => {
                    let why = format!("the review's time ran out resolving {reference}");
                    return Err(Fault::new(Reason::DeadlineExceeded, why));
                }
            }
        }
    }

    /// The digests of those images that a policy wants pinned, by their place in `workload.images`, or why there is none.
    /// Only Pods are pinned (design §6).
    pub async fn pins(
        &self,
        set: &PolicySet,
        workload: &Workload,
        deadline: Instant,
    ) -> Vec<(usize, Result<Digest, Fault>)> {
        let references = to_pin(set, workload);
        let lent = self.lent(workload, references.iter().map(|(_, reference)| reference), deadline).await;
        let work: Vec<_> = references
            .into_iter()
            .map(|(index, reference)| {
                let accesses = lent.accesses(&self.sources, &reference);
                async move {
                    let ask = |access: Access| {
                        let reference = &reference;
                        async move { self.resolve(reference, &access, deadline).await.map(|blob| blob.digest.clone()) }
                    };
                    let nobody = || Err(Fault::new(Reason::InternalError, "a tag is resolved in nobody's name"));
                    (index, in_turn(accesses, ask).await.unwrap_or_else(nobody))
                }
                .boxed()
            })
            .collect();
        futures::stream::iter(work).buffered(IMAGES_AT_ONCE).collect().await
    }
}

fn key(reference: &Reference, digest: &Digest, set: &PolicySet, namespace: &str, access: &Access) -> Key {
    Key {
        repository: Repository::from(reference),
        digest: digest.clone(),
        policy: set.hash().clone(),
        namespace: namespace.into(),
        credential: access.identity.clone(),
    }
}

fn to_judge(reading: &Reading) -> Option<&Reference> {
    match reading {
        Reading::Judge { reference } => Some(reference),
        Reading::Settled | Reading::Refused(_) => None,
    }
}

/// Images that are refused in a Pod for want of a digest, and would be judged by their tag in a controller: `Pin`, and
/// no `Require` beside it.
fn to_pin(set: &PolicySet, workload: &Workload) -> Vec<(usize, Reference)> {
    if !workload.is_pod {
        return Vec::new();
    }
    let as_controller = Workload { is_pod: false, ..workload.clone() };
    let (strict, lenient) = (set.read(workload), set.read(&as_controller));
    let pairs = strict.into_iter().zip(lenient).enumerate();
    pairs
        .filter_map(|(index, pair)| match pair {
            (Reading::Refused(fault), Reading::Judge { reference })
                if fault.reason == Reason::ImageNotPinned && reference.digest().is_none() =>
            {
                Some((index, reference))
            }
            _ => None,
        })
        .collect()
}

/// The image as written, with its digest: the tag stays for people to read (A2: containerd drops it).
pub fn pinned(image: &str, digest: &Digest) -> String {
    format!("{image}@{digest}")
}
