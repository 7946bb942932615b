//! Each signature that counts, and beside it the ones that must not.

use super::*;
use crate::{
    cosign::{BUNDLE_TYPES, LEGACY_TYPE},
    key::{Scheme, SecretKey},
};

const REPOSITORY: &str = "registry.example.com/shop/api";

fn image() -> Digest {
    Digest::sha256(b"the image")
}
fn other_image() -> Digest {
    Digest::sha256(b"another image")
}
fn key() -> SecretKey {
    SecretKey::generate(Scheme::EcdsaP256).unwrap()
}
fn ring(keys: &[(&str, &SecretKey)]) -> KeyRing {
    KeyRing::new(keys.iter().map(|(name, key)| NamedKey { name: (*name).into(), key: key.public().clone() }).collect())
}
fn only(key: &SecretKey) -> KeyRing {
    ring(&[("alice", key)])
}

fn legacy_over(payload: Vec<u8>, key: &SecretKey) -> Candidate {
    let signature = STANDARD.encode(key.sign(&payload).unwrap());
    Candidate::Legacy { payload, signature }
}
fn legacy(image: &Digest, key: &SecretKey) -> Candidate {
    legacy_over(SimpleSigning::payload(REPOSITORY, image), key)
}

fn statement(image: &Digest, predicate_type: &str) -> String {
    let hex = image.hex();
    format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{hex}"}},"annotations":{{}}}}],"predicateType":"{predicate_type}","predicate":{{}}}}"#
    )
}
fn bundle_of(material: &str, envelope: &Envelope) -> Candidate {
    let envelope = String::from_utf8(envelope.to_bytes()).unwrap();
    let media_type = BUNDLE_TYPES[0];
    Candidate::Bundle(
        format!(r#"{{"mediaType":"{media_type}","verificationMaterial":{{{material}}},"dsseEnvelope":{envelope}}}"#)
            .into(),
    )
}
fn bundle_over(payload_type: &str, payload: &str, key: &SecretKey) -> Candidate {
    bundle_of(r#""publicKey":{"hint":""}"#, &Envelope::sign_dsse(payload_type, payload.into(), &[key]).unwrap())
}
fn bundle(image: &Digest, key: &SecretKey) -> Candidate {
    bundle_over(INTOTO_PAYLOAD_TYPE, &statement(image, SIGN_PREDICATE), key)
}

#[track_caller]
fn signed(candidates: &[Candidate], ring: &KeyRing) -> SignedBy {
    verify(candidates, &image(), ring).unwrap()
}
#[track_caller]
fn denied(candidates: &[Candidate], ring: &KeyRing, reason: Reason, part: &str) {
    let fault = verify(candidates, &image(), ring).unwrap_err();
    assert_eq!(fault.reason, reason, "{fault}");
    assert!(fault.message.contains(part), "{:?} does not contain {part:?}", fault.message);
}
/// A candidate whose text has something else in the place of `from`.
fn altered(candidate: Candidate, from: &str, to: &str) -> Candidate {
    let change = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(from), "{text}");
        text.replace(from, to).into_bytes()
    };
    match candidate {
        Candidate::Legacy { payload, signature } => Candidate::Legacy { payload: change(payload), signature },
        Candidate::Bundle(bytes) => Candidate::Bundle(change(bytes)),
    }
}

#[test]
fn nothing_found_is_no_signature() {
    denied(&[], &only(&key()), Reason::NoSignature, "no cosign signature");
}

#[test]
fn a_legacy_signature_of_every_key_type_counts() {
    for scheme in [Scheme::EcdsaP256, Scheme::Ed25519] {
        let key = SecretKey::generate(scheme).unwrap();
        assert_eq!(signed(&[legacy(&image(), &key)], &only(&key)).names(), ["alice"]);
        denied(
            &[legacy(&image(), &key)],
            &only(&self::key()),
            Reason::SignatureUntrusted,
            "none of the 1 trusted keys",
        );
    }
}

