//! D8, D10, D12: what comes is bounded, is as it is, and hashes to what was asked for.

use super::*;
use hostile::head;

/// What is made of one answer to a manifest by digest.
async fn of(acts: Vec<Act>) -> (Result<Option<Blob>, Fault>, usize) {
    let double = Double::plain(move |_| acts.clone()).await;
    let outcome = Reader::plain(&double).manifest().await;
    (outcome, double.seen().len())
}
fn manifest(headers: &[(&str, &str)], body: &[u8]) -> Vec<Act> {
    answer(200, &[&[("Content-Type", OCI_MANIFEST)], headers].concat(), body)
}

#[tokio::test]
async fn each_status_has_its_reason() {
    assert_eq!(of(answer(404, &[], b"{}")).await.0, Ok(None));
    reads(of(manifest(&[], MANIFEST)).await.0, MANIFEST);
    for (status, reason) in [
        (401, Reason::RegistryAuth),
        (403, Reason::RegistryAuth),
        (429, Reason::RegistryUnavailable),
        (500, Reason::RegistryUnavailable),
        (502, Reason::RegistryUnavailable),
        (503, Reason::RegistryUnavailable),
        (400, Reason::RegistryUnavailable),
        (406, Reason::RegistryUnavailable),
        (204, Reason::RegistryUnavailable),
        (206, Reason::RegistryUnavailable),
        (418, Reason::RegistryUnavailable),
    ] {
        refuses(of(answer(status, &[], b"")).await.0, reason);
    }
}

#[tokio::test]
async fn other_bytes_are_a_digest_mismatch() {
    refuses(of(manifest(&[], b"{}")).await.0, Reason::DigestMismatch);
    // A registry that stores anything under any digest, and is honest about it (components §1.1).
    let told = Digest::sha256(b"{}").to_string();
    refuses(of(manifest(&[("Docker-Content-Digest", &told)], b"{}")).await.0, Reason::DigestMismatch);

    let double = Double::plain(|_| answer(200, &[], b"another envelope")).await;
    refuses(Reader::plain(&double).blob().await, Reason::DigestMismatch);
}

#[tokio::test]
async fn a_digest_that_is_told_has_to_be_true() {
    let (good, other) = (manifest_digest().to_string(), Digest::sha256(b"x").to_string());
    reads(of(manifest(&[("Docker-Content-Digest", &good)], MANIFEST)).await.0, MANIFEST);
    for lie in [other.as_str(), "sha256:", "md5:00", "", &good.to_uppercase()] {
        refuses(of(manifest(&[("Docker-Content-Digest", lie)], MANIFEST)).await.0, Reason::DigestMismatch);
    }
    let by_tag = async |told: String| {
        let double = Double::plain(move |_| manifest(&[("Docker-Content-Digest", &told)], MANIFEST)).await;
        Reader::plain(&double).tag().await
    };
    assert_eq!(by_tag(good).await.unwrap().unwrap().digest, manifest_digest());
    refuses(by_tag(other).await, Reason::DigestMismatch);
}

#[tokio::test]
async fn a_tag_s_digest_is_our_own() {
    let double = Double::plain(honest).await;
    let found = Reader::plain(&double).tag().await.unwrap().unwrap();
    assert_eq!((found.digest, found.media_type.as_deref()), (manifest_digest(), Some(OCI_MANIFEST)));
    for tag in ["", "..", "-x", "a/b", "a?b", "a b", &"x".repeat(129)] {
        let reader = Reader::plain(&double);
        refuses(reader.registries.tag(&reader.repository, tag, soon()).await, Reason::ImageRefInvalid);
    }
    for path in ["", "/", "a//b", "../x", "a/../b", "A", "a?b", "a%2fb"] {
        let reader = Reader::plain(&double);
        let repository = Repository { path: path.into(), ..reader.repository.clone() };
        refuses(reader.registries.tag(&repository, "1", soon()).await, Reason::ImageRefInvalid);
    }
    assert_eq!(double.seen().len(), 1);
}

#[tokio::test]
async fn a_manifest_is_called_one() {
    let called = async |kind: &str| of(answer(200, &[("Content-Type", kind)], MANIFEST)).await.0;
    for good in [OCI_MANIFEST, OCI_INDEX, "APPLICATION/vnd.docker.distribution.manifest.v2+json; charset=utf-8"] {
        reads(called(good).await, MANIFEST);
    }
    for bad in ["text/html", "application/json", "application/vnd.docker.distribution.manifest.v1+prettyjws"] {
        refuses(called(bad).await, Reason::RegistryUnavailable);
    }
}

#[tokio::test]
async fn an_endless_or_huge_body_is_not_read() {
    let limit = 4 << 20;
    let chunk = [b"10000\r\n", &vec![b' '; 0x10000][..], b"\r\n"].concat();
    let (one_over, far_over) = ((limit + 1).to_string(), u64::MAX.to_string());
    for acts in [
        vec![head(200, &[("Content-Length", &one_over)]), Act::Hang],
        vec![head(200, &[("Content-Length", &far_over)]), Act::Hang],
        vec![head(200, &[]), Act::Endless(vec![b' '; 64 << 10])],
        vec![head(200, &[("Transfer-Encoding", "chunked")]), Act::Endless(chunk.clone())],
    ] {
        refuses(of(acts).await.0, Reason::RegistryUnavailable);
    }
    let body = vec![b' '; limit];
    let whole = Double::plain({
        let body = body.clone();
        move |_| answer(200, &[("Content-Type", OCI_MANIFEST)], &body)
    })
    .await;
    let reader = Reader::plain(&whole);
    reads(reader.registries.manifest(&reader.repository, &Digest::sha256(&body), soon()).await, &body);
}

