//! People of the chains in `vectors/` who sign by OpenPGP: `pgp-bea` has a master and a subkey, `pgp-bea/sub`; `pgp-bea/plain` is her
//! master's key pair as any other. The certificate of `pgp-brief-…` ends with 19 December 2026.

use super::openpgp::{
    CERTIFIES_AND_SIGNS, Key, MADE, SHA_256, SIGNS, certificate, expires, flags, public_key, subpacket, user,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, PoisonError},
};
use tidewaiter::PublicKey;

/// A name's key, if OpenPGP is how it signs.
pub enum Person {
    Master(&'static Key),
    Subkey(&'static Key),
    Plain(&'static Key),
}

type Pair = &'static (Key, Key);
static PEOPLE: LazyLock<Mutex<BTreeMap<String, Pair>>> = LazyLock::new(Mutex::default);

pub fn person(name: &str) -> Option<Person> {
    let (person, part) = name.strip_prefix("pgp-")?.split_once('/').unwrap_or((&name[4..], ""));
    let mut people = PEOPLE.lock().unwrap_or_else(PoisonError::into_inner);
    let made = || -> Pair {
        let master = if person.starts_with("rsa-") { Key::rsa() } else { Key::ed25519() };
        Box::leak(Box::new((master, Key::ed25519())))
    };
    let (master, sub) = *people.entry(person.to_owned()).or_insert_with(made);
    Some(match part {
        "" => Person::Master(master),
        "sub" => Person::Subkey(sub),
        "plain" => Person::Plain(master),
        other => panic!("no part {other} of {person}"),
    })
}

/// Seconds from [`MADE`] to the end of 19 December 2026.
const BRIEF: u32 = 1_797_724_800 - MADE;

impl Person {
    pub fn id(&self) -> String {
        match self {
            Person::Master(key) | Person::Subkey(key) => key.id(),
            Person::Plain(key) => key.secret.public().id().to_owned(),
        }
    }

    /// What a layout has of it: of a master, its subkey within.
    pub fn object(&self, name: &str) -> Value {
        match self {
            Person::Master(_) => owner(name, name.starts_with("pgp-brief-").then_some(BRIEF)).to_layout(),
            Person::Subkey(sub) => {
                let master = name.strip_suffix("/sub").unwrap();
                owner(master, None).to_layout()["subkeys"][sub.id()].clone()
            }
            Person::Plain(key) => key.secret.public().to_layout(),
        }
    }
}

/// The certificate of a person, which holds for so many seconds.
pub fn owner(name: &str, period: Option<u32>) -> PublicKey {
    let Some(Person::Master(master)) = person(name) else { panic!("{name} has no certificate") };
    let Some(Person::Subkey(sub)) = person(&format!("{name}/sub")) else { panic!("{name} has no subkey") };
    let more = [flags(CERTIFIES_AND_SIGNS), period.map(expires).unwrap_or_default()];
    let bytes = match period {
        None => certificate(master, Some(sub)),
        Some(_) => [
            public_key(master),
            user(master, name, SHA_256, MADE, &more),
            super::openpgp::subkey(master, sub, master, SHA_256, &[flags(SIGNS)], Some(sub)),
        ]
        .concat(),
    };
    PublicKey::from_pgp(&bytes).unwrap()
}

/// The signature over metadata as it stands in a Metablock. `how` may say `kind`, `hash`, `issuer` (an id), `made` (seconds), `flip` (a
/// part that is changed after signing) or `cut` (a byte of the value is left out).
pub fn sign(person: &Person, message: &[u8], how: &Value) -> Value {
    let key = match person {
        Person::Master(key) | Person::Subkey(key) => key,
        Person::Plain(key) => {
            let sig = hex::encode(key.secret.sign(message).unwrap());
            return json!({ "keyid": key.secret.public().id(), "sig": sig });
        }
    };
    let number = |name: &str, usual: u64| u32::try_from(how[name].as_u64().unwrap_or(usual)).unwrap();
    let issuer = how["issuer"].as_str().map_or_else(|| key.fingerprint(), |id| hex::decode(id).unwrap());
    let hashed =
        [subpacket(33, &[&[4], issuer.as_slice()].concat()), subpacket(2, &number("made", MADE.into()).to_be_bytes())]
            .concat();
    let (kind, hash) = (number("kind", 0) as u8, number("hash", SHA_256.into()) as u8);
    let mut made = key.sign(kind, hash, &hashed, message);
    match how["flip"].as_str() {
        Some("headers") => *made.headers.last_mut().unwrap() ^= 1,
        Some("value") => made.value[20] ^= 1,
        _ => {}
    }
    if how.get("cut").is_some() {
        made.value.remove(0);
    }
    json!({ "keyid": key.id(), "other_headers": hex::encode(&made.headers), "signature": hex::encode(&made.value) })
}
