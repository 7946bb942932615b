//! The subcommands, one file each (design §11).
//!
//! Each file has `pub struct Args` (clap) and `pub async fn run(args: Args) -> anyhow::Result<u8>` (the exit code; Err is 2).

pub mod attest;
pub mod ci;
pub mod completion;
pub mod crds;
pub mod demo;
pub mod except;
pub mod in_toto;
pub mod inspect;
pub mod key;
pub mod layout;
pub mod publish;
pub mod push;
pub mod record;
mod recording;
pub mod review;
pub mod run;
pub mod size;
pub mod store;
pub mod store_args;
pub mod ui;
pub mod verify;
pub mod version;
pub mod webhook;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "tidewaiter", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Demo(demo::Args),
    Webhook(webhook::Args),
    Verify(verify::Args),
    Review(review::Args),
    #[command(subcommand)]
    InToto(in_toto::Command),
    #[command(subcommand)]
    Inspect(inspect::Command),
    Run(run::Args),
    #[command(subcommand)]
    Record(record::Command),
    Attest(attest::Args),
    Push(push::Args),
    Ci(ci::Args),
    Publish(publish::Args),
    #[command(subcommand)]
    Layout(layout::Command),
    #[command(subcommand)]
    Key(key::Command),
    #[command(subcommand)]
    Except(except::Command),
    #[command(subcommand)]
    Store(store::Command),
    Version(version::Args),
    Crds(crds::Args),
    Completion(completion::Args),
}

/// Runs a subcommand; the exit code is the contract of design §11.
pub async fn run(cli: Cli) -> anyhow::Result<u8> {
    match cli.command {
        Command::Demo(args) => demo::run(args).await,
        Command::Webhook(args) => webhook::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Review(args) => review::run(args).await,
        Command::InToto(command) => in_toto::run(command).await,
        Command::Inspect(command) => inspect::run(command).await,
        Command::Run(args) => run::run(args).await,
        Command::Record(command) => Ok(record::run(command).await),
        Command::Attest(args) => Ok(attest::run(args).await),
        Command::Push(args) => push::run(args).await,
        Command::Ci(args) => ci::run(args).await,
        Command::Publish(args) => publish::run(args).await,
        Command::Layout(command) => layout::run(command).await,
        Command::Key(command) => key::run(command).await,
        Command::Except(command) => except::run(command).await,
        Command::Store(command) => store::run(command).await,
        Command::Version(args) => version::run(args).await,
        Command::Crds(args) => crds::run(args).await,
        Command::Completion(args) => completion::run(args).await,
    }
}
