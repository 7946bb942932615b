//! The Secrets that our own resources name, in our own namespace: keys of TrustRoots, credentials of RegistryConfigs. Read by name, again
//! and again, so that rotation is seen; what the API server cannot tell us stays as it was.

use super::{
    Cluster,
    named::{self, Named, SecretObject, Unread},
    pull_secrets::{self, Useless},
    status::Why,
};
use crate::{
    digest::Digest,
    key::{KeyError, PublicKey},
    registry::{Credential, HostCredentials, Keychain, Secret},
    resource::{RegistryConfig, Resource, SecretKeyRef, TrustRoot},
};
use futures::StreamExt;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// How often to [`Referenced::resolve`] where no resource has changed.
pub const REREAD: Duration = Duration::from_secs(30);
/// What one Secret may take.
const READ_MAX: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 8;
const BASIC_AUTH: &str = "kubernetes.io/basic-auth";

/// The reader of those Secrets, with the last it was told of each.
pub struct Referenced {
    cluster: Cluster,
    told: Mutex<BTreeMap<String, Told>>,
}
type Told = Result<Arc<SecretObject>, Unread>;

/// Resources with what their Secrets hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// As they came and in their order, but: a TrustRoot's keys all stand in it, without those that could not be had; a RegistryConfig's
    /// `secretRef` says which version was read. Their policy hash is another one when a Secret is.
    pub resources: Vec<Resource>,
    /// For [`crate::registry::Registries::in_cluster`].
    pub credentials: HostCredentials,
    /// What could not be had: for the status of the resource.
    pub problems: Vec<Problem>,
}

/// Why a resource that parses is not in use as it stands: most often a Secret that does not give what is wanted of it. Nothing of its
/// contents is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `TrustRoot` or `RegistryConfig`.
    pub kind: &'static str,
    /// Of the resource.
    pub name: String,
    /// `spec.keys[0].secretKeyRef`.
    pub field: String,
    pub why: Why,
    /// `Secret "release-key": it is not there`.
    pub message: String,
}
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\": {}: {}", self.kind, self.name, self.field, self.message)
    }
}

impl Referenced {
    /// Sends nothing.
    pub fn new(cluster: Cluster) -> Self {
        Referenced { cluster, told: Mutex::default() }
    }

    /// The resources with what their Secrets hold now; where the API server gives no answer, with what they held when it last did.
    pub async fn resolve(&self, mut resources: Vec<Resource>) -> Resolved {
        let told = self.read(names(&resources)).await;
        let (mut credentials, mut problems) = (HostCredentials::new(), Vec::new());
        for resource in &mut resources {
            match resource {
                Resource::TrustRoot(root) => keys(root, &told, &mut problems),
                Resource::RegistryConfig(config) => login(config, &told, &mut credentials, &mut problems),
                _ => {}
            }
        }
        Resolved { resources, credentials, problems }
    }

    async fn read(&self, names: BTreeSet<String>) -> BTreeMap<String, Told> {
        // One at a time, so that no older answer comes after a newer one.
        let mut told = self.told.lock().await;
        told.retain(|name, _| names.contains(name));
        let read = names.into_iter().map(|name| async {
            let named = Named { plural: "secrets", namespace: &self.cluster.namespace, name: &name };
            let found = named::get(&self.cluster.client, named, Instant::now() + READ_MAX).await.map(Arc::new);
            (name, found)
        });
        let mut answers = futures::stream::iter(read).buffer_unordered(AT_ONCE);
        while let Some((name, found)) = answers.next().await {
            match &found {
                Err(why) if !why.is_definite() && told.get(&name).is_some_and(Result::is_ok) => {
                    tracing::warn!(secret = name, %why, "a Secret was not read again: what it held stays in use");
                }
                _ => drop(told.insert(name, found)),
            }
        }
        told.clone()
    }
}

/// Every Secret that is named.
fn names(resources: &[Resource]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for resource in resources {
        match resource {
            Resource::TrustRoot(root) => {
                let named = root.spec.keys.iter().filter_map(|key| key.secret_key_ref.as_ref());
                names.extend(named.map(|secret| secret.name.clone()));
            }
            Resource::RegistryConfig(config) => {
                let named = config.spec.credentials.as_ref().and_then(|it| it.secret_ref.as_ref());
                names.extend(named.map(|secret| secret.name.clone()));
            }
            _ => {}
        }
    }
    names
}

