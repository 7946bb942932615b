//! Signed metadata with one flaw each, on the image `crafted`. Signatures are good unless the flaw is in them: the point is what a parser
//! makes of bytes that somebody trusted did sign.

use crate::world::{Chain, SIGN, World};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tidewaiter::envelope::{Envelope, INTOTO_PAYLOAD_TYPE};

const SET: &str = "application/vnd.in-toto+json";
const LAYER: &str = "application/vnd.dsse.envelope.v1+json";
pub const IMAGE: &str = "crafted";

/// A world with that evidence alone.
pub fn named(name: &str) -> World {
    let mut world = World::empty();
    match name {
        "of-an-index" | "of-an-index-unsigned" => {
            world.image("good");
            world.sign("good", "release");
            world.chain("good", Chain::default());
            world.index(IMAGE, &["good"]);
        }
        _ => drop(world.image(IMAGE)),
    }
    match signature(&mut world, name) {
        true => drop(world.chain(IMAGE, Chain::default())),
        false => {
            if name != "of-an-index-unsigned" {
                world.sign(IMAGE, "release");
                let envelopes = chain(&world, name);
                world.attach(IMAGE, SET, LAYER, &envelopes);
            }
        }
    }
    world
}

/// A flaw in the signature of the image; false where the name is none of these.
fn signature(world: &mut World, name: &str) -> bool {
    let honest = String::from_utf8(world.simple_signing(IMAGE)).expect("text");
    let other = format!("sha256:{:064x}", 1);
    let own = world.images[IMAGE].digest.clone();
    let mut sign = |payload: String, key: &str| world.attach_signature(IMAGE, payload.as_bytes(), key);
    match name {
        "signature-honest" => sign(honest, "release"),
        "signature-by-an-owner" => sign(honest, "alice"),
        "signature-by-the-exception-officer" => sign(honest, "officer"),
        "signature-digest-twice" => {
            let member = format!("\"docker-manifest-digest\":\"{own}\"");
            sign(honest.replace(&member, &format!("{member},\"docker-manifest-digest\":\"{other}\"")), "release");
        }
        "signature-of-another-type" => {
            sign(honest.replace("cosign container image signature", "atomic container signature"), "release");
        }
        "signature-with-trailing-data" => sign(honest.clone() + &honest, "release"),
        "signature-digest-in-optional" => {
            let text = honest.replace(&own, &other);
            sign(
                text.replace("\"optional\":null", &format!("\"optional\":{{\"docker-manifest-digest\":\"{own}\"}}")),
                "release",
            );
        }
        "signature-of-another-image" => sign(honest.replace(&own, &other), "release"),
        "bundle-honest" => world.bundle(IMAGE, "release", IMAGE, SIGN),
        "bundle-of-a-stranger" => world.bundle(IMAGE, "stranger", IMAGE, SIGN),
        "bundle-of-another-image" => {
            world.image("third");
            world.bundle(IMAGE, "release", "third", SIGN);
        }
        "bundle-of-provenance" => world.bundle(IMAGE, "release", IMAGE, "https://slsa.dev/provenance/v1"),
        "layout-as-bundle-statement" => {
            // The release key signs a chain's link about this image; that is no image signature.
            let envelopes = world.envelopes(IMAGE, Chain { build_by: Some("release"), ..Chain::default() });
            let dsse: Value = serde_json::from_slice(&envelopes[2]).expect("JSON");
            let bundle = json!({"mediaType": BUNDLE, "dsseEnvelope": dsse,
                "verificationMaterial": {"publicKey": {"hint": "hint"}}});
            world.attach(IMAGE, BUNDLE, BUNDLE, &[bundle.to_string().into_bytes()]);
        }
        _ => return false,
    }
    true
}
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Layout, link of `fetch`, link of `build`, one of them flawed.
fn chain(world: &World, name: &str) -> Vec<Vec<u8>> {
    let mut all = world.envelopes(IMAGE, Chain::default());
    let owners = &["alice", "bob"][..];
    let layout = |all: &mut Vec<Vec<u8>>, keys: &[&str], change: &dyn Fn(String) -> String| {
        all[0] = resigned(world, &all[0], INTOTO_PAYLOAD_TYPE, keys, |text| change(text).into_bytes());
    };
    let build = |all: &mut Vec<Vec<u8>>, change: &dyn Fn(String) -> String| {
        all[2] = resigned(world, &all[2], INTOTO_PAYLOAD_TYPE, &["ci"], |text| change(text).into_bytes());
    };
    let replaced = |from: &'static str, to: &'static str| {
        move |text: String| {
            assert!(text.contains(from), "{from} in {text}");
            text.replacen(from, to, 1)
        }
    };
    match name {
        "honest" | "of-an-index" => build(&mut all, &|text| text),
        "link-name-twice" => build(&mut all, &replaced("\"name\":\"build\"", "\"name\":\"fetch\",\"name\":\"build\"")),
        "link-name-twice-by-escape" => {
            build(&mut all, &replaced("\"name\":\"build\"", "\"n\\u0061me\":\"fetch\",\"name\":\"build\""));
        }
        "link-byte-order-mark" => build(&mut all, &|text| format!("\u{feff}{text}")),
        "link-lone-surrogate" => build(&mut all, &replaced("\"make\"", "\"\\ud800\"")),
        "link-nul" => build(&mut all, &replaced("\"make\"", "\"\\u0000\"")),
        "link-not-a-number" => build(&mut all, &replaced("\"return-value\":0", "\"return-value\":NaN")),
        "link-deep" => build(&mut all, &|text| {
            let deep = "[".repeat(5_000) + &"]".repeat(5_000);
            text.replacen("\"return-value\":0", &format!("\"return-value\":{deep}"), 1)
        }),
        "link-with-trailing-data" => build(&mut all, &|text| format!("{text}{{}}")),
        "link-not-utf-8" => {
            all[2] = resigned(world, &all[2], INTOTO_PAYLOAD_TYPE, &["ci"], |text| {
                let (before, after) = text.split_once("\"make\"").expect("a command");
                [before.as_bytes(), b"\"\xff\"", after.as_bytes()].concat()
            });
        }
        "link-climbs-out" => build(
            &mut all,
            &replaced(
                "\"products\":{",
                "\"products\":{\"../../etc/passwd\":{\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"},",
            ),
        ),
        "link-aliases-a-name" => build(
            &mut all,
            &replaced(
                "\"materials\":{",
                "\"materials\":{\"src//main.c\":{\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"},",
            ),
        ),
        "link-is-a-sublayout" => {
            let text = payload(&all[0]);
            build(&mut all, &|_| text.clone());
        }
        "links-of-two-builds" => build(&mut all, &|text| {
            let mut link: Value = serde_json::from_str(&text).expect("a link");
            for list in ["materials", "products"] {
                link[list]["src/main.c"] = json!({"sha256": format!("{:064x}", 3)});
            }
            link.to_string()
        }),
        "layout-expires-twice" => layout(&mut all, owners, &|text| {
            text.replacen("\"expires\":", "\"expires\":\"2020-01-01T00:00:00Z\",\"expires\":", 1)
        }),
        "layout-unknown-field" => {
            layout(&mut all, owners, &replaced("\"readme\":\"\"", "\"readme\":\"\",\"rootlayout\":true"))
        }
        "layout-without-steps" => layout(&mut all, owners, &|text| {
            let mut layout: Value = serde_json::from_str(&text).expect("a layout");
            layout["steps"] = json!([]);
            layout.to_string()
        }),
        "layout-too-complex" => layout(&mut all, owners, &|text| {
            let pattern = "*a".repeat(17);
            text.replacen("[\"DISALLOW\",\"*\"]", &format!("[\"DISALLOW\",\"{pattern}\"],[\"DISALLOW\",\"*\"]"), 1)
        }),
        "layout-by-the-release-key" => layout(&mut all, &["release"], &|text| text),
        "layout-by-an-owner-and-the-release-key" => layout(&mut all, &["alice", "release"], &|text| text),
        "layout-by-the-exception-officer" => layout(&mut all, &["officer"], &|text| text),
        "layout-threshold-zero" => layout(&mut all, owners, &replaced("\"threshold\":1", "\"threshold\":0")),
        "two-containers" => {
            let mut dsse = parsed(&all[2]);
            dsse["signed"] = json!({"_type": "link", "name": "build"});
            all[2] = dsse.to_string().into_bytes();
        }
        "payload-twice" => {
            let text = String::from_utf8(all[2].clone()).expect("text");
            all[2] = text.replacen("{", "{\"payload\":\"e30=\",", 1).into_bytes();
        }
        "payload-type-of-another-use" => {
            all[2] = resigned(world, &all[2], "application/vnd.tidewaiter.exception+json", &["ci"], String::into_bytes);
        }
        "payload-type-told-but-not-signed" => {
            let other = resigned(world, &all[2], "application/json", &["ci"], String::into_bytes);
            let mut dsse = parsed(&other);
            dsse["payloadType"] = json!(INTOTO_PAYLOAD_TYPE);
            all[2] = dsse.to_string().into_bytes();
        }
        "payload-with-a-blank-added" => {
            let mut dsse = parsed(&all[2]);
            dsse["payload"] = json!(STANDARD.encode(payload(&all[2]) + " "));
            all[2] = dsse.to_string().into_bytes();
        }
        "signature-over-the-payload-alone" => {
            let mut dsse = parsed(&all[2]);
            let signature = world.key("ci").sign(payload(&all[2]).as_bytes()).expect("a signature");
            dsse["signatures"][0]["sig"] = json!(STANDARD.encode(signature));
            all[2] = dsse.to_string().into_bytes();
        }
        "dsse-signature-on-a-metablock" => {
            let dsse = parsed(&all[2]);
            let signature = STANDARD.decode(dsse["signatures"][0]["sig"].as_str().expect("text")).expect("base64");
            let signed: Value = serde_json::from_str(&payload(&all[2])).expect("a link");
            let block = json!({"signed": signed, "signatures": [
                {"keyid": dsse["signatures"][0]["keyid"], "sig": hex::encode(signature)}]});
            all[2] = block.to_string().into_bytes();
        }
        "without-signatures" => {
            let mut dsse = parsed(&all[0]);
            dsse["signatures"] = json!([]);
            all[0] = dsse.to_string().into_bytes();
        }
        "another-builds-layout" => {
            // By both owners, for a chain whose steps have other names.
            layout(&mut all, owners, &|text| text.replace("\"build\"", "\"package\""));
        }
        other => panic!("no evidence is called {other}"),
    }
    all
}

fn parsed(envelope: &[u8]) -> Value {
    serde_json::from_slice(envelope).expect("an envelope")
}

fn payload(envelope: &[u8]) -> String {
    let text = parsed(envelope)["payload"].as_str().expect("a payload").to_owned();
    String::from_utf8(STANDARD.decode(text).expect("base64")).expect("text")
}

/// The payload changed, and signed again.
fn resigned(
    world: &World,
    envelope: &[u8],
    payload_type: &str,
    keys: &[&str],
    change: impl FnOnce(String) -> Vec<u8>,
) -> Vec<u8> {
    let keys: Vec<_> = keys.iter().map(|name| world.key(name)).collect();
    Envelope::sign_dsse(payload_type, change(payload(envelope)), &keys).expect("an envelope").to_bytes()
}
