//! `tidewaiter store fsck`: whether what is kept is what was written.

use crate::{
    cli::ui::Output,
    key::KeyRing,
    server::Chains,
    store::{
        Location,
        blob::objects::Objects,
        engine,
        fsck::{self, Finding, Report},
    },
};
use anyhow::Context as _;
use std::{io::IsTerminal as _, path::PathBuf, time::Duration};

/// Look at everything that is kept, and say what is damaged
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 all is well, 1 something is damaged, 2 usage,
4 the database or the objects could not be read.

Examples:
  tidewaiter store fsck --database sqlite:/var/lib/tidewaiter/store.db
  tidewaiter store fsck --database sqlite:store.db --config chains.yaml
  tidewaiter store fsck --database sqlite:store.db \\
      --objects file:///var/lib/tidewaiter/objects --output json")]
pub struct FsckArgs {
    /// The database: sqlite:PATH or postgres://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE
    #[arg(long, value_name = "URL", env = "TIDEWAITER_STORE_DATABASE", hide_env_values = true)]
    database: String,
    /// Where large bodies are: file:///DIR or s3://BUCKET/PREFIX
    #[arg(long, value_name = "URL", env = "TIDEWAITER_STORE_OBJECTS")]
    objects: Option<String>,
    /// The store's Chain and TrustRoot documents: signatures of owners are verified with them too
    #[arg(long, value_name = "FILE|DIR", env = "TIDEWAITER_STORE_CONFIG")]
    config: Option<PathBuf>,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// 0: all is well; 1: something is damaged; 4: it could not look.
pub async fn run(args: FsckArgs) -> anyhow::Result<u8> {
    let location: Location = args.database.parse().context("--database")?;
    let owners = match &args.config {
        Some(path) => {
            let chains = Chains::read(path)?;
            KeyRing::new(chains.iter().flat_map(|(_, rules)| rules.owners.iter().cloned()).collect())
        }
        None => KeyRing::default(),
    };
    match look(&location, args.objects.as_deref(), &owners).await {
        Ok(report) => {
            match args.output {
                Output::Text => print(&report),
                Output::Json => anstream::println!("{}", serde_json::to_string_pretty(&report)?),
            }
            Ok(u8::from(report.damaged > 0))
        }
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            Ok(4)
        }
    }
}

async fn look(location: &Location, objects: Option<&str>, owners: &KeyRing) -> anyhow::Result<Report> {
    let objects = objects.map(Objects::open_existing).transpose().context("--objects")?;
    let pool = engine::look(location).await.with_context(|| format!("database {location}"))?;
    let mut session = pool.session().await?.with_objects(objects);
    let bar = bar();
    let progress = |what: &str, many: u64| bar.set_message(format!("{many} {what}"));
    let options = fsck::Options { owners, progress: &progress };
    let report = fsck::check(&mut session, &options).await.with_context(|| format!("database {location}"));
    bar.finish_and_clear();
    report
}

/// On a terminal alone.
fn bar() -> indicatif::ProgressBar {
    if !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn print(report: &Report) {
    for finding in &report.findings {
        anstream::println!("{}", line(finding));
    }
    let more = report.damaged - report.findings.len() as u64;
    if more > 0 {
        anstream::println!("and {more} more");
    }
    anstream::println!(
        "{} records, {} signatures, {} bodies ({} bytes, kept in {}), {} directories, {} objects",
        report.records,
        report.signatures,
        report.bodies,
        report.bytes,
        report.bytes_kept,
        report.chunks,
        report.objects
    );
    if report.signatures_unverified > 0 {
        let many = report.signatures_unverified;
        anstream::println!("{many} signatures of owners were not verified: --config says whose they are");
    }
    if !report.objects_orphaned.is_empty() {
        let many = report.objects_orphaned.len();
        anstream::println!("{many} objects belong to no record: uploads in hand, or cut short; they do no harm");
    }
    match report.damaged {
        0 => anstream::println!("all is well"),
        damaged => anstream::println!("{damaged} damaged"),
    }
}

/// `body_damaged: record sha256:… of chain shop, step build: …; image sha256:…`
fn line(finding: &Finding) -> String {
    let fault = serde_json::to_value(finding.fault).unwrap_or_default();
    let mut line = format!("{}: {}", fault.as_str().unwrap_or_default(), finding.what);
    if let Some(chain) = &finding.chain {
        line.push_str(&format!(" of chain \"{}\"", chain.escape_debug()));
    }
    if let Some(step) = &finding.step {
        line.push_str(&format!(", step \"{}\"", step.escape_debug()));
    }
    line.push_str(&format!(": {}", finding.detail));
    if !finding.images.is_empty() {
        line.push_str(&format!("; evidence of {}", finding.images.join(", ")));
    }
    line
}
