//! Artifact rules: specification 4.3.3. Its grammar; `verify::rules` applies them.
use super::{Profile, parameters::is_open};
use crate::{
    json::{Value, readable},
    pattern::{Pattern, PatternError},
};
use std::fmt;

/// Which artifacts of a link are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Materials,
    Products,
}

impl Side {
    /// The word a person reads: `materials` or `products`.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Materials => "materials",
            Side::Products => "products",
        }
    }

    fn keyword(self) -> &'static str {
        match self {
            Side::Materials => "MATERIALS",
            Side::Products => "PRODUCTS",
        }
    }
}

/// One artifact rule. Patterns are globs over the whole name; `REQUIRE` takes a name and no glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    Create(Pattern),
    Delete(Pattern),
    Modify(Pattern),
    Allow(Pattern),
    Disallow(Pattern),
    Require(String),
    Match {
        pattern: Pattern,
        /// `IN` before `WITH`: without its slash at the end.
        source_prefix: Option<String>,
        side: Side,
        /// `IN` after `WITH`: without its slash at the end.
        destination_prefix: Option<String>,
        /// The step (in an inspection also an inspection) whose link is the destination.
        from: String,
    },
}

/// Why a list is no artifact rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// `[]`.
    #[error("an empty rule")]
    Empty,
    /// An element that is not a string.
    #[error("a rule with an element that is not a string")]
    NotText,
    /// The first word is none of the seven keywords.
    #[error("the unknown rule keyword \"{0}\"")]
    UnknownKeyword(String),
    /// `CREATE a b`.
    #[error("{keyword} takes one element, found {found}")]
    Arguments { keyword: &'static str, found: usize },
    /// MATCH in none of its four shapes.
    #[error("a MATCH that is not MATCH <pattern> [IN <prefix>] WITH (MATERIALS|PRODUCTS) [IN <prefix>] FROM <step>")]
    MatchShape,
    /// `IN ""`, or a prefix of slashes.
    #[error("a MATCH with an empty prefix")]
    EmptyPrefix,
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl Rule {
    /// Reads the elements of one rule. Keywords in any case, as Python and Go take them (in-toto §2.2, case 34).
    pub fn parse(elements: &[Value]) -> Result<Rule, RuleError> {
        Self::read(elements, Profile::Strict)
    }

    /// The same, as the profile has it: the reference takes an empty prefix for none, and `/` for itself.
    pub fn read(elements: &[Value], profile: Profile) -> Result<Rule, RuleError> {
        let words: Vec<&str> =
            elements.iter().map(|element| element.as_str().ok_or(RuleError::NotText)).collect::<Result<_, _>>()?;
        let [keyword, arguments @ ..] = words.as_slice() else {
            return Err(RuleError::Empty);
        };
        let one = |name: &'static str| match arguments {
            [argument] => Ok(*argument),
            _ => Err(RuleError::Arguments { keyword: name, found: arguments.len() }),
        };
        match keyword.to_ascii_uppercase().as_str() {
            "CREATE" => Ok(Rule::Create(Pattern::new(one("CREATE")?)?)),
            "DELETE" => Ok(Rule::Delete(Pattern::new(one("DELETE")?)?)),
            "MODIFY" => Ok(Rule::Modify(Pattern::new(one("MODIFY")?)?)),
            "ALLOW" => Ok(Rule::Allow(Pattern::new(one("ALLOW")?)?)),
            "DISALLOW" => Ok(Rule::Disallow(Pattern::new(one("DISALLOW")?)?)),
            "REQUIRE" => Ok(Rule::Require(one("REQUIRE")?.to_owned())),
            "MATCH" => parse_match(arguments, profile),
            _ => Err(RuleError::UnknownKeyword((*keyword).to_owned())),
        }
    }

    /// The rule as the words of its JSON list.
    pub fn words(&self) -> Vec<String> {
        let one = |keyword: &str, argument: &str| vec![keyword.to_owned(), argument.to_owned()];
        match self {
            Rule::Create(pattern) => one("CREATE", pattern.as_str()),
            Rule::Delete(pattern) => one("DELETE", pattern.as_str()),
            Rule::Modify(pattern) => one("MODIFY", pattern.as_str()),
            Rule::Allow(pattern) => one("ALLOW", pattern.as_str()),
            Rule::Disallow(pattern) => one("DISALLOW", pattern.as_str()),
            Rule::Require(name) => one("REQUIRE", name),
            Rule::Match { pattern, source_prefix, side, destination_prefix, from } => {
                let mut words = one("MATCH", pattern.as_str());
                words.extend(source_prefix.iter().flat_map(|prefix| one("IN", prefix)));
                words.extend(one("WITH", side.keyword()));
                words.extend(destination_prefix.iter().flat_map(|prefix| one("IN", prefix)));
                words.extend(one("FROM", from));
                words
            }
        }
    }

    /// The rule as its JSON list.
    pub fn to_value(&self) -> Value {
        Value::Array(self.words().into_iter().map(Value::String).collect())
    }

    /// Whether a parameter, or an escaped brace, stands in it.
    pub(super) fn is_open(&self) -> bool {
        self.words().iter().any(|word| is_open(word))
    }

    /// The rule with its texts and patterns exchanged.
    pub(super) fn map<E>(
        &self,
        text: impl Fn(&str) -> Result<String, E>,
        pattern: impl Fn(&Pattern) -> Result<Pattern, E>,
    ) -> Result<Rule, E> {
        Ok(match self {
            Rule::Create(glob) => Rule::Create(pattern(glob)?),
            Rule::Delete(glob) => Rule::Delete(pattern(glob)?),
            Rule::Modify(glob) => Rule::Modify(pattern(glob)?),
            Rule::Allow(glob) => Rule::Allow(pattern(glob)?),
            Rule::Disallow(glob) => Rule::Disallow(pattern(glob)?),
            Rule::Require(name) => Rule::Require(text(name)?),
            Rule::Match { pattern: glob, source_prefix, side, destination_prefix, from } => Rule::Match {
                pattern: pattern(glob)?,
                source_prefix: source_prefix.as_deref().map(&text).transpose()?,
                side: *side,
                destination_prefix: destination_prefix.as_deref().map(&text).transpose()?,
                from: text(from)?,
            },
        })
    }

    /// The glob of the rule; `REQUIRE` has none.
    pub fn pattern(&self) -> Option<&Pattern> {
        match self {
            Rule::Create(pattern)
            | Rule::Delete(pattern)
            | Rule::Modify(pattern)
            | Rule::Allow(pattern)
            | Rule::Disallow(pattern)
            | Rule::Match { pattern, .. } => Some(pattern),
            Rule::Require(_) => None,
        }
    }
}

