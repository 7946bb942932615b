//! What went wrong in other recorders, and what of it holds here.

use super::bench::{Bench, code, said};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    process::Command,
};

/// The artifacts of the link whose names begin so.
fn recorded(bench: &Bench, side: &str, beginning: &str) -> Value {
    let payload: Value = serde_json::from_str(&bench.payload()).unwrap();
    let all = payload[side].as_object().unwrap();
    all.iter()
        .filter(|(name, _)| name.starts_with(beginning))
        .map(|(name, hash)| (name.clone(), hash.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn executable(bench: &Bench, name: &str, text: &str) {
    bench.write(name, text);
    fs::set_permissions(bench.path(name), fs::Permissions::from_mode(0o755)).unwrap();
}

/// R39, CVE-2023-32076 (GHSA-wc64-c5rv-32pf): in-toto-run read patterns to leave out from `.in_totorc` of the directory it recorded. No
/// such file hides anything from what the command line names: not those of other recorders, here or in the home directory, not the
/// variables that in-toto had for the same, and not our own `.tidewaiter.toml`.
#[test]
fn no_configuration_in_the_tree_hides_an_artifact() {
    let bench = Bench::new();
    bench.write("src/evil.c", "evil");
    bench.write("src/sub/b.c", "b");
    let args = ["-m", "src", "-p", "src", "--", "true"];
    code(&bench.step(&[], &args), 0);
    let plain = [recorded(&bench, "materials", "src/"), recorded(&bench, "products", "src/")];
    assert_eq!(plain[0].as_object().unwrap().keys().collect::<Vec<_>>(), ["src/evil.c", "src/sub/b.c"]);
    assert_eq!(plain[0], plain[1]);

    let rc =
        "[settings]\nARTIFACT_EXCLUDE_PATTERNS = *.c:*evil*\nARTIFACT_BASE_PATH = /nowhere\nARTIFACT_EXCLUDES = *.c\n";
    // `HOME` is this directory too.
    for name in
        [".in_totorc", "in_totorc", ".in_toto/config", ".config/in_toto/config", "src/.in_totorc", "src/in_toto.ini"]
    {
        bench.write(name, rc);
    }
    for name in [".gitignore", "src/.gitignore", ".ignore", ".dockerignore", ".in_totoignore"] {
        bench.write(name, "*.c\nevil*\n");
    }
    bench.write(".witness.yaml", "run:\n  attestor-product-exclude-glob: '*'\n");
    bench.write(
        ".tidewaiter.toml",
        "excludes = [\"*.c\"]\n[step.build]\nmaterials = []\nproducts = []\nlstrip = [\"src/\"]\n",
    );
    let variables = [
        ("IN_TOTO_ARTIFACT_EXCLUDE_PATTERNS", "*.c"),
        ("IN_TOTO_ARTIFACT_EXCLUDES", "*.c"),
        ("IN_TOTO_ARTIFACT_BASE_PATH", "/nowhere"),
        ("in_toto_artifact_exclude_patterns", "*.c"),
    ];
    code(&bench.step(&variables, &args), 0);
    for (side, plain) in ["materials", "products"].iter().zip(&plain) {
        let mut found = recorded(&bench, side, "src/");
        // What was planted is recorded itself.
        for planted in ["src/.in_totorc", "src/in_toto.ini", "src/.gitignore"] {
            assert!(found.as_object_mut().unwrap().remove(planted).is_some(), "{planted}");
        }
        assert_eq!(&found, plain, "{side}");
    }
    // The command line itself may leave something out.
    code(&bench.step(&[], &["-e", "*evil*", "-m", "src", "--", "true"]), 0);
    assert!(recorded(&bench, "materials", "src/evil.c").as_object().unwrap().is_empty());
}

/// R38, GHSA-p86f-xmg6-9q4x: what records is not part of the step. Materials are hashed before the command runs and products after it, by
/// what was asked before; a command that is not what it should be has no say in either.
#[test]
fn a_step_has_no_say_in_how_it_is_recorded() {
    let bench = Bench::new();
    bench.write("src/a.c", "a");
    bench.write(".tidewaiter.toml", "[step.build]\nmaterials = [\"src\"]\nproducts = [\"out\"]\n");
    let script = "echo 'excludes = [\"*\"]' > .tidewaiter.toml; echo '*' > .gitignore; cp .gitignore .in_totorc; \
                  export TIDEWAITER_NO_CONFIG=true; rm src/a.c; echo evil > src/late.c; mkdir out; echo evil > out/evil; cd out; exit 0";
    code(&bench.step(&[], &["--", "sh", "-c", script]), 0);
    let names = |side| recorded(&bench, side, "").as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((names("materials"), names("products")), (vec!["src/a.c".to_owned()], vec!["out/evil".to_owned()]));
}

/// GHSA-v6px-jqx8-8xwj: a link out of the tree. It is followed, as in-toto-run follows it, so that what the command sees is what was hashed;
/// under its own name, and with a hash alone: neither where it leads nor what lies there is in the record. A tree that is named for an image
/// or a configuration is another matter: those are no links.
#[test]
fn a_link_out_of_the_tree_is_recorded_under_its_own_name() {
    let bench = Bench::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("passwd"), "outside").unwrap();
    bench.write("tree/in", "inside");
    symlink(outside.path().join("passwd"), bench.path("tree/link")).unwrap();
    let record = || {
        code(&bench.step(&[], &["-m", "tree", "--", "true"]), 0);
        recorded(&bench, "materials", "")
    };
    let hash = |text: &str| json!({"sha256": tidewaiter::digest::Digest::sha256(text.as_bytes()).hex()});
    assert_eq!(record(), json!({"tree/in": hash("inside"), "tree/link": hash("outside")}));
    let payload = bench.payload();
    assert!(
        !payload.contains("passwd")
            && !payload.contains("\"outside\"")
            && !payload.contains(outside.path().to_str().unwrap())
    );
    // What it leads to changes, and so does the artifact: no change hides behind a link.
    fs::write(outside.path().join("passwd"), "changed").unwrap();
    assert_eq!(record()["tree/link"], hash("changed"));
    // A file that is read and not hashed is no link.
    symlink(outside.path().join("passwd"), bench.path(".tidewaiter.toml")).unwrap();
    let output = bench.step(&[], &["-m", "tree", "--", "touch", "ran"]);
    code(&output, 125);
    assert!(said(&output).contains("no regular file") && !said(&output).contains("changed"), "{}", said(&output));
    assert!(!bench.path("ran").exists());
}

/// GHSA-3vpg-3m94-v3qr: tools that a recorder runs. There is one, git, for facts about the commit; it is found by the `PATH` of whoever calls
/// us, never in the tree, and is given neither a key nor a token. What it says is a fact beside the artifacts, and none of them.
#[test]
fn a_tool_is_not_taken_from_the_tree_and_gets_no_secret() {
    let bench = Bench::new();
    let pem = fs::read_to_string(bench.path("key.pem")).unwrap();
    fs::create_dir(bench.path("src")).unwrap();
    for args in [
        &["init", "-q"][..],
        &["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "m"],
    ] {
        let mut git = Command::new("git");
        bench.clean(&mut git);
        assert!(git.args(args).status().unwrap().success());
    }
    bench.write("src/a.c", "a");
    for tool in ["git", "src/git", "sh", "sha256sum", "bin/git"] {
        executable(&bench, tool, "#!/bin/sh\ntouch tool-ran\n");
    }
    let environment = [("TIDEWAITER_KEY_PEM", pem.as_str()), ("DEPLOY_TOKEN", "hunter2hunter2")];
    let args = ["run", "--step", "build", "-o", "out.link", "-m", "src", "--", "true"];
    code(&bench.run_in(&environment, &args), 0);
    assert!(!bench.path("tool-ran").exists());
    assert_eq!(bench.facts()["vcs.dirty"], json!(false));
    let artifacts = recorded(&bench, "materials", "");

    // A git that the caller's own PATH leads to is run, and told nothing.
    let tools = tempfile::tempdir().unwrap();
    let seen = tools.path().join("seen");
    let git = tools.path().join("git");
    fs::write(&git, format!("#!/bin/sh\nenv >> {}\necho tree 0123\n", seen.display())).unwrap();
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", tools.path().display());
    let with_path = [environment[0], environment[1], ("PATH", path.as_str())];
    code(&bench.run_in(&with_path, &args), 0);
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("GIT_DIR=") && !seen.contains("PRIVATE KEY") && !seen.contains("hunter2"), "{seen}");
    assert_eq!(recorded(&bench, "materials", ""), artifacts);
}

/// GHSA-wqrg-wjp9-wqfq: in-toto hashes what is in a file. Its mode is no part of a link, here as there; an image's layers carry modes in what
/// is hashed (`tests/vectors/layer-from-nowhere`).
#[test]
fn the_mode_of_a_file_is_no_part_of_a_link() {
    let bench = Bench::new();
    bench.write("src/a", "a");
    let record = |mode| {
        fs::set_permissions(bench.path("src/a"), fs::Permissions::from_mode(mode)).unwrap();
        code(&bench.step(&[], &["-m", "src", "--", "true"]), 0);
        recorded(&bench, "materials", "")
    };
    let plain = record(0o644);
    assert_eq!(record(0o4755), plain);
    bench.write("src/a", "b");
    assert_ne!(record(0o4755), plain);
}
