//! The flags of everything that sends records: which store, as whom, for which chain and run, and where records wait for it.

use super::size;
use crate::{
    capture::{
        Surroundings, identity, spool,
        spool::Spool,
        upload::{Belongs, Credential, Store},
    },
    file, source,
};
use anyhow::Context as _;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Where records go, and as whose.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    /// Metadata store to send to
    #[arg(long, env = "TIDEWAITER_STORE", value_name = "URL")]
    store: Option<String>,
    /// The store's chain it belongs to, where its signer works for several
    #[arg(long, env = "TIDEWAITER_CHAIN", value_name = "NAME")]
    chain: Option<String>,
    /// The run of the pipeline it belongs to (default: as the CI system tells it)
    #[arg(long, env = "TIDEWAITER_RUN", value_name = "ID")]
    run: Option<String>,
    /// File that holds the store's writer token (default: the CI system's identity token)
    #[arg(long, env = "TIDEWAITER_STORE_TOKEN_FILE", value_name = "FILE")]
    store_token_file: Option<PathBuf>,
    /// Variable that holds the store's writer token
    #[arg(long, env = "TIDEWAITER_STORE_TOKEN_ENV", value_name = "NAME", conflicts_with = "store_token_file")]
    store_token_env: Option<String>,
    /// Audience to ask the CI system's identity token for (default: the store's URL)
    #[arg(long, env = "TIDEWAITER_STORE_AUDIENCE", value_name = "TEXT")]
    store_audience: Option<String>,
    /// CA bundle of the store
    #[arg(long, env = "TIDEWAITER_STORE_CA", value_name = "FILE")]
    store_ca: Option<PathBuf>,
    /// Directory where records wait for a store that is down (default: a place of the CI system, or of the person)
    #[arg(long, env = "TIDEWAITER_SPOOL", value_name = "DIR")]
    spool: Option<PathBuf>,
    /// The most that may wait there
    #[arg(long, env = "TIDEWAITER_SPOOL_MAX", value_name = "SIZE", default_value = "256MiB", value_parser = size::parse)]
    spool_max: u64,
    /// More CI systems, tried before those that are known; not a file of the working directory
    #[arg(long, env = "TIDEWAITER_CI_TABLE", value_name = "FILE")]
    ci_table: Option<PathBuf>,
}

/// Who the store will see.
pub enum Who {
    Nobody,
    /// A token of a file or a variable, of which nothing more is known.
    Token(&'static str),
    /// The CI system's word for the job.
    Job(crate::capture::ci::TokenSource),
}

impl StoreArgs {
    /// # Errors
    /// The table of CI systems cannot be used.
    pub fn surroundings(&self) -> anyhow::Result<Surroundings> {
        Surroundings::of_this_process(self.ci_table.as_deref())
    }

    pub fn url(&self) -> Option<&str> {
        self.store.as_deref()
    }

    pub fn chain(&self) -> Option<&str> {
        self.chain.as_deref()
    }

    pub fn audience(&self) -> Option<&str> {
        self.store_audience.as_deref().or(self.store.as_deref())
    }

    pub fn run(&self, around: &Surroundings) -> Option<String> {
        self.run.as_deref().or_else(|| around.run()).map(str::to_owned)
    }

    /// What can be known to be wrong before anything is sent.
    ///
    /// # Errors
    /// The URL is none of a store's; a token is named that is not there.
    pub fn check(&self, around: &Surroundings) -> anyhow::Result<()> {
        if let Some(url) = &self.store {
            source::store::base(url)?;
        }
        if let Some(name) = &self.store_token_env {
            around
                .environment
                .get(name)
                .with_context(|| format!("the variable {name} of --store-token-env is not set"))?;
        }
        Ok(())
    }

    /// What must not be recorded though no variable's name tells it.
    pub fn secrets(&self, around: &Surroundings) -> Vec<(String, String)> {
        let of_file = self.store_token_file.as_ref().and_then(|path| file::read_text(path, file::SMALL_BYTES_MAX).ok());
        let of_variable = self.store_token_env.as_ref().and_then(|name| around.environment.get(name).cloned());
        of_file.into_iter().chain(of_variable).map(|value| ("store-token".to_owned(), value)).collect()
    }

    pub fn who(&self, around: &Surroundings) -> Who {
        match (&self.store_token_file, &self.store_token_env) {
            (Some(_), _) => Who::Token("the token of --store-token-file"),
            (None, Some(_)) => Who::Token("the token of --store-token-env"),
            (None, None) => {
                let job = around.detected.as_ref().and_then(|detected| detected.token.clone());
                job.map_or(Who::Nobody, Who::Job)
            }
        }
    }

    /// The store, with the token to show it; `None` where there is no store.
    pub async fn store(&self, around: &Surroundings) -> Option<anyhow::Result<Store>> {
        let url = self.store.clone()?;
        let credential = self.credential(around, self.audience().unwrap_or(&url)).await;
        Some(credential.map(|credential| Store { url, credential, ca_file: self.store_ca.clone() }))
    }

    async fn credential(&self, around: &Surroundings, audience: &str) -> anyhow::Result<Credential> {
        if let Some(path) = &self.store_token_file {
            return Ok(Credential::File(path.clone()));
        }
        if let Some(name) = &self.store_token_env {
            let value = around.environment.get(name);
            let value = value.with_context(|| format!("the variable {name} of --store-token-env is not set"))?;
            return Ok(Credential::Token(Zeroizing::new(value.clone())));
        }
        match self.who(around) {
            Who::Job(source) => Ok(Credential::Token(identity::token(&source, audience).await?)),
            Who::Nobody | Who::Token(_) => Ok(Credential::Nobody),
        }
    }

    /// Where records wait, where there is such a place.
    pub fn spool(&self, around: &Surroundings) -> Option<Spool> {
        let place = self.spool.clone().or_else(|| spool::place(&around.environment, around.detected.as_ref()));
        place.map(|place| Spool::new(place, self.spool_max))
    }

    /// What the store is told of a record.
    pub fn belongs(&self, around: &Surroundings, more: Belongs) -> Belongs {
        Belongs { chain: self.chain.clone(), run: self.run(around), ..more }
    }
}
