//! What every subcommand shares: output format, colour that respects NO_COLOR, the edges' options by flag, the log.

use crate::{
    file, policy,
    reference::Reference,
    registry::{self, Registries, default_docker_config},
    resource,
    source::store::{self, StoreClient},
    webhook::policies,
};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// `--output text|json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

/// Policy documents on disk: `verify`, `review`.
#[derive(Clone, Debug, clap::Args)]
pub struct DocumentArgs {
    /// Policy documents: a file or a directory; `-` is stdin
    #[arg(long, env = "TIDEWAITER_POLICY", value_name = "FILE|DIR")]
    pub policy: std::path::PathBuf,
}

/// How is judged and where evidence is read: shared by `webhook`, `verify`, `review`.
#[derive(Clone, Debug, clap::Args)]
pub struct JudgeArgs {
    /// What happens to an image that no policy selects
    #[arg(long, env = "TIDEWAITER_UNMATCHED", value_enum, ignore_case = true, default_value_t = Unmatched::Warn)]
    pub unmatched: Unmatched,
    /// Force Audit mode on every policy
    #[arg(long, env = "TIDEWAITER_AUDIT_ONLY", value_parser = clap::builder::BoolishValueParser::new())]
    pub audit_only: bool,
    /// URL of the metadata store
    #[arg(long, env = "TIDEWAITER_STORE", value_name = "URL")]
    pub store: Option<String>,
    /// File that holds the store's reader token
    #[arg(long, env = "TIDEWAITER_STORE_TOKEN_FILE", value_name = "FILE")]
    pub store_token_file: Option<std::path::PathBuf>,
    /// CA bundle of the store
    #[arg(long, env = "TIDEWAITER_STORE_CA", value_name = "FILE")]
    pub store_ca: Option<std::path::PathBuf>,
    /// Docker configuration with registry credentials (default: $DOCKER_CONFIG/config.json where it exists)
    #[arg(long, env = "TIDEWAITER_DOCKER_CONFIG", value_name = "FILE")]
    pub docker_config: Option<std::path::PathBuf>,
}
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Unmatched {
    Allow,
    Warn,
    Deny,
}
impl From<Unmatched> for policy::Unmatched {
    fn from(unmatched: Unmatched) -> Self {
        match unmatched {
            Unmatched::Allow => policy::Unmatched::Allow,
            Unmatched::Warn => policy::Unmatched::Warn,
            Unmatched::Deny => policy::Unmatched::Deny,
        }
    }
}

/// Whose docker configuration is used where no flag names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// On a laptop: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`, where it exists.
    OfThePerson,
    /// In a cluster: none.
    None,
}

impl JudgeArgs {
    /// What the flags mean.
    ///
    /// # Errors
    /// The store's token or CA cannot be read, or its URL is none.
    pub fn settings(self, credentials: Credentials) -> anyhow::Result<policies::Settings> {
        let JudgeArgs { unmatched, audit_only, store, store_token_file, store_ca, docker_config } = self;
        let store = store.map(|url| client(url, store_token_file, store_ca)).transpose()?;
        let docker_config = docker_config.or_else(|| match credentials {
            Credentials::OfThePerson => default_docker_config(),
            Credentials::None => None,
        });
        Ok(policies::Settings { unmatched: unmatched.into(), audit_only, store, docker_config })
    }
}

/// The store answers from an index in milliseconds; an evidence set is some megabytes at most.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

fn client(url: String, token_file: Option<PathBuf>, ca_file: Option<PathBuf>) -> anyhow::Result<Arc<StoreClient>> {
    let token = match token_file {
        Some(path) => {
            let text = file::read_text(&path, file::SMALL_BYTES_MAX)?;
            Some(text.trim().to_owned())
        }
        None => None,
    };
    Ok(Arc::new(StoreClient::new(&store::Options { url, token, ca_file, timeout: STORE_TIMEOUT })?))
}

/// The one registry that a person names on the command line: `in-toto verify`, `inspect`.
#[derive(Clone, Debug, clap::Args)]
pub struct RegistryArgs {
    /// Talk http to the registry
    #[arg(long)]
    pub plain_http: bool,
    /// The only CA certificates to trust (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Docker configuration with registry credentials (default: $DOCKER_CONFIG/config.json where it exists)
    #[arg(long, env = "TIDEWAITER_DOCKER_CONFIG", value_name = "FILE")]
    pub docker_config: Option<PathBuf>,
}

impl RegistryArgs {
    /// A reader of the registry that `image` names: at a private address too, and over http where the person says so.
    ///
    /// # Errors
    /// A file cannot be read, or the flags do not go together.
    pub fn reader(&self, image: &Reference) -> anyhow::Result<Registries> {
        let mut spec =
            serde_json::json!({ "host": image.registry(), "allowPrivate": true, "insecure": self.plain_http });
        if let Some(file) = &self.ca_file {
            spec["caBundle"] = file::read_text(file, file::SMALL_BYTES_MAX)?.into();
        }
        let document = serde_json::json!({
            "apiVersion": resource::API_VERSION, "kind": "RegistryConfig", "metadata": { "name": "command-line" }, "spec": spec,
        });
        let resources = match resource::parse("command line", &document.to_string()) {
            Ok(resources) => resources,
            Err(errors) => anyhow::bail!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        };
        // Over plain http nothing of the person's own goes along unasked.
        let default = || if self.plain_http { None } else { default_docker_config() };
        Registries::new(&registry::Options { docker_config: self.docker_config.clone().or_else(default), resources })
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Json,
    Text,
}

/// Starts the log on stderr; `RUST_LOG` filters it. What a registry or a review says never reaches it at `info`.
pub fn log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call (tests) finds the first one's log in place.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => builder.with_ansi(std::env::var_os("NO_COLOR").is_none()).try_init(),
    };
}

/// The verdict word, in colour where the terminal has some (anstream strips it elsewhere, and under NO_COLOR).
pub fn verdict(allowed: bool) -> String {
    use owo_colors::OwoColorize;
    if allowed { "allowed".green().bold().to_string() } else { "denied".red().bold().to_string() }
}
