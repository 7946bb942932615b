//! One case: a layout, its owners, and the files of a links directory, as all verifiers are given them.

use super::keys;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fs, path::Path};
use tidewaiter::{
    digest::Digest,
    envelope::{INTOTO_PAYLOAD_TYPE, pae},
    json as ours,
};

/// When the layouts expire: the peers look at the machine's clock.
pub const EXPIRES: &str = "2099-01-01T00:00:00Z";

#[derive(Clone)]
pub struct Case {
    /// What was done to an honest chain, by the names of `mutate`.
    pub did: Vec<&'static str>,
    pub owners: Vec<String>,
    pub layout: Doc,
    /// What whoever verifies puts in for `{name}`.
    pub parameters: BTreeMap<String, String>,
    /// By path below the links directory.
    pub files: BTreeMap<String, Doc>,
}

/// A file of signed metadata.
#[derive(Clone)]
pub struct Doc {
    pub signed: Value,
    pub by: Vec<By>,
    pub metablock: bool,
    /// The signed text itself where `signed` cannot say it: for a DSSE envelope only.
    pub text: Option<String>,
    /// Replaced in the text of what was signed, after signing.
    pub edits: Vec<(String, String)>,
    /// The whole file, instead of all that.
    pub bytes: Option<Vec<u8>>,
}

/// A signature: whose, under which id; `sig` instead of a good one.
#[derive(Clone)]
pub struct By {
    pub key: String,
    pub id: String,
    pub sig: Option<String>,
}

impl By {
    pub fn new(key: &str) -> Self {
        By { key: key.to_owned(), id: keys::id(key), sig: None }
    }
}

impl Doc {
    pub fn new(signed: Value, by: &[&str], metablock: bool) -> Self {
        let by = by.iter().map(|key| By::new(key)).collect();
        Doc { signed, by, metablock, text: None, edits: Vec::new(), bytes: None }
    }

    /// A layout bears each owner's signature under both ids, so that each peer finds it under the one it derives.
    pub fn layout(signed: Value, owners: &[&str], metablock: bool) -> Self {
        let mut doc = Doc::new(signed, owners, metablock);
        doc.by.extend(owners.iter().map(|key| By { id: keys::id_of_go(key), ..By::new(key) }));
        doc
    }

    pub fn bytes(&self) -> Vec<u8> {
        if let Some(bytes) = &self.bytes {
            return bytes.clone();
        }
        let text = self.text.clone().unwrap_or_else(|| self.signed.to_string());
        let edited = self.edits.iter().fold(text.clone(), |text, (from, to)| {
            assert!(text.contains(from), "{from} is not in {text}");
            text.replace(from, to)
        });
        let (message, encode) = if self.metablock {
            assert!(self.text.is_none(), "a Metablock signs a value");
            (ours::canonical(&(&self.signed).into()).unwrap(), hex as fn(&[u8]) -> String)
        } else {
            (pae(INTOTO_PAYLOAD_TYPE, text.as_bytes()), base64 as fn(&[u8]) -> String)
        };
        let mut made: BTreeMap<&str, String> = BTreeMap::new();
        let signatures = self.by.iter().map(|by| {
            let by_openpgp = if by.sig.is_none() { keys::openpgp(&by.key, &message) } else { None };
            if let Some(mut signature) = by_openpgp {
                signature["keyid"] = by.id.clone().into();
                return signature;
            }
            let sig = by.sig.clone().unwrap_or_else(|| {
                made.entry(&by.key).or_insert_with(|| encode(&keys::sign(&by.key, &message))).clone()
            });
            json!({"keyid": by.id, "sig": sig})
        });
        let signatures: Value = signatures.collect();
        if self.metablock {
            format!("{{\"signatures\": {signatures}, \"signed\": {edited}}}").into_bytes()
        } else {
            json!({"payload": BASE64.encode(&edited), "payloadType": INTOTO_PAYLOAD_TYPE, "signatures": signatures})
                .to_string()
                .into_bytes()
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

impl Case {
    /// Writes `root.layout`, `parameters.json`, `<owner>.pub` and `links/…`.
    pub fn write(&self, dir: &Path) {
        fs::create_dir_all(dir.join("links")).unwrap();
        fs::write(dir.join("root.layout"), self.layout.bytes()).unwrap();
        fs::write(dir.join("parameters.json"), json!(self.parameters).to_string()).unwrap();
        for owner in &self.owners {
            fs::write(dir.join(format!("{owner}.pub")), keys::secret(owner).public().to_pem()).unwrap();
        }
        for (path, doc) in &self.files {
            let path = dir.join("links").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, doc.bytes()).unwrap();
        }
    }

    pub fn steps(&self) -> &[Value] {
        self.layout.signed["steps"].as_array().unwrap()
    }

    pub fn step(&mut self, at: usize) -> &mut Value {
        &mut self.layout.signed["steps"][at]
    }

    /// The file in which this key's link of the step lies.
    pub fn link(&mut self, step: &str, key: &str) -> &mut Doc {
        self.files.get_mut(&file_name(step, &keys::id(key))).unwrap()
    }

    pub fn add_link(&mut self, step: &str, key: &str, doc: Doc) {
        self.files.insert(file_name(step, &keys::id(key)), doc);
    }
}

/// Where the peers look for a link (in-toto 4.4).
pub fn file_name(step: &str, id: &str) -> String {
    format!("{step}.{}.link", &id[..8])
}

pub fn layout(keys: &[&str], steps: Vec<Value>) -> Value {
    let keys: Map<String, Value> = keys.iter().map(|name| (keys::id(name), keys::object(name))).collect();
    json!({"_type": "layout", "expires": EXPIRES, "readme": "", "keys": keys, "steps": steps, "inspect": []})
}

pub fn step(name: &str, keys: &[&str], materials: Value, products: Value) -> Value {
    let ids: Vec<String> = keys.iter().map(|key| keys::id(key)).collect();
    json!({"_type": "step", "name": name, "threshold": 1, "pubkeys": ids, "expected_command": ["make"],
        "expected_materials": materials, "expected_products": products})
}

pub fn link(name: &str, materials: Value, products: Value) -> Value {
    json!({"_type": "link", "name": name, "command": ["make"], "materials": materials, "products": products,
        "byproducts": {"return-value": 0}, "environment": {}})
}

/// `["a", "b=2"]`: artifacts by name, each with the hash of its content, which is its name unless said otherwise.
pub fn artifacts(list: &[&str]) -> Value {
    let one = |text: &&str| {
        let (name, content) = text.rsplit_once('=').unwrap_or((text, text));
        (name.to_owned(), hashes(content))
    };
    Value::Object(list.iter().map(one).collect())
}

pub fn hashes(content: &str) -> Value {
    json!({"sha256": Digest::sha256(content.as_bytes()).hex()})
}
