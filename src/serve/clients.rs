//! Client certificates: asked for, verified when they come, against authorities that are read again when their file changes.

use super::tls::{provider, watcher};
use crate::file;
use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime, pem::PemObject as _},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The authorities in use. Cheap to clone; all clones see a reload.
#[derive(Clone, Debug)]
pub struct Authorities(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    current: ArcSwap<Read>,
}

/// What was read, and what verifies by it.
#[derive(Debug)]
struct Read {
    pem: Vec<u8>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Authorities {
    /// Reads the bundle for the first time.
    ///
    /// # Errors
    /// It cannot be read, or holds no certificate.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let read = read(path)?;
        Ok(Authorities(Arc::new(Shared { path: path.to_owned(), current: ArcSwap::from_pointee(read) })))
    }

    /// Reads the bundle again; whether it is another one. The old one stays where the new one is not whole.
    ///
    /// # Errors
    /// As `load`.
    pub fn reload(&self) -> anyhow::Result<bool> {
        let bytes = file::read(&self.0.path, file::SMALL_BYTES_MAX)?;
        if bytes == self.0.current.load().pem {
            return Ok(false);
        }
        self.0.current.store(Arc::new(read(&self.0.path)?));
        Ok(true)
    }

    /// Reloads when the directory changes and every `poll`, until `stop`.
    pub(super) async fn watch(self, poll: Duration, stop: CancellationToken) {
        let (changed, mut changes) = mpsc::channel(1);
        let _watcher = watcher(&[&self.0.path], changed);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(poll) => {}
                Some(()) = changes.recv() => tokio::time::sleep(Duration::from_millis(100)).await,
            }
            let this = self.clone();
            match tokio::task::spawn_blocking(move || this.reload()).await {
                Ok(Ok(true)) => tracing::info!("client authorities reloaded"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    let error = format!("{error:#}");
                    tracing::error!(%error, "client authorities not reloaded, the old ones stay");
                }
                Err(error) => tracing::error!(%error, "reloading the client authorities failed"),
            }
        }
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.0.current.load().verifier)
    }
}

fn read(path: &Path) -> anyhow::Result<Read> {
    let what = || format!("client authorities {}", path.display());
    let pem = file::read(path, file::SMALL_BYTES_MAX)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| anyhow::anyhow!("not PEM: {error}")).with_context(what)?;
        roots.add(certificate).with_context(what)?;
    }
    if roots.is_empty() {
        bail!("{} hold no certificate", what());
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .allow_unauthenticated()
        .build()
        .with_context(what)?;
    Ok(Read { pem, verifier })
}

impl ClientCertVerifier for Authorities {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: a hint that could not change with the file, and tells strangers whom we know.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verifier().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier().supported_verify_schemes()
    }
}
