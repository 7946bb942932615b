//! What tests found: in-toto's test-result, and JUnit's XML.

use super::{Facts, content, xml};
use crate::json::Value;

/// `https://in-toto.io/attestation/test-result/v0.1`.
pub(super) fn result(predicate: &Value, facts: &mut Facts) {
    facts.text_is("test.result", predicate.get("result").and_then(Value::as_str).map(str::to_lowercase).as_deref());
    for (name, list) in [("test.passed", "passedTests"), ("test.failed", "failedTests"), ("test.warned", "warnedTests")]
    {
        if let Some(tests) = predicate.get(list).and_then(Value::as_array) {
            facts.count_is(name, tests.len());
        }
    }
}

/// A JUnit report: every `testcase` once, by the first `failure`, `error` or `skipped` in it. The totals that suites state are not believed,
/// for tools disagree on whether they include what is nested.
pub(super) fn junit(predicate: &Value, facts: &mut Facts) {
    let Value::String(report) = content(predicate) else { return };
    let Some(tags) = xml::tags(report) else { return };
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let mut case: Option<&str> = None;
    for tag in &tags {
        match (tag.name, tag.opens) {
            ("testcase", true) => case = Some("passed"),
            ("failure" | "error" | "skipped", true) if case == Some("passed") => case = Some(tag.name),
            _ => {}
        }
        if tag.name == "testcase" && tag.closes {
            match case.take() {
                Some("passed") => passed += 1,
                Some("skipped") => skipped += 1,
                Some(_) => failed += 1,
                None => {}
            }
        }
    }
    if tags.first().is_some_and(|root| matches!(root.name, "testsuites" | "testsuite")) {
        facts.count_is("test.passed", passed);
        facts.count_is("test.failed", failed);
        facts.count_is("test.skipped", skipped);
        facts.text_is("test.result", Some(if failed == 0 { "passed" } else { "failed" }));
    }
}