#[tokio::test]
async fn a_blob_has_the_size_it_may_have() {
    let double = Double::plain(honest).await;
    let reader = Reader::plain(&double);
    let ask = async |max: usize| reader.registries.blob(&reader.repository, &blob_digest(), max as u64, soon()).await;
    reads(ask(BLOB.len()).await, BLOB);
    refuses(ask(BLOB.len() - 1).await, Reason::RegistryUnavailable);
    let lying = Double::plain(|_| vec![head(200, &[]), Act::Send(BLOB.to_vec()), Act::Close]).await;
    let reader = Reader::plain(&lying);
    let short = reader.registries.blob(&reader.repository, &blob_digest(), 4, soon()).await;
    refuses(short, Reason::RegistryUnavailable);
    reads(reader.blob().await, BLOB);
}

#[tokio::test]
async fn a_flood_of_header_fields_is_not_read() {
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let large = format!("X: {}\r\n", "y".repeat(70 << 10));
    let start = "HTTP/1.1 200 OK\r\n";
    for acts in [
        vec![Act::Send(format!("{start}{many}\r\n").into_bytes()), Act::Send(MANIFEST.to_vec()), Act::Close],
        vec![Act::Send(format!("{start}{large}\r\n").into_bytes()), Act::Send(MANIFEST.to_vec()), Act::Close],
        vec![Act::Send(start.into()), Act::Endless(b"X-More: and more\r\n".to_vec())],
        vec![Act::Send(format!("{start}X: ").into_bytes()), Act::Endless(vec![b'y'; 4096])],
    ] {
        refuses(of(acts).await.0, Reason::RegistryUnavailable);
    }
    let some: Vec<(String, String)> = (0..50).map(|n| (format!("X-{n}"), "y".repeat(100))).collect();
    let some: Vec<(&str, &str)> = some.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    reads(of(manifest(&some, MANIFEST)).await.0, MANIFEST);
}

#[tokio::test]
async fn nothing_compressed_is_asked_for_or_taken() {
    for coding in ["gzip", "br", "deflate", "zstd", "identity, gzip", "x"] {
        refuses(of(manifest(&[("Content-Encoding", coding)], MANIFEST)).await.0, Reason::RegistryUnavailable);
    }
    reads(of(manifest(&[("Content-Encoding", "identity")], MANIFEST)).await.0, MANIFEST);
    let double = Double::plain(honest).await;
    reads(Reader::plain(&double).manifest().await, MANIFEST);
    assert_eq!(double.seen()[0].header("accept-encoding"), None);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_answer() {
    let length = MANIFEST.len().to_string();
    let (outcome, asked) = of(vec![
        head(200, &[("Content-Type", OCI_MANIFEST), ("Content-Length", &length)]),
        Act::Send(MANIFEST[..20].to_vec()),
        Act::Close,
    ])
    .await;
    refuses(outcome, Reason::RegistryUnavailable);
    assert_eq!(asked, 1, "what has begun is not asked for again");
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    for junk in ["SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 200\u{0} OK\r\n\r\n", "<html></html>\r\n\r\n\r\n"] {
        refuses(of(vec![Act::Send(junk.into()), Act::Close]).await.0, Reason::RegistryUnavailable);
    }
}

/// A registry that speaks HTTP/2: honest at `shop/api`, endless elsewhere.
async fn http2(pki: &Pki) -> (u16, tokio::task::JoinHandle<()>) {
    use axum::{Router, body::Body, http::Request, response::IntoResponse};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, acceptor) = (listener.local_addr().unwrap().port(), pki.acceptor_of(&["h2"]));
    let app = Router::new().fallback(|request: Request<Body>| async move {
        assert_eq!(request.version(), axum::http::Version::HTTP_2);
        let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 16 << 10]));
        let body = match request.uri().path() == manifest_path() {
            true => Body::from(MANIFEST),
            false => Body::from_stream(endless),
        };
        ([("content-type", OCI_MANIFEST)], body).into_response()
    });
    let server = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, app) = (acceptor.clone(), app.clone());
            connections.spawn(async move {
                let stream = hyper_util::rt::TokioIo::new(acceptor.accept(stream).await.unwrap());
                let service = hyper_util::service::TowerToHyperService::new(app);
                let builder = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
                let _ = builder.serve_connection(stream, service).await;
            });
        }
    });
    (port, server)
}

#[tokio::test]
async fn http_2_is_spoken_and_bounded_alike() {
    let pki = Pki::new();
    let (port, server) = http2(&pki).await;
    let host = format!("registry.test:{port}");
    let registries = registries(vec![named(&host, &pki)], Limits::default());
    let whole = repository(&host);
    reads(registries.manifest(&whole, &manifest_digest(), soon()).await, MANIFEST);
    refuses(registries.tag(&whole, "endless", soon()).await, Reason::RegistryUnavailable);
    reads(registries.manifest(&whole, &manifest_digest(), soon()).await, MANIFEST);
    server.abort();
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_no() {
    // One lookup is one connection.
    let double = Double::plain(honest).await;
    let lookups = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = lookups.clone();
    let counting = Lookup::new(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) })
    });
    let registries = Registries::with(vec![plain(&double)], None, Limits::default(), counting).unwrap();
    let whole = repository(&host(&double));
    for _ in 0..4 {
        assert_eq!(registries.tag(&whole, "none", soon()).await, Ok(None));
        reads(registries.manifest(&whole, &manifest_digest(), soon()).await, MANIFEST);
    }
    assert_eq!((lookups.load(std::sync::atomic::Ordering::SeqCst), double.seen().len()), (1, 8));
}
