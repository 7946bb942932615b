//! Keys by name, made once a run: the scheme is the beginning of the name (`rsa-`, `p256-`, `p384-`, otherwise ed25519). `pgp-gil` signs by
//! OpenPGP, `pgp-gil/sub` by a subkey of his; others OpenSSL has to make and to sign with (`foreign`).

use super::{foreign, people};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, PoisonError},
};
use tidewaiter::{
    digest::Digest,
    json,
    key::{Scheme, SecretKey},
};

static KEYS: LazyLock<Mutex<BTreeMap<String, &'static SecretKey>>> = LazyLock::new(Mutex::default);

pub fn secret(name: &str) -> &'static SecretKey {
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    keys.entry(name.to_owned()).or_insert_with(|| {
        let scheme = match name.split('-').next() {
            Some("rsa") => Scheme::RsaPssSha256,
            Some("p256") => Scheme::EcdsaP256,
            Some("p384") => Scheme::EcdsaP384,
            _ => Scheme::Ed25519,
        };
        Box::leak(Box::new(SecretKey::generate(scheme).unwrap()))
    })
}

/// The id that Python and we derive (K2).
pub fn id(name: &str) -> String {
    match (people::person(name), foreign::object(name)) {
        (Some(person), _) => person.id(),
        (None, Some(object)) => Digest::sha256(&json::canonical(&(&object).into()).unwrap()).hex().to_owned(),
        (None, None) => secret(name).public().id().to_owned(),
    }
}

/// The id that Go derives (K1).
pub fn id_of_go(name: &str) -> String {
    let mut key = object(name);
    key.as_object_mut().unwrap().remove("keyid");
    let public = key["keyval"]["public"].as_str().unwrap().trim_end().to_owned();
    key["keyval"]["public"] = public.into();
    let canonical = json::canonical(&(&key).into()).unwrap();
    Digest::sha256(&canonical).hex().to_owned()
}

/// The key object of a layout. Go writes the hash algorithms whether they were there or not, so that it can verify no Metablock
/// without them.
pub fn object(name: &str) -> Value {
    if let Some(person) = people::person(name) {
        return person.object(name);
    }
    let mut key = foreign::object(name).unwrap_or_else(|| secret(name).public().to_layout());
    key["keyid"] = id(name).into();
    key["keyid_hash_algorithms"] = json!(["sha256", "sha512"]);
    key
}

/// What OpenPGP has to say for the message in a Metablock: the signature object, if that is how the key signs.
pub fn openpgp(name: &str, message: &[u8]) -> Option<Value> {
    Some(people::sign(&people::person(name)?, message, &json!({})))
}

/// The signature of any other key.
pub fn sign(name: &str, message: &[u8]) -> Vec<u8> {
    foreign::sign(name, message).unwrap_or_else(|| secret(name).sign(message).unwrap())
}
