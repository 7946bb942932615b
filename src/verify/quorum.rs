//! The one place that counts signatures: distinct public keys, never ids or signatures (R15, design §3.3).
use super::budget::Limits;
use crate::{
    envelope::{Envelope, Signature},
    key::{KeyRing, NamedKey, PublicKey, SignatureFault, Verified},
};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// The keys of the ring that signed the envelope: each distinct functionary once, in the order of the ring. Tries every signature whose
/// id is the key's name or one of its ids, and those without an id (R5, R14). Looks at the first 64 signatures and verifies at most
/// 128 times; what lies behind that does not count. `now` is for OpenPGP, whose keys expire.
pub fn signers<'k>(envelope: &Envelope, ring: &'k KeyRing, now: Timestamp) -> Vec<&'k NamedKey> {
    signers_within(envelope, ring, Limits::DEFAULT.attempts_max, now).into_iter().map(|signer| signer.key).collect()
}

/// A key of a ring, and what it signed by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signer<'k> {
    pub(super) key: &'k NamedKey,
    pub(super) verified: Verified<'k>,
}

/// The same with at most so many verifications, each of which hashes the whole message.
pub(super) fn signers_within<'k>(
    envelope: &Envelope,
    ring: &'k KeyRing,
    attempts_max: usize,
    now: Timestamp,
) -> Vec<Signer<'k>> {
    let mut attempts = attempts_max;
    let mut signers = every_signer(envelope, ring, &mut attempts, now);
    let mut seen = BTreeSet::new();
    signers.retain(|signer| seen.insert(signer.key.key.functionary()));
    signers
}

/// Every distinct key that signed, counting down the verifications. Several may be one functionary's: none of this is for counting.
pub(super) fn every_signer<'k>(
    envelope: &Envelope,
    ring: &'k KeyRing,
    attempts: &mut usize,
    now: Timestamp,
) -> Vec<Signer<'k>> {
    let limits = Limits::DEFAULT;
    let mut message = None;
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for key in ring.iter() {
        let is_done = |seen: &BTreeSet<&[u8]>| key.key.covers().all(|spki| seen.contains(spki));
        if is_done(&seen) {
            continue;
        }
        let candidates =
            envelope.signatures.iter().take(limits.signatures_max).filter(|signature| claims(signature, key));
        for signature in candidates {
            if *attempts == 0 {
                return found;
            }
            *attempts = attempts.saturating_sub(key.key.effort());
            let message = message.get_or_insert_with(|| envelope.signed_bytes());
            let Ok(verified) = verify(signature, message, &key.key, now) else { continue };
            if seen.insert(verified.by) {
                found.push(Signer { key, verified });
            }
            if is_done(&seen) {
                break;
            }
        }
    }
    found
}

/// Whether the signature is by that key, or a subkey of it.
///
/// # Errors
/// Why it does not count.
pub fn verify<'k>(
    signature: &Signature,
    message: &[u8],
    key: &'k PublicKey,
    now: Timestamp,
) -> Result<Verified<'k>, SignatureFault> {
    match &signature.other_headers {
        Some(headers) => key.verify_pgp(message, signature.keyid.as_deref(), headers, &signature.sig, now),
        None => match key.verify(message, &signature.sig) {
            Ok(()) => Ok(Verified { by: key.spki(), until: None }),
            Err(_) => Err(SignatureFault::Bad),
        },
    }
}

/// Whether the signature says, or leaves open, that it is by this key. A claim only: it saves work and decides nothing.
pub(super) fn claims(signature: &Signature, key: &NamedKey) -> bool {
    match &signature.keyid {
        None => true,
        Some(id) => *id == key.name || key.key.ids().contains(id),
    }
}

