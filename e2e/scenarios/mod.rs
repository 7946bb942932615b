//! The scenarios, a file each group, in the order they run: what is taken away comes last.

use crate::{runner::Scenario, stage::Stage};

mod denied;
mod evidence;
mod exceptions;
mod install;
mod kinds;
mod modes;
mod outages;
mod pull_secrets;
mod removal;
mod resources;
mod runbook;
mod running;
mod steadiness;

/// All of them.
pub fn all() -> Vec<Scenario> {
    [
        evidence::scenarios(),
        install::scenarios(),
        running::scenarios(),
        denied::scenarios(),
        kinds::scenarios(),
        modes::scenarios(),
        exceptions::scenarios(),
        pull_secrets::scenarios(),
        resources::scenarios(),
        outages::scenarios(),
        steadiness::scenarios(),
        runbook::scenarios(),
        removal::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Scenarios of one group that need the cluster.
fn in_cluster(group: &str, scenarios: &[(&str, fn(&Stage))]) -> Vec<Scenario> {
    let scenario = |(name, run): &(&str, fn(&Stage))| Scenario {
        name: format!("{group}/{name}"),
        cluster: true,
        run: Box::new(*run),
    };
    scenarios.iter().map(scenario).collect()
}
