//! OpenPGP certificates, the key objects of layouts, and signatures over metadata: what counts, and each way not to.

#[allow(dead_code)] // the vectors use other parts
#[path = "support/openpgp.rs"]
mod openpgp;

use jiff::Timestamp;
use openpgp::{
    CERTIFIES_AND_SIGNS, Key, MADE, SHA_1, SHA_256, SIGNS, armored, certificate, expires, flags, hashed_user, packet,
    public_key, subkey, subpacket, user,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;
use tidewaiter::{
    KeyRing, NamedKey, PublicKey,
    json::{Limits, parse},
    key::{KeyError, SignatureFault},
    resource::{self, Resource},
};

static MASTER: LazyLock<Key> = LazyLock::new(Key::ed25519);
static SUB: LazyLock<Key> = LazyLock::new(Key::ed25519);
static MALLORY: LazyLock<Key> = LazyLock::new(Key::ed25519);
static RSA: LazyLock<Key> = LazyLock::new(Key::rsa);

fn at(seconds: u32) -> Timestamp {
    Timestamp::from_second(seconds.into()).unwrap()
}

/// A day after everything was made.
fn now() -> Timestamp {
    at(MADE + 86_400)
}

fn read(parts: &[Vec<u8>]) -> Result<PublicKey, KeyError> {
    PublicKey::from_pgp(&parts.concat())
}

fn head() -> Vec<u8> {
    [public_key(&MASTER), user(&MASTER, "Alice", SHA_256, MADE, &[flags(CERTIFIES_AND_SIGNS)])].concat()
}

fn verified<'k>(key: &'k PublicKey, by: &Key, now: Timestamp) -> Result<&'k [u8], SignatureFault> {
    let made = by.sign_metadata(b"{}");
    key.verify_pgp(b"{}", Some(&by.id()), &made.headers, &made.value, now).map(|verified| verified.by)
}

fn object(key: &PublicKey) -> Value {
    key.to_layout()
}

fn from_object(object: &Value) -> Result<PublicKey, KeyError> {
    PublicKey::from_layout(&parse(object.to_string().as_bytes(), &Limits::METADATA).unwrap())
}

#[test]
fn a_certificate_is_read_with_its_subkey_armored_or_not() {
    let binary = certificate(&MASTER, Some(&SUB));
    let key = PublicKey::from_pgp(&binary).unwrap();
    assert_eq!(key.id(), MASTER.id());
    assert_eq!(key.spki(), MASTER.secret.public().spki(), "it is the master's");
    let armor = armored(&binary);
    for text in [
        armor.clone(),
        armor.replace("=AAAA\n", ""),
        armor.replace("BLOCK-----\n\n", "BLOCK-----\nVersion: 1\nComment: x: y\n\n").replace('\n', "\r\n"),
        format!("\n  {armor}\n\n"),
    ] {
        assert_eq!(PublicKey::from_file(text.as_bytes()).as_ref(), Ok(&key), "{text}");
    }
    assert_eq!(PublicKey::from_file(&binary).as_ref(), Ok(&key));
    assert_eq!(verified(&key, &MASTER, now()), Ok(MASTER.secret.public().spki()));
    assert_eq!(verified(&key, &SUB, now()), Ok(SUB.secret.public().spki()));
    assert_eq!(verified(&key, &MALLORY, now()), Err(SignatureFault::AnotherKey));
    for broken in [
        armor.replace("PUBLIC KEY BLOCK-----\n\n", "PUBLIC KEY BLOCK-----\n"),
        armor.replace("-----END", "----END"),
        format!("{armor}{armor}"),
        armor.replace("PUBLIC", "PRIVATE"),
        armor.replacen("\n\n", "\nno header\n\n", 1),
        armor.replacen("\n\n", "\n\n*", 1),
    ] {
        assert!(matches!(PublicKey::from_file(broken.as_bytes()), Err(KeyError::Malformed { .. })), "{broken}");
    }
}

#[test]
fn rsa_and_the_newer_ed25519_sign_too() {
    let newer = Key { algorithm: 27, ..Key::ed25519() };
    for master in [&*RSA, &newer] {
        let key = PublicKey::from_pgp(&certificate(master, Some(&SUB))).unwrap();
        assert_eq!(verified(&key, master, now()), Ok(master.secret.public().spki()));
        assert_eq!(verified(&key, &SUB, now()), Ok(SUB.secret.public().spki()));
        let made = master.sign_metadata(b"{}");
        let verify = |value: &[u8]| key.verify_pgp(b"{}", Some(&master.id()), &made.headers, value, now());
        assert_eq!(verify(&made.value[1..]), Err(SignatureFault::Bad), "what is cut off is not a zero");
        assert_eq!(verify(&[&made.value[..], &[0]].concat()), Err(SignatureFault::Bad));
        assert_eq!(verify(&[]), Err(SignatureFault::Bad));
    }
}

