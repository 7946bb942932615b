//! What we record beside what `in-toto-run` and `in-toto-record` record: the same trees, the same flags, the same links.
//!
//! Trees come by hand (`recording/trees.rs`) and from a seed (`recording/generate.rs`). Where the two differ, `recording/known.rs` must say
//! why; anything else fails, and the tree and flags are shown.
#![cfg(feature = "programs")]

#[path = "recording/bench.rs"]
mod bench;
#[path = "recording/changes.rs"]
mod changes;
#[path = "recording/generate.rs"]
mod generate;
#[path = "recording/images.rs"]
mod images;
#[path = "recording/inputs.rs"]
mod inputs;
#[path = "recording/known.rs"]
mod known;
#[path = "recording/session.rs"]
mod session;
#[path = "recording/statement.rs"]
mod statement;
#[allow(dead_code)]
#[path = "real/tools.rs"]
mod tools;
#[path = "recording/trees.rs"]
mod trees;

use bench::{Bench, Python};
use serde_json::{Value, json};
use std::{fs, path::Path};
use trees::{Case, Node, file, flags};

/// Trees of the seed, in every run of the tests; `TIDEWAITER_RECORDING_TREES` and `…_SEED` say otherwise.
const TREES: u64 = 100;
const SEED: u64 = 20_261_129;

fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(format!("TIDEWAITER_RECORDING_{name}")).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

/// R37 is among them: line endings that are normalised, with a return at the edge of what in-toto reads at once (4,095, 4,096).
#[test]
fn every_nasty_tree_is_recorded_as_in_toto_records_it() {
    let (bench, mut python) = (Bench::new(), Python::start());
    let cases = trees::cases();
    let found: Vec<String> =
        cases.iter().filter_map(|case| known::judge(case, &bench.both(case, &mut python))).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    // None of the explanations is for something that no longer happens.
    let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    for difference in known::DIFFERENCES {
        assert!(names.contains(&difference.case), "no tree shows: {}", difference.why);
    }
}

