//! TODO owner
#[derive(Debug, clap::Args)]
pub struct Args {}
pub async fn run(args: Args) -> anyhow::Result<u8> {
    let _ = args;
    todo!()
}
