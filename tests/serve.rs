//! The listener over real sockets and real TLS: both protocols, silent peers, certificate reload, drain.
#![cfg(feature = "programs")]

use axum::{Router, routing::get};
use futures::StreamExt as _;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{
    future::pending,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tidewaiter::serve::{self, Options, Times, tls::Certificates};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

/// A certificate and its key, in PEM.
struct Pair {
    certificate: String,
    key: String,
}
impl Pair {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        Pair { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    fn expired() -> Self {
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        Pair { certificate: parameters.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }

    fn write(&self, folder: &Path) {
        std::fs::write(folder.join("tls.crt"), &self.certificate).unwrap();
        std::fs::write(folder.join("tls.key"), &self.key).unwrap();
    }
}

fn files(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("tls.crt"), folder.join("tls.key"))
}

/// A server that answers `GET /` with "ok".
struct Site {
    address: SocketAddr,
    pair: Pair,
    folder: tempfile::TempDir,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

fn quick() -> Times {
    Times { handshake: Duration::from_millis(200), first_request: Duration::from_millis(200), ..Times::default() }
}

async fn site_of(app: Router, times: Times, drain: Duration, connections_max: usize) -> Site {
    let (folder, pair) = (tempfile::tempdir().unwrap(), Pair::new());
    pair.write(folder.path());
    let options = Options { listen: loopback(), tls: Some(files(folder.path()).into()), connections_max, drain };
    let bound = serve::bind_with(options, times).await.unwrap();
    let (address, stop) = (bound.local_addr(), CancellationToken::new());
    let running = tokio::spawn(bound.run(app, stop.clone()));
    Site { address, pair, folder, stop, running }
}

async fn site(times: Times) -> Site {
    site_of(app(), times, Duration::ZERO, 16).await
}

fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn app() -> Router {
    Router::new().route("/", get(|| async { "ok" }))
}

impl Site {
    fn client(&self) -> reqwest::ClientBuilder {
        let certificate = reqwest::Certificate::from_pem(self.pair.certificate.as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([certificate]).no_proxy()
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/", self.address.port())
    }

    /// A TLS connection, with the certificate its server showed.
    async fn connect(&self, alpn: &str, trust: &Pair) -> std::io::Result<TlsStream<TcpStream>> {
        Self::connect_to(self.address, alpn, trust).await
    }

    async fn connect_to(address: SocketAddr, alpn: &str, trust: &Pair) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(trust.der()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.into()];
        let tcp = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), tcp).await
    }
}

/// Reads until the peer closes; fails where it does not.
async fn closed(mut stream: impl AsyncRead + Unpin) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "still connected after ten seconds");
}

#[tokio::test]
async fn both_protocols_by_alpn() {
    let site = site(Times::default()).await;
    let client = site.client().build().unwrap();
    let answer = client.get(site.url()).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    let client = site.client().http1_only().build().unwrap();
    let answer = client.get(site.url()).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_11));
    assert_eq!(answer.text().await.unwrap(), "ok");
}

