//! What is allowed by the specification and hardly meant (in-toto §1.11 R30, R32; design §5). What the specification forbids (R31 and
//! the rest) the layout's own reader refuses.

use crate::{
    image::{ARTIFACT_SCHEME, artifact_name, artifact_repository},
    intoto::{Inspection, Layout, Parameter, Parameters, Profile, Rule},
    reference::Reference,
};
use jiff::Timestamp;
use std::fmt;

/// Errors are not signed; warnings are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// One remark about one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// `step "build": materials`.
    pub place: String,
    pub message: String,
}
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}: {}", self.place, self.message)
    }
}

/// Everything there is to say, errors first.
pub fn lint(layout: &Layout, now: Timestamp) -> Vec<Finding> {
    let mut findings = Findings::default();
    let layout = &some_values(layout);
    if layout.expires <= now {
        findings.error("expires", format!("{} has passed", layout.expires));
    }
    for (at, step) in layout.steps.iter().enumerate() {
        let later = |name: &str| layout.steps.iter().skip(at).any(|step| step.name == name);
        for (list, rules, idle) in
            [("materials", &step.expected_materials, "CREATE"), ("products", &step.expected_products, "DELETE")]
        {
            let place = format!("step \"{}\": {list}", step.name);
            for rule in rules {
                match rule {
                    Rule::Match { from, .. } if later(from) => {
                        findings.warning(&place, format!("{rule}: \"{from}\" does not come before this step"));
                    }
                    Rule::Create(_) | Rule::Delete(_) if rule.words().first().is_some_and(|word| word == idle) => {
                        findings.warning(&place, format!("{rule} takes nothing away: it is never true of {list}"));
                    }
                    _ => {}
                }
            }
            rule_list(&place, rules, &mut findings);
        }
    }
    for inspection in &layout.inspections {
        let place = format!("inspection \"{}\"", inspection.name);
        rule_list(&format!("{place}: materials"), &inspection.expected_materials, &mut findings);
        binding(&place, inspection, &mut findings);
    }
    if layout.inspections.is_empty() {
        findings.warning(
            "inspections",
            "none ties an image to this chain: every image is denied as subject_not_bound".into(),
        );
    }
    findings.0.sort_by_key(|finding| finding.severity);
    findings.0
}

/// The layout with a word for each of its parameters: what they stand for is only known when it is judged by.
fn some_values(layout: &Layout) -> Layout {
    let mut parameters = Parameters::default();
    for name in layout.parameters() {
        // A name that stands in a layout is a name.
        let _ = parameters.add(&name, Parameter { value: name.clone(), pattern: false });
    }
    layout.clone().with_parameters(&parameters, Profile::Compat).unwrap_or_else(|_| layout.clone())
}

#[derive(Default)]
struct Findings(Vec<Finding>);
impl Findings {
    fn error(&mut self, place: &str, message: String) {
        self.0.push(Finding { severity: Severity::Error, place: place.to_owned(), message });
    }
    fn warning(&mut self, place: &str, message: String) {
        self.0.push(Finding { severity: Severity::Warning, place: place.to_owned(), message });
    }
}

/// R30 for each rule, R32 for the list, and rules that come too late.
fn rule_list(place: &str, rules: &[Rule], findings: &mut Findings) {
    for rule in rules {
        if let Some(why) = rule.pattern().and_then(|pattern| pattern.lint()) {
            findings.error(place, format!("{rule}: {why}"));
        }
    }
    if !matches!(rules.last(), Some(Rule::Disallow(pattern)) if pattern.as_str() == "*") {
        findings.warning(place, "does not end in DISALLOW *: whatever is left over is let in".to_owned());
    }
    let all = rules.iter().position(takes_all);
    // `ALLOW *` before the closing `DISALLOW *` is a way to say "anything", and said so above all others.
    if let Some((taker, rest)) = all.and_then(|at| Some((rules.get(at)?, rules.get(at + 1..)?)))
        && rest.iter().any(|rule| !matches!(rule, Rule::Disallow(pattern) if pattern.as_str() == "*"))
    {
        findings.warning(place, format!("{taker} leaves nothing for the rules after it"));
    }
    for (at, rule) in rules.iter().enumerate() {
        if matches!(rule, Rule::Require(_)) && rules.iter().take(at).any(|before| !matches!(before, Rule::Require(_))) {
            findings.warning(place, format!("{rule} comes after a rule that may have taken it away: put it first"));
        }
    }
}

fn takes_all(rule: &Rule) -> bool {
    matches!(rule, Rule::Allow(pattern) | Rule::Disallow(pattern) if pattern.as_str() == "*")
}

/// An inspection is one of the two built-ins, and one of its MATCH rules can take the image's own artifact (design §5).
fn binding(place: &str, inspection: &Inspection, findings: &mut Findings) {
    let run: Vec<&str> = inspection.run.iter().map(String::as_str).collect();
    let own = match run.as_slice() {
        ["tidewaiter", "inspect", "image"] => ARTIFACT_SCHEME,
        ["tidewaiter", "inspect", "blobs"] => "blobs/sha256/",
        _ => {
            let message = format!(
                "run is [{}]; nothing is executed, and the built-ins are [tidewaiter, inspect, image] and [tidewaiter, inspect, blobs]",
                run.join(", ")
            );
            return findings.error(place, message);
        }
    };
    let mut binds = false;
    for rule in &inspection.expected_materials {
        match rule {
            Rule::Match { pattern, source_prefix, .. } => {
                let name =
                    source_prefix.iter().fold(pattern.as_str().to_owned(), |name, prefix| format!("{prefix}/{name}"));
                binds |= may_begin_with(&name, own);
                if let Some(canonical) = not_canonical(&name) {
                    findings.error(place, format!("{rule}: no image has that name; it would be {canonical}"));
                }
            }
            rule if takes_all(rule) => break,
            Rule::Allow(pattern) if may_begin_with(pattern.as_str(), own) => {
                findings.warning(
                    place,
                    format!("{rule} may take the image before a MATCH does, and an ALLOW ties nothing"),
                );
            }
            _ => {}
        }
    }
    if !binds {
        findings.error(place, format!("ties no image: no MATCH rule can take its artifact {own}…"));
    }
}

/// Whether a name that the pattern matches may begin with `start`.
fn may_begin_with(pattern: &str, start: &str) -> bool {
    let literal = pattern.split(['*', '?', '[']).next().unwrap_or_default();
    match literal.len() == pattern.len() {
        true => literal.starts_with(start),
        false => literal.starts_with(start) || start.starts_with(literal),
    }
}

/// The name that was meant, where `oci:` names an image by a tag, a digest or a shorthand.
fn not_canonical(name: &str) -> Option<String> {
    let image = artifact_repository(name).filter(|image| !image.contains(['*', '?', '[']))?;
    let canonical = artifact_name(&image.parse::<Reference>().ok()?.name());
    (canonical != name).then_some(canonical)
}
