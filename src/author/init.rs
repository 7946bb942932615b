//! A template to begin with: says what each field is for, and is a good layout once its keys are there.

use crate::{capture::names::check_step, image::artifact_name, reference::Reference};
use std::fmt::Write as _;

/// What the template is to begin with.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// In their order; none: one step `build`.
    pub steps: Vec<String>,
    /// The image that the last step makes; none: a placeholder to replace.
    pub image: Option<Reference>,
    /// Files with public keys, of every step; none: `<step>.pem.pub`, what `tidewaiter key new -o <step>.pem` writes.
    pub functionaries: Vec<String>,
}

/// The template's text. The names of steps stand in rules, which are split at blanks.
pub fn template(outline: &Outline) -> anyhow::Result<String> {
    for step in &outline.steps {
        check_step(step)?;
        anyhow::ensure!(
            step.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)),
            "\"{step}\" can not stand in the template: use letters, digits, '-', '_' and '.'"
        );
    }
    let build = ["build".to_owned()];
    let steps: &[String] = if outline.steps.is_empty() { &build } else { &outline.steps };
    let image = outline.image.as_ref().map_or("registry.example.com/shop/api".to_owned(), Reference::name);
    let image = artifact_name(&image);
    let mut text = String::from(HEAD);
    for (at, step) in steps.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| steps.get(at));
        one_step(&mut text, step, before, (at + 1 == steps.len()).then_some(&image), &outline.functionaries);
    }
    let last = steps.last().map_or("build", String::as_str);
    let _ = write!(
        text,
        r#"
# What ties an image to this chain: its repository and digest must be what the last step says it made. Nothing is executed.
inspections:
  - name: image
    run: [tidewaiter, inspect, image]
    materials:
      - MATCH {image} WITH PRODUCTS FROM {last}
      - DISALLOW *
"#
    );
    Ok(text)
}

const HEAD: &str = r#"# The layout of a supply chain: which steps there are, who may do them, and what may go in and come out of each.
# Check it with `tidewaiter layout lint FILE`; each owner signs it with `tidewaiter layout sign FILE --key OWNER.pem`.
readme: ""

# From when it is signed, or an instant such as 2030-01-31T12:00:00Z. Nothing is admitted by an expired layout.
expires: 90d

steps:
"#;

fn one_step(text: &mut String, step: &str, before: Option<&String>, image: Option<&String>, functionaries: &[String]) {
    let keys = match functionaries.is_empty() {
        true => quoted(&format!("{step}.pem.pub")),
        false => functionaries.iter().map(|file| quoted(file)).collect::<Vec<_>>().join(", "),
    };
    let materials = match before {
        Some(before) => format!("- MATCH * WITH PRODUCTS FROM {before}"),
        None => "- ALLOW *   # what the chain starts from; better narrower, such as ALLOW src/*".to_owned(),
    };
    let products = match image {
        Some(image) => format!("- CREATE {image}   # written by `tidewaiter run --image`\n      - ALLOW *"),
        None => "- ALLOW *".to_owned(),
    };
    let _ = write!(
        text,
        r#"  - name: {name}
    # Files with the public keys of those who may do this step, and how many of them must agree.
    functionaries: [{keys}]
    threshold: 1
    # What it usually runs; another command is only a warning.
    command: []
    # Rules apply from the top: each takes away what it matches, DISALLOW fails on what it still finds.
    materials:
      {materials}
      - DISALLOW *
    products:
      {products}
      - DISALLOW *
"#,
        name = quoted(step),
    );
}

/// Plain where YAML reads it as it stands, else in JSON's quotes, which are YAML's too.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    match plain {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}
