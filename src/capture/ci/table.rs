//! The table of CI systems as it is written (`systems.toml`), and a person's own rows before ours.

use super::{Variables, template};
use crate::file;
use anyhow::Context as _;
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

const BUILTIN: &str = include_str!("systems.toml");

/// Every system that is known, in the order in which they are tried.
#[derive(Clone, Debug)]
pub struct Table {
    systems: Vec<System>,
}

impl Table {
    /// The systems we know.
    ///
    /// # Errors
    /// Never, as a test sees to.
    pub fn builtin() -> anyhow::Result<Self> {
        Table::parse(BUILTIN, Vec::new()).context("the table of CI systems")
    }

    /// With the rows of a file before ours. Whoever records a tree does not let the tree say what is recorded of the system, or which
    /// command gives a token, so the file must not lie in the working directory.
    ///
    /// # Errors
    /// The file lies there, cannot be read, or is no such table.
    pub fn with(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Table::builtin() };
        let named = || format!("the table of CI systems \"{}\"", path.display());
        let (real, here) = (path.canonicalize().with_context(named)?, Path::new(".").canonicalize()?);
        anyhow::ensure!(
            here.parent().is_none() || !real.starts_with(&here),
            "{} lies in the working directory, which may not say how it is recorded",
            named()
        );
        Table::parse(&file::read_text(path, file::SMALL_BYTES_MAX)?, Table::builtin()?.systems).with_context(named)
    }

    fn parse(text: &str, behind: Vec<System>) -> anyhow::Result<Self> {
        let rows: Rows = toml::from_str(text)?;
        let mut systems: Vec<System> = rows.system.into_iter().chain(behind).collect();
        let models = systems.clone();
        for system in &mut systems {
            if let Some(model) = &system.like {
                let found = models.iter().find(|other| other.name == *model && other.like.is_none());
                system.fill_from(found.with_context(|| format!("no system is named \"{model}\""))?);
            }
        }
        Ok(Table { systems })
    }

    pub(super) fn systems(&self) -> impl Iterator<Item = &System> {
        self.systems.iter()
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.systems.iter().map(|system| system.name.as_str())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    system: Vec<System>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct System {
    pub name: String,
    pub detect: Vec<String>,
    like: Option<String>,
    #[serde(default)]
    pub files: Vec<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub run: Vec<Source>,
    #[serde(default)]
    pub spool: Vec<String>,
    #[serde(default)]
    pub token: Token,
    #[serde(default, deserialize_with = "facts")]
    pub facts: BTreeMap<String, Vec<Source>>,
}

impl System {
    fn fill_from(&mut self, model: &System) {
        let own = std::mem::take(&mut self.facts);
        *self =
            System { name: self.name.clone(), detect: self.detect.clone(), like: self.like.take(), ..model.clone() };
        self.facts.extend(own);
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Token {
    pub env: Vec<String>,
    pub file: Vec<String>,
    pub url: Option<String>,
    pub bearer: Option<String>,
    pub post: bool,
    pub audience: Option<String>,
    pub member: String,
    pub command: Vec<String>,
}

/// One way to a value.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Source {
    Plain(String),
    Cut(Cut),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cut {
    value: String,
    after: Option<String>,
    before: Option<String>,
    when: Option<String>,
    unless: Option<String>,
}

impl Source {
    pub fn value(&self) -> &str {
        match self {
            Source::Plain(value) => value,
            Source::Cut(cut) => &cut.value,
        }
    }

    pub fn resolve(&self, known: &Variables) -> Option<String> {
        let filled = template::fill(self.value(), known)?;
        let Source::Cut(cut) = self else { return Some(filled) };
        if cut.when.as_ref().is_some_and(|words| !template::holds(words, known))
            || cut.unless.as_ref().is_some_and(|words| template::holds(words, known))
        {
            return None;
        }
        let tail = match &cut.after {
            Some(prefix) => filled.strip_prefix(prefix.as_str())?,
            None => &filled,
        };
        let text = cut.before.as_ref().and_then(|end| tail.split(end.as_str()).next()).unwrap_or(tail);
        (!text.is_empty()).then(|| text.to_owned())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Source),
    Many(Vec<Source>),
}
impl From<OneOrMany> for Vec<Source> {
    fn from(sources: OneOrMany) -> Self {
        match sources {
            OneOrMany::One(source) => vec![source],
            OneOrMany::Many(sources) => sources,
        }
    }
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Source>, D::Error> {
    OneOrMany::deserialize(from).map(Into::into)
}

fn facts<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Vec<Source>>, D::Error> {
    let facts = BTreeMap::<String, OneOrMany>::deserialize(from)?;
    Ok(facts.into_iter().map(|(name, sources)| (name, sources.into())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_ones_own_comes_first_and_a_wrong_one_is_an_error() {
        let own = "[[system]]\nname = \"ours\"\ndetect = [\"OURS\"]\nlike = \"gitlab\"\n";
        let builtin = Table::builtin().unwrap().systems;
        let table = Table::parse(own, builtin.clone()).unwrap();
        assert_eq!(table.names().next(), Some("ours"));
        assert_eq!(table.systems[0].facts.len(), builtin.iter().find(|row| row.name == "gitlab").unwrap().facts.len());
        for (text, why) in [
            ("[[system]]\nname = \"ours\"\ndetect = []\nlike = \"nobody\"\n", "nobody"),
            ("[[system]]\nname = \"ours\"\ndetect = []\nserver = \"https://x\"\n", "server"),
            ("[[system]]\nname = \"ours\"\n", "detect"),
        ] {
            let error = format!("{:#}", Table::parse(text, builtin.clone()).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn the_tree_may_not_bring_its_own_table() {
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(outside.path(), "[[system]]\nname = \"ours\"\ndetect = [\"OURS\"]\n").unwrap();
        assert_eq!(Table::with(Some(outside.path())).unwrap().names().next(), Some("ours"));
        // Tests run in the directory of the package.
        let inside = Table::with(Some(Path::new("src/capture/ci/systems.toml"))).unwrap_err();
        assert!(format!("{inside:#}").contains("lies in the working directory"), "{inside:#}");
    }
}
