//! The bounded reader of OCI registries: the hostile world (security §2.D). An OCI layout directory answers like one.
//!
//! This file says what can be asked. `fetch` asks one registry for one object; `http` is the wire; `address` says where we connect at all;
//! `auth` and `credentials` who we are; `breaker` keeps one registry's trouble from the others; `layout` is the registry on a disk.

use crate::{digest::Digest, oci, reason::Fault, reason::Reason, reference::Reference, resource::Resource};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use url::Url;

pub mod address;
mod auth;
mod breaker;
pub mod config;
mod credentials;
mod fetch;
mod http;
pub mod layout;
pub mod limits;
mod object;
mod referrers;

pub use address::Lookup;
pub use config::{HostConfig, HostCredentials};
pub use credentials::{Credential, Keychain, Secret, default_docker_config};
pub use limits::Limits;

use fetch::{Ask, Fetcher, Found, Kind, Remote, Reply};
use layout::Layout;
use object::{check, check_told, is_manifest_type, is_tag, object_url};

/// Who we say we are, to registries and stores.
pub const USER_AGENT: &str = concat!("tidewaiter/", env!("CARGO_PKG_VERSION"));

/// Everything of one installation's registries: per-host configuration, connections, tokens, bulkheads, breakers. Cheap to clone: a
/// clone is the same registries, perhaps asked in another's name ([`Registries::lending`]).
#[derive(Clone)]
pub struct Registries {
    known: Arc<Known>,
    lent: Option<Arc<Lent>>,
}

struct Known {
    fetcher: Fetcher,
    configured: BTreeMap<String, Configured>,
    /// Hosts that no document names, since they were first asked.
    strangers: Mutex<HashMap<String, Arc<Remote>>>,
    keychain: Keychain,
}

/// A pod's credential, and the one host that is told it (security §2.G5).
struct Lent {
    host: String,
    credential: Arc<Credential>,
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A docker `config.json` with credentials (`--docker-config`, else [`default_docker_config`] for the CLI; none for the webhook unless given).
    pub docker_config: Option<PathBuf>,
    /// Hosts that RegistryConfig documents do not name are reached by https at public addresses only.
    pub resources: Vec<Resource>,
}

/// Bytes that hash to the digest they came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    pub bytes: Vec<u8>,
    /// As the registry called it; `oci::Document::parse` holds it against the document's own word.
    pub media_type: Option<String>,
}

/// A host that a document names.
struct Configured {
    host: Host,
    mirrors: Vec<String>,
}

/// The two kinds of registry.
#[derive(Clone)]
enum Host {
    Remote(Arc<Remote>),
    Layout(Arc<Layout>),
}

impl Registries {
    /// Errors: a document that cannot be honoured (credentials over plain http, no such CA), a docker configuration that cannot be read.
    pub fn new(options: &Options) -> anyhow::Result<Self> {
        let mut hosts = HostConfig::of(&options.resources)?;
        for host in hosts.iter_mut().filter(|host| host.secret) {
            // On a laptop the person's own docker configuration stands in for the cluster's Secret.
            anyhow::ensure!(
                options.docker_config.is_some(),
                "credentials.secretRef of {} is a Secret of a cluster, and there is none here: give a docker configuration",
                host.host
            );
            host.secret = false;
        }
        Self::with(hosts, options.docker_config.as_deref(), Limits::default(), Lookup::system())
    }

    /// The same in a cluster: with what the Secrets hold that documents name.
    ///
    /// # Errors
    /// As [`Registries::new`]. A Secret that holds nothing for its host is none: the registry is asked without.
    pub fn in_cluster(options: &Options, secrets: &HostCredentials) -> anyhow::Result<Self> {
        let mut hosts = HostConfig::of(&options.resources)?;
        for host in hosts.iter_mut().filter(|host| host.secret) {
            host.credential = secrets.get(&host.host).cloned();
        }
        Self::with(hosts, options.docker_config.as_deref(), Limits::default(), Lookup::system())
    }

