//! `tidewaiter record start|stop`: a step that is not one command (design §8, §11).

use super::recording::{ContainerArgs, ImageArgs, KeyArgs, NOT_RECORDED, NotesArgs, OutputArgs, SendArgs, TreeArgs};
use crate::{
    capture::{Notes, Tree, session::Session, upload::Belongs},
    digest::Digest,
    file,
    key::SecretKey,
};
use std::path::PathBuf;

/// Record a step that is not one command: start before it, stop after it
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Record the materials, and print the digest of what is kept for the stop
    ///
    /// They are kept in .STEP.KEYID.link-unfinished, signed, so that what happens in between cannot alter them unnoticed.
    Start(StartArgs),
    /// Record the products, and write the link
    Stop(Box<StopArgs>),
}

/// Of both halves.
#[derive(Debug, clap::Args)]
struct SessionArgs {
    /// Name of the step in the layout
    #[arg(long, short = 's', value_name = "STEP", alias = "step-name", short_alias = 'n')]
    step: String,
    /// Directory of the file between the halves; the stop must name the same
    #[arg(long, value_name = "DIR", default_value = ".")]
    state_dir: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    tree: TreeArgs,
    #[command(flatten)]
    container: ContainerArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewaiter record start --step build -m src --key build.pem
  tidewaiter record start --step build -m src --key build.pem --force")]
pub struct StartArgs {
    #[command(flatten)]
    session: SessionArgs,
    /// Files or directories to record now; may be repeated
    #[arg(long, short = 'm', value_name = "PATH", num_args = 1.., alias = "materials")]
    material: Vec<String>,
    /// Start again where the step has been started already
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes:
  0 recorded   2 usage   125 not recorded: there was no start, or what it left
  was altered, or is another's

Examples:
  tidewaiter record stop --step build -p dist --key build.pem
  tidewaiter record stop --step image --key ci.pem \\
      --image registry.example.com/shop/api:1 --image-from-file meta.json")]
pub struct StopArgs {
    #[command(flatten)]
    session: SessionArgs,
    /// Files or directories to record now; may be repeated
    #[arg(long, short = 'p', value_name = "PATH", num_args = 1.., alias = "products")]
    product: Vec<String>,
    /// The digest that the start printed: an earlier start that was put back is refused
    #[arg(long, value_name = "DIGEST")]
    started: Option<Digest>,
    #[command(flatten)]
    images: ImageArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    notes: NotesArgs,
    #[command(flatten)]
    send: SendArgs,
}

/// 0, or 125 where it is not recorded.
pub async fn run(command: Command) -> u8 {
    let (step, recorded) = match &command {
        Command::Start(args) => (&args.session.step, start(args)),
        Command::Stop(args) => (&args.session.step, stop(args).await),
    };
    recorded.unwrap_or_else(|error| {
        anstream::eprintln!("error: step \"{}\" is not recorded: {error:#}", step.escape_debug());
        NOT_RECORDED
    })
}

fn start(args: &StartArgs) -> anyhow::Result<u8> {
    let key = args.session.key.key()?;
    let recorded = args.session.tree.recorded(&args.session.step, &args.material, &[])?;
    recorded.check()?;
    let session = session(&args.session, &key, &recorded.tree, Notes::default());
    let started = session.start(&recorded.materials, args.force)?;
    warn(&started.warnings);
    anstream::println!("{}", started.digest);
    Ok(0)
}

async fn stop(args: &StopArgs) -> anyhow::Result<u8> {
    let around = args.send.store.surroundings()?;
    let key = args.session.key.key()?;
    let target = args.output.target(&args.session.step, &key)?;
    args.send.check(&around)?;
    let recorded = args.session.tree.recorded(&args.session.step, &[], &args.product)?;
    let redactor = args.notes.redactor(&args.send, &around)?;
    let facts = args.notes.facts(&args.send, &around, recorded.config.as_ref()).await;
    let notes = Notes { facts: facts.as_ref(), redactor: Some(&redactor), ..Notes::default() };
    let session = session(&args.session, &key, &recorded.tree, notes);
    let stopped = session.stop(&recorded.products, &args.images.images()?, args.started.as_ref())?;
    warn(&stopped.warnings);
    file::write(&target, &stopped.envelope.to_bytes())?;
    session.finish()?;
    match args.send.send(&around, &redactor, &target, &stopped.envelope, Belongs::default()).await {
        true => Ok(0),
        false => Ok(NOT_RECORDED),
    }
}

fn session<'a>(args: &'a SessionArgs, key: &'a SecretKey, tree: &'a Tree, notes: Notes<'a>) -> Session<'a> {
    let container = args.container.container();
    Session { step: &args.step, key, directory: &args.state_dir, tree, container, notes }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        anstream::eprintln!("warning: {warning}");
    }
}
