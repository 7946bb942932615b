//! Links as statements of the attestation framework: ours verifies them in a chain, cosign and Python as signed claims about a file.

use super::{
    bench::{Bench, Ended},
    tools,
};
use std::{fs, process::Command};

const VERIFY: [&str; 8] =
    ["in-toto", "verify", "--layout", "../root.layout", "--key", "../key.pem.pub", "--links", "../links"];

/// Two steps, the first recorded as a statement.
fn chain() -> Bench {
    let bench = Bench::new();
    fs::write(bench.tree().join("in"), "1").unwrap();
    fs::create_dir(bench.root().join("links")).unwrap();
    let run = ["run", "--key", "../key.pem", "-d", "../links"];
    let step = |flags: &[&str]| bench.ours(&[&run[..], flags].concat()).succeeded();
    step(&["-s", "build", "--statement", "-m", "in", "-p", "out", "--", "cp", "in", "out"]);
    step(&["-s", "test", "-m", "out", "--", "true"]);
    let template = "expires: 1d\nsteps:\n  - name: build\n    functionaries: [key.pem.pub]\n    materials: [REQUIRE in, ALLOW in, DISALLOW *]\n    \
                    products: [CREATE out, DISALLOW *]\n  - name: test\n    functionaries: [key.pem.pub]\n    \
                    materials: [MATCH out WITH PRODUCTS FROM build, DISALLOW *]\n    products: [DISALLOW *]\n";
    fs::write(bench.root().join("layout.yaml"), template).unwrap();
    bench.ours(&["layout", "sign", "../layout.yaml", "--key", "../key.pem", "-o", "../root.layout"]).succeeded();
    bench
}
fn statement(bench: &Bench) -> std::path::PathBuf {
    let links = fs::read_dir(bench.root().join("links")).unwrap().map(|entry| entry.unwrap().path());
    links.into_iter().find(|path| path.to_string_lossy().contains("build.")).unwrap()
}

#[test]
fn a_statement_is_a_link_of_a_chain() {
    let bench = chain();
    bench.ours(&VERIFY).succeeded();
    // What the next step found is not what the statement says.
    fs::write(bench.tree().join("out"), "2").unwrap();
    bench.ours(&["run", "--key", "../key.pem", "-d", "../links", "-s", "test", "-m", "out", "--", "true"]).succeeded();
    let verdict = bench.ours(&VERIFY);
    assert!(verdict.code == 1 && verdict.says.contains("rule_violation"), "{verdict:?}");
}

#[test]
fn cosign_verifies_a_statement_about_its_product() {
    let bench = chain();
    let verify = |file: &str, kind: &str| {
        let output = Command::new(tools::bin("cosign-2"))
            .args(["verify-blob-attestation", "--insecure-ignore-tlog=true", "--key", "../key.pem.pub", "--type", kind])
            .arg("--signature")
            .arg(statement(&bench))
            .arg(file)
            .env("HOME", bench.root())
            .current_dir(bench.tree())
            .output()
            .unwrap();
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        Ended { code: output.status.code().unwrap_or(-1), says }
    };
    const KIND: &str = "https://in-toto.io/attestation/link/v0.3";
    verify("out", KIND).succeeded();
    // About another file, and of another kind.
    fs::write(bench.tree().join("evil"), "2").unwrap();
    let evil = verify("evil", KIND);
    assert!(evil.code != 0 && evil.says.contains("digest"), "{evil:?}");
    let other = verify("out", "https://slsa.dev/provenance/v1");
    assert!(other.code != 0 && other.says.contains("predicate"), "{other:?}");
    let text = fs::read_to_string(statement(&bench)).unwrap();
    let at = text.find("\"payload\":\"").unwrap() + 60;
    let flipped = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    fs::write(statement(&bench), format!("{}{flipped}{}", &text[..at], &text[at + 1..])).unwrap();
    let altered = verify("out", KIND);
    assert!(altered.code != 0 && altered.says.contains("signature"), "{altered:?}");
}

/// The envelope is DSSE as Python's library has it, and no Metablock or link: in-toto-verify 3.1.0 knows no statements.
#[test]
fn python_verifies_the_envelope() {
    let bench = chain();
    let script = "
import sys
from securesystemslib.dsse import Envelope
from in_toto.models._signer import load_public_key_from_file
from securesystemslib.signer import SSlibKey
import json
key = load_public_key_from_file('../key.pem.pub')
key = SSlibKey.from_dict(key.pop('keyid'), key)
envelope = Envelope.from_dict(json.load(open(sys.argv[1])))
print(envelope.payload_type, list(envelope.verify([key], 1)) == [key.keyid])
";
    let verify = || {
        let mut command = Command::new(tools::bin("python3"));
        let output = command.args(["-c", script]).arg(statement(&bench)).current_dir(bench.tree()).output().unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (said, failed) = verify();
    assert_eq!(said, "application/vnd.in-toto+json True\n", "{failed}");
    let text = fs::read_to_string(statement(&bench)).unwrap();
    fs::write(statement(&bench), text.replace("application/vnd.in-toto+json", "application/vnd.in-toto+jsom")).unwrap();
    let (said, failed) = verify();
    assert!(said.is_empty() && failed.contains("VerificationError"), "{said} {failed}");
}
