//! Authoring: layouts from templates, lint, sign, show (design §11; in-toto §1.11 R30–R32).
//!
//! What a person writes is a template: YAML, rules as lines of text, functionaries as files with public keys. What owners sign is the
//! layout made of it.

use crate::{
    envelope::Envelope,
    file,
    intoto::Layout,
    json::{self, Limits, Value},
};
use anyhow::Context as _;
use jiff::Timestamp;
use std::path::Path;

pub mod init;
pub mod lint;
pub mod show;
pub mod template;
pub mod time;

pub use lint::{Finding, Severity, lint};

/// The three things a layout file can hold.
#[derive(Debug)]
pub enum Source {
    /// A layout nobody signed yet: made from a template, or the bare JSON of one.
    Unsigned(Layout),
    /// A layout in its envelope. Nobody has checked the signatures.
    Signed { layout: Layout, envelope: Envelope },
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

/// Reads a template, a layout or a signed layout, told apart by what they say. `expires` replaces what a template says, and is refused
/// for a signed layout, where it is part of what was signed. Public keys that a template names lie beside it.
pub fn read(path: &Path, expires: Option<&str>, now: Timestamp) -> anyhow::Result<Source> {
    let bytes = file::read(path, FILE_BYTES_MAX)?;
    let named = || format!("\"{}\"", path.display());
    let value = match json::parse(&bytes, &Limits::METADATA) {
        Ok(value @ Value::Object(_)) => value,
        _ => return from_template(&bytes, path, expires, now).with_context(named),
    };
    if value.get("signatures").is_some() {
        anyhow::ensure!(expires.is_none(), "{} is signed: its expires is part of what was signed", named());
        let envelope = Envelope::parse(&bytes).with_context(named)?;
        let layout = Layout::from_value(&envelope.value().with_context(named)?).with_context(named)?;
        return Ok(Source::Signed { layout, envelope });
    }
    if value.get("_type").is_some() {
        let mut layout = Layout::from_value(&value).with_context(named)?;
        if let Some(text) = expires {
            layout.expires = time::until(text, now)?;
        }
        return Ok(Source::Unsigned(layout));
    }
    from_template(&bytes, path, expires, now).with_context(named)
}

fn from_template(bytes: &[u8], path: &Path, expires: Option<&str>, now: Timestamp) -> anyhow::Result<Source> {
    let text = std::str::from_utf8(bytes).context("it is not text")?;
    let directory = path.parent().unwrap_or(Path::new(""));
    Ok(Source::Unsigned(template::read(text)?.render(directory, expires, now)?))
}

#[cfg(test)]
mod tests;
