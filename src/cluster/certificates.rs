//! The serving certificate in its Secret: made, stored and renewed in three steps (security §3).
//!
//! Every replica serves what the Secret holds and follows it; any may make it where there is none. Only the leader renews
//! (`renew`): a new CA is trusted before it signs, and the old one is forgotten after everybody serves the new certificate, so
//! at no moment is a certificate served that API servers do not trust. A Secret that holds rubbish changes nothing that is served.

use super::{Cluster, complaints::Complaints};
use crate::{file, serve::tls::Certificates};
use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    api::{Api, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use pki::Authority;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use secret::Stored;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

mod pki;
pub(super) mod renew;
mod secret;
pub(super) mod step;
#[cfg(test)]
mod tests;
pub use secret::RENEW;

/// How long things live and how long a change takes to arrive.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub ca: Duration,
    pub leaf: Duration,
    /// API servers read a changed webhook configuration within seconds: between "trusted" and "served".
    pub settle: Duration,
    /// All replicas serve a changed Secret within this time: between "served" and "the old CA forgotten". More than `poll`.
    pub swap: Duration,
    /// How often the Secret is read whatever its watch says.
    pub poll: Duration,
}
impl Default for Times {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Times {
            ca: day * 365,
            leaf: day * 90,
            settle: Duration::from_secs(30),
            swap: Duration::from_secs(60),
            poll: Duration::from_secs(30),
        }
    }
}
impl Times {
    /// Serving certificates that live this long, and a CA that lives four times as long; with short lives everything else is
    /// quicker too, for a renewal must fit into a third of them.
    pub fn with_lifetime(leaf: Duration) -> Self {
        let usual = Times::default();
        Times {
            leaf,
            ca: leaf.saturating_mul(4),
            settle: usual.settle.min(leaf / 12),
            swap: usual.swap.min(leaf / 6),
            poll: usual.poll.min(leaf / 12),
        }
    }
}

/// The names an API server or a person may call the Service by.
pub fn names(service: &str, namespace: &str) -> Vec<String> {
    let inside = format!("{service}.{namespace}");
    vec![format!("{inside}.svc"), format!("{inside}.svc.cluster.local"), inside, service.to_owned()]
}

/// The bundle of a file that another program renews, as it is; one without a certificate is refused, for an API server that is told
/// of none calls nobody.
///
/// # Errors
/// The file cannot be read, or a part of it is no certificate.
pub fn given(file: &Path) -> anyhow::Result<String> {
    let text = file::read_text(file, file::SMALL_BYTES_MAX)?;
    let mut certificates = 0;
    for der in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let der = der.map_err(|error| anyhow::anyhow!("{} is not PEM: {error}", file.display()))?;
        x509_parser::parse_x509_certificate(&der)
            .map_err(|error| anyhow::anyhow!("{} holds what is no certificate: {error}", file.display()))?;
        certificates += 1;
    }
    anyhow::ensure!(certificates > 0, "{} holds no certificate", file.display());
    Ok(text)
}

/// The pair we serve and the Secret it is kept in. Cheap to clone.
#[derive(Clone)]
pub struct Kept(Arc<Shared>);

struct Shared {
    api: Api<Secret>,
    secret: String,
    names: Vec<String>,
    times: Times,
    certificates: Certificates,
    /// The CAs of the Secret when it was last sound: what API servers trust as far as we know.
    known: ArcSwap<Vec<Authority>>,
    /// The Secret changed.
    changed: Notify,
}

/// Reads the Secret, or makes it; waits for an API server that does not answer, saying so. Then follows it until `stop`.
///
/// # Errors
/// `stop` came first, or no key can be made.
pub async fn open(
    cluster: &Cluster,
    secret: &str,
    names: Vec<String>,
    times: Times,
    stop: CancellationToken,
) -> anyhow::Result<Kept> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut pause = Duration::from_millis(250);
    let mut unsound: Option<Instant> = None;
    let stored = loop {
        let first = tokio::select! {
            () = stop.cancelled() => bail!("stopped while waiting for the serving certificate"),
            first = tokio::time::timeout(Duration::from_secs(10), first(&api, secret, &names, &times, &mut unsound)) => first,
        };
        match first.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within 10 s"))) {
            Ok(Some(stored)) => break stored,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(secret, error = format!("{error:#}"), "no serving certificate yet");
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    };
    let certificates = Certificates::held(&stored.certificate, &stored.key)?;
    tracing::info!(secret, expires = %certificates.expires(), "serving certificate read");
    let known = ArcSwap::from_pointee(pki::bundle(&stored.bundle));
    let secret = secret.to_owned();
    let kept = Kept(Arc::new(Shared { api, secret, names, times, certificates, known, changed: Notify::new() }));
    tokio::spawn(kept.clone().follow(stop));
    Ok(kept)
}

