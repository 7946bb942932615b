//! `tidewaiter attest`: what a tool found, as a signed statement about an image (store §5.1).

use super::recording::{KeyArgs, NOT_RECORDED, NotesArgs, OutputArgs, SendArgs};
use crate::{
    capture::{
        self,
        attest::{Attestation, Kind},
        image::Images,
        upload::Belongs,
    },
    digest::Digest,
    file,
    json::Limits,
};
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// A subject that is a file is read whole.
const SUBJECT_BYTES_MAX: usize = 1 << 30;

/// Sign a statement about an image: a bill of materials, a scan, a test report
///
/// TYPE is sbom (SPDX or CycloneDX), vulns or test-result (in-toto predicates), vex, slsa, or junit, sarif, lint or commit, which hold
/// the tool's file as it is; or the URI of any other predicate, which the file is. What it says of the step goes to the store beside it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes:
  0 signed   2 usage   125 not signed, or not sent and --require-upload

Examples:
  tidewaiter attest sbom.json --type sbom --step build --key ci.pem \\
      --subject registry.example.com/shop/api:1@sha256:3f9a…
  tidewaiter attest report.xml --type junit --step test --key ci.pem \\
      --image-from-file meta.json")]
pub struct Args {
    /// The tool's file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What it is, or the URI of its predicate
    #[arg(long = "type", value_name = "TYPE|URI", value_parser = |text: &str| text.parse::<Kind>())]
    kind: Kind,
    /// Name of the step in the layout whose functionary signs
    #[arg(long, short = 's', value_name = "STEP")]
    step: String,
    /// An image it is about, REF@sha256:…, or REF alone beside one --image-from-file; may be repeated
    #[arg(long, value_name = "REF", alias = "image")]
    subject: Vec<String>,
    /// Where an image's digest is: buildx's --metadata-file, a digest file, or an OCI image layout directory
    #[arg(long, value_name = "FILE")]
    image_from_file: Vec<PathBuf>,
    /// A file it is about; may be repeated
    #[arg(long, value_name = "FILE")]
    subject_file: Vec<PathBuf>,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    notes: NotesArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    send: SendArgs,
}

/// 0, or 125 where it is not signed.
pub async fn run(args: Args) -> u8 {
    attest(&args).await.unwrap_or_else(|error| {
        anstream::eprintln!("error: \"{}\" is not attested: {error:#}", args.file.display());
        NOT_RECORDED
    })
}

async fn attest(args: &Args) -> anyhow::Result<u8> {
    capture::names::check_step(&args.step)?;
    let around = args.send.store.surroundings()?;
    let key = args.key.key()?;
    args.send.check(&around)?;
    let id: String = key.public().id().chars().take(8).collect();
    let target = args.output.named(&format!("{}.{}.{id}.intoto.json", args.step, args.kind.word()))?;
    let redactor = args.notes.redactor(&args.send, &around)?;
    let facts = args.notes.facts(&args.send, &around, None).await;
    let About { images, named } = about(args)?;
    let file = file::read(&args.file, Limits::METADATA.bytes_max)?;
    let attestation = Attestation { kind: &args.kind, file: &file, subjects: &named, facts: facts.as_ref() };
    let (envelope, warnings) = attestation.seal(&redactor, &key)?;
    for warning in warnings {
        anstream::eprintln!("warning: {warning}");
    }
    file::write(&target, &envelope.to_bytes())?;
    let belongs = Belongs { step: Some(args.step.clone()), subjects: images, ..Belongs::default() };
    match args.send.send(&around, &redactor, &target, &envelope, belongs).await {
        true => Ok(0),
        false => Ok(NOT_RECORDED),
    }
}

/// What it is about.
struct About {
    /// The images by digest alone, for the store.
    images: Vec<String>,
    /// Images and files by name.
    named: Vec<(String, Digest)>,
}

fn about(args: &Args) -> anyhow::Result<About> {
    let images = Images::new(&args.subject, &args.image_from_file)?.resolve(Path::new("."))?;
    let name = |name: &str| name.strip_prefix("oci:").unwrap_or(name).to_owned();
    let mut named: Vec<(String, Digest)> = images.iter().map(|(image, digest)| (name(image), digest.clone())).collect();
    for path in &args.subject_file {
        let name = path.to_str().with_context(|| format!("\"{}\" is not UTF-8", path.display()))?;
        named.push((name.to_owned(), Digest::sha256(&file::read(path, SUBJECT_BYTES_MAX)?)));
    }
    Ok(About { images: images.iter().map(|(_, digest)| digest.to_string()).collect(), named })
}
