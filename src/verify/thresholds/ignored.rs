//! For a message alone: what lies about, and why it does not count.

use super::{
    super::{
        budget::Budget,
        evidence::{Claim, Held},
        quorum,
        rejection::Ignored,
    },
    IGNORED_MAX, Reports, View,
    functionary::{authorised, functionaries, own_keys},
};
use crate::{
    envelope::Signature,
    intoto::{Layout, Profile, Step},
    key::NamedKey,
};

/// What lies about and might have been meant for the step. Reads unverified content, for the message alone.
pub(super) fn ignored(
    layout: &Layout,
    step: &Step,
    reports: &Reports<'_>,
    view: &View<'_>,
    budget: &mut Budget,
) -> Vec<Ignored> {
    let ring = functionaries(layout, &view.certified);
    let mut ignored = reports.ignored.clone();
    for held in view.envelopes() {
        if ignored.len() >= IGNORED_MAX {
            break;
        }
        let Some(Claim { kind, step: named }) = held.claim(view.profile) else { continue };
        let meant = held.hint().is_some_and(|(hint, _)| hint == step.name);
        match named {
            // As compatible links go by their files' names.
            Some(named) if *named == step.name || (view.profile == Profile::Compat && meant) => {}
            Some(named) if meant => {
                ignored.push(Ignored::Elsewhere { kind, step: Some(named.clone()) });
                continue;
            }
            // A statement that names no step may have been meant for any.
            None if *kind == "statement" || meant => {}
            _ => continue,
        }
        // Some five verifications, each of which hashes the whole.
        if !budget.explains(IGNORED_MAX, held.envelope.signed_len()) {
            break;
        }
        let mut attempts = IGNORED_MAX;
        let signers = quorum::every_signer(&held.envelope, &ring, &mut attempts, view.now);
        if !authorised(layout, step, &view.certified, &signers).is_empty() {
            // A link or layout without a step of its own: its signer has others.
            if named.is_none() && *kind == "link" {
                ignored.push(Ignored::Elsewhere { kind, step: None });
            }
            continue;
        }
        let certificate = view.certified.why_not(layout, step, &held.envelope.signatures);
        ignored.push(match (certificate, signers.first()) {
            (Some((subject, cause)), _) => Ignored::Certificate { subject, cause },
            (None, Some(signer)) => Ignored::Unauthorised { key: signer.key.name.clone() },
            (None, None) => unverified(layout, step, view, held),
        });
    }
    let unreadable = view.evidence.unreadable.iter().map(|cause| Ignored::Unreadable { cause: cause.clone() });
    ignored.extend(unreadable);
    ignored.truncate(IGNORED_MAX);
    ignored
}

/// A link that no key of any step signed: says it is by one of the step's, or by a stranger.
fn unverified(layout: &Layout, step: &Step, view: &View<'_>, held: &Held<'_>) -> Ignored {
    let signatures = &held.envelope.signatures;
    for (id, key) in own_keys(layout, step, &view.certified) {
        let named = NamedKey { name: id.to_owned(), key: key.clone() };
        let claims = |signature: &&Signature| quorum::names(signature, &named);
        if let Some(signature) = signatures.iter().find(claims) {
            // OpenPGP has more ways to fail than that it does not verify.
            return match quorum::verify(signature, &held.envelope.signed_bytes(), key, view.now) {
                Err(cause) if signature.other_headers.is_some() => Ignored::OpenPgp { key: id.to_owned(), cause },
                _ => Ignored::BadSignature { key: id.to_owned() },
            };
        }
    }
    Ignored::Stranger { claimed: signatures.iter().find_map(|signature| signature.keyid.clone()) }
}
