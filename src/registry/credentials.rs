//! Credentials from a docker `config.json`, which is also what a pull secret holds: each for the very host and port it is stored under, and for no other (security §2.G5).
//! Credential helpers are programs; none is run.

use anyhow::Context;
use base64::Engine;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// A text that is never printed (security §2.H7).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(Zeroizing::new(text.into()))
    }
    pub fn expose(&self) -> &str {
        &self.0
    }
}
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Who we are at one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    Password {
        username: String,
        password: Secret,
    },
    /// An OAuth2 refresh token (`identitytoken`), for the token server alone.
    IdentityToken(Secret),
}

impl Credential {
    /// Names the credential without giving it away: part of the token cache's key.
    pub fn identity(&self) -> String {
        use sha2::Digest;
        let mut hash = sha2::Sha256::new();
        match self {
            Credential::Password { username, password } => {
                hash.update(b"password\0");
                hash.update(username.as_bytes());
                hash.update(b"\0");
                hash.update(password.expose().as_bytes());
            }
            Credential::IdentityToken(token) => {
                hash.update(b"identity\0");
                hash.update(token.expose().as_bytes());
            }
        }
        hex::encode(hash.finalize())
    }
    /// The value of `Authorization: Basic`; `None` for an identity token, which has no such form.
    pub fn basic(&self) -> Option<Secret> {
        match self {
            Credential::Password { username, password } => {
                let pair = Zeroizing::new(format!("{username}:{}", password.expose()));
                Some(Secret::new(format!(
                    "Basic {}",
                    base64::engine::general_purpose::STANDARD.encode(pair.as_bytes())
                )))
            }
            Credential::IdentityToken(_) => None,
        }
    }
}

/// Credentials by canonical `host[:port]`.
#[derive(Clone, Debug, Default)]
pub struct Keychain(BTreeMap<String, Arc<Credential>>);

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default, alias = "identityToken")]
    identitytoken: String,
}

/// A docker configuration larger than this is none.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl Keychain {
    /// Reads a docker `config.json` of at most 1 MiB, or the one in a directory.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let path = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
        let mut text = Zeroizing::new(Vec::new());
        std::fs::File::open(&path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text))
            .with_context(|| format!("docker configuration {}", path.display()))?;
        anyhow::ensure!(text.len() as u64 <= FILE_BYTES_MAX, "docker configuration {} is over 1 MiB", path.display());
        Self::parse(&text).with_context(|| format!("docker configuration {}", path.display()))
    }

    /// From the text of a `config.json`.
    ///
    /// # Errors
    /// It is none. The error quotes nothing of it.
    pub fn parse(text: &[u8]) -> anyhow::Result<Self> {
        let File { auths } = json(text)?;
        Self::of(auths)
    }

    /// From the text of a `.dockercfg`, which holds the hosts without anything around them.
    ///
    /// # Errors
    /// As [`Keychain::parse`].
    pub fn parse_dockercfg(text: &[u8]) -> anyhow::Result<Self> {
        Self::of(json(text)?)
    }

    fn of(auths: BTreeMap<String, Entry>) -> anyhow::Result<Self> {
        let mut keychain = BTreeMap::new();
        for (key, entry) in auths {
            let Some(host) = canonical_host(&key) else { continue };
            if let Some(credential) = entry
                .credential()
                .with_context(|| format!("credentials of {:?}", key.chars().take(80).collect::<String>()))?
            {
                keychain.insert(host, Arc::new(credential));
            }
        }
        Ok(Keychain(keychain))
    }

    /// Bytes it takes, about: for what bounds the memory of many.
    pub fn weight(&self) -> usize {
        let entry = |(host, credential): (&String, &Arc<Credential>)| {
            128 + host.len()
                + match credential.as_ref() {
                    Credential::Password { username, password } => username.len() + password.expose().len(),
                    Credential::IdentityToken(token) => token.expose().len(),
                }
        };
        self.0.iter().map(entry).sum()
    }

    /// The credential stored for exactly this canonical `host[:port]`.
    pub fn get(&self, host: &str) -> Option<Arc<Credential>> {
        self.0.get(host).cloned()
    }
}

/// The parser's own message could quote a secret: only the place is told.
fn json<T: serde::de::DeserializeOwned>(text: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(text)
        .map_err(|error| anyhow::anyhow!("line {} column {} is not as it should be", error.line(), error.column()))
}

