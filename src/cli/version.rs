//! `tidewaiter version`.

use super::ui::Output;

/// Print the version
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidewaiter version\n  tidewaiter version --output json")]
pub struct Args {
    /// Output format
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

pub async fn run(args: Args) -> anyhow::Result<u8> {
    let Args { output } = args;
    let version = env!("CARGO_PKG_VERSION");
    match output {
        Output::Text => anstream::println!("tidewaiter {version}"),
        Output::Json => anstream::println!(
            "{}",
            serde_json::json!({
                "name": "tidewaiter",
                "version": version,
                "os": std::env::consts::OS,
                "arch": std::env::consts::ARCH,
            })
        ),
    }
    Ok(0)
}
