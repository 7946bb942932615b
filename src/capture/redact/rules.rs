//! The rules as they are written (`rules.toml`).

use super::entropy;
use aho_corasick::AhoCorasick;
use serde::Deserialize;

const BUILTIN: &str = include_str!("rules.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    pub variables: Vec<String>,
    names: Vec<String>,
    last_words: Vec<String>,
    plain_keys: Vec<String>,
    key_places: Vec<String>,
    key_files: Vec<String>,
    common: Vec<String>,
    harmless: Vec<String>,
    nothing: Vec<String>,
    pub headers: Vec<String>,
    #[serde(rename = "tool")]
    pub tools: Vec<Tool>,
    #[serde(rename = "token")]
    pub tokens: Vec<Token>,
    /// Everything a token begins with, and whose beginning each is.
    #[serde(skip)]
    begins: Option<(AhoCorasick, Vec<usize>)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tool {
    pub programs: Vec<String>,
    /// A word that must stand before the option.
    pub with: Option<String>,
    pub options: Vec<String>,
    #[serde(default)]
    pub attached: bool,
    #[serde(default)]
    pub behind_colon: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub name: String,
    pub prefixes: Vec<String>,
    pub alphabet: Alphabet,
    /// Characters behind the prefix, at least.
    pub min: usize,
    #[serde(default)]
    pub dots: usize,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum Alphabet {
    #[serde(rename = "upper")]
    Upper,
    #[serde(rename = "word")]
    Word,
    #[serde(rename = "word-")]
    WordDash,
    #[serde(rename = "dotted")]
    Dotted,
}
impl Alphabet {
    pub fn has(self, byte: u8) -> bool {
        match self {
            Alphabet::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Alphabet::Word => byte.is_ascii_alphanumeric() || byte == b'_',
            Alphabet::WordDash => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Alphabet::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
        }
    }
}

impl Rules {
    pub fn builtin() -> anyhow::Result<Self> {
        let mut rules: Rules = toml::from_str(BUILTIN)?;
        let tokens = rules.tokens.iter().enumerate();
        let prefixes = tokens.flat_map(|(at, token)| token.prefixes.iter().map(move |prefix| (prefix.as_str(), at)));
        let (prefixes, owners): (Vec<&str>, Vec<usize>) = prefixes.unzip();
        let begins = AhoCorasick::new(prefixes.into_iter().chain([super::tokens::PEM_BEGIN]))?;
        rules.begins = Some((begins, owners));
        Ok(rules)
    }

    /// Where tokens may begin, told in one pass over a text: where that is, what is behind the beginning, and whose it is; nobody's are
    /// those of PEM.
    pub fn beginnings(&self, text: &str) -> impl Iterator<Item = (usize, usize, Option<usize>)> {
        let begins = self.begins.as_ref();
        begins.into_iter().flat_map(move |(begins, owners)| {
            let hits = begins.find_overlapping_iter(text);
            hits.map(|hit| (hit.start(), hit.end(), owners.get(hit.pattern().as_usize()).copied()))
        })
    }

    /// What an option, an assignment or a member of this name holds; `None`: no secret.
    pub fn kind(&self, name: &str) -> Option<Kind> {
        let name = name.trim_start_matches('-');
        let lower = name.to_lowercase();
        let last = lower.rsplit(['-', '_', '.', '/', ':']).next().unwrap_or_default();
        if self.names.iter().any(|end| lower.ends_with(end.as_str())) {
            return Some(Kind::Secret);
        }
        if self.last_words.iter().any(|word| last == word) {
            // `PWD` by itself is a shell's directory.
            return Some(if lower == "pwd" { Kind::Key } else { Kind::Secret });
        }
        self.is_key(name).then_some(Kind::Key)
    }

    /// Whether the last of several words is `key`, and the one before it tells of a secret.
    fn is_key(&self, name: &str) -> bool {
        let Some(before) = name.get(..name.len().saturating_sub(KEY.len())) else { return false };
        let (joined, parted) = (name.ends_with("Key"), before.ends_with(['-', '_']));
        if !name.to_ascii_lowercase().ends_with(KEY) || !joined && !parted {
            return false;
        }
        let before = before.trim_end_matches(['-', '_']);
        let word = before.rsplit(['-', '_', '.']).next().unwrap_or_default();
        // `sonar.projectKey`, and `mySortKey`.
        let camel = word.rfind(|c: char| c.is_ascii_uppercase()).filter(|_| joined).and_then(|at| word.get(at..));
        let plain = |word: &str| self.plain_keys.iter().any(|plain| plain.eq_ignore_ascii_case(word));
        !word.is_empty() && !plain(word) && !camel.is_some_and(plain)
    }

    /// How much a name says by itself.
    pub fn names(&self, name: &str) -> Names {
        let name = name.trim_start_matches('-').to_lowercase();
        match () {
            () if self.last_words.contains(&name) => Names::Short,
            () if self.common.contains(&name) || name.contains('-') && !name.contains('_') => Names::Common,
            () => Names::Telling,
        }
    }

    /// Whether what has this name is a secret.
    pub fn is_secret(&self, name: &str, value: &str) -> bool {
        self.kind(name).is_some_and(|kind| !self.is_harmless(kind, value))
    }

    /// Whether what begins like this where a secret would stand is none.
    pub fn begins_harmless(&self, kind: Kind, value: &str) -> bool {
        let begins = |starts: &[String]| starts.iter().any(|start| value.starts_with(start.as_str()));
        begins(&self.harmless) || kind == Kind::Key && begins(&self.key_places) && !entropy::begins_random(value)
    }

    /// Whether what stands where a secret would is none.
    pub fn is_harmless(&self, kind: Kind, value: &str) -> bool {
        value.is_empty()
            || self.begins_harmless(kind, value)
            || self.nothing.iter().any(|word| word.eq_ignore_ascii_case(value))
            || kind == Kind::Key && self.key_files.iter().any(|end| value.ends_with(end.as_str()))
            || is_version(value)
            || super::is_redacted(value)
    }
}

/// `"jsonwebtoken": "^9.0.2"`, among what a package needs.
fn is_version(value: &str) -> bool {
    let core = value.trim_start_matches(['^', '~', '=', 'v']).split(['-', '+']).next().unwrap_or_default();
    core.split('.').count() == 3
        && core.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

const KEY: &str = "key";

/// What a name tells of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Secret,
    /// A key, or which, or its file.
    Key,
}

/// What else a name may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Hardly anything.
    Telling,
    /// A word of a sentence, or of a rule's or a test's name.
    Common,
    /// `PASS: test 1`
    Short,
}