fn held<'t>(told: &'t BTreeMap<String, Told>, name: &str) -> Result<&'t SecretObject, Useless> {
    match told.get(name) {
        Some(Ok(secret)) => Ok(secret),
        Some(Err(why)) => Err(Useless::Unread(*why)),
        None => Err(Useless::Unread(Unread::Missing)),
    }
}

/// Puts the keys in place of their references.
fn keys(root: &mut TrustRoot, told: &BTreeMap<String, Told>, problems: &mut Vec<Problem>) {
    let name = &root.metadata.name;
    let mut index = 0;
    root.spec.keys.retain_mut(|key| {
        let at = index;
        index += 1;
        let Some(secret) = key.secret_key_ref.take() else { return true };
        match public_key(&secret, told) {
            Ok(Text::Pem(pem)) => key.pem = Some(pem),
            Ok(Text::Pgp(pgp)) => key.pgp = Some(pgp),
            Err(why) => problems.push(Problem {
                kind: "TrustRoot",
                name: name.clone(),
                field: format!("spec.keys[{at}].secretKeyRef"),
                why: Why::SecretMissing,
                message: format!("Secret \"{}\": {why}", secret.name),
            }),
        }
        key.pem.is_some() || key.pgp.is_some()
    });
}

/// What a TrustRoot says in `pem`, or in `pgp`.
enum Text {
    Pem(String),
    Pgp(String),
}

/// A public key, and only that: a private one is never taken for it, let alone shown in a policy.
fn public_key(wanted: &SecretKeyRef, told: &BTreeMap<String, Told>) -> Result<Text, String> {
    let secret = held(told, &wanted.name).map_err(|why| why.to_string())?;
    let bytes = secret.value(&wanted.key).ok_or_else(|| format!("it has no key {}", wanted.key))?;
    let bytes = bytes.map_err(|why| why.to_string())?;
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("{} is no text", wanted.key))?;
    match PublicKey::from_file(&bytes) {
        Ok(key) if key.is_openpgp() => Ok(Text::Pgp(text.to_owned())),
        Ok(_) => Ok(Text::Pem(text.to_owned())),
        // What is wrong with a certificate is no secret.
        Err(error @ (KeyError::Revoked { .. } | KeyError::NotForSigning { .. } | KeyError::Unbound { .. })) => {
            Err(format!("{}: {error}", wanted.key))
        }
        Err(_) => Err(format!("{} is no PEM block PUBLIC KEY of a kind that is read", wanted.key)),
    }
}

/// Notes the credential of the document's host, and which version of the Secret it is from.
fn login(
    config: &mut RegistryConfig,
    told: &BTreeMap<String, Told>,
    credentials: &mut HostCredentials,
    problems: &mut Vec<Problem>,
) {
    let Some(host) = config.spec.canonical_host() else { return };
    let Some(reference) = config.spec.credentials.as_mut().and_then(|it| it.secret_ref.as_mut()) else { return };
    let secret = held(told, &reference.name);
    reference.revision = secret.as_ref().ok().map(|secret| revision(secret));
    match secret.and_then(|secret| credential(secret, &host)) {
        Ok(credential) => drop(credentials.insert(host, credential)),
        Err(why) => problems.push(Problem {
            kind: "RegistryConfig",
            name: config.metadata.name.clone(),
            field: "spec.credentials.secretRef".into(),
            why: Why::SecretMissing,
            message: format!("Secret \"{}\": {why}", reference.name),
        }),
    }
}

/// Tells versions apart, without a word of what they hold.
fn revision(secret: &SecretObject) -> String {
    let meta = &secret.metadata;
    Digest::sha256(format!("{}\0{}", meta.uid, meta.resource_version).as_bytes()).to_string()
}

fn credential(secret: &SecretObject, host: &str) -> Result<Arc<Credential>, Useless> {
    if secret.kind == BASIC_AUTH {
        let text = |key| -> Result<String, Useless> {
            let bytes = secret.value(key).ok_or(Useless::Key(key))?.map_err(Useless::Unread)?;
            let text = std::str::from_utf8(&bytes).map_err(|_| Useless::Text(format!("{key} is no text")))?;
            Ok(text.to_owned())
        };
        let password = Secret::new(text("password")?);
        return Ok(Arc::new(Credential::Password { username: text("username")?, password }));
    }
    let keychain: Keychain = pull_secrets::keychain(secret)?;
    keychain.get(host).ok_or_else(|| Useless::Text(format!("it has no entry for {host}")))
}

#[cfg(test)]
mod tests;
