//! Functionaries by certificate (ITE-7): the keys that certificates among the evidence vouch for, for which steps. That such a key signed
//! something is found by the same count as of every other key (`quorum`).
//!
//! A certificate comes with a signature, and with a key id that its sender chose: the id helps to find the key and decides nothing. What
//! decides is the path to a root of the layout as of now (there is no trusted time of signing yet, so that an expired certificate no
//! longer counts), and the names, by a constraint of the step. Two certificates of one key are one functionary, and so are a key of the
//! layout and a certificate of it (R15).

use super::budget::{Budget, Excess, Limits};
use crate::{
    envelope::Signature,
    intoto::{
        Layout, Step,
        layout::certificates::{Allowed, Constraint},
    },
    json::shown,
    key::{
        NamedKey, PublicKey,
        x509::{Certificate, CertificateError},
    },
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A key id is a hash, or what somebody made of a name. A longer one helps to find nothing.
const KEYID_BYTES_MAX: usize = 256;

/// The certified keys of one layout.
#[derive(Default)]
pub(super) struct Certified<'l> {
    /// By SPKI, so that a key is there once.
    keys: BTreeMap<Vec<u8>, PublicKey>,
    /// Step → SPKI → what the functionary is there.
    steps: BTreeMap<&'l str, BTreeMap<Vec<u8>, Functionary>>,
    now: Timestamp,
}

/// The owner of a certified key, for one step.
struct Functionary {
    name: String,
    /// The last second in which one of the certificates holds.
    until: Timestamp,
}

/// A certificate with what vouches for it.
struct Vouched<'l> {
    certificate: Certificate,
    key: PublicKey,
    /// Ids of the roots or bundles in which a path ends, and until when it holds.
    roots: BTreeMap<&'l str, Timestamp>,
}

/// Why a certificate makes nobody a functionary of a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncertified {
    /// It cannot be read, or no root vouches for it.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An attribute is not what the step's only constraint asks for.
    #[error("its {attribute} {}, expected {}", some(.found), wanted(.expected))]
    Attribute { attribute: &'static str, found: Vec<String>, expected: Vec<String> },
    /// By its names it would do; the path ends elsewhere.
    #[error("its path ends in {}, expected {}", quoted(.found), quoted(.expected))]
    Root { found: Vec<String>, expected: Vec<String> },
    /// None of several constraints is met.
    #[error("it meets none of the {constraints} cert_constraints")]
    Constraints { constraints: usize },
}

impl<'l> Certified<'l> {
    /// Looks at the certificates that come with the signatures of each envelope.
    pub fn find<'e>(
        layout: &'l Layout,
        envelopes: impl IntoIterator<Item = &'e [Signature]>,
        now: Timestamp,
        budget: &mut Budget,
    ) -> Result<Self, Excess> {
        let mut certified = Certified { now, ..Certified::default() };
        if layout.steps.iter().all(|step| step.cert_constraints.is_empty()) {
            return Ok(certified);
        }
        // Text → the ids under which it comes. One certificate may come with many links.
        let mut texts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for signature in envelopes.into_iter().flat_map(|all| all.iter().take(Limits::DEFAULT.signatures_max)) {
            if let Some(text) = &signature.certificate {
                let ids = texts.entry(text).or_default();
                let id = signature.keyid.as_deref().filter(|id| id.len() <= KEYID_BYTES_MAX);
                // Whose id is one of those that are derived from the key is found without.
                ids.extend(id.filter(|_| ids.len() < Limits::DEFAULT.signatures_max));
            }
        }
        budget.certificates(texts.len())?;
        for (text, ids) in texts {
            if let Ok(vouched) = vouch(layout, text, now) {
                certified.add(layout, &vouched, &ids);
            }
        }
        Ok(certified)
    }

    fn add(&mut self, layout: &'l Layout, vouched: &Vouched<'_>, ids: &BTreeSet<&str>) {
        let spki = vouched.key.spki();
        for step in &layout.steps {
            let Ok((constraint, root, until)) = vouched.meets(step) else { continue };
            let name = format!(
                "{} (certificate under {root:?} by constraint {constraint}, key {})",
                vouched.certificate.subject(),
                vouched.key.id().chars().take(16).collect::<String>()
            );
            // The least of several names, so that none depends on the order in which certificates come.
            let functionaries = self.steps.entry(&step.name).or_default();
            match functionaries.get_mut(spki) {
                Some(known) => {
                    known.until = known.until.max(until);
                    known.name = std::mem::take(&mut known.name).min(name);
                }
                None => drop(functionaries.insert(spki.to_vec(), Functionary { name, until })),
            }
            let key = self.keys.remove(spki).unwrap_or_else(|| vouched.key.clone());
            let key = ids.iter().fold(key, |key, id| key.also_known_as(id));
            self.keys.insert(spki.to_vec(), key);
        }
    }

    /// For the ring that signatures are tried with: every key once.
    pub fn ring(&self) -> impl Iterator<Item = NamedKey> {
        self.keys.values().map(|key| NamedKey { name: key.id().to_owned(), key: key.clone() })
    }

    /// The certified keys of a step, each with the name of its functionary.
    pub fn of(&self, step: &Step) -> impl Iterator<Item = (&str, &PublicKey)> {
        let functionaries = self.steps.get(step.name.as_str()).into_iter().flatten();
        functionaries.filter_map(|(spki, functionary)| Some((functionary.name.as_str(), self.keys.get(spki)?)))
    }

    /// The key of a functionary of the step, by name.
    pub fn key(&self, step: &str, name: &str) -> Option<&PublicKey> {
        let (spki, _) = self.steps.get(step)?.iter().find(|(_, functionary)| functionary.name == name)?;
        self.keys.get(spki)
    }

    /// Until when the step has these functionaries: the earliest end of those among them who have their certificates to show.
    pub fn until(&self, step: &Step, names: &[String]) -> Option<Timestamp> {
        let functionaries = self.steps.get(step.name.as_str()).into_iter().flat_map(BTreeMap::values);
        functionaries.filter(|functionary| names.contains(&functionary.name)).map(|functionary| functionary.until).min()
    }

    /// For a message: why the certificate of one of these signatures, of which none counts, makes nobody a functionary of the step.
    pub fn why_not(&self, layout: &Layout, step: &Step, signatures: &[Signature]) -> Option<(String, Uncertified)> {
        if step.cert_constraints.is_empty() {
            return None;
        }
        let text = signatures.iter().find_map(|signature| signature.certificate.as_deref())?;
        let subject = Certificate::first_of_pem(text).map(|certificate| certificate.subject().to_owned());
        let cause = match vouch(layout, text, self.now) {
            Ok(vouched) => vouched.meets(step).err()?,
            Err(cause) => cause.into(),
        };
        Some((subject.unwrap_or_default(), cause))
    }
}

