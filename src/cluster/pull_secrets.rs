//! The registry credentials of one pod, read by name (security §2.G4-G6): its own pull secrets, else its service account's. What cannot
//! be read or understood is passed over, as the kubelet does, and said; then the registry's answer decides.

use super::named::{self, Named, SecretObject, Unread};
use crate::{
    policy::{PULL_SECRETS_MAX, Workload},
    registry::{Credential, Keychain},
};
use futures::future::join_all;
use memory::Memory;
use serde::Deserialize;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

mod memory; // what was read, for a short while

/// Credentials for one host that are tried, as the kubelet tries one after the other.
pub const TRIES_MAX: usize = 3;
/// What the API server may take for one object: the registry needs the rest of the review's time.
const READ_MAX: Duration = Duration::from_secs(3);

/// The reader of pull secrets, with what it read in the last half minute. One for the process: it outlives policy sets.
pub struct PullSecrets {
    client: kube::Client,
    secrets: Memory<Keychain>,
    accounts: Memory<Vec<String>>,
}

/// What was found for one pod.
#[derive(Clone, Debug, Default)]
pub struct PodSecrets {
    /// In the order the pod names them.
    keychains: Vec<Arc<Keychain>>,
    /// What was passed over, and why.
    pub warnings: Vec<String>,
}

impl PodSecrets {
    /// What is stored for exactly this canonical `host[:port]`, each once, at most [`TRIES_MAX`].
    pub fn of(&self, host: &str) -> Vec<Arc<Credential>> {
        let mut found: Vec<Arc<Credential>> = Vec::new();
        for credential in self.keychains.iter().filter_map(|keychain| keychain.get(host)) {
            if found.len() < TRIES_MAX && !found.contains(&credential) {
                found.push(credential);
            }
        }
        found
    }
}

/// Why a Secret gives no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Useless {
    Unread(Unread),
    /// Its type is not one that holds registry credentials.
    Type(String),
    /// No such key.
    Key(&'static str),
    /// Its text is not what its type says.
    Text(String),
}
impl fmt::Display for Useless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Useless::Unread(why) => why.fmt(f),
            Useless::Type(kind) => write!(f, "its type is \"{kind}\", expected {DOCKER_CONFIG_JSON}"),
            Useless::Key(key) => write!(f, "it has no key {key}"),
            Useless::Text(why) => f.write_str(why),
        }
    }
}

pub(super) const DOCKER_CONFIG_JSON: &str = "kubernetes.io/dockerconfigjson";
const DOCKER_CONFIG: &str = "kubernetes.io/dockercfg";

/// The credentials in a Secret of one of the two types that pods may name.
pub(super) fn keychain(secret: &SecretObject) -> Result<Keychain, Useless> {
    let text = |key| secret.value(key).ok_or(Useless::Key(key))?.map_err(Useless::Unread);
    let parsed = match secret.kind.as_str() {
        DOCKER_CONFIG_JSON => Keychain::parse(&text(".dockerconfigjson")?),
        DOCKER_CONFIG => Keychain::parse_dockercfg(&text(".dockercfg")?),
        other => return Err(Useless::Type(other.chars().take(80).collect())),
    };
    parsed.map_err(|error| Useless::Text(format!("{error:#}")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    #[serde(default)]
    image_pull_secrets: Option<Vec<NamedSecret>>,
}
#[derive(Deserialize)]
struct NamedSecret {
    #[serde(default)]
    name: String,
}

impl PullSecrets {
    /// Sends nothing. What is read is used for half a minute: a rotated or revoked secret no longer than that.
    pub fn new(client: kube::Client) -> Self {
        Self::keeping(client, memory::KEPT)
    }

    /// The same, and what is read is used for so long.
    pub fn keeping(client: kube::Client, kept: Duration) -> Self {
        let names = |names: &Vec<String>| names.iter().map(|name| 32 + name.len()).sum();
        PullSecrets { client, secrets: Memory::new(Keychain::weight, kept), accounts: Memory::new(names, kept) }
    }

    /// The credentials that the kubelet would have for this pod, read inside the deadline.
    pub async fn of(&self, workload: &Workload, deadline: Instant) -> PodSecrets {
        let mut found = PodSecrets::default();
        let mut names = workload.pull_secrets.clone();
        if names.is_empty() {
            let account = if workload.service_account.is_empty() { "default" } else { &workload.service_account };
            match self.account(&workload.namespace, account, deadline).await {
                Ok(held) => names = held.as_ref().clone(),
                Err(why) => found.warnings.push(format!("service account \"{account}\" was not read: {why}")),
            }
        }
        if names.len() > PULL_SECRETS_MAX {
            names.truncate(PULL_SECRETS_MAX);
            found.warnings.push(format!("only the first {PULL_SECRETS_MAX} pull secrets are used"));
        }
        let read = names.iter().map(|name| self.secret(&workload.namespace, name, deadline));
        for (name, keychain) in names.iter().zip(join_all(read).await) {
            match keychain {
                Ok(keychain) => found.keychains.push(keychain),
                Err(why) => found.warnings.push(format!("pull secret \"{name}\" is not used: {why}")),
            }
        }
        found
    }

    async fn secret(&self, namespace: &str, name: &str, deadline: Instant) -> Result<Arc<Keychain>, Useless> {
        let (client, place) = (self.client.clone(), (namespace.to_owned(), name.to_owned()));
        let read = move |(namespace, name): (String, String), until| async move {
            let named = Named { plural: "secrets", namespace: &namespace, name: &name };
            let secret: SecretObject = named::get(&client, named, until).await.map_err(Useless::Unread)?;
            keychain(&secret)
        };
        self.secrets.get(place, soonest(deadline), read).await
    }

    async fn account(&self, namespace: &str, name: &str, deadline: Instant) -> Result<Arc<Vec<String>>, Useless> {
        let (client, place) = (self.client.clone(), (namespace.to_owned(), name.to_owned()));
        let read = move |(namespace, name): (String, String), until| async move {
            let named = Named { plural: "serviceaccounts", namespace: &namespace, name: &name };
            let account: Account = named::get(&client, named, until).await.map_err(Useless::Unread)?;
            let secrets = account.image_pull_secrets.unwrap_or_default().into_iter();
            // One more than are read, so that it can be said that there are more.
            Ok(secrets.map(|it| it.name).filter(|name| !name.is_empty()).take(PULL_SECRETS_MAX + 1).collect())
        };
        self.accounts.get(place, soonest(deadline), read).await
    }
}

fn soonest(deadline: Instant) -> Instant {
    deadline.min(Instant::now() + READ_MAX)
}

#[cfg(test)]
mod tests;
