//! What is secret does not get into a link (store §5.3): pure, over the texts that are about to be signed. After signing nothing could
//! be mended, so all of this runs before it.
//!
//! In order: the values of this environment's secrets, as they are and in the encodings they travel in; what the words around it tell
//! to be a secret (`user:x@`, headers, `--password x`, `API_TOKEN=x`, `password: x`); and what is one by its looks, a known token or a word of high entropy. What is
//! replaced is counted by rule; neither the secret nor a hash of it is kept, for a hash of a weak secret can be guessed.

use aho_corasick::{AhoCorasick, MatchKind};
use named::Manner;
use rules::Rules;
use std::collections::{BTreeMap, BTreeSet};

mod arguments;
mod effort;
mod entropy;
mod named;
mod patterns;
mod rules;
mod secrets;
mod tokens;

/// What happens to a secret that is found by its looks; those of the environment and of known options are always replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnSecret {
    /// Replace it.
    #[default]
    Redact,
    /// Sign nothing.
    Fail,
    /// Say it, and sign it as it is.
    Warn,
}

/// How often which rule found something. Rules are named, contents are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    by_rule: BTreeMap<String, u64>,
}
impl Findings {
    fn add(&mut self, rule: &str) {
        *self.by_rule.entry(rule.to_owned()).or_default() += 1;
    }
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.by_rule.values().sum()
    }
    /// The rules, comma-separated.
    pub fn rules(&self) -> String {
        self.by_rule.keys().map(String::as_str).collect::<Vec<_>>().join(",")
    }
}

/// Finds the secrets of one environment.
pub struct Redactor {
    /// Every encoding of every secret; none where there is no secret.
    encodings: Option<AhoCorasick>,
    /// The secret's name, by encoding.
    labels: Vec<String>,
    rules: Rules,
    on_secret: OnSecret,
}