/// Integers lose their leading zeros, of which RSA has one in 256 signatures; Ed25519's two halves cannot be told apart without theirs.
#[test]
fn a_short_rsa_signature_counts_and_a_short_ed25519_one_does_not() {
    let key = PublicKey::from_pgp(&certificate(&RSA, None)).unwrap();
    let (text, made) = (0..10_000u32)
        .map(|n| n.to_be_bytes())
        .map(|text| (text, RSA.sign_metadata(&text)))
        .find(|(_, made)| made.value[0] == 0)
        .expect("one in 256");
    let verify = |value: &[u8]| key.verify_pgp(&text, Some(&RSA.id()), &made.headers, value, now()).map(drop);
    assert_eq!(verify(&made.value), Ok(()));
    assert_eq!(verify(&made.value[1..]), Ok(()));
    assert_eq!(verify(&[&[0], &made.value[..]].concat()), Err(SignatureFault::Bad));
    let key = PublicKey::from_pgp(&certificate(&MASTER, None)).unwrap();
    let (text, made) = (0..10_000u32)
        .map(|n| n.to_be_bytes())
        .map(|text| (text, MASTER.sign_metadata(&text)))
        .find(|(_, made)| made.value[0] == 0)
        .expect("one in 256");
    let verify = |value: &[u8]| key.verify_pgp(&text, Some(&MASTER.id()), &made.headers, value, now()).map(drop);
    assert_eq!(verify(&made.value), Ok(()));
    assert_eq!(verify(&made.value[1..]), Err(SignatureFault::Bad));
}

#[test]
fn a_master_vouches_for_itself_or_is_nobody() {
    let id = MASTER.id();
    let unbound = || Err(KeyError::Unbound { id: id.clone() });
    let name = "Alice";
    let certified = |hash, made, more: &[Vec<u8>]| user(&MASTER, name, hash, made, more);
    let signing = [flags(CERTIFIES_AND_SIGNS)];
    let head = public_key(&MASTER);
    let message = [MASTER.hashed(), hashed_user(name)].concat();
    let stranger = MALLORY.sign(0x13, SHA_256, &[MALLORY.usual(MADE), signing.concat()].concat(), &message);
    let pretender = MALLORY.sign(0x13, SHA_256, &[MASTER.usual(MADE), signing.concat()].concat(), &message);
    let direct = MASTER.sign(0x1f, SHA_256, &[MASTER.usual(MADE), signing.concat()].concat(), &MASTER.hashed());
    let withdrawn = MASTER.sign(0x30, SHA_256, &MASTER.usual(MADE + 1), &message).packet();
    let ok = |parts: &[Vec<u8>]| read(&[vec![head.clone()], parts.to_vec()].concat()).map(|key| key.id().to_owned());
    assert_eq!(ok(&[certified(SHA_256, MADE, &signing)]), Ok(id.clone()));
    assert_eq!(ok(&[certified(10, MADE, &signing)]), Ok(id.clone()));
    assert_eq!(ok(&[direct.packet()]), Ok(id.clone()));
    assert_eq!(ok(&[]), unbound());
    assert_eq!(ok(&[certified(SHA_1, MADE, &signing)]), unbound(), "SHA-1 vouches for nothing");
    assert_eq!(ok(&[packet(13, name.as_bytes()), stranger.packet()]), unbound());
    assert_eq!(ok(&[packet(13, name.as_bytes()), pretender.packet()]), unbound());
    assert_eq!(
        ok(&[packet(13, b"Alicf"), certified(SHA_256, MADE, &signing)[7..].to_vec()]),
        unbound(),
        "another name"
    );
    assert_eq!(ok(&[certified(SHA_256, MADE, &signing), withdrawn.clone()]), unbound());
    let again = MASTER.sign(0x13, SHA_256, &[MASTER.usual(MADE + 2), signing.concat()].concat(), &message).packet();
    assert_eq!(ok(&[certified(SHA_256, MADE, &signing), withdrawn, again]), Ok(id.clone()));
    let not_signing = || Err(KeyError::NotForSigning { id: id.clone() });
    assert_eq!(ok(&[certified(SHA_256, MADE, &[flags(1)])]), not_signing());
    assert_eq!(ok(&[certified(SHA_256, MADE, &[])]), not_signing(), "it must be said");
    let critical = subpacket(0x80 | 99, b"?");
    assert_eq!(ok(&[certified(SHA_256, MADE, &[signing.concat(), critical])]), unbound());
}

