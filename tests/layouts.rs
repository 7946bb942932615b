//! `tidewaiter layout` for who writes layouts: what it ends with, and what it says.
#![cfg(feature = "programs")]

use serde_json::{Value, json};
use std::{
    fs,
    process::{Command, Output, Stdio},
};

struct Bench(tempfile::TempDir);

impl Bench {
    /// With an owner's key, a functionary's, and the template that `layout init` writes.
    fn new() -> Self {
        let bench = Bench(tempfile::tempdir().unwrap());
        for key in ["owner.pem", "ci.pem"] {
            bench.ends(0, &["key", "new", "-o", key]);
        }
        let image = ["--image", "registry.example.com/shop/api", "--functionary", "ci.pem.pub", "-o", "shop.yaml"];
        bench.ends(0, &[&["layout", "init", "--step", "fetch", "--step", "build"], &image[..]].concat());
        bench
    }
    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewaiter"));
        command.current_dir(self.0.path()).env_clear().stdin(Stdio::null()).args(args).output().unwrap()
    }
    /// What it printed, where it ends with that code.
    #[track_caller]
    fn ends(&self, code: i32, args: &[&str]) -> [String; 2] {
        let Output { status, stdout, stderr } = self.run(args);
        let text = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(status.code(), Some(code), "{args:?}: {text:?}");
        text
    }
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }
    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }
}

/// R31: every MATCH that names no step is told, with its place and as it was written; of a template, of its JSON, and of what was signed.
#[test]
fn lint_tells_every_match_from_nowhere() {
    let bench = Bench::new();
    bench.ends(0, &["layout", "lint", "shop.yaml"]);
    bench.ends(0, &["layout", "sign", "shop.yaml", "--key", "owner.pem", "-o", "shop.layout"]);
    bench.ends(0, &["layout", "lint", "shop.layout"]);
    bench.ends(0, &["layout", "sign", "shop.yaml", "--metablock", "--key", "owner.pem", "-o", "old.layout"]);
    let signed: Value = serde_json::from_str(&bench.read("old.layout")).unwrap();

    let wrong = bench.read("shop.yaml").replace("FROM fetch", "FROM fetsh").replace("FROM build", "FROM image2");
    bench.write("wrong.yaml", &wrong);
    let text = signed["signed"].to_string().replace(r#""FROM","fetch""#, r#""FROM","fetsh""#);
    let text = text.replace(r#""FROM","build""#, r#""FROM","image2""#);
    bench.write("wrong.json", &text);
    bench.write("wrong.layout", &format!(r#"{{"signed":{text},"signatures":{}}}"#, signed["signatures"]));
    let errors = [
        ("step \"build\": materials", "MATCH * WITH PRODUCTS FROM fetsh: \"fetsh\" is no step"),
        (
            "inspection \"image\": materials",
            "MATCH oci:registry.example.com/shop/api WITH PRODUCTS FROM image2: \"image2\" is no step or inspection",
        ),
    ];
    for file in ["wrong.yaml", "wrong.json", "wrong.layout"] {
        let [said, _] = bench.ends(1, &["layout", "lint", file]);
        let lines: Vec<String> = errors.iter().map(|(place, message)| format!("error: {place}: {message}\n")).collect();
        assert_eq!(said, lines.concat(), "{file}");
        let [said, _] = bench.ends(1, &["layout", "lint", file, "--output", "json"]);
        let wanted = errors.map(|(place, message)| json!({ "place": place, "message": message }));
        assert_eq!(
            serde_json::from_str::<Value>(&said).unwrap(),
            json!({ "errors": wanted, "warnings": [] }),
            "{file}"
        );
        // Nobody signs it.
        let [_, said] = bench.ends(1, &["layout", "sign", file, "--key", "owner.pem", "-o", "no.layout"]);
        assert!(said.contains("\"fetsh\" is no step") && said.contains("not signed"), "{said}");
        assert!(!bench.0.path().join("no.layout").exists());
    }
}

/// 1 is a layout with faults; 2 is none, or one that cannot be made for want of a key.
#[test]
fn lint_ends_with_two_for_what_is_no_layout() {
    let bench = Bench::new();
    bench.ends(0, &["layout", "sign", "shop.yaml", "--metablock", "--key", "owner.pem", "-o", "shop.layout"]);
    let signed: Value = serde_json::from_str(&bench.read("shop.layout")).unwrap();
    let with = |member: &str, value: Value| {
        let mut layout = signed["signed"].clone();
        layout[member] = value;
        bench.write("layout", &layout.to_string());
    };
    for (member, value, code) in [
        ("readme", json!("x"), 0),
        ("steps", json!([]), 1),
        ("expires", json!("tomorrow"), 1),
        ("revoked", json!([]), 1),
        ("keys", json!(7), 1),
        ("_type", json!("link"), 2),
    ] {
        with(member, value.clone());
        let [found, said] = bench.ends(code, &["layout", "lint", "layout"]);
        assert_eq!(
            [code == 1, code == 2],
            [found.contains("error:"), said.contains("it is no layout")],
            "{found}{said}"
        );
    }
    let template = bench.read("shop.yaml");
    for (text, code) in [
        (template.clone(), 0),
        (template.replace("threshold: 1", "threshold: 2"), 1),
        (template.replace("threshold: 1", "treshold: 1"), 2),
        (template.replace("ci.pem.pub", "nowhere.pub"), 2),
        ("{".to_owned(), 2),
        (String::new(), 2),
    ] {
        bench.write("layout", &text);
        bench.ends(code, &["layout", "lint", "layout"]);
    }
    bench.ends(2, &["layout", "lint", "nowhere"]);
    bench.ends(2, &["layout", "lint"]);
}

/// What is signed stays in the container that its signatures cover, and the refusal says which that is.
#[test]
fn a_container_is_chosen_for_unsigned_layouts_only() {
    let bench = Bench::new();
    bench.ends(0, &["key", "new", "-o", "bob.pem"]);
    for (chosen, other, is) in [("--dsse", "--metablock", "DSSE envelope"), ("--metablock", "--dsse", "Metablock")] {
        bench.ends(0, &["layout", "sign", "shop.yaml", chosen, "--key", "owner.pem", "-o", "shop.layout"]);
        let again = ["layout", "sign", "shop.layout", "--key", "bob.pem", "-o", "both.layout"];
        let [_, said] = bench.ends(2, &[&again[..], &[other]].concat());
        let why = format!("\"shop.layout\" is a {is} already, and stays one: {other} applies to unsigned layouts only");
        assert!(said.contains(&why), "{said}");
        for same in [&[][..], &[chosen]] {
            bench.ends(0, &[&again[..], same].concat());
            let both: Value = serde_json::from_str(&bench.read("both.layout")).unwrap();
            assert_eq!(both["signatures"].as_array().unwrap().len(), 2);
        }
    }
}