    /// The same with every bound and the name lookup in the caller's hand.
    pub fn with(
        hosts: Vec<HostConfig>,
        docker_config: Option<&Path>,
        limits: Limits,
        lookup: Lookup,
    ) -> anyhow::Result<Self> {
        let keychain = docker_config.map(Keychain::read).transpose()?.unwrap_or_default();
        let stranger = fetch_way(&HostConfig::default(), &limits, &lookup)?;
        let (mut configured, mut ways) = (BTreeMap::new(), BTreeMap::new());
        for rules in hosts {
            let host = match &rules.oci_layout {
                Some(directory) => {
                    Host::Layout(Arc::new(Layout { directory: directory.clone(), limits: limits.clone() }))
                }
                None => {
                    let remote = Remote::configured(&rules, &keychain, &limits, &lookup)?;
                    ways.insert(auth::authority(&remote.base), remote.way.clone());
                    Host::Remote(Arc::new(remote))
                }
            };
            let known = configured.insert(rules.host.clone(), Configured { host, mirrors: rules.mirrors.clone() });
            anyhow::ensure!(known.is_none(), "registry host {} is configured twice", rules.host);
        }
        let fetcher = Fetcher { wire: http::Wire::new(limits), tokens: auth::Tokens::default(), ways, stranger };
        let known = Known { fetcher, configured, strangers: Mutex::default(), keychain };
        Ok(Registries { known: Arc::new(known), lent: None })
    }

    /// The same registries, asked with a pod's credential where `host` itself is asked, and the operator has none for it. Never told to
    /// a mirror, to where a redirect leads, or to a realm that the host's own rules do not allow.
    pub fn lending(&self, host: &str, credential: Arc<Credential>) -> Registries {
        Registries { known: Arc::clone(&self.known), lent: Some(Arc::new(Lent { host: host.to_owned(), credential })) }
    }

    /// Whether a pod's credential would be used at this host: not where the operator has one or means to, not over plain http (security
    /// §2.D11), not on a disk.
    pub fn borrows(&self, host: &str) -> bool {
        match self.known.configured.get(host).map(|known| &known.host) {
            Some(Host::Layout(_)) => false,
            Some(Host::Remote(remote)) => remote.borrows && remote.credential.is_none(),
            None => self.known.keychain.get(host).is_none(),
        }
    }

    /// Who we say we are to this one.
    fn credential<'a>(&'a self, remote: &'a Remote) -> Option<&'a Credential> {
        let lent = || self.lent.as_ref().filter(|lent| remote.borrows && lent.host == remote.name);
        remote.credential.as_deref().or_else(|| lent().map(|lent| lent.credential.as_ref()))
    }

    /// Tag → digest; one request (GET manifest, hashed by us; the bytes are kept for `manifest`). 404 → `image_not_found`, same text as no
    /// access (G4).
    pub async fn resolve(&self, image: &Reference, deadline: Instant) -> Result<Blob, Fault> {
        let repository = Repository::from(image);
        let found = match image.digest() {
            Some(digest) => self.manifest(&repository, digest, deadline).await?,
            None => self.tag(&repository, image.tag().unwrap_or("latest"), deadline).await?,
        };
        found.ok_or_else(|| Fault::new(Reason::ImageNotFound, fetch::hidden(&repository.registry, &repository.path)))
    }

