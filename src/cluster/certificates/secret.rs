//! The Secret's four keys, and what each step makes of them.

use super::{
    Times,
    pki::{self, Authority},
    step::{Leaf, State},
};
use crate::serve::tls::Certificates;
use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use rcgen::KeyPair;
use std::{collections::BTreeMap, time::Duration};

/// Asks for a full renewal at once; the leader takes it away when it begins.
pub const RENEW: &str = "tidewaiter.dev/renew";
const KIND: &str = "kubernetes.io/tls";

/// The data of the Secret, as it is: nothing is promised about it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Stored {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
    /// `ca.crt`: what API servers are to trust.
    pub bundle: Vec<u8>,
    pub ca_key: Vec<u8>,
}

impl Stored {
    pub fn read(secret: &Secret) -> Self {
        let data = |key: &str| {
            secret.data.as_ref().and_then(|data| data.get(key)).map_or_else(Vec::new, |value| value.0.clone())
        };
        Stored { certificate: data("tls.crt"), key: data("tls.key"), bundle: data("ca.crt"), ca_key: data("ca.key") }
    }

    /// Everything new: a CA and what it signs.
    pub fn make(names: &[String], times: &Times, now: Timestamp) -> anyhow::Result<Self> {
        Stored::default().repaired(&[], None, names, times, now)
    }

    /// The Secret to write: `before` with this data. Its version goes along, so that a write over a change of another replica is refused.
    pub fn into_secret(self, name: &str, before: Option<&Secret>, keep_request: bool) -> Secret {
        let mut metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        metadata.labels = Some(BTreeMap::from([("app.kubernetes.io/managed-by".into(), super::super::MANAGER.into())]));
        let mut secret = before.cloned().unwrap_or(Secret { metadata, type_: Some(KIND.into()), ..Secret::default() });
        if let Some(annotations) = secret.metadata.annotations.as_mut().filter(|_| !keep_request) {
            annotations.remove(RENEW);
        }
        let data = secret.data.get_or_insert_default();
        for (key, value) in
            [("tls.crt", self.certificate), ("tls.key", self.key), ("ca.crt", self.bundle), ("ca.key", self.ca_key)]
        {
            data.insert(key.into(), ByteString(value));
        }
        secret
    }

    /// A pair to serve: it parses, matches, is valid, and `ca.crt` vouches for it under every name of ours.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn sound(&self, names: &[String], now: Timestamp) -> anyhow::Result<Authority> {
        Certificates::held(&self.certificate, &self.key)?;
        Ok(pki::issuer_of(&self.certificate, &pki::bundle(&self.bundle), names, now)?.0.clone())
    }

    /// The CA whose key we hold, with its key.
    fn ca(&self, names: &[String]) -> Option<(Authority, KeyPair)> {
        let key = KeyPair::from_pem(std::str::from_utf8(&self.ca_key).ok()?).ok()?;
        let authority = pki::bundle(&self.bundle).into_iter().find(|ca| ca.holds_key(&key) && ca.permits(names))?;
        Some((authority, key))
    }

    pub fn state(&self, seen: &Seen, names: &[String], now: Timestamp) -> State {
        let bundle = pki::bundle(&self.bundle);
        let ca = self.ca(names).map(|(ca, _)| ca);
        let pair = Certificates::held(&self.certificate, &self.key);
        let issued = pair.and_then(|_| pki::issuer_of(&self.certificate, &bundle, names, now));
        let leaf = match issued {
            Ok((issuer, validity)) if Some(issuer) == ca.as_ref() => Leaf::Ours(validity),
            Ok(_) => Leaf::Others,
            Err(_) => Leaf::Broken,
        };
        State {
            others: bundle.iter().any(|authority| Some(authority) != ca.as_ref()),
            ca: ca.map(|ca| ca.validity),
            leaf,
            asked: seen.asked,
            trusted_for: seen.trusted_for,
            same_for: seen.same_for,
        }
    }

    /// Renewal 1.
    pub fn with_new_ca(&self, names: &[String], times: &Times, now: Timestamp) -> anyhow::Result<Self> {
        let (ca, key) = Authority::make(names, times, now)?;
        let mut bundle = pki::bundle(&self.bundle);
        bundle.push(ca);
        Ok(Stored { bundle: pki::pem(&bundle).into(), ca_key: key.serialize_pem().into(), ..self.clone() })
    }

    /// Renewal 2, or a new leaf alone.
    pub fn with_new_leaf(&self, names: &[String], times: &Times, now: Timestamp) -> anyhow::Result<Self> {
        let (ca, ca_key) = self.ca(names).context("there is no CA to sign with")?;
        let (certificate, key) = ca.sign(&ca_key, names, times, now)?;
        Ok(Stored { certificate: certificate.into(), key: key.into(), ..self.clone() })
    }

    /// Renewal 3.
    pub fn with_one_ca(&self, names: &[String]) -> anyhow::Result<Self> {
        let (ca, _) = self.ca(names).context("there is no CA to keep")?;
        Ok(Stored { bundle: pki::pem([&ca]).into(), ..self.clone() })
    }

    /// A new CA beside every one that is known: those `ca.crt` still shows and `known`, which API servers trust now. The
    /// leaf stays where it is sound, else `held`, what the replicas serve; where neither is vouched for, the new CA signs at once.
    pub fn repaired(
        &self,
        known: &[Authority],
        held: Option<(Vec<u8>, Vec<u8>)>,
        names: &[String],
        times: &Times,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let mut bundle = pki::bundle(&self.bundle);
        bundle.extend(known.iter().cloned());
        let mut seen: Vec<Authority> = Vec::new();
        for authority in bundle.drain(..) {
            if !seen.contains(&authority) {
                seen.push(authority);
            }
        }
        let (ca, key) = Authority::make(names, times, now)?;
        // What is served hangs on `known`, the last of them; a CA that has run out does no harm.
        let mut bundle = seen.split_off(seen.len().saturating_sub(3));
        bundle.push(ca);
        let whole = Stored { bundle: pki::pem(&bundle).into(), ca_key: key.serialize_pem().into(), ..self.clone() };
        let (certificate, key) = held.unwrap_or_default();
        let as_held = Stored { certificate, key, ..whole.clone() };
        match [&whole, &as_held].into_iter().find(|stored| stored.sound(names, now).is_ok()) {
            Some(stored) => Ok(stored.clone()),
            None => whole.with_new_leaf(names, times, now),
        }
    }
}

/// What was seen of the Secret and its surroundings over time.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub asked: bool,
    pub trusted_for: Option<Duration>,
    pub same_for: Duration,
}
