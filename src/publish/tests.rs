//! The set as a value: its bytes, and the listings it goes into.

use super::*;
use crate::{
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    key::{Scheme, SecretKey},
    oci::{Manifest, media},
};

fn subject() -> Subject {
    Subject { media_type: media::OCI_INDEX.into(), digest: Digest::sha256(b"image"), size: 5 }
}
fn envelope(payload: &str) -> Vec<u8> {
    let key = SecretKey::generate(Scheme::Ed25519).unwrap();
    Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, payload.into(), &[&key]).unwrap().to_bytes()
}
fn manifest(set: &EvidenceSet) -> Manifest {
    match Document::parse(&set.manifest, Some(media::OCI_MANIFEST)).unwrap() {
        Document::Manifest(manifest) => manifest,
        Document::Index(_) => panic!("a manifest"),
    }
}

#[test]
fn the_same_envelopes_make_the_same_set_in_any_order() {
    let (one, two) = (envelope("{}"), envelope("{}"));
    let set = EvidenceSet::new(&subject(), &[one.clone(), two.clone()]).unwrap();
    let again = EvidenceSet::new(&subject(), &[two.clone(), one.clone(), two.clone()]).unwrap();
    assert_eq!(set.manifest, again.manifest);
    let fewer = EvidenceSet::new(&subject(), &[two]).unwrap();
    assert_ne!(set.digest, fewer.digest);
}

#[test]
fn the_manifest_is_what_the_design_says() {
    let bytes = envelope(r#"{"_type":"link","name":"build"}"#);
    let set = EvidenceSet::new(&subject(), std::slice::from_ref(&bytes)).unwrap();
    let manifest = manifest(&set);
    assert_eq!(manifest.artifact_type.as_deref(), Some(media::EVIDENCE));
    assert_eq!(manifest.subject.as_ref().map(|subject| &subject.digest), Some(&Digest::sha256(b"image")));
    assert_eq!(manifest.subject.map(|subject| subject.size), Some(5));
    assert_eq!((manifest.config.digest, manifest.config.size), (Digest::sha256(b"{}"), 2));
    assert_eq!(manifest.layers[0].digest, Digest::sha256(&bytes));
    assert_eq!(manifest.layers[0].media_type, media::DSSE);
    assert_eq!(manifest.layers[0].annotations["tidewaiter.dev/step"], "build");
    assert_eq!(set.blobs().count(), 2);
}

#[test]
fn what_is_no_envelope_makes_no_set() {
    let refused = |bytes: &[u8], part: &str| {
        let error = EvidenceSet::new(&subject(), &[envelope("{}"), bytes.to_vec()]).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("envelope 2") && text.contains(part), "{text}");
    };
    refused(b"", "is no DSSE envelope");
    refused(br#"{"payload":"e30=","payloadType":"a/b","signatures":[]}"#, "");
    refused(&vec![b' '; 1 + (4 << 20)], "more than");
    assert!(EvidenceSet::new(&subject(), &[]).is_err());
}

#[test]
fn a_listing_is_begun_added_to_and_then_left_alone() {
    let set = EvidenceSet::new(&subject(), &[envelope("{}")]).unwrap();
    let other = EvidenceSet::new(&subject(), &[envelope("[]")]).unwrap();
    let listing = set.listed_in(None).unwrap().unwrap();
    assert_eq!(set.listed_in(Some(&listing)).unwrap(), None);
    let listing = other.listed_in(Some(&listing)).unwrap().unwrap();
    let Document::Index(index) = Document::parse(&listing, Some(media::OCI_INDEX)).unwrap() else { panic!("an index") };
    let digests: Vec<_> = index.manifests.into_iter().map(|entry| entry.digest).collect();
    assert_eq!(digests, [set.digest.clone(), other.digest]);
    assert!(set.listed_in(Some(&set.manifest)).is_err(), "a manifest is no listing");
    assert!(set.listed_in(Some(b"{}")).is_err());
}

#[test]
fn an_entry_that_is_listed_twice_is_listed_once_afterwards() {
    let set = EvidenceSet::new(&subject(), &[envelope("{}")]).unwrap();
    let entry = format!(r#"{{"mediaType":"{}","digest":"{}","size":7}}"#, media::OCI_MANIFEST, Digest::sha256(b"x"));
    let listing = format!(r#"{{"schemaVersion":2,"manifests":[{entry},{entry}]}}"#);
    let listing = set.listed_in(Some(listing.as_bytes())).unwrap().unwrap();
    let Document::Index(index) = Document::parse(&listing, None).unwrap() else { panic!("an index") };
    assert_eq!(index.manifests.len(), 2);
}

#[test]
fn a_name_in_index_json_is_held_by_one_entry() {
    let set = EvidenceSet::new(&subject(), &[envelope("{}")]).unwrap();
    let index = set.listed_in(None).unwrap().unwrap();
    assert_eq!(set::named_entry(&index, "tag").unwrap(), None);
    let once = set::with_named_entry(&index, "tag", b"one").unwrap();
    let twice = set::with_named_entry(&once, "tag", b"two").unwrap();
    assert_eq!(set::named_entry(&once, "tag").unwrap(), Some(Digest::sha256(b"one")));
    assert_eq!(set::named_entry(&twice, "tag").unwrap(), Some(Digest::sha256(b"two")));
    let Document::Index(index) = Document::parse(&twice, None).unwrap() else { panic!("an index") };
    assert_eq!(index.manifests.len(), 2, "the set and the name");
}
