//! The serving certificate: read, checked, and swapped when its files change or its owner says so (security §3 "Certificates", §4.3 F12).

use crate::file;
use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use notify::Watcher;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Where a listener's pair comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// `tls.crt` and `tls.key` or the like: read at the start, then watched.
    Files { certificate: PathBuf, key: PathBuf },
    /// In memory: whoever made it swaps it.
    Held(Certificates),
}
impl From<(PathBuf, PathBuf)> for Source {
    fn from((certificate, key): (PathBuf, PathBuf)) -> Self {
        Source::Files { certificate, key }
    }
}
impl Source {
    pub(super) fn open(&self) -> anyhow::Result<Certificates> {
        match self {
            Source::Files { certificate, key } => Certificates::load(certificate, key),
            Source::Held(certificates) => Ok(certificates.clone()),
        }
    }
}

/// The pair in use. Cheap to clone; all clones see a swap.
#[derive(Clone, Debug)]
pub struct Certificates(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The certificate's and the key's file; `None`: held in memory.
    files: Option<(PathBuf, PathBuf)>,
    current: ArcSwap<Pair>,
}

/// A certificate chain with its key, which match, and the bytes they were read from.
struct Pair {
    key: Arc<CertifiedKey>,
    expires: jiff::Timestamp,
    read: (Vec<u8>, Vec<u8>),
}

/// Without the key.
impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads the pair for the first time.
    ///
    /// # Errors
    /// A file cannot be read or parsed, the key is not the certificate's, or the certificate has expired.
    pub fn load(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let pair = Pair::new(file::read(certificate, file::SMALL_BYTES_MAX)?, file::read(key, file::SMALL_BYTES_MAX)?)
            .with_context(|| format!("serving certificate {} with key {}", certificate.display(), key.display()))?;
        Ok(Self::of(pair, Some((certificate.into(), key.into()))))
    }

    /// A pair in memory, in PEM: nothing is watched, its owner calls `swap`.
    ///
    /// # Errors
    /// A part cannot be parsed, the key is not the certificate's, or the certificate has expired.
    pub fn held(certificate: &[u8], key: &[u8]) -> anyhow::Result<Self> {
        Ok(Self::of(Pair::new(certificate.into(), key.into())?, None))
    }

    fn of(pair: Pair, files: Option<(PathBuf, PathBuf)>) -> Self {
        Certificates(Arc::new(Shared { files, current: ArcSwap::from_pointee(pair) }))
    }

    /// Serves this pair from the next handshake on; whether it is another one than before.
    ///
    /// # Errors
    /// As `held`; the old pair stays then.
    pub fn swap(&self, certificate: &[u8], key: &[u8]) -> anyhow::Result<bool> {
        if self.pem() == (certificate.to_vec(), key.to_vec()) {
            return Ok(false);
        }
        self.0.current.store(Arc::new(Pair::new(certificate.into(), key.into())?));
        Ok(true)
    }

    /// The certificate and the key in use, as they were read.
    pub(crate) fn pem(&self) -> (Vec<u8>, Vec<u8>) {
        self.0.current.load().read.clone()
    }

    /// Until when the certificate in use is valid.
    pub fn expires(&self) -> jiff::Timestamp {
        self.0.current.load().expires
    }

    /// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN (H2).
    pub(super) fn server_config(
        &self,
        clients: Option<super::clients::Authorities>,
    ) -> anyhow::Result<Arc<ServerConfig>> {
        let resumed = clients.is_none();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("choose TLS versions")?;
        let config = match clients {
            Some(clients) => config.with_client_cert_verifier(Arc::new(clients)),
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(Arc::new(self.clone()));
        if !resumed {
            // A resumed session would bring a certificate that is not verified again.
            config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Reads the files again; a pair in memory has none. The old pair stays where the new one is not whole: half written,
    /// not matching, expired.
    ///
    /// # Errors
    /// As `load`; nothing has changed then.
    pub fn reload(&self) -> anyhow::Result<bool> {
        let Some((certificate, key)) = &self.0.files else { return Ok(false) };
        self.swap(&file::read(certificate, file::SMALL_BYTES_MAX)?, &file::read(key, file::SMALL_BYTES_MAX)?)
    }

    /// Reloads when the directory changes (Kubernetes swaps its `..data` link, so the file itself is not what to watch),
    /// and every `poll` whatever the file system says; until `stop`.
    pub(super) async fn watch(self, poll: Duration, stop: CancellationToken) {
        let Some((certificate, key)) = &self.0.files else { return };
        let (changed, mut changes) = mpsc::channel(1);
        let _watcher = watcher(&[certificate, key], changed);
        let mut complained = String::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(poll) => {}
                Some(()) = changes.recv() => tokio::time::sleep(Duration::from_millis(100)).await, // both files of a pair
            }
            let this = self.clone();
            match tokio::task::spawn_blocking(move || this.reload()).await {
                Ok(Ok(true)) => {
                    complained.clear();
                    tracing::info!(expires = %self.expires(), "serving certificate reloaded");
                }
                Ok(Ok(false)) => complained.clear(),
                Ok(Err(error)) => {
                    let error = format!("{error:#}");
                    if error != complained {
                        tracing::error!(%error, expires = %self.expires(), "serving certificate not reloaded, the old one stays");
                        complained = error;
                    }
                }
                Err(error) => tracing::error!(%error, "reloading the serving certificate failed"),
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current.load().key))
    }
}

impl Pair {
    fn new(certificate: Vec<u8>, key: Vec<u8>) -> anyhow::Result<Self> {
        let chain = CertificateDer::pem_slice_iter(&certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| anyhow::anyhow!("the certificate is not PEM: {error}"))?;
        let Some(leaf) = chain.first() else { bail!("the certificate file holds no certificate") };
        let expires = not_after(leaf)?;
        if expires <= jiff::Timestamp::now() {
            bail!("the certificate expired at {expires}");
        }
        let private =
            PrivateKeyDer::from_pem_slice(&key).map_err(|error| anyhow::anyhow!("the key is not PEM: {error}"))?;
        let key_pair = CertifiedKey::from_der(chain, private, &provider()).context("certificate and key")?;
        Ok(Pair { key: Arc::new(key_pair), expires, read: (certificate, key) })
    }
}

fn not_after(leaf: &CertificateDer<'_>) -> anyhow::Result<jiff::Timestamp> {
    let (_, certificate) = x509_parser::parse_x509_certificate(leaf)
        .map_err(|error| anyhow::anyhow!("the certificate is not X.509: {error}"))?;
    jiff::Timestamp::from_second(certificate.validity().not_after.timestamp()).context("the certificate's notAfter")
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Watches the directories of the paths; says so once at the start, and at each change. Where the system gives no watch (inotify's limit), polling alone remains.
pub(crate) fn watcher(paths: &[&Path], changed: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    // What changed between the first look and the watch is seen by a look at once.
    let _ = changed.try_send(());
    // One message in the channel is enough: it says "look again".
    let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = changed.try_send(());
        }
    })
    .and_then(|mut watcher| {
        let mut folders: Vec<&Path> = paths.iter().map(|path| folder(path)).collect();
        folders.sort_unstable();
        folders.dedup();
        for folder in folders {
            watcher.watch(folder, notify::RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    });
    made.inspect_err(|error| tracing::warn!(%error, "no file system events, polling instead")).ok()
}

fn folder(path: &Path) -> &Path {
    if path.is_dir() {
        return path;
    }
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}
