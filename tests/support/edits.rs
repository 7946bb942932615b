//! Edits of the files of a chain: bytes, members, whole files, in and outside of what is signed. And what must be said of the result:
//! whoever verifies it has seen what was signed, all of it, as it was.
//!
//! Envelopes are looked into with another reader than ours.

use super::stream::Stream;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;

/// A file of a chain: its name, if it has one, and its bytes.
pub type File = (Option<String>, Vec<u8>);

/// Makes one edit, and says which.
pub fn edit(files: &mut Vec<File>, stream: &mut Stream<'_>) -> &'static str {
    if files.is_empty() {
        return "nothing is left to edit";
    }
    let (at, other) = (stream.below(files.len()), stream.below(files.len()));
    let (donor, file) = (files[other].1.clone(), &mut files[at]);
    match stream.below(16) {
        0..5 => {
            bytes(&mut file.1, stream);
            "bytes of the file"
        }
        5..8 => inside(&mut file.1, stream),
        8 => with(&mut file.1, "members taken from another file", |envelope| {
            let donor: Value = serde_json::from_slice(&donor).unwrap_or_default();
            let member = stream.pick(&["signatures", "payload", "payloadType", "signed"]);
            if let (Some(value), Some(envelope)) = (donor.get(member), envelope.as_object_mut()) {
                envelope.insert((*member).to_owned(), value.clone());
            }
        }),
        9 => with(&mut file.1, "a member gone", |envelope| {
            let member = stream.pick(&["signatures", "payload", "payloadType", "signed"]);
            envelope.as_object_mut().map(|envelope| envelope.remove(member));
        }),
        10 => with(&mut file.1, "a member more", |envelope| envelope["x"] = Value::Null),
        11 => with(&mut file.1, "a signature twice, gone, or another's", |envelope| {
            let foreign = serde_json::from_slice::<Value>(&donor).unwrap_or_default()["signatures"][0].clone();
            let Some(signatures) = envelope["signatures"].as_array_mut() else { return };
            let first = signatures.first().cloned().unwrap_or_default();
            match stream.below(3) {
                0 => signatures.insert(0, first),
                1 => drop(signatures.drain(..1.min(signatures.len()))),
                _ => signatures.insert(0, foreign),
            }
        }),
        12 => with(&mut file.1, "a signature under another id", |envelope| {
            let id = match stream.below(3) {
                0 => Value::String(String::new()),
                1 => serde_json::from_slice::<Value>(&donor).unwrap_or_default()["signatures"][0]["keyid"].clone(),
                _ => Value::Null,
            };
            if let Some(Value::Object(signature)) = envelope.pointer_mut("/signatures/0") {
                signature.insert("keyid".to_owned(), id);
            }
        }),
        13 => {
            files.remove(at);
            "a file gone"
        }
        14 => {
            let copy = files[at].clone();
            files.push(copy);
            "a file twice"
        }
        _ => {
            file.0 = Some(stream.pick(&["build.1a2b3c4d.link", "x/y.link", "fetch.link", "é"]).to_owned());
            "a file under another name"
        }
    }
}

/// Up to three bytes changed, inserted, taken out.
fn bytes(bytes: &mut Vec<u8>, stream: &mut Stream<'_>) {
    for _ in 0..=stream.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = stream.below(bytes.len());
        match stream.below(4) {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, stream.byte() & 0x7f),
            2 => bytes.insert(at, b' '),
            _ => bytes[at] ^= stream.byte().max(1),
        }
    }
}

/// The same within what is signed: the decoded payload, or a text or number somewhere in `signed`.
fn inside(file: &mut Vec<u8>, stream: &mut Stream<'_>) -> &'static str {
    with(file, "something signed", |envelope| {
        if let Some(mut payload) = envelope["payload"].as_str().and_then(|text| BASE64.decode(text).ok()) {
            bytes(&mut payload, stream);
            envelope["payload"] = BASE64.encode(payload).into();
        } else if let Some(leaf) = leaf(&mut envelope["signed"], stream) {
            *leaf = match &*leaf {
                Value::String(text) => Value::String(match stream.below(3) {
                    0 => text.chars().skip(1).collect(),
                    1 => format!("{text}x"),
                    _ => text.chars().rev().collect(),
                }),
                Value::Number(_) => 7.into(),
                _ => Value::Bool(true),
            };
        }
    })
}

/// Some value that has none in it.
fn leaf<'v>(value: &'v mut Value, stream: &mut Stream<'_>) -> Option<&'v mut Value> {
    let inner = match value {
        Value::Array(values) => values.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    };
    if inner == 0 {
        return Some(value);
    }
    let at = stream.below(inner);
    match value {
        Value::Array(values) => leaf(values.get_mut(at)?, stream),
        Value::Object(members) => leaf(members.values_mut().nth(at)?, stream),
        _ => None,
    }
}

fn with(file: &mut Vec<u8>, what: &'static str, change: impl FnOnce(&mut Value)) -> &'static str {
    // Where an earlier edit left no envelope there is none to change.
    if let Ok(mut envelope @ Value::Object(_)) = serde_json::from_slice(file) {
        change(&mut envelope);
        *file = envelope.to_string().into_bytes();
    }
    what
}

/// What of an envelope is trusted: what is signed, and by which signatures.
#[derive(Clone, Debug, PartialEq)]
pub struct Trusted {
    signed: Signed,
    signatures: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Signed {
    Dsse { payload_type: String, payload: Vec<u8> },
    Metablock(Value),
}

impl Trusted {
    pub fn of(file: &[u8]) -> Option<Trusted> {
        let envelope: Value = serde_json::from_slice(file).ok()?;
        let text = |name: &str| Some(envelope.get(name)?.as_str()?.to_owned());
        let signed = match envelope.get("signed") {
            Some(signed) => Signed::Metablock(signed.clone()),
            None => Signed::Dsse { payload_type: text("payloadType")?, payload: base64(&text("payload")?)? },
        };
        let dsse = matches!(signed, Signed::Dsse { .. });
        let one = |signature: &Value| {
            let member = if signature.get("other_headers").is_some() { "signature" } else { "sig" };
            let value = signature.get(member)?.as_str()?;
            let mut value = if dsse { base64(value)? } else { hex::decode(value).ok()? };
            // Of OpenPGP, what it hashes too.
            value.extend(hex::decode(signature.get("other_headers").and_then(Value::as_str).unwrap_or_default()).ok()?);
            Some(value)
        };
        let signatures = envelope.get("signatures")?.as_array()?.iter().filter_map(one).collect();
        Some(Trusted { signed, signatures })
    }

    /// Whether the file still holds it: the same signed, and one of its signatures at least.
    pub fn is_in(&self, file: &[u8]) -> bool {
        Trusted::of(file).is_some_and(|found| {
            found.signed == self.signed && self.signatures.iter().any(|known| found.signatures.contains(known))
        })
    }
}

/// In either alphabet.
fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.replace('-', "+").replace('_', "/")).ok()
}