/// The rule as written, one line: `MATCH foo IN src WITH PRODUCTS FROM build`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&readable(&self.words().join(" ")))
    }
}

/// Exactly 5, 7 or 9 words after MATCH.
fn parse_match(words: &[&str], profile: Profile) -> Result<Rule, RuleError> {
    let [pattern, rest @ ..] = words else {
        return Err(RuleError::MatchShape);
    };
    let (source, rest) = prefix(rest, profile)?;
    let [with, side, rest @ ..] = rest else {
        return Err(RuleError::MatchShape);
    };
    let (destination, rest) = prefix(rest, profile)?;
    let [from_word, from] = rest else {
        return Err(RuleError::MatchShape);
    };
    if !with.eq_ignore_ascii_case("WITH") || !from_word.eq_ignore_ascii_case("FROM") {
        return Err(RuleError::MatchShape);
    }
    let side = match side.to_ascii_uppercase().as_str() {
        "MATERIALS" => Side::Materials,
        "PRODUCTS" => Side::Products,
        _ => return Err(RuleError::MatchShape),
    };
    Ok(Rule::Match {
        pattern: Pattern::new(pattern)?,
        source_prefix: source,
        side,
        destination_prefix: destination,
        from: (*from).to_owned(),
    })
}

/// An optional `IN <prefix>` at the front. One slash at the end is tolerated, as in the reference (in-toto §1.11).
fn prefix<'a, 'w>(words: &'a [&'w str], profile: Profile) -> Result<(Option<String>, &'a [&'w str]), RuleError> {
    match words {
        [word, "", rest @ ..] if word.eq_ignore_ascii_case("IN") && profile == Profile::Compat => Ok((None, rest)),
        [word, prefix, rest @ ..] if word.eq_ignore_ascii_case("IN") => {
            let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
            if prefix.is_empty() && profile == Profile::Strict {
                return Err(RuleError::EmptyPrefix);
            }
            Ok((Some(prefix.to_owned()), rest))
        }
        _ => Ok((None, words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Rule, RuleError> {
        Rule::parse(&text.split(' ').map(|word| Value::String(word.to_owned())).collect::<Vec<_>>())
    }

    #[test]
    fn every_shape_reads_and_prints_as_written() {
        for text in [
            "CREATE a",
            "DELETE a",
            "MODIFY a*",
            "ALLOW *",
            "DISALLOW *",
            "REQUIRE a",
            "MATCH * WITH PRODUCTS FROM build",
            "MATCH * IN src WITH MATERIALS FROM build",
            "MATCH * WITH PRODUCTS IN out FROM build",
            "MATCH * IN src/deep WITH PRODUCTS IN out FROM build",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn keywords_come_in_any_case() {
        assert_eq!(
            parse("match * in src/ with products from build").unwrap().to_string(),
            "MATCH * IN src WITH PRODUCTS FROM build"
        );
    }

    #[test]
    fn what_is_no_rule_is_named() {
        assert_eq!(Rule::parse(&[]), Err(RuleError::Empty));
        assert_eq!(Rule::parse(&[Value::Null]), Err(RuleError::NotText));
        assert_eq!(parse("PERMIT *"), Err(RuleError::UnknownKeyword("PERMIT".into())));
        assert_eq!(parse("CREATE a b"), Err(RuleError::Arguments { keyword: "CREATE", found: 2 }));
        assert_eq!(parse("REQUIRE"), Err(RuleError::Arguments { keyword: "REQUIRE", found: 0 }));
        for text in [
            "MATCH",
            "MATCH *",
            "MATCH * WITH PRODUCTS",
            "MATCH * WITH BYPRODUCTS FROM a",
            "MATCH * WITH PRODUCTS FROM a b",
            "MATCH * IN src IN src WITH PRODUCTS FROM a",
            "MATCH * WITH PRODUCTS FROM",
            "MATCH * WHIT PRODUCTS FROM a",
            "MATCH * WITH PRODUCTS FORM a",
            "MATCH * ON src WITH PRODUCTS FROM a",
        ] {
            assert_eq!(parse(text), Err(RuleError::MatchShape), "{text}");
        }
        assert_eq!(parse("MATCH * IN / WITH PRODUCTS FROM a"), Err(RuleError::EmptyPrefix));
    }
}
