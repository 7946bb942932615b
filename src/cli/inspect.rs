//! `tidewaiter inspect`: the virtual inspections of design §5 as files, for verifiers that know only files.
//!
//! Our own verification builds the inspection's link from what the image's digest proves and runs nothing. A stock
//! `in-toto-verify` runs the inspection's command, `tidewaiter inspect image`, in the current directory and records every file
//! there. So the files are written first:
//!
//! * `image` writes one file `oci:<registry>/<repository>` whose content is the manifest (or index) itself, because nothing
//!   else hashes to its digest;
//! * `blobs` writes `blobs/sha256/<hex>` for everything behind the image. A recorder hashes content, so each file must be the
//!   blob itself, layers included: they are downloaded, one at a time, up to `--blob-bytes-max` each, and nothing stands in for
//!   one that is larger. (Our own verification needs no layer: the manifest proves its digest.)
//!
//! and then `in-toto-verify` is run in that directory, with the layout, keys and links elsewhere. When it runs
//! `tidewaiter inspect image` without a reference, the command looks that the files are there and changes nothing.

use crate::{
    cli::ui::{Output, RegistryArgs},
    digest::Digest,
    file,
    image::{ImageFacts, artifact_name, artifact_repository},
    oci::{self, blob_path},
    reference::Reference,
    registry::{Blob, Repository},
    source::layout_dir::LayoutDir,
};
use anyhow::{Context, ensure};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Writes what the virtual inspections see, as files that stock in-toto verifiers can read.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// One file, `oci:<registry>/<repository>`, that hashes to the image's digest
    #[command(after_help = "Examples:
  tidewaiter inspect image registry.example.com/shop/api:1 -o inspected
  (cd inspected && in-toto-verify --layout ../root.layout \\
      --verification-keys ../owner.pem.pub --link-dir ../links)")]
    Image(Args),
    /// One file `blobs/sha256/<hex>` for each manifest, config and layer behind the image
    #[command(after_help = "Examples:
  tidewaiter inspect blobs registry.example.com/shop/api:1 -o inspected
  tidewaiter inspect blobs --image-layout ./image -o inspected")]
    Blobs(Args),
}

/// Which image, and where the files go.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image; without one, and without --image-layout, only looks that the files are there (as run by a verifier)
    #[arg(value_name = "REF")]
    pub image: Option<String>,
    /// An OCI layout directory: its first image. Its repository is the entry's name, or REF
    #[arg(long, value_name = "DIR")]
    pub image_layout: Option<PathBuf>,
    /// Where the files are written; best empty, since a verifier sees every file there
    #[arg(short = 'o', long, value_name = "DIR", default_value = ".")]
    pub output_dir: PathBuf,
    /// Bytes of the largest blob that is written
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    pub blob_bytes_max: u64,
    /// Seconds that the registry may take for all of it
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub timeout: u64,
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// What is printed
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// The built-in inspection whose artifacts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inspection {
    Image,
    Blobs,
}

/// 0 written (or, without an image, there); everything else is an error (2).
pub async fn run(command: Command) -> anyhow::Result<u8> {
    let (inspection, args) = match command {
        Command::Image(args) => (Inspection::Image, args),
        Command::Blobs(args) => (Inspection::Blobs, args),
    };
    let written = match (&args.image, &args.image_layout) {
        (None, None) => return are_there(inspection, &args.output_dir),
        (image, Some(dir)) => from_layout(inspection, dir, image.as_deref(), &args)?,
        (Some(image), None) => from_registry(inspection, image, &args).await?,
    };
    report(&written, args.output);
    warn_of_others(&written, &args.output_dir)?;
    Ok(0)
}

/// Run by a verifier: the files were written before, and it has recorded them already.
fn are_there(inspection: Inspection, dir: &Path) -> anyhow::Result<u8> {
    let belongs = |name: &str| match inspection {
        Inspection::Image => artifact_repository(name).is_some(),
        Inspection::Blobs => name == "blobs",
    };
    let entries = fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?;
    let there = entries.filter_map(Result::ok).any(|entry| entry.file_name().to_str().is_some_and(belongs));
    ensure!(there, "{} holds no files of this inspection: give an image to write them", dir.display());
    Ok(0)
}

