//! The flaws a supply chain can have, a folder each in `vectors/`: what is changed in an honest chain, and the reason it must be denied
//! for; beside it, where there is one, the change that must be allowed.
//!
//! `chains.json` holds the honest chains. Keys are made and everything is signed here, at test time, so that no fixture expires and no
//! private key is kept. A case is JSON:
//!
//! * `set` puts values at JSON pointers of the chain, `remove` takes members out, both before signing;
//! * `"$id:fred"`, `"$key:fred"` and `{"$key":"fred","with":{…}}` are a key's id and its object in a layout, `"$sha256:text"` a hash,
//!   `"$image"`, `"$config"`, `"$layer"` the digests of the image. The scheme of a key is the beginning of its name: `rsa-`, `p256-`,
//!   `p384-`, `p521-`, `mldsa-`, otherwise ed25519;
//! * `pgp-bea` signs by OpenPGP, `pgp-bea/sub` is a subkey of hers, `pgp-bea/plain` her master as a plain key; an owner
//!   `{"name": "pgp-olga", "period": 60}` has a certificate that expires; `openpgp` of an envelope says how its signatures are wrong
//!   (`tests/support/people.rs`);
//! * an envelope has `by` (who signs) and `signed`, and may have `container: metablock`, `payloadType`, `rewrite` (text of `signed`, before
//!   signing), `tamper` (the same, after signing), `junkFirst`, `withoutIds`, `claim` (another's id), `broken` (signatures), or is only `bytes`;
//! * an envelope's `name` is the file it lies in (`"build.$short:bea.link"`); `parameters` of the chain are put into its layout;
//! * `certificates` of a chain are described as in `support/certificates.rs`; `"$cert:cara"` is the PEM of one, `"$cert:cara+mid"` of
//!   several; an envelope's `certificate` goes into its signatures as `cert`, or under the name that `certificateAs` gives it;
//! * `expect` is the reason, or `verified`; `says` is part of the message, `warns` part of a warning or remark; `compat` is what the compatible profile
//!   says, where it is another verdict. What passes strictly must pass compatibly, always.

#[allow(dead_code)] // these take the parts that chains need
#[path = "support/openpgp.rs"]
mod openpgp;
#[path = "support/people.rs"]
mod people;

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
    verify::{ChainDemand, Insist, Piece, Rejection, VerifiedChain, verify},
};

#[path = "support/certificates.rs"]
mod certificates;

/// Flaws this project has known at once: the number only grows.
const FLAWS_MIN: usize = 250;

static KEYS: LazyLock<Mutex<BTreeMap<String, String>>> = LazyLock::new(Mutex::default);

fn key(name: &str) -> SecretKey {
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    let pem = keys.entry(name.to_owned()).or_insert_with(|| {
        let scheme = match name.split('-').next() {
            Some("rsa") => Scheme::RsaPssSha256,
            Some("p256") => Scheme::EcdsaP256,
            Some("p384") => Scheme::EcdsaP384,
            Some("p521") => Scheme::EcdsaP521,
            Some("mldsa") => Scheme::MlDsa(MlDsa::Set65),
            _ => Scheme::Ed25519,
        };
        SecretKey::generate(scheme).unwrap().to_pem()
    });
    SecretKey::from_pem(pem).unwrap()
}

fn id(name: &str) -> String {
    people::person(name).map_or_else(|| key(name).public().id().to_owned(), |person| person.id())
}

fn object(name: &str) -> Value {
    people::person(name).map_or_else(|| key(name).public().to_layout(), |person| person.object(name))
}

fn image_blobs() -> (Vec<u8>, Digest, Digest) {
    let (config, layer) = (Digest::sha256(b"{}"), Digest::sha256(b"layer"));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.to_string(), "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.to_string(), "size": 5}],
    });
    (serde_json::to_vec(&manifest).unwrap(), config, layer)
}

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

