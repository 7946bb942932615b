//! What is known of each registry host: from RegistryConfig documents (design §6) and a docker configuration. Hosts without one are
//! reached by https, at public addresses only.

use super::{
    address::{Guard, Lookup},
    credentials::Credential,
    limits::Limits,
};
use crate::resource::{RegistryConfigSpec, Resource};
use anyhow::Context;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use url::Url;

/// What Secrets hold for the hosts whose RegistryConfig names one, by canonical `host[:port]`.
pub type HostCredentials = BTreeMap<String, Arc<Credential>>;

/// The rules of one registry host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostConfig {
    /// `host[:port]`, canonical, as references name it.
    pub host: String,
    /// Private and loopback addresses are allowed for this host.
    pub allow_private: bool,
    /// Plain http; refused together with credentials.
    pub insecure: bool,
    /// PEM certificates: the only ones this host's certificate may come from. Absent: the system's.
    pub ca_bundle: Option<String>,
    /// `host[:port]/prefix`, asked first for what is named by digest.
    pub mirrors: Vec<String>,
    /// An OCI layout directory that is read instead of the network.
    pub oci_layout: Option<PathBuf>,
    /// A docker `config.json` with this host's credentials.
    pub docker_config: Option<PathBuf>,
    /// Its credentials are a Secret's, and no others are used, a pod's neither …
    pub secret: bool,
    /// … and this is what the Secret holds for it, if anything.
    pub credential: Option<Arc<Credential>>,
    /// Other hosts whose token realm is accepted.
    pub auth_realms: Vec<String>,
}

impl HostConfig {
    /// The hosts that documents name. Error: two documents name one host.
    pub fn of(resources: &[Resource]) -> anyhow::Result<Vec<HostConfig>> {
        let mut hosts: Vec<HostConfig> = Vec::new();
        for resource in resources {
            let Resource::RegistryConfig(document) = resource else { continue };
            let host = Self::from_spec(&document.spec)?;
            anyhow::ensure!(
                hosts.iter().all(|other| other.host != host.host),
                "two RegistryConfigs name the host {}",
                host.host
            );
            hosts.push(host);
        }
        Ok(hosts)
    }

    fn from_spec(spec: &RegistryConfigSpec) -> anyhow::Result<HostConfig> {
        let credentials = spec.credentials.as_ref();
        Ok(HostConfig {
            host: spec.canonical_host().with_context(|| format!("{:?} is no registry host", spec.host))?,
            allow_private: spec.allow_private,
            insecure: spec.insecure,
            ca_bundle: spec.ca_bundle.clone(),
            // A layout directory is read instead of the network: of the host and of its mirrors.
            mirrors: if spec.oci_layout.is_some() { Vec::new() } else { spec.mirrors.clone() },
            oci_layout: spec.oci_layout.as_ref().map(PathBuf::from),
            docker_config: credentials.and_then(|c| c.docker_config.as_ref()).map(PathBuf::from),
            secret: credentials.is_some_and(|c| c.secret_ref.is_some()),
            credential: None,
            auth_realms: spec.auth_realms.clone(),
        })
    }
}

/// Where a registry is reached: `docker.io` is a name only, its registry answers elsewhere. The text must be a host and perhaps a port,
/// nothing more.
pub fn base_url(host: &str, insecure: bool) -> Option<Url> {
    let host = if host == "docker.io" { "registry-1.docker.io" } else { host };
    let scheme = if insecure { "http" } else { "https" };
    if host.is_empty() || host.contains(['/', '@', '?', '#', '\\', '%']) || host.contains(char::is_whitespace) {
        return None;
    }
    Url::parse(&format!("{scheme}://{host}/")).ok().filter(|url| url.has_host() && url.path() == "/")
}

/// `host[:port]/prefix` of a mirror: the host, and the path put before the repository (may be empty).
pub fn mirror(text: &str) -> (String, &str) {
    let (host, prefix) = text.split_once('/').unwrap_or((text, ""));
    (host.strip_suffix(":443").unwrap_or(host).to_ascii_lowercase(), prefix.trim_matches('/'))
}

