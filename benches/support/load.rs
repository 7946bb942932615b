//! A closed loop over TLS: each connection sends a prepared review, reads the answer, and sends the next.

use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How to reach one webhook.
#[derive(Clone)]
pub struct Target {
    pub addr: SocketAddr,
    pub connector: TlsConnector,
}

impl Target {
    pub fn new(addr: SocketAddr, ca: &str) -> Self {
        use rustls_pki_types::{CertificateDer, pem::PemObject};
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("a root");
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Target { addr, connector: TlsConnector::from(Arc::new(config)) }
    }

    pub async fn connect(&self) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(self.addr).await.expect("the webhook listens");
        tcp.set_nodelay(true).expect("nodelay");
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        self.connector.connect(name, tcp).await.expect("a TLS session")
    }

    /// One review on a connection of its own; whether it was allowed, and the body.
    pub async fn once(&self, body: &[u8]) -> (bool, String) {
        let mut stream = self.connect().await;
        exchange(&mut stream, &request(body), &mut Vec::new()).await
    }
}

/// A whole HTTP/1.1 request.
pub fn request(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /validate?timeout=10s HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

async fn exchange(stream: &mut TlsStream<TcpStream>, request: &[u8], buffer: &mut Vec<u8>) -> (bool, String) {
    stream.write_all(request).await.expect("the review is sent");
    stream.flush().await.expect("the review is sent");
    buffer.clear();
    loop {
        let mut chunk = [0; 16 * 1024];
        let read = stream.read(&mut chunk).await.expect("an answer");
        assert!(read > 0, "the webhook closed the connection");
        buffer.extend_from_slice(&chunk[..read]);
        let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).and_then(|n| n.trim().parse().ok());
        let length: usize = length.expect("a content-length");
        if buffer.len() >= end + 4 + length {
            assert!(head.starts_with("http/1.1 200"), "{head}");
            let body = String::from_utf8_lossy(&buffer[end + 4..]).into_owned();
            return (body.contains("\"allowed\":true"), body);
        }
    }
}

/// Answers in a second, all of them allowed, over this many connections.
pub async fn rate(target: &Target, requests: &Arc<Vec<Vec<u8>>>, connections: usize, time: Duration) -> f64 {
    let mut tasks = tokio::task::JoinSet::new();
    let start = Instant::now();
    for connection in 0..connections {
        let (target, requests) = (target.clone(), Arc::clone(requests));
        tasks.spawn(async move {
            let mut stream = target.connect().await;
            let (mut buffer, mut done) = (Vec::new(), 0_usize);
            let mut next = connection * requests.len() / connections;
            while start.elapsed() < time {
                let (allowed, body) = exchange(&mut stream, &requests[next % requests.len()], &mut buffer).await;
                assert!(allowed, "{body}");
                (next, done) = (next + 1, done + 1);
            }
            done
        });
    }
    let done: usize = tasks.join_all().await.into_iter().sum();
    done as f64 / start.elapsed().as_secs_f64()
}
