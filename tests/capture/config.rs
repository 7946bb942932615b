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
