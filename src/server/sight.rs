//! What a request may be shown.

use super::{access::Reader, http::App, problem::Problem};
use std::collections::{BTreeMap, BTreeSet};

/// Chains that may be read, and clusters that may be looked into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Chains by the store's id, with their names.
    pub chains: BTreeMap<i64, String>,
    /// Clusters that the reader reports for.
    pub clusters: BTreeSet<String>,
}

impl Sight {
    /// What a reader may be shown, of all chains or of one.
    ///
    /// # Errors
    /// As `Reader::may_read`.
    pub fn of(app: &App, reader: &Reader, chain: Option<&str>) -> Result<Self, Problem> {
        let chains = reader.may_read(app, chain)?.into_iter().map(|id| (id, app.chain_name(id))).collect();
        Ok(Sight { chains, clusters: reader.principal.reports.clone() })
    }

    /// The ids of its chains.
    pub fn ids(&self) -> BTreeSet<i64> {
        self.chains.keys().copied().collect()
    }

    /// A chain's name.
    pub fn name(&self, chain: i64) -> String {
        self.chains.get(&chain).cloned().unwrap_or_default()
    }
}
