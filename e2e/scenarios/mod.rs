//! The scenarios, a file each group, in the order they run: what is taken away comes last.

use crate::{runner::Scenario, stage::Stage};

mod demo;
mod denied;
mod evidence;
mod exceptions;
mod install;
mod kinds;
mod modes;
mod outages;
mod pull_secrets;
mod registries;
mod removal;
mod resources;
mod runbook;
mod running;
mod steadiness;
mod store;

/// All of them.
pub fn all() -> Vec<Scenario> {
    [
        evidence::scenarios(),
        install::scenarios(),
        running::scenarios(),
        store::scenarios(),
        denied::scenarios(),
        kinds::scenarios(),
        modes::scenarios(),
        exceptions::scenarios(),
        pull_secrets::scenarios(),
        registries::scenarios(),
        resources::scenarios(),
        outages::scenarios(),
        steadiness::scenarios(),
        runbook::scenarios(),
        demo::scenarios(),
        removal::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A scenario's name in its group, and what it does.
type Named<'a> = (&'a str, fn(&Stage));

/// Scenarios of one group that need the cluster.
fn in_cluster(group: &str, scenarios: &[Named<'_>]) -> Vec<Scenario> {
    let scenario =
        |(name, run): &Named<'_>| Scenario { name: format!("{group}/{name}"), cluster: true, run: Box::new(*run) };
    scenarios.iter().map(scenario).collect()
}
