//! A chain of three steps, with spare links and a layout inside, and one to three edits that the fuzzer's bytes decide. As long as it is
//! verified, all it stands on is as it was signed, and the verdict is that of the same people; an edit of what it does not stand on denies
//! nothing; and what passes strictly passes compatibly. (security §4.4 `verify_end_to_end`)
#![no_main]

#[path = "../../tests/support/edits.rs"]
mod edits;
#[path = "../../tests/support/stream.rs"]
mod stream;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use edits::{File, Trusted};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::sync::LazyLock;
use stream::Stream;
use tidewaiter::{
    Digest, ImageFacts,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    intoto::Profile,
    key::{KeyRing, NamedKey, SecretKey},
    verify::{ChainDemand, Piece, Rejection, VerifiedChain, verify},
};

/// The same keys in every run, so that a finding can be repeated: PKCS#8 of ed25519 with a seed of one byte.
fn key(seed: u8) -> SecretKey {
    let der = [hex::decode("302e020100300506032b657004220420").expect("hex"), vec![seed; 32]].concat();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(der));
    SecretKey::from_pem(&pem).expect("a key")
}

const OLGA: u8 = 1;
const FRED: u8 = 2;
const BEA: u8 = 3;
const BEN: u8 = 4;
const DORA: u8 = 5;

struct Chain {
    demand: ChainDemand,
    image: ImageFacts,
    files: Vec<File>,
    /// Where the files stand that are needed, and what they say.
    needed: Vec<(usize, Trusted)>,
    verdict: VerifiedChain,
}

static CHAIN: LazyLock<Chain> = LazyLock::new(|| {
    let id = |seed| key(seed).public().id().to_owned();
    let file = |name: Option<String>, signed: Value, by: u8, dsse: bool| -> File {
        let envelope = match dsse {
            true => {
                Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, signed.to_string().into_bytes(), &[&key(by)]).expect("DSSE")
            }
            false => Envelope::sign_metablock((&signed).into(), &[&key(by)]).expect("a Metablock"),
        };
        (name, envelope.to_bytes())
    };
    let link = |name: &str, materials: &Value, products: &Value| {
        json!({"_type": "link", "name": name, "command": [], "byproducts": {}, "environment": {},
            "materials": materials, "products": products})
    };
    let step = |name: &str, by: &[u8], materials: Value, products: Value| {
        json!({"_type": "step", "name": name, "threshold": 1, "pubkeys": by.iter().map(|by| id(*by)).collect::<Vec<_>>(),
            "expected_command": [], "expected_materials": materials, "expected_products": products})
    };
    let layout = |keys: &[u8], steps: Value, inspect: Value| {
        let keys: Value =
            keys.iter().map(|by| (id(*by), key(*by).public().to_layout())).collect::<serde_json::Map<_, _>>().into();
        json!({"_type": "layout", "expires": "2030-01-01T00:00:00Z", "readme": "", "keys": keys, "steps": steps,
            "inspect": inspect})
    };
    let hash = |content: &str| json!({"sha256": Digest::sha256(content.as_bytes()).hex()});
    let sources = json!({"src/a": hash("a"), "src/b": hash("b")});
    let image = ImageFacts::new("registry.example.com/shop/api".to_owned(), Digest::sha256(b"manifest"));
    let api = json!({"oci:registry.example.com/shop/api": {"sha256": image.digest.hex()}});
    let from = |step: &str| json!([["MATCH", "*", "WITH", "PRODUCTS", "FROM", step], ["DISALLOW", "*"]]);
    let steps = json!([
        step("fetch", &[FRED], json!([["DISALLOW", "*"]]), json!([["CREATE", "src/*"], ["DISALLOW", "*"]])),
        step("test", &[BEA, BEN], from("fetch"), json!([["DISALLOW", "*"]])),
        step("build", &[DORA], from("fetch"), json!([["CREATE", "oci:*"], ["DISALLOW", "*"]])),
    ]);
    let inspect = json!([{"_type": "inspection", "name": "image", "run": ["tidewaiter", "inspect", "image"],
        "expected_materials": from("build"), "expected_products": []}]);
    let inner = json!([step("compile", &[FRED], json!([["ALLOW", "*"]]), json!([["ALLOW", "*"]]))]);
    let files = vec![
        file(None, layout(&[FRED, BEA, BEN, DORA], steps, inspect), OLGA, true),
        file(None, link("fetch", &json!({}), &sources), FRED, false),
        file(None, link("test", &sources, &json!({})), BEA, true),
        file(None, link("test", &sources, &json!({})), BEN, false),
        file(None, layout(&[FRED], inner, json!([])), DORA, false),
        file(None, link("compile", &sources, &api), FRED, true),
    ];
    let owners = KeyRing::new(vec![NamedKey { name: "olga".to_owned(), key: key(OLGA).public().clone() }]);
    let demand = ChainDemand { owners, ..ChainDemand::default() };
    let verdict = judge(&demand, &image, &files, Profile::Strict).expect("the chain holds");
    let without = |at: usize| {
        let mut rest = files.clone();
        let (_, bytes) = rest.remove(at);
        judge(&demand, &image, &rest, Profile::Strict).is_err().then(|| (at, Trusted::of(&bytes).expect("an envelope")))
    };
    let needed: Vec<_> = (0..files.len()).filter_map(without).collect();
    assert_eq!(needed.len(), 4, "all but the links of \"test\", of which one is enough");
    Chain { demand, image, files, needed, verdict }
});

fn judge(
    demand: &ChainDemand,
    image: &ImageFacts,
    files: &[File],
    profile: Profile,
) -> Result<VerifiedChain, Rejection> {
    let pieces: Vec<Piece<'_>> = files.iter().map(|(name, bytes)| Piece { bytes, name: name.as_deref() }).collect();
    let now = "2026-11-25T12:00:00Z".parse().expect("a time");
    verify(&ChainDemand { profile, ..demand.clone() }, Some(image), &pieces, now)
}

fuzz_target!(|bytes: &[u8]| {
    let Chain { demand, image, files: honest, needed, verdict } = &*CHAIN;
    let stream = &mut Stream::new(bytes);
    let mut files = honest.clone();
    for _ in 0..=stream.below(3) {
        edits::edit(&mut files, stream);
    }
    let intact = needed.iter().all(|(_, trusted)| files.iter().any(|(_, bytes)| trusted.is_in(bytes)));
    let gone: Vec<&File> = honest.iter().filter(|file| !files.contains(file)).collect();
    let untouched = gone.len() <= 1 && needed.iter().all(|(at, _)| !gone.contains(&&honest[*at]));
    match judge(demand, image, &files, Profile::Strict) {
        Ok(found) => {
            assert!(intact, "it is not what was signed");
            assert_eq!((found.layout(), found.owners()), (verdict.layout(), verdict.owners()));
            assert_eq!(found.steps().len(), verdict.steps().len());
            for (one, other) in found.steps().iter().zip(verdict.steps()) {
                assert!(one.name == other.name && one.signers.iter().all(|by| other.signers.contains(by)), "{one:?}");
            }
            let compatibly = judge(demand, image, &files, Profile::Compat);
            assert!(compatibly.is_ok(), "{compatibly:?}");
        }
        Err(rejection) => assert!(!untouched, "{rejection}, and all that is needed is there"),
    }
});
