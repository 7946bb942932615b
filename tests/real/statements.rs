//! Statements that other tools signed, where links are expected: witness records a whole chain, cosign attests to an image it finds in a
//! registry. The layouts, and the verdicts, are ours.

use super::{
    chain_keys, cosign, cosign_keys,
    images::{Image, Site, documents, policy, trust_root},
    publish, reason, sign_bundle,
    tools::{Bench, Ran, Server},
    verify,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::fs;

const IMAGE: &str = "registry.example.com/shop/api";

/// Signs a template of ours by the owner.
fn sign_layout(bench: &Bench, template: &str) {
    bench.write("shop.yaml", template);
    bench.tidewaiter(&["layout", "sign", "shop.yaml", "--key", "owner.pem", "-o", "root.layout"]).expect(0);
}

/// The verdict on the envelopes of a directory, for an image that nobody has to look up.
fn judged(bench: &Bench, links: &str, image: &str) -> Ran {
    let given = ["--layout", "root.layout", "--key", "owner.pem.pub", "--links", links, "--image", image];
    bench.tidewaiter(&[&["in-toto", "verify", "--output", "json"], &given[..]].concat())
}

#[track_caller]
fn denied(ran: Ran, code: i32, reason: &str, says: &str) {
    let verdict = ran.expect(code).json();
    assert_eq!(verdict["reason"], reason, "{verdict}");
    assert!(verdict["message"].as_str().expect("a message").contains(says), "{verdict}");
}

/// Copies files into a fresh directory of links.
fn gather(bench: &Bench, dir: &str, files: &[&str]) {
    let _ = fs::remove_dir_all(bench.path(dir));
    for file in files {
        bench.write(&format!("{dir}/{file}"), fs::read(bench.path(file)).expect("an envelope"));
    }
}

/// The envelope with other words in its payload, under the signatures it had.
fn tamper(bench: &Bench, file: &str, from: &str, to: &str) {
    let mut envelope: Value = serde_json::from_slice(&fs::read(bench.path(file)).expect("an envelope")).expect("JSON");
    let payload = STANDARD.decode(envelope["payload"].as_str().expect("a payload")).expect("base64");
    let payload = String::from_utf8(payload).expect("UTF-8");
    assert!(payload.contains(from), "{from} is not in {payload}");
    envelope["payload"] = STANDARD.encode(payload.replace(from, to)).into();
    bench.write(file, envelope.to_string());
}

mod witness {
    use super::*;

    const TEMPLATE: &str = "expires: 30d
steps:
  - name: fetch
    functionaries: [functionary.pem.pub]
    materials: [DISALLOW *]
    products: [CREATE src.c, DISALLOW *]
  - name: build
    functionaries: [functionary.pem.pub]
    materials: [MATCH src.c WITH PRODUCTS FROM fetch, DISALLOW *]
    products: [CREATE meta.json, 'CREATE oci:registry.example.com/shop/api', DISALLOW *]
inspections:
  - name: image
    run: [tidewaiter, inspect, image]
    materials: ['MATCH oci:registry.example.com/shop/api WITH PRODUCTS FROM build', DISALLOW *]
";

    /// `witness run` of a step in `work`: a collection in `<out>.json`, and its link in `<out>.json-link.json`.
    fn run(bench: &Bench, key: &str, step: &str, attest: &str, out: &str, script: &str) {
        let out = format!("{out}.json");
        let how = ["run", "-s", step, "-k", key, "-d", "work", "-a", attest, "--attestor-link-export", "-o", &out];
        bench.tool("witness", &[&how[..], &["--", "sh", "-c", script]].concat()).expect(0);
    }

    /// What BuildKit leaves beside an image that it pushed under two tags.
    fn build(digest: &str) -> String {
        let meta = json!({ "image.name": format!("{IMAGE}:v1,{IMAGE}:latest"), "containerimage.digest": digest });
        format!("test -f src.c && printf '%s' '{meta}' > meta.json")
    }

    fn start(bench: &Bench) {
        fs::create_dir(bench.path("work")).expect("a directory");
        run(bench, "functionary.pem", "fetch", "link", "fetch", "echo 'int main;' > src.c");
    }

    #[test]
    fn a_chain_that_witness_recorded() {
        let bench = Bench::new();
        chain_keys(&bench);
        sign_layout(&bench, TEMPLATE);
        let digest = format!("sha256:{}", "3f".repeat(32));
        let image = format!("{IMAGE}@{digest}");
        start(&bench);
        run(&bench, "functionary.pem", "build", "link,docker", "build", &build(&digest));

        // Its collections; one of its link statements in place of a collection; both, which say the same.
        for files in [
            &["fetch.json", "build.json"][..],
            &["fetch.json-link.json", "build.json"],
            &["fetch.json", "fetch.json-link.json", "build.json"],
        ] {
            gather(&bench, "links", files);
            let verdict = judged(&bench, "links", &image).expect(0).json();
            assert_eq!(verdict["steps"][1]["name"], "build", "{verdict}");
        }
        // The link knows of no image, and two reports of one functionary must agree.
        gather(&bench, "links", &["fetch.json", "build.json", "build.json-link.json"]);
        denied(judged(&bench, "links", &image), 1, "links_disagree", "oci:registry.example.com/shop/api");
        gather(&bench, "links", &["fetch.json", "build.json-link.json"]);
        denied(judged(&bench, "links", &image), 1, "rule_violation", "oci:registry.example.com/shop/api");

        // The chain of another image.
        gather(&bench, "links", &["fetch.json", "build.json"]);
        let other = format!("{IMAGE}@sha256:{}", "40".repeat(32));
        denied(judged(&bench, "links", &other), 1, "rule_violation", "is not what \"build\" has under that name");
        // A step without its report; one that was changed; one by nobody we know; one of another step.
        gather(&bench, "links", &["build.json"]);
        denied(judged(&bench, "links", &image), 3, "threshold_not_met", "step \"fetch\"");
        gather(&bench, "links", &["fetch.json", "build.json"]);
        tamper(&bench, "links/fetch.json", "src.c", "src.d");
        denied(judged(&bench, "links", &image), 3, "threshold_not_met", "does not verify");
        bench.tidewaiter(&["key", "new", "-o", "stranger.pem"]).expect(0);
        for (key, step) in [("stranger.pem", "build"), ("functionary.pem", "bui1d")] {
            fs::remove_file(bench.path("work/meta.json")).expect("what the build left");
            run(&bench, key, step, "link,docker", "other", &build(&digest));
            gather(&bench, "links", &["fetch.json", "other.json"]);
            denied(judged(&bench, "links", &image), 3, "threshold_not_met", "step \"build\"");
        }
    }

    /// Beside its collection it writes a provenance, in words of its own: it names no step, and stands for the one its signer has.
    #[test]
    fn a_provenance_that_witness_wrote() {
        let bench = Bench::new();
        chain_keys(&bench);
        fs::create_dir(bench.path("work")).expect("a directory");
        bench.write("work/src.c", "int main;\n");
        let how = ["run", "-s", "build", "-k", "functionary.pem", "-d", "work", "-a", "slsa", "--attestor-slsa-export"];
        let command = ["-o", "build.json", "--", "sh", "-c", "cp src.c api"];
        bench.tool("witness", &[&how[..], &command].concat()).expect(0);
        let template = |material: &str| {
            format!(
                "expires: 30d\nsteps:\n  - name: build\n    functionaries: [functionary.pem.pub]\n    \
                materials: [{material}, DISALLOW *]\n    products: [CREATE api, DISALLOW *]\n"
            )
        };
        let verify = || {
            gather(&bench, "links", &["build.json-slsa.json"]);
            let given = ["--layout", "root.layout", "--key", "owner.pem.pub", "--links", "links", "--output", "json"];
            bench.tidewaiter(&[&["in-toto", "verify"], &given[..]].concat())
        };
        sign_layout(&bench, &template("ALLOW src.c"));
        let verdict = verify().expect(0).json();
        assert_eq!(verdict["steps"][0]["name"], "build", "{verdict}");
        sign_layout(&bench, &template("ALLOW src.h"));
        denied(verify(), 1, "rule_violation", "DISALLOW * left src.c");
    }

    #[test]
    fn what_changes_between_the_steps_witness_tells() {
        let bench = Bench::new();
        chain_keys(&bench);
        sign_layout(&bench, TEMPLATE);
        let digest = format!("sha256:{}", "3f".repeat(32));
        start(&bench);
        bench.write("work/src.c", "int evil;\n");
        run(&bench, "functionary.pem", "build", "docker,link", "build", &build(&digest));
        gather(&bench, "links", &["fetch.json", "build.json"]);
        let image = format!("{IMAGE}@{digest}");
        denied(judged(&bench, "links", &image), 1, "rule_violation", "src.c is not what \"fetch\" has under that name");
    }
}

mod cosign_attest {
    use super::*;

    /// `build` is done by the holder of cosign's key, from a commit, and ends in the image.
    fn template(image: &Image) -> String {
        let artifact = format!("oci:{}", image.repository);
        format!(
            "expires: 30d
steps:
  - name: build
    functionaries: [ci.pub]
    materials: ['ALLOW git+https://git.example.com/shop@*', DISALLOW *]
    products: ['CREATE {artifact}', DISALLOW *]
inspections:
  - name: image
    run: [tidewaiter, inspect, image]
    materials: ['MATCH {artifact} WITH PRODUCTS FROM build', DISALLOW *]
"
        )
    }

    /// The predicate of each type that cosign knows by a short name, from a source.
    fn predicate(kind: &str, source: &str) -> Value {
        let commit = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";
        match kind {
            "slsaprovenance02" => {
                json!({ "builder": { "id": "https://ci.example.com" }, "buildType": "https://ci.example.com/build",
                "materials": [{ "uri": source, "digest": { "sha1": commit } }] })
            }
            "slsaprovenance1" => {
                json!({ "buildDefinition": { "buildType": "https://ci.example.com/build", "externalParameters": {},
                "resolvedDependencies": [{ "uri": source, "digest": { "gitCommit": commit } }] },
                "runDetails": { "builder": { "id": "https://ci.example.com" } } })
            }
            "link" => {
                json!({ "_type": "link", "name": "build", "command": ["make"], "byproducts": {}, "environment": {},
                "materials": { source: { "sha256": "3f".repeat(32) } }, "products": {} })
            }
            other => panic!("{other}"),
        }
    }

    const SOURCE: &str = "git+https://git.example.com/shop@refs/heads/main";

    /// Attests, and gives the envelopes that the registry then holds.
    fn attest(bench: &Bench, site: &Site, kind: &str, image: &Image, source: &str) -> String {
        bench.write("build-of.json", predicate(kind, source).to_string());
        let (pinned, plain) = (image.pinned(), "--allow-insecure-registry");
        let what =
            ["attest", "--key", "ci.key", "--type", kind, "--predicate", "build-of.json", "--tlog-upload=false", "-y"];
        cosign(bench, site, "cosign-2", &[&what[..], &[plain, &pinned]].concat()).expect(0);
        let found = cosign(bench, site, "cosign-2", &["download", "attestation", plain, &pinned]).expect(0).stdout;
        assert_eq!(found.lines().count(), 1, "{found}");
        found
    }

    fn chain_policy(bench: &Bench, site: &Site, owner: &str) -> String {
        let built = "{ name: built, supplyChain: { layout: { owners: shop-owners }, evidence: [oci] } }";
        let owners = trust_root("shop-owners", &[("owner", owner)]);
        documents(bench, &[policy(&site.host(), &[built]), owners, site.config(bench)])
    }

    #[test]
    fn an_attestation_by_cosign_is_a_link() {
        let bench = Bench::new();
        let owner = chain_keys(&bench);
        cosign_keys(&bench, "ci");
        let site = Site { server: Server::docker_registry(&bench), ca: None, login: None };
        for kind in ["slsaprovenance02", "slsaprovenance1", "link"] {
            let image = site.push(kind, kind);
            sign_layout(&bench, &template(&image));
            bench.write("build.json", attest(&bench, &site, kind, &image, SOURCE));
            gather(&bench, "links", &["build.json"]);
            let verdict = judged(&bench, "links", &image.pinned()).expect(0).json();
            assert_eq!(verdict["steps"][0]["name"], "build", "{kind}: {verdict}");

            // Where cosign put it, beside a layout of ours, it admits the image; published elsewhere it says nothing of another.
            let policy = chain_policy(&bench, &site, &owner);
            assert_eq!(reason(&verify(&bench, &policy, &image.pinned()).expect(3)), "no_layout", "{kind}");
            publish(&bench, &site, &image, &["root.layout".to_owned()]).expect(0);
            verify(&bench, &policy, &image.pinned()).expect(0);
            let other = site.push(kind, &format!("not {kind}"));
            publish(&bench, &site, &other, &["build.json".to_owned(), "root.layout".to_owned()]).expect(0);
            assert_eq!(reason(&verify(&bench, &policy, &other.pinned()).expect(1)), "rule_violation", "{kind}");
            denied(judged(&bench, "links", &other.pinned()), 1, "rule_violation", "is not what \"build\" has");

            tamper(&bench, "links/build.json", "git.example.com/shop", "git.example.com/evil");
            denied(judged(&bench, "links", &image.pinned()), 3, "threshold_not_met", "step \"build\"");
            // Signed by the right key, and from a source that the layout does not have.
            let evil = site.push(&format!("{kind}-evil"), kind);
            sign_layout(&bench, &template(&evil));
            bench.write(
                "evil.json",
                attest(&bench, &site, kind, &evil, "git+https://git.example.com/evil@refs/heads/main"),
            );
            gather(&bench, "links", &["evil.json"]);
            denied(
                judged(&bench, "links", &evil.pinned()),
                1,
                "rule_violation",
                "DISALLOW * left git+https://git.example.com/evil",
            );
        }
    }

    #[test]
    fn the_envelope_in_a_bundle_of_cosign_3_is_a_link() {
        let bench = Bench::new();
        let owner = chain_keys(&bench);
        cosign_keys(&bench, "ci");
        let site = Site { server: Server::registry(&bench, &[]), ca: None, login: None };
        let image = site.push("bundled", "one");
        sign_layout(&bench, &template(&image));
        // What it attests to without a registry of transparency is set up as for signatures.
        sign_bundle(&bench, &site, "sign", "ci.key", &image);
        bench.write("build-of.json", predicate("slsaprovenance1", SOURCE).to_string());
        let how = ["--signing-config", "signing.json", "--trusted-root", "root.json", "--allow-http-registry", "-y"];
        let what = ["attest", "--key", "ci.key", "--type", "slsaprovenance1", "--predicate", "build-of.json"];
        let (bundle, pinned) = (["--bundle", "bundle.json"], image.pinned());
        cosign(&bench, &site, "cosign-3", &[&what[..], &how, &bundle, &[&pinned]].concat()).expect(0);
        let bundle: Value =
            serde_json::from_slice(&fs::read(bench.path("bundle.json")).expect("a bundle")).expect("JSON");
        bench.write("links/build.json", bundle["dsseEnvelope"].to_string());
        judged(&bench, "links", &image.pinned()).expect(0);
        publish(&bench, &site, &image, &["root.layout".to_owned()]).expect(0);
        verify(&bench, &chain_policy(&bench, &site, &owner), &image.pinned()).expect(0);
        tamper(&bench, "links/build.json", "git.example.com/shop", "git.example.com/evil");
        denied(judged(&bench, "links", &image.pinned()), 3, "threshold_not_met", "step \"build\"");
    }
}