#[test]
fn a_bundle_of_every_key_type_counts() {
    for scheme in [Scheme::EcdsaP256, Scheme::EcdsaP384, Scheme::Ed25519] {
        let key = SecretKey::generate(scheme).unwrap();
        assert_eq!(signed(&[bundle(&image(), &key)], &only(&key)).names(), ["alice"]);
        denied(
            &[bundle(&image(), &key)],
            &only(&self::key()),
            Reason::SignatureUntrusted,
            "none of the 1 trusted keys",
        );
    }
}

#[test]
fn an_empty_ring_trusts_nobody() {
    denied(&[legacy(&image(), &key())], &KeyRing::default(), Reason::SignatureUntrusted, "none of the 0 trusted keys");
}

#[test]
fn a_signature_transplanted_from_another_image_is_invalid() {
    let key = key();
    let found = other_image().to_string();
    denied(&[legacy(&other_image(), &key)], &only(&key), Reason::SignatureInvalid, &found);
    denied(&[bundle(&other_image(), &key)], &only(&key), Reason::SignatureInvalid, &found);
}

#[test]
fn a_payload_changed_to_name_this_image_does_not_verify() {
    let key = key();
    let (from, to) = (other_image().to_string(), image().to_string());
    let legacy = altered(legacy(&other_image(), &key), &from, &to);
    denied(&[legacy], &only(&key), Reason::SignatureUntrusted, "none of the 1 trusted keys");
}

#[test]
fn one_flipped_bit_anywhere_in_what_is_signed_is_seen() {
    let key = key();
    let Candidate::Legacy { payload, signature } = legacy(&image(), &key) else { panic!() };
    for at in 0..payload.len() {
        let mut payload = payload.clone();
        payload[at] ^= 1;
        let candidate = Candidate::Legacy { payload, signature: signature.clone() };
        denied(&[candidate], &only(&key), Reason::SignatureUntrusted, "none of");
    }
    let mut bytes = STANDARD.decode(&signature).unwrap();
    bytes[20] ^= 1;
    let candidate = Candidate::Legacy { payload, signature: STANDARD.encode(bytes) };
    denied(&[candidate], &only(&key), Reason::SignatureUntrusted, "none of");
}

#[test]
fn a_layer_without_a_signature_is_invalid() {
    let key = key();
    for text in ["", "not base64!", "===="] {
        let payload = SimpleSigning::payload(REPOSITORY, &image());
        let candidate = Candidate::Legacy { payload, signature: text.into() };
        denied(&[candidate], &only(&key), Reason::SignatureInvalid, "no signature in base64");
    }
}

#[test]
fn a_legacy_payload_of_another_type_is_invalid() {
    let key = key();
    let text = String::from_utf8(SimpleSigning::payload(REPOSITORY, &image())).unwrap();
    let payload = text.replace(LEGACY_TYPE, "atomic container signature").into_bytes();
    denied(&[legacy_over(payload, &key)], &only(&key), Reason::SignatureInvalid, "critical.type");
    denied(&[legacy_over(b"{}".to_vec(), &key)], &only(&key), Reason::SignatureInvalid, "critical is missing");
}

#[test]
fn the_docker_reference_is_not_trusted_and_not_needed() {
    let key = key();
    let payload = SimpleSigning::payload("evil.example.com/other", &image());
    assert_eq!(signed(&[legacy_over(payload, &key)], &only(&key)).names(), ["alice"]);
    let payload = SimpleSigning::payload(REPOSITORY, &other_image());
    denied(&[legacy_over(payload, &key)], &only(&key), Reason::SignatureInvalid, "another image");
}

#[test]
fn an_attestation_is_no_signature() {
    let key = key();
    for predicate in [
        "https://slsa.dev/provenance/v1",
        "https://sigstore.dev/cosign/sign/v1/",
        "",
        "https://cosign.sigstore.dev/attestation/v1",
    ] {
        let attestation = bundle_over(INTOTO_PAYLOAD_TYPE, &statement(&image(), predicate), &key);
        let fault = verify(&[attestation], &image(), &only(&key)).unwrap_err();
        assert_eq!(fault.reason, Reason::SignatureInvalid, "{predicate}: {fault}");
    }
    let attestation = bundle_over(INTOTO_PAYLOAD_TYPE, &statement(&image(), "https://slsa.dev/provenance/v1"), &key);
    denied(&[attestation], &only(&key), Reason::SignatureInvalid, "an attestation of type");
}