/// The HTTP client under one set of rules: no redirects, no proxy, no compression, and our own name lookup.
pub fn client(rules: &HostConfig, limits: &Limits, lookup: &Lookup) -> anyhow::Result<reqwest::Client> {
    let build = || {
        reqwest::Client::builder()
            .user_agent(super::USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .https_only(!rules.insecure)
            .connect_timeout(limits.connect)
            .dns_resolver(Guard { lookup: lookup.clone(), allow_private: rules.allow_private })
            .http1_max_headers(limits.headers_max)
            .http2_max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
            // F3: a peer that fell silent is noticed within 5 s, whatever the kernel thinks.
            .http2_keep_alive_interval(Duration::from_secs(2))
            .http2_keep_alive_timeout(Duration::from_secs(2))
            .tcp_user_timeout(Duration::from_secs(4))
            .pool_idle_timeout(Duration::from_secs(30))
    };
    let Some(pem) = &rules.ca_bundle else {
        // Without any CA on the machine the system's verifier cannot be built; then nothing is trusted, but we start.
        return build().build().or_else(|error| {
            tracing::warn!(%error, "no system certificate authorities: only registries with a caBundle can be reached");
            build().tls_certs_only([]).build().context("HTTP client")
        });
    };
    let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
        .ok()
        .filter(|roots| !roots.is_empty())
        .with_context(|| format!("the caBundle of {} holds no PEM certificate", rules.host))?;
    build().tls_certs_only(roots).build().with_context(|| format!("HTTP client for {}", rules.host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_rules() {
        let text = |host: &str| {
            format!(
                "apiVersion: tidewaiter.dev/v1alpha1\nkind: RegistryConfig\nmetadata: {{ name: a }}\nspec:\n  host: {host}\n  \
                 allowPrivate: true\n  mirrors: [mirror.example.com/proxy]\n  authRealms: [auth.example.com]\n  credentials: {{ dockerConfig: /etc/docker.json }}\n"
            )
        };
        let of = |text: &str| HostConfig::of(&crate::resource::parse("f", text).unwrap());
        let expected = HostConfig {
            host: "registry.example.com:5000".into(),
            allow_private: true,
            mirrors: vec!["mirror.example.com/proxy".into()],
            auth_realms: vec!["auth.example.com".into()],
            docker_config: Some("/etc/docker.json".into()),
            ..HostConfig::default()
        };
        assert_eq!(of(&text("registry.example.com:5000")).unwrap(), [expected]);
        let twice =
            format!("{}---\n{}", text("r.example.com").replace("name: a", "name: b"), text("r.example.com:443"));
        let error = of(&twice).unwrap_err().to_string();
        assert!(error.contains("two RegistryConfigs name the host r.example.com"), "{error}");
    }

    #[test]
    fn a_host_is_a_host_and_perhaps_a_port() {
        let shown = |host: &str, insecure| base_url(host, insecure).map(|url| url.to_string());
        assert_eq!(shown("docker.io", false).as_deref(), Some("https://registry-1.docker.io/"));
        assert_eq!(shown("r.example:5000", false).as_deref(), Some("https://r.example:5000/"));
        assert_eq!(shown("r.example:5000", true).as_deref(), Some("http://r.example:5000/"));
        assert_eq!(shown("[::1]:5000", false).as_deref(), Some("https://[::1]:5000/"));
        for host in ["", "a/b", "u@h", "h?q", "h#f", "h:99999", "h h", "a\\b", ":5000", "h%2f"] {
            assert_eq!(base_url(host, false), None, "{host}");
        }
    }

    #[test]
    fn a_mirror_is_a_host_and_a_prefix() {
        assert_eq!(mirror("m.example/proxy/"), ("m.example".into(), "proxy"));
        assert_eq!(mirror("m.example:5000"), ("m.example:5000".into(), ""));
        assert_eq!(mirror("M.example:443/a/b"), ("m.example".into(), "a/b"));
    }

    #[test]
    fn a_ca_bundle_without_certificates_is_an_error() {
        let rules = |pem: &str| HostConfig { host: "r".into(), ca_bundle: Some(pem.into()), ..HostConfig::default() };
        for pem in ["", "hello", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert!(client(&rules(pem), &Limits::default(), &Lookup::system()).is_err(), "{pem}");
        }
        assert!(client(&HostConfig::default(), &Limits::default(), &Lookup::system()).is_ok());
    }
}
