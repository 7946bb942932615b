//! `tidewaiter run`: one step of a pipeline, recorded (design §8, §11; store §5).

use crate::{
    capture::{self, Container, Failure, Job, Progress, Recorder, image::Images, upload},
    file, publish,
    reference::Reference,
    signer,
};
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// It could not be recorded, as `env` and its kin say it.
const NOT_RECORDED: u8 = 125;

/// Run one step of a pipeline and record it as a signed in-toto link
///
/// The files at and below each -m are hashed before the command runs, those of each -p after it. The command keeps its terminal, its
/// input and its signals, and its exit code is passed on: 128+n where signal n ended it, 126 and 127 where it could not be started, 125
/// where it could not be recorded. A command that fails is recorded too. Neither its output nor its environment is stored, and nothing
/// in the working directory is read as configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewaiter run --step build -m src -p dist --key build.pem -- make
  tidewaiter run --step image -m dist --image \\
      registry.example.com/shop/api:1 --image-from-file meta.json \\
      --key ci.pem -- docker buildx build --push --metadata-file meta.json \\
      -t registry.example.com/shop/api:1 .
  tidewaiter run --step test -m . --key test.pem \\
      --store https://store.example.com --store-token-file token -- cargo test")]
pub struct Args {
    /// Name of the step in the layout
    #[arg(long, short = 's', value_name = "STEP")]
    step: String,
    /// A file or directory to record before the command runs; may be repeated
    #[arg(long, short = 'm', value_name = "PATH")]
    material: Vec<String>,
    /// A file or directory to record after the command ran; may be repeated
    #[arg(long, short = 'p', value_name = "PATH")]
    product: Vec<String>,
    /// An image this step made, REF@sha256:…, or REF alone beside one --image-from-file
    #[arg(long, value_name = "REF")]
    image: Vec<String>,
    /// Where an image's digest is: buildx's --metadata-file, a digest file, or an OCI image layout directory; read after the command
    #[arg(long, value_name = "FILE")]
    image_from_file: Vec<PathBuf>,
    /// The functionary's private key (see `tidewaiter key new`)
    #[arg(long, env = "TIDEWAITER_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// A gitignore pattern to leave out; giving any replaces in-toto's own: *.link* .git *.pyc *~
    #[arg(long, short = 'e', value_name = "GLOB")]
    exclude: Vec<String>,
    /// A prefix to strip from the names of artifacts; may be repeated
    #[arg(long, value_name = "PREFIX")]
    lstrip_paths: Vec<String>,
    /// Hash text of Windows and Mac as if it had Unix line endings
    #[arg(long)]
    normalize_line_endings: bool,
    /// Directory for the link, which is named STEP.KEYID.link
    #[arg(long, short = 'd', value_name = "DIR", conflicts_with = "output")]
    output_dir: Option<PathBuf>,
    /// File for the link
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a DSSE envelope (the default)
    #[arg(long)]
    dsse: bool,
    /// Write in-toto's older container, for verifiers that know no DSSE
    #[arg(long, conflicts_with = "dsse")]
    metablock: bool,
    /// Metadata store to send the link to
    #[arg(long, env = "TIDEWAITER_STORE", value_name = "URL")]
    store: Option<String>,
    /// The store's chain the link belongs to, where its signer works for several
    #[arg(long, env = "TIDEWAITER_CHAIN", value_name = "NAME")]
    chain: Option<String>,
    /// File that holds the store's writer token
    #[arg(long, env = "TIDEWAITER_STORE_TOKEN_FILE", value_name = "FILE")]
    store_token_file: Option<PathBuf>,
    /// CA bundle of the store
    #[arg(long, env = "TIDEWAITER_STORE_CA", value_name = "FILE")]
    store_ca: Option<PathBuf>,
    /// An image, REF@sha256:…, to put the link beside in its registry
    #[arg(long, value_name = "REF")]
    publish: Option<Reference>,
    /// Exit with 125 where the link could not be sent (it is on disk all the same)
    #[arg(long)]
    require_upload: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

/// The wrapped command's exit code, or ours.
pub async fn run(args: Args) -> anyhow::Result<u8> {
    match record(&args).await {
        Ok(code) => Ok(code),
        Err(Failure::NotStarted { exit_code, error }) => {
            anstream::eprintln!("error: {error:#}");
            Ok(exit_code)
        }
        Err(Failure::NotRecorded(error)) => {
            anstream::eprintln!("error: step \"{}\" is not recorded: {error:#}", args.step.escape_debug());
            Ok(NOT_RECORDED)
        }
    }
}

async fn record(args: &Args) -> Result<u8, Failure> {
    capture::names::check_step(&args.step)?;
    // Whatever can be known to fail fails before the command runs.
    let path =
        args.key.as_deref().context("there is no --key to sign it with; make one with: tidewaiter key new -o KEY")?;
    let key = signer::from_file(path)?;
    let target = match (&args.output, &args.output_dir) {
        (Some(file), _) => file.clone(),
        (None, directory) => {
            directory.as_deref().unwrap_or(Path::new("")).join(capture::link_file_name(&args.step, &key))
        }
    };
    file::check_writable(&target)?;
    if let Some(image) = &args.publish {
        image.digest().with_context(|| format!("--publish {image} has no digest"))?;
    }

    let job = Job {
        step: &args.step,
        materials: &args.material,
        products: &args.product,
        argv: &args.command,
        base: PathBuf::from("."),
        recorder: Recorder::new(&args.exclude, &args.lstrip_paths, args.normalize_line_endings)
            .map_err(anyhow::Error::new)?,
        images: Images::new(&args.image, &args.image_from_file)?,
        container: if args.metablock { Container::Metablock } else { Container::Dsse },
        progress: &Progress::on_terminal(),
        inherit_streams: true,
    };
    let run = capture::run(&job, &key).await?;
    for warning in &run.warnings {
        anstream::eprintln!("warning: {warning}");
    }
    file::write(&target, &run.envelope.to_bytes())?;
    let sent = send(args, &run.envelope).await;
    for error in &sent {
        anstream::eprintln!("warning: the link \"{}\" is not sent: {error:#}", target.display());
    }
    match sent.is_empty() || !args.require_upload {
        true => Ok(run.outcome.exit_code),
        false => Ok(NOT_RECORDED),
    }
}

/// To wherever it was asked for; what failed. The link is on disk by now, so nothing is lost.
async fn send(args: &Args, envelope: &crate::envelope::Envelope) -> Vec<anyhow::Error> {
    let mut failed = Vec::new();
    if let Some(url) = &args.store {
        let store = upload::Store {
            url: url.clone(),
            chain: args.chain.clone(),
            token_file: args.store_token_file.clone(),
            ca_file: args.store_ca.clone(),
        };
        failed.extend(upload::put(&store, envelope).await.err());
    }
    if let Some(image) = &args.publish {
        let published = publish::publish(image, &[envelope.to_bytes()], &publish::Options::default()).await;
        failed.extend(published.err());
    }
    failed
}