    /// Manifest or index by digest, ≤ 4 MiB, hash checked (`digest_mismatch`). `Ok(None)`: 404.
    pub async fn manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        deadline: Instant,
    ) -> Result<Option<Blob>, Fault> {
        self.by_digest(repository, digest, Kind::Manifest, self.limits().manifest_bytes_max, deadline).await
    }

    /// Manifest by tag; its digest is ours. `Ok(None)`: 404.
    pub async fn tag(&self, repository: &Repository, tag: &str, deadline: Instant) -> Result<Option<Blob>, Fault> {
        if !is_tag(tag) {
            return Err(Fault::new(Reason::ImageRefInvalid, format!("{tag:?} is no tag")));
        }
        match self.host(&repository.registry)? {
            Host::Layout(layout) => {
                let (repository, tag) = (repository.clone(), tag.to_owned());
                on_disk(deadline, move || layout.tag(&repository, &tag)).await
            }
            Host::Remote(remote) => {
                let url = object_url(&remote.base, &repository.path, "manifests", tag)?;
                let Some(found) = self.get(&remote, repository, Kind::Manifest, url, None, deadline).await? else {
                    return Ok(None);
                };
                let digest = Digest::sha256(&found.bytes);
                Ok(Some(Blob { digest, bytes: found.bytes, media_type: found.media_type }))
            }
        }
    }

    /// Blob by digest, at most `bytes_max`, hash checked.
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        bytes_max: u64,
        deadline: Instant,
    ) -> Result<Option<Blob>, Fault> {
        self.by_digest(repository, digest, Kind::Blob, bytes_max, deadline).await
    }

    /// Descriptors of the referrers API, all pages (≤ 8 pages, ≤ 256); `Ok(None)` where the registry has no such API (404, 400, 405, 406,
    /// a redirect): then the caller reads the tag schema. Mirrors are not asked: a listing has no hash.
    pub async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
        deadline: Instant,
    ) -> Result<Option<Vec<oci::Descriptor>>, Fault> {
        match self.host(&repository.registry)? {
            Host::Layout(layout) => {
                let digest = digest.clone();
                on_disk(deadline, move || layout.referrers(&digest)).await.map(Some)
            }
            Host::Remote(remote) => self.remote_referrers(&remote, repository, digest, deadline).await,
        }
    }

    /// What everyone who reads a verdict about this registry has to be told (security §2.D11).
    pub fn warning(&self, registry: &str) -> Option<String> {
        match &self.known.configured.get(registry)?.host {
            Host::Remote(remote) if remote.way.insecure => {
                Some(format!("registry {registry} is read over plain http (RegistryConfig insecure)"))
            }
            Host::Remote(_) | Host::Layout(_) => None,
        }
    }

    /// Requests sent since start, for metrics and tests.
    pub fn requests(&self) -> u64 {
        self.known.fetcher.wire.requests()
    }

    fn limits(&self) -> &Limits {
        &self.known.fetcher.wire.limits
    }

    /// Mirrors in their order, then the host itself. What a mirror has is held against the digest like anything else; what it has not, or
    /// lies about, the host is asked for.
    async fn by_digest(
        &self,
        repository: &Repository,
        digest: &Digest,
        kind: Kind,
        bytes_max: u64,
        deadline: Instant,
    ) -> Result<Option<Blob>, Fault> {
        let mirrors =
            self.known.configured.get(&repository.registry).map(|host| host.mirrors.as_slice()).unwrap_or_default();
        for mirror in mirrors {
            let (host, prefix) = config::mirror(mirror);
            let path =
                if prefix.is_empty() { repository.path.clone() } else { format!("{prefix}/{}", repository.path) };
            let there = Repository { registry: host, path };
            // A mirror that hangs leaves time for the host itself.
            let half = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
            match self.at_host(&there, digest, kind, bytes_max, half).await {
                Ok(Some(blob)) => return Ok(Some(blob)),
                Ok(None) => {}
                Err(fault) => tracing::debug!(mirror = there.registry, %fault, "mirror passed over"),
            }
        }
        self.at_host(repository, digest, kind, bytes_max, deadline).await
    }

    async fn at_host(
        &self,
        repository: &Repository,
        digest: &Digest,
        kind: Kind,
        bytes_max: u64,
        deadline: Instant,
    ) -> Result<Option<Blob>, Fault> {
        match self.host(&repository.registry)? {
            Host::Layout(layout) => {
                let digest = digest.clone();
                on_disk(deadline, move || match kind {
                    Kind::Blob => layout.blob(&digest, bytes_max),
                    Kind::Manifest | Kind::Referrers => layout.manifest(&digest),
                })
                .await
            }
            Host::Remote(remote) => {
                let place = if kind == Kind::Blob { "blobs" } else { "manifests" };
                let url = object_url(&remote.base, &repository.path, place, &digest.to_string())?;
                let found = self.get(&remote, repository, kind, url, Some((digest, bytes_max)), deadline).await?;
                Ok(found.map(|found| Blob { digest: digest.clone(), bytes: found.bytes, media_type: found.media_type }))
            }
        }
    }

    /// Asks, and checks what came: its hash, what the registry says its hash is, and that a manifest is called one.
    async fn get(
        &self,
        remote: &Remote,
        repository: &Repository,
        kind: Kind,
        url: Url,
        expected: Option<(&Digest, u64)>,
        deadline: Instant,
    ) -> Result<Option<Found>, Fault> {
        let bytes_max = expected.map_or(self.limits().manifest_bytes_max, |(_, bytes_max)| bytes_max);
        let ask = Ask { kind, repository: &repository.path, url, bytes_max, credential: self.credential(remote) };
        let Reply::Found(found) = self.known.fetcher.fetch(remote, &ask, deadline).await? else { return Ok(None) };
        let from = format!("registry {}", remote.name);
        if let Some((digest, _)) = expected {
            check(digest, &found.bytes, &from)?;
        }
        if let Some(told) = &found.digest {
            check_told(told, expected.map(|(digest, _)| digest), &found.bytes, &from)?;
        }
        if kind == Kind::Manifest && !found.media_type.as_deref().is_none_or(is_manifest_type) {
            let told: String = found.media_type.unwrap_or_default().chars().take(80).collect();
            return Err(Fault::new(Reason::RegistryUnavailable, format!("{from} sent {told:?} for a manifest")));
        }
        Ok(Some(found))
    }

    /// The host's configuration and state; one that no document names gets the strictest.
    fn host(&self, name: &str) -> Result<Host, Fault> {
        if let Some(known) = self.known.configured.get(name) {
            return Ok(known.host.clone());
        }
        let mut strangers = self.known.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(remote) = strangers.get(name) {
            return Ok(Host::Remote(remote.clone()));
        }
        let base = config::base_url(name, false)
            .ok_or_else(|| Fault::new(Reason::ImageRefInvalid, format!("{name:?} is no registry host")))?;
        let limits = self.limits();
        if strangers.len() >= limits.remembered_max {
            strangers.retain(|_, remote| !remote.gate.is_idle(limits.in_flight_max));
        }
        if strangers.len() >= limits.remembered_max {
            return Err(Fault::new(Reason::Overloaded, "more registries in use than are remembered"));
        }
        let remote = Arc::new(Remote {
            name: name.to_owned(),
            base,
            way: self.known.fetcher.stranger.clone(),
            credential: self.known.keychain.get(name),
            borrows: true,
            auth_realms: Vec::new(),
            gate: breaker::Gate::new(name, limits),
            challenge: Mutex::default(),
        });
        strangers.insert(name.to_owned(), remote.clone());
        Ok(Host::Remote(remote))
    }
}