#[test]
fn the_predicate_may_be_absent_and_the_subject_may_not() {
    let key = key();
    let text = statement(&image(), SIGN_PREDICATE);
    let without = text.replace(r#","predicate":{}"#, "");
    assert_ne!(text, without);
    assert_eq!(signed(&[bundle_over(INTOTO_PAYLOAD_TYPE, &without, &key)], &only(&key)).names(), ["alice"]);
    let without = text.replace("\"sha256\"", "\"sha512\"");
    let fault = verify(&[bundle_over(INTOTO_PAYLOAD_TYPE, &without, &key)], &image(), &only(&key)).unwrap_err();
    assert_eq!(fault.reason, Reason::SignatureInvalid);
}

#[test]
fn one_of_several_subjects_is_enough_and_its_name_is_none() {
    let key = key();
    let (this, other) = (image().hex().to_owned(), other_image().hex().to_owned());
    let subject = |hex: &str, name: &str| format!(r#"{{"name":"{name}","digest":{{"sha256":"{hex}"}}}}"#);
    let text = |subjects: &str| {
        format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{subjects}],"predicateType":"{SIGN_PREDICATE}"}}"#
        )
    };
    let both = text(&format!("{},{}", subject(&other, "a"), subject(&this, "b")));
    assert_eq!(signed(&[bundle_over(INTOTO_PAYLOAD_TYPE, &both, &key)], &only(&key)).names(), ["alice"]);
    let named = text(&subject(&other, &image().to_string()));
    denied(&[bundle_over(INTOTO_PAYLOAD_TYPE, &named, &key)], &only(&key), Reason::SignatureInvalid, "another image");
}

#[test]
fn another_payload_type_is_no_statement() {
    let key = key();
    let candidate = bundle_over("application/json", &statement(&image(), SIGN_PREDICATE), &key);
    denied(&[candidate], &only(&key), Reason::SignatureInvalid, "payload type");
    let relabelled = altered(
        bundle_over("application/json", &statement(&image(), SIGN_PREDICATE), &key),
        "application/json",
        INTOTO_PAYLOAD_TYPE,
    );
    // The envelope's key id is ours, so it is a forgery and not a stranger's.
    denied(&[relabelled], &only(&key), Reason::SignatureInvalid, "names key \"alice\"");
}

