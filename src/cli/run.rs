//! `tidewaiter run`: one step of a pipeline, recorded (design §8, §11; store §5).

use super::recording::{
    ContainerArgs, ImageArgs, KeyArgs, LogArgs, NOT_RECORDED, NotesArgs, OutputArgs, SendArgs, TreeArgs,
};
use crate::{
    capture::{self, Failure, Job, Notes, upload::Belongs},
    file,
};
use std::path::Path;

/// Run one step of a pipeline and record it as a signed in-toto link
///
/// The files at and below each -m are hashed before the command runs, those of each -p after it. The command keeps its terminal, its
/// input and its signals, and its exit code is passed on: 128+n where signal n ended it, 126 and 127 where it could not be started, 125
/// where it could not be recorded. A command that fails is recorded too. Facts of the CI system, the commit and the run are recorded,
/// secrets and the rest of the environment are not. Of the working directory, .tidewaiter.toml may name paths, and nothing else.
///
/// A store that is down is no failure: the link waits in the spool, and the next run or `tidewaiter push` sends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewaiter run --step build -m src -p dist --key build.pem -- make
  tidewaiter run --step image -m dist --image \\
      registry.example.com/shop/api:1 --image-from-file meta.json \\
      --key ci.pem -- docker buildx build --push --metadata-file meta.json \\
      -t registry.example.com/shop/api:1 .
  tidewaiter run --step test -m . --key test.pem \\
      --store https://store.example.com --store-token-file token -- cargo test
  tidewaiter run --step scan --ok-codes 1,2 --log-tail 8KiB --key ci.pem \\
      -p report.json -- scanner --output report.json .")]
pub struct Args {
    /// Name of the step in the layout
    #[arg(long, short = 's', value_name = "STEP", alias = "step-name", short_alias = 'n')]
    step: String,
    /// Files or directories to record before the command runs; may be repeated
    #[arg(long, short = 'm', value_name = "PATH", num_args = 1.., alias = "materials")]
    material: Vec<String>,
    /// Files or directories to record after the command ran; may be repeated
    #[arg(long, short = 'p', value_name = "PATH", num_args = 1.., alias = "products")]
    product: Vec<String>,
    #[command(flatten)]
    images: ImageArgs,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    tree: TreeArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    container: ContainerArgs,
    #[command(flatten)]
    notes: NotesArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    send: SendArgs,
    /// Exit codes beside 0 that are no failure, such as a scanner's for what it found; they are passed on all the same
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    ok_codes: Vec<u8>,
    /// Leave no link of a command that failed
    #[arg(long)]
    no_record_failure: bool,
    /// There is no command: record a step such as a review
    #[arg(long, short = 'x')]
    no_command: bool,
    /// The command and its arguments
    #[arg(last = true, required_unless_present = "no_command", conflicts_with = "no_command", value_name = "CMD")]
    command: Vec<String>,
}

/// The wrapped command's exit code, or ours.
pub async fn run(args: Args) -> anyhow::Result<u8> {
    match record(&args).await {
        Ok(code) => Ok(code),
        Err(Failure::NotStarted { exit_code, error }) => {
            anstream::eprintln!("error: {error:#}");
            Ok(exit_code)
        }
        Err(Failure::NotRecorded(error)) => {
            anstream::eprintln!("error: step \"{}\" is not recorded: {error:#}", args.step.escape_debug());
            Ok(NOT_RECORDED)
        }
    }
}

async fn record(args: &Args) -> Result<u8, Failure> {
    capture::names::check_step(&args.step)?;
    // Whatever can be known to fail fails before the command runs.
    let around = args.send.store.surroundings()?;
    let key = args.key.key()?;
    let target = args.output.target(&args.step, &key)?;
    args.send.check(&around)?;
    let recorded = args.tree.recorded(&args.step, &args.material, &args.product)?;
    recorded.check()?;
    let redactor = args.notes.redactor(&args.send, &around)?;
    let facts = args.notes.facts(&args.send, &around, recorded.config.as_ref()).await;
    let job = Job {
        step: &args.step,
        materials: &recorded.materials,
        products: &recorded.products,
        tree: &recorded.tree,
        argv: &args.command,
        directory: Path::new("."),
        images: &args.images.images()?,
        container: args.container.container(),
        streams: args.log.streams()?,
        notes: Notes { facts: facts.as_ref(), redactor: Some(&redactor), ok_codes: &args.ok_codes },
    };
    let run = capture::run(&job, &key).await?;
    for warning in &run.warnings {
        anstream::eprintln!("warning: {warning}");
    }
    let code = run.outcome.map_or(0, |outcome| outcome.exit_code);
    if args.no_record_failure && run.outcome.is_some_and(|outcome| !outcome.is_ok(&args.ok_codes)) {
        anstream::eprintln!("warning: step \"{}\" failed and is not recorded", args.step.escape_debug());
        return Ok(code);
    }
    file::write(&target, &run.envelope.to_bytes())?;
    match args.send.send(&around, &redactor, &target, &run.envelope, Belongs::default()).await {
        true => Ok(code),
        false => Ok(NOT_RECORDED),
    }
}
