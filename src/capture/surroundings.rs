//! Where a step runs: the environment, the CI system in it, and what is known of both before the step begins.

use super::{
    ci::{self, Detected, Table, Variables},
    facts::Facts,
    git,
    redact::{self, OnSecret, Redactor},
};
use crate::{digest::Digest, file};
use std::path::Path;

/// Bytes of a file of variables.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Our own variables that are no secrets, though their names sound like it: paths, names.
const HARMLESS: [&str; 5] = [
    "TIDEWAITER_KEY",
    "TIDEWAITER_STORE_TOKEN_FILE",
    "TIDEWAITER_STORE_TOKEN_ENV",
    "TIDEWAITER_ID_TOKEN_FILE",
    "TIDEWAITER_ON_SECRET",
];

/// The environment, and what was recognised in it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    pub environment: Variables,
    pub detected: Option<Detected>,
}

impl Surroundings {
    /// Those of this process; `table` may know more CI systems.
    ///
    /// # Errors
    /// The table cannot be used.
    pub fn of_this_process(table: Option<&Path>) -> anyhow::Result<Self> {
        let environment = ci::environment();
        let read = |path: &Path| file::read_text(path, FILE_BYTES_MAX).ok();
        let detected = ci::detect(&Table::with(table)?, &environment, &read);
        Ok(Surroundings { environment, detected })
    }

    /// Finds this environment's secrets, and `more` of them by name and value.
    ///
    /// # Errors
    /// There are more of them than can be looked for.
    pub fn redactor(&self, more: Vec<(String, String)>, on_secret: OnSecret) -> anyhow::Result<Redactor> {
        let known = self.detected.iter().flat_map(|detected| detected.variables.iter().map(String::as_str));
        let harmless = known.chain(HARMLESS).map(str::to_owned).collect();
        Redactor::new(redact::secrets(&self.environment, &harmless)?.into_iter().chain(more), on_secret)
    }

    /// The run of the pipeline as the CI system tells it.
    pub fn run(&self) -> Option<&str> {
        self.detected.as_ref()?.run.as_deref()
    }

    /// What is known before a step in `directory`. What the CI system says of the commit comes before what lies there, for that may be
    /// a part of it; where it says nothing, the repository does.
    pub async fn facts(
        &self,
        directory: &Path,
        run: Option<&str>,
        variables: &[String],
        config: Option<&Digest>,
    ) -> Facts {
        let mut facts = git::facts(directory).await;
        for (name, value) in self.detected.iter().flat_map(|detected| &detected.facts) {
            match name.as_str() {
                "vcs.repository.url.full" => facts.set(name, git::without_userinfo(value)),
                _ => facts.set(name, value.as_str()),
            }
        }
        for (name, own) in [
            ("vcs.ref.head.revision", "git.commit"),
            ("vcs.ref.head.name", "git.branch"),
            ("vcs.repository.url.full", "git.remote"),
        ] {
            if let Some(fact) = facts.get(own).cloned() {
                facts.set_default(name, fact);
            }
        }
        if let Some(run) = run {
            facts.set("tidewaiter.run", run);
        }
        if let Some(digest) = config {
            facts.set("tidewaiter.config.digest", digest.to_string());
        }
        facts.of_environment(variables, &self.environment);
        facts.of_machine();
        facts
    }
}
