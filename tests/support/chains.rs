//! The chains of `vectors/chains.json`, changed as a case says, signed with keys of this run: files, and what is demanded of them. How both
//! are described stands in `tests/vectors.rs`.

use super::{certificates, people};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{LazyLock, Mutex, PoisonError},
};
use tidewaiter::{
    digest::Digest,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    image::ImageFacts,
    intoto::{Parameter, Parameters, Profile},
    key::{KeyRing, MlDsa, NamedKey, Scheme, SecretKey},
    verify::{ChainDemand, Insist, Piece, Rejection, VerifiedChain, verify, verify_given},
};

/// A chain as whoever verifies it has it.
pub struct Chain {
    pub demand: ChainDemand,
    pub image: Option<ImageFacts>,
    /// Envelopes, some with the names they lie under.
    pub files: Vec<File>,
    pub now: jiff::Timestamp,
}

/// What lies there, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub name: Option<String>,
    pub bytes: Vec<u8>,
}

impl Chain {
    /// The chain of that name, with what the case changes in it.
    pub fn new(chains: &Value, base: &str, case: &Value) -> Self {
        let mut chain = chains[base].clone();
        assert!(chain.is_object(), "no chain {base}");
        for pointer in case["remove"].as_array().into_iter().flatten() {
            remove(&mut chain, pointer.as_str().unwrap());
        }
        for (pointer, value) in case["set"].as_object().into_iter().flatten() {
            set(&mut chain, pointer, value.clone());
        }
        copy(&mut chain["envelopes"]);
        let chain = fill(&certify(&chain, &chain["certificates"]));
        let demand = ChainDemand {
            owners: KeyRing::new(chain["owners"].as_array().unwrap().iter().map(owner).collect()),
            threshold: chain["threshold"].as_u64().map(|threshold| threshold.try_into().unwrap()),
            parameters: parameters(&chain["parameters"]),
            profile: Profile::Strict,
            insist: Insist {
                commands: chain["insist"].as_array().is_some_and(|all| all.contains(&json!("commands"))),
                closed_lists: chain["insist"].as_array().is_some_and(|all| all.contains(&json!("closed lists"))),
            },
        };
        let envelopes = chain["envelopes"].as_object().unwrap().values();
        let file = |description: &Value| File {
            name: description["name"].as_str().map(str::to_owned),
            bytes: envelope(description),
        };
        let files = envelopes.map(file).collect();
        Chain { demand, image: image(&chain["image"]), files, now: chain["now"].as_str().unwrap().parse().unwrap() }
    }

    /// What is said to these files in the place of its own.
    pub fn judge(&self, files: &[File], profile: Profile) -> Result<VerifiedChain, Rejection> {
        let demand = ChainDemand { profile, ..self.demand.clone() };
        verify(&demand, self.image.as_ref(), &pieces(files), self.now)
    }

    /// The same under the one layout that is given.
    pub fn judge_given(&self, layout: &File, files: &[File]) -> Result<VerifiedChain, Rejection> {
        verify_given(&self.demand, self.image.as_ref(), &layout.bytes, &pieces(files), self.now)
    }

    /// The same, and that the order of the files plays no part.
    pub fn verify(&self, profile: Profile) -> Result<VerifiedChain, Rejection> {
        let verdict = self.judge(&self.files, profile);
        let reversed: Vec<File> = self.files.iter().rev().cloned().collect();
        match (&verdict, self.judge(&reversed, profile)) {
            (Ok(_), Ok(_)) => {}
            (Err(one), Err(other)) => {
                assert_eq!(one.reason(), other.reason(), "the order of the evidence plays a part")
            }
            (_, other) => panic!("the order of the evidence plays a part: {verdict:?} and {other:?}"),
        }
        verdict
    }
}

/// An envelope that is a copy of another, but for what is said of it besides.
fn copy(envelopes: &mut Value) {
    let originals = envelopes.clone();
    for described in envelopes.as_object_mut().unwrap().values_mut() {
        let Some(original) = described["copy"].as_str().map(|name| originals[name].clone()) else { continue };
        let mut copy = original.as_object().expect("an envelope").clone();
        copy.extend(described.as_object().unwrap().clone());
        *described = copy.into();
    }
}

fn pieces(files: &[File]) -> Vec<Piece<'_>> {
    files.iter().map(|file| Piece { bytes: &file.bytes, name: file.name.as_deref() }).collect()
}