/// The Secret's pair; `None`: look again soon.
async fn first(
    api: &Api<Secret>,
    name: &str,
    names: &[String],
    times: &Times,
    unsound: &mut Option<Instant>,
) -> anyhow::Result<Option<Stored>> {
    let now = Timestamp::now();
    let Some(found) = api.get_opt(name).await.with_context(|| format!("read the secret {name}"))? else {
        let made = Stored::make(names, times, now)?.into_secret(name, None, false);
        return match api.create(&PostParams::default(), &made).await {
            Ok(made) => Ok(Some(Stored::read(&made))),
            // Another replica was faster: its certificate is ours too.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error).with_context(|| format!("create the secret {name}")),
        };
    };
    let stored = Stored::read(&found);
    let Err(error) = stored.sound(names, now) else { return Ok(Some(stored)) };
    let since = *unsound.get_or_insert_with(Instant::now);
    // A leader repairs it better, knowing what is served. But nobody leads who does not serve: where all start with rubbish,
    // one of them must do it.
    if since.elapsed() < times.settle && stored != Stored::default() {
        return Err(error.context(format!("secret {name}")));
    }
    let repaired = stored.repaired(&[], None, names, times, now)?.into_secret(name, Some(&found), true);
    match api.replace(name, &PostParams::default(), &repaired).await {
        Ok(written) => {
            tracing::warn!(
                secret = name,
                error = format!("{error:#}"),
                "the secret held no usable certificate: made anew"
            );
            Ok(Some(Stored::read(&written)))
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error).with_context(|| format!("write the secret {name}")),
    }
}

/// A pair that must wait before it is served, and since when it has been seen.
type Stranger = Option<(Vec<u8>, Instant)>;

impl Kept {
    /// What is served: for the listener, and for the metric of its expiry.
    pub fn certificates(&self) -> Certificates {
        self.0.certificates.clone()
    }

    /// Waits until the Secret changes.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Swaps the pair whenever the Secret changes: seen by its watch, and by a look every `poll` where the watch says nothing.
    async fn follow(self, stop: CancellationToken) {
        let shared = &self.0;
        let watch = watcher::watch_object(shared.api.clone(), &shared.secret).default_backoff();
        let mut watch = std::pin::pin!(watch);
        let (mut stranger, mut complaints) = (None, Complaints::default());
        let mut next_look = Instant::now() + shared.times.poll;
        loop {
            let seen = tokio::select! {
                () = stop.cancelled() => return,
                Some(seen) = watch.next() => {
                    let error = seen.as_ref().err().map(|error| format!("{error:#}"));
                    complaints.tell("watch", error, |error| {
                        tracing::warn!(secret = shared.secret, error, "the secret cannot be watched, it is read now and then");
                    });
                    let Ok(seen) = seen else { continue };
                    Ok(seen)
                }
                () = tokio::time::sleep_until(next_look) => {
                    match tokio::time::timeout(Duration::from_secs(10), shared.api.get_opt(&shared.secret)).await {
                        Ok(seen) => seen.context("it cannot be read"),
                        Err(_) => Err(anyhow::anyhow!("it cannot be read: no answer within 10 s")),
                    }
                }
            };
            let taken = match seen {
                Ok(Some(secret)) => self.take(&Stored::read(&secret), &mut stranger, Timestamp::now()),
                Ok(None) => Err(anyhow::anyhow!("it is gone")),
                Err(error) => Err(error),
            };
            // A pair that waits for its time is looked at when that has come.
            let poll = shared.times.poll;
            next_look = Instant::now() + if stranger.is_some() { shared.times.settle.min(poll) } else { poll };
            let expires = shared.certificates.expires();
            if let Ok(true) = taken {
                tracing::info!(secret = shared.secret, %expires, "serving certificate swapped");
            }
            complaints.tell("secret", taken.err().map(|error| format!("{error:#}")), |error| {
                tracing::error!(secret = shared.secret, error, %expires, "the secret is not usable, the old serving certificate stays");
            });
            shared.changed.notify_one();
        }
    }

    /// Serves what the Secret holds if it is sound; whether that is another pair than before.
    fn take(&self, stored: &Stored, stranger: &mut Stranger, now: Timestamp) -> anyhow::Result<bool> {
        let shared = &self.0;
        let issuer = stored.sound(&shared.names, now)?;
        let bundle = pki::bundle(&stored.bundle);
        let known = shared.known.load();
        let (certificate, _) = shared.certificates.pem();
        // In a renewal the new CA was trusted before it signed, and the old one is still there. Else this is another Secret
        // altogether, and API servers must first be told of its CA.
        let expected = known.contains(&issuer) || pki::issuer_of(&certificate, &bundle, &shared.names, now).is_ok();
        if !expected {
            let (pair, since) = stranger.get_or_insert_with(|| (stored.certificate.clone(), Instant::now()));
            if *pair != stored.certificate {
                (*pair, *since) = (stored.certificate.clone(), Instant::now());
            }
            if since.elapsed() < shared.times.settle {
                return Ok(false);
            }
        }
        *stranger = None;
        let swapped = shared.certificates.swap(&stored.certificate, &stored.key)?;
        shared.known.store(Arc::new(bundle));
        Ok(swapped)
    }
}
