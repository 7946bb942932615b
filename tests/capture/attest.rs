//! `tidewaiter attest`: a tool's file as a signed statement.

use super::bench::{Bench, code, image, said};
use serde_json::Value;
use std::fs;
use tidewaiter::{
    envelope::Envelope,
    key::{KeyRing, NamedKey},
    verify::quorum,
};

/// The statement of a file, whose signature verifies.
fn statement(bench: &Bench, path: &str) -> Value {
    let envelope = Envelope::parse(&fs::read(bench.path(path)).unwrap()).unwrap();
    let ring = KeyRing::new(vec![NamedKey { name: "key".into(), key: bench.key().public().clone() }]);
    assert_eq!(quorum::signers(&envelope, &ring, jiff::Timestamp::now()).len(), 1);
    Value::from(&envelope.value().unwrap())
}

#[test]
fn a_bill_of_materials_and_a_test_report() {
    let bench = Bench::new();
    let (reference, digest) = image("image");
    bench.write("sbom.json", r#"{"spdxVersion":"SPDX-2.3","packages":[]}"#);
    code(
        &bench.run(&[
            "attest",
            "sbom.json",
            "--type",
            "sbom",
            "--step",
            "build",
            "--key",
            "key.pem",
            "--subject",
            &reference,
        ]),
        0,
    );
    let file = format!("build.sbom.{}.intoto.json", &bench.key().public().id()[..8]);
    let sbom = statement(&bench, &file);
    assert_eq!(
        (&sbom["_type"], &sbom["predicateType"]),
        (&"https://in-toto.io/Statement/v1".into(), &"https://spdx.dev/Document/v2.3".into())
    );
    assert_eq!(sbom["subject"][0]["name"], "registry.example.com/shop/api");
    assert_eq!(format!("sha256:{}", sbom["subject"][0]["digest"]["sha256"].as_str().unwrap()), digest);
    assert_eq!(sbom["predicate"]["spdxVersion"], "SPDX-2.3");

    bench.write(
        "report.xml",
        "<testsuites><testsuite tests=\"1\"><testcase name=\"with hunter2hunter2\"/></testsuite></testsuites>",
    );
    let args = [
        "attest",
        "report.xml",
        "--type",
        "junit",
        "--step",
        "test",
        "--key",
        "key.pem",
        "--subject-file",
        "sbom.json",
        "-o",
        "report.json",
    ];
    let output =
        bench.run_in(&[("DEPLOY_TOKEN", "hunter2hunter2"), ("GITHUB_ACTIONS", "1"), ("GITHUB_JOB", "test")], &args);
    code(&output, 0);
    assert!(said(&output).contains("1 secrets were found"), "{}", said(&output));
    let report = statement(&bench, "report.json");
    assert_eq!(report["predicateType"], "https://tidewaiter.dev/attestation/junit/v0.1");
    assert!(report["predicate"]["content"].as_str().unwrap().contains("with [redacted:DEPLOY_TOKEN]"));
    assert_eq!(report["predicate"]["facts"]["cicd.pipeline.task.name"], "test");
    assert_eq!(report["subject"][0]["name"], "sbom.json");
}

#[test]
fn what_is_no_such_file_or_about_nothing_is_not_signed() {
    let bench = Bench::new();
    let (reference, _) = image("image");
    bench.write("file.json", "{}");
    let base = ["attest", "file.json", "--step", "build", "--key", "key.pem", "-o", "out.json"];
    let run = |more: &[&str]| bench.run(&[&base, more].concat());
    for (more, why) in [
        (&["--type", "sbom", "--subject", &reference][..], "neither SPDX nor CycloneDX"),
        (&["--type", "vulns", "--subject", &reference], "no \"scanner\""),
        (&["--type", "lint"], "about nothing"),
        (&["--type", "lint", "--subject", "registry.example.com/a:1"], "no digest"),
        (&["--type", "lint", "--subject-file", "missing"], "missing"),
    ] {
        let output = run(more);
        code(&output, 125);
        assert!(said(&output).contains(why), "{more:?}: {}", said(&output));
    }
    code(&run(&["--type", "nonsense", "--subject", &reference]), 2);
    assert!(!bench.path("out.json").exists());
    code(&run(&["--type", "lint", "--subject", &reference]), 0);
    assert!(bench.path("out.json").exists());
}