/// Where chains and cases lie.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// A file of them.
pub fn read(path: PathBuf) -> Value {
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn owner(described: &Value) -> NamedKey {
    let name = described.as_str().or(described["name"].as_str()).unwrap();
    let period = described["period"].as_u64().map(|period| period.try_into().unwrap());
    let key = match name.starts_with("pgp-") {
        true => people::owner(name, period),
        false => key(name).public().clone(),
    };
    NamedKey { name: name.to_owned(), key }
}

fn image(described: &Value) -> Option<ImageFacts> {
    let image = described.as_object()?;
    let digest = match image.get("digest").and_then(Value::as_str) {
        Some(digest) => digest.parse().unwrap(),
        None => IMAGE.digest.clone(),
    };
    let mut facts = ImageFacts::new(image["repository"].as_str().unwrap().to_owned(), digest.clone());
    if image.get("manifest").is_some() {
        facts.give(&digest, &IMAGE.manifest).unwrap();
    }
    Some(facts)
}

static KEYS: LazyLock<Mutex<BTreeMap<String, &'static SecretKey>>> = LazyLock::new(Mutex::default);

/// The key of that name, made once a run.
pub fn key(name: &str) -> &'static SecretKey {
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    keys.entry(name.to_owned()).or_insert_with(|| {
        let scheme = match name.split('-').next() {
            Some("rsa") => Scheme::RsaPssSha256,
            Some("p256") => Scheme::EcdsaP256,
            Some("p384") => Scheme::EcdsaP384,
            Some("p521") => Scheme::EcdsaP521,
            Some("mldsa") => Scheme::MlDsa(MlDsa::Set65),
            _ => Scheme::Ed25519,
        };
        Box::leak(Box::new(SecretKey::generate(scheme).unwrap()))
    })
}

fn id(name: &str) -> String {
    people::person(name).map_or_else(|| key(name).public().id().to_owned(), |person| person.id())
}

fn object(name: &str) -> Value {
    people::person(name).map_or_else(|| key(name).public().to_layout(), |person| person.object(name))
}

/// The image of the chains.
struct Image {
    manifest: Vec<u8>,
    digest: Digest,
    config: Digest,
    layer: Digest,
}

static IMAGE: LazyLock<Image> = LazyLock::new(|| {
    let (config, layer) = (Digest::sha256(b"{}"), Digest::sha256(b"layer"));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.to_string(), "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.to_string(), "size": 5}],
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    Image { digest: Digest::sha256(&manifest), manifest, config, layer }
});

/// Replaces what begins with `$`, everywhere in the chain.
fn fill(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix("$key:") {
            Some(name) => object(name),
            None => Value::String(fill_text(text)),
        },
        Value::Array(values) => values.iter().map(fill).collect(),
        Value::Object(members) => match members.get("$key") {
            Some(name) => {
                let mut object = object(name.as_str().unwrap());
                merge(&mut object, &fill(members.get("with").unwrap_or(&json!({}))));
                object
            }
            None => members.iter().map(|(name, value)| (fill_text(name), fill(value))).collect::<Map<_, _>>().into(),
        },
        other => other.clone(),
    }
}

/// Replaces what begins with `$cert:`, everywhere in the chain.
fn certify(value: &Value, described: &Value) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix("$cert:") {
            Some(names) => {
                let pem = |name| certificates::certificate(described, name, &|name| key(name).to_pem());
                names.split('+').map(pem).collect::<String>().into()
            }
            None => value.clone(),
        },
        Value::Array(values) => values.iter().map(|value| certify(value, described)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), certify(value, described))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

pub fn fill_text(text: &str) -> String {
    if let Some(content) = text.strip_prefix("$sha256:") {
        return Digest::sha256(content.as_bytes()).hex().to_owned();
    }
    if let Some(name) = text.strip_prefix("$id:") {
        return id(name);
    }
    if let Some((before, after)) = text.split_once("$short:") {
        let (name, after) = after.split_at(after.find(['.', '/']).unwrap_or(after.len()));
        return fill_text(&format!("{before}{}{after}", &id(name)[..8]));
    }
    let Image { digest, config, layer, .. } = &*IMAGE;
    text.replace("$image", digest.hex()).replace("$config", config.hex()).replace("$layer", layer.hex())
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

fn set(chain: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match chain.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent} in the chain")) {
        Value::Object(members) => {
            members.insert(last.replace("~1", "/"), value);
        }
        Value::Array(values) if last == "-" => values.push(value),
        Value::Array(values) => values[last.parse::<usize>().unwrap()] = value,
        _ => panic!("{parent} holds nothing"),
    }
}