impl Remote {
    fn configured(rules: &HostConfig, shared: &Keychain, limits: &Limits, lookup: &Lookup) -> anyhow::Result<Self> {
        use anyhow::Context;
        let own = rules.docker_config.as_deref().map(Keychain::read).transpose()?;
        // What the operator keeps in a Secret comes from there alone.
        let credential = match rules.secret {
            true => rules.credential.clone(),
            false => own.as_ref().unwrap_or(shared).get(&rules.host),
        };
        if rules.docker_config.is_some() {
            anyhow::ensure!(credential.is_some(), "the dockerConfig of {} holds no credentials for it", rules.host);
        }
        // D11: whoever listens on the way would have them.
        anyhow::ensure!(
            !(rules.insecure && credential.is_some()),
            "registry {} is insecure: credentials are not sent over plain http",
            rules.host
        );
        Ok(Remote {
            name: rules.host.clone(),
            base: config::base_url(&rules.host, rules.insecure)
                .with_context(|| format!("{:?} is no registry host", rules.host))?,
            way: fetch_way(rules, limits, lookup)?,
            credential,
            borrows: !rules.insecure && !rules.secret,
            auth_realms: rules.auth_realms.clone(),
            gate: breaker::Gate::new(&rules.host, limits),
            challenge: Mutex::default(),
        })
    }
}

fn fetch_way(rules: &HostConfig, limits: &Limits, lookup: &Lookup) -> anyhow::Result<http::Way> {
    Ok(http::Way {
        client: config::client(rules, limits, lookup)?,
        allow_private: rules.allow_private,
        insecure: rules.insecure,
    })
}

/// Reads files where that may block, and stops waiting at the deadline.
async fn on_disk<T: Send + 'static>(
    deadline: Instant,
    read: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::time::timeout_at(deadline.into(), tokio::task::spawn_blocking(read)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Fault::new(Reason::InternalError, "reading an OCI layout failed")),
        Err(_) => Err(Fault::new(Reason::DeadlineExceeded, "the review's time ran out reading an OCI layout")),
    }
}

/// `host[:port]` and path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    pub registry: String,
    pub path: String,
}
impl From<&Reference> for Repository {
    fn from(r: &Reference) -> Self {
        Repository { registry: r.registry().into(), path: r.repository().into() }
    }
}