#[test]
fn the_newest_self_signature_rules() {
    let certified = |name, made, more: &[Vec<u8>]| user(&MASTER, name, SHA_256, made, more);
    let day = expires(2 * 86_400);
    let signing = || flags(CERTIFIES_AND_SIGNS);
    let old = certified("Alice", MADE, &[signing()]);
    let shorter = certified("Alice, too", MADE + 1, &[signing(), day]);
    let key = read(&[public_key(&MASTER), old.clone(), shorter.clone()]).unwrap();
    assert_eq!(key.usable_at(at(MADE + 2 * 86_400 - 1)), Ok(()));
    let expired = KeyError::Expired { id: MASTER.id(), at: at(MADE + 2 * 86_400) };
    assert_eq!(key.usable_at(at(MADE + 2 * 86_400)), Err(expired.clone()));
    assert_eq!(verified(&key, &MASTER, at(MADE + 2 * 86_400)), Err(SignatureFault::Key(expired)));
    assert_eq!(key.expires(), Some(at(MADE + 2 * 86_400)));
    let longer = certified("Alice, three", MADE + 2, &[signing(), expires(3 * 86_400)]);
    let key = read(&[public_key(&MASTER), longer, old, shorter]).unwrap();
    assert_eq!(key.usable_at(at(MADE + 2 * 86_400)), Ok(()));
    assert!(key.usable_at(at(MADE + 3 * 86_400)).is_err());
    assert_eq!(read(&[head()]).unwrap().expires(), None);
    // From the future: the key, and who vouches for it.
    let from = |seconds| Err(KeyError::NotYetValid { id: MASTER.id(), from: at(seconds) });
    let key = read(&[head()]).unwrap();
    assert_eq!(key.usable_at(at(MADE)), Ok(()));
    assert_eq!(key.usable_at(at(MADE - 1)), from(MADE));
    let key = read(&[public_key(&MASTER), certified("Alice", MADE + 9, &[signing()])]).unwrap();
    assert_eq!(key.usable_at(at(MADE + 8)), from(MADE + 9));
    // A certification that holds for a while.
    let for_a_while = subpacket(3, &60u32.to_be_bytes());
    let key = read(&[public_key(&MASTER), certified("Alice", MADE + 9, &[signing(), for_a_while])]).unwrap();
    assert_eq!(key.usable_at(at(MADE + 68)), Ok(()));
    assert!(key.usable_at(at(MADE + 69)).is_err());
}

#[test]
fn a_revoked_key_is_refused_by_whatever_hash() {
    for hash in [SHA_1, SHA_256] {
        let revocation = MASTER.sign(0x20, hash, &MASTER.usual(MADE + 1), &MASTER.hashed()).packet();
        let revoked = KeyError::Revoked { id: MASTER.id() };
        assert_eq!(
            read(&[public_key(&MASTER), revocation.clone(), head()[public_key(&MASTER).len()..].to_vec()]),
            Err(revoked.clone())
        );
        assert_eq!(read(&[head(), revocation]), Err(revoked), "wherever it stands");
    }
    for hash in [SHA_256, 9, 10] {
        let own = user(&RSA, "Alice", hash, MADE, &[flags(CERTIFIES_AND_SIGNS)]);
        assert!(read(&[public_key(&RSA), own.clone()]).is_ok(), "{hash}");
        let revocation = RSA.sign(0x20, hash, &RSA.usual(MADE + 1), &RSA.hashed()).packet();
        assert_eq!(read(&[public_key(&RSA), own, revocation]), Err(KeyError::Revoked { id: RSA.id() }), "{hash}");
    }
    // Junk that anybody can append.
    let junk = MALLORY.sign(0x20, SHA_256, &MASTER.usual(MADE + 1), &MASTER.hashed()).packet();
    assert!(read(&[head(), junk]).is_ok());
    let by_another = MALLORY.sign(0x20, SHA_256, &MALLORY.usual(MADE + 1), &MASTER.hashed()).packet();
    assert!(read(&[head(), by_another.clone()]).is_ok());
    // Unless the key says that another may revoke it: we do not have that one.
    let revoker = subpacket(12, &[&[0x80, 22], MALLORY.fingerprint().as_slice()].concat());
    let delegating = user(&MASTER, "Alice", SHA_256, MADE, &[flags(CERTIFIES_AND_SIGNS), revoker]);
    assert!(read(&[public_key(&MASTER), delegating.clone()]).is_ok());
    assert!(matches!(read(&[public_key(&MASTER), delegating, by_another]), Err(KeyError::Unsupported { .. })));
}

