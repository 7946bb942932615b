//! `tidewaiter layout`: layouts from templates, checked, signed, shown (design §11).

use super::{key::read_public, ui::Output};
use crate::{
    author::{self, Finding, Severity, Source, init, show},
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    file, json,
    key::{KeyRing, NamedKey, SecretKey},
    reference::Reference,
    signer,
};
use anyhow::Context as _;
use jiff::Timestamp;
use std::{io::Write as _, path::PathBuf};

/// Write, check, sign and show layouts
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Init(Init),
    Lint(Lint),
    Sign(Sign),
    Show(Show),
}

/// Write a commented template to begin with
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  tidewaiter layout init --step fetch --step build --image \\
      registry.example.com/shop/api > shop.yaml")]
pub struct Init {
    /// A step, in order; may be repeated (default: build)
    #[arg(long, value_name = "NAME")]
    step: Vec<String>,
    /// The image that the last step makes
    #[arg(long, value_name = "REF")]
    image: Option<Reference>,
    /// A public key file (PEM or OpenPGP) of who may do the steps; may be repeated (default: STEP.pem.pub)
    #[arg(long, value_name = "FILE")]
    functionary: Vec<String>,
    /// Where it goes, never over a file (default: standard output)
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Find what verifiers refuse, and what is hardly meant
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0 nothing, or warnings   1 errors   2 it is no layout, or usage

Example:
  tidewaiter layout lint shop.yaml")]
pub struct Lint {
    /// A template, a layout or a signed layout; `-` is stdin
    file: PathBuf,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Sign a template's layout, or add an owner's signature to a signed one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewaiter layout sign shop.yaml --key alice.pem -o shop.layout   # an owner
  tidewaiter layout sign shop.layout --key bob.pem -o shop.layout   # another")]
pub struct Sign {
    /// A template, a layout or a signed layout; `-` is stdin
    file: PathBuf,
    /// An owner's private key; may be repeated
    #[arg(long, env = "TIDEWAITER_KEY", value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
    /// Where it goes (default: standard output)
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a DSSE envelope (the default); what is signed stays as it is
    #[arg(long)]
    dsse: bool,
    /// Write in-toto's older container, for verifiers that know no DSSE; what is signed stays as it is
    #[arg(long, conflicts_with = "dsse")]
    metablock: bool,
    /// Until when it holds, in place of what the template says: 90d, or 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

/// Print the steps, who may do them, what is left of its time, and who signed
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tidewaiter layout show shop.layout --key alice.pem.pub --key bob.pem.pub")]
pub struct Show {
    /// A template, a layout or a signed layout; `-` is stdin
    file: PathBuf,
    /// A public key (PEM or OpenPGP) whose signature is checked; may be repeated
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// 0, and 1 where the linter found an error.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    let now = Timestamp::now();
    match command {
        Command::Init(args) => init(args),
        Command::Lint(args) => {
            let findings = author::open(&args.file, None, now)?.lint(now);
            match args.output {
                Output::Text => findings.iter().for_each(|finding| anstream::println!("{finding}")),
                Output::Json => anstream::println!("{}", report(&findings)),
            }
            Ok(verdict(&findings))
        }
        Command::Sign(args) => sign(&args, now),
        Command::Show(args) => show(&args, now),
    }
}

fn init(args: Init) -> anyhow::Result<u8> {
    let outline = init::Outline { steps: args.step, image: args.image, functionaries: args.functionary };
    let text = init::template(&outline)?;
    match &args.output {
        Some(path) => file::write_new(path, text.as_bytes(), 0o666)?,
        None => std::io::stdout().write_all(text.as_bytes())?,
    }
    Ok(0)
}

fn report(findings: &[Finding]) -> serde_json::Value {
    let of = |severity| -> Vec<serde_json::Value> {
        let found = findings.iter().filter(|finding| finding.severity == severity);
        found.map(|it| serde_json::json!({ "place": it.place, "message": it.message })).collect()
    };
    serde_json::json!({ "errors": of(Severity::Error), "warnings": of(Severity::Warning) })
}

fn verdict(findings: &[Finding]) -> u8 {
    u8::from(findings.iter().any(|finding| finding.severity == Severity::Error))
}

fn sign(args: &Sign, now: Timestamp) -> anyhow::Result<u8> {
    let keys = args.key.iter().map(|path| signer::from_file(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let draft = author::open(&args.file, args.expires.as_deref(), now)?;
    let findings = draft.lint(now);
    findings.iter().for_each(|finding| anstream::eprintln!("{finding}"));
    if verdict(&findings) != 0 {
        anstream::eprintln!("not signed: \"{}\" has errors", args.file.display());
        return Ok(1);
    }
    let envelope = match draft.read()? {
        Source::Unsigned(layout) => seal(&layout, args.metablock, &keys.iter().collect::<Vec<_>>())?,
        Source::Signed { mut envelope, .. } => {
            stays(args, envelope.payload_type().is_some())?;
            keys.iter().try_for_each(|key| envelope.add_signature(key))?;
            envelope
        }
    };
    match &args.output {
        Some(path) => file::write(path, &envelope.to_bytes())?,
        None => std::io::stdout().write_all(&envelope.to_bytes())?,
    }
    Ok(0)
}

/// What is signed stays in its container, since the owners' signatures before cover that one.
fn stays(args: &Sign, dsse: bool) -> anyhow::Result<()> {
    let (is, asked) = match (dsse, args.dsse, args.metablock) {
        (true, _, true) => ("DSSE envelope", "--metablock"),
        (false, true, _) => ("Metablock", "--dsse"),
        _ => return Ok(()),
    };
    anyhow::bail!(
        "\"{}\" is a {is} already, and stays one: {asked} applies to unsigned layouts only",
        args.file.display()
    )
}

fn seal(layout: &crate::intoto::Layout, metablock: bool, keys: &[&SecretKey]) -> anyhow::Result<Envelope> {
    let value = layout.to_value();
    Ok(match metablock {
        true => Envelope::sign_metablock(value, keys)?,
        false => Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, json::to_text(&value).into_bytes(), keys)?,
    })
}

fn show(args: &Show, now: Timestamp) -> anyhow::Result<u8> {
    let source = author::read(&args.file, None, now)?;
    let named = |path: &PathBuf| {
        let key = read_public(path)?;
        Ok(NamedKey { name: path.display().to_string(), key })
    };
    let ring = KeyRing::new(args.key.iter().map(named).collect::<anyhow::Result<_>>()?);
    let envelope = match &source {
        Source::Signed { envelope, .. } => Some(envelope),
        Source::Unsigned(_) => None,
    };
    let view = show::View::new(source.layout(), envelope, &ring, now);
    match args.output {
        Output::Text => anstream::print!("{}", view.text()),
        Output::Json => anstream::println!("{}", serde_json::to_string(&view).context("print")?),
    }
    Ok(0)
}
