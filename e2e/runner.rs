//! The runner: scenarios in their order, one line each, a failure told with where its logs lie; the rest still runs.

use crate::stage::Stage;
use std::{
    any::Any,
    cell::RefCell,
    panic::{self, AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Instant,
};

/// One thing a user would see.
pub struct Scenario {
    /// `group/name`: what a filter looks at.
    pub name: String,
    /// Whether it asks for a cluster.
    pub cluster: bool,
    /// Panics where the user would not see it.
    pub run: Box<dyn Fn(&Stage)>,
}

/// Runs those whose name contains one of the arguments; without arguments all.
pub fn main(scenarios: Vec<Scenario>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|it| it == "--list") {
        for scenario in &scenarios {
            println!("{}", scenario.name);
        }
        return ExitCode::SUCCESS;
    }
    // Options of the usual test runner have no meaning here.
    let filters: Vec<&String> = arguments.iter().filter(|it| !it.starts_with('-')).collect();
    let chosen: Vec<&Scenario> = scenarios
        .iter()
        .filter(|it| filters.is_empty() || filters.iter().any(|filter| it.name.contains(filter.as_str())))
        .collect();
    if chosen.is_empty() {
        eprintln!("no scenario is called {filters:?}; --list prints their names");
        return ExitCode::FAILURE;
    }
    // A failure is told once, with the line that saw it.
    panic::set_hook(Box::new(|info| {
        let line = info.location().map_or_else(String::new, |it| format!("{}:{}", it.file(), it.line()));
        LINE.with_borrow_mut(|it| *it = line);
    }));
    let stage = Stage::new(chosen.iter().any(|it| it.cluster));
    let start = Instant::now();
    let failed: Vec<&str> = chosen.iter().filter(|it| !passes(it, &stage)).map(|it| it.name.as_str()).collect();
    println!("\n{} passed, {} failed, {} s", chosen.len() - failed.len(), failed.len(), start.elapsed().as_secs());
    stage.end(!failed.is_empty());
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {}", failed.join(", "));
    ExitCode::FAILURE
}

thread_local! {
    /// Where the last panic of this thread was.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

fn passes(scenario: &Scenario, stage: &Stage) -> bool {
    let start = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| (scenario.run)(stage)));
    let seconds = start.elapsed().as_secs_f32();
    let Err(panic) = result else {
        println!("ok      {seconds:6.1} s  {}", scenario.name);
        return true;
    };
    println!("FAILED  {seconds:6.1} s  {}", scenario.name);
    println!("        {}", LINE.take());
    for line in text(panic.as_ref()).lines() {
        println!("        {line}");
    }
    println!("        logs: {}", stage.keep_logs(&scenario.name).display());
    false
}

/// What was said when it panicked.
fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}
