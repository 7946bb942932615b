//! The session against a registry in memory: what it asks for, in how many trips, and what it makes of lies.

use super::*;
use crate::envelope::{Envelope, INTOTO_PAYLOAD_TYPE};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A registry in memory that remembers what it was asked, and answers when nothing goes on without it.
#[derive(Default)]
struct Double {
    objects: BTreeMap<String, Result<Vec<u8>, Fault>>,
    listed: Option<Vec<Descriptor>>,
    no_listing: Option<Fault>,
    asked: Mutex<Vec<String>>,
    waiting: Mutex<Vec<tokio::sync::oneshot::Sender<()>>>,
    most_at_once: AtomicUsize,
}

impl Double {
    fn put(&mut self, name: impl ToString, bytes: &[u8]) {
        self.objects.insert(name.to_string(), Ok(bytes.to_vec()));
    }
    /// A blob or manifest under its own digest.
    fn add(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        self.put(&digest, bytes);
        digest
    }
    async fn ask(&self, name: String) -> Result<Option<Blob>, Fault> {
        self.asked.lock().unwrap().push(name.clone());
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.waiting.lock().unwrap().push(answer);
        answered.await.unwrap();
        match self.objects.get(&name) {
            None => Ok(None),
            Some(Err(fault)) => Err(fault.clone()),
            Some(Ok(bytes)) => Ok(Some(Blob { digest: Digest::sha256(bytes), bytes: bytes.clone(), media_type: None })),
        }
    }
    /// Runs to the end; whenever nothing goes on without an answer, everything that was asked is answered at once: one trip.
    fn timed<T>(&self, future: impl Future<Output = T>) -> (T, usize) {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let (mut trips, mut idle) = (0, 0);
        loop {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return (value, trips);
            }
            let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
            idle = if waiting.is_empty() { idle + 1 } else { 0 };
            assert!(idle < 100, "waits for nothing that was asked");
            trips += usize::from(!waiting.is_empty());
            self.most_at_once.fetch_max(waiting.len(), Ordering::SeqCst);
            waiting.into_iter().for_each(|answer| answer.send(()).unwrap());
        }
    }
    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.timed(future).0
    }
    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
    fn times(&self, name: impl ToString) -> usize {
        let name = name.to_string();
        self.asked.lock().unwrap().iter().filter(|asked| **asked == name).count()
    }
}

impl Remote for Double {
    async fn manifest(&self, digest: &Digest) -> Result<Option<Blob>, Fault> {
        self.ask(digest.to_string()).await
    }
    async fn tag(&self, tag: &str) -> Result<Option<Blob>, Fault> {
        self.ask(tag.to_owned()).await
    }
    async fn blob(&self, digest: &Digest, _: u64) -> Result<Option<Blob>, Fault> {
        self.ask(digest.to_string()).await
    }
    async fn referrers(&self, _: &Digest) -> Result<Option<Vec<Descriptor>>, Fault> {
        self.ask("referrers".into()).await?;
        match &self.no_listing {
            Some(fault) => Err(fault.clone()),
            None => Ok(self.listed.clone()),
        }
    }
}

