//! What goes into a step is compared with what came out of the one before, before it runs (in-toto 5.3.5).

use super::{bench::Bench, tools};
use std::{fs, process::Command};

/// R40, GHSA-p86f-xmg6-9q4x: a functionary who does not look at the inputs signs for whatever they have become. in-toto-match-products looks,
/// and reads our links in a Metablock; it reads nobody's DSSE. There is no such command of ours; a verifier of the chain sees a step's changed
/// materials later, by the layout's MATCH.
#[test]
fn in_toto_match_products_checks_inputs_against_our_link() {
    let bench = Bench::new();
    fs::create_dir(bench.tree().join("src")).unwrap();
    fs::write(bench.tree().join("src/a.c"), "a").unwrap();
    let out = bench.fresh("links");
    let run = ["run", "-s", "fetch", "--key", "../key.pem", "-d", "../links", "-p", "src"];
    bench.ours(&[&run[..], &["--metablock", "--", "true"]].concat()).succeeded();
    let link = fs::read_dir(out).unwrap().next().unwrap().unwrap().path();
    let checked = || {
        let program = "import sys; from in_toto.in_toto_match_products import main; main()";
        let mut python = Command::new(tools::bin("python3"));
        python.args(["-c", program, "-v", "-p", "src", "-l"]).arg(&link).current_dir(bench.tree());
        let output = python.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(checked().0, 0);
    fs::write(bench.tree().join("src/a.c"), "b").unwrap();
    let (code, said) = checked();
    assert!(code == 1 && said.contains("Hashes differ: src/a.c"), "{said}");
    fs::write(bench.tree().join("src/a.c"), "a").unwrap();
    fs::write(bench.tree().join("src/more"), "").unwrap();
    let (code, said) = checked();
    assert!(code == 1 && said.contains("Not in products: src/more"), "{said}");
    fs::remove_file(bench.tree().join("src/more")).unwrap();
    assert_eq!(checked().0, 0);
}
