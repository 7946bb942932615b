//! Links: specification 4.4.
use super::{Artifacts, Profile};
use crate::{
    digest::DigestSet,
    envelope::Envelope,
    json::{self, JsonError, Limits, Reader, Token, Value},
};
use std::borrow::Cow;

/// What one functionary says about one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The step it is about.
    pub name: String,
    pub command: Vec<String>,
    pub materials: Artifacts,
    pub products: Artifacts,
    /// Opaque: exit code, output. Not judged (in-toto §1.12).
    pub byproducts: Value,
    /// Opaque.
    pub environment: Value,
}

/// Why a signed value is no link (→ `link_malformed`). Fields that are not known are opaque, and no error (in-toto §2.2, case 13).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not an object with `"_type": "link"`.
    #[error("it is not a link (_type)")]
    NotALink,
    /// A field of the specification is not there.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A field has another JSON type.
    #[error("the field {0} is not {1}")]
    Type(&'static str, &'static str),
    /// R29: a name that is not clean, so that one file could go by two names.
    #[error("the {side} name {name:?} is not a clean path ({why})")]
    ArtifactName { side: &'static str, name: String, why: &'static str },
    /// R34: no accepted algorithm, a wrong length, or not lower-case hex.
    #[error("the hashes of {name:?} in the {side} are not well formed (sha256, sha384 or sha512 in lower-case hex)")]
    Hash { side: &'static str, name: String },
}

/// A link as it reads: the step it names, if it does, and what it says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its `name`; empty where it has none.
    pub step: String,
    pub link: Result<Link, LinkError>,
}

impl Link {
    /// Reads a link from JSON in one pass, without a tree between.
    ///
    /// # Errors
    /// No strict JSON (R2). That it is no link is said in the reading, together with the step it names.
    pub fn read(bytes: &[u8], profile: Profile) -> Result<Reading, JsonError> {
        Link::whole(Reader::new(bytes, &Limits::METADATA)?, profile)
    }

    /// Reads a link from what an envelope carries. Call it after the signatures were checked.
    ///
    /// # Errors
    /// As [`Link::read`].
    pub fn of(envelope: &Envelope, profile: Profile) -> Result<Reading, JsonError> {
        Link::whole(envelope.reader()?, profile)
    }

    fn whole(mut reader: Reader<'_>, profile: Profile) -> Result<Reading, JsonError> {
        let mut fields = Fields { profile, ..Fields::default() };
        match reader.token()? {
            Token::Object(mut members) => {
                while let Some(key) = reader.key(&mut members)? {
                    fields.read(&key, &mut reader)?;
                }
            }
            token => reader.skip_rest(token)?,
        }
        reader.end()?;
        let step = fields.name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Reading { step, link: fields.link() })
    }

    /// For writing one: the JSON value that [`Link::read`] reads back.
    pub fn to_value(&self) -> Value {
        let field = |name: &str, value: Value| (name.to_owned(), value);
        Value::Object(vec![
            field("_type", Value::String("link".to_owned())),
            field("byproducts", self.byproducts.clone()),
            field("command", Value::Array(self.command.iter().cloned().map(Value::String).collect())),
            field("environment", self.environment.clone()),
            field("materials", artifacts_value(&self.materials)),
            field("name", Value::String(self.name.clone())),
            field("products", artifacts_value(&self.products)),
        ])
    }
}

/// The members of a link, each as far as it could be read.
#[derive(Default)]
struct Fields {
    profile: Profile,
    kind: Option<Value>,
    name: Option<Value>,
    command: Option<Value>,
    materials: Option<Result<Artifacts, LinkError>>,
    products: Option<Result<Artifacts, LinkError>>,
    byproducts: Option<Value>,
    environment: Option<Value>,
}

