//! `tidewaiter publish`: signed envelopes into the registry, beside the image.

use crate::{
    cli::ui::Output,
    file,
    publish::{self, Options},
    reference::Reference,
    source::layout_dir::LayoutDir,
};
use std::path::{Path, PathBuf};

/// Bytes of one envelope file; what readers take is checked where the set is made.
const FILE_BYTES_MAX: usize = 8 << 20;

/// Publishes links, layouts and statements beside the image they are about.
///
/// They become one OCI artifact that refers to the image: nothing about the image changes. Publishing the same files again
/// changes nothing. Where the registry has no referrers API, the tag `sha256-<hex>` lists it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewaiter publish registry.example.com/shop/api@sha256:3f9a… \\
      root.layout *.link
  tidewaiter publish localhost:5000/shop/api:1 build.776a00e2.link \\
      --plain-http
  tidewaiter publish oci-layout:./image *.link")]
pub struct Args {
    /// The image: a reference, or oci-layout:DIR for the first image of an OCI layout directory
    #[arg(value_name = "REF")]
    pub image: String,
    /// Signed envelopes: DSSE or Metablock
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Talk http to the registry
    #[arg(long)]
    pub plain_http: bool,
    /// The only CA certificates to trust (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Docker configuration with registry credentials (default: $DOCKER_CONFIG/config.json where it exists)
    #[arg(long, env = "TIDEWAITER_DOCKER_CONFIG", value_name = "FILE")]
    pub docker_config: Option<PathBuf>,
    /// What is printed
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// 0 published; everything else is an error (2).
pub async fn run(args: Args) -> anyhow::Result<u8> {
    let envelopes =
        args.files.iter().map(|path| file::read(path, FILE_BYTES_MAX)).collect::<anyhow::Result<Vec<_>>>()?;
    let (image, digest) = match args.image.strip_prefix("oci-layout:") {
        Some(dir) => {
            let image = LayoutDir::open(Path::new(dir))?.first()?.digest.clone();
            let digest = publish::publish_to_layout(Path::new(dir), &image, &envelopes)?;
            (format!("oci-layout:{dir}@{image}"), digest)
        }
        None => {
            let image: Reference = args.image.parse()?;
            let Args { docker_config, plain_http, ca_file, .. } = args;
            let options = Options { docker_config, plain_http, ca_file, ca_bundle: None };
            let digest = publish::publish(&image, &envelopes, &options).await?;
            (image.to_string(), digest)
        }
    };
    match args.output {
        Output::Text => anstream::println!("published {} envelopes about {image} as {digest}", envelopes.len()),
        Output::Json => anstream::println!(
            "{}",
            serde_json::json!({ "image": image, "digest": digest.to_string(), "envelopes": envelopes.len() })
        ),
    }
    Ok(0)
}
