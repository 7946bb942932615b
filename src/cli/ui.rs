//! What every subcommand shares: output format, colour that respects NO_COLOR, the edges' options by flag.

/// `--output text|json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

/// Policy documents and where evidence is read: shared by `webhook`, `verify`, `review`.
#[derive(Clone, Debug, clap::Args)]
pub struct JudgeArgs {
    /// Policy documents: a file or a directory
    #[arg(long, env = "TIDEWAITER_POLICY", value_name = "FILE|DIR")]
    pub policy: std::path::PathBuf,
    /// What happens to an image that no policy selects
    #[arg(long, env = "TIDEWAITER_UNMATCHED", value_enum, default_value_t = Unmatched::Warn)]
    pub unmatched: Unmatched,
    /// Force Audit mode on every policy
    #[arg(long, env = "TIDEWAITER_AUDIT_ONLY")]
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
