//! Who asks, and what may be shown.

use super::{http::App, problem::Problem};
use axum::http::HeaderMap;
use std::collections::{BTreeMap, BTreeSet};

/// What a request may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    /// Chains by the store's id, with their names.
    pub chains: BTreeMap<i64, String>,
    /// Clusters that the token reports for.
    pub clusters: BTreeSet<String>,
}

impl Reader {
    /// The ids of its chains.
    pub fn ids(&self) -> BTreeSet<i64> {
        self.chains.keys().copied().collect()
    }

    /// A chain's name.
    pub fn name(&self, chain: i64) -> String {
        self.chains.get(&chain).cloned().unwrap_or_default()
    }
}

/// The reader behind these headers, of one chain or of all it may read. A chain that is not its to read and one that does not exist have the
/// same answer.
pub fn reader(app: &App, headers: &HeaderMap, chain: Option<&str>) -> Result<Reader, Problem> {
    let principal = app.chains.principal(headers, None);
    if principal.is_stranger() {
        return Err(Problem::unauthenticated("nobody has this token"));
    }
    let readable: Vec<usize> = app.chains.readable(&principal).collect();
    if readable.is_empty() {
        return Err(if principal.has_token() {
            Problem::forbidden("this token may read no chain")
        } else {
            Problem::unauthenticated("reading needs the bearer token of a reader")
        });
    }
    let named = |index: usize| Some((*app.ids.get(index)?, app.chains.get(index)?.name.clone()));
    let wanted = |(_, name): &(i64, String)| chain.is_none_or(|chain| chain == name);
    let chains: BTreeMap<i64, String> = readable.into_iter().filter_map(named).filter(wanted).collect();
    match chain {
        Some(chain) if chains.is_empty() => {
            Err(Problem::forbidden(format!("this token may not read the chain \"{}\"", chain.escape_debug())))
        }
        _ => Ok(Reader { chains, clusters: app.chains.reports_for(headers) }),
    }
}
