//! Who did a step: by the keys that a layout of the chain authorises for it.

use super::{
    Request, refuse,
    signers::{locate, one_chain},
};
use crate::{
    envelope::Envelope,
    json::{self, Limits},
    key::{KeyRing, NamedKey, PublicKey},
    reason::Reason,
    server::{
        chains::{ChainRules, Chains, Writer},
        problem::Problem,
    },
    store::{Kind, Metadata, VerifiedSignature},
    verify::quorum,
};
use jiff::Timestamp;

/// A record of a step that wants in.
pub(super) struct Asked<'a, 'r> {
    pub(super) request: &'a Request<'r>,
    pub(super) envelope: &'a Envelope,
    pub(super) kind: Kind,
    pub(super) step: &'a str,
}

impl<'r> Asked<'_, 'r> {
    /// The one chain with a layout that authorises a signer for the step, with whose right it is written, and the signatures that count.
    pub(super) async fn functionary(
        &self,
        chains: &Chains,
        ids: &[i64],
        store: &dyn Metadata,
        names: impl Fn(&ChainRules) -> bool,
    ) -> Result<(usize, &'r Writer, Vec<VerifiedSignature>), Problem> {
        let Asked { request, envelope, kind, step } = *self;
        let may: Vec<_> = request.writers.iter().filter(|(_, writer)| writer.may_write_step(kind, step)).collect();
        if may.is_empty() {
            let (kind, step) = (kind.as_str(), step.escape_debug());
            return Err(Problem::forbidden(format!("this token may not write {kind}s of step \"{step}\"")));
        }
        let mut refused = None;
        let mut rings = Vec::new();
        for (index, writer) in may {
            let (Some(rules), Some(id)) = (chains.get(*index), ids.get(*index)) else { continue };
            rings.push((*index, rules, *writer, ring(&store.step_keys(*id, step).await?)));
        }
        let mut fits = Vec::new();
        for (index, rules, writer, ring) in &rings {
            let signers = quorum::signers(envelope, ring, request.now);
            if signers.is_empty() {
                refused = Some(step_refusal(envelope, step, rules, ring));
            } else {
                fits.push((*index, *rules, *writer, signers));
            }
        }
        let stranger = || refuse(Reason::SignatureUntrusted, "no chain knows the signer");
        let (index, _, writer, signers) = one_chain(fits, names)?.ok_or_else(|| refused.unwrap_or_else(stranger))?;
        Ok((index, writer, locate(envelope, &signers, request.now)))
    }
}

/// The keys of a step as they were kept. One that no longer reads authorises nothing.
fn ring(keys: &[String]) -> KeyRing {
    let key = |text: &String| PublicKey::from_layout(&json::parse(text.as_bytes(), &Limits::METADATA).ok()?).ok();
    KeyRing::new(keys.iter().filter_map(key).map(|key| NamedKey { name: key.id().to_owned(), key }).collect())
}

/// That a link which no layout authorises is at least no forgery of what the chain knows: it has signatures, and where it names a
/// key of one of the chain's steps (`keys`), that key or another of them signed it.
///
/// # Errors
/// `signature_invalid`, or the refusal that is given.
pub fn check_known(
    envelope: &[u8],
    rules: &ChainRules,
    keys: &[String],
    now: Timestamp,
    refusal: Problem,
) -> Result<(), Problem> {
    let Ok(envelope) = Envelope::parse(envelope) else { return Err(refusal) };
    if envelope.signatures.is_empty() {
        return Err(refusal);
    }
    let ring = ring(keys);
    if ring.is_empty() || !quorum::signers(&envelope, &ring, now).is_empty() {
        return Ok(());
    }
    let problem = step_refusal(&envelope, "of any name", rules, &ring);
    if problem.reason == Reason::SignatureInvalid.as_str() { Err(problem) } else { Ok(()) }
}

/// Signed by a stranger, or by nobody although a functionary's key is named.
fn step_refusal(envelope: &Envelope, step: &str, rules: &ChainRules, ring: &KeyRing) -> Problem {
    let step = step.escape_debug();
    if ring.is_empty() {
        let message = format!("no layout of chain \"{}\" authorises a key for step \"{step}\"", rules.name);
        return refuse(Reason::SignatureUntrusted, message);
    }
    let named = |id: &String| ring.iter().any(|key| key.key.ids().contains(id));
    if envelope.signatures.iter().filter_map(|signature| signature.keyid.as_ref()).any(named) {
        let message = format!("the signature of a functionary of step \"{step}\" does not verify");
        return refuse(Reason::SignatureInvalid, message);
    }
    let message = format!("no functionary of step \"{step}\" in chain \"{}\" signed the record", rules.name);
    refuse(Reason::SignatureUntrusted, message)
}
