//! The listener of the webhook and of the store: bounded connections, TLS with reload, drain (security §2.H2, §3).
//!
//! Stages are types: `bind` opens the port and reads the certificate once, so a bad pair fails at the start;
//! `Bound::run` serves until it is told to stop. What is served is the caller's `Router`.

use anyhow::Context;
use axum::Router;
use idle::Idle;
use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

mod activity;
pub mod clients;
mod connection;
mod idle;
pub mod tls;

/// What a listener is.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// The serving certificate; `None`: plain http (store on loopback, metrics).
    pub tls: Option<tls::Source>,
    /// At the cap the connection that has been idle longest makes room for the next one; where none is, the kernel queues, not we.
    pub connections_max: usize,
    /// How long to go on serving after `stop`, with readiness failing, before connections are closed (≤ 20 s).
    pub drain: Duration,
}

/// The certificate a client proved to have, DER: in the extensions of its requests, where `Bound::ask_clients` was called. Its
/// path to one of the authorities has been checked; what it says has not been looked at.
#[derive(Clone, Debug)]
pub struct ClientCertificate(pub Arc<[u8]>);

/// The times a peer is given. The defaults are those of security §2.H2 and §3; tests shorten them.
#[derive(Clone, Debug)]
pub struct Times {
    /// The TLS handshake.
    pub handshake: Duration,
    /// From the end of the handshake to the head of the first request: hyper bounds neither a silent HTTP/2 peer nor this.
    pub first_request: Duration,
    /// Between requests.
    pub idle: Duration,
    /// A connection older than this is asked to leave, so that load spreads over replicas; jittered by a tenth.
    pub age: Duration,
    /// From the wish to close a connection to its end: requests in flight have this long.
    pub linger: Duration,
    /// How often the certificate's files are read again, whatever the file system says.
    pub certificate_poll: Duration,
}
impl Default for Times {
    fn default() -> Self {
        Times {
            handshake: Duration::from_secs(3),
            first_request: Duration::from_secs(5),
            // Longer than the 90 s of Go's clients: who closes an idle connection first is not the one who is about to be asked.
            idle: Duration::from_secs(100),
            age: Duration::from_secs(600),
            linger: Duration::from_secs(20),
            certificate_poll: Duration::from_secs(30),
        }
    }
}

/// How long the next connection waits for the one that was asked to make room, before another is.
const LEAVING: Duration = Duration::from_millis(50);

/// The API server keeps serving us for this long at most after `stop` (drain ≤ 20 s, linger 20 s: exit ≤ 40 s).
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// A port that is open, with its certificate read.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    options: Options,
    times: Times,
    tls: Option<tls::Certificates>,
    clients: Option<clients::Authorities>,
}

/// Opens the port and reads the certificate.
///
/// # Errors
/// The port is taken, or the pair does not parse, does not match, or has expired.
pub async fn bind(options: Options) -> anyhow::Result<Bound> {
    bind_with(options, Times::default()).await
}

/// As `bind`, with other times than the default ones.
///
/// # Errors
/// As `bind`.
pub async fn bind_with(options: Options, times: Times) -> anyhow::Result<Bound> {
    let tls = options.tls.as_ref().map(tls::Source::open).transpose()?;
    let listener = TcpListener::bind(options.listen).await.with_context(|| format!("listen on {}", options.listen))?;
    let address = listener.local_addr().context("read the listener's address")?;
    Ok(Bound { listener, address, options, times, tls, clients: None })
}

impl Bound {
    /// Where it listens: the port the kernel chose, where port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The certificate in use, for the expiry metric; `None` on plain http.
    pub fn certificates(&self) -> Option<tls::Certificates> {
        self.tls.clone()
    }

    /// Asks every client for a certificate. It need not have one; one of another authority ends the handshake.
    ///
    /// # Errors
    /// The listener has no TLS, or the file holds no certificates.
    pub fn ask_clients(self, authorities: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(self.tls.is_some(), "client certificates are a matter of TLS, which this listener has not");
        Ok(Bound { clients: Some(clients::Authorities::load(authorities)?), ..self })
    }

    /// Serves until `stop`, then drains: the app sees the same token and fails its readiness, requests are served for
    /// `drain` more, then every connection gets a GOAWAY or `Connection: close` and 20 s to finish.
    ///
    /// # Errors
    /// The TLS settings cannot be made.
    pub async fn run(self, app: Router, stop: CancellationToken) -> anyhow::Result<()> {
        let Bound { listener, options, times, tls, address, clients } = self;
        // `close` asks connections to leave; it also ends the watch of the certificate.
        let close = CancellationToken::new();
        let tasks = TaskTracker::new();
        let acceptor = match &tls {
            Some(certificates) => {
                tasks.spawn(certificates.clone().watch(times.certificate_poll, close.clone()));
                if let Some(clients) = &clients {
                    tasks.spawn(clients.clone().watch(times.certificate_poll, close.clone()));
                }
                Some(tokio_rustls::TlsAcceptor::from(certificates.server_config(clients)?))
            }
            None => None,
        };
        let server = Arc::new(connection::Server::new(app, acceptor, times, stop.clone(), close.clone()));
        tracing::info!(%address, tls = options.tls.is_some(), "listening");

        let last_call = async {
            stop.cancelled().await;
            let drain = options.drain.min(DRAIN_MAX);
            tracing::info!(%address, seconds = drain.as_secs(), "draining");
            tokio::time::sleep(drain).await;
        };
        tokio::select! {
            () = last_call => {}
            () = accept(&listener, options.connections_max, &server, &tasks) => {}
        }
        drop(listener);
        close.cancel();
        tasks.close();
        tasks.wait().await; // each connection bounds its own end by `linger`
        tracing::info!(%address, "stopped");
        Ok(())
    }
}

/// Accepts for ever, each connection a task of `tasks`.
async fn accept(listener: &TcpListener, connections_max: usize, server: &Arc<connection::Server>, tasks: &TaskTracker) {
    let slots = Arc::new(Semaphore::new(connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    let idle = Arc::new(Idle::default());
    let mut complained: Option<Instant> = None;
    loop {
        let (tcp, peer) = next(listener, &mut complained).await;
        let permit = seat(&slots, &idle).await;
        let (server, idle) = (Arc::clone(server), Arc::clone(&idle));
        tasks.spawn(async move {
            server.serve(tcp, peer, &idle).await;
            drop(permit);
        });
    }
}

/// A slot for a connection, as soon as there is one: those that can be done without are asked to leave, one after the other.
async fn seat(slots: &Arc<Semaphore>, idle: &Idle) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(slots).try_acquire_owned() {
        return Some(permit);
    }
    loop {
        idle.dismiss_one(tokio::time::Instant::now());
        if let Ok(permit) = tokio::time::timeout(LEAVING, Arc::clone(slots).acquire_owned()).await {
            return permit.ok();
        }
    }
}

/// The next connection. An error (no file descriptors left) is waited out, not spun on, and told once a minute (F17).
async fn next(listener: &TcpListener, complained: &mut Option<Instant>) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                if complained.is_none_or(|at| at.elapsed() > Duration::from_secs(60)) {
                    *complained = Some(Instant::now());
                    tracing::error!(%error, "cannot accept connections");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