#[test]
fn a_subkey_is_taken_by_both_sides_or_not_at_all() {
    let bound = |by: &Key, hash, flag, back| subkey(&MASTER, &SUB, by, hash, &[flags(flag)], back);
    let fault = |parts: &[Vec<u8>]| {
        let key = read(parts).unwrap();
        assert_eq!(verified(&key, &MASTER, now()).map(drop), Ok(()), "the master is none the worse");
        assert_eq!(
            key.to_layout().get("subkeys").is_some(),
            verified(&key, &SUB, now()).is_ok(),
            "what must not sign is left out"
        );
        verified(&key, &SUB, now()).map(drop)
    };
    let unbound = || Err(SignatureFault::Key(KeyError::Unbound { id: SUB.id() }));
    assert_eq!(fault(&[head(), bound(&MASTER, SHA_256, SIGNS, Some(&SUB))]), Ok(()));
    assert_eq!(fault(&[head(), bound(&MALLORY, SHA_256, SIGNS, Some(&SUB))]), unbound(), "a stranger's binding");
    assert_eq!(fault(&[head(), bound(&MASTER, SHA_256, SIGNS, None)]), unbound(), "anybody may adopt another's key");
    assert_eq!(fault(&[head(), bound(&MASTER, SHA_256, SIGNS, Some(&MALLORY))]), unbound());
    assert_eq!(fault(&[head(), bound(&MASTER, SHA_1, SIGNS, Some(&SUB))]), unbound());
    assert_eq!(
        fault(&[head(), bound(&MASTER, SHA_256, 0x0c, Some(&SUB))]),
        Err(SignatureFault::Key(KeyError::NotForSigning { id: SUB.id() }))
    );
    let good = bound(&MASTER, SHA_256, SIGNS, Some(&SUB));
    let revoked = || Err(SignatureFault::Key(KeyError::Revoked { id: SUB.id() }));
    let message = [MASTER.hashed(), SUB.hashed()].concat();
    for hash in [SHA_1, SHA_256] {
        let revocation = MASTER.sign(0x28, hash, &MASTER.usual(MADE + 1), &message).packet();
        assert_eq!(fault(&[head(), good.clone(), revocation]), revoked());
    }
    let junk = MALLORY.sign(0x28, SHA_256, &MALLORY.usual(MADE + 1), &message).packet();
    assert_eq!(fault(&[head(), good.clone(), junk]), Ok(()));
    // A binding is no binding behind another subkey.
    let other = Key::ed25519();
    let (_, binding) = good.split_at(packet(14, &SUB.body()).len());
    assert_eq!(fault(&[head(), packet(14, &SUB.body()), packet(14, &other.body()), binding.to_vec()]), unbound());
    assert!(matches!(read(&[head(), good.clone(), good]), Err(KeyError::Malformed { .. })), "twice");
}

#[test]
fn a_subkey_has_no_longer_life_than_its_master() {
    let (week, year) = (7 * 86_400, 365 * 86_400);
    let master = |period| user(&MASTER, "Alice", SHA_256, MADE, &[flags(CERTIFIES_AND_SIGNS), expires(period)]);
    let sub = |period| subkey(&MASTER, &SUB, &MASTER, SHA_256, &[flags(SIGNS), expires(period)], Some(&SUB));
    for (of_master, of_sub, ends) in [(week, year, MASTER.id()), (year, week, SUB.id())] {
        let key = read(&[public_key(&MASTER), master(of_master), sub(of_sub)]).unwrap();
        let key = from_object(&object(&key)).unwrap();
        assert_eq!(verified(&key, &SUB, at(MADE + week - 1)).map(drop), Ok(()));
        let expired = KeyError::Expired { id: ends, at: at(MADE + week) };
        assert_eq!(verified(&key, &SUB, at(MADE + week)).map(drop), Err(SignatureFault::Key(expired)));
    }
    // A verdict is kept no longer.
    let key = read(&[public_key(&MASTER), master(year), sub(week)]).unwrap();
    assert_eq!(key.expires(), Some(at(MADE + year)), "the last of them");
    let (by_sub, by_master) = (SUB.sign_metadata(b"{}"), MASTER.sign_metadata(b"{}"));
    let until = |id: String, made: &openpgp::Made| {
        key.verify_pgp(b"{}", Some(&id), &made.headers, &made.value, now()).unwrap().until
    };
    assert_eq!(until(SUB.id(), &by_sub), Some(at(MADE + week)));
    assert_eq!(until(MASTER.id(), &by_master), Some(at(MADE + year)));
    let brief = MASTER.sign(0, SHA_256, &[MASTER.usual(MADE), subpacket(3, &172_800u32.to_be_bytes())].concat(), b"{}");
    assert_eq!(until(MASTER.id(), &brief), Some(at(MADE + 172_800)));
}