/// Reads a certificate and looks for paths to the roots of the layout: to each of them, since a constraint may name any.
fn vouch<'l>(layout: &'l Layout, text: &str, now: Timestamp) -> Result<Vouched<'l>, CertificateError> {
    let certificate = Certificate::first_of_pem(text)?;
    certificate.check_signer(now)?;
    let key = certificate.public_key()?;
    let mut roots: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut failure = CertificateError::NoIssuer;
    for (id, root, intermediates) in layout.authorities.roots() {
        match certificate.check_path(root, intermediates, now) {
            // A bundle may have several roots.
            Ok(until) => drop(roots.insert(id, until.max(roots.get(id).copied().unwrap_or(until)))),
            Err(CertificateError::NoIssuer) => {}
            Err(cause) => failure = cause,
        }
    }
    if roots.is_empty() { Err(failure) } else { Ok(Vouched { certificate, key, roots }) }
}

impl Vouched<'_> {
    /// The number of the first constraint it meets, from 1, and the root by which it does, until when.
    fn meets(&self, step: &Step) -> Result<(usize, &str, Timestamp), Uncertified> {
        let mut failure = Uncertified::Constraints { constraints: step.cert_constraints.len() };
        for (at, constraint) in step.cert_constraints.iter().enumerate() {
            match self.meets_one(constraint) {
                Ok((root, until)) => return Ok((at + 1, root, until)),
                Err(cause) if step.cert_constraints.len() == 1 => failure = cause,
                Err(_) => {}
            }
        }
        Err(failure)
    }

    fn meets_one(&self, constraint: &Constraint) -> Result<(&str, Timestamp), Uncertified> {
        if let Some((attribute, expected, found)) = constraint.mismatch(self.certificate.names()) {
            return Err(Uncertified::Attribute { attribute, found: found.to_vec(), expected: list(expected) });
        }
        let root = self.roots.iter().find(|(root, _)| match &constraint.authorities {
            Allowed::Any => true,
            Allowed::Exactly(ids) => ids.contains(**root),
        });
        root.map(|(root, until)| (*root, *until)).ok_or_else(|| Uncertified::Root {
            found: self.roots.keys().map(|root| (*root).to_owned()).collect(),
            expected: list(&constraint.authorities),
        })
    }
}

fn list(allowed: &Allowed) -> Vec<String> {
    match allowed {
        Allowed::Any => vec!["*".to_owned()],
        Allowed::Exactly(values) => values.iter().cloned().collect(),
    }
}

/// The first few, as a person reads them.
fn quoted(values: &[String]) -> String {
    let named: Vec<String> = values.iter().take(3).map(|value| format!("\"{}\"", shown(value))).collect();
    let more = if values.len() > named.len() { ", …" } else { "" };
    format!("{}{more}", named.join(", "))
}

fn some(values: &[String]) -> String {
    if values.is_empty() { "is missing".to_owned() } else { format!("is {}", quoted(values)) }
}

fn wanted(values: &[String]) -> String {
    if values.is_empty() { "none".to_owned() } else { quoted(values) }
}

#[cfg(test)]
mod tests;
