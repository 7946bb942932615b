//! `tidewaiter demo`: the main job on embedded parts, nothing to install (design §13).
//!
//! A pipeline of three steps really runs and is recorded, its image lies in an OCI layout, its links in an embedded store, the webhook
//! serves over TLS, and the API server's part is played by a client of ours: it posts reviews of the good image and of tampered ones.

use super::ui::Output;
use anyhow::Context as _;
use std::path::{Path, PathBuf};

mod cases;
mod image;
mod keys;
mod kubernetes;
mod pipeline;
mod registry;
mod servers;
mod table;

/// See the main job done: a pipeline, its metadata, and what is admitted and denied
///
/// Everything lies in a temporary directory, and nothing but this machine's loopback is talked to. Ends with a table, and with 0 where
/// every answer was the expected one.
///
/// With --kubernetes it is the current cluster that answers, through the tidewaiter that is installed there: the demonstration makes a
/// namespace with a registry in it, a policy for that namespace alone, asks for pods by server-side dry run, and takes all of it away again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewaiter demo
  tidewaiter demo --keep  # leaves the directory, and says what to try in it
  tidewaiter demo --output json
  tidewaiter demo --kubernetes  # in the cluster of the current context")]
pub struct Args {
    /// Leave everything, and print commands to try
    #[arg(long)]
    keep: bool,
    /// In the current cluster, where tidewaiter is installed
    #[arg(long)]
    kubernetes: bool,
    /// The image that serves the demonstration's registry in the cluster, instead of that of the installed Deployment
    #[arg(long, value_name = "IMAGE", requires = "kubernetes")]
    image: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// The demonstration's package step: make an OCI layout at the second path of the files below the first, under the third name
    #[arg(long, hide = true, num_args = 3, value_names = ["FILES", "LAYOUT", "NAME"])]
    package: Vec<String>,
    /// The demonstration's registry: serve the OCI layout, read-only
    #[arg(long, hide = true, value_name = "LAYOUT")]
    serve_registry: Option<PathBuf>,
    /// Where, instead of port 5000 of every address
    #[arg(long, hide = true, value_name = "ADDR", requires = "serve_registry")]
    listen: Option<std::net::SocketAddr>,
}

/// 0 where every answer is the expected one, 1 otherwise.
pub async fn run(args: Args) -> anyhow::Result<u8> {
    if let [files, layout, name] = args.package.as_slice() {
        image::package(Path::new(files), Path::new(layout), name).map(|_| ())?;
        return Ok(0);
    }
    if let Some(layout) = args.serve_registry {
        registry::serve(layout, args.listen).await?;
        return Ok(0);
    }
    if args.kubernetes {
        return kubernetes::run(args.image, args.keep, args.output).await;
    }
    let directory = tempfile::Builder::new().prefix("tidewaiter-demo-").tempdir().context("a temporary directory")?;
    let answers = play(directory.path(), args.output).await?;
    match args.output {
        Output::Text => anstream::print!("{}", table::text(&answers)),
        Output::Json => anstream::println!("{}", table::json(&answers)),
    }
    if args.keep {
        let kept = directory.keep();
        if matches!(args.output, Output::Text) {
            anstream::print!("{}", to_try(&kept, &answers));
        }
    }
    Ok(u8::from(!answers.iter().all(cases::Answer::is_expected)))
}

/// The whole story, told on standard error as it goes.
async fn play(directory: &Path, output: Output) -> anyhow::Result<Vec<cases::Answer>> {
    let tell = |text: &str| {
        if matches!(output, Output::Text) {
            anstream::eprintln!("{text}");
        }
    };
    tell("keys      alice and bob own the layout; dev, ci and packer do the steps; release signs images");
    let keys = keys::Keys::new(&directory.join("keys"))?;
    let layouts = pipeline::Layouts::new(directory, &keys, pipeline::REPOSITORY)?;
    tell("layout    checkout, build, package, and an inspection that ties the image; signed by alice and bob");
    servers::write_documents(directory, &keys)?;
    let servers = servers::Servers::start(directory).await?;
    tell(&format!("store     {}, SQLite", servers.store_url()));
    tell(&format!("webhook   {}/validate", servers.webhook_url()));
    tell("pipelines each case's three steps run and are recorded");
    let world = cases::World { directory, keys: &keys, layouts: &layouts, repository: pipeline::REPOSITORY };
    cases::play(world, servers, &tell).await
}

/// Commands that work on what was left behind.
fn to_try(directory: &Path, answers: &[cases::Answer]) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("tidewaiter"));
    let (program, place) = (program.display(), directory.display());
    let named =
        |name: &str| answers.iter().find(|answer| answer.case == name).map_or("", |answer| answer.image.as_str());
    format!(
        "
Left in {place}; to try:
  {program} layout show {place}/layouts/good.layout --key {place}/keys/alice.pem.pub --key {place}/keys/bob.pem.pub
  {program} store serve --listen 127.0.0.1:18080 --database sqlite:{place}/store.db --config {place}/policy &
  {program} verify {good} --policy {place}/policy --store http://127.0.0.1:18080 --store-token-file {place}/tokens/reader --explain
  {program} verify {bad} --policy {place}/policy --store http://127.0.0.1:18080 --store-token-file {place}/tokens/reader --explain
",
        good = named(cases::GOOD),
        bad = named(cases::TAMPERED),
    )
}