#[test]
fn a_master_that_only_certifies_leaves_signing_to_its_subkeys() {
    let head = [public_key(&MASTER), user(&MASTER, "Alice", SHA_256, MADE, &[flags(1)])].concat();
    let sub = |flag| subkey(&MASTER, &SUB, &MASTER, SHA_256, &[flags(flag)], Some(&SUB));
    let key = read(&[head.clone(), sub(SIGNS)]).unwrap();
    assert_eq!(key.spki(), MASTER.secret.public().spki());
    assert_eq!(verified(&key, &SUB, now()).map(drop), Ok(()));
    let not_signing = KeyError::NotForSigning { id: MASTER.id() };
    assert_eq!(verified(&key, &MASTER, now()).map(drop), Err(SignatureFault::Key(not_signing.clone())));
    assert_eq!(key.step_ids(), [SUB.id()], "so a step authorises the subkey alone");
    assert_eq!(read(&[head.clone(), sub(0x0c)]), Err(not_signing));
    let revocation =
        MASTER.sign(0x28, SHA_256, &MASTER.usual(MADE), &[MASTER.hashed(), SUB.hashed()].concat()).packet();
    assert_eq!(read(&[head, sub(SIGNS), revocation]), Err(KeyError::Revoked { id: SUB.id() }));
}

#[test]
fn what_is_no_certificate() {
    let weak = {
        let mut body = RSA.body();
        body.truncate(6);
        [body, openpgp::integer(&[0xff; 128]), openpgp::integer(&[1, 0, 1])].concat()
    };
    let with = |body: Vec<u8>| read(&[packet(6, &body)]);
    assert_eq!(with(weak), Err(KeyError::WeakRsa { bits: 1024 }));
    let of = |algorithm: u8| with([&[4, 0, 0, 0, 0, algorithm][..], &[0; 40]].concat());
    for algorithm in [2, 16, 18, 19, 25, 28, 99] {
        assert!(matches!(of(algorithm), Err(KeyError::Unsupported { .. })), "{algorithm}");
    }
    assert!(matches!(of(19), Err(KeyError::Unsupported { what }) if what.contains("ECDSA")));
    assert!(matches!(of(17), Err(KeyError::Malformed { .. })));
    let numbers = [&[0xff; 128][..], &[0xff; 20], &[2], &[4]].map(openpgp::integer).concat();
    let dsa = with([&[4, 0, 0, 0, 0, 17][..], &numbers].concat());
    assert_eq!(dsa, Err(KeyError::WeakDsa { bits: 1024 }));
    let dsa = with([&[4, 0, 0, 0, 0, 17][..], &numbers, &[0]].concat());
    assert!(matches!(dsa, Err(KeyError::Malformed { .. })));
    for version in [3, 6] {
        let mut body = MASTER.body();
        body[0] = version;
        assert!(matches!(with(body), Err(KeyError::Unsupported { .. })));
    }
    let mut point = MASTER.body();
    *point.last_mut().unwrap() ^= 1;
    assert_ne!(with(point).map(drop), Ok(()), "another key than was certified");
    for parts in [
        vec![],
        vec![packet(13, b"Alice")],
        vec![packet(5, &MASTER.body())],
        vec![head(), packet(7, &SUB.body())],
        vec![head(), packet(11, b"literal")],
        vec![head(), head()],
        vec![head(), vec![0xc2, 9]],
        vec![packet(6, &[4])],
        vec![packet(6, &MASTER.body()[..40])],
        vec![packet(6, &[MASTER.body(), vec![0]].concat())],
        vec![head(), packet(13, b"x").repeat(5_000)],
        vec![head(), user(&MASTER, "x", SHA_256, MADE, &[]).repeat(600)],
        vec![packet(13, &vec![0; 300 << 10])],
    ] {
        assert!(matches!(read(&parts), Err(KeyError::Malformed { .. })), "{:02x?}", parts.concat().get(..9));
    }
    // What means nothing does no harm.
    assert!(read(&[head(), packet(12, b"trust"), packet(60, b"x"), packet(2, b"\x03junk"), packet(17, b"x")]).is_ok());
}

