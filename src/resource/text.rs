//! Text → values: the strict subset of YAML 1.2 that our documents are written in; JSON is a part of it (security §2.E).
//!
//! The tree is built from the parser's events, so that what is refused (anchors, aliases, tags, duplicate keys) is refused where
//! it stands, and nothing reads the text a second time in another way.

use super::FieldError;
use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};

/// Most bytes of one file (security §2.E).
pub const TEXT_BYTES_MAX: usize = 256 << 10;
/// Most documents of one file.
pub const DOCUMENTS_MAX: usize = 256;
/// Deepest nesting; our deepest document has eight levels.
pub const DEPTH_MAX: usize = 32;
/// Most values of one file: what 256 KiB of the shortest items would still be below in memory of a few MiB.
pub const NODES_MAX: usize = 50_000;

/// Every document that is not empty, with its number counted from 1. The error's number is 0 where the text as a whole is refused.
pub fn read(text: &str) -> Result<Vec<(usize, Value)>, (usize, FieldError)> {
    let whole = |message: String| (0, FieldError::new("", message));
    if text.len() > TEXT_BYTES_MAX {
        return Err(whole(format!("has {} bytes, more than {TEXT_BYTES_MAX}", text.len())));
    }
    if text.starts_with('\u{feff}') {
        return Err(whole("begins with a byte order mark".into()));
    }
    let mut reading = Reading::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let line = error.marker().line();
            (reading.document.max(1), FieldError::new("", format!("line {line}: {}", error.info())))
        })?;
        reading.take(event).map_err(|message| {
            let path = reading.path();
            (reading.document, FieldError::new(path, format!("line {}: {message}", span.start.line())))
        })?;
    }
    Ok(reading.documents)
}

/// An open mapping or sequence.
enum Open {
    Mapping { done: Map<String, Value>, key: Option<String> },
    Sequence(Vec<Value>),
}

#[derive(Default)]
struct Reading {
    /// Number of the document being read.
    document: usize,
    nodes: usize,
    open: Vec<Open>,
    documents: Vec<(usize, Value)>,
}

impl Reading {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::DocumentStart(..) => {
                self.document += 1;
                if self.document > DOCUMENTS_MAX {
                    return Err(format!("more than {DOCUMENTS_MAX} documents"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                refuse_properties(anchor, tag.is_some())?;
                self.scalar(&text, style == ScalarStyle::Plain)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_properties(anchor, tag.is_some())?;
                self.push(Open::Mapping { done: Map::new(), key: None })?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_properties(anchor, tag.is_some())?;
                self.push(Open::Sequence(Vec::new()))?;
            }
            Event::MappingEnd => {
                if let Some(Open::Mapping { done, .. }) = self.open.pop() {
                    self.value(Value::Object(done))?;
                }
            }
            Event::SequenceEnd => {
                if let Some(Open::Sequence(done)) = self.open.pop() {
                    self.value(Value::Array(done))?;
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => return Err("aliases are not allowed".into()),
            Event::Anchor(..) => return Err("anchors are not allowed".into()),
            // The stream's and the document's ends, and comments: nothing that is content.
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > NODES_MAX { Err(format!("more than {NODES_MAX} values")) } else { Ok(()) }
    }

    fn push(&mut self, open: Open) -> Result<(), String> {
        if let Some(Open::Mapping { key: None, .. }) = self.open.last() {
            return Err("a key must be a text".into());
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        self.open.push(open);
        Ok(())
    }

    fn scalar(&mut self, text: &str, plain: bool) -> Result<(), String> {
        if text.contains('\0') {
            return Err("a text contains NUL".into());
        }
        if let Some(Open::Mapping { done, key: key @ None }) = self.open.last_mut() {
            if plain && !matches!(resolve(text)?, Value::String(_)) {
                return Err(format!("the key {text} must be a text: quote it"));
            }
            if done.contains_key(text) {
                return Err(format!("duplicate key \"{text}\""));
            }
            *key = Some(text.to_owned());
            return Ok(());
        }
        let value = if plain { resolve(text)? } else { Value::String(text.to_owned()) };
        self.value(value)
    }

    /// A finished value goes into what is open around it; without anything open it is the document.
    fn value(&mut self, value: Value) -> Result<(), String> {
        self.count()?;
        match self.open.last_mut() {
            Some(Open::Sequence(done)) => done.push(value),
            Some(Open::Mapping { done, key }) => match key.take() {
                Some(key) => {
                    done.insert(key, value);
                }
                None => return Err("a key must be a text".into()),
            },
            // An empty document (two separators, a comment alone) says nothing.
            None if value.is_null() => {}
            None => self.documents.push((self.document, value)),
        }
        Ok(())
    }

    /// Where the reader stands: `spec.images[2]`.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match open {
                Open::Mapping { key: Some(key), .. } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(key);
                }
                Open::Mapping { key: None, .. } => {}
                Open::Sequence(done) => path.push_str(&format!("[{}]", done.len())),
            }
        }
        path
    }
}

fn refuse_properties(anchor: usize, tagged: bool) -> Result<(), String> {
    match (anchor, tagged) {
        (0, false) => Ok(()),
        (0, true) => Err("tags are not allowed".into()),
        _ => Err("anchors are not allowed".into()),
    }
}

/// YAML 1.2's core schema for a plain scalar (10.3.2), as far as our documents need it: nothing, yes or no, a plain decimal integer, a text.
/// What other readers take for another number (`0x1f`, `1e3`, `007`, `.5`, `.inf`) is refused, lest it become a text by accident.
fn resolve(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let canonical = digits == "0" || !digits.starts_with('0');
    if canonical && digits.starts_with(|c: char| c.is_ascii_digit()) && !text.starts_with('+') {
        if let Ok(number) = text.parse::<u64>() {
            return Ok(Value::Number(number.into()));
        }
        if let Ok(number) = text.parse::<i64>() {
            return Ok(Value::Number(number.into()));
        }
    }
    if is_other_number(digits) {
        return Err(format!("{text} is no plain integer: quote it if it is a text"));
    }
    Ok(Value::String(text.to_owned()))
}

/// A fraction, an exponent, leading zeros, a plus sign, hexadecimal, octal, infinity, or more digits than fit.
fn is_other_number(digits: &str) -> bool {
    let prefixed = |prefix: &str| {
        digits.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_hexdigit()))
    };
    let begins = digits.strip_prefix('.').unwrap_or(digits).starts_with(|c: char| c.is_ascii_digit());
    let word = matches!(digits, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN");
    word || prefixed("0x") || prefixed("0o") || (begins && digits.parse::<f64>().is_ok())
}