fn image() -> Digest {
    Digest::sha256(b"the image")
}
fn fallback() -> String {
    format!("sha256-{}", image().hex())
}
fn pointer(media_type: &str, digest: &Digest, size: usize, more: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}{more}}}"#)
}
fn manifest(subject: Option<&Digest>, layers: &[String]) -> Vec<u8> {
    let config = pointer(media::OCI_EMPTY, &Digest::sha256(b"{}"), 2, "");
    let subject = subject
        .map_or(String::new(), |digest| format!(r#","subject":{}"#, pointer(media::OCI_MANIFEST, digest, 7, "")));
    let media_type = media::OCI_MANIFEST;
    let layers = layers.join(",");
    format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{config},"layers":[{layers}]{subject}}}"#).into()
}
fn layer(media_type: &str, content: &[u8]) -> String {
    let signature = format!(r#","annotations":{{"{}":"c2ln"}}"#, cosign::LEGACY_SIGNATURE_ANNOTATION);
    pointer(media_type, &Digest::sha256(content), content.len(), &signature)
}
fn index(manifests: &[&[u8]]) -> Vec<u8> {
    let entries: Vec<_> =
        manifests.iter().map(|bytes| pointer(media::OCI_MANIFEST, &Digest::sha256(bytes), bytes.len(), "")).collect();
    format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#, media::OCI_INDEX, entries.join(",")).into()
}
fn descriptors(manifests: &[&[u8]]) -> Vec<Descriptor> {
    match Document::parse(&index(manifests), None).unwrap() {
        Document::Index(index) => index.manifests,
        Document::Manifest(_) => panic!("an index"),
    }
}
/// A registry whose API lists one evidence set of these envelopes.
fn with_envelopes(envelopes: &[&[u8]]) -> Double {
    let mut double = Double::default();
    let layers: Vec<_> = envelopes.iter().map(|bytes| layer(media::DSSE, bytes)).collect();
    let set = manifest(Some(&image()), &layers);
    envelopes.iter().for_each(|bytes| drop(double.add(bytes)));
    double.add(&set);
    double.listed = Some(descriptors(&[&set]));
    double
}
#[test]
fn images_with_much_beside_them_share_what_memory_there_is_and_small_ones_need_none_of_it() {
    let large: Vec<Vec<u8>> = (0..3).map(|at| vec![at; 1 << 20]).collect();
    let double = with_envelopes(&large.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let (image, shared) = (image(), Semaphore::new(4 << 10));
    let first = ImageEvidence::sharing(&double, &image, &shared);
    let found = double.run(first.envelopes());
    assert_eq!((found.items.len(), found.fault), (3, None));
    // While that waits to be judged, the next of its kind is told to come again ...
    let second = ImageEvidence::sharing(&double, &image, &shared);
    assert_eq!(double.run(second.envelopes()).fault.unwrap().reason, Reason::Overloaded);
    // ... an ordinary image is read, and afterwards all is as before.
    let small = with_envelopes(&[b"{}"]);
    assert_eq!(small.run(ImageEvidence::sharing(&small, &image, &shared).envelopes()).items.len(), 1);
    drop((first, second));
    assert_eq!(shared.available_permits(), 4 << 10);
}

#[test]
fn a_legacy_signature_takes_two_trips_and_no_request_twice() {
    let mut double = Double::default();
    let payload = double.add(b"payload");
    double.put(format!("{}.sig", fallback()), &manifest(None, &[layer(cosign::LEGACY_LAYER, b"payload")]));
    let image = image();
    let evidence = ImageEvidence::new(&double, &image);
    let (found, trips) = double.timed(evidence.signatures());
    assert_eq!(found.items, [Candidate::Legacy { payload: b"payload".to_vec(), signature: "c2ln".into() }]);
    assert_eq!(found.fault, None);
    assert_eq!(trips, 2);
    assert_eq!(double.count(), 4, "{:?}", double.asked);
    assert_eq!(double.times(&payload), 1);
}

#[test]
fn a_bundle_and_a_chain_together_take_three_trips_and_no_request_twice() {
    let mut double = with_envelopes(&[b"one", b"two"]);
    let bundle = manifest(Some(&image()), &[layer(cosign::BUNDLE_TYPES[0], b"bundle")]);
    double.add(b"bundle");
    double.add(&bundle);
    double.listed.as_mut().unwrap().extend(descriptors(&[&bundle]));
    let image = image();
    let evidence = ImageEvidence::new(&double, &image);
    let ((signatures, envelopes), trips) =
        double.timed(async { futures::join!(evidence.signatures(), evidence.envelopes()) });
    assert_eq!(signatures.items, [Candidate::Bundle(b"bundle".to_vec())]);
    let envelopes: BTreeSet<_> = envelopes.items.into_iter().collect();
    assert_eq!(envelopes, [b"one".to_vec(), b"two".to_vec()].into());
    assert_eq!(trips, 3);
    // referrers, tag, .sig, .att; two manifests; three blobs.
    assert_eq!(double.count(), 9, "{:?}", double.asked);
}

#[test]
fn what_cosign_attests_is_evidence_wherever_its_generation_puts_it() {
    let sealed = |text: &str| Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, text.into(), &[]).unwrap().to_bytes();
    let bundle = |content: &str| {
        let kind = cosign::BUNDLE_TYPES[0];
        format!(r#"{{"mediaType":"{kind}","verificationMaterial":{{"publicKey":{{}}}},{content}}}"#).into_bytes()
    };
    let one = bundle(&format!(r#""dsseEnvelope":{}"#, String::from_utf8(sealed("one")).unwrap()));
    let signature = bundle(r#""messageSignature":{}"#);
    let mut double = Double::default();
    let bundles = [&one, &signature, &b"no bundle".to_vec()].map(|bytes| layer(cosign::BUNDLE_TYPES[0], bytes));
    let set = manifest(Some(&image()), &bundles);
    let two = sealed("two");
    double.put(format!("{}.att", fallback()), &manifest(None, &[layer(media::DSSE, &two)]));
    for bytes in [&one, &signature, &b"no bundle".to_vec(), &set, &two] {
        double.add(bytes);
    }
    double.listed = Some(descriptors(&[&set]));
    let image = image();
    let evidence = ImageEvidence::new(&double, &image);
    let (found, trips) = double.timed(evidence.envelopes());
    assert_eq!(found.items.into_iter().collect::<BTreeSet<_>>(), [sealed("one"), sealed("two")].into());
    assert_eq!((found.fault, trips), (None, 3));
    let warnings = evidence.into_warnings();
    assert!(warnings.len() == 1 && warnings[0].starts_with("bundle "), "{warnings:?}");
}

#[test]
fn an_attachment_that_cannot_be_read_is_told_beside_the_rest() {
    let mut double = with_envelopes(&[b"one"]);
    double.put(format!("{}.att", fallback()), &index(&[]));
    let image = image();
    let evidence = ImageEvidence::new(&double, &image);
    let found = double.run(evidence.envelopes());
    assert_eq!((found.items.len(), found.fault), (1, None));
    assert!(evidence.into_warnings()[0].contains("names an index"));
    let fault = Fault::new(Reason::RegistryTimeout, "slow");
    double.objects.insert(format!("{}.att", fallback()), Err(fault.clone()));
    let found = double.run(ImageEvidence::new(&double, &image).envelopes());
    assert_eq!((found.items.len(), found.fault), (1, Some(fault)));
}

#[test]
fn an_envelope_is_no_signature() {
    let mut double = Double::default();
    let set = manifest(Some(&image()), &[layer(cosign::BUNDLE_TYPES[0], b"bundle"), layer(media::METABLOCK, b"link")]);
    for bytes in [b"bundle".as_slice(), b"link", &set] {
        double.add(bytes);
    }
    double.listed = Some(descriptors(&[&set]));
    let image = image();
    assert_eq!(double.run(ImageEvidence::new(&double, &image).envelopes()).items, [b"link".to_vec()]);
    assert_eq!(
        double.run(ImageEvidence::new(&double, &image).signatures()).items,
        [Candidate::Bundle(b"bundle".to_vec())]
    );
}

#[test]
fn the_tag_schema_is_read_beside_the_api_and_joined_by_digest() {
    let mut double = with_envelopes(&[b"one"]);
    let other = manifest(Some(&image()), &[layer(media::DSSE, b"two")]);
    double.add(b"two");
    double.add(&other);
    let same = manifest(Some(&image()), &[layer(media::DSSE, b"one")]);
    double.put(fallback(), &index(&[&same, &other]));
    let image = image();
    let found = double.run(ImageEvidence::new(&double, &image).envelopes());
    assert_eq!(found.items.len(), 2);
    assert_eq!(double.times(Digest::sha256(&same)), 1);
    // Without the API the tag alone is enough.
    double.listed = None;
    assert_eq!(double.run(ImageEvidence::new(&double, &image).envelopes()).items.len(), 2);
    double.objects.remove(&fallback());
    let found = double.run(ImageEvidence::new(&double, &image).envelopes());
    assert!(found.items.is_empty() && found.fault.is_none(), "{found:?}");
}

#[test]
fn an_artifact_type_never_decides_what_is_opened() {
    let mut double = with_envelopes(&[b"one"]);
    double.listed.as_mut().unwrap()[0].artifact_type = Some(media::OCI_EMPTY.into());
    let image = image();
    assert_eq!(double.run(ImageEvidence::new(&double, &image).envelopes()).items.len(), 1);
}

#[test]
fn a_referrer_of_another_image_is_left_out() {
    for subject in [None, Some(Digest::sha256(b"another image"))] {
        let mut double = Double::default();
        let set = manifest(subject.as_ref(), &[layer(media::DSSE, b"one")]);
        double.add(b"one");
        double.add(&set);
        double.listed = Some(descriptors(&[&set]));
        let image = image();
        let evidence = ImageEvidence::new(&double, &image);
        assert!(double.run(evidence.envelopes()).items.is_empty());
        assert!(evidence.into_warnings()[0].contains("another image"));
        assert_eq!(double.times(Digest::sha256(b"one")), 0);
    }
}

#[test]
fn a_lying_blob_is_a_warning_beside_good_ones_and_a_fault_alone() {
    let mut double = with_envelopes(&[b"one", b"two"]);
    double.put(Digest::sha256(b"two"), b"lie");
    let image = image();
    let evidence = ImageEvidence::new(&double, &image);
    let found = double.run(evidence.envelopes());
    assert_eq!(found.items, [b"one".to_vec()]);
    assert_eq!(found.fault.unwrap().reason, Reason::DigestMismatch);
    assert_eq!(evidence.into_warnings().len(), 1);
    double.put(Digest::sha256(b"one"), b"lie");
    let found = double.run(ImageEvidence::new(&double, &image).envelopes());
    assert!(found.items.is_empty());
    assert_eq!(found.fault.unwrap().reason, Reason::DigestMismatch);
}

#[test]
fn a_place_that_fails_is_told_beside_what_the_others_gave() {
    let fault = Fault::new(Reason::RegistryTimeout, "too slow");
    let mut double = Double::default();
    double.add(b"payload");
    let tag = format!("{}.sig", fallback());
    double.put(&tag, &manifest(None, &[layer(cosign::LEGACY_LAYER, b"payload")]));
    double.no_listing = Some(fault.clone());
    let image = image();
    let found = double.run(ImageEvidence::new(&double, &image).signatures());
    assert_eq!((found.items.len(), found.fault), (1, Some(fault.clone())));
    double.objects.insert(tag, Err(Fault::new(Reason::RegistryAuth, "no")));
    let found = double.run(ImageEvidence::new(&double, &image).signatures());
    assert!(found.items.is_empty());
    assert_eq!(found.fault.unwrap().reason.class(), Class::Unavailable);
}

#[test]
fn what_could_not_be_read_weighs_more_than_what_lies() {
    let mut found = Found::<()>::new();
    found.failed(Fault::new(Reason::DigestMismatch, "lie"));
    found.failed(Fault::new(Reason::RegistryTimeout, "slow"));
    found.failed(Fault::new(Reason::DigestMismatch, "lie"));
    assert_eq!(found.fault.unwrap().reason, Reason::RegistryTimeout);
}

#[test]
fn a_listing_that_is_no_listing_is_a_warning() {
    let image = image();
    for bytes in [b"no json".to_vec(), manifest(None, &[])] {
        let mut double = with_envelopes(&[b"one"]);
        double.put(fallback(), &bytes);
        let evidence = ImageEvidence::new(&double, &image);
        assert_eq!(double.run(evidence.envelopes()).items.len(), 1);
        assert_eq!(evidence.into_warnings().len(), 1);
    }
}

#[test]
fn sizes_are_judged_before_anything_is_fetched() {
    let mut double = Double::default();
    let large = pointer(media::DSSE, &Digest::sha256(b"large"), 1 + (4 << 20), "");
    let set = manifest(Some(&image()), &[large, layer(media::DSSE, b"one")]);
    double.add(b"large");
    double.add(b"one");
    double.add(&set);
    double.listed = Some(descriptors(&[&set]));
    let image = image();
    assert_eq!(double.run(ImageEvidence::new(&double, &image).envelopes()).items, [b"one".to_vec()]);
    assert_eq!(double.times(Digest::sha256(b"large")), 0);
}

#[test]
fn all_of_it_together_has_a_bound() {
    let mut double = Double::default();
    let layers: Vec<_> = (0..9u8).map(|n| pointer(media::DSSE, &double.add(&[n]), 4 << 20, "")).collect();
    let set = manifest(Some(&image()), &layers);
    double.add(&set);
    double.listed = Some(descriptors(&[&set]));
    let image = image();
    let evidence = ImageEvidence::new(&double, &image);
    // The manifest takes a little of the 32 MiB, so seven blobs of 4 MiB are left.
    assert_eq!(double.run(evidence.envelopes()).items.len(), 7);
    assert_eq!(evidence.into_warnings().len(), 2);
}

#[test]
fn a_referrer_of_another_size_than_listed_is_left_out() {
    let mut double = with_envelopes(&[b"one"]);
    double.listed.as_mut().unwrap()[0].size += 1;
    let image = image();
    assert!(double.run(ImageEvidence::new(&double, &image).envelopes()).items.is_empty());
}

#[test]
fn blobs_are_fetched_eight_at_a_time() {
    let contents: Vec<_> = (0..20u8).map(|n| vec![n]).collect();
    let double = with_envelopes(&contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let image = image();
    let (found, trips) = double.timed(ImageEvidence::new(&double, &image).envelopes());
    assert_eq!(found.items.len(), 20);
    assert_eq!(double.most_at_once.load(Ordering::SeqCst), BLOBS_AT_ONCE);
    assert_eq!(trips, 2 + 3);
}

#[test]
fn more_signatures_than_count_are_cut_and_said() {
    let mut double = Double::default();
    let payloads: Vec<_> = (0..SIGNATURES_MAX + 2).map(|n| n.to_string()).collect();
    payloads.iter().for_each(|payload| drop(double.add(payload.as_bytes())));
    let layers: Vec<_> = payloads.iter().map(|payload| layer(cosign::LEGACY_LAYER, payload.as_bytes())).collect();
    double.put(format!("{}.sig", fallback()), &manifest(None, &layers));
    let image = image();
    let evidence = ImageEvidence::new(&double, &image);
    let found = double.run(evidence.signatures());
    assert_eq!(found.items.len(), SIGNATURES_MAX);
    assert_eq!(found.fault.map(|fault| fault.reason), Some(Reason::RegistryUnavailable), "not all was seen");
    assert!(evidence.into_warnings()[0].contains("more than 64 signatures"));
}

#[test]
fn more_referrers_than_count_are_cut_and_the_likely_ones_kept() {
    let mut double = with_envelopes(&[b"one"]);
    let listed = double.listed.as_mut().unwrap();
    listed[0].artifact_type = Some(media::EVIDENCE.into());
    let junk =
        |n: usize| Descriptor { digest: Digest::sha256(&n.to_be_bytes()), artifact_type: None, ..listed[0].clone() };
    let junk: Vec<_> = (0..REFERRERS_MAX).map(junk).collect();
    listed.extend(junk);
    let image = image();
    let evidence = ImageEvidence::new(&double, &image);
    let found = double.run(evidence.envelopes());
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.fault.map(|fault| fault.reason), Some(Reason::RegistryUnavailable), "not all was seen");
    assert!(evidence.into_warnings()[0].contains("more than 256 referrers"));
}