#[test]
fn an_object_is_written_as_it_is_read_and_read_strictly() {
    for master in [&*MASTER, &RSA] {
        let year = user(master, "Alice", SHA_256, MADE, &[flags(CERTIFIES_AND_SIGNS), expires(31_536_000)]);
        let sub = subkey(master, &SUB, master, SHA_256, &[flags(SIGNS)], Some(&SUB));
        let key = read(&[public_key(master), year, sub]).unwrap();
        let written = object(&key);
        assert_eq!(written["creation_time"], MADE);
        assert_eq!(written["validity_period"], 31_536_000);
        assert_eq!(written["subkeys"][SUB.id()]["keyid"], SUB.id());
        let again = from_object(&written).unwrap();
        assert_eq!(object(&again), written);
        assert_eq!((again.id(), again.spki()), (key.id(), key.spki()));
        assert_eq!(again.ids(), key.ids());
    }
    let written = object(&PublicKey::from_pgp(&certificate(&MASTER, Some(&SUB))).unwrap());
    let sub = format!("/subkeys/{}", SUB.id());
    let with = |pointer: &str, value: Value| {
        let mut changed = written.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value);
        from_object(&changed)
    };
    assert!(with("/creation_time", json!(0)).is_ok());
    for (pointer, value) in [
        ("/keyid", json!("ab")),
        ("/keyid", json!(MASTER.id().to_uppercase())),
        ("/keyid", json!(SUB.id())),
        ("/hashes", json!(["pgp+SHA1"])),
        ("/hashes", json!([])),
        ("/keyval", json!({ "public": { "q": "zz" } })),
        ("/keyval", json!({ "public": { "q": "00" } })),
        ("/keyval", json!({})),
        ("/method", json!(null)),
        ("/creation_time", json!(-1)),
        ("/creation_time", json!("1")),
        ("/validity_period", json!(u64::MAX)),
        ("/subkeys", json!([])),
        (format!("{sub}/keyid").as_str(), json!(MALLORY.id())),
        (format!("{sub}/subkeys").as_str(), json!({ MALLORY.id(): {} })),
    ] {
        assert!(matches!(with(pointer, value), Err(KeyError::Malformed { .. })), "{pointer}");
    }
    let without = |name: &str| {
        let mut changed = written.clone();
        changed.as_object_mut().unwrap().remove(name);
        changed.as_object_mut().unwrap().insert("validity_period".into(), json!(9));
        from_object(&changed)
    };
    assert!(matches!(without("creation_time"), Err(KeyError::Malformed { .. })), "a period from when?");
    assert!(matches!(with("/revoked", json!(true)), Err(KeyError::Unsupported { .. })), "it could be meant as a limit");
    assert!(matches!(with("/method", json!("pgp+ecdsa")), Err(KeyError::Unsupported { .. })));
    // A subkey that we cannot use takes nothing from its master.
    let key = with(&format!("{sub}/method"), json!("pgp+ecdsa")).unwrap();
    assert_eq!(verified(&key, &MASTER, now()).map(drop), Ok(()));
    assert!(matches!(verified(&key, &SUB, now()), Err(SignatureFault::Key(KeyError::Unsupported { .. }))));
}