impl Redactor {
    /// `secrets` are names and values; see [`secrets`](fn@secrets).
    ///
    /// # Errors
    /// There are too many secrets to be looked for.
    pub fn new(secrets: impl IntoIterator<Item = (String, String)>, on_secret: OnSecret) -> anyhow::Result<Self> {
        let (mut needles, mut labels) = (Vec::new(), Vec::new());
        for (name, value) in secrets {
            for needle in secrets::encodings(&value) {
                needles.push(needle);
                labels.push(name.clone());
            }
        }
        let build = || AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&needles);
        let encodings = if needles.is_empty() { None } else { Some(build()?) };
        Ok(Redactor { encodings, labels, rules: Rules::builtin()?, on_secret })
    }

    /// What happens to what is found by its looks.
    pub fn on_secret(&self) -> OnSecret {
        self.on_secret
    }

    /// A text without its secrets.
    pub fn text(&self, text: &str, found: &mut Findings) -> String {
        let text = self.without_told(text, found);
        let mut cuts = named::values(&text, &self.rules, Manner::Output);
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let options = arguments::cuts_of_line(line, &self.rules);
            cuts.extend(options.into_iter().map(|(from, to)| (start + from, start + to)));
            start += line.len();
        }
        self.by_looks(patterns::replace(&text, cuts, NAMED, found), true, found)
    }

    /// A command without its secrets: its words tell more than a text's.
    pub fn command(&self, argv: &[String], found: &mut Findings) -> Vec<String> {
        let known: Vec<String> = argv.iter().map(|word| self.without_known(word, found)).collect();
        let cuts = arguments::cuts(&known, &self.rules);
        known
            .iter()
            .zip(cuts)
            .map(|(word, cuts)| {
                let word = patterns::replace(word, cuts, "option", found);
                let word = patterns::userinfo(&word, found);
                let word = patterns::headers(&word, &self.rules.headers, found);
                self.by_looks(word, true, found)
            })
            .collect()
    }

    /// A text of a document that others wrote, full of hashes: as [`Redactor::text`], less what is suspected by entropy alone.
    pub fn document(&self, text: &str, found: &mut Findings) -> String {
        let text = self.without_told(text, found);
        let cuts = named::values(&text, &self.rules, Manner::Document);
        self.by_looks(patterns::replace(&text, cuts, NAMED, found), false, found)
    }

    /// What has a name, in a document or among facts: `None` where the name tells of no secret.
    pub fn member(&self, name: &str, text: &str, found: &mut Findings) -> Option<String> {
        let is_secret = self.rules.is_secret(name, text) && !self.holds_known(text);
        is_secret.then(|| {
            found.add(NAMED);
            redacted(NAMED)
        })
    }

    /// Without what the environment, or what stands around it, tells to be a secret.
    fn without_told(&self, text: &str, found: &mut Findings) -> String {
        let text = patterns::userinfo(&self.without_known(text, found), found);
        patterns::headers(&text, &self.rules.headers, found)
    }

    /// The rule by which a name holds a secret. Names say what was signed, so they are never changed.
    pub fn in_name(&self, name: &str) -> Option<&str> {
        if let Some(found) = self.encodings.as_ref().and_then(|encodings| encodings.find(name)) {
            return self.labels.get(found.pattern().as_usize()).map(String::as_str);
        }
        tokens::find(name, &self.rules).first().map(|token| token.rule)
    }

    /// Whether a text holds a secret of the environment in any encoding.
    pub fn holds_known(&self, text: &str) -> bool {
        self.encodings.as_ref().is_some_and(|encodings| encodings.is_match(text))
    }

    fn without_known(&self, text: &str, found: &mut Findings) -> String {
        let Some(encodings) = &self.encodings else { return text.to_owned() };
        let mut out = String::with_capacity(text.len());
        encodings.replace_all_with(text, &mut out, |hit, _, out| {
            let label = self.labels.get(hit.pattern().as_usize()).map_or("secret", String::as_str);
            found.add(&format!("env:{label}"));
            out.push_str(&self.placeholder(label));
            true
        });
        let out = patterns::decoded(&out, found, |word| encodings.is_match(word));
        // What stands for a secret may, with its neighbours, spell another.
        if encodings.is_match(&out) { HIDDEN.to_owned() } else { out }
    }

    /// A secret may be a word of the placeholder that would stand for it.
    fn placeholder(&self, label: &str) -> String {
        let named = redacted(label);
        if self.holds_known(&named) { HIDDEN.to_owned() } else { named }
    }

    fn by_looks(&self, text: String, entropy: bool, found: &mut Findings) -> String {
        let (replaced, any) = tokens::redact(&text, &self.rules, entropy, found);
        match self.on_secret {
            OnSecret::Warn => text,
            OnSecret::Redact | OnSecret::Fail if any => replaced,
            OnSecret::Redact | OnSecret::Fail => text,
        }
    }
}

/// The rule of what its name gives away.
const NAMED: &str = "named";

/// Shorter than any secret that is looked for.
const HIDDEN: &str = "***";

/// What stands for a secret.
fn redacted(rule: &str) -> String {
    format!("[redacted:{rule}]")
}

/// Whether all of this was replaced already, but for a word before it (`Bearer …`).
fn is_redacted(text: &str) -> bool {
    let last = text.trim().rsplit(' ').next().unwrap_or_default();
    last == HIDDEN || last.strip_prefix("[redacted:").is_some_and(|rest| rest.find(']') == Some(rest.len() - 1))
}

/// The secrets of an environment: variables whose name tells it, except `harmless` ones, whose value is of a length to look for.
///
/// # Errors
/// Never: the rules are ours.
pub fn secrets(
    environment: &BTreeMap<String, String>,
    harmless: &BTreeSet<String>,
) -> anyhow::Result<Vec<(String, String)>> {
    let rules = Rules::builtin()?;
    let secret = |name: &str| {
        let name = name.to_lowercase();
        rules.variables.iter().any(|word| name.contains(word.as_str()))
    };
    let named = environment.iter().filter(|(name, _)| secret(name) && !harmless.contains(*name));
    Ok(named.map(|(name, value)| (name.clone(), value.clone())).collect())
}

#[cfg(test)]
mod tests;
