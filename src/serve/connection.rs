//! One connection: handshake, protocol by ALPN, and the timers that end it.

use super::{ClientCertificate, Times};
use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{
    Request, Version,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The part of its age at which a connection's next answer is its last.
const LAST_WORD_AT: f64 = 0.8;

/// What every connection of a listener shares.
pub(super) struct Server {
    app: Router,
    acceptor: Option<TlsAcceptor>,
    times: Times,
    draining: CancellationToken,
    close: CancellationToken,
    http1: auto::Builder<TokioExecutor>,
    http2: auto::Builder<TokioExecutor>,
}

impl Server {
    pub(super) fn new(
        app: Router,
        acceptor: Option<TlsAcceptor>,
        times: Times,
        draining: CancellationToken,
        close: CancellationToken,
    ) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // The head of a later request is bounded by the idle time, which hyper starts at the same moment.
        builder.http1().timer(TokioTimer::new()).header_read_timeout(times.idle).max_buf_size(64 * 1024);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .max_concurrent_streams(256) // H2
            .max_header_list_size(64 * 1024) // H2 allows 1 MiB; an API server's headers are some hundred bytes
            .initial_stream_window_size(1 << 20) // a review is up to 3 MB, and 8 MiB are judged (B13)
            .initial_connection_window_size(8 << 20);
        // The protocol is chosen by ALPN: the builder's own sniffing of it has no timeout (crates §3.4).
        let (http1, http2) = (builder.clone().http1_only(), builder.http2_only());
        Server { app, acceptor, times, draining, close, http1, http2 }
    }

    pub(super) async fn serve(&self, tcp: TcpStream, peer: SocketAddr) {
        let _ = tcp.set_nodelay(true);
        let Some(acceptor) = &self.acceptor else {
            return self.requests(&self.http1, tcp, peer, None).await;
        };
        match tokio::time::timeout(self.times.handshake, acceptor.accept(tcp)).await {
            Ok(Ok(tls)) => {
                let builder = if tls.get_ref().1.alpn_protocol() == Some(b"h2") { &self.http2 } else { &self.http1 };
                let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let certificate = certificate.map(|der| ClientCertificate(Arc::from(der.as_ref())));
                self.requests(builder, tls, peer, certificate).await;
            }
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        }
    }

    async fn requests<I>(
        &self,
        builder: &auto::Builder<TokioExecutor>,
        io: I,
        peer: SocketAddr,
        certificate: Option<ClientCertificate>,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let age = jittered(self.times.age);
        let service = {
            let (app, activity, draining) = (self.app.clone(), Arc::clone(&activity), self.draining.clone());
            let old = Instant::now() + age.mul_f64(LAST_WORD_AT);
            service_fn(move |request: Request<Incoming>| {
                let (app, busy) = (app.clone(), Busy::enter(&activity));
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                if let Some(certificate) = &certificate {
                    request.extensions_mut().insert(certificate.clone());
                }
                // An API server speaks HTTP/1.1 to webhooks, and sends no request again that crossed the close of an idle connection. So
                // whoever is to leave soon is told with an answer, while we still serve; HTTP/2 has its GOAWAY.
                let last = request.version() == Version::HTTP_11 && (draining.is_cancelled() || Instant::now() >= old);
                async move {
                    let mut answer = app.oneshot(request).await;
                    drop(busy);
                    if let (true, Ok(answer)) = (last, &mut answer) {
                        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    answer
                }
            })
        };
        let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
        let mut quiet = pin!(tokio::time::sleep(self.times.first_request));
        let mut end = pin!(tokio::time::sleep(age));
        let mut closing = false;
        loop {
            tokio::select! {
                biased; // what has arrived is heard before a timer is
                result = connection.as_mut() => {
                    if let Err(error) = result { tracing::debug!(%peer, %error, "connection failed"); }
                    return;
                }
                () = quiet.as_mut(), if !closing => match activity.quiet_until(self.times.idle) {
                    None => return, // never spoke
                    Some(until) if until > Instant::now() => quiet.as_mut().reset(until),
                    Some(_) => closing = true,
                },
                () = self.close.cancelled(), if !closing => closing = true,
                // The age is reached; or, when closing, the time to linger is over.
                () = end.as_mut() => if closing { return } else { closing = true },
            }
            if closing {
                if !activity.spoke.load(Ordering::Acquire) {
                    return; // hyper would wait for a peer that never spoke
                }
                connection.as_mut().graceful_shutdown();
                // Reached once: every arm that could come here again is closed by `closing`.
                end.as_mut().reset(Instant::now() + self.times.linger);
            }
        }
    }
}

/// A tenth more or less, so that connections opened together do not end together.
fn jittered(age: Duration) -> Duration {
    let percent = RandomState::new().hash_one(()) % 21; // std's seed is random for each process and counts up from there
    age.mul_f64(0.9 + percent as f64 / 100.0)
}

/// Whether a connection does anything.
#[derive(Default)]
struct Activity {
    spoke: AtomicBool,
    requests: AtomicUsize,
    last: Mutex<Option<Instant>>,
}
impl Activity {
    /// Until when the connection may stay without a further request; `None` where there never was one.
    fn quiet_until(&self, idle: Duration) -> Option<Instant> {
        if !self.spoke.load(Ordering::Acquire) {
            return None;
        }
        let last = if self.requests.load(Ordering::Acquire) > 0 {
            Some(Instant::now())
        } else {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner)
        };
        Some(last.unwrap_or_else(Instant::now) + idle)
    }
}

/// A request in flight; ends also when the future is dropped.
struct Busy(Arc<Activity>);
impl Busy {
    fn enter(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::AcqRel);
        activity.spoke.store(true, Ordering::Release);
        Busy(Arc::clone(activity))
    }
}
impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}
