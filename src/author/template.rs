//! A layout as a person writes it: YAML (or JSON), functionaries as files with public keys, rules as lines of text.

use super::time;
use crate::{
    file,
    intoto::{Inspection, Layout, Rule, Step, layout::certificates::Authorities},
    json::Value,
    key::PublicKey,
    resource::{text, typed},
};
use anyhow::Context as _;
use jiff::Timestamp;
use serde::Deserialize;
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
    /// The layout, valid by the specification. Files of keys that are relative are below `directory`; `expires` goes before what the
    /// template says.
    pub fn render(&self, directory: &Path, expires: Option<&str>, now: Timestamp) -> anyhow::Result<Layout> {
        let mut keys = BTreeMap::new();
        let mut steps = Vec::new();
        for step in &self.steps {
            let mut pubkeys = Vec::new();
            for functionary in &step.functionaries {
                let in_step = || format!("step \"{}\"", step.name);
                let key = public_key(functionary, directory).with_context(in_step)?;
                key.usable_at(now).with_context(in_step)?;
                pubkeys.extend(key.step_ids());
                keys.insert(key.id().to_owned(), Ok(key));
            }
            steps.push(Step {
                name: step.name.clone(),
                threshold: step.threshold,
                pubkeys,
                cert_constraints: Vec::new(),
                expected_command: step.command.clone(),
                expected_materials: rules(&step.materials)
                    .with_context(|| format!("step \"{}\": materials", step.name))?,
                expected_products: rules(&step.products)
                    .with_context(|| format!("step \"{}\": products", step.name))?,
            });
        }
        let inspections = self.inspections.iter().map(InspectionTemplate::render).collect::<anyhow::Result<_>>()?;
        let expires = time::until(expires.unwrap_or(&self.expires), now).context("expires")?;
        let layout = Layout {
            expires,
            readme: self.readme.clone(),
            keys,
            authorities: Authorities::default(),
            steps,
            inspections,
        };
        // Through the very reader a verifier uses, so that nothing is signed that would be refused.
        Ok(Layout::from_value(&layout.to_value())?)
    }
}

impl InspectionTemplate {
    fn render(&self) -> anyhow::Result<Inspection> {
        Ok(Inspection {
            name: self.name.clone(),
            run: self.run.clone(),
            expected_materials: rules(&self.materials)
                .with_context(|| format!("inspection \"{}\": materials", self.name))?,
            expected_products: rules(&self.products)
                .with_context(|| format!("inspection \"{}\": products", self.name))?,
        })
    }
}

fn rules(texts: &[RuleText]) -> anyhow::Result<Vec<Rule>> {
    let words = |text: &RuleText| match text {
        RuleText::Line(line) => line.split_whitespace().map(str::to_owned).collect(),
        RuleText::Words(words) => words.clone(),
    };
    texts
        .iter()
        .map(words)
        .map(|words: Vec<String>| {
            let values: Vec<Value> = words.iter().cloned().map(Value::String).collect();
            Rule::parse(&values).with_context(|| format!("\"{}\"", words.join(" ")))
        })
        .collect()
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
