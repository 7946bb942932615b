//! A layout for a person, and for a program.

use super::time;
use crate::{
    digest::Digest,
    envelope::Envelope,
    intoto::{Layout, Rule, layout::certificates::Constraint},
    key::KeyRing,
    verify::quorum,
};
use jiff::Timestamp;
use serde::Serialize;
use std::fmt::Write as _;

/// What `layout show` says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// The record's name, of a signed layout.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    expires: String,
    expires_in: String,
    readme: String,
    /// What whoever verifies has to give a value for.
    parameters: Vec<String>,
    steps: Vec<StepView>,
    inspections: Vec<InspectionView>,
    /// Key ids as the signatures say them; nobody has checked these.
    signatures: Vec<String>,
    /// Names of the given keys whose signatures verify.
    signed_by: Vec<String>,
    /// Names of the given keys that did not sign it.
    not_signed_by: Vec<String>,
}
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StepView {
    name: String,
    threshold: u32,
    functionaries: Vec<String>,
    command: Vec<String>,
    materials: Vec<String>,
    products: Vec<String>,
}
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct InspectionView {
    name: String,
    run: Vec<String>,
    materials: Vec<String>,
    products: Vec<String>,
}

impl View {
    /// Of a layout, with its envelope where it has one; `ring` are the keys whose signatures are checked.
    pub fn new(layout: &Layout, envelope: Option<&Envelope>, ring: &KeyRing, now: Timestamp) -> Self {
        let signed_by: Vec<String> = envelope
            .map(|envelope| quorum::signers(envelope, ring, now))
            .unwrap_or_default()
            .iter()
            .map(|k| k.name.clone())
            .collect();
        let lines = |rules: &[Rule]| rules.iter().map(Rule::to_string).collect();
        View {
            digest: envelope.map(Envelope::digest).as_ref().map(Digest::to_string),
            expires: layout.expires.to_string(),
            expires_in: time::left(layout.expires, now),
            readme: layout.readme.clone(),
            parameters: layout.parameters().into_iter().collect(),
            steps: layout
                .steps
                .iter()
                .map(|step| StepView {
                    name: step.name.clone(),
                    threshold: step.threshold,
                    functionaries: step
                        .pubkeys
                        .iter()
                        .cloned()
                        .chain(step.cert_constraints.iter().map(Constraint::to_string))
                        .collect(),
                    command: step.expected_command.clone(),
                    materials: lines(&step.expected_materials),
                    products: lines(&step.expected_products),
                })
                .collect(),
            inspections: layout
                .inspections
                .iter()
                .map(|inspection| InspectionView {
                    name: inspection.name.clone(),
                    run: inspection.run.clone(),
                    materials: lines(&inspection.expected_materials),
                    products: lines(&inspection.expected_products),
                })
                .collect(),
            signatures: envelope
                .map(|envelope| envelope.signatures.iter().map(|s| s.keyid.clone().unwrap_or_default()).collect())
                .unwrap_or_default(),
            not_signed_by: ring.iter().map(|key| key.name.clone()).filter(|name| !signed_by.contains(name)).collect(),
            signed_by,
        }
    }

    /// Lines for a terminal; what the layout says is escaped, since anybody may have written it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(digest) = &self.digest {
            let _ = writeln!(text, "record   {digest}");
        }
        let _ = writeln!(text, "expires  {}  ({})", self.expires, self.expires_in);
        for line in self.readme.lines() {
            let _ = writeln!(text, "         {}", plain(line));
        }
        if !self.parameters.is_empty() {
            let _ = writeln!(text, "asks for {}", self.parameters.join(", "));
        }
        for step in &self.steps {
            let _ = writeln!(text, "\nstep {:?}", step.name);
            let of = step.functionaries.len();
            let _ = writeln!(text, "  functionaries  {} of {of}: {}", step.threshold, abbreviated(&step.functionaries));
            list(&mut text, "command", &[step.command.join(" ")]);
            list(&mut text, "materials", &step.materials);
            list(&mut text, "products", &step.products);
        }
        for inspection in &self.inspections {
            let _ = writeln!(text, "\ninspection {:?}", inspection.name);
            list(&mut text, "run", &[inspection.run.join(" ")]);
            list(&mut text, "materials", &inspection.materials);
            list(&mut text, "products", &inspection.products);
        }
        let _ = writeln!(text);
        match (self.signatures.is_empty(), self.signed_by.is_empty() && self.not_signed_by.is_empty()) {
            (true, _) => text.push_str("signed by nobody\n"),
            (false, true) => {
                let _ = writeln!(text, "signatures, not checked (give --key): {}", abbreviated(&self.signatures));
            }
            (false, false) => {
                for name in &self.signed_by {
                    let _ = writeln!(text, "signed by      {name}");
                }
                for name in &self.not_signed_by {
                    let _ = writeln!(text, "not signed by  {name}");
                }
                let others = self.signatures.len().saturating_sub(self.signed_by.len());
                if others > 0 {
                    let _ = writeln!(text, "signatures by other keys: {others}");
                }
            }
        }
        text
    }
}

fn list(text: &mut String, name: &str, lines: &[String]) {
    for (at, line) in lines.iter().filter(|line| !line.is_empty()).enumerate() {
        let name = if at == 0 { name } else { "" };
        let _ = writeln!(text, "  {name:<13}  {}", plain(line));
    }
}

/// Twelve characters of an id tell keys apart for a person.
fn abbreviated(ids: &[String]) -> String {
    ids.iter().map(|id| plain(&id.chars().take(12).collect::<String>())).collect::<Vec<_>>().join(", ")
}

/// Quotes as they are; what could move a terminal's cursor, or hide, as an escape.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        match char {
            '\'' | '"' | '\\' => out.push(char),
            other => out.extend(other.escape_debug()),
        }
    }
    out
}