impl Entry {
    fn credential(self) -> anyhow::Result<Option<Credential>> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credential::IdentityToken(Secret::new(self.identitytoken))));
        }
        if !self.auth.is_empty() {
            let pair = base64::engine::general_purpose::STANDARD.decode(self.auth.trim()).ok().map(Zeroizing::new);
            let pair = pair.as_deref().and_then(|pair| std::str::from_utf8(pair).ok());
            let (username, password) =
                pair.and_then(|pair| pair.split_once(':')).context("\"auth\" is no base64 of user:password")?;
            let password = Secret::new(password.trim_end_matches('\0'));
            return Ok(Some(Credential::Password { username: username.to_owned(), password }));
        }
        let given = !self.username.is_empty() && !self.password.is_empty();
        Ok(given.then(|| Credential::Password { username: self.username, password: Secret::new(self.password) }))
    }
}

/// `https://index.docker.io/v1/` → `docker.io`; a key with a path of its own is for less than a host, and passed over.
fn canonical_host(key: &str) -> Option<String> {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let rest = rest.trim_end_matches('/');
    let rest = rest.strip_suffix("/v1").or_else(|| rest.strip_suffix("/v2")).unwrap_or(rest);
    if rest.is_empty() || rest.contains('/') {
        return None;
    }
    let host = rest.strip_suffix(":443").unwrap_or(rest).to_ascii_lowercase();
    Some(if host == "index.docker.io" { "docker.io".to_owned() } else { host })
}

/// `$DOCKER_CONFIG`, else `~/.docker`, where it holds a `config.json`: what a person's own tools use.
pub fn default_docker_config() -> Option<PathBuf> {
    let directory = match std::env::var_os("DOCKER_CONFIG") {
        Some(directory) if !directory.is_empty() => PathBuf::from(directory),
        _ => std::env::home_dir()?.join(".docker"),
    };
    let file = directory.join("config.json");
    file.is_file().then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keychain(text: &str) -> anyhow::Result<Keychain> {
        Keychain::parse(text.as_bytes())
    }

    #[test]
    fn each_way_of_writing_a_credential_is_read() {
        let keys = keychain(
            r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpwOno="},"r.example:5000":{"username":"u","password":"p"},
                "https://Other.example:443":{"identitytoken":"t"},"empty.example":{}},"credsStore":"desktop"}"#,
        )
        .unwrap();
        let password = |p: &str| Credential::Password { username: "u".into(), password: Secret::new(p) };
        assert_eq!(keys.get("docker.io").as_deref(), Some(&password("p:z")));
        assert_eq!(keys.get("r.example:5000").as_deref(), Some(&password("p")));
        assert_eq!(keys.get("other.example").as_deref(), Some(&Credential::IdentityToken(Secret::new("t"))));
        assert_eq!(keys.get("empty.example"), None);
    }

    #[test]
    fn a_credential_is_for_its_host_and_port_alone() {
        let keys =
            keychain(r#"{"auths":{"r.example:5000":{"auth":"dTpw"},"s.example/team":{"auth":"dTpw"}}}"#).unwrap();
        assert!(keys.get("r.example:5000").is_some());
        for other in ["r.example", "r.example:5001", "a.r.example:5000", "example:5000", "s.example", "s.example/team"]
        {
            assert_eq!(keys.get(other), None, "{other}");
        }
    }

    #[test]
    fn a_broken_file_is_an_error_that_tells_no_secret() {
        for text in [
            r#"{"auths":{"r":{"auth":"%%hunter2"}}}"#,
            r#"{"auths":{"r":{"auth":["hunter2"]}}}"#,
            r#"{"auths":"hunter2"}"#,
        ] {
            let error = format!("{:#}", keychain(text).unwrap_err());
            assert!(!error.contains("hunter2"), "{error}");
        }
        let printed = format!("{:?}", keychain(r#"{"auths":{"r":{"username":"u","password":"hunter2"}}}"#).unwrap());
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn an_identity_tells_credentials_apart() {
        let with = |u: &str, p: &str| Credential::Password { username: u.into(), password: Secret::new(p) }.identity();
        assert_eq!(with("u", "p"), with("u", "p"));
        assert_ne!(with("u", "p"), with("u", "q"));
        assert_ne!(with("u", "p"), Credential::IdentityToken(Secret::new("p")).identity());
    }
}
