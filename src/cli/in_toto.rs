//! `tidewaiter in-toto verify`: one layout and its links, as `in-toto-verify`; nothing is executed.

mod image;
mod report;

use super::ui::{self, Output};
use crate::{
    file,
    intoto::{self, Parameter, Parameters},
    json,
    key::{KeyRing, NamedKey, PublicKey},
    reason::Fault,
    reference::Reference,
    source::dir,
    verify::{self, ChainDemand, Insist, Piece, Rejection, Trace, VerifiedChain},
};
use anyhow::Context;
use image::Image;
use jiff::Timestamp;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// Verify in-toto layouts and links
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Verify one layout against the links in a directory
    ///
    /// Nothing is executed: an inspection is one of the built-ins `tidewaiter inspect image` and `tidewaiter inspect blobs`, and
    /// looks at the image that --image or --image-layout names. Links are found by the key that signed them and the step they name,
    /// whatever their files are called; those of a sublayout may lie in its own directory, as in-toto puts them.
    Verify(VerifyArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0 verified   1 the evidence is invalid   2 usage or configuration
  3 evidence is missing   4 we could not look

Examples:
  tidewaiter in-toto verify --layout root.layout --key alice.pub \\
      --links ./links
  tidewaiter in-toto verify --layout root.layout --key alice.pub \\
      --key bob.pub --threshold 1 --links . --at 2026-11-23T12:00:00Z
  tidewaiter in-toto verify --layout root.layout --key alice.pub --links . \\
      --image registry.example.com/shop/api@sha256:3f9a...
  tidewaiter in-toto verify --layout root.layout --key alice.pub --links . \\
      --image-layout ./image --output json
  tidewaiter in-toto verify --layout root.layout --key alice.pub --links . \\
      --param SERVICE=api --explain")]
pub struct VerifyArgs {
    /// The layout: a DSSE envelope or a Metablock; `-` is stdin
    #[arg(long, value_name = "FILE")]
    layout: PathBuf,
    /// Public keys of the layout's owners: PEM, or armored OpenPGP
    #[arg(long = "key", value_name = "FILE", required = true, num_args = 1..)]
    keys: Vec<PathBuf>,
    /// How many of the owners must have signed the layout [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threshold: Option<u32>,
    /// Directory of the links: *.link, *.json, *.layout; and of sublayouts' links in it
    #[arg(long, value_name = "DIR")]
    links: PathBuf,
    /// What stands for {K} in the layout; wildcards in V stand for themselves
    #[arg(long = "param", value_name = "K=V")]
    params: Vec<String>,
    /// The same, V being a pattern where {K} stands in one
    #[arg(long = "param-pattern", value_name = "K=V")]
    patterns: Vec<String>,
    /// Which verdicts: strict, or those of the Python reference as well
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// Refuse what in-toto allows; may be given twice
    #[arg(long, value_enum, value_name = "WHAT")]
    refuse: Vec<Refuse>,
    /// Print every step's answers, and every rule with what it consumed
    #[arg(long)]
    explain: bool,
    /// The image that inspections look at
    #[arg(long, value_name = "REF")]
    image: Option<Reference>,
    /// The image that inspections look at: the first entry of this OCI image layout; named by its annotation
    /// org.opencontainers.image.ref.name, or by --image
    #[arg(long, value_name = "DIR")]
    image_layout: Option<PathBuf>,
    #[command(flatten)]
    registry: ui::RegistryArgs,
    /// Verify as of this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Give up on the registry after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// Output format
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    #[default]
    Strict,
    Compat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Refuse {
    /// A step done by another command than the layout expects
    CommandMismatch,
    /// A list of rules that does not end in DISALLOW *
    OpenRuleLists,
}

impl From<Profile> for intoto::Profile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Strict => intoto::Profile::Strict,
            Profile::Compat => intoto::Profile::Compat,
        }
    }
}

