//! `tidewaiter in-toto verify` as a person calls it: files, flags, exit codes (design §11).
#![cfg(feature = "programs")]

use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};
use tidewaiter::{
    digest::Digest,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    key::{Scheme, SecretKey},
};

/// A chain of one step in a directory: owners' keys, layout, link, and an OCI image layout.
struct Project {
    dir: tempfile::TempDir,
    owner: SecretKey,
    functionary: SecretKey,
    manifest: Digest,
}

const REPOSITORY: &str = "registry.example.com/shop/api";

impl Project {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (owner, functionary) =
            (SecretKey::generate(Scheme::Ed25519).unwrap(), SecretKey::generate(Scheme::EcdsaP256).unwrap());
        fs::create_dir_all(dir.path().join("links")).unwrap();
        fs::create_dir_all(dir.path().join("image/blobs/sha256")).unwrap();
        fs::write(dir.path().join("olga.pub"), owner.public().to_pem()).unwrap();
        let blob = |bytes: &[u8]| {
            let digest = Digest::sha256(bytes);
            fs::write(dir.path().join("image/blobs/sha256").join(digest.hex()), bytes).unwrap();
            digest
        };
        let (config, layer) = (blob(b"{}"), blob(b"layer"));
        let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.to_string(), "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.to_string(), "size": 5}]});
        let manifest = serde_json::to_vec(&manifest).unwrap();
        let digest = blob(&manifest);
        let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest.to_string(), "size": manifest.len(),
            "annotations": {"org.opencontainers.image.ref.name": format!("{REPOSITORY}:1")}}]});
        fs::write(dir.path().join("image/index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
        let project = Project { dir, owner, functionary, manifest: digest };
        project
            .write_layout("image", json!(["MATCH", format!("oci:{REPOSITORY}"), "WITH", "PRODUCTS", "FROM", "build"]));
        let blobs = [&config, &layer, &project.manifest];
        let mut products: serde_json::Map<String, Value> = blobs
            .iter()
            .map(|blob| (format!("image/blobs/sha256/{}", blob.hex()), json!({"sha256": blob.hex()})))
            .collect();
        products.insert(format!("oci:{REPOSITORY}"), json!({"sha256": project.manifest.hex()}));
        project.write(
            "links/any-name.link",
            &project.functionary,
            json!({"_type": "link", "name": "build", "command": ["make"],
            "materials": {}, "products": products, "byproducts": {}, "environment": {}}),
        );
        project
    }

    fn write_layout(&self, builtin: &str, rule: Value) {
        let id = self.functionary.public().id();
        self.write(
            "root.layout",
            &self.owner,
            json!({"_type": "layout", "expires": "2030-01-01T00:00:00Z", "readme": "",
            "keys": {id: self.functionary.public().to_layout()},
            "steps": [{"_type": "step", "name": "build", "threshold": 1, "pubkeys": [id], "expected_command": ["make"],
                "expected_materials": [["DISALLOW", "*"]], "expected_products": [["CREATE", "*"]]}],
            "inspect": [{"_type": "inspection", "name": "image", "run": ["tidewaiter", "inspect", builtin],
                "expected_materials": [rule, ["DISALLOW", "*"]], "expected_products": []}]}),
        );
    }

    fn write(&self, path: &str, key: &SecretKey, signed: Value) {
        let envelope = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, serde_json::to_vec(&signed).unwrap(), &[key]).unwrap();
        fs::write(self.path(path), envelope.to_bytes()).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Exit code, stdout, stderr.
    fn verify(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_tidewaiter"))
            .args(["in-toto", "verify", "--layout", "root.layout", "--key", "olga.pub", "--links", "links"])
            .args(["--at", "2026-11-25T12:00:00Z"])
            .args(arguments)
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn an_honest_chain_is_verified_by_either_way_to_the_image() {
    let project = Project::new();
    let (code, out, err) = project.verify(&["--image-layout", "image"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("signed by olga") && out.contains("step \"build\""), "{out}");
    let reference = format!("{REPOSITORY}@{}", project.manifest);
    let (code, out, _) = project.verify(&["--image", &reference, "--output", "json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["verified"], &json["owners"]), (0, &json!(true), &json!(["olga"])));
}

#[test]
fn blobs_are_read_from_the_layout_directory() {
    let project = Project::new();
    project
        .write_layout("blobs", json!(["MATCH", "blobs/sha256/*", "WITH", "PRODUCTS", "IN", "image", "FROM", "build"]));
    let (code, out, err) = project.verify(&["--image-layout", "image"]);
    assert_eq!(code, 0, "{out}{err}");
    fs::remove_file(project.path("image/blobs/sha256").join(project.manifest.hex())).unwrap();
    let (code, out, _) = project.verify(&["--image-layout", "image"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("[image_not_found]"), "{out}");
}

#[test]
fn exit_codes_keep_the_classes_apart() {
    let project = Project::new();
    let other = format!("{REPOSITORY}@sha256:{}", "ab".repeat(32));
    let (code, out, _) = project.verify(&["--image", &other]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("inspection \"image\": DISALLOW * left") && out.contains("[rule_violation]"), "{out}");
    let (code, out, _) = project.verify(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("[inspection_not_supported]"), "{out}");

    fs::remove_file(project.path("links/any-name.link")).unwrap();
    let (code, out, _) = project.verify(&["--image-layout", "image", "--output", "json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["reason"], &json["class"]), (3, &json!("threshold_not_met"), &json!("missing")));

    fs::write(project.path("root.layout"), "{").unwrap();
    let (code, out, _) = project.verify(&["--image-layout", "image"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("[layout_malformed]"), "{out}");

    fs::remove_file(project.path("root.layout")).unwrap();
    let (code, _, err) = project.verify(&["--image-layout", "image"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("root.layout"), "{err}");
}

#[test]
fn only_the_given_layout_is_judged_by() {
    let project = Project::new();
    // A laxer layout of the same owner lies among the links: it is no way out.
    project.write_layout("image", json!(["MATCH", "*", "WITH", "PRODUCTS", "FROM", "build"]));
    fs::rename(project.path("root.layout"), project.path("links/lax.layout")).unwrap();
    project.write_layout("image", json!(["MATCH", "oci:other", "WITH", "PRODUCTS", "FROM", "build"]));
    let (code, out, _) = project.verify(&["--image-layout", "image"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("[rule_violation]"), "{out}");
}

#[test]
fn what_cannot_be_asked_for_is_said() {
    let project = Project::new();
    for (arguments, says) in [
        (["--param", "SERVICE"], "no parameter such as K=V"),
        (["--param", "a.b=c"], "parameter name"),
        (["--param-pattern", "=c"], "parameter name"),
        (["--threshold", "2"], "--threshold"),
        (["--threshold", "0"], "--threshold"),
    ] {
        let (code, _, err) = project.verify(&arguments);
        assert_eq!(code, 2, "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
    }
    let (code, _, err) = project.verify(&["--param", "A=1", "--param", "A=2"]);
    assert_eq!(code, 2);
    assert!(err.contains("given twice"), "{err}");
}

#[test]
fn parameters_are_put_into_the_rules() {
    let project = Project::new();
    project.write_layout("image", json!(["MATCH", "oci:{HOST}/shop/*", "WITH", "PRODUCTS", "FROM", "build"]));
    let verify = |arguments: &[&str]| project.verify(&[&["--image-layout", "image"], arguments].concat());
    let (code, out, _) = verify(&["--param", "HOST=registry.example.com"]);
    assert_eq!(code, 0, "{out}");
    let (code, out, _) = verify(&["--param-pattern", "HOST=*.example.com"]);
    assert_eq!(code, 0, "{out}");
    for (arguments, reason) in [
        (&["--param", "HOST=*.example.com"][..], "[rule_violation]"),
        (&["--param", "HOST=example.com"], "[rule_violation]"),
        (&["--param", "OTHER=x"], "[layout_unsupported]"),
        (&[], "[layout_unsupported]"),
    ] {
        let (code, out, _) = verify(arguments);
        assert_eq!(code, 1, "{arguments:?}: {out}");
        assert!(out.contains(reason), "{arguments:?}: {out}");
    }
}

#[test]
fn what_in_toto_allows_is_refused_where_asked() {
    let project = Project::new();
    // The products of "build" may be anything: CREATE * and no end.
    let (code, out, _) = project.verify(&["--image-layout", "image"]);
    assert!(code == 0 && out.contains("remark: step \"build\": the rules for the products do not end"), "{out}");
    let (code, out, _) = project.verify(&["--image-layout", "image", "--refuse", "open-rule-lists"]);
    assert!(code == 1 && out.contains("[rule_list_open]"), "{out}");
    let (code, out, _) = project.verify(&["--image-layout", "image", "--refuse", "command-mismatch"]);
    assert_eq!(code, 0, "{out}");
    let text = fs::read_to_string(project.path("links/any-name.link")).unwrap();
    let mut link: Value = (&Envelope::parse(text.as_bytes()).unwrap().value().unwrap()).into();
    link["command"] = json!(["make", "evil"]);
    project.write("links/any-name.link", &project.functionary, link);
    let (code, out, _) = project.verify(&["--image-layout", "image"]);
    assert!(code == 0 && out.contains("warning: step \"build\": the command was \"make evil\""), "{out}");
    let (code, out, _) = project.verify(&["--image-layout", "image", "--refuse", "command-mismatch"]);
    assert!(code == 1 && out.contains("[command_mismatch]"), "{out}");
}

#[test]
fn every_rule_is_explained_as_text_and_as_data() {
    let project = Project::new();
    let (code, out, _) = project.verify(&["--image-layout", "image", "--explain"]);
    assert_eq!(code, 0, "{out}");
    let id = project.functionary.public().id();
    for said in [
        "step \"build\", threshold 1:",
        &format!("link by {id}"),
        "step \"build\", products (4):\n    CREATE *: consumes 4 (",
        &format!("MATCH oci:{REPOSITORY} WITH PRODUCTS FROM build: consumes 1 (oci:{REPOSITORY}); 0 left"),
        "DISALLOW *: nothing; 0 left",
    ] {
        assert!(out.contains(said), "{said} in\n{out}");
    }
    // As far as it came, and what failed last.
    let other = format!("{REPOSITORY}@sha256:{}", "ab".repeat(32));
    let (code, out, _) = project.verify(&["--image", &other, "--explain", "--output", "json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 1, "{out}");
    let trace = json["trace"].as_array().unwrap();
    let last = trace.last().unwrap();
    assert_eq!((&last["did"], &last["at"]), (&json!("rules"), &json!("inspection \"image\"")));
    let rules = last["rules"].as_array().unwrap();
    assert_eq!((rules[0]["count"].clone(), rules[0].get("failed")), (json!(0), None));
    assert_eq!(
        (&rules[1]["rule"], &rules[1]["failed"], &rules[1]["count"]),
        (&json!("DISALLOW *"), &json!(true), &json!(1))
    );
    assert_eq!((&trace[0]["did"], &trace[0]["answers"][0]["by"]), (&json!("step"), &json!([id])));
}

#[test]
fn a_denial_is_data() {
    let project = Project::new();
    let other = format!("{REPOSITORY}@sha256:{}", "ab".repeat(32));
    let ask = |arguments: &[&str]| -> Value {
        let (_, out, _) = project.verify(&[arguments, &["--output", "json"]].concat());
        serde_json::from_str(&out).unwrap()
    };
    let rule = ask(&["--image", &other]);
    assert_eq!((&rule["reason"], &rule["class"]), (&json!("rule_violation"), &json!("invalid")));
    assert_eq!(
        rule["details"],
        json!({"inspection": "image", "rule": ["DISALLOW", "*"], "side": "materials", "artifacts": [format!("oci:{REPOSITORY}")],
            "count": 1, "differsFrom": "build", "keys": []})
    );
    // Of a step: whose link it is. A name may not write to the terminal what it likes.
    let id = project.functionary.public().id();
    let forged = "x\u{202e}31m".to_owned();
    let mut link: Value = serde_json::from_slice(&fs::read(project.path("links/any-name.link")).unwrap()).unwrap();
    let envelope = Envelope::parse(link.to_string().as_bytes()).unwrap();
    link = (&envelope.value().unwrap()).into();
    link["materials"] = json!({forged.clone(): {"sha256": "ab".repeat(32)}});
    project.write("links/any-name.link", &project.functionary, link);
    let rule = ask(&["--image-layout", "image"]);
    assert_eq!((&rule["reason"], &rule["details"]["step"]), (&json!("rule_violation"), &json!("build")), "{rule}");
    assert_eq!((&rule["details"]["keys"], &rule["details"]["artifacts"]), (&json!([id]), &json!([forged])));
    let (_, out, _) = project.verify(&["--image-layout", "image", "--explain"]);
    assert!(out.contains(&format!("reported by {}", &id[..8])) && !out.contains('\u{202e}'), "{out}");
    assert!(out.contains("x\\u{202e}31m"), "{out}");
    // A step that nobody did: who was missed, and what lay there.
    fs::remove_file(project.path("links/any-name.link")).unwrap();
    let step = ask(&["--image-layout", "image"]);
    assert_eq!((&step["reason"], &step["class"]), (&json!("threshold_not_met"), &json!("missing")));
    assert_eq!(
        step["details"],
        json!({"step": "build", "threshold": 1, "counted": [], "missing": [id], "ignored": []})
    );
}

#[test]
fn what_was_verified_is_said_in_short() {
    let project = Project::new();
    let (code, out, _) = project.verify(&["--image-layout", "image"]);
    assert_eq!(code, 0, "{out}");
    for said in [
        "  step \"build\", 4 products: CREATE * took 4; 0 left\n",
        &format!(
            "  inspection \"image\", 1 materials: MATCH oci:{REPOSITORY} WITH PRODUCTS FROM build took 1; 0 left\n"
        ),
    ] {
        assert!(out.contains(said), "{said} in\n{out}");
    }
}

#[test]
fn an_image_is_asked_for_where_one_would_help() {
    let project = Project::new();
    let (code, out, _) = project.verify(&[]);
    assert!(code == 1 && out.contains("give the image: --image REF"), "{out}");
    let layout = fs::read(project.path("root.layout")).unwrap();
    let mut layout: Value = (&Envelope::parse(&layout).unwrap().value().unwrap()).into();
    layout["inspect"][0]["run"] = json!(["ls"]);
    project.write("root.layout", &project.owner, layout);
    let (code, out, _) = project.verify(&[]);
    assert!(code == 1 && out.contains("[inspection_not_supported]") && !out.contains("give the image"), "{out}");
}

#[test]
fn the_compatible_profile_takes_what_the_reference_takes() {
    let project = Project::new();
    // A link for another step, under the file name of this one: the reference goes by the name alone.
    let short = project.functionary.public().id()[..8].to_owned();
    let text = fs::read_to_string(project.path("links/any-name.link")).unwrap();
    let envelope = Envelope::parse(text.as_bytes()).unwrap();
    let mut link: Value = (&envelope.value().unwrap()).into();
    link["name"] = json!("package");
    fs::remove_file(project.path("links/any-name.link")).unwrap();
    project.write(&format!("links/build.{short}.link"), &project.functionary, link);
    let (code, out, _) = project.verify(&["--image-layout", "image"]);
    assert_eq!(code, 3, "{out}");
    let (code, out, _) = project.verify(&["--image-layout", "image", "--profile", "compat"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn a_layout_directory_that_names_no_host_names_no_repository() {
    let project = Project::new();
    let index = fs::read_to_string(project.path("image/index.json")).unwrap();
    for name in ["1", "shop/api:1"] {
        fs::write(project.path("image/index.json"), index.replace(&format!("{REPOSITORY}:1"), name)).unwrap();
        let (code, out, err) = project.verify(&["--image-layout", "image"]);
        assert_eq!((code, out.as_str()), (2, ""), "{name}: {err}");
        assert!(err.contains("give --image REF"), "{name}: {err}");
        let (code, out, _) = project.verify(&["--image-layout", "image", "--image", &format!("{REPOSITORY}:1")]);
        assert_eq!(code, 0, "{name}: {out}");
    }
}
