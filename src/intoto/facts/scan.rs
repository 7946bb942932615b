//! What scanners found: vulnerabilities, SARIF, linters, and what OpenVEX says of findings.

use super::{Facts, content, document, xml};
use crate::json::Value;
use std::collections::BTreeMap;

/// How bad a vulnerability is, by the words of CVSS v3 and v4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    None,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// A word of CVSS, or of a distribution's own scale that is near it.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "critical" => Some(Severity::Critical),
            "high" | "important" => Some(Severity::High),
            "medium" | "moderate" => Some(Severity::Medium),
            "low" | "negligible" | "minor" => Some(Severity::Low),
            "none" | "info" | "informational" => Some(Severity::None),
            _ => None,
        }
    }

    /// A CVSS score: 0.1 to 3.9 is low, then medium, high from 7.0, critical from 9.0.
    fn of_score(score: &str) -> Option<Self> {
        let score: f64 = score.parse().ok()?;
        Some(match score {
            9.0..=10.0 => Severity::Critical,
            7.0..9.0 => Severity::High,
            4.0..7.0 => Severity::Medium,
            0.1..4.0 => Severity::Low,
            0.0..0.1 => Severity::None,
            _ => return None,
        })
    }
}

/// Vulnerabilities counted by their worst rating.
#[derive(Default)]
pub(super) struct Severities {
    counts: [usize; 6],
}

const SEVERITIES: [&str; 6] =
    ["vulns.none", "vulns.low", "vulns.medium", "vulns.high", "vulns.critical", "vulns.unknown"];

impl Severities {
    /// One more; `None` where nothing readable was said.
    pub(super) fn count(&mut self, severity: Option<Severity>) {
        let at = severity.map_or(SEVERITIES.len() - 1, |severity| severity as usize);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
    }

    pub(super) fn say(self, facts: &mut Facts) {
        for (name, count) in SEVERITIES.iter().zip(self.counts) {
            facts.count_is(name, count);
        }
    }
}

/// What is known of whether vulnerabilities matter, by the words of OpenVEX.
#[derive(Default)]
pub(super) struct Exploitability {
    pub affected: usize,
    pub not_affected: usize,
    pub fixed: usize,
    pub under_investigation: usize,
}

impl Exploitability {
    pub(super) fn say(self, facts: &mut Facts) {
        facts.count_is("vex.affected", self.affected);
        facts.count_is("vex.not_affected", self.not_affected);
        facts.count_is("vex.fixed", self.fixed);
        facts.count_is("vex.under_investigation", self.under_investigation);
    }
}

/// in-toto's vulns v0.1 and v0.2, and cosign's `vuln`, whose result is the scanner's own document.
pub(super) fn vulnerabilities(predicate: &Value, facts: &mut Facts) {
    let Some(scanner) = predicate.get("scanner") else { return };
    facts.text_is("scanner.name", scanner.get("uri").and_then(Value::as_str));
    let mut severities = Severities::default();
    match scanner.get("result") {
        Some(Value::Array(results)) => results.iter().for_each(|one| severities.count(rated(one.get("severity")))),
        Some(report @ Value::Object(_)) => {
            let Some(words) = own_words(report) else { return };
            words.into_iter().for_each(|word| severities.count(word.and_then(Severity::of_word)));
        }
        _ => return,
    }
    severities.say(facts);
}

/// The worst of the ratings `[{method, score}]`; some scanners write one word.
fn rated(severity: Option<&Value>) -> Option<Severity> {
    match severity? {
        Value::String(word) => Severity::of_word(word),
        Value::Array(ratings) => ratings
            .iter()
            .filter_map(|rating| match rating.get("score")? {
                Value::String(score) => Severity::of_word(score).or_else(|| Severity::of_score(score)),
                Value::Number(score) => Severity::of_score(score),
                _ => None,
            })
            .max(),
        _ => None,
    }
}

/// The severities of a report of Trivy or of Grype.
fn own_words(report: &Value) -> Option<Vec<Option<&str>>> {
    if let Some(results) = report.get("Results").and_then(Value::as_array) {
        let found =
            results.iter().flat_map(|one| one.get("Vulnerabilities").and_then(Value::as_array).unwrap_or_default());
        return Some(found.map(|one| one.get("Severity").and_then(Value::as_str)).collect());
    }
    let matches = report.get("matches").and_then(Value::as_array)?;
    Some(matches.iter().map(|one| one.get("vulnerability")?.get("severity")?.as_str()).collect())
}

/// `https://openvex.dev/ns…`.
pub(super) fn openvex(predicate: &Value, facts: &mut Facts) {
    let Some(statements) = predicate.get("statements").and_then(Value::as_array) else { return };
    let mut exploitability = Exploitability::default();
    for statement in statements {
        match statement.get("status").and_then(Value::as_str) {
            Some("affected") => exploitability.affected += 1,
            Some("not_affected") => exploitability.not_affected += 1,
            Some("fixed") => exploitability.fixed += 1,
            Some("under_investigation") => exploitability.under_investigation += 1,
            _ => {}
        }
    }
    exploitability.say(facts);
}