pub async fn run(command: Command) -> anyhow::Result<u8> {
    let Command::Verify(args) = command;
    let demand = ChainDemand {
        owners: KeyRing::new(read_keys(&args.keys)?),
        threshold: args.threshold,
        parameters: parameters(&args)?,
        profile: args.profile.into(),
        insist: Insist {
            commands: args.refuse.contains(&Refuse::CommandMismatch),
            closed_lists: args.refuse.contains(&Refuse::OpenRuleLists),
        },
    };
    let distinct = demand.owners.distinct();
    let needed = args.threshold.map_or(Ok(distinct), usize::try_from)?;
    anyhow::ensure!(needed <= distinct, "--threshold is {needed}, and there are {distinct} distinct keys");
    let evidence = Evidence {
        layout: file::read_cut(&args.layout, json::Limits::METADATA.bytes_max)?,
        links: dir::read(&args.links)?,
    };
    let now = args.at.unwrap_or_else(Timestamp::now);
    for owner in demand.owners.iter() {
        if let Err(error) = owner.key.usable_at(now) {
            anstream::eprintln!("warning: nothing that {} signed counts: {error}", owner.name);
        }
    }

    let (verdict, trace) = judge(&args, &demand, &evidence, now).await?;
    let code = match &verdict {
        Ok(_) => 0,
        Err(denied) => denied.fault.reason.class().exit_code(),
    };
    match args.output {
        Output::Text => {
            report::print_text(&args.layout, &verdict, &trace, args.explain);
        }
        Output::Json => anstream::println!(
            "{}",
            serde_json::to_string_pretty(&report::to_json(&verdict, args.explain.then_some(&trace)))?
        ),
    }
    Ok(code)
}

/// Why it was not verified: what a person reads, and where a chain was judged, what was wrong with it.
struct Denied {
    fault: Fault,
    cause: Option<Rejection>,
}

impl From<Fault> for Denied {
    fn from(fault: Fault) -> Self {
        Denied { fault, cause: None }
    }
}

impl From<Rejection> for Denied {
    fn from(rejection: Rejection) -> Self {
        Denied { fault: rejection.fault(), cause: Some(rejection) }
    }
}

struct Evidence {
    layout: Vec<u8>,
    links: Vec<dir::File>,
}

/// What was verified, or why not, and what was done; `Err` where we could not even begin.
async fn judge(
    args: &VerifyArgs,
    demand: &ChainDemand,
    evidence: &Evidence,
    now: Timestamp,
) -> anyhow::Result<(Result<VerifiedChain, Denied>, Trace)> {
    let links: Vec<Piece<'_>> = evidence.links.iter().map(dir::File::piece).collect();
    let verify = |image: Option<&Image>| {
        verify::explain(demand, image.map(|image| &image.facts), Some(&evidence.layout), &links, now)
    };
    let told = |(verdict, trace): (Result<_, Rejection>, _)| (verdict.map_err(Denied::from), trace);
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let mut image = match Image::open(args, deadline).await? {
        Ok(image) => image,
        Err(fault) => return Ok((Err(fault.into()), Trace::default())),
    };
    // Manifests are read only where an inspection asks for them: a digest reference and `inspect image` need no network.
    match verify(image.as_ref()) {
        (Err(Rejection::ManifestsMissing { .. }), _) => {}
        verdict => return Ok(told(verdict)),
    }
    if let Some(image) = &mut image
        && let Err(fault) = image.read_manifests(deadline).await
    {
        return Ok((Err(fault.into()), Trace::default()));
    }
    Ok(told(verify(image.as_ref())))
}

fn parameters(args: &VerifyArgs) -> anyhow::Result<Parameters> {
    let mut parameters = Parameters::default();
    let literal = args.params.iter().map(|pair| (pair, false));
    for (pair, pattern) in literal.chain(args.patterns.iter().map(|pair| (pair, true))) {
        let (name, value) = pair.split_once('=').with_context(|| format!("{pair:?} is no parameter such as K=V"))?;
        parameters.add(name, Parameter { value: value.to_owned(), pattern })?;
    }
    Ok(parameters)
}

fn read_keys(paths: &[PathBuf]) -> anyhow::Result<Vec<NamedKey>> {
    let read = |path: &PathBuf| {
        let bytes = dir::read_file(path)?;
        let key = PublicKey::from_file(&bytes).with_context(|| format!("read the public key {}", path.display()))?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(NamedKey { name, key })
    };
    paths.iter().map(read).collect()
}
