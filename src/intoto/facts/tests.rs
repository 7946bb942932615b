//! Each document in an honest form, and beside it what must not count.

use super::*;
use serde_json::{Value as Json, json};

/// The facts of a statement with this predicate, as JSON.
fn facts(predicate_type: &str, predicate: Json) -> Json {
    let subject = json!([{"name": "api", "digest": {"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}]);
    let statement = json!({"_type": statement::TYPES[1], "subject": subject, "predicateType": predicate_type, "predicate": predicate});
    shown(&Facts::of_statement(&Value::from(&statement)))
}

fn shown(facts: &Facts) -> Json {
    let one = |fact: &Fact| match fact {
        Fact::Text(text) => json!(text),
        Fact::Number(number) => json!(number),
    };
    facts.iter().map(|(name, fact)| (name.clone(), one(fact))).collect::<serde_json::Map<_, _>>().into()
}

fn ours(kind: &str) -> String {
    format!("https://tidewaiter.dev/attestation/{kind}/v0.1")
}

#[test]
fn the_names_a_store_is_asked_for_are_names() {
    assert!(INDEXED.iter().all(|name| is_name(name)));
    assert!(INDEXED.windows(2).all(|pair| pair[0] < pair[1]), "sorted, each once");
    for no in ["", ".", "a..b", "a b", "a=b", "ä", &"x".repeat(129)] {
        assert!(!is_name(no), "{no}");
    }
}

#[test]
fn a_link_says_what_its_environment_and_its_end_say() {
    let link = |environment: Json, byproducts: Json| {
        let value = json!({"_type": "link", "name": "build", "command": [], "materials": {}, "products": {},
            "byproducts": byproducts, "environment": environment});
        Link::read(value.to_string().as_bytes(), crate::intoto::Profile::Strict).unwrap().link.unwrap()
    };
    let claimed = json!({"facts": {"commit.signed": false, "vcs.ref.head.revision": "abc", "step.return_value": 0, "n": 7,
        "too.long": "x".repeat(257), "of.no.kind": [1], "a fraction": 1.5, "fraction": 1.5, "control": "a\u{7}",
        // PostgreSQL keeps none.
        "nul": "a\0", "n\0": 7}});
    let facts = Facts::of_link(&link(claimed, json!({"return-value": 1})));
    let expected = json!({"commit.signed": "false", "vcs.ref.head.revision": "abc", "step.return_value": 1, "n": 7});
    assert_eq!(shown(&facts), expected);
    let indexed = facts.clone().indexed(&BTreeSet::new());
    assert_eq!((indexed.get("n"), indexed.text(COMMIT_SIGNED)), (None, Some("false")));
    assert_eq!(facts.indexed(&["n".to_owned()].into()).get("n"), Some(&Fact::Number(7)));
    for environment in [json!({}), json!({"facts": []}), json!({"facts": "x"})] {
        assert_eq!(Facts::of_link(&link(environment, json!({}))), Facts::default());
    }
}

#[test]
fn provenance_names_its_builder_and_its_commit() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let v1 = json!({
        "buildDefinition": {"buildType": "https://example.com/build/v1", "resolvedDependencies": [
            {"uri": "pkg:docker/base@1", "digest": {"sha1": commit}},
            {"uri": "git+https://user@example.com/shop/api@refs/heads/main", "digest": {"gitCommit": commit}}]},
        "runDetails": {"builder": {"id": "https://example.com/builder"}, "metadata": {"invocationId": "https://example.com/runs/7"}}});
    let expected = json!({"build.type": "https://example.com/build/v1", "builder.id": "https://example.com/builder",
        "cicd.pipeline.run.url.full": "https://example.com/runs/7", "vcs.ref.head.revision": commit,
        "vcs.repository.url.full": "https://user@example.com/shop/api", "vcs.ref.head.name": "refs/heads/main"});
    assert_eq!(facts("https://slsa.dev/provenance/v1", v1), expected);
    let v0_2 = json!({"builder": {"id": "b"}, "buildType": "t", "metadata": {"buildInvocationId": "7"},
        "invocation": {"configSource": {"uri": "git+https://user@example.com/shop", "digest": {"sha1": commit}}}});
    let expected = json!({"build.type": "t", "builder.id": "b", "cicd.pipeline.run.id": "7", "vcs.ref.head.revision": commit,
        "vcs.repository.url.full": "https://user@example.com/shop"});
    assert_eq!(facts("https://slsa.dev/provenance/v0.2", v0_2), expected);
    assert_eq!(facts("https://slsa.dev/provenance/v9", json!({"builder": {"id": "b"}})), json!({}));
}

#[test]
fn tests_are_counted_case_by_case() {
    let result = json!({"result": "FAILED", "passedTests": ["a", "b"], "failedTests": ["c"], "configuration": []});
    let expected = json!({"test.result": "failed", "test.passed": 2, "test.failed": 1});
    assert_eq!(facts("https://in-toto.io/attestation/test-result/v0.1", result), expected);

    let report = r#"<testsuites tests="99"><testsuite name="a"><testcase name="1"/><testcase name="2"><failure>a &lt; b</failure>
        <error/></testcase><testsuite><testcase><skipped/></testcase><testcase><system-out><![CDATA[</testcase>]]></system-out>
        </testcase></testsuite></testsuite></testsuites>"#;
    let expected = json!({"test.result": "failed", "test.passed": 2, "test.failed": 1, "test.skipped": 1, "shard": 3});
    assert_eq!(facts(&ours("junit"), json!({"content": report, "facts": {"shard": 3}})), expected);
    let bomb = format!("<!DOCTYPE a [<!ENTITY a \"b\">]>{report}");
    for no in [json!(bomb), json!("<testsuite><testcase></testsuite>"), json!("<html/>"), json!("passed"), json!({})] {
        assert_eq!(facts(&ours("junit"), json!({ "content": no })), json!({}), "{no}");
    }
}

#[test]
fn vulnerabilities_count_by_their_worst_rating() {
    let rating = |method: &str, score: &str| json!({"method": method, "score": score});
    let scan = json!({"scanner": {"uri": "pkg:github/aquasecurity/trivy@0.50.0", "result": [
        {"id": "CVE-1", "severity": [rating("nvd", "medium"), rating("CVSS_V3", "9.8")]},
        {"id": "CVE-2", "severity": [rating("nvd", "High")]},
        {"id": "CVE-3", "severity": "LOW"},
        {"id": "CVE-4", "severity": [rating("nvd", "no idea")]},
        {"id": "CVE-5"}]}});
    let counts = |critical, high, low, unknown| {
        json!({"vulns.critical": critical, "vulns.high": high, "vulns.medium": 0, "vulns.low": low, "vulns.none": 0,
            "vulns.unknown": unknown, "scanner.name": "pkg:github/aquasecurity/trivy@0.50.0"})
    };
    for version in ["v0.1", "v0.2"] {
        assert_eq!(facts(&format!("https://in-toto.io/attestation/vulns/{version}"), scan.clone()), counts(1, 1, 1, 2));
    }
    let cosign = "https://cosign.sigstore.dev/attestation/vuln/v1";
    let wraps = |result: Json| {
        facts(cosign, json!({"scanner": {"uri": "pkg:github/aquasecurity/trivy@0.50.0", "result": result}}))
    };
    assert_eq!(
        wraps(json!({"Results": [{"Vulnerabilities": [{"Severity": "CRITICAL"}]}, {"Class": "lang"}]})),
        counts(1, 0, 0, 0)
    );
    assert_eq!(
        wraps(json!({"matches": [{"vulnerability": {"severity": "High"}}, {"vulnerability": {}}]})),
        counts(0, 1, 0, 1)
    );
    // A report that cannot be read says nothing, least of all that there is none.
    assert_eq!(wraps(json!({"other": 1})), json!({"scanner.name": "pkg:github/aquasecurity/trivy@0.50.0"}));
    assert_eq!(facts(cosign, json!({})), json!({}));
}

#[test]
fn bills_of_materials_are_counted() {
    let spdx = json!({"spdxVersion": "SPDX-2.3", "packages": [{}, {}]});
    let expected = json!({"sbom.format": "spdx", "sbom.components": 2});
    for version in ["", "/v2.3"] {
        assert_eq!(facts(&format!("https://spdx.dev/Document{version}"), spdx.clone()), expected);
    }
    assert_eq!(facts("https://spdx.dev/Document", json!({"packages": [{}]})), json!({}));

    let rated =
        |severity: &str, state: &str| json!({"ratings": [{"severity": severity}], "analysis": {"state": state}});
    let bom = json!({"bomFormat": "CycloneDX", "components": [{"components": [{}, {}]}, {}], "vulnerabilities": [
        rated("critical", "not_affected"), rated("critical", "exploitable"), rated("high", "resolved"), rated("low", "in_triage"),
        {"ratings": [{"severity": "medium"}, {"severity": "high"}]}]});
    let expected = json!({"sbom.format": "cyclonedx", "sbom.components": 4, "vulns.critical": 1, "vulns.high": 1, "vulns.medium": 0,
        "vulns.low": 1, "vulns.none": 0, "vulns.unknown": 0, "vex.affected": 1, "vex.not_affected": 1, "vex.fixed": 1,
        "vex.under_investigation": 1});
    assert_eq!(facts("https://cyclonedx.org/bom", bom), expected);
    assert_eq!(facts("https://cyclonedx.org/bom", json!({"components": [{}]})), json!({}));
}

#[test]
fn openvex_statements_are_counted_by_status() {
    let vex = json!({"statements": [{"status": "affected"}, {"status": "fixed"}, {"status": "not_affected"}, {"status": "fixed"}, {}]});
    let expected = json!({"vex.affected": 1, "vex.not_affected": 1, "vex.fixed": 2, "vex.under_investigation": 0});
    for version in ["", "/v0.2.0"] {
        assert_eq!(facts(&format!("https://openvex.dev/ns{version}"), vex.clone()), expected);
    }
}

#[test]
fn sarif_counts_what_fails_and_is_not_suppressed() {
    let rules = json!([{"id": "quiet", "defaultConfiguration": {"level": "note"}}, {"id": "loud", "defaultConfiguration": {"level": "error"}},
        {"id": "loud", "defaultConfiguration": {"level": "none"}}]);
    let log = json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "semgrep", "rules": rules}}, "results": [
        {"level": "error"}, {"ruleId": "loud"}, {"ruleIndex": 0}, {"ruleId": "unknown"}, {"level": "none"},
        {"level": "error", "suppressions": [{"kind": "inSource"}]},
        {"level": "error", "suppressions": [{"kind": "external", "status": "rejected"}]},
        {"level": "error", "kind": "pass"}, {"level": "error", "baselineState": "absent"}]}]});
    let expected = json!({"scanner.name": "semgrep", "sast.errors": 3, "sast.warnings": 1, "sast.notes": 1});
    for predicate in [log.clone(), json!({ "content": log }), json!({ "document": log.to_string() })] {
        assert_eq!(facts(&ours("sarif"), predicate), expected);
    }
    for no in [json!({}), json!({"content": "not json"}), json!({"runs": 1})] {
        assert_eq!(facts(&ours("sarif"), no), json!({}));
    }
}