#[test]
fn generated_trees_are_recorded_as_in_toto_records_them() {
    let (bench, mut python) = (Bench::new(), Python::start());
    let (trees, seed) = (setting("TREES", TREES), setting("SEED", SEED));
    let found: Vec<String> = (0..trees)
        .map(|n| generate::case(seed + n))
        .filter_map(|case| known::judge(&case, &bench.both(&case, &mut python)))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What one recorded the other's next step matches, by the rules of a layout that in-toto-verify applies.
#[test]
fn in_toto_verify_accepts_a_chain_of_both() {
    let (bench, mut python) = (Bench::new(), Python::start());
    let nodes = vec![
        file("a b/é\u{301}.txt", "1"),
        file("x/deep/er/file", "2"),
        file("crlf", "\r\n"),
        Node::Link("linked".into(), "x".into()),
    ];
    let rules = json!([["MATCH", "*", "WITH", "PRODUCTS", "FROM", "build"], ["DISALLOW", "*"]]);
    for ours_first in [true, false] {
        for changed in [false, true] {
            let build = Case::new("build", nodes.clone(), &["-p", "."], "true");
            let links = bench.fresh("links");
            bench.plant(&build);
            bench.record(&build, "build", ours_first, &links, &mut python);
            if changed {
                fs::write(bench.tree().join("crlf"), "\n").unwrap();
            }
            let test = Case::new("test", Vec::new(), &["-m", "."], "true");
            bench.record(&test, "test", !ours_first, &links, &mut python);
            let layout = json!({"program": "layout", "folder": bench.root(), "key": "key.pem", "path": "root.layout",
                "steps": [["build", []], ["test", rules]]});
            python.ask(&layout).succeeded();
            let args = ["-l", "root.layout", "--verification-keys", "key.pem.pub", "--link-dir", "links"];
            let verdict = python.ask(&json!({"program": "verify", "folder": bench.root(), "args": args}));
            assert_eq!(verdict.code == 0, !changed, "{}", verdict.says);
            assert!(!changed || verdict.says.contains("'DISALLOW *' matched"), "{}", verdict.says);
            let verdict = bench.ours(&[
                "in-toto",
                "verify",
                "--layout",
                "../root.layout",
                "--key",
                "../key.pem.pub",
                "--links",
                "../links",
                "--profile",
                "compat",
            ]);
            assert_eq!(verdict.code, i32::from(changed), "{}", verdict.says);
            assert!(!changed || verdict.says.contains("rule_violation"), "{}", verdict.says);
        }
    }
}

/// The halves of `record` leave what the halves of `in-toto-record` leave, facts aside.
#[test]
fn a_session_is_recorded_as_in_toto_records_it() {
    let (bench, mut python) = (Bench::new(), Python::start());
    let case = Case::new("session", vec![file("in", "1"), file("src/a.c", "2")], &[], "true");
    let mut halves = |ours: bool| {
        bench.plant(&case);
        let out = bench.fresh(if ours { "ours" } else { "theirs" });
        let key = ["-n", "session", "--signing-key", "../key.pem"];
        let mut half = |args: &[&str]| {
            let args: Vec<&str> = [&args[..1], &key, &args[1..]].concat();
            match ours {
                true => bench.ours(&[&["record"], &args[..]].concat()).succeeded(),
                false => python.ask(&json!({"program": "record", "folder": bench.tree(), "args": args})).succeeded(),
            }
        };
        half(&[&["start", "-m", "."][..], if ours { &["--metablock"] } else { &[] }].concat());
        let kept = bench.hidden();
        fs::write(bench.tree().join("src/b.c"), "3").unwrap();
        half(&[&["stop", "-p", ".", "-d", "../out"][..], if ours { &["--metablock"] } else { &[] }].concat());
        assert_eq!(bench.hidden(), Vec::<String>::new());
        fs::rename(bench.root().join("out"), &out).unwrap();
        (kept, bench.links(&out))
    };
    fs::create_dir_all(bench.root().join("out")).unwrap();
    let ours = halves(true);
    fs::create_dir_all(bench.root().join("out")).unwrap();
    let theirs = halves(false);
    assert_eq!(ours, theirs);
    let link: &Value = &ours.1[0].1;
    assert!(link["materials"]["src/b.c"].is_null() && link["products"]["src/b.c"].is_object(), "{link}");
}

/// in-toto-record stops what we started, and we stop what it started.
#[test]
fn either_stops_what_the_other_started() {
    let (bench, mut python) = (Bench::new(), Python::start());
    let case = Case::new("session", vec![file("in", "1")], &[], "true");
    for ours_first in [true, false] {
        bench.plant(&case);
        let key = ["-n", "session", "--signing-key", "../key.pem"];
        for (half, flags, ours) in [("start", ["-m", "."], ours_first), ("stop", ["-p", "."], !ours_first)] {
            let args: Vec<&str> = [&[half][..], &key, &flags].concat();
            match ours {
                true => bench.ours(&[&["record"], &args[..], &["--metablock"]].concat()).succeeded(),
                false => python.ask(&json!({"program": "record", "folder": bench.tree(), "args": args})).succeeded(),
            }
        }
        let links = bench.links(&bench.tree());
        assert_eq!(links.len(), 1);
        assert!(links[0].1["materials"]["in"].is_object() && links[0].1["products"]["in"].is_object());
    }
}

/// The flags as both programs take them.
#[test]
fn the_flags_are_those_of_in_toto_run() {
    let (bench, mut python) = (Bench::new(), Python::start());
    let nodes = vec![file("a", "1"), file("b/c", "2"), file("b/d.o", "3")];
    for args in [
        "--step-name s --materials a b --products a --exclude *.o --use-dsse",
        "-n s -m a -p b --lstrip-paths b/ -x",
        "-n s -m c --base-path b --metadata-directory ../out",
    ] {
        let args = flags(&args.split(' ').collect::<Vec<_>>());
        for ours in [true, false] {
            bench.plant(&Case::new("flags", nodes.clone(), &[], "true"));
            let _ = bench.fresh("out");
            let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
            args.extend(["--signing-key", "../key.pem"]);
            if !args.contains(&"-x") {
                args.extend(["--", "true"]);
            }
            match ours {
                true => bench.ours(&[&["run"], &args[..]].concat()).succeeded(),
                false => python.ask(&json!({"program": "run", "folder": bench.tree(), "args": args})).succeeded(),
            }
        }
    }
    assert!(Path::new(&bench.root()).exists());
}
