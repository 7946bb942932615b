//! Parameter substitution: `{name}` in the rules and commands of a layout (in-toto §1.6, R21).

use super::Profile;
use std::collections::BTreeMap;

/// What the verifier puts in for the names that a layout leaves open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(BTreeMap<String, Parameter>);

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub value: String,
    /// Whether the value's `*`, `?` and `[` are wildcards in a pattern. If not, they stand for themselves.
    pub pattern: bool,
}

/// Why a name or value is no parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    #[error("the parameter name {0:?} is not made of letters, digits, _ and -")]
    Name(String),
    #[error("the parameter {0:?} is given twice")]
    Twice(String),
    #[error("the value of the parameter {0:?} contains a control character")]
    Value(String),
}

/// What a text of a layout is, which decides how a value stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A name, a prefix, a word of a command.
    Text,
    /// A glob.
    Pattern,
}

impl Parameters {
    /// Adds one.
    ///
    /// # Errors
    /// A name that no layout could use, or that is known already; a value with control characters, which no artifact name has.
    pub fn add(&mut self, name: &str, parameter: Parameter) -> Result<(), ParameterError> {
        if !is_name(name) {
            return Err(ParameterError::Name(name.to_owned()));
        }
        if parameter.value.chars().any(char::is_control) {
            return Err(ParameterError::Value(name.to_owned()));
        }
        match self.0.insert(name.to_owned(), parameter) {
            None => Ok(()),
            Some(_) => Err(ParameterError::Twice(name.to_owned())),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The text with its parameters put in, `{{` and `}}` as braces. Other braces are themselves. Values are not looked at again.
    ///
    /// Off-spec: the reference leaves a text alone when it was given no parameters at all, and takes values for patterns.
    ///
    /// # Errors
    /// The name that has no value.
    pub(super) fn put_in(&self, text: &str, place: Place, profile: Profile) -> Result<String, String> {
        if profile == Profile::Compat && self.is_empty() {
            return Ok(text.to_owned());
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, braces) = rest.split_at(at);
            out.push_str(before);
            if let Some(after) = braces.strip_prefix("{{") {
                out.push('{');
                rest = after;
            } else if let Some(after) = braces.strip_prefix("}}") {
                out.push('}');
                rest = after;
            } else if let Some((name, after)) = parameter(braces) {
                let known = self.0.get(name).ok_or_else(|| name.to_owned())?;
                let escape = place == Place::Pattern && !known.pattern && profile == Profile::Strict;
                if escape {
                    known.value.chars().for_each(|c| push_literal(&mut out, c))
                } else {
                    out.push_str(&known.value)
                }
                rest = after;
            } else {
                // One byte: a brace.
                let (brace, after) = braces.split_at(1);
                out.push_str(brace);
                rest = after;
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// The parameters that stand in the text.
pub(super) fn named(text: &str) -> impl Iterator<Item = &str> {
    // An escaped brace in front makes it a text in braces.
    let escaped = |at: usize| {
        text.get(..at).is_some_and(|before| before.bytes().rev().take_while(|b| *b == b'{').count() % 2 == 1)
    };
    text.match_indices('{')
        .filter(move |(at, _)| !escaped(*at))
        .filter_map(|(at, _)| text.get(at..).and_then(parameter).map(|(name, _)| name))
}

/// Whether the text has a parameter or an escaped brace in it.
pub(super) fn is_open(text: &str) -> bool {
    text.contains("{{")
        || text.contains("}}")
        || text.match_indices('{').any(|(at, _)| text.get(at..).and_then(parameter).is_some())
}

/// `{name}` at the front: the name, and what follows.
fn parameter(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    is_name(name).then_some((name, after))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// A glob has no escape character: a set of one stands for a wildcard itself (in-toto §1.11).
fn push_literal(out: &mut String, c: char) {
    match c {
        '*' | '?' | '[' => out.extend(['[', c, ']']),
        _ => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        let mut parameters = Parameters::default();
        for (name, value) in pairs {
            parameters.add(name, Parameter { value: (*value).to_owned(), pattern: name.starts_with("glob") }).unwrap();
        }
        parameters
    }

    fn strict(text: &str, place: Place) -> Result<String, String> {
        parameters(&[("NAME", "api"), ("odd-1_x", "a*[b]?"), ("glob", "*.c"), ("again", "{NAME}")]).put_in(
            text,
            place,
            Profile::Strict,
        )
    }

    #[test]
    fn values_and_escaped_braces_are_put_in() {
        for (text, expected) in [
            ("", "api-free"),
            ("{NAME}", "api"),
            ("src/{NAME}/{NAME}.c", "src/api/api.c"),
            ("{{NAME}}", "{NAME}"),
            ("{{{NAME}}}", "{api}"),
            ("a{1,2}", "a{1,2}"),
            ("{", "{"),
            ("}{", "}{"),
            ("{}", "{}"),
            ("{again}", "{NAME}"),
            ("é{NAME}é", "éapié"),
        ] {
            let expected = if text.is_empty() { "" } else { expected };
            assert_eq!(strict(text, Place::Text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_name_without_a_value_is_an_error_with_or_without_parameters() {
        assert_eq!(strict("{OTHER}", Place::Text), Err("OTHER".into()));
        assert_eq!(Parameters::default().put_in("{OTHER}", Place::Text, Profile::Strict), Err("OTHER".into()));
        assert_eq!(Parameters::default().put_in("{O}}", Place::Text, Profile::Compat), Ok("{O}}".into()));
        assert_eq!(parameters(&[("A", "b")]).put_in("{O}", Place::Text, Profile::Compat), Err("O".into()));
    }

    #[test]
    fn a_value_in_a_pattern_stands_for_itself_unless_it_was_given_as_one() {
        let pattern = Pattern::new(&strict("{odd-1_x}", Place::Pattern).unwrap()).unwrap();
        assert!(pattern.matches("a*[b]?"));
        assert!(!pattern.matches("aXb?") && !pattern.matches("a*bc"));
        assert_eq!(strict("{glob}", Place::Pattern).as_deref(), Ok("*.c"));
        assert_eq!(strict("{odd-1_x}", Place::Text).as_deref(), Ok("a*[b]?"));
    }

    #[test]
    fn names_and_values_are_checked() {
        let mut parameters = parameters(&[("A", "b")]);
        let parameter = |value: &str| Parameter { value: value.to_owned(), pattern: false };
        assert_eq!(parameters.add("A", parameter("c")), Err(ParameterError::Twice("A".into())));
        assert_eq!(parameters.add("", parameter("c")), Err(ParameterError::Name(String::new())));
        assert_eq!(parameters.add("a.b", parameter("c")), Err(ParameterError::Name("a.b".into())));
        assert_eq!(parameters.add("N", parameter("a\nb")), Err(ParameterError::Value("N".into())));
    }

    #[test]
    fn parameters_are_found_by_name() {
        let found = |text| named(text).collect::<Vec<_>>();
        assert_eq!(found("{a}/{b}x{a}"), ["a", "b", "a"]);
        assert_eq!(found("{{a}} {1,2} {"), [""; 0]);
        assert_eq!(found("{{{a}}}"), ["a"]);
    }

    #[test]
    fn open_texts_are_told_from_closed_ones() {
        for text in ["{a}", "x{{", "}}", "{ {b}"] {
            assert!(is_open(text), "{text}");
        }
        for text in ["", "a", "{", "{}", "a{1,2}", "{a b}"] {
            assert!(!is_open(text), "{text}");
        }
    }
}
