//! The demonstration's registry in a cluster: an OCI layout over the distribution API, read-only, plain http.
//!
//! It holds what everybody may see, and its readers trust nothing it says: every byte is hashed or signed.

use crate::{
    digest::Digest,
    oci::{Descriptor, media},
    reason::Fault,
    registry::{Blob, Limits, Repository, layout::Layout},
    serve,
};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Where it listens: the distribution project's own.
pub const PORT: u16 = 5000;

/// Serves the layout until it is told to end; without an address on every one the node has.
pub async fn serve(layout: PathBuf, listen: Option<SocketAddr>) -> anyhow::Result<()> {
    let options = |listen| serve::Options { listen, tls: None, connections_max: 64, drain: Duration::ZERO };
    let any = |address: IpAddr| options(SocketAddr::new(address, PORT));
    let bound = match listen {
        Some(listen) => serve::bind(options(listen)).await?,
        // Both families where the node has both.
        None => match serve::bind(any(Ipv6Addr::UNSPECIFIED.into())).await {
            Ok(bound) => bound,
            Err(_) => serve::bind(any(Ipv4Addr::UNSPECIFIED.into())).await?,
        },
    };
    let stop = CancellationToken::new();
    let mut terminated = signal(SignalKind::terminate())?;
    let ending = stop.clone();
    tokio::spawn(async move {
        terminated.recv().await;
        ending.cancel();
    });
    bound.run(router(layout), stop).await
}

/// The read half of the distribution API.
pub fn router(directory: PathBuf) -> Router {
    let layout = Arc::new(Layout { directory, limits: Limits::default() });
    Router::new().route("/v2/", get(|| async { "{}" })).fallback(get(answer)).with_state(layout)
}

async fn answer(State(layout): State<Arc<Layout>>, uri: Uri, headers: HeaderMap) -> Response {
    // The layout's tags are full names: the host is the one we are asked by.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let path = uri.path().to_owned();
    let found = tokio::task::spawn_blocking(move || find(&layout, host, &path)).await;
    match found {
        Ok(Ok(Some(found))) => {
            let blob_type = found.media_type.unwrap_or_else(|| "application/octet-stream".into());
            let headers =
                [(header::CONTENT_TYPE.as_str(), blob_type), ("docker-content-digest", found.digest.to_string())];
            (headers, Body::from(found.bytes)).into_response()
        }
        Ok(Ok(None)) => (StatusCode::NOT_FOUND, r#"{"errors":[{"code":"NOT_FOUND"}]}"#).into_response(),
        Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `/v2/<path>/(manifests|blobs|referrers)/<tag or digest>`.
fn find(layout: &Layout, host: String, path: &str) -> Result<Option<Blob>, Fault> {
    let parts: Vec<&str> = path.strip_prefix("/v2/").unwrap_or_default().rsplitn(3, '/').collect();
    let [named, of, repository] = parts.as_slice() else { return Ok(None) };
    match (*of, named.parse::<Digest>()) {
        ("manifests", Ok(digest)) => layout.manifest(&digest),
        ("blobs", Ok(digest)) => layout.blob(&digest, u64::from(u32::MAX)),
        ("referrers", Ok(digest)) => {
            let entries = layout.referrers(&digest)?;
            let entries: Vec<_> = entries.iter().map(entry).collect();
            let index = serde_json::json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": entries });
            let bytes = index.to_string().into_bytes();
            Ok(Some(Blob { digest: Digest::sha256(&bytes), bytes, media_type: Some(media::OCI_INDEX.into()) }))
        }
        ("manifests", Err(_)) => layout.tag(&Repository { registry: host, path: (*repository).into() }, named),
        _ => Ok(None),
    }
}

/// An entry of the referrers' index.
fn entry(of: &Descriptor) -> serde_json::Value {
    let mut entry = serde_json::json!({
        "mediaType": of.media_type,
        "digest": of.digest.to_string(),
        "size": of.size,
        "annotations": of.annotations,
    });
    if let Some(artifact_type) = &of.artifact_type {
        entry["artifactType"] = artifact_type.as_str().into();
    }
    entry
}
