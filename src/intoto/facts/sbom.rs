//! What is inside: SPDX 2.3, and CycloneDX with what it knows of vulnerabilities.

use super::{
    Facts,
    scan::{Exploitability, Severities, Severity},
};
use crate::json::Value;

/// `https://spdx.dev/Document` and its versions.
pub(super) fn spdx(predicate: &Value, facts: &mut Facts) {
    let is_spdx =
        predicate.get("spdxVersion").and_then(Value::as_str).is_some_and(|version| version.starts_with("SPDX-"));
    let Some(packages) = predicate.get("packages").and_then(Value::as_array).filter(|_| is_spdx) else { return };
    facts.text_is("sbom.format", Some("spdx"));
    facts.count_is("sbom.components", packages.len());
}

/// `https://cyclonedx.org/bom`: components, also those inside others, and vulnerabilities, also those of a document that is VEX alone.
pub(super) fn cyclonedx(predicate: &Value, facts: &mut Facts) {
    if predicate.get("bomFormat").and_then(Value::as_str) != Some("CycloneDX") {
        return;
    }
    facts.text_is("sbom.format", Some("cyclonedx"));
    if let Some(components) = predicate.get("components").and_then(Value::as_array) {
        facts.count_is("sbom.components", components.iter().map(nested).sum());
    }
    let Some(vulnerabilities) = predicate.get("vulnerabilities").and_then(Value::as_array) else { return };
    let (mut severities, mut exploitability) = (Severities::default(), Exploitability::default());
    for vulnerability in vulnerabilities {
        let state = vulnerability.get("analysis").and_then(|analysis| analysis.get("state")).and_then(Value::as_str);
        match state {
            Some("not_affected" | "false_positive") => exploitability.not_affected += 1,
            Some("resolved" | "resolved_with_pedigree") => exploitability.fixed += 1,
            Some("in_triage") => exploitability.under_investigation += 1,
            Some("exploitable") => exploitability.affected += 1,
            _ => {}
        }
        if !matches!(state, Some("not_affected" | "false_positive" | "resolved" | "resolved_with_pedigree")) {
            let ratings = vulnerability.get("ratings").and_then(Value::as_array).unwrap_or_default();
            let words = ratings.iter().filter_map(|rating| Severity::of_word(rating.get("severity")?.as_str()?));
            severities.count(words.max());
        }
    }
    severities.say(facts);
    exploitability.say(facts);
}

/// A component and those inside it. The depth is bounded by the parser's.
fn nested(component: &Value) -> usize {
    let inner = component.get("components").and_then(Value::as_array).unwrap_or_default();
    1 + inner.iter().map(nested).sum::<usize>()
}
