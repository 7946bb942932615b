//! TODO owner
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Todo,
}
pub async fn run(command: Command) -> anyhow::Result<u8> {
    let _ = command;
    todo!()
}
