//! The registry reader against a hostile world (security §2.D): each row with the reason it is refused for, and an honest twin beside it.
//! Nothing waits for a long time: where time is the point, the limits are short.

#[path = "support/hostile.rs"]
mod hostile;

#[path = "registry/addresses.rs"]
mod addresses;
#[path = "registry/answers.rs"]
mod answers;
#[path = "registry/auth.rs"]
mod auth;
#[path = "registry/layout.rs"]
mod layout;
#[path = "registry/mirrors.rs"]
mod mirrors;
#[path = "registry/redirects.rs"]
mod redirects;
#[path = "registry/referrers.rs"]
mod referrers;
#[path = "registry/time.rs"]
mod time;

use hostile::{Act, Double, Pki, Seen, answer};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};
use tidewaiter::{
    digest::Digest,
    reason::{Fault, Reason},
    registry::{Blob, HostConfig, Limits, Lookup, Registries, Repository},
};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// What an honest registry holds under `shop/api:1`.
const MANIFEST: &[u8] = b"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\"}";
const BLOB: &[u8] = b"an envelope";
const USER: &str = "robot";
const PASSWORD: &str = "hunter2-hunter2";

/// Every name of `.test`, on loopback.
fn lookup() -> Lookup {
    Lookup::new(|name| {
        Box::pin(async move {
            match name.ends_with(".test") || name == "localhost" {
                true => Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]),
                false => Err(std::io::Error::new(std::io::ErrorKind::NotFound, "no such name")),
            }
        })
    })
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}
fn manifest_digest() -> Digest {
    Digest::sha256(MANIFEST)
}
fn blob_digest() -> Digest {
    Digest::sha256(BLOB)
}
fn manifest_path() -> String {
    format!("/v2/shop/api/manifests/{}", manifest_digest())
}
fn blob_path() -> String {
    format!("/v2/shop/api/blobs/{}", blob_digest())
}

/// An honest registry's answer.
fn honest(seen: &Seen) -> Vec<Act> {
    let (manifest, blob) = (manifest_path(), blob_path());
    match seen.path() {
        path if path == manifest || path == "/v2/shop/api/manifests/1" => {
            answer(200, &[("Content-Type", OCI_MANIFEST)], MANIFEST)
        }
        path if path == blob => answer(200, &[("Content-Type", "application/octet-stream")], BLOB),
        _ => answer(404, &[], b"{}"),
    }
}

/// A host that may be private, over plain http or with the test's CA.
fn plain(double: &Double) -> HostConfig {
    HostConfig { host: host(double), allow_private: true, insecure: true, ..HostConfig::default() }
}
fn secure(double: &Double, pki: &Pki) -> HostConfig {
    named(&host(double), pki)
}
fn named(host: &str, pki: &Pki) -> HostConfig {
    HostConfig { host: host.to_owned(), allow_private: true, ca_bundle: Some(pki.ca.clone()), ..HostConfig::default() }
}
fn host(double: &Double) -> String {
    format!("registry.test:{}", double.port)
}
fn repository(host: &str) -> Repository {
    Repository { registry: host.to_owned(), path: "shop/api".to_owned() }
}

fn registries(hosts: Vec<HostConfig>, limits: Limits) -> Registries {
    Registries::with(hosts, None, limits, lookup()).expect("a sound configuration")
}

/// A docker configuration with the user for these hosts.
fn docker_config(hosts: &[&str]) -> tempfile::NamedTempFile {
    let auths: serde_json::Map<_, _> = hosts
        .iter()
        .map(|host| ((*host).to_owned(), serde_json::json!({"username": USER, "password": PASSWORD})))
        .collect();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), serde_json::json!({ "auths": auths }).to_string()).expect("written");
    file
}

/// The reader and the one registry it is pointed at.
struct Reader {
    registries: Registries,
    repository: Repository,
}

impl Reader {
    fn plain(double: &Double) -> Reader {
        Self::with(double, vec![plain(double)], Limits::default())
    }
    fn limited(double: &Double, limits: Limits) -> Reader {
        Self::with(double, vec![plain(double)], limits)
    }
    fn with(double: &Double, hosts: Vec<HostConfig>, limits: Limits) -> Reader {
        Reader { registries: registries(hosts, limits), repository: repository(&host(double)) }
    }
    /// With the user's password for the registry.
    fn with_password(double: &Double, hosts: Vec<HostConfig>) -> Reader {
        let config = docker_config(&[&host(double)]);
        let registries = Registries::with(hosts, Some(config.path()), Limits::default(), lookup()).expect("sound");
        Reader { registries, repository: repository(&host(double)) }
    }
    async fn manifest(&self) -> Result<Option<Blob>, Fault> {
        self.registries.manifest(&self.repository, &manifest_digest(), soon()).await
    }
    async fn blob(&self) -> Result<Option<Blob>, Fault> {
        self.registries.blob(&self.repository, &blob_digest(), 1024, soon()).await
    }
    async fn tag(&self) -> Result<Option<Blob>, Fault> {
        self.registries.tag(&self.repository, "1", soon()).await
    }
    async fn referrers(&self) -> Result<Option<Vec<tidewaiter::oci::Descriptor>>, Fault> {
        self.registries.referrers(&self.repository, &manifest_digest(), soon()).await
    }
}

#[track_caller]
fn refuses<T: std::fmt::Debug>(outcome: Result<T, Fault>, reason: Reason) -> Fault {
    let fault = outcome.expect_err("it was refused");
    assert_eq!(fault.reason, reason, "{fault}");
    fault
}

#[track_caller]
fn reads(outcome: Result<Option<Blob>, Fault>, bytes: &[u8]) {
    assert_eq!(outcome.expect("an answer").expect("an object").bytes, bytes);
}