#[test]
fn a_linter_writes_sarif_or_checkstyle() {
    let expected = |errors, warnings| json!({"lint.errors": errors, "lint.warnings": warnings});
    let checkstyle = r#"<?xml version="1.0"?><checkstyle version="4.3"><file name="a.sh"><error severity="warning" message="x > y"/>
        <error line="1"/><error severity="info"/></file></checkstyle>"#;
    assert_eq!(facts(&ours("lint"), json!({ "content": checkstyle })), expected(1, 1));
    let log = json!({"runs": [{"results": [{"level": "error"}]}]});
    let sarif = json!({"lint.errors": 1, "lint.warnings": 0, "lint.notes": 0});
    assert_eq!(facts(&ours("lint"), json!({ "content": log.to_string() })), sarif);
    let eslint =
        json!([{"filePath": "a.js", "errorCount": 2, "warningCount": 1}, {"errorCount": 0, "warningCount": 3}]);
    assert_eq!(facts(&ours("lint"), json!({ "content": eslint })), expected(2, 4));
    let lines = "a.c:1:2: error: no\na.c:2: warning: hm\na.c:3: warning: hm\nfine\n";
    assert_eq!(facts(&ours("lint"), json!({ "content": lines })), expected(1, 2));
    assert_eq!(facts(&ours("lint"), json!({ "content": "" })), expected(0, 0));
    for no in [json!("<other/>"), json!("all is well"), json!([{"errorCount": 1}]), json!("{"), json!(1)] {
        assert_eq!(facts(&ours("lint"), json!({ "content": no })), json!({}), "{no}");
    }
}

#[test]
fn a_commit_is_what_its_writer_says() {
    let predicate =
        json!({"facts": {"vcs.ref.head.revision": "abc", "commit.signed": true, "commit.signature": "ssh"}});
    let expected = json!({"vcs.ref.head.revision": "abc", "commit.signed": "true", "commit.signature": "ssh"});
    assert_eq!(facts(&ours("commit"), predicate.clone()), expected);
    assert_eq!(facts(&ours("other"), predicate), json!({}));
}
