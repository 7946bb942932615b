//! A registry that does as it is told, byte by byte, and remembers what it was sent: slow, lying, redirecting, endless, or honest. On
//! loopback, over TCP or TLS with a CA made for the test. What it never does is understand http better than it must.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// What is done to a client, one after the other.
#[derive(Clone, Debug)]
pub enum Act {
    Send(Vec<u8>),
    /// A byte at a time.
    Drip(Vec<u8>, Duration),
    /// The same bytes for ever.
    Endless(Vec<u8>),
    Wait(Duration),
    /// Says nothing more, and keeps the connection.
    Hang,
    Close,
}

/// An answer with its length told.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<Act> {
    let mut all = headers.to_vec();
    let length = body.len().to_string();
    all.push(("Content-Length", &length));
    vec![head(status, &all), Act::Send(body.to_vec())]
}

/// The head of an answer alone.
pub fn head(status: u16, headers: &[(&str, &str)]) -> Act {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    Act::Send(format!("HTTP/1.1 {status} So\r\n{lines}\r\n").into_bytes())
}

type Handler = dyn Fn(&Seen) -> Vec<Act> + Send + Sync;

/// A listening double; gone when dropped.
pub struct Double {
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    raw: Arc<Mutex<Vec<u8>>>,
    server: JoinHandle<()>,
}

impl Double {
    /// Plain http.
    pub async fn plain(handler: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static) -> Double {
        Self::start(None, handler).await
    }
    /// https with a certificate of the test's CA.
    pub async fn secure(pki: &Pki, handler: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static) -> Double {
        Self::start(Some(pki.acceptor()), handler).await
    }
    /// Accepts and reads everything, answers `{}`, and must never be told a secret.
    pub async fn canary() -> Double {
        Self::plain(|_| answer(200, &[], b"{}")).await
    }
    pub async fn secure_canary(pki: &Pki) -> Double {
        Self::secure(pki, |_| answer(200, &[], b"{}")).await
    }

    async fn start(tls: Option<TlsAcceptor>, handler: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static) -> Double {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::serve(listener, tls, handler)
    }

    /// On a port that is had already.
    pub fn serve(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        handler: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static,
    ) -> Double {
        let port = listener.local_addr().expect("an address").port();
        let (seen, raw) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<Mutex<Vec<u8>>>::default());
        let records = (seen.clone(), raw.clone());
        let handler: Arc<Handler> = Arc::new(handler);
        let server = tokio::spawn(async move {
            // Aborting the server drops the set, and with it every connection.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, handler, (seen, raw)) = (tls.clone(), handler.clone(), records.clone());
                connections.spawn(async move {
                    match tls {
                        None => talk(stream, &*handler, &seen, &raw).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                talk(stream, &*handler, &seen, &raw).await;
                            }
                        }
                    }
                });
            }
        });
        Double { port, seen, raw, server }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic in the double").clone()
    }
    /// Requests whose path (without query) is this.
    pub fn seen_at(&self, path: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.path() == path).collect()
    }
    /// Fails when anything that came in was an authorization, or held one of the secrets in any of its forms.
    pub fn assert_told_nothing(&self, secrets: &[&str]) {
        let raw = String::from_utf8_lossy(&self.raw.lock().expect("no panic in the double")).to_ascii_lowercase();
        assert!(!raw.contains("authorization"), "an authorization came here: {raw}");
        for secret in secrets {
            assert!(!raw.contains(&secret.to_ascii_lowercase()), "the secret {secret} came here: {raw}");
        }
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    handler: &Handler,
    seen: &Mutex<Vec<Seen>>,
    raw: &Mutex<Vec<u8>>,
) {
    while let Some(request) = read(&mut stream, raw).await {
        seen.lock().expect("no panic in the double").push(request.clone());
        for act in handler(&request) {
            let done = match act {
                Act::Send(bytes) => stream.write_all(&bytes).await,
                Act::Drip(bytes, gap) => drip(&mut stream, &bytes, gap).await,
                Act::Endless(bytes) => loop {
                    if let Err(gone) = stream.write_all(&bytes).await {
                        break Err(gone);
                    }
                },
                Act::Wait(time) => {
                    tokio::time::sleep(time).await;
                    Ok(())
                }
                Act::Hang => std::future::pending().await,
                Act::Close => {
                    let _ = stream.flush().await;
                    return;
                }
            };
            if done.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    }
}

async fn drip<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8], gap: Duration) -> std::io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        stream.flush().await?;
        tokio::time::sleep(gap).await;
    }
    Ok(())
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S, raw: &Mutex<Vec<u8>>) -> Option<Seen> {
    let mut buffer = Vec::new();
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, &mut buffer, raw).await?;
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ').map(str::to_owned);
    let (method, target) = (first.next()?, first.next()?);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(n, _)| n == "content-length").and_then(|(_, v)| v.parse().ok()).unwrap_or(0);
    while buffer.len() < end + length {
        more(stream, &mut buffer, raw).await?;
    }
    let body = String::from_utf8_lossy(&buffer[end..]).into_owned();
    Some(Seen { method, target, headers, body })
}

async fn more<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>, raw: &Mutex<Vec<u8>>) -> Option<()> {
    let mut chunk = [0; 4096];
    let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
    raw.lock().expect("no panic in the double").extend_from_slice(&chunk[..count]);
    buffer.extend_from_slice(&chunk[..count]);
    Some(())
}

/// A CA for one test, and a certificate for loopback and the names the tests use.
pub struct Pki {
    /// The CA's certificate.
    pub ca: String,
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl Pki {
    pub fn new() -> Pki {
        let ca_key = rcgen::KeyPair::generate().expect("a key");
        let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).expect("a CA");
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        // Each by itself: `*.test` would be a wildcard right under a top-level domain, which TLS libraries refuse.
        let names = [
            "localhost",
            "127.0.0.1",
            "registry.test",
            "cdn.test",
            "mirror.test",
            "login.test",
            "evil.test",
            "hidden.test",
            "registry.test.evil.test",
        ];
        let names = names.map(str::to_owned).to_vec();
        let leaf =
            rcgen::CertificateParams::new(names).expect("names").signed_by(&key, &issuer).expect("a certificate");
        Pki { ca: ca_certificate.pem(), chain: vec![leaf.der().clone()], key: key.serialize_der() }
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_of(&[])
    }

    /// Offering these protocols by ALPN.
    pub fn acceptor_of(&self, protocols: &[&str]) -> TlsAcceptor {
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)
            .expect("a certificate and its key");
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