fn remove(chain: &mut Value, pointer: &str) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match chain.pointer_mut(parent) {
        Some(Value::Object(members)) => assert!(members.remove(&last.replace("~1", "/")).is_some(), "no {pointer}"),
        Some(Value::Array(values)) => drop(values.remove(last.parse().unwrap())),
        _ => panic!("no {pointer}"),
    }
}

fn rewrite(text: String, rewrites: &Value) -> String {
    rewrites.as_array().into_iter().flatten().fold(text, |text, pair| {
        let (from, to) = (fill_text(pair[0].as_str().unwrap()), fill_text(pair[1].as_str().unwrap()));
        assert!(text.contains(&from), "{from} is not in {text}");
        text.replace(&from, &to)
    })
}

fn parameters(values: &Value) -> Parameters {
    let mut parameters = Parameters::default();
    for (name, value) in values.as_object().into_iter().flatten() {
        parameters.add(name, Parameter { value: value.as_str().unwrap().to_owned(), pattern: false }).unwrap();
    }
    parameters
}

/// The bytes of one envelope of a filled chain.
fn envelope(description: &Value) -> Vec<u8> {
    if let Some(bytes) = description["bytes"].as_str() {
        return bytes.as_bytes().to_vec();
    }
    let by: Vec<&str> = description["by"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let people: Vec<people::Person> = by.iter().filter_map(|name| people::person(name)).collect();
    let keys: Vec<&SecretKey> = by.iter().filter(|name| people::person(name).is_none()).map(|name| key(name)).collect();
    let text = rewrite(description["signed"].to_string(), &description["rewrite"]);
    let mut bytes = if description["container"] == "metablock" {
        let signed: Value = serde_json::from_str(&text).unwrap();
        let file = Envelope::sign_metablock((&signed).into(), &keys).unwrap().to_bytes();
        rewrite(String::from_utf8(file).unwrap(), &description["tamper"]).into_bytes()
    } else {
        let kind = description["payloadType"].as_str().unwrap_or(INTOTO_PAYLOAD_TYPE);
        let file = Envelope::sign_dsse(kind, text.clone().into_bytes(), &keys).unwrap().to_bytes();
        let mut file: Value = serde_json::from_slice(&file).unwrap();
        file["payload"] = BASE64.encode(rewrite(text, &description["tamper"])).into();
        serde_json::to_vec(&file).unwrap()
    };
    if !people.is_empty() {
        bytes = add_openpgp(&bytes, &people, &description["openpgp"]);
    }
    let asked = |name: &str| description.get(name).is_some();
    if asked("junkFirst")
        || asked("withoutIds")
        || asked("claim")
        || asked("broken")
        || asked("certificate")
        || asked("forged")
    {
        let mut file: Value = serde_json::from_slice(&bytes).unwrap();
        let metablock = file.get("signed").is_some();
        let signatures = file["signatures"].as_array_mut().unwrap();
        if asked("junkFirst") {
            let mut junk = signatures[0].clone();
            junk["sig"] = if metablock { "00".repeat(64) } else { BASE64.encode([0; 64]) }.into();
            signatures.insert(0, junk);
        }
        for id in description["forged"].as_array().into_iter().flatten() {
            let mut forged = signatures[0].clone();
            forged["keyid"] = id.clone();
            signatures.push(forged);
        }
        for signature in signatures.iter_mut() {
            if asked("withoutIds") {
                signature.as_object_mut().unwrap().remove("keyid");
            }
            if let Some(pem) = description.get("certificate") {
                signature[description["certificateAs"].as_str().unwrap_or("cert")] = pem.clone();
            }
            if let Some(id) = description["claim"].as_str() {
                signature["keyid"] = id.into();
            }
            if let Some(broken) = description["broken"].as_str() {
                signature["sig"] = broken.into();
            }
        }
        bytes = serde_json::to_vec(&file).unwrap();
    }
    bytes
}

/// In a Metablock as in-toto has it; in DSSE, where it has no place, as somebody might have thought it out.
fn add_openpgp(bytes: &[u8], people: &[people::Person], how: &Value) -> Vec<u8> {
    let message = Envelope::parse(bytes).unwrap().signed_bytes().into_owned();
    let mut file: Value = serde_json::from_slice(bytes).unwrap();
    let is_dsse = file.get("payload").is_some();
    let signatures = file["signatures"].as_array_mut().unwrap();
    for person in people {
        let mut signature = people::sign(person, &message, how);
        if is_dsse && let Some(value) = signature["signature"].as_str() {
            signature["sig"] = BASE64.encode(hex::decode(value).unwrap()).into();
        }
        signatures.push(signature);
    }
    serde_json::to_vec(&file).unwrap()
}
