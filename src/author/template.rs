//! A layout as a person writes it: YAML (or JSON), functionaries as files with public keys, rules as lines of text.

use super::time;
use crate::{
    file,
    json::Value,
    key::PublicKey,
    resource::{text, typed},
};
use anyhow::Context as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use std::{collections::BTreeMap, path::Path};

/// One document; unknown fields are errors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Template {
    #[serde(default)]
    readme: String,
    /// `90d`, or RFC 3339.
    expires: String,
    steps: Vec<StepTemplate>,
    #[serde(default)]
    inspections: Vec<InspectionTemplate>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StepTemplate {
    name: String,
    /// Files with public keys or OpenPGP certificates, or the PEM or armor itself.
    functionaries: Vec<String>,
    #[serde(default = "one")]
    threshold: u32,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    materials: Vec<RuleText>,
    #[serde(default)]
    products: Vec<RuleText>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct InspectionTemplate {
    name: String,
    run: Vec<String>,
    #[serde(default)]
    materials: Vec<RuleText>,
    #[serde(default)]
    products: Vec<RuleText>,
}

/// `MATCH * WITH PRODUCTS FROM build`, or a list of its words where one has a blank in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum RuleText {
    Line(String),
    Words(Vec<String>),
}

fn one() -> u32 {
    1
}

/// Reads the one document of a template.
pub fn read(text: &str) -> anyhow::Result<Template> {
    let mut documents = text::read(text).map_err(|(_, error)| error)?.into_iter();
    let (Some((_, document)), None) = (documents.next(), documents.next()) else {
        anyhow::bail!("a layout template is one document");
    };
    Ok(typed::from_value(document)?)
}

impl Template {
    /// The JSON of its layout, which nobody has read yet: a wrong rule or name stands in it as written, for the layout's own reader to
    /// refuse. Files of keys that are relative are below `directory`; `expires` goes before what the template says.
    pub fn render(&self, directory: &Path, expires: Option<&str>, now: Timestamp) -> anyhow::Result<Value> {
        let expires = match expires {
            Some(text) => time::until(text, now)?,
            // A template that outlived its own time is a layout that has expired: the linter says so.
            None => time::from(&self.expires, now).context("expires")?,
        };
        let mut keys = BTreeMap::new();
        let steps: Vec<_> = self
            .steps
            .iter()
            .map(|step| step.render(directory, now, &mut keys).with_context(|| format!("step \"{}\"", step.name)))
            .collect::<anyhow::Result<_>>()?;
        let inspections: Vec<_> = self.inspections.iter().map(InspectionTemplate::render).collect();
        Ok(Value::from(&json!({
            "_type": "layout",
            "expires": expires.to_string(),
            "readme": self.readme,
            "keys": keys,
            "steps": steps,
            "inspect": inspections,
        })))
    }
}

impl StepTemplate {
    fn render(
        &self,
        directory: &Path,
        now: Timestamp,
        keys: &mut BTreeMap<String, serde_json::Value>,
    ) -> anyhow::Result<serde_json::Value> {
        let mut pubkeys = Vec::new();
        for functionary in &self.functionaries {
            let key = public_key(functionary, directory)?;
            key.usable_at(now)?;
            pubkeys.extend(key.step_ids());
            keys.insert(key.id().to_owned(), key.to_layout());
        }
        Ok(json!({
            "_type": "step",
            "name": self.name,
            "threshold": self.threshold,
            "pubkeys": pubkeys,
            "expected_command": self.command,
            "expected_materials": rules(&self.materials),
            "expected_products": rules(&self.products),
        }))
    }
}

impl InspectionTemplate {
    fn render(&self) -> serde_json::Value {
        json!({
            "_type": "inspection",
            "name": self.name,
            "run": self.run,
            "expected_materials": rules(&self.materials),
            "expected_products": rules(&self.products),
        })
    }
}

fn rules(texts: &[RuleText]) -> Vec<Vec<&str>> {
    texts.iter().map(RuleText::words).collect()
}

impl RuleText {
    fn words(&self) -> Vec<&str> {
        match self {
            RuleText::Line(line) => line.split_whitespace().collect(),
            RuleText::Words(words) => words.iter().map(String::as_str).collect(),
        }
    }
}

/// A PEM or an armored OpenPGP certificate as it is, or the file that holds one; never a private key.
fn public_key(text: &str, directory: &Path) -> anyhow::Result<PublicKey> {
    if text.contains("-----BEGIN") {
        return Ok(PublicKey::from_file(text.as_bytes())?);
    }
    let path = directory.join(text);
    let named = || format!("the functionary's public key \"{}\"", path.display());
    let bytes = file::read(&path, file::SMALL_BYTES_MAX).with_context(named)?;
    let private = bytes.windows(PRIVATE.len()).any(|window| window == PRIVATE);
    anyhow::ensure!(!private, "{} is a private key; the layout wants its .pub", named());
    PublicKey::from_file(&bytes).with_context(named)
}

const PRIVATE: &[u8] = b"PRIVATE KEY-----";