impl Fields {
    fn read(&mut self, key: &str, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        match key {
            "_type" => self.kind = Some(json::value(reader)?),
            "name" => self.name = Some(json::value(reader)?),
            "command" => self.command = Some(json::value(reader)?),
            "materials" => self.materials = Some(artifacts(reader, "materials", self.profile)?),
            "products" => self.products = Some(artifacts(reader, "products", self.profile)?),
            "byproducts" => self.byproducts = Some(json::value(reader)?),
            "environment" => self.environment = Some(json::value(reader)?),
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn link(self) -> Result<Link, LinkError> {
        if self.kind.as_ref().and_then(Value::as_str) != Some("link") {
            return Err(LinkError::NotALink);
        }
        let profile = self.profile;
        Ok(Link {
            name: name(self.name, profile)?,
            command: command(self.command.as_ref(), profile)?,
            materials: side(self.materials, "materials", profile)?,
            products: side(self.products, "products", profile)?,
            byproducts: opaque(self.byproducts, "byproducts", profile)?,
            environment: opaque(self.environment, "environment", profile)?,
        })
    }
}

// The reference has a default for each field of a link, and looks neither at its name nor at the words of its command.

fn name(name: Option<Value>, profile: Profile) -> Result<String, LinkError> {
    match (name, profile) {
        (Some(Value::String(name)), _) => Ok(name),
        (_, Profile::Compat) => Ok(String::new()),
        (None, Profile::Strict) => Err(LinkError::Missing("name")),
        (Some(_), Profile::Strict) => Err(LinkError::Type("name", "a string")),
    }
}

fn command(command: Option<&Value>, profile: Profile) -> Result<Vec<String>, LinkError> {
    let error = LinkError::Type("command", "a list of strings");
    match (command, profile) {
        (Some(command), Profile::Strict) => strings(command).ok_or(error),
        (None, Profile::Strict) => Err(LinkError::Missing("command")),
        (None, Profile::Compat) => Ok(Vec::new()),
        (Some(command), Profile::Compat) => words(command).ok_or(error),
    }
}

/// An object of whatever. In-toto-golang writes null for what is empty, and the reference does not take it.
fn opaque(value: Option<Value>, field: &'static str, profile: Profile) -> Result<Value, LinkError> {
    match value {
        None => Ok(Value::Object(Vec::new())),
        Some(Value::Null) if profile == Profile::Strict => Ok(Value::Null),
        Some(object @ Value::Object(_)) => Ok(object),
        Some(_) => Err(LinkError::Type(field, "an object")),
    }
}

fn side(
    artifacts: Option<Result<Artifacts, LinkError>>,
    side: &'static str,
    profile: Profile,
) -> Result<Artifacts, LinkError> {
    match (artifacts, profile) {
        (None, Profile::Strict) => Err(LinkError::Missing(side)),
        (None, Profile::Compat) => Ok(Artifacts::new()),
        (Some(artifacts), _) => artifacts,
    }
}

/// An artifact table. What is wrong with the first bad entry is told when all was read.
fn artifacts(
    reader: &mut Reader<'_>,
    side: &'static str,
    profile: Profile,
) -> Result<Result<Artifacts, LinkError>, JsonError> {
    let mut members = match reader.token()? {
        Token::Object(members) => members,
        token => {
            reader.skip_rest(token)?;
            return Ok(Err(LinkError::Type(side, "an object of artifact names")));
        }
    };
    let mut table = Vec::new();
    let mut wrong = None;
    while let Some(name) = reader.key(&mut members)? {
        if wrong.is_some() {
            reader.skip()?;
            continue;
        }
        match artifact(&name, hashes(reader)?, side, profile) {
            Ok(hashes) => table.push((name, hashes)),
            Err(cause) => wrong = Some(cause),
        }
    }
    let is_sorted = members.order().is_none();
    let table = || if is_sorted { Artifacts::of_sorted(table) } else { table.into_iter().collect() };
    Ok(wrong.map_or_else(|| Ok(table()), Err))
}

/// The artifacts of a tree, an object of names and hash objects, by the strict profile; `side` is what a message calls it.
pub(super) fn artifacts_of(value: &Value, side: &'static str) -> Result<Artifacts, LinkError> {
    let members = value.as_object().ok_or(LinkError::Type(side, "an object of artifact names"))?;
    let one = |(name, hashes): &'_ (String, Value)| {
        Ok((name.clone(), artifact(name, digest_set(hashes), side, Profile::Strict)?))
    };
    members.iter().map(one).collect()
}

/// What one entry says, if it is in order. Compatible: the reference takes any name, and any hash that is hex.
fn artifact(
    name: &str,
    hashes: Option<DigestSet>,
    side: &'static str,
    profile: Profile,
) -> Result<DigestSet, LinkError> {
    if let Some(why) = unclean(name).filter(|_| profile == Profile::Strict) {
        return Err(LinkError::ArtifactName { side, name: name.to_owned(), why });
    }
    let hashes = hashes.filter(|hashes| match profile {
        Profile::Strict => hashes.is_well_formed(),
        Profile::Compat => hashes.iter().all(|(_, hex)| is_hex(&hex)),
    });
    hashes.ok_or_else(|| LinkError::Hash { side, name: name.to_owned() })
}

/// A hash object of whatever algorithms.
fn hashes(reader: &mut Reader<'_>) -> Result<Option<DigestSet>, JsonError> {
    if let Some(hex) = reader.sha256() {
        let named = || DigestSet::from_iter([("sha256".to_owned(), hex.to_owned())]);
        return Ok(Some(DigestSet::sha256(hex).unwrap_or_else(named)));
    }
    let mut members = match reader.token()? {
        Token::Object(members) => members,
        token => {
            reader.skip_rest(token)?;
            return Ok(None);
        }
    };
    let mut named = Some(Vec::new());
    while let Some(algorithm) = reader.key(&mut members)? {
        match reader.token()? {
            Token::String(hex) => {
                named.iter_mut().for_each(|named| named.push((algorithm.to_string(), hex.to_string())))
            }
            token => {
                named = None;
                reader.skip_rest(token)?;
            }
        }
    }
    Ok(named.map(DigestSet::from_iter))
}

pub(super) fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A hash object of a tree, whose accepted algorithms are well formed (R34).
pub(super) fn digest_set(value: &Value) -> Option<DigestSet> {
    let hashes = value.as_object()?.iter().map(|(algorithm, hex)| Some((algorithm.clone(), hex.as_str()?.to_owned())));
    hashes.collect::<Option<DigestSet>>().filter(DigestSet::is_well_formed)
}

pub(super) fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|element| element.as_str().map(str::to_owned)).collect()
}