fn from_layout(
    inspection: Inspection,
    dir: &Path,
    image: Option<&str>,
    args: &Args,
) -> anyhow::Result<BTreeMap<String, Digest>> {
    let layout = LayoutDir::open(dir)?;
    let image = image.map(str::parse::<Reference>).transpose()?;
    let digest = layout.first()?.digest.clone();
    if let Some(named) = image.as_ref().and_then(Reference::digest) {
        ensure!(*named == digest, "the layout's first image is {digest}, not {named}");
    }
    let read = |digest: &Digest, bytes_max| layout.blob(digest, bytes_max);
    let manifest_max = oci::DOCUMENT_BYTES_MAX as u64;
    let mut out = Files::new(&args.output_dir);
    match inspection {
        Inspection::Image => {
            out.write(artifact_name(&layout.repository(image.as_ref())?), &digest, &read(&digest, manifest_max)?)?;
        }
        Inspection::Blobs => {
            let mut facts = ImageFacts::new(String::new(), digest);
            while let Some(digest) = facts.wants().first() {
                let bytes = read(digest, manifest_max)?;
                facts.give(digest, &bytes)?;
                out.write(blob_path(digest), digest, &bytes)?;
            }
            for leaf in facts.leaves() {
                refuse_larger(leaf.size, &leaf.digest, args)?;
                out.write(blob_path(&leaf.digest), &leaf.digest, &read(&leaf.digest, leaf.size)?)?;
            }
        }
    }
    Ok(out.written)
}

async fn from_registry(inspection: Inspection, image: &str, args: &Args) -> anyhow::Result<BTreeMap<String, Digest>> {
    let image: Reference = image.parse()?;
    let repository = Repository::from(&image);
    let registries = args.registry.reader(&image)?;
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let top = match image.digest() {
        Some(digest) => there(registries.manifest(&repository, digest, deadline).await?, digest)?,
        None => registries.resolve(&image, deadline).await?,
    };
    let mut out = Files::new(&args.output_dir);
    if inspection == Inspection::Image {
        out.write(artifact_name(&image.name()), &top.digest, &top.bytes)?;
        return Ok(out.written);
    }
    let mut facts = ImageFacts::new(image.name(), top.digest.clone());
    let mut known = Some(top);
    while let Some(digest) = facts.wants().first() {
        let blob = match known.take() {
            Some(top) => top,
            None => there(registries.manifest(&repository, digest, deadline).await?, digest)?,
        };
        facts.give(digest, &blob.bytes)?;
        out.write(blob_path(digest), digest, &blob.bytes)?;
    }
    for leaf in facts.leaves() {
        refuse_larger(leaf.size, &leaf.digest, args)?;
        let found = registries.blob(&repository, &leaf.digest, leaf.size, deadline).await?;
        out.write(blob_path(&leaf.digest), &leaf.digest, &there(found, &leaf.digest)?.bytes)?;
    }
    Ok(out.written)
}

fn there(found: Option<Blob>, digest: &Digest) -> anyhow::Result<Blob> {
    found.with_context(|| format!("the registry has no {digest}"))
}

fn refuse_larger(size: u64, digest: &Digest, args: &Args) -> anyhow::Result<()> {
    let max = args.blob_bytes_max;
    ensure!(
        size <= max,
        "blob {digest} has {size} bytes, more than --blob-bytes-max {max}, and only itself hashes to its digest"
    );
    Ok(())
}

/// The files of one inspection.
struct Files<'a> {
    dir: &'a Path,
    written: BTreeMap<String, Digest>,
}

impl<'a> Files<'a> {
    fn new(dir: &'a Path) -> Self {
        Files { dir, written: BTreeMap::new() }
    }

    /// Whole or not at all; a file of that name with other content is not ours to replace.
    fn write(&mut self, name: String, digest: &Digest, bytes: &[u8]) -> anyhow::Result<()> {
        ensure!(digest.matches(bytes), "{name} does not hash to {digest}");
        let path = self.dir.join(&name);
        match fs::read(&path) {
            Ok(there) => ensure!(there == bytes, "{} is there with other content", path.display()),
            Err(_) => {
                let parent = path.parent().context("a file has a directory")?;
                fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
                file::write(&path, bytes)?;
            }
        }
        self.written.insert(name, digest.clone());
        Ok(())
    }
}

/// As `sha256sum` prints it, or as an artifact map of a link.
fn report(written: &BTreeMap<String, Digest>, output: Output) {
    match output {
        Output::Text => written.iter().for_each(|(name, digest)| anstream::println!("{}  {name}", digest.hex())),
        Output::Json => {
            let artifacts: BTreeMap<_, _> = written
                .iter()
                .map(|(name, digest)| {
                    let text = digest.to_string();
                    let (algorithm, hex) = text.split_once(':').unwrap_or(("sha256", digest.hex()));
                    (name, BTreeMap::from([(algorithm.to_owned(), hex.to_owned())]))
                })
                .collect();
            anstream::println!("{}", serde_json::json!({ "artifacts": artifacts }));
        }
    }
}

/// A stock verifier records everything in the directory, and `DISALLOW *` then meets what is not ours.
fn warn_of_others(written: &BTreeMap<String, Digest>, dir: &Path) -> anyhow::Result<()> {
    let ours = |name: &str| written.keys().any(|path| path.split('/').next() == Some(name));
    let others =
        fs::read_dir(dir)?.filter_map(Result::ok).filter(|entry| !entry.file_name().to_str().is_some_and(ours));
    let others = others.count();
    if others > 0 {
        anstream::eprintln!("warning: {} holds {others} other files, which a verifier will see too", dir.display());
    }
    Ok(())
}