#[test]
fn a_signature_says_what_it_is_over_and_by_whom() {
    let key = PublicKey::from_pgp(&certificate(&MASTER, Some(&SUB))).unwrap();
    let (id, fingerprint) = (MASTER.id(), |key: &Key| subpacket(33, &[&[4], key.fingerprint().as_slice()].concat()));
    let made_at = |seconds: u32| subpacket(2, &seconds.to_be_bytes());
    let verify = |kind, hash, hashed: &[Vec<u8>]| {
        let made = MASTER.sign(kind, hash, &hashed.concat(), b"{}");
        key.verify_pgp(b"{}", Some(&id), &made.headers, &made.value, now()).map(drop)
    };
    assert_eq!(verify(0, SHA_256, &[MASTER.usual(MADE)]), Ok(()));
    assert_eq!(verify(0, SHA_256, &[made_at(MADE)]), Ok(()), "an issuer need not be told");
    assert_eq!(verify(1, SHA_256, &[MASTER.usual(MADE)]), Err(SignatureFault::Kind { kind: 1 }));
    assert_eq!(verify(0x13, SHA_256, &[MASTER.usual(MADE)]), Err(SignatureFault::Kind { kind: 0x13 }));
    for hash in [SHA_1, 9, 10, 11] {
        assert_eq!(verify(0, hash, &[MASTER.usual(MADE)]), Err(SignatureFault::Hash { hash }));
    }
    let other_issuer = SignatureFault::Issuer { id: id.clone(), issuer: SUB.id() };
    assert_eq!(verify(0, SHA_256, &[made_at(MADE), fingerprint(&SUB)]), Err(other_issuer));
    let time = |seconds, what| Err(SignatureFault::Time { made: at(seconds), what });
    assert_eq!(verify(0, SHA_256, &[MASTER.usual(MADE + 86_400)]), Ok(()));
    assert_eq!(verify(0, SHA_256, &[MASTER.usual(MADE + 86_401)]), time(MADE + 86_401, "in the future"));
    assert_eq!(verify(0, SHA_256, &[MASTER.usual(MADE - 1)]), time(MADE - 1, "before its key"));
    let brief = |seconds: u32| [MASTER.usual(MADE), subpacket(3, &seconds.to_be_bytes())];
    assert_eq!(verify(0, SHA_256, &brief(86_400)), time(MADE, "too long ago for it to hold"));
    assert_eq!(verify(0, SHA_256, &brief(86_401)), Ok(()));
    assert!(matches!(verify(0, SHA_256, &[fingerprint(&MASTER)]), Err(SignatureFault::Headers { .. })));
    assert!(matches!(
        verify(0, SHA_256, &[MASTER.usual(MADE), subpacket(0x80 | 20, b"note")]),
        Err(SignatureFault::Headers { .. })
    ));
    // Another algorithm than the key's; another key's signature under this id, or under none that is there.
    let mut made = MASTER.sign_metadata(b"{}");
    let judge =
        |made: &openpgp::Made, id: Option<&str>| key.verify_pgp(b"{}", id, &made.headers, &made.value, now()).map(drop);
    assert_eq!(judge(&made, None), Ok(()), "the issuer says it");
    assert_eq!(judge(&made, Some("alice")), Err(SignatureFault::Issuer { id: "alice".into(), issuer: id.clone() }));
    made.headers[2] = 1;
    assert_eq!(judge(&made, Some(&id)), Err(SignatureFault::Algorithm { algorithm: 1 }));
    let anonymous = MASTER.sign(0, SHA_256, &made_at(MADE), b"{}");
    assert_eq!(judge(&anonymous, None), Err(SignatureFault::AnotherKey));
    assert_eq!(judge(&anonymous, Some(&SUB.id())), Err(SignatureFault::Bad));
    assert_eq!(judge(&MALLORY.sign(0, SHA_256, &made_at(MADE), b"{}"), Some(&id)), Err(SignatureFault::Bad));
}

/// R10, and the other way round.
#[test]
fn openpgp_and_plain_signatures_are_not_taken_for_each_other() {
    let key = PublicKey::from_pgp(&certificate(&MASTER, None)).unwrap();
    let plain = MASTER.secret.public();
    let signature = MASTER.secret.sign(b"{}").unwrap();
    assert_eq!(plain.verify(b"{}", &signature), Ok(()));
    assert!(key.verify(b"{}", &signature).is_err() && key.verify_cosign(b"{}", &signature).is_err());
    assert_eq!(verified(plain, &MASTER, now()), Err(SignatureFault::AnotherKey));
    assert!(matches!(key.with_scheme(plain.scheme()), Err(KeyError::SchemeMismatch { .. })));
}

