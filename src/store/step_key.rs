//! The keys that layouts authorise for their steps, and what the store knows a key by.

use crate::{digest::Digest, intoto::Layout, key::PublicKey};
use std::collections::BTreeSet;

/// A key a layout authorises for a step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepKey {
    pub step: String,
    pub keyid: String,
    pub alg: String,
    /// The key object of in-toto 4.2.1, as JSON.
    pub public: String,
}

/// The keys each step's functionaries have. A key that is unusable authorises nothing.
pub fn step_keys(layout: &Layout) -> Vec<StepKey> {
    let mut keys = BTreeSet::new();
    for step in &layout.steps {
        for key in step.pubkeys.iter().filter_map(|id| layout.keys.get(id)?.as_ref().ok()) {
            keys.insert(StepKey {
                step: step.name.clone(),
                keyid: stored_id(key),
                alg: format!("{:?}", key.scheme()),
                public: key.to_layout().to_string(),
            });
        }
    }
    keys.into_iter().collect()
}

/// What the store knows a key by, over all chains: nobody may choose it, and a key that says more of itself is another one. An id of
/// OpenPGP in a layout is what the layout's owners say it is.
pub fn stored_id(key: &PublicKey) -> String {
    match key.is_openpgp() {
        true => format!("{}:{}", key.id(), Digest::sha256(key.to_layout().to_string().as_bytes()).hex()),
        false => key.id().to_owned(),
    }
}
