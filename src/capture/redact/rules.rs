//! The rules as they are written (`rules.toml`).

use aho_corasick::AhoCorasick;
use serde::Deserialize;

const BUILTIN: &str = include_str!("rules.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    pub variables: Vec<String>,
    names: Vec<String>,
    last_words: Vec<String>,
    harmless: Vec<String>,
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

    /// Whether an option or an assignment of this name has a secret for its value.
    pub fn is_secret_name(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let last = name.rsplit(['-', '_', '.', '/', ':']).next().unwrap_or_default();
        self.names.iter().any(|end| name.ends_with(end.as_str())) || self.last_words.iter().any(|word| last == word)
    }

    /// Whether what stands where a secret would is none.
    pub fn is_harmless(&self, value: &str) -> bool {
        value.is_empty()
            || self.harmless.iter().any(|start| value.starts_with(start.as_str()))
            || super::is_redacted(value)
    }
}
