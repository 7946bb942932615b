//! `tidewaiter push`: what waits in the spool, to the store (store §5.4).

use super::{store_args::StoreArgs, ui::Output};
use crate::capture::deliver::{self, Flushed};
use anyhow::Context as _;
use std::time::Duration;

/// A store that no longer wants a record, or does not know us.
const REFUSED: u8 = 1;
/// Something waits still.
const WAITING: u8 = 4;

/// Send what waits in the spool to the metadata store
///
/// Safe to call always and by several at once: a record is taken away only when the store has it. One that the store refuses is set
/// aside with the reason, so that it holds up no other.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes:
  0 nothing waits any more   1 refused   2 usage   4 the store is not reached

Examples:
  tidewaiter push --store https://store.example.com --store-token-file token
  tidewaiter push --wait 30s
  tidewaiter push --retry-refused --output json")]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// How long to try where the store is not reached, such as 30s
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    wait: Duration,
    /// Try again what the store refused before
    #[arg(long)]
    retry_refused: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub async fn run(args: Args) -> anyhow::Result<u8> {
    let around = args.store.surroundings()?;
    args.store.check(&around)?;
    let spool = args.store.spool(&around).context("there is no place for a spool; name one with --spool")?;
    // Others may be at it: what they leave is for us.
    let waiting = spool.clone();
    let lock = tokio::task::spawn_blocking(move || waiting.lock(true)).await??;
    let Some(_lock) = lock else { return report(&args, &Flushed::default()) };
    if args.retry_refused {
        spool.recall()?;
    }
    let (entries, broken) = spool.waiting()?;
    if entries.is_empty() {
        return report(&args, &Flushed { broken, ..Flushed::default() });
    }
    let store = args.store.store(&around).await.context("there is no --store to send to")?;
    let flushed = match store {
        Ok(store) => deliver::flush(&store, &spool, args.wait).await?,
        // No token: nothing was sent, and nothing is lost.
        Err(error) => Flushed {
            waiting: entries.len(),
            why: Some(format!("{error:#}")),
            unauthenticated: true,
            ..Flushed::default()
        },
    };
    report(&args, &flushed)
}

fn report(args: &Args, flushed: &Flushed) -> anyhow::Result<u8> {
    for error in &flushed.broken {
        anstream::eprintln!("warning: {error:#}");
    }
    match args.output {
        Output::Json => anstream::println!("{}", json(flushed)),
        Output::Text => {
            anstream::println!(
                "sent {}, refused {}, waiting {}",
                flushed.sent.len(),
                flushed.refused.len(),
                flushed.waiting
            );
            for (name, why) in &flushed.refused {
                anstream::eprintln!("refused: {name}: {why}");
            }
            if let Some(why) = flushed.why.as_ref().filter(|_| flushed.waiting > 0) {
                anstream::eprintln!("waiting: {why}");
            }
        }
    }
    Ok(match (flushed.refused.is_empty() && flushed.broken.is_empty(), flushed.waiting) {
        (false, _) => REFUSED,
        (true, 1..) if flushed.unauthenticated => REFUSED,
        (true, 1..) => WAITING,
        (true, 0) => 0,
    })
}

fn json(flushed: &Flushed) -> serde_json::Value {
    let refused = flushed.refused.iter().map(|(name, why)| serde_json::json!({"digest": name, "why": why}));
    serde_json::json!({
        "sent": flushed.sent,
        "refused": refused.collect::<Vec<_>>(),
        "waiting": flushed.waiting,
        "why": flushed.why.as_ref().filter(|_| flushed.waiting > 0),
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    let span = text.parse::<jiff::SignedDuration>().map_err(|error| error.to_string())?;
    Duration::try_from(span).map_err(|error| error.to_string())
}