/// Whether the signature says that it is by this key.
pub(super) fn names(signature: &Signature, key: &NamedKey) -> bool {
    signature.keyid.is_some() && claims(signature, key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        envelope::INTOTO_PAYLOAD_TYPE,
        key::{Scheme, SecretKey},
    };

    fn key() -> SecretKey {
        SecretKey::generate(Scheme::Ed25519).unwrap()
    }

    fn ring(keys: &[(&str, &SecretKey)]) -> KeyRing {
        KeyRing::new(
            keys.iter().map(|(name, key)| NamedKey { name: (*name).to_owned(), key: key.public().clone() }).collect(),
        )
    }

    fn names(envelope: &Envelope, ring: &KeyRing) -> Vec<String> {
        signers(envelope, ring, Timestamp::UNIX_EPOCH).iter().map(|key| key.name.clone()).collect()
    }

    fn envelope(keys: &[&SecretKey]) -> Envelope {
        Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, b"{}".to_vec(), keys).unwrap()
    }

    #[test]
    fn one_key_under_two_names_is_one_signer() {
        let (alice, bob) = (key(), key());
        let ring = ring(&[("alice", &alice), ("also-alice", &alice), ("bob", &bob)]);
        assert_eq!(names(&envelope(&[&alice]), &ring), ["alice"]);
        assert_eq!(names(&envelope(&[&bob, &alice]), &ring), ["alice", "bob"]);
    }

    #[test]
    fn strangers_and_broken_signatures_do_not_count() {
        let (alice, mallory) = (key(), key());
        let ring = ring(&[("alice", &alice)]);
        assert!(names(&envelope(&[&mallory]), &ring).is_empty());
        let mut broken = envelope(&[&alice]);
        broken.signatures[0].sig[0] ^= 1;
        assert!(names(&broken, &ring).is_empty());
    }

    /// A key of DSA (`key/dsa/signed.txt`), as a layout has it.
    fn dsa() -> NamedKey {
        let words: Vec<&str> = include_str!("../key/dsa/signed.txt").lines().next().unwrap().split(' ').collect();
        let [p, q, g, y] = [2, 3, 4, 5].map(|at| words[at]);
        let id = "ab".repeat(20);
        let text = format!(
            r#"{{"type":"dsa","method":"pgp+dsa-fips-180-2","hashes":["pgp+SHA2"],"keyid":"{id}","creation_time":1,
                "keyval":{{"private":"","public":{{"p":"{p}","q":"{q}","g":"{g}","y":"{y}"}}}}}}"#
        );
        let value = crate::json::parse(text.as_bytes(), &crate::json::Limits::METADATA).unwrap();
        NamedKey { name: id, key: PublicKey::from_layout(&value).unwrap() }
    }

    #[test]
    fn an_attempt_costs_what_its_key_does() {
        let alice = key();
        let ring = KeyRing::new(vec![dsa(), NamedKey { name: "alice".into(), key: alice.public().clone() }]);
        let mut signed = envelope(&[&alice]);
        let junk = Signature { keyid: Some("ab".repeat(20)), sig: vec![0], ..Signature::default() };
        signed.signatures.insert(0, junk);
        let mut attempts = 10;
        assert_eq!(every_signer(&signed, &ring, &mut attempts, Timestamp::UNIX_EPOCH).len(), 1);
        assert_eq!(attempts, 10 - 4 - 1);
        let mut attempts = 3;
        assert!(every_signer(&signed, &ring, &mut attempts, Timestamp::UNIX_EPOCH).is_empty());
        assert_eq!(attempts, 0);
    }

    #[test]
    fn junk_in_front_and_missing_ids_do_not_hide_a_good_signature() {
        let alice = key();
        let ring = ring(&[("alice", &alice)]);
        let mut signed = envelope(&[&alice]);
        let mut junk = signed.signatures[0].clone();
        junk.sig.clear();
        signed.signatures.insert(0, junk);
        assert_eq!(names(&signed, &ring), ["alice"]);
        signed.signatures[1].keyid = None;
        assert_eq!(names(&signed, &ring), ["alice"]);
        signed.signatures[1].keyid = Some("alice".to_owned());
        assert_eq!(names(&signed, &ring), ["alice"], "the name its ring gives a key is an id too");
        signed.signatures[1].keyid = Some("bob".to_owned());
        assert!(names(&signed, &ring).is_empty(), "an id that is another's is taken at its word");
    }

    #[test]
    fn work_is_bounded() {
        let alice = key();
        let ring = ring(&[("alice", &alice)]);
        let mut signed = envelope(&[&alice]);
        let good = signed.signatures[0].clone();
        let junk = Signature { sig: vec![0; 64], ..Signature::default() };
        signed.signatures = vec![junk; Limits::DEFAULT.signatures_max];
        signed.signatures[Limits::DEFAULT.signatures_max - 1] = good.clone();
        assert_eq!(names(&signed, &ring), ["alice"]);
        signed.signatures.insert(0, Signature::default());
        assert!(names(&signed, &ring).is_empty());
        // The third attempt would find it.
        signed.signatures = vec![Signature::default(), Signature::default(), good];
        for (allowed, left, found) in [(2, 0, 0), (3, 0, 1), (9, 6, 1)] {
            let mut attempts = allowed;
            let signers = every_signer(&signed, &ring, &mut attempts, Timestamp::UNIX_EPOCH);
            assert_eq!((attempts, signers.len()), (left, found), "{allowed}");
        }
    }
}
