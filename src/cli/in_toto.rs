//! `tidewaiter in-toto verify`: one layout and its links, as `in-toto-verify`; nothing is executed.

use super::ui::{self, Output};
use crate::{
    digest::Digest,
    file,
    image::ImageFacts,
    json,
    key::{KeyRing, NamedKey, PublicKey},
    reason::{Fault, Reason},
    reference::Reference,
    registry::{Registries, Repository},
    source::{dir, layout_dir::LayoutDir},
    verify::{self, ChainDemand, Rejection, VerifiedChain},
};
use anyhow::Context;
use jiff::Timestamp;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Verify in-toto layouts and links
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Verify one layout against the links in a directory
    ///
    /// Nothing is executed: an inspection is one of the built-ins `tidewaiter inspect image` and `tidewaiter inspect blobs`, and
    /// looks at the image that --image or --image-layout names. Links are found by the key that signed them and the step they name,
    /// whatever their files are called.
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
      --image-layout ./image --output json")]
pub struct VerifyArgs {
    /// The layout: a DSSE envelope or a Metablock; `-` is stdin
    #[arg(long, value_name = "FILE")]
    layout: PathBuf,
    /// Public keys of the layout's owners (PEM)
    #[arg(long = "key", value_name = "FILE", required = true, num_args = 1..)]
    keys: Vec<PathBuf>,
    /// How many of the owners must have signed the layout [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threshold: Option<u32>,
    /// Directory of the links: *.link, *.json
    #[arg(long, value_name = "DIR")]
    links: PathBuf,
    /// A parameter of the layout (not supported yet)
    #[arg(long = "param", value_name = "K=V")]
    params: Vec<String>,
    /// Which verdicts: strict, or compat with the Python reference (not supported yet)
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
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

pub async fn run(command: Command) -> anyhow::Result<u8> {
    let Command::Verify(args) = command;
    anyhow::ensure!(args.params.is_empty(), "--param is not supported yet: a layout with parameters is refused");
    anyhow::ensure!(args.profile == Profile::Strict, "--profile compat is not supported yet: use --profile strict");
    let demand = ChainDemand { owners: KeyRing::new(read_keys(&args.keys)?), threshold: args.threshold };
    let distinct = demand.owners.distinct();
    let needed = args.threshold.map_or(Ok(distinct), usize::try_from)?;
    anyhow::ensure!(needed <= distinct, "--threshold is {needed}, and there are {distinct} distinct keys");
    let evidence = Evidence {
        layout: file::read_cut(&args.layout, json::Limits::METADATA.bytes_max)?,
        links: dir::read(&args.links)?,
    };
    let now = args.at.unwrap_or_else(Timestamp::now);

    let verdict = judge(&args, &demand, &evidence, now).await?;
    let code = match &verdict {
        Ok(_) => 0,
        Err(fault) => fault.reason.class().exit_code(),
    };
    match args.output {
        Output::Text => print_text(&args.layout, args.image.is_some() || args.image_layout.is_some(), &verdict),
        Output::Json => anstream::println!("{}", serde_json::to_string_pretty(&to_json(&verdict))?),
    }
    Ok(code)
}

struct Evidence {
    layout: Vec<u8>,
    links: Vec<Vec<u8>>,
}

/// What was verified, or why not; `Err` where we could not even begin.
async fn judge(
    args: &VerifyArgs,
    demand: &ChainDemand,
    evidence: &Evidence,
    now: Timestamp,
) -> anyhow::Result<Result<VerifiedChain, Fault>> {
    let verify =
        |image: Option<&ImageFacts>| verify::verify_given(demand, image, &evidence.layout, &evidence.links, now);
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let mut image = match Image::open(args, deadline).await? {
        Ok(image) => image,
        Err(fault) => return Ok(Err(fault)),
    };
    // Manifests are read only where an inspection asks for them: a digest reference and `inspect image` need no network.
    match verify(image.as_ref().map(|image| &image.facts)) {
        Err(Rejection::ManifestsMissing { .. }) => {}
        verdict => return Ok(verdict.map_err(|rejection| rejection.fault())),
    }
    if let Some(image) = &mut image
        && let Err(fault) = image.read_manifests(deadline).await
    {
        return Ok(Err(fault));
    }
    Ok(verify(image.as_ref().map(|image| &image.facts)).map_err(|rejection| rejection.fault()))
}

/// The image and where its manifests are read.
struct Image {
    facts: ImageFacts,
    place: Place,
}

enum Place {
    Registry(Box<Registries>, Repository),
    Layout(LayoutDir),
}

impl Image {
    async fn open(args: &VerifyArgs, deadline: Instant) -> anyhow::Result<Result<Option<Image>, Fault>> {
        match (&args.image_layout, &args.image) {
            (None, None) => Ok(Ok(None)),
            (Some(dir), reference) => Self::in_layout(dir, reference.as_ref()).map(|image| image.map(Some)),
            (None, Some(reference)) => {
                Self::in_registry(reference, &args.registry, deadline).await.map(|image| image.map(Some))
            }
        }
    }