#[test]
fn whoever_shares_a_key_is_one() {
    let certificate_of = |master: &Key, sub: &Key| PublicKey::from_pgp(&certificate(master, Some(sub))).unwrap();
    let (alice, mallory) = (certificate_of(&MASTER, &SUB), certificate_of(&MALLORY, &RSA));
    let ring = |keys: &[&PublicKey]| {
        KeyRing::new(keys.iter().map(|key| NamedKey { name: key.id().to_owned(), key: (*key).clone() }).collect())
    };
    let alone = alice.subkey(&SUB.id()).unwrap().unwrap();
    assert!(alice.subkey(&MALLORY.id()).is_none());
    for (keys, distinct) in [
        (vec![&alice, &mallory], 2),
        (vec![&alice, MASTER.secret.public()], 1),
        (vec![SUB.secret.public(), &alice], 1),
        (vec![&alone, &alice, &mallory], 2),
        (vec![SUB.secret.public(), MASTER.secret.public()], 2),
        (vec![SUB.secret.public(), MASTER.secret.public(), &alice], 1),
        (vec![RSA.secret.public(), &alone, MALLORY.secret.public(), &mallory, &alice], 2),
    ] {
        assert_eq!(ring(&keys).distinct(), distinct);
        assert_eq!(ring(&keys.into_iter().rev().collect::<Vec<_>>()).distinct(), distinct);
    }
    assert_eq!(alone.id(), SUB.id());
    assert_eq!(verified(&alone, &SUB, now()), Ok(SUB.secret.public().spki()));
    assert_eq!(verified(&alone, &MASTER, now()), Err(SignatureFault::AnotherKey), "trust does not flow back");
    assert_eq!(alone.to_layout(), alice.to_layout()["subkeys"][SUB.id()]);
    assert_eq!(alice.step_ids(), [MASTER.id()]);
}

#[test]
fn a_trust_root_holds_certificates() {
    let root = |pgp: &str| {
        let keys =
            json!([{ "name": "carol", "pgp": pgp }, { "name": "again", "pem": MASTER.secret.public().to_pem() }]);
        let document = json!({
            "apiVersion": "tidewaiter.dev/v1alpha1", "kind": "TrustRoot", "metadata": { "name": "owners" }, "spec": { "keys": keys },
        });
        resource::parse("f", &document.to_string())
    };
    let Ok([Resource::TrustRoot(read)]) =
        root(&armored(&certificate(&MASTER, Some(&SUB)))).map(|it| <[_; 1]>::try_from(it).unwrap())
    else {
        panic!("no TrustRoot")
    };
    let ring = read.spec.key_ring().unwrap();
    assert_eq!((ring.iter().count(), ring.distinct()), (2, 1), "the same key is the same owner");
    let revocation = MASTER.sign(0x20, SHA_256, &MASTER.usual(MADE + 1), &MASTER.hashed()).packet();
    let errors = root(&armored(&[head(), revocation].concat())).unwrap_err();
    assert!(errors[0].to_string().contains("spec.keys[0].pgp: the OpenPGP key"), "{}", errors[0]);
    assert!(errors[0].to_string().contains("is revoked"), "{}", errors[0]);
}

proptest! {
    /// Whatever is changed: no panic, and nobody signs that did not before.
    #[test]
    fn an_edited_certificate_gives_nobody_a_signature(edits in prop::collection::vec((any::<u16>(), any::<u8>(), 0u8..3), 1..4)) {
        static CERTIFICATE: LazyLock<Vec<u8>> = LazyLock::new(|| certificate(&MASTER, Some(&SUB)));
        let mut bytes = CERTIFICATE.clone();
        for (place, value, what) in edits {
            let place = usize::from(place) % bytes.len();
            match what {
                0 => bytes[place] ^= value,
                1 => bytes.insert(place, value),
                _ => drop(bytes.remove(place)),
            }
        }
        let Ok(key) = PublicKey::from_pgp(&bytes) else { return Ok(()) };
        let known = [MASTER.secret.public().spki(), SUB.secret.public().spki()];
        prop_assert!(key.covers().all(|spki| known.contains(&spki)));
        prop_assert_eq!(key.id(), MASTER.id());
    }

    /// One bit of the message, the headers or the value, and it does not verify.
    #[test]
    fn an_edited_signature_does_not_verify(bit in any::<u16>(), part in 0usize..3) {
        let key = PublicKey::from_pgp(&certificate(&MASTER, Some(&SUB))).unwrap();
        let made = SUB.sign_metadata(b"metadata");
        let mut parts = [b"metadata".to_vec(), made.headers, made.value];
        let verify = |parts: &[Vec<u8>; 3], id: Option<&str>| {
            key.verify_pgp(&parts[0], id, &parts[1], &parts[2], now()).is_ok()
        };
        prop_assert!(verify(&parts, Some(&SUB.id())) && verify(&parts, None));
        let at = usize::from(bit) / 8 % parts[part].len();
        parts[part][at] ^= 1 << (bit % 8);
        prop_assert!(!verify(&parts, Some(&SUB.id())) && !verify(&parts, None));
    }
}