/// SARIF 2.1.0: failing results by level, under `<kind>.errors` and so on. What is suppressed, or gone since the baseline, does not count
/// (§3.27.9, §3.27.23, §3.27.24).
pub(super) fn sarif(log: &Value, kind: &str, facts: &mut Facts) {
    let Some(runs) = log.get("runs").and_then(Value::as_array) else { return };
    let (mut errors, mut warnings, mut notes) = (0, 0, 0);
    for run in runs {
        let driver = run.get("tool").and_then(|tool| tool.get("driver"));
        facts.text_is("scanner.name", driver.and_then(|driver| driver.get("name")).and_then(Value::as_str));
        let rules = Rules::of(driver);
        for result in run.get("results").and_then(Value::as_array).unwrap_or_default() {
            match level(result, &rules) {
                Some("error") => errors += 1,
                Some("warning") => warnings += 1,
                Some("note") => notes += 1,
                _ => {}
            }
        }
    }
    for (name, count) in [("errors", errors), ("warnings", warnings), ("notes", notes)] {
        facts.count_is(&format!("{kind}.{name}"), count);
    }
}

/// The rules of a run. Looked up, not looked for: a log may have a hundred thousand of them, and of results.
struct Rules<'v> {
    all: &'v [Value],
    by_id: BTreeMap<&'v str, &'v Value>,
}

impl<'v> Rules<'v> {
    fn of(driver: Option<&'v Value>) -> Self {
        let all = driver.and_then(|driver| driver.get("rules")).and_then(Value::as_array).unwrap_or_default();
        // From the back, so that the first of an id stays.
        let by_id = all.iter().rev().filter_map(|rule| Some((rule.get("id")?.as_str()?, rule))).collect();
        Rules { all, by_id }
    }

    /// The one that a result names, by its place or by its id.
    fn named(&self, result: &Value) -> Option<&'v Value> {
        let at = result.get("ruleIndex").and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok());
        let by_id = || self.by_id.get(result.get("ruleId")?.as_str()?).copied();
        at.and_then(|at| self.all.get(at)).or_else(by_id)
    }
}

/// A result's level: its own, or its rule's, or `warning`; none where it does not count.
fn level<'v>(result: &'v Value, rules: &Rules<'v>) -> Option<&'v str> {
    let word = |name: &str| result.get(name).and_then(Value::as_str);
    let suppressed = result.get("suppressions").and_then(Value::as_array).unwrap_or_default().iter().any(|one| {
        let status = one.get("status").and_then(Value::as_str);
        status.is_none_or(|status| status == "accepted")
    });
    if suppressed || word("kind").is_some_and(|kind| kind != "fail") || word("baselineState") == Some("absent") {
        return None;
    }
    let rule = || rules.named(result)?.get("defaultConfiguration")?.get("level")?.as_str();
    word("level").or_else(rule).or(Some("warning"))
}

/// A linter's report: SARIF, ESLint's JSON, Checkstyle's XML, or lines of `file:line: error: …`, of which most linters write one.
pub(super) fn lint(predicate: &Value, facts: &mut Facts) {
    let (errors, warnings) = match content(predicate) {
        Value::String(report) => {
            let report = report.trim_start_matches('\u{feff}').trim_start();
            let counted = match report.chars().next() {
                Some('<') => checkstyle(report),
                Some('{' | '[') => None,
                _ => lines(report),
            };
            let Some(counts) = counted else { return json_report(predicate, facts) };
            counts
        }
        _ => return json_report(predicate, facts),
    };
    facts.count_is("lint.errors", errors);
    facts.count_is("lint.warnings", warnings);
}

/// SARIF, or a list of files with ESLint's counts.
fn json_report(predicate: &Value, facts: &mut Facts) {
    let Some(report) = document(predicate) else { return };
    let Value::Array(files) = &report else { return sarif(&report, "lint", facts) };
    let sum = |member: &str| files.iter().map(|file| file.get(member).and_then(Value::as_u64)).sum::<Option<u64>>();
    if let (Some(errors), Some(warnings)) = (sum("errorCount"), sum("warningCount")) {
        facts.count_is("lint.errors", usize::try_from(errors).unwrap_or(usize::MAX));
        facts.count_is("lint.warnings", usize::try_from(warnings).unwrap_or(usize::MAX));
    }
}

fn checkstyle(report: &str) -> Option<(usize, usize)> {
    let tags = xml::tags(report).filter(|tags| tags.first().is_some_and(|root| root.name == "checkstyle"))?;
    let of = |severity: &str| {
        let findings = tags.iter().filter(|tag| tag.name == "error" && tag.opens);
        findings.filter(|tag| tag.attribute("severity").unwrap_or("error") == severity).count()
    };
    Some((of("error"), of("warning")))
}

/// Lines as compilers write them. An empty report found nothing; one of other lines says nothing.
fn lines(report: &str) -> Option<(usize, usize)> {
    let of = |word: &str| report.lines().filter(|line| line.contains(word)).count();
    let counts = (of(": error"), of(": warning"));
    (counts != (0, 0) || report.is_empty()).then_some(counts)
}