    async fn in_registry(
        reference: &Reference,
        registry: &ui::RegistryArgs,
        deadline: Instant,
    ) -> anyhow::Result<Result<Image, Fault>> {
        let registries = registry.reader(reference)?;
        let digest = match reference.digest() {
            Some(digest) => digest.clone(),
            None => match registries.resolve(reference, deadline).await {
                Ok(blob) => blob.digest,
                Err(fault) => return Ok(Err(fault)),
            },
        };
        let place = Place::Registry(Box::new(registries), Repository::from(reference));
        Ok(Ok(Image { facts: ImageFacts::new(reference.name(), digest), place }))
    }

    fn in_layout(dir: &Path, reference: Option<&Reference>) -> anyhow::Result<Result<Image, Fault>> {
        let layout = LayoutDir::unmarked(dir)?;
        let digest = &layout.first()?.digest;
        if let Some(named) = reference.and_then(Reference::digest)
            && named != digest
        {
            let what = format!("the first entry of {} is {digest}, --image names {named}", dir.display());
            return Ok(Err(Fault::new(Reason::DigestMismatch, what)));
        }
        let facts = ImageFacts::new(layout.repository(reference)?, digest.clone());
        Ok(Ok(Image { facts, place: Place::Layout(layout) }))
    }

    async fn read_manifests(&mut self, deadline: Instant) -> Result<(), Fault> {
        loop {
            let wants = self.facts.wants();
            if wants.is_empty() {
                return Ok(());
            }
            for digest in wants {
                let bytes = self.place.manifest(&digest, deadline).await?;
                self.facts.give(&digest, &bytes)?;
            }
        }
    }
}

impl Place {
    async fn manifest(&self, digest: &Digest, deadline: Instant) -> Result<Vec<u8>, Fault> {
        match self {
            Place::Registry(registries, repository) => {
                let found = registries.manifest(repository, digest, deadline).await?;
                let missing = || Fault::new(Reason::ImageNotFound, format!("the registry has no manifest {digest}"));
                Ok(found.ok_or_else(missing)?.bytes)
            }
            // Who judges the bytes hashes them.
            Place::Layout(layout) => dir::read_file(&layout.path(digest))
                .map_err(|error| Fault::new(Reason::ImageNotFound, format!("{error:#}"))),
        }
    }
}

fn read_keys(paths: &[PathBuf]) -> anyhow::Result<Vec<NamedKey>> {
    let read = |path: &PathBuf| {
        let text = String::from_utf8(dir::read_file(path)?).with_context(|| format!("read {}", path.display()))?;
        let key = PublicKey::from_pem(&text).with_context(|| format!("read the public key {}", path.display()))?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(NamedKey { name, key })
    };
    paths.iter().map(read).collect()
}

fn print_text(layout: &Path, image_given: bool, verdict: &Result<VerifiedChain, Fault>) {
    match verdict {
        Ok(chain) => {
            let owners = chain.owners().join(", ");
            anstream::println!("verified {}: signed by {owners}, expires {}", layout.display(), chain.expires());
            for step in chain.steps() {
                anstream::println!("  step {:?}: by {}", step.name, step.signers.join(", "));
            }
            for warning in chain.warnings() {
                anstream::println!("warning: {warning}");
            }
        }
        Err(fault) => {
            // The one cause that a flag of this command removes.
            let hint = if fault.reason == Reason::InspectionNotSupported && !image_given {
                "\ngive the image: --image REF or --image-layout DIR"
            } else {
                ""
            };
            let class = format!("{:?}", fault.reason.class()).to_lowercase();
            anstream::println!("{} {}: {class}: {fault}{hint}", ui::verdict(false), layout.display());
        }
    }
}

fn to_json(verdict: &Result<VerifiedChain, Fault>) -> serde_json::Value {
    let mut value = serde_json::json!({"apiVersion": "tidewaiter.dev/v1alpha1", "kind": "InTotoVerification", "verified": verdict.is_ok()});
    let more = match verdict {
        Ok(chain) => {
            let steps =
                chain.steps().iter().map(|step| serde_json::json!({"name": step.name, "signers": step.signers}));
            serde_json::json!({
                "layout": chain.layout().to_string(),
                "owners": chain.owners(),
                "expires": chain.expires().to_string(),
                "steps": steps.collect::<Vec<_>>(),
                "warnings": chain.warnings(),
            })
        }
        Err(fault) => serde_json::json!({
            "class": fault.reason.class(),
            "reason": fault.reason,
            "message": fault.message,
        }),
    };
    if let (Some(value), serde_json::Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}
