//! tidewaiter on a real cluster, end to end: `make e2e`, or `cargo test --test e2e -- [FILTER…]`.

mod cases;
mod cluster;
#[allow(dead_code, unused_macros, unused_imports)]
#[path = "../tests/support/databases.rs"]
mod databases;
mod documents;
mod evidence;
mod installation;
mod policies;
mod registry;
mod runner;
mod scenarios;
mod shapes;
mod stage;
mod steady;
mod tools;
mod ways;

use std::process::ExitCode;

fn main() -> ExitCode {
    runner::main(scenarios::all())
}
