//! Which CI system this is, and what it says of itself (store §5.2): pure, over variables and a table that is data.
//!
//! A variable that is missing or empty is missing: nothing here makes an empty fact of it. What the table says of tokens is carried out
//! by `identity`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use table::{Source, System};

mod table;
pub mod template;

pub use table::Table;

/// Names and values: the environment, and what files add to it.
pub type Variables = BTreeMap<String, String>;

/// This process's environment; what is not UTF-8 cannot be written into a link and is left out.
pub fn environment() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// A CI system that was recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detected {
    /// Its name in the table.
    pub system: String,
    /// The key of this run of the pipeline.
    pub run: Option<String>,
    /// By OpenTelemetry's names (CI/CD and VCS conventions) where they have one.
    pub facts: BTreeMap<String, String>,
    /// Where the identity token is.
    pub token: Option<TokenSource>,
    /// Where records may wait for a store that is down.
    pub spool: Option<PathBuf>,
    /// The variables the facts were made of: the only ones of the environment that are recorded unasked.
    pub variables: BTreeSet<String>,
}

/// Where a job gets the token that proves which job it is. Its values are secrets: `Debug` names the kind alone.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// The value of a variable.
    Variable { name: String, value: String },
    /// A URL that gives one to who has the bearer token.
    Url(TokenUrl),
    /// What a command prints; `{audience}` is to be replaced.
    Command(Vec<String>),
    /// A mounted file.
    File(PathBuf),
}
impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.described())
    }
}
impl TokenSource {
    /// For people, without what is secret in it.
    pub fn described(&self) -> String {
        match self {
            TokenSource::Variable { name, .. } => format!("the variable {name}"),
            TokenSource::Url(_) => "asked for at the CI system".to_owned(),
            TokenSource::Command(words) => format!("the command {}", words.first().map_or("", String::as_str)),
            TokenSource::File(path) => format!("the file \"{}\"", path.display()),
        }
    }
}

/// A request for a token.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenUrl {
    pub url: String,
    pub bearer: String,
    pub post: bool,
    /// The query parameter that says for whom, where there is one.
    pub audience: Option<String>,
    /// The member of the answer that is the token.
    pub member: String,
}

/// The system whose row fits first. `read` gives a small file's text, where there is one.
pub fn detect(table: &Table, environment: &Variables, read: &dyn Fn(&Path) -> Option<String>) -> Option<Detected> {
    table.systems().find_map(|system| system.recognise(environment, read))
}

impl System {
    fn recognise(&self, environment: &Variables, read: &dyn Fn(&Path) -> Option<String>) -> Option<Detected> {
        let paths = self.files.iter().filter_map(|path| template::fill(path, environment));
        let text = paths.into_iter().find_map(|path| read(Path::new(&path)));
        let mut known = text.map(|text| template::properties(&text)).unwrap_or_default();
        known.extend(environment.iter().map(|(name, value)| (name.clone(), value.clone())));
        if !self.detect.iter().any(|words| template::holds(words, &known)) {
            return None;
        }
        let mut facts: BTreeMap<String, String> =
            self.facts.iter().filter_map(|(name, sources)| Some((name.clone(), first(sources, &known)?))).collect();
        facts.insert("cicd.system".to_owned(), self.name.clone());
        let used = self.facts.values().chain([&self.run]).flatten().flat_map(|source| template::names(source.value()));
        Some(Detected {
            system: self.name.clone(),
            run: first(&self.run, &known),
            facts,
            token: self.token_source(&known, read),
            spool: self.spool.iter().find_map(|path| template::fill(path, &known)).map(PathBuf::from),
            variables: used.map(str::to_owned).collect(),
        })
    }

    /// A token that is there comes before one that is asked for. `TIDEWAITER_ID_TOKEN_FILE` does for every system.
    fn token_source(&self, known: &Variables, read: &dyn Fn(&Path) -> Option<String>) -> Option<TokenSource> {
        if let Some(path) = template::given("TIDEWAITER_ID_TOKEN_FILE", known) {
            return Some(TokenSource::File(PathBuf::from(path)));
        }
        let token = &self.token;
        let variable = token.env.iter().find_map(|name| Some((name, template::given(name, known)?)));
        if let Some((name, value)) = variable {
            return Some(TokenSource::Variable { name: name.clone(), value: value.to_owned() });
        }
        let url = token.url.as_ref().and_then(|url| template::fill(url, known));
        let bearer = token.bearer.as_ref().and_then(|name| template::given(name, known));
        if let (Some(url), Some(bearer)) = (url, bearer) {
            return Some(TokenSource::Url(TokenUrl {
                url,
                bearer: bearer.to_owned(),
                post: token.post,
                audience: token.audience.clone(),
                member: token.member.clone(),
            }));
        }
        if let Some(path) = token.file.iter().map(PathBuf::from).find(|path| read(path).is_some()) {
            return Some(TokenSource::File(path));
        }
        (!token.command.is_empty()).then(|| TokenSource::Command(token.command.clone()))
    }
}

fn first(sources: &[Source], known: &Variables) -> Option<String> {
    sources.iter().find_map(|source| source.resolve(known))
}

#[cfg(test)]
mod tests;