/// A list whose elements are shown as text, whatever they are.
pub(super) fn words(value: &Value) -> Option<Vec<String>> {
    let word = |word: &Value| word.as_str().map_or_else(|| json::to_text(word), str::to_owned);
    Some(value.as_array()?.iter().map(word).collect())
}

fn artifacts_value(artifacts: &Artifacts) -> Value {
    let hashes = |set: &DigestSet| {
        let hex = |(algorithm, hex): (&str, Cow<'_, str>)| (algorithm.to_owned(), Value::String(hex.into_owned()));
        Value::Object(set.iter().map(hex).collect())
    };
    Value::Object(artifacts.iter().map(|(name, set)| (name.to_owned(), hashes(set))).collect())
}

/// R29: why a name is refused. Names are compared as they are; a second spelling of a name would escape the rules, so none is let
/// in (in-toto §2.2, cases 7, 8 and 80). A URI (`oci:…`, `https://…`; ITE-4) may have empty components.
pub(super) fn unclean(name: &str) -> Option<&'static str> {
    if is_plainly_clean(name.as_bytes()) { None } else { why_unclean(name) }
}

fn why_unclean(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("empty");
    }
    if name.chars().any(char::is_control) {
        return Some("a control character");
    }
    if name.contains('\\') {
        return Some("a backslash");
    }
    let path = uri_path(name);
    let components = path.unwrap_or(name).split('/');
    for component in components {
        match component {
            "." | ".." => return Some("a component . or .."),
            "" if path.is_none() => return Some("an empty component"),
            _ => {}
        }
    }
    None
}

/// Whether the name is clean at first glance, as nearly all are: ASCII, neither a backslash nor a colon, and no component that is empty
/// or begins with a dot.
fn is_plainly_clean(name: &[u8]) -> bool {
    // The beginning is as behind a slash.
    let (mut wrong, mut behind_slash) = (0, REFUSED_BEHIND_SLASH);
    for byte in name {
        let kind = KINDS.get(usize::from(*byte)).copied().unwrap_or(REFUSED);
        wrong |= kind & (REFUSED | behind_slash);
        behind_slash = if kind & SLASH == 0 { 0 } else { REFUSED_BEHIND_SLASH };
    }
    wrong | behind_slash == 0
}

