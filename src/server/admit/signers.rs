//! What was signed by whom, and for which chain: of layouts and of records of steps alike.

use crate::{
    envelope::Envelope,
    key::NamedKey,
    server::{
        chains::{ChainRules, Writer},
        problem::Problem,
    },
    store::{VerifiedSignature, step_key::stored_id},
    verify::quorum,
};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// A chain that fits, with whose token and signatures.
pub(super) type Fit<'f, 'w> = (usize, &'f ChainRules, &'w Writer, Vec<&'f NamedKey>);

/// The one chain among those that fit; where several do, the one whose images are named.
pub(super) fn one_chain<'f, 'w>(
    mut fits: Vec<Fit<'f, 'w>>,
    names: impl Fn(&ChainRules) -> bool,
) -> Result<Option<Fit<'f, 'w>>, Problem> {
    // Two writers of one chain may share a token, and stand apart where its issuer is known by several key sources.
    let mut seen = BTreeSet::new();
    fits.retain(|fit| seen.insert(fit.0));
    if fits.len() > 1 && fits.iter().any(|fit| names(fit.1)) {
        fits.retain(|fit| names(fit.1));
    }
    if fits.len() > 1 {
        let names: Vec<&str> = fits.iter().map(|fit| fit.1.name.as_str()).collect();
        let detail = format!("the record fits the chains {}: name one with ?chain=", names.join(", "));
        return Err(Problem::new(http::StatusCode::BAD_REQUEST, "chain_ambiguous", detail));
    }
    Ok(fits.pop())
}

/// Which signatures of the envelope are those of the keys that `quorum` counted.
pub(super) fn locate(envelope: &Envelope, signers: &[&NamedKey], now: Timestamp) -> Vec<VerifiedSignature> {
    let message = envelope.signed_bytes();
    let mut found: Vec<VerifiedSignature> = Vec::new();
    for signer in signers {
        let key = &signer.key;
        let fits = |keyid: &Option<String>| keyid.as_ref().is_none_or(|id| key.ids().contains(id));
        let signature = envelope
            .signatures
            .iter()
            .enumerate()
            .find(|(_, signature)| fits(&signature.keyid) && quorum::verify(signature, &message, key, now).is_ok());
        let keyid = stored_id(key);
        if let Some((index, signature)) = signature
            && !found.iter().any(|known| known.keyid == keyid)
        {
            let alg = format!("{:?}", key.scheme());
            found.push(VerifiedSignature { keyid, alg, index, sig: signature.sig.clone() });
        }
    }
    found
}
