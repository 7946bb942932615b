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
//!   signing), `tamper` (the same, after signing), `junkFirst`, `withoutIds`, `claim` (another's id), `broken` (signatures), `forged` (ids that
//!   the first signature stands under once more), or is only `bytes`;
//! * `insist` of a chain is what is asked beyond the specification: `commands`, `closed lists`;
//! * an envelope's `name` is the file it lies in (`"build.$short:bea.link"`); `parameters` of the chain are put into its layout;
//! * `certificates` of a chain are described as in `support/certificates.rs`; `"$cert:cara"` is the PEM of one, `"$cert:cara+mid"` of
//!   several; an envelope's `certificate` goes into its signatures as `cert`, or under the name that `certificateAs` gives it;
//! * `expect` is the reason, or `verified`; `says` is part of the message, `warns` part of a warning or remark; `compat` is what the compatible profile
//!   says, where it is another verdict. What passes strictly must pass compatibly, always.

#[path = "support/certificates.rs"]
mod certificates;
#[allow(dead_code)] // others ask for more
#[path = "support/chains.rs"]
mod chains;
#[allow(dead_code)] // these take the parts that chains need
#[path = "support/openpgp.rs"]
mod openpgp;
#[path = "support/people.rs"]
mod people;

use chains::{Chain, fill_text, folder, read};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tidewaiter::{
    intoto::Profile,
    verify::{Rejection, VerifiedChain},
};

/// Flaws this project has known at once: the number only grows.
const FLAWS_MIN: usize = 269;

/// Applies a case to its chain, signs, verifies.
fn run(chains: &Value, base: &str, case: &Value, profile: Profile) -> Result<VerifiedChain, Rejection> {
    Chain::new(chains, base, case).verify(profile)
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

/// With a layout given no other is judged by, wherever it lies; and what is given and no layout is said to be none.
#[test]
fn a_given_layout_is_judged_by_alone() {
    let chains = read(folder().join("chains.json"));
    for base in chains.as_object().unwrap().keys() {
        let chain = Chain::new(&chains, base, &json!({}));
        let whole = chain.judge(&chain.files, Profile::Strict).unwrap();
        let mut layouts = 0;
        for (at, file) in chain.files.iter().enumerate() {
            let mut rest = chain.files.clone();
            rest.remove(at);
            match (chain.judge_given(file, &rest), chain.judge_given(file, &chain.files)) {
                (Ok(one), Ok(other)) => {
                    assert_eq!((&one, &other), (&whole, &whole), "{base}");
                    layouts += 1;
                }
                (Err(one), Err(other)) => {
                    assert_eq!(one, other, "{base}");
                    // A layout inside is by no owner.
                    let is_none = matches!(one, Rejection::NotALayout { .. } | Rejection::LayoutUntrusted { .. });
                    assert!(is_none, "{base}: {one}");
                }
                (one, other) => panic!("{base}: {one:?} and {other:?}"),
            }
        }
        assert_eq!(layouts, 1, "{base}");
    }
    // An owner who is a functionary too: what is given is no answer to itself, though it lies among the links.
    let own = json!({"set": {
        "/envelopes/layout/signed/keys/$id:olga": "$key:olga",
        "/envelopes/layout/signed/steps/1/pubkeys": ["$id:olga"],
        "/envelopes/build/by": ["olga"],
    }});
    let own = Chain::new(&chains, "steps", &own);
    let layout =
        own.files.iter().find(|file| own.judge_given(file, &[]).unwrap_err().reason().as_str() == "threshold_not_met");
    assert!(own.judge_given(layout.unwrap(), &own.files).is_ok());
    // The owners' other layout, among the links, would let it pass.
    let honest = Chain::new(&chains, "steps", &json!({}));
    let rules = json!([["DISALLOW", "*"]]);
    let strict = json!({"set": {"/envelopes/layout/signed/steps/1/expected_products": rules}});
    let denied = Chain::new(&chains, "steps", &strict);
    let layout = denied.files.iter().find(|file| !honest.files.contains(file)).unwrap();
    let rejection = honest.judge_given(layout, &honest.files).unwrap_err();
    assert_eq!(rejection.reason().as_str(), "rule_violation");
}

/// A verdict may be kept until the first of what it stands on ends: layout, layout inside, certificate, authority, OpenPGP signature.
#[test]
fn a_verdict_ends_with_the_first_that_it_stands_on() {
    let chains = read(folder().join("chains.json"));
    let ends = "2026-12-15T00:00:00Z";
    // OpenPGP counts seconds from when the key was made.
    let period = ends.parse::<jiff::Timestamp>().unwrap().as_second() - i64::from(openpgp::MADE);
    let brief = json!({
        "/envelopes/layout/signed/keys/$id:pgp-brief-bo": "$key:pgp-brief-bo",
        "/envelopes/layout/signed/steps/1/pubkeys": ["$id:pgp-brief-bo"],
        "/envelopes/build/by": ["pgp-brief-bo"],
    });
    for (base, set, end) in [
        ("steps", json!({}), "2027-01-01T00:00:00Z"),
        ("steps", json!({"/envelopes/layout/signed/expires": ends}), ends),
        ("sublayout", json!({"/envelopes/sub/signed/expires": ends}), ends),
        ("certificates", json!({"/certificates/cara/until": ends}), ends),
        ("certificates", json!({"/certificates/root/until": ends}), ends),
        ("openpgp", json!({"/owners/0": {"name": "pgp-olga", "period": period}}), ends),
        ("openpgp", brief, "2026-12-20T00:00:00Z"),
    ] {
        let chain = run(&chains, base, &json!({ "set": set }), Profile::Strict).unwrap();
        assert_eq!(chain.expires().to_string(), end, "{base}, {set}");
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

/// R14: a key that is given from outside is looked for under every id that anybody derives for it, and under none; what another id says is not
/// tried. R16: an id is a label.
#[test]
fn an_owner_is_known_by_every_id_of_its_key() {
    let chains = read(folder().join("chains.json"));
    for owner in ["olga", "rsa-olga", "p256-olga"] {
        let reason = |claim: Value| {
            let case =
                json!({"set": {"/owners": [owner], "/envelopes/layout/by": [owner], "/envelopes/layout/claim": claim}});
            run(&chains, "steps", &case, Profile::Strict).map_err(|rejection| rejection.reason().as_str())
        };
        let ids = chains::key(owner).public().ids();
        assert!(ids.len() >= 4, "{ids:?}");
        for id in ids {
            assert_eq!(reason(json!(id)).map(drop), Ok(()), "{owner}: {id}");
        }
        for stranger in ["$id:bea", "00", ""] {
            let expected = if stranger.is_empty() { Ok(()) } else { Err("layout_untrusted") };
            assert_eq!(reason(json!(stranger)).map(drop), expected, "{owner}: {stranger:?}");
        }
        let case =
            json!({"set": {"/owners": [owner], "/envelopes/layout/by": [owner], "/envelopes/layout/withoutIds": true}});
        assert!(run(&chains, "steps", &case, Profile::Strict).is_ok());
    }
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