const REFUSED: u8 = 1;
const SLASH: u8 = 2;
const REFUSED_BEHIND_SLASH: u8 = 4;
/// What [`is_plainly_clean`] makes of each byte.
const KINDS: [u8; 256] = {
    let mut kinds = [REFUSED; 256];
    let mut rest: &mut [u8] = &mut kinds;
    let mut byte = 0_u8;
    while let [kind, tail @ ..] = rest {
        *kind = match byte {
            b'/' => SLASH | REFUSED_BEHIND_SLASH,
            b'.' => REFUSED_BEHIND_SLASH,
            b'\\' | b':' => REFUSED,
            b' '..=b'~' => 0,
            _ => REFUSED,
        };
        byte = byte.wrapping_add(1);
        rest = tail;
    }
    kinds
};

/// What follows `<scheme>:`; a scheme has two characters or more, so that `c:` stays a (foreign) path.
fn uri_path(name: &str) -> Option<&str> {
    let (scheme, path) = name.split_once(':')?;
    let mut characters = scheme.chars();
    let starts = characters.next().is_some_and(|first| first.is_ascii_alphabetic());
    let goes_on = characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    (scheme.len() >= 2 && starts && goes_on && !path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn link(name: &str, algorithm: &str, hex: &str) -> Value {
        let text = |text: &str| Value::String(text.to_owned());
        let hashes = Value::Object(vec![(algorithm.to_owned(), text(hex))]);
        Value::Object(vec![
            ("_type".to_owned(), text("link")),
            ("name".to_owned(), text("build")),
            ("command".to_owned(), Value::Array(vec![text("make")])),
            ("materials".to_owned(), Value::Object(vec![(name.to_owned(), hashes)])),
            ("products".to_owned(), Value::Object(vec![])),
            ("x-vendor".to_owned(), Value::Null),
        ])
    }

    fn read(value: &Value) -> Result<Link, LinkError> {
        let reading = Link::read(json::to_text(value).as_bytes(), Profile::Strict).unwrap();
        assert_eq!(reading.step, "build");
        reading.link
    }

    #[test]
    fn a_link_reads_back_what_it_writes_and_keeps_to_itself_what_it_does_not_know() {
        let link = read(&link("src/a", "sha256", HEX)).unwrap();
        assert_eq!(read(&link.to_value()).unwrap(), link);
        assert_eq!(link.command, ["make"]);
    }

    #[test]
    fn clean_names_are_accepted() {
        for name in [
            "a",
            "a/b",
            ".gitignore",
            "a b",
            "é",
            "a:b/c",
            "oci:registry.example.com/shop/api",
            "https://x.example/a",
            "..a",
        ] {
            assert!(read(&link(name, "sha256", HEX)).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_name_with_a_second_spelling_is_refused() {
        for name in ["", "/a", "./a", "a/", "a//b", "a/../b", "..", "a\\b", "a\nb", "file:a/../b", "c://a"] {
            let refused = match read(&link(name, "sha256", HEX)) {
                Err(LinkError::ArtifactName { name: refused, .. }) => refused,
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(refused, name);
        }
    }

    proptest! {
        #[test]
        fn what_is_clean_at_first_glance_is_clean(name in "[a./:\\\\ \u{7f}\n\u{e9}]{0,8}") {
            prop_assert!(!is_plainly_clean(name.as_bytes()) || why_unclean(&name).is_none());
        }
    }

    #[test]
    fn hashes_must_be_of_an_accepted_algorithm_and_whole() {
        let upper = HEX.to_uppercase();
        for (algorithm, hex) in
            [("sha256", "ab"), ("md5", "d41d8cd98f00b204e9800998ecf8427e"), ("sha256", &upper), ("sha256", "zz")]
        {
            assert_eq!(read(&link("a", algorithm, hex)), Err(LinkError::Hash { side: "materials", name: "a".into() }));
        }
    }

    #[test]
    fn null_is_not_an_empty_object() {
        let mut value = link("a", "sha256", HEX);
        if let Value::Object(members) = &mut value {
            for (name, member) in members.iter_mut() {
                if name == "materials" {
                    *member = Value::Null;
                }
            }
        }
        assert_eq!(read(&value), Err(LinkError::Type("materials", "an object of artifact names")));
    }
}