#[test]
fn a_bundle_with_two_signatures_is_invalid() {
    let (alice, bob) = (key(), key());
    let payload = statement(&image(), SIGN_PREDICATE);
    let envelope = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, payload.into(), &[&alice, &bob]).unwrap();
    let both = ring(&[("alice", &alice), ("bob", &bob)]);
    denied(&[bundle_of(r#""publicKey":{}"#, &envelope)], &both, Reason::SignatureInvalid, "has 2 signatures");
    let one = Envelope { signatures: envelope.signatures[..1].to_vec(), ..envelope };
    assert_eq!(signed(&[bundle_of(r#""publicKey":{}"#, &one)], &both).names(), ["alice"]);
}

#[test]
fn a_certificate_is_no_key_even_where_a_key_would_verify() {
    let key = key();
    let payload = statement(&image(), SIGN_PREDICATE);
    let envelope = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, payload.into(), &[&key]).unwrap();
    for material in [r#""certificate":{"rawBytes":"AAAA"}"#, r#""x509CertificateChain":{"certificates":[]}"#] {
        denied(&[bundle_of(material, &envelope)], &only(&key), Reason::SignatureUntrusted, "certificate");
    }
    denied(
        &[bundle_of(r#""publicKey":{},"certificate":{"rawBytes":"AAAA"}"#, &envelope)],
        &only(&key),
        Reason::SignatureInvalid,
        "2 of materials",
    );
}

#[test]
fn a_message_signature_is_no_image_signature() {
    let key = key();
    let (media_type, signature) = (BUNDLE_TYPES[0], STANDARD.encode(key.sign(b"bytes").unwrap()));
    let bytes = format!(
        r#"{{"mediaType":"{media_type}","verificationMaterial":{{"publicKey":{{}}}},"messageSignature":{{"signature":"{signature}"}}}}"#
    );
    denied(&[Candidate::Bundle(bytes.into())], &only(&key), Reason::SignatureInvalid, "signs bytes");
}

#[test]
fn a_hint_is_never_trusted() {
    let (alice, mallory) = (key(), key());
    let id = STANDARD.encode(hex::decode(Digest::sha256(alice.public().spki()).hex()).unwrap());
    let payload = statement(&image(), SIGN_PREDICATE);
    let hinted = |signer: &SecretKey, hint: &str| {
        let envelope = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, payload.clone().into(), &[signer]).unwrap();
        bundle_of(&format!(r#""publicKey":{{"hint":"{hint}"}}"#), &envelope)
    };
    denied(&[hinted(&mallory, &id)], &only(&alice), Reason::SignatureInvalid, "names key \"alice\"");
    denied(&[hinted(&mallory, "unknown")], &only(&alice), Reason::SignatureUntrusted, "none of");
    // A wrong hint takes nothing away either.
    assert_eq!(signed(&[hinted(&alice, "unknown")], &only(&alice)).names(), ["alice"]);
}

#[test]
fn log_entries_are_noted_and_change_nothing() {
    let (alice, mallory) = (key(), key());
    let logged = |signer: &SecretKey| {
        let payload = statement(&image(), SIGN_PREDICATE);
        let envelope = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, payload.into(), &[signer]).unwrap();
        bundle_of(r#""publicKey":{},"tlogEntries":[{"logIndex":"1"}]"#, &envelope)
    };
    let by = signed(&[logged(&alice)], &only(&alice));
    assert_eq!((by.names().len(), by.notes().len(), by.warnings().len()), (1, 1, 0));
    denied(&[logged(&mallory)], &only(&alice), Reason::SignatureUntrusted, "none of");
}

#[test]
fn one_valid_candidate_is_enough_and_the_others_are_said() {
    let (alice, mallory) = (key(), key());
    let candidates = [
        legacy(&image(), &mallory),
        Candidate::Bundle(b"no json".to_vec()),
        bundle(&image(), &alice),
        legacy(&other_image(), &alice),
    ];
    let by = signed(&candidates, &only(&alice));
    assert_eq!(by.names(), ["alice"]);
    assert_eq!(by.warnings().len(), 3, "{:?}", by.warnings());
    let rest = [candidates[0].clone(), candidates[1].clone(), candidates[3].clone()];
    denied(&rest, &only(&alice), Reason::SignatureInvalid, "signs another image");
}

#[test]
fn a_key_counts_once_whatever_it_signed_and_is_called() {
    let (alice, bob) = (key(), key());
    let twice = ring(&[("alice", &alice), ("alice-again", &alice), ("bob", &bob)]);
    let candidates = [legacy(&image(), &alice), bundle(&image(), &alice)];
    assert_eq!(signed(&candidates, &twice).names(), ["alice"]);
    let candidates = [legacy(&image(), &alice), bundle(&image(), &bob)];
    assert_eq!(signed(&candidates, &twice).names(), ["alice", "bob"]);
}

#[test]
fn a_flood_of_candidates_is_cut_and_said() {
    let (alice, mallory) = (key(), key());
    let junk = legacy(&image(), &mallory);
    let mut candidates = vec![junk.clone(); CANDIDATES_MAX - 1];
    candidates.push(legacy(&image(), &alice));
    assert_eq!(signed(&candidates, &only(&alice)).names(), ["alice"]);
    candidates.insert(0, junk);
    denied(&candidates, &only(&alice), Reason::SignatureUntrusted, "and 61 more");
}

#[test]
fn a_bundle_that_is_no_strict_json_is_invalid() {
    let key = key();
    let twice =
        altered(bundle(&image(), &key), "\"verificationMaterial\"", "\"mediaType\":\"x\",\"verificationMaterial\"");
    denied(&[twice], &only(&key), Reason::SignatureInvalid, "malformed");
    let version = altered(bundle(&image(), &key), "v0.3", "v0.4");
    denied(&[version], &only(&key), Reason::SignatureInvalid, "media type");
}
