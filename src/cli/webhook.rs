//! `tidewaiter webhook`: serves admission.

use super::ui::{self, Credentials, JudgeArgs, LogFormat};
use crate::{
    cluster::leader::Trust,
    serve::{self, tls::Source},
    webhook::{
        config::Directory,
        http::{self, Webhook},
        metrics::Metrics,
        policies::Settings,
        reports::{self, Reports},
    },
};
use anyhow::{Context, bail};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

mod cluster; // what runs beside the listener in a cluster

/// Serve the admission webhook
///
/// `/validate` judges, `/mutate` pins the images of Pods. Start-up needs no network.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidewaiter webhook --policy /etc/tidewaiter/policies \\
      --tls-dir /etc/tidewaiter/tls
  tidewaiter webhook --policy policy.yaml --tls-cert tls.crt \\
      --tls-key tls.key --listen 127.0.0.1:8443
  tidewaiter webhook --policy policies/ --tls-dir tls \\
      --store https://store.tidewaiter:8443 --audit-only
  tidewaiter webhook --policy policies/ --tls-dir tls \\
      --store https://store.tidewaiter:8443 --report-verdicts west
  tidewaiter webhook --kubernetes --tls-dir /etc/tidewaiter/tls
  tidewaiter webhook --kubernetes --tls-secret tidewaiter-tls \\
      --registration /etc/tidewaiter/registration")]
pub struct Args {
    /// Policy documents: a file or a directory, watched
    #[arg(long, env = "TIDEWAITER_POLICY", value_name = "FILE|DIR")]
    pub policy: Option<PathBuf>,
    /// Policies and namespaces come from the cluster, instead of --policy
    #[arg(long, env = "TIDEWAITER_KUBERNETES", value_parser = clap::builder::BoolishValueParser::new())]
    pub kubernetes: bool,
    /// The namespace we run in, with --kubernetes (default: that of the service account or of the kubeconfig)
    #[arg(long, env = "TIDEWAITER_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The Service that the API server calls us by
    #[arg(
        long,
        env = "TIDEWAITER_SERVICE",
        value_name = "NAME",
        default_value = "tidewaiter",
        requires = "kubernetes"
    )]
    pub service: String,
    /// Directory of registration.yaml, the webhook configurations that are filled in when we are ready
    #[arg(long, env = "TIDEWAITER_REGISTRATION", value_name = "DIR", requires = "kubernetes")]
    pub registration: Option<PathBuf>,
    /// Secret in which we keep our own serving certificate, and renew it
    #[arg(long, env = "TIDEWAITER_TLS_SECRET", value_name = "NAME", requires = "kubernetes", conflicts_with_all = ["tls_dir", "tls_cert", "tls_key", "insecure_http"])]
    pub tls_secret: Option<String>,
    /// Read the pull secrets of a pod and of its service account, each for its own host
    #[arg(long, env = "TIDEWAITER_PULL_SECRETS", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, requires = "kubernetes")]
    pub pull_secrets: bool,
    /// Address of the admission port
    #[arg(long, env = "TIDEWAITER_LISTEN", value_name = "ADDR", default_value = "0.0.0.0:8443")]
    pub listen: SocketAddr,
    /// Address of metrics and health, plain http
    #[arg(long, env = "TIDEWAITER_METRICS_LISTEN", value_name = "ADDR", default_value = "0.0.0.0:8080")]
    pub metrics_listen: SocketAddr,
    /// Directory that holds tls.crt and tls.key, watched
    #[arg(long, env = "TIDEWAITER_TLS_DIR", value_name = "DIR", conflicts_with_all = ["tls_cert", "tls_key"])]
    pub tls_dir: Option<PathBuf>,
    /// Serving certificate, PEM, watched
    #[arg(long, env = "TIDEWAITER_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, env = "TIDEWAITER_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Serve admission over plain http: behind a proxy on the same host, or for tests
    #[arg(long, env = "TIDEWAITER_INSECURE_HTTP", value_parser = clap::builder::BoolishValueParser::new(), conflicts_with_all = ["tls_dir", "tls_cert", "tls_key"])]
    pub insecure_http: bool,
    /// Seconds to go on serving after SIGTERM, with readiness failing, before connections are closed
    #[arg(long, env = "TIDEWAITER_DRAIN", value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(0..=20))]
    pub drain: u64,
    /// Connections at once
    #[arg(long, env = "TIDEWAITER_CONNECTIONS_MAX", value_name = "COUNT", default_value_t = 1024)]
    pub connections_max: usize,
    /// Reviews at once; more are denied as overloaded
    #[arg(long, env = "TIDEWAITER_REVIEWS_MAX", value_name = "COUNT", default_value_t = http::REVIEWS_MAX)]
    pub reviews_max: usize,
    /// Tell the store each verdict, under this name of the cluster
    #[arg(long, env = "TIDEWAITER_REPORT_VERDICTS", value_name = "CLUSTER", requires = "store", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub report_verdicts: Option<String>,
    /// Format of the log on stderr
    #[arg(long, env = "TIDEWAITER_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
    #[command(flatten)]
    pub judge: JudgeArgs,
}