#[tokio::test]
async fn plain_http_where_there_is_no_certificate() {
    let options = Options { listen: loopback(), tls: None, connections_max: 4, drain: Duration::ZERO };
    let bound = serve::bind(options).await.unwrap();
    let (address, stop) = (bound.local_addr(), CancellationToken::new());
    let running = tokio::spawn(bound.run(app(), stop.clone()));
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn silent_peers_are_closed() {
    let site = site(quick()).await;
    let silent = TcpStream::connect(site.address).await.unwrap();
    let half_a_hello = {
        let mut tcp = TcpStream::connect(site.address).await.unwrap();
        tcp.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
        tcp
    };
    let silent_after_tls = site.connect("http/1.1", &site.pair).await.unwrap();
    let silent_after_tls_h2 = site.connect("h2", &site.pair).await.unwrap();
    let half_a_head = {
        let mut tls = site.connect("http/1.1", &site.pair).await.unwrap();
        tls.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
        tls
    };
    let preface_alone = {
        let mut tls = site.connect("h2", &site.pair).await.unwrap();
        tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        tls
    };
    tokio::join!(
        closed(silent),
        closed(half_a_hello),
        closed(silent_after_tls),
        closed(silent_after_tls_h2),
        closed(half_a_head),
        closed(preface_alone),
    );
    // And who speaks is heard.
    assert_eq!(site.client().build().unwrap().get(site.url()).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_idle_connection_and_an_old_one_are_closed() {
    for times in [
        Times { idle: Duration::from_millis(200), ..Times::default() },
        Times { age: Duration::from_millis(200), ..Times::default() },
    ] {
        let site = site(times).await;
        let mut tls = site.connect("http/1.1", &site.pair).await.unwrap();
        tls.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut head = [0; 15];
        tls.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        closed(tls).await;
    }
}

#[tokio::test]
async fn a_request_in_flight_outlives_the_age_of_its_connection() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let times = Times { age: Duration::from_millis(50), first_request: Duration::from_millis(500), ..Times::default() };
    let site = site_of(gated(&entered, &leave), times, Duration::ZERO, 16).await;
    let client = site.client().build().unwrap();
    let request = tokio::spawn(client.get(site.url()).send());
    entered.notified().await;
    // A second connection that says nothing is closed by the same timers: when it is, the first one's have passed too.
    closed(site.connect("h2", &site.pair).await.unwrap()).await;
    leave.notify_one();
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn at_the_cap_the_next_connection_waits() {
    let site = site_of(app(), Times::default(), Duration::ZERO, 1).await;
    let first = site.connect("http/1.1", &site.pair).await.unwrap();
    let mut second = std::pin::pin!(site.connect("http/1.1", &site.pair));
    let waited = tokio::time::timeout(Duration::from_millis(100), second.as_mut()).await;
    assert!(waited.is_err(), "the second connection was served beside the first");
    drop(first);
    second.await.unwrap();
}

/// Asks once, and leaves the connection open.
async fn spoken(tcp: &mut TcpStream) {
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = [0; 512];
    let length = tcp.read(&mut answer).await.unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK"));
}

async fn plain_of(app: Router, connections_max: usize) -> (SocketAddr, CancellationToken) {
    let options = Options { listen: loopback(), tls: None, connections_max, drain: Duration::ZERO };
    let bound = serve::bind(options).await.unwrap();
    let (address, stop) = (bound.local_addr(), CancellationToken::new());
    tokio::spawn(bound.run(app, stop.clone()));
    (address, stop)
}

#[tokio::test]
async fn at_the_cap_the_one_that_is_idle_longest_makes_room() {
    let (address, stop) = plain_of(app(), 2).await;
    let connect = async || TcpStream::connect(address).await.unwrap();
    let (mut first, mut second) = (connect().await, connect().await);
    spoken(&mut first).await;
    spoken(&mut second).await;
    spoken(&mut first).await;
    let mut third = connect().await;
    spoken(&mut third).await;
    closed(second).await;
    spoken(&mut first).await;
    // However many come, each is heard: those before it are idle.
    let mut crowd = vec![first, third];
    for _ in 0..20 {
        let mut next = connect().await;
        spoken(&mut next).await;
        crowd.push(next);
    }
    stop.cancel();
}

#[tokio::test]
async fn at_the_cap_a_silent_connection_makes_room_after_a_second() {
    let (address, stop) = plain_of(app(), 1).await;
    let silent = TcpStream::connect(address).await.unwrap();
    let mut next = TcpStream::connect(address).await.unwrap();
    tokio::time::timeout(Duration::from_secs(4), spoken(&mut next)).await.expect("before `first_request` is over");
    closed(silent).await;
    stop.cancel();
}

#[tokio::test]
async fn at_the_cap_requests_and_answers_end() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let long = get(|| async {
        let parts = futures::stream::iter(0..20).then(|_| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, std::io::Error>("part ")
        });
        axum::body::Body::from_stream(parts)
    });
    let (address, stop) = plain_of(gated(&entered, &leave).route("/long", long), 2).await;
    let mut asking = TcpStream::connect(address).await.unwrap();
    asking.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    entered.notified().await;
    let mut listening = TcpStream::connect(address).await.unwrap();
    listening.write_all(b"GET /long HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut begun = [0; 12];
    listening.read_exact(&mut begun).await.unwrap();
    // A third waits until one of them is done.
    let mut third = TcpStream::connect(address).await.unwrap();
    third.write_all(b"GET /long HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut rest = String::new();
    listening.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest.matches("part ").count(), 20, "{rest}");
    let mut answer = String::new();
    third.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer.matches("part ").count(), 20, "{answer}");
    leave.notify_one();
    let mut answer = String::new();
    asking.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    stop.cancel();
}

/// A peer that speaks HTTP/2 and answers nothing it is asked: no place is kept by not listening.
#[tokio::test]
async fn at_the_cap_a_peer_that_does_not_listen_makes_room_too() {
    let site = site_of(app(), Times::default(), Duration::ZERO, 1).await;
    let mut deaf = site.connect("h2", &site.pair).await.unwrap();
    // The preface, empty settings, and a request: method GET, scheme https, path /, and an authority.
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    request.extend(b"\0\0\x06\x01\x05\0\0\0\x01\x82\x87\x84\x41\x01a");
    deaf.write_all(&request).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let next = tokio::time::timeout(Duration::from_secs(4), site.connect("http/1.1", &site.pair)).await;
    next.expect("its place is taken in a second").unwrap();
    closed(deaf).await;
}

/// Handshakes until the server shows the certificate of `pair`.
async fn until_shown(site: &Site, pair: &Pair) {
    let until = Instant::now() + Duration::from_secs(20);
    while let Err(error) = site.connect("h2", pair).await {
        assert!(Instant::now() < until, "the new certificate is not in use after 20 s: {error}");
    }
}

#[tokio::test]
async fn a_new_pair_is_served_and_old_connections_live_on() {
    for poll in [Duration::from_secs(3600), Duration::from_millis(50)] {
        let site = site(Times { certificate_poll: poll, ..Times::default() }).await;
        let client = site.client().build().unwrap();
        assert_eq!(client.get(site.url()).send().await.unwrap().status(), 200);
        let new = Pair::new();
        new.write(site.folder.path());
        until_shown(&site, &new).await;
        assert!(site.connect("h2", &site.pair).await.is_err());
        // The pooled connection was made under the old certificate.
        assert_eq!(client.get(site.url()).send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_pair_swapped_as_kubernetes_does_is_served() {
    let (folder, old, new) = (tempfile::tempdir().unwrap(), Pair::new(), Pair::new());
    for (name, pair) in [("..1", &old), ("..2", &new)] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        pair.write(&folder.path().join(name));
    }
    let link = |from: &str, to: &str| std::os::unix::fs::symlink(from, folder.path().join(to)).unwrap();
    link("..1", "..data");
    link("..data/tls.crt", "tls.crt");
    link("..data/tls.key", "tls.key");
    let options = Options {
        listen: loopback(),
        tls: Some(files(folder.path()).into()),
        connections_max: 16,
        drain: Duration::ZERO,
    };
    let bound = serve::bind_with(options, Times { certificate_poll: Duration::from_secs(3600), ..Times::default() })
        .await
        .unwrap();
    let (address, stop) = (bound.local_addr(), CancellationToken::new());
    let running = tokio::spawn(bound.run(app(), stop.clone()));
    link("..2", "..data_tmp");
    std::fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
    let site = Site { address, pair: old, folder, stop, running };
    until_shown(&site, &new).await;
}

#[tokio::test]
async fn a_bad_pair_keeps_the_old_one() {
    let site = site(Times { certificate_poll: Duration::from_millis(20), ..Times::default() }).await;
    let (path, (certificate, key)) = (site.folder.path(), files(site.folder.path()));
    let certificates = Certificates::load(&certificate, &key).unwrap();
    let other = Pair::new();
    let bad: [(&str, &dyn Fn()); 5] = [
        ("the key of another", &|| std::fs::write(&key, &other.key).unwrap()),
        ("half a certificate", &|| std::fs::write(&certificate, &site.pair.certificate[..200]).unwrap()),
        ("an empty file", &|| std::fs::write(&certificate, "").unwrap()),
        ("expired", &|| Pair::expired().write(path)),
        ("gone", &|| std::fs::remove_file(&key).unwrap()),
    ];
    for (name, break_it) in bad {
        site.pair.write(path);
        break_it();
        let expires = certificates.expires();
        assert!(certificates.reload().is_err(), "{name}");
        assert_eq!(certificates.expires(), expires);
        site.connect("h2", &site.pair).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    site.pair.write(path);
    assert!(!certificates.reload().unwrap(), "the same pair is no change");
    other.write(path);
    assert!(certificates.reload().unwrap());
}

#[tokio::test]
async fn a_bad_pair_at_the_start_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let bind = || {
        serve::bind(Options {
            listen: loopback(),
            tls: Some(files(folder.path()).into()),
            connections_max: 1,
            drain: Duration::ZERO,
        })
    };
    let error = format!("{:#}", bind().await.err().unwrap());
    assert!(error.contains("tls.crt"), "{error}");
    Pair::expired().write(folder.path());
    let error = format!("{:#}", bind().await.err().unwrap());
    assert!(error.contains("expired at 2021-01-01"), "{error}");
    Pair { key: Pair::new().key, ..Pair::new() }.write(folder.path());
    let error = format!("{:#}", bind().await.err().unwrap());
    assert!(error.contains("tls.key"), "{error}");
    Pair::new().write(folder.path());
    bind().await.unwrap();
}

fn gated(entered: &Arc<Notify>, leave: &Arc<Notify>) -> Router {
    let (entered, leave) = (Arc::clone(entered), Arc::clone(leave));
    Router::new().route(
        "/",
        get(move || async move {
            entered.notify_one();
            leave.notified().await;
            "ok"
        }),
    )
}

#[tokio::test]
async fn drain_loses_no_request() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = gated(&entered, &leave).route("/quick", get(|| async { "ok" }));
    let site = site_of(slow, Times::default(), Duration::from_millis(500), 256).await;
    let (one, two) = (site.client().build().unwrap(), site.client().http1_only().build().unwrap());
    let mut requests = Vec::new();
    for client in [&one, &two] {
        for _ in 0..100 {
            requests.push(tokio::spawn(client.get(site.url()).send()));
            entered.notified().await;
        }
    }
    site.stop.cancel();
    // While it drains, new requests and new connections are served.
    let quick = format!("{}quick", site.url());
    for client in [&one, &two, &site.client().build().unwrap()] {
        assert_eq!(client.get(&quick).send().await.unwrap().status(), 200);
    }
    leave.notify_waiters();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
    }
    tokio::time::timeout(Duration::from_secs(10), site.running).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(site.address).await.is_err());
}

