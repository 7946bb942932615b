use super::*;
use crate::key::{PublicKey, Scheme};
use proptest::prelude::*;
use std::sync::LazyLock;

static ALICE: LazyLock<SecretKey> = LazyLock::new(|| SecretKey::generate(Scheme::Ed25519).unwrap());
static BOB: LazyLock<SecretKey> = LazyLock::new(|| SecretKey::generate(Scheme::EcdsaP256).unwrap());

fn value(text: &str) -> Value {
    json::parse(text.as_bytes(), &Limits::METADATA).unwrap()
}

fn verifies(envelope: &Envelope, key: &PublicKey) -> bool {
    envelope.signatures.iter().any(|s| key.verify(&envelope.signed_bytes(), &s.sig).is_ok())
}

#[test]
fn pae_is_that_of_the_specification() {
    assert_eq!(
        pae("http://example.com/HelloWorld", b"hello world"),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
    assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    assert_eq!(pae("é", b"x"), "DSSEv1 2 é 1 x".as_bytes(), "lengths are bytes");
}

#[test]
fn dsse_is_signed_written_and_read_back() {
    let payload = br#"{"b": 1.5, "a": []}"#.to_vec();
    let envelope = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, payload.clone(), &[&ALICE, &BOB]).unwrap();
    let again = Envelope::parse(&envelope.to_bytes()).unwrap();
    assert_eq!(again, envelope);
    assert_eq!(again.digest(), Digest::sha256(&payload));
    assert_eq!(again.payload_type(), Some(INTOTO_PAYLOAD_TYPE));
    assert_eq!(again.value().unwrap(), value(r#"{"b":1.5,"a":[]}"#));
    assert!(verifies(&again, ALICE.public()) && verifies(&again, BOB.public()));
    let mut other = again.clone();
    other.content = Content::Dsse { payload_type: "application/json".into(), payload };
    assert!(!verifies(&other, ALICE.public()), "the type is signed too");
}

#[test]
fn metablock_is_signed_over_the_canonical_form_of_what_came() {
    let envelope = Envelope::sign_metablock(value("{\"z\":\"a\\nb\",\"a\":{\"unknown\":1}}"), &[&ALICE]).unwrap();
    let again = Envelope::parse(&envelope.to_bytes()).unwrap();
    assert_eq!(again, envelope);
    assert_eq!(again.signed_bytes().as_ref(), b"{\"a\":{\"unknown\":1},\"z\":\"a\nb\"}");
    assert_eq!(again.digest(), Digest::sha256(&again.signed_bytes()));
    assert_eq!((again.payload_type(), verifies(&again, ALICE.public())), (None, true));
    // R1: a member added to `signed` breaks the signature, though nobody reads it.
    let text = String::from_utf8(envelope.to_bytes()).unwrap().replace("\"unknown\":1", "\"unknown\":1,\"more\":2");
    assert!(!verifies(&Envelope::parse(text.as_bytes()).unwrap(), ALICE.public()));
    assert!(matches!(Envelope::sign_metablock(value("[]"), &[&ALICE]), Err(EnvelopeError::Member { .. })));
    let float = Envelope::sign_metablock(value("{\"a\":1.0}"), &[&ALICE]);
    assert_eq!(float, Err(EnvelopeError::Json(JsonError::NotCanonical { number: "1.0".into() })));
}

#[test]
fn a_certificate_is_kept_as_text_and_only_of_a_metablock() {
    let signed = String::from_utf8(Envelope::sign_metablock(value("{}"), &[&ALICE]).unwrap().to_bytes()).unwrap();
    let with = |members: &str| {
        let text = signed.replace("{\"keyid\"", &format!("{{{members},\"keyid\""));
        assert_ne!(text, signed);
        Envelope::parse(text.as_bytes()).unwrap()
    };
    let certificate = |members: &str| with(members).signatures.swap_remove(0).certificate;
    assert_eq!(certificate("\"cert\":\"pem\"").as_deref(), Some("pem"));
    assert_eq!(certificate("\"certificate\":\"pem\"").as_deref(), Some("pem"));
    assert_eq!(certificate("\"cert\":\"\",\"certificate\":\"pem\"").as_deref(), Some("pem"), "Go writes an empty one");
    for members in ["\"cert\":\"\"", "\"cert\":1", "\"cert\":null", &format!("\"cert\":\"{}\"", "x".repeat(32_769))] {
        assert_eq!(certificate(members), None, "{}", &members[..10]);
    }
    let kept = with("\"certificate\":\"pem\"");
    assert_eq!(Envelope::parse(&kept.to_bytes()).as_ref(), Ok(&kept));
    let dsse = Envelope::sign_dsse("t", Vec::new(), &[&ALICE]).unwrap().to_bytes();
    let dsse = String::from_utf8(dsse).unwrap().replace("{\"keyid\"", "{\"cert\":\"pem\",\"keyid\"");
    assert_eq!(Envelope::parse(dsse.as_bytes()).unwrap().signatures[0].certificate, None);
}

#[test]
fn a_cosignature_is_added_and_replaces_its_own() {
    let mut envelope = Envelope::sign_metablock(value("{}"), &[&ALICE]).unwrap();
    envelope.add_signature(&BOB).unwrap();
    envelope.add_signature(&BOB).unwrap();
    assert_eq!(envelope.signatures.len(), 2);
    let old_id = ALICE.public().ids().iter().find(|id| *id != ALICE.public().id()).unwrap();
    envelope.signatures[0].keyid = Some(old_id.clone());
    envelope.signatures[1].keyid = None;
    envelope.add_signature(&ALICE).unwrap();
    envelope.add_signature(&BOB).unwrap();
    let ids: Vec<_> = envelope.signatures.iter().map(|s| s.keyid.as_deref().unwrap()).collect();
    assert_eq!(ids, [ALICE.public().id(), BOB.public().id()]);
    assert!(verifies(&envelope, ALICE.public()) && verifies(&envelope, BOB.public()));
}

#[test]
fn a_signature_that_cannot_be_read_blocks_no_other() {
    let good = Envelope::sign_metablock(value("{}"), &[&ALICE]).unwrap();
    let sig = hex::encode(&good.signatures[0].sig);
    let junk = r#"7,{"keyid":"a","sig":"zz"},{"keyid":1,"sig":2},{"keyid":"g","signature":"00","other_headers":"4"},{"sig":""}"#;
    let text = format!(r#"{{"signatures":[{junk},{{"keyid":"","sig":"{sig}","cert":"-"}}],"signed":{{}}}}"#);
    let envelope = Envelope::parse(text.as_bytes()).unwrap();
    let ids: Vec<_> = envelope.signatures.iter().map(|s| s.keyid.as_deref()).collect();
    assert_eq!(ids, [None, Some("a"), None, Some("g"), None, None]);
    assert!(envelope.signatures[..5].iter().all(|s| s.sig.is_empty()));
    assert!(verifies(&envelope, ALICE.public()));
    assert!(ALICE.public().verify(b"{}", b"").is_err() && BOB.public().verify(b"{}", b"").is_err());
}

#[test]
fn an_openpgp_signature_keeps_its_headers_in_a_metablock_alone() {
    let text = r#"{"signatures":[{"keyid":"g","other_headers":"0400","signature":"00ff"}],"signed":{}}"#;
    let envelope = Envelope::parse(text.as_bytes()).unwrap();
    let read =
        Signature { keyid: Some("g".into()), sig: vec![0, 0xff], other_headers: Some(vec![4, 0]), certificate: None };
    assert_eq!(envelope.signatures, [read]);
    assert_eq!(Envelope::parse(&envelope.to_bytes()).unwrap(), envelope);
    // R10: DSSE has no place for them.
    let text = r#"{"payload":"e30=","payloadType":"t","signatures":[{"keyid":"g","other_headers":"0400","signature":"00ff","sig":"AP8="}]}"#;
    let read = Signature { keyid: Some("g".into()), sig: vec![0, 0xff], ..Signature::default() };
    assert_eq!(Envelope::parse(text.as_bytes()).unwrap().signatures, [read]);
}

/// R7.
#[test]
fn a_nul_stands_in_what_is_signed_and_nowhere_else() {
    let signed = value(r#"{"_type":"link","byproducts":{"stdout":"a\u0000b\u0000"}}"#);
    let metablock = Envelope::sign_metablock(signed.clone(), &[&ALICE]).unwrap();
    let dsse = Envelope::sign_dsse("t", json::to_text(&signed).into_bytes(), &[&ALICE]).unwrap();
    for envelope in [&metablock, &dsse] {
        let again = Envelope::parse(&envelope.to_bytes()).unwrap();
        assert_eq!((&again, again.kind().as_deref()), (envelope, Some("link")));
        assert!(verifies(&again, ALICE.public()));
        assert_eq!(json::canonical(&again.value().unwrap()), json::canonical(&signed));
    }
    assert!(metablock.signed_bytes().contains(&0), "raw in the canonical form");
    for text in [
        r#"{"payload":"e30=","payloadType":"t\u0000","signatures":[]}"#,
        r#"{"payload":"e30=","payloadType":"t","signatures":[{"keyid":"a\u0000","sig":""}]}"#,
        r#"{"signed":{"a":"\u0000"},"signatures":[{"keyid":"a\u0000","sig":""}]}"#,
        r#"{"signed":{"a":"\u0000"},"signatures":[],"x":"\u0000"}"#,
        r#"{"signed":{"a":"\u0000"},"signatures":[],"x\u0000":1}"#,
    ] {
        let error = Envelope::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, EnvelopeError::Json(JsonError::Nul { .. })), "{text}: {error}");
        assert!(Envelope::parse(text.replace(r"\u0000", "").as_bytes()).is_ok(), "{text}");
    }
}

/// R7.
#[test]
fn base64_is_padded_standard_or_url_safe() {
    let parse = |payload: &str| {
        Envelope::parse(format!(r#"{{"payload":"{payload}","payloadType":"t","signatures":[]}}"#).as_bytes())
    };
    let bytes = |payload: &str| match parse(payload).unwrap().content {
        Content::Dsse { payload, .. } => payload,
        Content::Metablock { .. } => unreachable!(),
    };
    assert_eq!(bytes("+/8="), [0xfb, 0xff]);
    assert_eq!(bytes("-_8="), [0xfb, 0xff]);
    assert!(bytes("").is_empty());
    for payload in ["+/8", "-_8", "+_8=", "+/8==", "+ /8=", "+/8=\\n", "+/9=", "+/8=+/8=", "*"] {
        assert_eq!(parse(payload), Err(EnvelopeError::NotBase64), "{payload}");
    }
}

#[test]
fn each_fault_has_its_name() {
    let parse = |text: &str| Envelope::parse(text.as_bytes()).unwrap_err();
    let member = |member, found, expected| EnvelopeError::Member { member, found, expected };
    // R3: readers would disagree about what is signed.
    assert_eq!(parse(r#"{"signed":{},"payload":"","payloadType":"t","signatures":[]}"#), EnvelopeError::BothContainers);
    assert_eq!(parse("[]"), EnvelopeError::NoEnvelope { found: "an array" });
    assert_eq!(parse(r#"{"signatures":[]}"#), EnvelopeError::NoEnvelope { found: "an object" });
    assert_eq!(parse(r#"{"signed":[],"signatures":[]}"#), member("signed", "an array", "an object"));
    assert_eq!(parse(r#"{"signed":{}}"#), member("signatures", "missing", "an array"));
    assert_eq!(parse(r#"{"signed":{},"signatures":{}}"#), member("signatures", "an object", "an array"));
    assert_eq!(parse(r#"{"payload":1,"payloadType":"t","signatures":[]}"#), member("payload", "a number", "a string"));
    assert_eq!(parse(r#"{"payload":"","signatures":[]}"#), member("payloadType", "missing", "a string"));
    assert_eq!(
        parse(r#"{"payload":"","payloadType":null,"signatures":[]}"#),
        member("payloadType", "null", "a string")
    );
    let duplicate = JsonError::DuplicateKey { key: "a".into() };
    assert_eq!(parse(r#"{"signed":{"a":1,"a":2},"signatures":[]}"#), EnvelopeError::Json(duplicate));
    let many = format!(r#"{{"signed":{{}},"signatures":[{}]}}"#, vec!["0"; 1001].join(","));
    assert_eq!(parse(&many), EnvelopeError::TooManySignatures { found: 1001, max: 1000 });
    assert!(Envelope::parse(many.replacen("0,", "", 1).as_bytes()).is_ok());
    // R4: a payload is not looked into before its signature was checked.
    let not_json = Envelope::sign_dsse("t", b"{".to_vec(), &[]).unwrap();
    assert!(Envelope::parse(&not_json.to_bytes()).unwrap().value().is_err());
}

#[test]
fn the_kind_is_told_wherever_it_stands_and_only_for_what_is_json_up_to_there() {
    let long = format!("\"{}\"", "é".repeat(700));
    let kind = |payload: String| Envelope::sign_dsse("t", payload.into_bytes(), &[]).unwrap().kind();
    assert_eq!(kind(r#"{"_type":"link","a":1}"#.into()).as_deref(), Some("link"));
    assert_eq!(kind(format!(r#"{{"_type":"link","a":{long}}}"#)).as_deref(), Some("link"));
    assert_eq!(kind(format!(r#"{{"a":{long},"_type":"link"}}"#)).as_deref(), Some("link"));
    assert_eq!(kind(format!(r#"{{"a":{{"_type":"link"}},"b":{long}}}"#)), None);
    for payload in [r#"{"a":01,"_type":"link"}"#, r#"["_type","link"]"#, r#"{"_type":1}"#, "", "{"] {
        assert_eq!(kind(payload.into()), None, "{payload}");
    }
    let metablock = Envelope::sign_metablock(value(r#"{"_type":"a\nb","Z":[]}"#), &[]).unwrap();
    assert_eq!(metablock.kind().as_deref(), Some("a\nb"));
}

proptest! {
    #[test]
    fn one_flipped_bit_of_what_is_signed_never_verifies(bit in 0usize..4096, dsse: bool) {
        let text = r#"{"_type":"link","name":"build","products":{"a/b":{"sha256":"00ff"}},"n":[1,-20,true,null]}"#;
        let envelope = match dsse {
            true => Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, text.into(), &[&ALICE]).unwrap(),
            false => Envelope::sign_metablock(value(text), &[&ALICE]).unwrap(),
        };
        // The bytes of the file, but for those of its signatures.
        let mut bytes = envelope.to_bytes();
        let from = bytes.windows(13).position(|w| w == b"\"signatures\":").unwrap();
        let to = from + bytes[from..].iter().position(|b| *b == b']').unwrap();
        let at = bit / 8 % bytes.len();
        prop_assume!(!(from..=to).contains(&at));
        bytes[at] ^= 1 << (bit % 8);
        if let Ok(changed) = Envelope::parse(&bytes) {
            // A flip may turn base64 into the same bytes in no way: unused bits must be zero.
            prop_assert!(!verifies(&changed, ALICE.public()), "{}", String::from_utf8_lossy(&bytes));
        }
    }
}
