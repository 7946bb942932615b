//! `tidewaiter run`: one step of a pipeline, recorded (design §8, §11; store §5).

use super::recording::{ContainerArgs, ImageArgs, KeyArgs, NOT_RECORDED, OutputArgs, SendArgs, TreeArgs};
use crate::{
    capture::{self, Failure, Job},
    file,
};
use std::path::Path;

/// Run one step of a pipeline and record it as a signed in-toto link
///
/// The files at and below each -m are hashed before the command runs, those of each -p after it. The command keeps its terminal, its
/// input and its signals, and its exit code is passed on: 128+n where signal n ended it, 126 and 127 where it could not be started, 125
/// where it could not be recorded. A command that fails is recorded too. Neither its output nor its environment is stored, and nothing
/// in the working directory is read as configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewaiter run --step build -m src -p dist --key build.pem -- make
  tidewaiter run --step image -m dist --image \\
      registry.example.com/shop/api:1 --image-from-file meta.json \\
      --key ci.pem -- docker buildx build --push --metadata-file meta.json \\
      -t registry.example.com/shop/api:1 .
  tidewaiter run --step test -m . --key test.pem \\
      --store https://store.example.com --store-token-file token -- cargo test")]
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
    send: SendArgs,
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
    let key = args.key.key()?;
    let target = args.output.target(&args.step, &key)?;
    args.send.check()?;
    let job = Job {
        step: &args.step,
        materials: &args.material,
        products: &args.product,
        tree: &args.tree.tree()?,
        argv: &args.command,
        directory: Path::new("."),
        images: &args.images.images()?,
        container: args.container.container(),
        inherit_streams: true,
    };
    let run = capture::run(&job, &key).await?;
    for warning in &run.warnings {
        anstream::eprintln!("warning: {warning}");
    }
    file::write(&target, &run.envelope.to_bytes())?;
    match args.send.send(&target, &run.envelope).await {
        true => Ok(run.outcome.map_or(0, |outcome| outcome.exit_code)),
        false => Ok(NOT_RECORDED),
    }
}
