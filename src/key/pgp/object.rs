//! The key object that a layout has for an OpenPGP key, as securesystemslib writes it (in-toto §1.3). It carries no revocation and no
//! flags: what must not sign is left out when it is written, but for a master, without which its subkeys belong to nobody.

use super::{Part, Pgp, Validity};
use crate::{
    json::{Value, shown},
    key::{KeyError, Members, der::Material, dsa},
};
use std::collections::BTreeMap;

/// What an object may say.
const MEMBERS: [&str; 8] =
    ["type", "method", "hashes", "keyid", "keyval", "creation_time", "validity_period", "subkeys"];
/// As for certificates.
const SUBKEYS_MAX: usize = 64;

pub(super) fn read(value: &Value, members: Members) -> Result<Pgp, KeyError> {
    let master = part(value, members)?;
    let subkeys = match value.get("subkeys") {
        None => BTreeMap::new(),
        Some(subkeys) => subkeys.by_name().ok_or(malformed("its subkeys are no object"))?,
    };
    if subkeys.len() > SUBKEYS_MAX {
        return Err(malformed("it has more than 64 subkeys"));
    }
    let mut read = BTreeMap::new();
    for (id, value) in subkeys {
        if value.get("subkeys").and_then(Value::as_object).is_some_and(|inner| !inner.is_empty()) {
            return Err(malformed("a subkey of it has subkeys"));
        }
        // R13.
        if value.get("keyid").and_then(Value::as_str) != Some(id) || *id == master.id {
            return Err(malformed("the keyid of a subkey is not the name it stands under, or is its master's"));
        }
        read.insert(id.clone(), part(value, members));
    }
    Ok(Pgp { master, master_signs: true, subkeys: read, alone: false })
}

fn part(value: &Value, members: Members) -> Result<Part, KeyError> {
    if value.as_object().is_none() {
        return Err(malformed("it is no object"));
    }
    members.refuse_unknown(value, &MEMBERS, "an OpenPGP key")?;
    let text = |name| value.get(name).and_then(Value::as_str);
    let id = text("keyid").filter(|id| is_fingerprint(id)).ok_or(malformed("its keyid is no OpenPGP fingerprint"))?;
    let keyval = value.get("keyval");
    let public = keyval.and_then(|keyval| keyval.get("public")).ok_or(malformed("it has no keyval.public"))?;
    if let Some(keyval) = keyval {
        members.refuse_unknown(keyval, &["public", "private"], "an OpenPGP key's keyval")?;
    }
    let numbers = |known: &[&str]| members.refuse_unknown(public, known, "an OpenPGP key's public part");
    let material = match (text("type"), text("method")) {
        (Some("rsa"), Some("pgp+rsa-pkcsv1.5")) => {
            numbers(&["n", "e"])?;
            Material::Rsa { n: number(public, "n")?, e: number(public, "e")? }
        }
        (Some("eddsa"), Some("pgp+eddsa-ed25519")) => {
            numbers(&["q"])?;
            Material::Ed25519(bytes(public, "q")?)
        }
        (Some("dsa"), Some("pgp+dsa-fips-180-2")) => {
            numbers(&["p", "q", "g", "y"])?;
            let [p, q, g, y] = ["p", "q", "g", "y"].map(|name| number(public, name));
            Material::Dsa(dsa::Key { p: p?, q: q?, g: g?, y: y? })
        }
        (_, Some(method)) => {
            return Err(KeyError::Unsupported {
                what: format!("the OpenPGP method \"{}\" for its type", shown(method)),
            });
        }
        (_, None) => return Err(malformed("it has no text method")),
    };
    if !matches!(value.get("hashes").and_then(Value::as_array), Some([hash]) if hash.as_str() == Some("pgp+SHA2")) {
        return Err(malformed("its hashes are not [\"pgp+SHA2\"]"));
    }
    let (created, period) = (seconds(value, "creation_time")?, seconds(value, "validity_period")?);
    if period.is_some() && created.is_none() {
        return Err(malformed("it has a validity_period and no creation_time"));
    }
    Part::new(id.to_owned(), material, Validity { created, period, vouched: 0 })
}

const fn malformed(what: &'static str) -> KeyError {
    KeyError::Malformed { what }
}

fn is_fingerprint(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn bytes(public: &Value, name: &str) -> Result<Vec<u8>, KeyError> {
    let text = public.get(name).and_then(Value::as_str);
    text.and_then(|text| hex::decode(text).ok()).ok_or(malformed("its OpenPGP numbers are not hexadecimal"))
}

/// Without leading zeros.
fn number(public: &Value, name: &str) -> Result<Vec<u8>, KeyError> {
    Ok(bytes(public, name)?.into_iter().skip_while(|byte| *byte == 0).collect())
}

/// Zero says the same as nothing, as in OpenPGP itself.
fn seconds(value: &Value, name: &str) -> Result<Option<u32>, KeyError> {
    match value.get(name) {
        None => Ok(None),
        Some(number) => match number.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(seconds) => Ok(Some(seconds).filter(|seconds| *seconds > 0)),
            None => Err(malformed("its creation_time or validity_period is no number of seconds")),
        },
    }
}

/// With the subkeys that may sign. Of a subkey that is authorised alone, its own object.
pub(super) fn write(pgp: &Pgp) -> serde_json::Value {
    let subkeys = pgp.subkeys.values().filter_map(|subkey| subkey.as_ref().ok());
    if pgp.alone {
        return subkeys.map(write_part).next().unwrap_or_default();
    }
    let subkeys: serde_json::Map<_, _> = subkeys.map(|subkey| (subkey.id.clone(), write_part(subkey))).collect();
    let mut object = write_part(&pgp.master);
    if let (false, Some(object)) = (subkeys.is_empty(), object.as_object_mut()) {
        object.insert("subkeys".into(), subkeys.into());
    }
    object
}

fn write_part(part: &Part) -> serde_json::Value {
    let scheme = part.scheme();
    let public = match &part.material {
        Material::Rsa { n, e } => serde_json::json!({ "e": hex::encode(e), "n": hex::encode(n) }),
        Material::Dsa(dsa::Key { p, q, g, y }) => {
            serde_json::json!({ "g": hex::encode(g), "p": hex::encode(p), "q": hex::encode(q), "y": hex::encode(y) })
        }
        Material::Ed25519(point)
        | Material::P256(point)
        | Material::P384(point)
        | Material::P521(point)
        | Material::MlDsa(_, point) => {
            serde_json::json!({ "q": hex::encode(point) })
        }
    };
    let mut object = serde_json::json!({
        "hashes": ["pgp+SHA2"],
        "keyid": part.id,
        "keyval": { "private": "", "public": public },
        "method": scheme.name(),
        "type": scheme.keytype(),
    });
    let times = [("creation_time", part.validity.created), ("validity_period", part.validity.period)];
    if let Some(object) = object.as_object_mut() {
        object.extend(times.into_iter().filter_map(|(name, time)| Some((name.to_owned(), time?.into()))));
    }
    object
}