fn fill_text(text: &str) -> String {
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
    let (manifest, config, layer) = image_blobs();
    text.replace("$image", Digest::sha256(&manifest).hex())
        .replace("$config", config.hex())
        .replace("$layer", layer.hex())
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
    let keys: Vec<SecretKey> = by.iter().filter(|name| people::person(name).is_none()).map(|name| key(name)).collect();
    let keys: Vec<&SecretKey> = keys.iter().collect();
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
    if asked("junkFirst") || asked("withoutIds") || asked("claim") || asked("broken") || asked("certificate") {
        let mut file: Value = serde_json::from_slice(&bytes).unwrap();
        let metablock = file.get("signed").is_some();
        let signatures = file["signatures"].as_array_mut().unwrap();
        if asked("junkFirst") {
            let mut junk = signatures[0].clone();
            junk["sig"] = if metablock { "00".repeat(64) } else { BASE64.encode([0; 64]) }.into();
            signatures.insert(0, junk);
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

/// Applies a case to its chain, signs, verifies.
fn run(chains: &Value, base: &str, case: &Value, profile: Profile) -> Result<VerifiedChain, Rejection> {
    let mut chain = chains[base].clone();
    assert!(chain.is_object(), "no chain {base}");
    for pointer in case["remove"].as_array().into_iter().flatten() {
        remove(&mut chain, pointer.as_str().unwrap());
    }
    for (pointer, value) in case["set"].as_object().into_iter().flatten() {
        set(&mut chain, pointer, value.clone());
    }
    let chain = fill(&certify(&chain, &chain["certificates"]));
    let owners = chain["owners"].as_array().unwrap().iter().map(|owner| {
        let name = owner.as_str().or(owner["name"].as_str()).unwrap();
        let period = owner["period"].as_u64().map(|period| period.try_into().unwrap());
        let key = match name.starts_with("pgp-") {
            true => people::owner(name, period),
            false => key(name).public().clone(),
        };
        NamedKey { name: name.to_owned(), key }
    });
    let owners = owners.collect();
    let demand = ChainDemand {
        owners: KeyRing::new(owners),
        threshold: chain["threshold"].as_u64().map(|threshold| threshold.try_into().unwrap()),
        parameters: parameters(&chain["parameters"]),
        profile,
        insist: Insist::default(),
    };
    let image = chain["image"].as_object().map(|image| {
        let (manifest, ..) = image_blobs();
        let digest = match image.get("digest").and_then(Value::as_str) {
            Some(digest) => digest.parse().unwrap(),
            None => Digest::sha256(&manifest),
        };
        let mut facts = ImageFacts::new(image["repository"].as_str().unwrap().to_owned(), digest.clone());
        if image.get("manifest").is_some() {
            facts.give(&digest, &manifest).unwrap();
        }
        facts
    });
    let envelopes = chain["envelopes"].as_object().unwrap().values();
    let envelopes: Vec<(Vec<u8>, Option<&str>)> =
        envelopes.map(|description| (envelope(description), description["name"].as_str())).collect();
    let mut envelopes: Vec<Piece<'_>> = envelopes.iter().map(|(bytes, name)| Piece { bytes, name: *name }).collect();
    // Whatever the order, the verdict is the same.
    let now = chain["now"].as_str().unwrap().parse().unwrap();
    let verdict = verify(&demand, image.as_ref(), &envelopes, now);
    envelopes.reverse();
    let reversed = verify(&demand, image.as_ref(), &envelopes, now);
    match (&verdict, &reversed) {
        (Ok(_), Ok(_)) => {}
        (Err(one), Err(other)) => assert_eq!(one.reason(), other.reason(), "the order of the evidence plays a part"),
        _ => panic!("the order of the evidence plays a part: {verdict:?} and {reversed:?}"),
    }
    verdict
}

fn judge(chains: &Value, name: &str, base: &str, case: &Value, expected: &str) -> Result<(), String> {
    let verdict = run(chains, base, case, Profile::Strict);
    let compat = run(chains, base, case, Profile::Compat);
    let word = match &compat {
        Ok(_) => "verified",
        Err(rejection) => rejection.reason().as_str(),
    };
    let expected_compat = case["compat"].as_str().unwrap_or(expected);
    if word != expected_compat {
        let message = compat.err().map(|rejection| rejection.to_string()).unwrap_or_default();
        return Err(format!("{name}: compatibly expected {expected_compat}, found {word}: {message}"));
    }
    let (found, message) = match &verdict {
        Ok(_) => ("verified", String::new()),
        Err(rejection) => (rejection.reason().as_str(), rejection.to_string()),
    };
    if found != expected {
        return Err(format!("{name}: expected {expected}, found {found}: {message}"));
    }
    if let Some(says) = case["says"].as_str()
        && !message.contains(&fill_text(says))
    {
        return Err(format!("{name}: {message:?} does not say {says:?}"));
    }
    if let (Some(warns), Ok(chain)) = (case["warns"].as_str(), &verdict)
        && !chain.warnings().iter().chain(chain.remarks()).any(|warning| warning.contains(warns))
    {
        return Err(format!("{name}: {:?} and {:?} do not warn of {warns:?}", chain.warnings(), chain.remarks()));
    }
    Ok(())
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn read(path: PathBuf) -> Value {
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn honest_chains_verify() {
    let chains = read(folder().join("chains.json"));
    for base in chains.as_object().unwrap().keys() {
        let chain =
            run(&chains, base, &json!({}), Profile::Strict).unwrap_or_else(|rejection| panic!("{base}: {rejection}"));
        assert!(chain.warnings().is_empty(), "{base}: {:?}", chain.warnings());
        assert!(chain.remarks().is_empty(), "{base}: {:?}", chain.remarks());
        let owner = if base == "openpgp" { "pgp-olga" } else { "olga" };
        assert_eq!(chain.owners(), [owner], "{base}");
        assert_eq!(chain.steps().len(), 2, "{base}");
    }
}

#[test]
fn every_flaw_is_denied_for_its_own_reason() {
    let chains = read(folder().join("chains.json"));
    let (mut flaws, mut failures) = (0, Vec::new());
    let mut folders: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for path in folders.into_iter().filter(|path| path.is_dir()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let file = read(path.join("case.json"));
        for member in file.as_object().unwrap().keys() {
            assert!(["flaw", "source", "chain", "denied", "allowed"].contains(&member.as_str()), "{name}: {member}?");
        }
        let base = file["chain"].as_str().unwrap_or("steps");
        if let Some(denied) = file.get("denied") {
            flaws += 1;
            let reason = denied["expect"].as_str().unwrap_or_else(|| panic!("{name} expects nothing"));
            failures.extend(judge(&chains, &name, base, denied, reason).err());
        }
        if let Some(allowed) = file.get("allowed") {
            failures.extend(judge(&chains, &format!("{name} (allowed)"), base, allowed, "verified").err());
        }
    }
    assert!(failures.is_empty(), "{} of {flaws}:\n{}", failures.len(), failures.join("\n"));
    assert!(flaws >= FLAWS_MIN, "there were {FLAWS_MIN} flaws, and there are {flaws}");
}

/// R24: trust flows from a master to its subkeys and not back, whether the layout has the key with its subkeys or a subkey as a key of
/// its own. All that is authorised × defined × signing can be.
#[test]
fn openpgp_masters_and_subkeys() {
    let chains = read(folder().join("chains.json"));
    let (master, sub) = ("pgp-bea", "pgp-bea/sub");
    let mut wrong = Vec::new();
    for (authorised, defined, signing, expected) in [
        (master, master, master, "verified"),
        (master, master, sub, "verified"),
        (master, sub, master, "layout_malformed"),
        (master, sub, sub, "layout_malformed"),
        (sub, master, master, "threshold_not_met"),
        (sub, master, sub, "verified"),
        (sub, sub, master, "threshold_not_met"),
        (sub, sub, sub, "verified"),
    ] {
        let case = json!({
            "remove": ["/envelopes/layout/signed/keys/$id:pgp-bea"],
            "compat": if expected == "layout_malformed" { "threshold_not_met" } else { expected },
            "set": {
                format!("/envelopes/layout/signed/keys/$id:{}", defined.replace('/', "~1")): format!("$key:{defined}"),
                "/envelopes/layout/signed/steps/1/pubkeys": [format!("$id:{authorised}")],
                "/envelopes/build/by": [signing],
            },
        });
        let name = format!("{authorised} authorised, {defined} defined, {signing} signing");
        wrong.extend(judge(&chains, &name, "openpgp", &case, expected).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Honest chains of any shape verify; the same chain with one hash of one link changed does not.
mod random {
    use super::*;
    use proptest::prelude::*;

    /// Steps that each take the products of the one before, change some files, leave others, make new ones.
    fn chain(steps: &[Vec<u8>]) -> Value {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let (mut definitions, mut envelopes) = (Vec::new(), Map::new());
        for (at, changes) in steps.iter().enumerate() {
            let materials = files.clone();
            for change in changes {
                files.insert(format!("d{}/f{}", change % 3, change % 16), format!("$sha256:{at}-{change}"));
            }
            let from = format!("s{}", at.saturating_sub(1));
            let taken = if at == 0 { json!([]) } else { json!(["MATCH", "*", "WITH", "PRODUCTS", "FROM", from]) };
            let mut expected_materials = vec![json!(["DISALLOW", "*"])];
            if at > 0 {
                expected_materials.insert(0, taken);
            }
            let name = format!("s{at}");
            definitions.push(json!({
                "_type": "step", "name": name, "threshold": 1, "pubkeys": ["$id:fred"], "expected_command": [],
                "expected_materials": expected_materials,
                "expected_products": [["CREATE", "d*/*"], ["MODIFY", "*"], ["MATCH", "*", "WITH", "MATERIALS", "FROM", name], ["DISALLOW", "*"]],
            }));
            let hashes = |files: &BTreeMap<String, String>| -> Map<String, Value> {
                files.iter().map(|(name, hash)| (name.clone(), json!({"sha256": hash}))).collect()
            };
            envelopes.insert(
                name.clone(),
                json!({"by": ["fred"], "signed": {"_type": "link", "name": name, "command": [], "byproducts": {}, "environment": {},
                    "materials": hashes(&materials), "products": hashes(&files)}}),
            );
        }
        envelopes.insert(
            "layout".to_owned(),
            json!({"by": ["olga"], "signed": {"_type": "layout", "expires": "2027-01-01T00:00:00Z", "readme": "",
                "keys": {"$id:fred": "$key:fred"}, "steps": definitions, "inspect": []}}),
        );
        json!({"now": "2026-11-25T12:00:00Z", "owners": ["olga"], "envelopes": envelopes})
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn honest_chains_verify_and_one_changed_hash_denies(
            steps in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..6), 2..5),
            pick in any::<prop::sample::Index>(),
        ) {
            let chain = chain(&steps);
            let chains = json!({"random": chain});
            let honest = run(&chains, "random", &json!({}), Profile::Strict);
            prop_assert!(honest.is_ok(), "{honest:?}");

            // Any material: it no longer is what the step before made. (A product of the last step is bound by inspections alone.)
            let mut places = Vec::new();
            for at in 1..steps.len() {
                for name in chain["envelopes"][format!("s{at}")]["signed"]["materials"].as_object().unwrap().keys() {
                    places.push(format!("/envelopes/s{at}/signed/materials/{}/sha256", name.replace('/', "~1")));
                }
            }
            let place = &places[pick.index(places.len())];
            let changed = json!({"set": {place: "$sha256:evil"}});
            let rejection = run(&chains, "random", &changed, Profile::Strict).unwrap_err();
            prop_assert_eq!(rejection.reason().as_str(), "rule_violation");
        }
    }
}
