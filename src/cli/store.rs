//! `tidewaiter store serve|migrate|fsck|backup`: the metadata store (docs/store.md).

use super::ui;
use crate::{
    resource::Span,
    server::{Bounds, Chains, Options, Rates, Server, publisher},
    store::{Location, blob::objects::Objects, database, lock::Lock},
};
use anyhow::Context as _;
use std::{net::SocketAddr, path::PathBuf};
use tokio_util::sync::CancellationToken;

mod backup;
mod fsck;

/// Keep layouts and links, and answer what is known about an image
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Serve(Box<ServeArgs>),
    Migrate(MigrateArgs),
    Fsck(fsck::FsckArgs),
    Backup(backup::BackupArgs),
}

/// Serve the metadata store over HTTP
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewaiter store serve --database sqlite:/var/lib/tidewaiter/store.db \\
      --config chains.yaml
  tidewaiter store serve --config chains.yaml \\
      --database postgres://tidewaiter@db.example.com/tidewaiter
  tidewaiter store serve --listen 0.0.0.0:8443 --tls-cert tls.crt \\
      --tls-key tls.key \\
      --database sqlite:store.db --objects file:///var/lib/tidewaiter/objects \\
      --config chains/ --metrics-listen 0.0.0.0:9090
  tidewaiter store serve --database sqlite:store.db \\
      --config chains.yaml --publish")]
pub struct ServeArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR", env = "TIDEWAITER_STORE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where records are kept: sqlite:PATH or postgres://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE
    #[arg(long, value_name = "URL", env = "TIDEWAITER_STORE_DATABASE", hide_env_values = true)]
    database: String,
    /// Bring the database's tables up to date first; with false, one that is behind is refused
    #[arg(long, env = "TIDEWAITER_STORE_MIGRATE", default_value_t = true, action = clap::ArgAction::Set)]
    migrate: bool,
    /// Where bodies of more than 64 KiB go: file:///DIR or s3://BUCKET/PREFIX, with the environment of every client of S3;
    /// without it, into the database
    #[arg(long, value_name = "URL", env = "TIDEWAITER_STORE_OBJECTS")]
    objects: Option<String>,
    /// Chain and TrustRoot documents: a file, or a directory of *.yaml, *.yml and *.json
    #[arg(long, value_name = "FILE|DIR", env = "TIDEWAITER_STORE_CONFIG")]
    config: PathBuf,
    /// Certificate chain, PEM; without it plain http is served
    #[arg(long, value_name = "FILE", env = "TIDEWAITER_STORE_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", env = "TIDEWAITER_STORE_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Authorities of client certificates, PEM: writers and readers may prove a SPIFFE ID
    #[arg(long, value_name = "FILE", env = "TIDEWAITER_STORE_CLIENT_CA", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// Records that one principal may write per second, in bursts of ten seconds' worth; 0: no limit
    #[arg(long, value_name = "N", env = "TIDEWAITER_STORE_BUDGET_WRITES_PER_SECOND", default_value_t = Rates::default().writes)]
    budget_writes_per_second: u32,
    /// Images that one principal may ask for per second, likewise
    #[arg(long, value_name = "N", env = "TIDEWAITER_STORE_BUDGET_READS_PER_SECOND", default_value_t = Rates::default().reads)]
    budget_reads_per_second: u32,
    /// Forget what clusters reported longer ago: 90d, 12h, at most 366d; without it verdicts are kept for ever
    #[arg(long, value_name = "DURATION", env = "TIDEWAITER_STORE_KEEP_VERDICTS")]
    keep_verdicts: Option<Span>,
    /// Where /metrics, /healthz and /readyz listen, over plain http
    #[arg(long, value_name = "ADDR", env = "TIDEWAITER_STORE_METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,
    /// Publish the evidence of chains that say so beside their images in registries
    #[arg(long, env = "TIDEWAITER_STORE_PUBLISH", value_parser = clap::builder::BoolishValueParser::new())]
    publish: bool,
    /// Docker configuration with the credentials to publish with (default: $DOCKER_CONFIG/config.json where it exists)
    #[arg(long, env = "TIDEWAITER_DOCKER_CONFIG", value_name = "FILE")]
    docker_config: Option<PathBuf>,
}

/// Make a database's tables, or bring them up to date, and end
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewaiter store migrate --database sqlite:/var/lib/tidewaiter/store.db")]
pub struct MigrateArgs {
    /// The database: sqlite:PATH or postgres://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE
    #[arg(long, value_name = "URL", env = "TIDEWAITER_STORE_DATABASE", hide_env_values = true)]
    database: String,
}

/// Runs the subcommand: 0 when it ended as asked.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Serve(args) => serve(*args).await,
        Command::Migrate(args) => migrate(args).await,
        Command::Fsck(args) => fsck::run(args).await,
        Command::Backup(args) => backup::run(args).await,
    }
}

async fn serve(args: ServeArgs) -> anyhow::Result<u8> {
    ui::log(ui::LogFormat::Json);
    let options = Options {
        listen: args.listen,
        tls: args.tls_cert.zip(args.tls_key),
        client_ca: args.client_ca,
        metrics_listen: args.metrics_listen,
        database: database::Options {
            migrate: args.migrate,
            objects: args.objects.as_deref().map(Objects::open).transpose().context("--objects")?,
            ..database::Options::at(location(&args.database)?)
        },
        chains: Chains::read(&args.config)?,
        bounds: Bounds {
            rates: Rates { writes: args.budget_writes_per_second, reads: args.budget_reads_per_second },
            ..Bounds::default()
        },
    };
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    if options.tls.is_none() && !args.listen.ip().is_loopback() {
        anstream::eprintln!("warning: tokens cross the network in the clear: give --tls-cert and --tls-key");
    }
    // Until the last of what was begun is done.
    let location = &options.database.location;
    let _lock = Lock::take(location).with_context(|| format!("database {location}"))?;
    let mut server = Server::open(options).await?;
    if let Some(keep) = args.keep_verdicts {
        server = server.keeping_verdicts(keep.duration());
    }
    if args.publish {
        server = server.publishing(publisher::Options { docker_config: args.docker_config, ..Default::default() });
    }
    anstream::println!("store listening on {scheme}://{}", server.local_addr());
    if let Some(metrics) = server.metrics_addr() {
        anstream::println!("metrics on http://{metrics}/metrics");
    }
    let stop = CancellationToken::new();
    let signalled = stop.clone();
    // Ends with the process, or with the signal it waits for.
    let signals = tokio::spawn(async move {
        match signal().await {
            Ok(()) => signalled.cancel(),
            Err(error) => tracing::error!(%error, "signals"),
        }
    });
    let served = server.run(stop).await;
    signals.abort();
    served.map(|()| 0)
}

async fn migrate(args: MigrateArgs) -> anyhow::Result<u8> {
    let location = location(&args.database)?;
    let count = database::migrate(&location).await.with_context(|| format!("database {location}"))?;
    anstream::println!("{location}: up to date, {count} migration(s)");
    Ok(0)
}

/// What `--database` names. The text may hold a password, so an error does not repeat it.
fn location(database: &str) -> anyhow::Result<Location> {
    database.parse().context("--database")
}

async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
