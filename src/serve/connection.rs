//! One connection: handshake, protocol by ALPN, and the timers that end it.

use super::{
    ClientCertificate, Times,
    activity::{Activity, Busy},
    idle::Idle,
};
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
    convert::Infallible,
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
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

/// From the wish that a connection make room to its end, if nothing came meanwhile.
const DISMISSED: Duration = Duration::from_secs(1);

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

    /// Serves the connection to its end, or until another needs its place.
    pub(super) async fn serve(&self, tcp: TcpStream, peer: SocketAddr, idle: &Arc<Idle>) {
        let _ = tcp.set_nodelay(true);
        let activity = Activity::begin(idle);
        let Some(acceptor) = &self.acceptor else {
            return self.requests(&self.http1, tcp, peer, None, activity).await;
        };
        let handshake = tokio::select! {
            handshake = tokio::time::timeout(self.times.handshake, acceptor.accept(tcp)) => handshake,
            () = activity.dismissed() => return,
        };
        match handshake {
            Ok(Ok(tls)) => {
                let builder = if tls.get_ref().1.alpn_protocol() == Some(b"h2") { &self.http2 } else { &self.http1 };
                let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let certificate = certificate.map(|der| ClientCertificate(Arc::from(der.as_ref())));
                self.requests(builder, tls, peer, certificate, activity).await;
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
        activity: Arc<Activity>,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
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
                    let mut answer = app.oneshot(request).await?;
                    if last {
                        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    Ok::<_, Infallible>(busy.answered(answer))
                }
            })
        };
        let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
        let mut quiet = pin!(tokio::time::sleep(self.times.first_request));
        let mut end = pin!(tokio::time::sleep(age));
        let (mut closing, mut latest) = (false, None);
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
                // A peer that does not mind being asked to leave keeps no place: only a request that came meanwhile has its time.
                () = activity.dismissed(), if !closing => (closing, latest) = (true, Some(Instant::now() + DISMISSED)),
                // The age is reached; or, when closing, the time to linger is over.
                () = end.as_mut() => match latest.take() {
                    Some(latest) if activity.is_busy() => {
                        end.as_mut().reset(latest + self.times.linger);
                        continue;
                    }
                    _ if closing => return,
                    _ => closing = true,
                },
            }
            if closing {
                if !activity.has_spoken() {
                    return; // hyper would wait for a peer that never spoke
                }
                connection.as_mut().graceful_shutdown();
                // Reached once: every arm that could come here again is closed by `closing`.
                end.as_mut().reset(latest.unwrap_or_else(|| Instant::now() + self.times.linger));
            }
        }
    }
}

/// A tenth more or less, so that connections opened together do not end together.
fn jittered(age: Duration) -> Duration {
    let percent = RandomState::new().hash_one(()) % 21; // std's seed is random for each process and counts up from there
    age.mul_f64(0.9 + percent as f64 / 100.0)
}
