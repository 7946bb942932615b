//! Links: specification 4.4.
use super::Profile;
use crate::{
    digest::DigestSet,
    json::{self, Value},
};
use std::collections::BTreeMap;

/// Artifact name → hashes, sorted by name.
pub type Artifacts = BTreeMap<String, DigestSet>;

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

impl Link {
    /// Reads a link from signed JSON.
    pub fn from_value(value: &Value) -> Result<Self, LinkError> {
        Self::read(value, Profile::Strict)
    }

    /// The same, as the profile has it: the reference takes any name, and any hash that is hex.
    pub fn read(value: &Value, profile: Profile) -> Result<Self, LinkError> {
        if value.get("_type").and_then(Value::as_str) != Some("link") {
            return Err(LinkError::NotALink);
        }
        Ok(Link {
            name: name(value, profile)?,
            command: command(value, profile)?,
            materials: artifacts(value, "materials", profile)?,
            products: artifacts(value, "products", profile)?,
            byproducts: value.get("byproducts").cloned().unwrap_or(Value::Object(Vec::new())),
            environment: value.get("environment").cloned().unwrap_or(Value::Object(Vec::new())),
        })
    }

    /// For writing one: the JSON value that `from_value` reads back.
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

// The reference has a default for each field of a link, and looks neither at its name nor at the words of its command.

fn name(link: &Value, profile: Profile) -> Result<String, LinkError> {
    match (link.get("name"), profile) {
        (Some(Value::String(name)), _) => Ok(name.clone()),
        (_, Profile::Compat) => Ok(String::new()),
        (None, Profile::Strict) => Err(LinkError::Missing("name")),
        (Some(_), Profile::Strict) => Err(LinkError::Type("name", "a string")),
    }
}

fn command(link: &Value, profile: Profile) -> Result<Vec<String>, LinkError> {
    let error = LinkError::Type("command", "a list of strings");
    match (link.get("command"), profile) {
        (Some(command), Profile::Strict) => strings(command).ok_or(error),
        (None, Profile::Strict) => Err(LinkError::Missing("command")),
        (None, Profile::Compat) => Ok(Vec::new()),
        (Some(command), Profile::Compat) => words(command).ok_or(error),
    }
}

fn artifacts(link: &Value, side: &'static str, profile: Profile) -> Result<Artifacts, LinkError> {
    match (link.get(side), profile) {
        (None, Profile::Strict) => Err(LinkError::Missing(side)),
        (None, Profile::Compat) => Ok(Artifacts::new()),
        (Some(artifacts), _) => artifacts_of(artifacts, side, profile),
    }
}

/// An object of names and hash objects; `side` is what a message calls it.
pub(super) fn artifacts_of(value: &Value, side: &'static str, profile: Profile) -> Result<Artifacts, LinkError> {
    let members = value.as_object().ok_or(LinkError::Type(side, "an object of artifact names"))?;
    members
        .iter()
        .map(|(name, hashes)| {
            let digests = match profile {
                Profile::Strict => {
                    if let Some(why) = unclean(name) {
                        return Err(LinkError::ArtifactName { side, name: name.clone(), why });
                    }
                    digest_set(hashes)
                }
                Profile::Compat => any_digest_set(hashes).filter(|set| set.0.values().all(|hex| is_hex(hex))),
            };
            let digests = digests.ok_or_else(|| LinkError::Hash { side, name: name.clone() })?;
            Ok((name.clone(), digests))
        })
        .collect()
}

/// A hash object whose accepted algorithms are well formed (R34).
pub(super) fn digest_set(value: &Value) -> Option<DigestSet> {
    any_digest_set(value).filter(DigestSet::is_well_formed)
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn any_digest_set(value: &Value) -> Option<DigestSet> {
    let hex = |(algorithm, hex): &(String, Value)| Some((algorithm.clone(), hex.as_str()?.to_owned()));
    Some(DigestSet(value.as_object()?.iter().map(hex).collect::<Option<_>>()?))
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
        Value::Object(set.0.iter().map(|(algorithm, hex)| (algorithm.clone(), Value::String(hex.clone()))).collect())
    };
    Value::Object(artifacts.iter().map(|(name, set)| (name.clone(), hashes(set))).collect())
}

/// R29: why a name is refused. Names are compared as they are; a second spelling of a name would escape the rules, so none is let
/// in (in-toto §2.2, cases 7, 8 and 80). A URI (`oci:…`, `https://…`; ITE-4) may have empty components.
pub(super) fn unclean(name: &str) -> Option<&'static str> {
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

    #[test]
    fn a_link_reads_back_what_it_writes_and_keeps_to_itself_what_it_does_not_know() {
        let read = Link::from_value(&link("src/a", "sha256", HEX)).unwrap();
        assert_eq!(Link::from_value(&read.to_value()).unwrap(), read);
        assert_eq!(read.command, ["make"]);
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
            assert!(Link::from_value(&link(name, "sha256", HEX)).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_name_with_a_second_spelling_is_refused() {
        for name in ["", "/a", "./a", "a/", "a//b", "a/../b", "..", "a\\b", "a\nb", "file:a/../b", "c://a"] {
            let refused = match Link::from_value(&link(name, "sha256", HEX)) {
                Err(LinkError::ArtifactName { name: refused, .. }) => refused,
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(refused, name);
        }
    }

    #[test]
    fn hashes_must_be_of_an_accepted_algorithm_and_whole() {
        let upper = HEX.to_uppercase();
        for (algorithm, hex) in
            [("sha256", "ab"), ("md5", "d41d8cd98f00b204e9800998ecf8427e"), ("sha256", &upper), ("sha256", "zz")]
        {
            assert_eq!(
                Link::from_value(&link("a", algorithm, hex)),
                Err(LinkError::Hash { side: "materials", name: "a".into() })
            );
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
        assert_eq!(Link::from_value(&value), Err(LinkError::Type("materials", "an object of artifact names")));
    }
}