/// One request over a connection that is kept; the head of its answer, in lower case.
async fn asked(tls: &mut TlsStream<TcpStream>) -> String {
    tls.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok") {
        answer.push(tls.read_u8().await.expect("a whole answer"));
    }
    String::from_utf8(answer).unwrap().to_lowercase()
}

fn says_close(head: &str) -> bool {
    head.lines().any(|line| line == "connection: close")
}

/// An HTTP/1.1 client is told with an answer, while we still serve: then none of its requests crosses the close. HTTP/2 has its GOAWAY.
#[tokio::test]
async fn while_draining_each_answer_is_the_last_of_its_connection() {
    let site = site_of(app(), Times::default(), Duration::from_secs(20), 16).await;
    let mut kept = site.connect("http/1.1", &site.pair).await.unwrap();
    for _ in 0..2 {
        assert!(!says_close(&asked(&mut kept).await), "before the drain a connection is kept");
    }
    let two = site.client().build().unwrap();
    assert_eq!(two.get(site.url()).send().await.unwrap().version(), reqwest::Version::HTTP_2);
    site.stop.cancel();
    assert!(says_close(&asked(&mut kept).await));
    closed(kept).await;
    // A new connection is served as well, once.
    let mut late = site.connect("http/1.1", &site.pair).await.unwrap();
    assert!(says_close(&asked(&mut late).await));
    closed(late).await;
    for _ in 0..2 {
        let answer = two.get(site.url()).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
        assert_eq!(answer.headers().get("connection"), None);
    }
    assert!(!site.running.is_finished(), "all of this was while it drains");
}