pub async fn run(args: Args) -> anyhow::Result<u8> {
    let Args {
        policy,
        kubernetes,
        namespace,
        service,
        registration,
        tls_secret,
        pull_secrets,
        listen,
        metrics_listen,
        tls_dir,
        tls_cert,
        tls_key,
        insecure_http,
        drain,
        connections_max,
        reviews_max,
        report_verdicts,
        log_format,
        judge,
    } = args;
    let origin = match (policy, kubernetes) {
        (Some(_), true) => bail!("--policy and --kubernetes are given: policies come from one place"),
        (None, false) => bail!("no policies: give --policy, or --kubernetes"),
        // The documents are read again and again; stdin is empty the second time.
        (Some(path), false) if path.as_os_str() == "-" => {
            bail!("--policy is stdin, expected a file or a directory to watch")
        }
        (Some(path), false) => Origin::Files(path),
        (None, true) => Origin::Cluster(cluster::Place { namespace, service, registration, tls_secret, pull_secrets }),
    };
    ui::log(log_format);
    let stop = CancellationToken::new();
    on_signal(stop.clone())?;
    let made = match &origin {
        Origin::Cluster(place) => place.certificate(&stop).await?,
        Origin::Files(_) => None,
    };
    let bundle = tls_dir.as_ref().map(|dir| dir.join("ca.crt"));
    let tls = match (&made, tls_dir, tls_cert, tls_key) {
        (Some(kept), ..) => Some(Source::Held(kept.certificates())),
        (None, Some(dir), ..) => Some((dir.join("tls.crt"), dir.join("tls.key")).into()),
        (None, None, Some(certificate), Some(key)) => Some((certificate, key).into()),
        _ if insecure_http => None,
        _ => bail!("no serving certificate: give --tls-secret, --tls-dir, or --tls-cert and --tls-key"),
    };
    let drain = Duration::from_secs(drain);
    let bound = serve::bind(serve::Options { listen, tls, connections_max, drain }).await?;
    let metrics_bound =
        serve::bind(serve::Options { listen: metrics_listen, tls: None, connections_max: 64, drain }).await?;

    let settings = judge.settings(Credentials::None)?;
    let store = settings.store.clone();
    let metrics = Arc::new(Metrics::new().context("register metrics")?);
    let (webhook, watch) = match origin {
        Origin::Files(path) => {
            let documents = open(path, settings).await?;
            let webhook = Webhook::new(documents.policies(), metrics, reviews_max, stop.clone());
            (webhook, tokio::spawn(documents.watch(stop.clone())))
        }
        Origin::Cluster(place) => {
            let trust = made.map(Trust::Made).or(bundle.map(Trust::Given));
            place.start(settings, trust, metrics, reviews_max, &stop).await?
        }
    };
    if let (Some(store), Some(cluster)) = (store, report_verdicts) {
        webhook.report(Reports::start(store, &cluster, reports::Times::default(), stop.clone()));
    }
    watchdog(stop.clone());
    let metrics_router = webhook.metrics_router(bound.certificates());
    let (served, metrics_served) =
        tokio::join!(bound.run(webhook.router(), stop.clone()), metrics_bound.run(metrics_router, stop.clone()));
    watch.abort();
    served?;
    metrics_served?;
    Ok(0)
}

/// Where policies come from.
enum Origin {
    Files(PathBuf),
    Cluster(cluster::Place),
}

/// The documents on disk, loaded for the first time.
async fn open(path: PathBuf, settings: Settings) -> anyhow::Result<Arc<Directory>> {
    let documents = tokio::task::spawn_blocking(move || Directory::open(path, settings)).await;
    let documents = documents.context("load policies")?;
    match documents.policies().current() {
        Ok(snapshot) => tracing::info!(policy_hash = %snapshot.set.hash(), "policies loaded"),
        Err(fault) => {
            tracing::error!(reason = fault.reason.as_str(), error = fault.message, "no policies: everything is denied")
        }
    }
    Ok(Arc::new(documents))
}

/// SIGTERM or SIGINT drains; a second one ends the process at once.
fn on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen to SIGINT")?;
    tokio::spawn(async move {
        for patience in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if !patience {
                tracing::warn!("second signal: not draining any longer");
                std::process::exit(130);
            }
            stop.cancel();
        }
    });
    Ok(())
}

/// F18: where the runtime does not get to a task of ours for 10 s, a restart is better than a dead replica.
fn watchdog(stop: CancellationToken) {
    let (beat, beats) = std::sync::mpsc::channel();
    tokio::spawn(async move {
        while !stop.is_cancelled() && beat.send(()).is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    std::thread::spawn(move || {
        loop {
            match beats.recv_timeout(Duration::from_secs(10)) {
                Ok(()) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    tracing::error!("the runtime has stalled for 10 s: exiting");
                    std::process::exit(70);
                }
            }
        }
    });
}
