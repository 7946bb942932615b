//! Authoring: layouts from templates, lint, sign, show (design §11; in-toto §1.11 R30–R32).
//!
//! What a person writes is a template: YAML, rules as lines of text, functionaries as files with public keys. What owners sign is the
//! layout made of it.

use crate::{
    envelope::Envelope,
    file,
    intoto::{Layout, Profile, layout::LayoutError},
    json::{self, Limits, Value},
};
use anyhow::Context as _;
use jiff::Timestamp;
use std::path::Path;

mod faults;
pub mod init;
pub mod lint;
pub mod show;
pub mod template;
pub mod time;

use faults::faults;
pub use lint::{Finding, Severity, lint};

/// What a layout file holds, before it is asked whether a verifier would take it.
#[derive(Debug)]
pub struct Draft {
    /// Says that it is a layout; not more is known of it.
    value: Value,
    /// Of a signed one. Nobody has checked the signatures.
    envelope: Option<Envelope>,
}

/// A layout that verifiers take, as the file holds it.
#[derive(Debug)]
pub enum Source {
    /// A layout nobody signed yet: made from a template, or the bare JSON of one.
    Unsigned(Layout),
    /// A layout in its envelope. Nobody has checked the signatures.
    Signed { layout: Layout, envelope: Envelope },
}

impl Draft {
    /// All that is wrong with it or hardly meant, errors first: what its reader refuses, not the first of it alone, and what the linter
    /// says of the rest.
    pub fn lint(&self, now: Timestamp) -> Vec<Finding> {
        match Layout::from_value(&self.value) {
            Ok(layout) => lint(&layout, now),
            Err(error) => {
                let mut findings = faults(&self.value, &error);
                // Compatibly more can be read. It is not what would be judged by, but the rules are those that stand there.
                let layout = Layout::read(&self.value, Profile::Compat);
                findings.extend(layout.map(|layout| lint(&layout, now)).unwrap_or_default());
                findings.sort_by_key(|finding| finding.severity);
                findings
            }
        }
    }

    /// The layout, read as a verifier reads it.
    ///
    /// # Errors
    /// The first of what [`lint`](Self::lint) finds that verifiers refuse.
    pub fn read(self) -> Result<Source, LayoutError> {
        let layout = Layout::from_value(&self.value)?;
        Ok(match self.envelope {
            Some(envelope) => Source::Signed { layout, envelope },
            None => Source::Unsigned(layout),
        })
    }
}

impl Source {
    /// What it says, whether or not anybody signed it.
    pub fn layout(&self) -> &Layout {
        match self {
            Source::Unsigned(layout) | Source::Signed { layout, .. } => layout,
        }
    }
}

/// Most bytes of a layout file: what an envelope may have.
const FILE_BYTES_MAX: usize = 8 << 20;

/// Opens a template, a layout or a signed layout, told apart by what they say. `expires` replaces what a template or an unsigned layout
/// says, and is refused for a signed one, where it is part of what was signed. Public keys that a template names lie beside it.
///
/// # Errors
/// The file holds none of the three.
pub fn open(path: &Path, expires: Option<&str>, now: Timestamp) -> anyhow::Result<Draft> {
    let bytes = file::read(path, FILE_BYTES_MAX)?;
    draft(&bytes, path, expires, now).with_context(|| format!("\"{}\"", path.display()))
}

/// The same, of a layout that verifiers take.
pub fn read(path: &Path, expires: Option<&str>, now: Timestamp) -> anyhow::Result<Source> {
    open(path, expires, now)?.read().with_context(|| format!("\"{}\"", path.display()))
}

fn draft(bytes: &[u8], path: &Path, expires: Option<&str>, now: Timestamp) -> anyhow::Result<Draft> {
    let (mut value, envelope) = match json::parse(bytes, &Limits::METADATA) {
        Ok(value) if value.get("signatures").is_some() => {
            let envelope = Envelope::parse(bytes)?;
            (envelope.value()?, Some(envelope))
        }
        Ok(value) if value.get("_type").is_some() => (value, None),
        _ => {
            let text = std::str::from_utf8(bytes).context("it is not text")?;
            let directory = path.parent().unwrap_or(Path::new(""));
            return Ok(Draft { value: template::read(text)?.render(directory, expires, now)?, envelope: None });
        }
    };
    let kind = value.get("_type").and_then(Value::as_str);
    anyhow::ensure!(kind == Some("layout"), "it is no layout: its _type is not \"layout\"");
    if let Some(text) = expires {
        anyhow::ensure!(envelope.is_none(), "it is signed: its expires is part of what was signed");
        let until = time::until(text, now)?.to_string();
        if let Value::Object(members) = &mut value {
            members.retain(|(name, _)| name != "expires");
            members.push(("expires".to_owned(), Value::String(until)));
        }
    }
    Ok(Draft { value, envelope })
}

#[cfg(test)]
mod tests;