/// The same where a connection has reached the last part of its age.
#[tokio::test]
async fn an_old_connection_is_told_so_with_an_answer() {
    let site = site(Times { age: Duration::from_secs(6), ..Times::default() }).await;
    let opened = Instant::now();
    let mut kept = site.connect("http/1.1", &site.pair).await.unwrap();
    while !says_close(&asked(&mut kept).await) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // 0.8 of the age, which is jittered by a tenth; the connection would have been closed without a word at 0.9 of it or later.
    assert!(opened.elapsed() > Duration::from_millis(4200), "told after {:?}", opened.elapsed());
    closed(kept).await;
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_the_exit() {
    let entered = Arc::new(Notify::new());
    let app = {
        let entered = Arc::clone(&entered);
        Router::new().route(
            "/",
            get(move || async move {
                entered.notify_one();
                pending::<&'static str>().await
            }),
        )
    };
    let site = site_of(app, Times { linger: Duration::from_millis(100), ..Times::default() }, Duration::ZERO, 16).await;
    let request = tokio::spawn(site.client().build().unwrap().get(site.url()).send());
    entered.notified().await;
    site.stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), site.running).await.unwrap().unwrap().unwrap();
    assert!(request.await.unwrap().is_err());
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_its_request_alone() {
    let app = app().route(
        "/panic",
        get(|| async {
            if true {
                panic!("on purpose")
            }
        }),
    );
    let site = site_of(app, Times::default(), Duration::ZERO, 16).await;
    let client = site.client().build().unwrap();
    assert!(client.get(format!("{}panic", site.url())).send().await.is_err());
    assert_eq!(client.get(site.url()).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_pair_in_memory_is_swapped_by_its_owner_and_never_for_a_bad_one() {
    let (first, second, expired) = (Pair::new(), Pair::new(), Pair::expired());
    let held = Certificates::held(first.certificate.as_bytes(), first.key.as_bytes()).unwrap();
    let tls = Some(serve::tls::Source::Held(held.clone()));
    let bound =
        serve::bind(Options { listen: loopback(), tls, connections_max: 16, drain: Duration::ZERO }).await.unwrap();
    let (address, stop) = (bound.local_addr(), CancellationToken::new());
    let server = tokio::spawn(bound.run(app(), stop.clone()));
    let shows = async |pair: &Pair| Site::connect_to(address, "http/1.1", pair).await.is_ok();
    assert!(shows(&first).await);
    for (certificate, key, what) in [
        (second.certificate.as_str(), first.key.as_str(), "the key of another"),
        ("", second.key.as_str(), "no certificate"),
        (second.certificate.as_str(), "rubbish", "no key"),
        (expired.certificate.as_str(), expired.key.as_str(), "expired"),
    ] {
        assert!(held.swap(certificate.as_bytes(), key.as_bytes()).is_err(), "{what}");
        assert!(shows(&first).await, "{what}");
        assert!(Certificates::held(certificate.as_bytes(), key.as_bytes()).is_err(), "{what}");
    }
    assert!(!held.swap(first.certificate.as_bytes(), first.key.as_bytes()).unwrap(), "the same pair is no change");
    assert!(held.swap(second.certificate.as_bytes(), second.key.as_bytes()).unwrap());
    assert!(!held.reload().unwrap(), "there are no files");
    assert!(shows(&second).await && !shows(&first).await);
    stop.cancel();
    server.await.unwrap().unwrap();
}
