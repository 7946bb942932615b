//! `.tidewaiter.toml`: the tree may name paths, and nothing else (security T-25).

use super::bench::{Bench, code, said};

fn names(bench: &Bench) -> (Vec<String>, Vec<String>) {
    let link = bench.link();
    let names = |artifacts: &tidewaiter::intoto::Artifacts| artifacts.keys().map(str::to_owned).collect();
    (names(&link.materials), names(&link.products))
}
fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn it_names_the_paths_of_a_step_and_flags_go_before_it() {
    let bench = Bench::new();
    for file in ["src/a.c", "src/a.o", "lib/b.c"] {
        bench.write(file, file);
    }
    bench.write(
        ".tidewaiter.toml",
        "excludes = [\"*.o\", \"*.link*\"]\n[step.build]\nmaterials = [\"src\"]\nproducts = [\"lib\"]\n",
    );
    code(&bench.step(&[], &["--", "true"]), 0);
    assert_eq!(names(&bench), (owned(&["src/a.c"]), owned(&["lib/b.c"])));
    assert!(bench.facts()["tidewaiter.config.digest"].as_str().unwrap().starts_with("sha256:"));
    // What the command line names is never cut short by the file.
    code(&bench.step(&[], &["-m", "src", "--", "true"]), 0);
    assert_eq!(names(&bench), (owned(&["src/a.c", "src/a.o"]), owned(&["lib/b.c"])));
    code(&bench.step(&[], &["--no-config", "--", "true"]), 0);
    assert_eq!(names(&bench), (Vec::new(), Vec::new()));
}

#[test]
fn anything_else_in_it_is_an_error_and_runs_nothing() {
    let bench = Bench::new();
    for text in [
        "store = \"https://evil.example.com\"",
        "key = \"evil.pem\"",
        "trust = [\"evil.pub\"]",
        "ci-table = \"evil.toml\"",
        "[step.build]\nstore-token-file = \"/run/token\"",
    ] {
        bench.write(".tidewaiter.toml", text);
        let output = bench.step(&[], &["--", "touch", "ran"]);
        code(&output, 125);
        assert!(
            said(&output).contains("servers, keys and trust never come from the working directory"),
            "{text}: {}",
            said(&output)
        );
    }
    bench.write(".tidewaiter.toml", "materials = [\"/etc\"]");
    let output = bench.step(&[], &["--", "touch", "ran"]);
    code(&output, 125);
    assert!(said(&output).contains("leads out of the working directory"), "{}", said(&output));
    assert!(!bench.path("ran").exists());
    code(&bench.step(&[], &["--no-config", "--", "touch", "ran"]), 0);
    assert!(bench.path("ran").exists());
}

/// A hostile tree would have the hash of a file published that it can only point at.
#[test]
fn a_link_out_of_the_tree_is_an_error_and_runs_nothing_unless_the_command_line_names_it() {
    use std::os::unix::fs::symlink;
    let bench = Bench::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "s").unwrap();
    let link = |to: &std::path::Path, name: &str| symlink(to, bench.path(name)).unwrap();
    bench.write("src/a.c", "a");
    bench.write("deep/er/b.c", "b");
    link(&outside.path().join("secret"), "link");
    link(outside.path(), "out");
    link(&outside.path().join("secret"), "deep/er/link");
    link(std::path::Path::new("../src"), "deep/within");
    bench.write("refs/heads/main", "ab12\n");
    bench.write("objects/ab/x", "");
    link(&outside.path().join("secret"), "objects/ab/12.commit");
    let ran = || bench.path("ran").exists();
    for paths in [
        "materials = [\"link\"]",
        "products = [\"link\"]",
        "materials = [\"out/secret\"]",
        "materials = [\"out\"]",
        "materials = [\"file:out\"]",
        "materials = [\"dir:out\"]",
        "products = [\"dir:out\"]",
        "materials = [\"src\", \"deep\"]",
        "products = [\"deep\"]",
        "products = [\"dir:deep\"]",
        "materials = [\"out/missing\"]",
        "[step.build]\nmaterials = [\".\"]",
        "materials = [\"ostree:main\"]",
    ] {
        bench.write(".tidewaiter.toml", paths);
        let output = bench.step(&[], &["--", "touch", "ran"]);
        code(&output, 125);
        assert!(said(&output).contains("leads out of the working directory") && !ran(), "{paths}: {}", said(&output));
        assert!(!bench.path("out.link").exists());
        code(&bench.run(&["record", "start", "--step", "build", "--key", "key.pem"]), 125);
    }
    // A link that the command makes is found when its products are recorded.
    bench.write(".tidewaiter.toml", "products = [\"dist\"]");
    let script = format!("mkdir dist; ln -s {} dist/x", outside.path().join("secret").display());
    let output = bench.step(&[], &["--", "sh", "-c", &script]);
    code(&output, 125);
    assert!(said(&output).contains("\"./dist/x\" leads out"), "{}", said(&output));
    // Links within, what is excluded, and what the command line names.
    bench.write(
        ".tidewaiter.toml",
        "excludes = [\"link\"]\nmaterials = [\"deep\", \"missing\"]\nproducts = [\"dir:src\"]",
    );
    code(&bench.step(&[], &["--", "touch", "ran"]), 0);
    assert_eq!(names(&bench), (owned(&["deep/er/b.c", "deep/within/a.c"]), owned(&["dir:src"])));
    assert!(ran());
    bench.write(".tidewaiter.toml", "materials = [\"link\"]\nproducts = [\"src\"]");
    code(&bench.step(&[], &["-m", "link", "deep", "-p", "out", "--", "true"]), 0);
    assert_eq!(
        names(&bench),
        (owned(&["deep/er/b.c", "deep/er/link", "deep/within/a.c", "link"]), owned(&["out/secret"]))
    );
    code(&bench.step(&[], &["-m", "link", "--", "true"]), 0);
    assert_eq!(names(&bench), (owned(&["link"]), owned(&["src/a.c"])));
}

#[test]
fn a_table_of_ci_systems_is_not_taken_from_the_tree() {
    let bench = Bench::new();
    let row = "[[system]]\nname = \"ours\"\ndetect = [\"OURS\"]\nrun = \"{OURS}\"\n";
    bench.write("systems.toml", row);
    let output = bench.step(&[("OURS", "7")], &["--ci-table", "systems.toml", "--", "touch", "ran"]);
    code(&output, 125);
    assert!(
        said(&output).contains("lies in the working directory") && !bench.path("ran").exists(),
        "{}",
        said(&output)
    );
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(outside.path(), row).unwrap();
    code(&bench.step(&[("OURS", "7")], &["--ci-table", outside.path().to_str().unwrap(), "--", "true"]), 0);
    assert_eq!((&bench.facts()["cicd.system"], &bench.facts()["tidewaiter.run"]), (&"ours".into(), &"7".into()));
}
