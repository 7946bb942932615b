//! The key object of a layout (in-toto 4.2.1).

use super::{KeyError, Members, PublicKey, Scheme, der::Material, ids, pem, pgp::Pgp};
use crate::json::{Value, shown};

/// What any writer puts there: securesystemslib of all versions, in-toto-golang, in-toto-rs and in-toto-java.
const MEMBERS: [&str; 5] = ["keyid", "keytype", "scheme", "keyval", "keyid_hash_algorithms"];
/// in-toto-golang keeps the certificate that a key was loaded from, and goes by the key.
const KEYVAL: [&str; 3] = ["public", "private", "certificate"];

const NO_PUBLIC: KeyError = KeyError::Malformed { what: "it has no text keyval.public" };

pub(super) fn read(value: &Value, members: Members) -> Result<PublicKey, KeyError> {
    let Some(keytype) = value.get("keytype") else { return without_keytype(value, members) };
    let keytype = keytype.as_str().ok_or(KeyError::Malformed { what: "its keytype is no text" })?;
    let scheme = value.get("scheme").and_then(Value::as_str);
    let scheme = scheme.ok_or(KeyError::Malformed { what: "it has no text scheme" })?;
    let keyval = value.get("keyval").ok_or(NO_PUBLIC)?;
    members.refuse_unknown(value, &MEMBERS, "a key")?;
    members.refuse_unknown(keyval, &KEYVAL, "a key's keyval")?;
    // What anybody can read, anybody can sign with. Some writers leave an empty text.
    if !matches!(keyval.get("private"), None | Some(Value::Null)) && keyval.get("private") != Some(&Value::from("")) {
        return Err(KeyError::Malformed { what: "it holds a private key" });
    }
    let public = keyval.get("public").and_then(Value::as_str).ok_or(NO_PUBLIC)?;
    // The deprecated spelling repeats the scheme as key type (in-toto §1.3).
    let repeats = |scheme: &Scheme| scheme.keytype() == "ecdsa" && scheme.name() == keytype;
    if !matches!(keytype, "rsa" | "ed25519" | "ecdsa" | "ml-dsa") && !Scheme::ALL.iter().any(repeats) {
        return Err(KeyError::Unsupported { what: format!("the key type \"{}\"", shown(keytype)) });
    }
    let Some(named) = Scheme::ALL.into_iter().find(|s| s.name() == scheme) else {
        return Err(KeyError::Unsupported { what: format!("the scheme \"{}\"", shown(scheme)) });
    };
    if keytype != named.keytype() && keytype != named.name() {
        return Err(mismatch(scheme, keytype));
    }
    let mut key = material(public, named)?.with_scheme(named)?;
    // Who wrote it may have hashed it as it stands here.
    key.ids.extend(ids::as_written(named, public));
    Ok(key)
}

fn material(public: &str, scheme: Scheme) -> Result<PublicKey, KeyError> {
    if scheme != Scheme::Ed25519 || public.contains(pem::BEGIN) {
        return PublicKey::from_pem(public);
    }
    let point = hex::decode(public).map_err(|_| KeyError::Malformed { what: "its ed25519 public key is not hex" })?;
    PublicKey::new(Material::Ed25519(point), scheme)
}

fn mismatch(scheme: &str, keytype: &str) -> KeyError {
    let key = match keytype {
        "rsa" => "RSA",
        "ed25519" => "ed25519",
        "ml-dsa" => "ML-DSA",
        _ => "ECDSA",
    };
    KeyError::SchemeMismatch { scheme: scheme.to_owned(), key }
}

/// OpenPGP keys have `type` and `method` instead.
fn without_keytype(value: &Value, members: Members) -> Result<PublicKey, KeyError> {
    match value.get("method") {
        Some(_) => Pgp::from_layout(value, members).map(PublicKey::of_pgp),
        None => Err(KeyError::Malformed { what: "it has no keytype" }),
    }
}

pub(super) fn write(key: &PublicKey) -> serde_json::Value {
    let public = match &key.material {
        Material::Ed25519(point) => hex::encode(point),
        _ => key.to_pem(),
    };
    serde_json::json!({
        "keyid": key.id(),
        "keytype": key.scheme.keytype(),
        "keyval": { "public": public },
        "scheme": key.scheme.name(),
    })
}
