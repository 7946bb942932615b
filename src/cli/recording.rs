//! The flags that `run` and `record` share: what is recorded, how the link is written, where it is sent.

use crate::{
    capture::{self, Container, Progress, Recorder, Tree, image::Images, upload},
    envelope::Envelope,
    file,
    key::SecretKey,
    publish,
    reference::Reference,
    signer,
};
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// It could not be recorded, as `env` and its kin say it.
pub const NOT_RECORDED: u8 = 125;

/// How files become artifacts.
#[derive(Debug, clap::Args)]
pub struct TreeArgs {
    /// A gitignore pattern to leave out; giving any replaces in-toto's own: *.link* .git *.pyc *~
    #[arg(long, short = 'e', value_name = "GLOB", num_args = 1..)]
    exclude: Vec<String>,
    /// A prefix to strip from the names of artifacts; may be repeated
    #[arg(long, value_name = "PREFIX", num_args = 1..)]
    lstrip_paths: Vec<String>,
    /// Hash text of Windows and Mac as if it had Unix line endings
    #[arg(long)]
    normalize_line_endings: bool,
    /// Directory that artifact paths start from; it is no part of their names
    #[arg(long, value_name = "DIR", default_value = ".")]
    base_path: PathBuf,
}

impl TreeArgs {
    pub fn tree(&self) -> anyhow::Result<Tree> {
        Ok(Tree {
            base: self.base_path.clone(),
            recorder: Recorder::new(&self.exclude, &self.lstrip_paths, self.normalize_line_endings)?,
            progress: Progress::of_this_process(),
        })
    }
}

/// Images among the products.
#[derive(Debug, clap::Args)]
pub struct ImageArgs {
    /// An image this step made, REF@sha256:…, or REF alone beside one --image-from-file
    #[arg(long, value_name = "REF")]
    image: Vec<String>,
    /// Where an image's digest is: buildx's --metadata-file, a digest file, or an OCI image layout directory; read after the command
    #[arg(long, value_name = "FILE")]
    image_from_file: Vec<PathBuf>,
    /// Record the image of the layout directory blob by blob too, as blobs/sha256/HEX
    #[arg(long)]
    image_blobs: bool,
    /// A file with the digest of the image's configuration, which the image of the layout directory must have
    #[arg(long, value_name = "FILE")]
    iidfile: Vec<PathBuf>,
}

impl ImageArgs {
    pub fn images(&self) -> anyhow::Result<Images> {
        let images = Images::new(&self.image, &self.image_from_file)?.with_configs(&self.iidfile)?;
        if self.image_blobs { images.with_blobs() } else { Ok(images) }
    }
}

/// Who signs.
#[derive(Debug, clap::Args)]
pub struct KeyArgs {
    /// The functionary's private key (see `tidewaiter key new`)
    #[arg(long, env = "TIDEWAITER_KEY", value_name = "FILE", alias = "signing-key")]
    key: Option<PathBuf>,
}

impl KeyArgs {
    pub fn key(&self) -> anyhow::Result<SecretKey> {
        let path = self
            .key
            .as_deref()
            .context("there is no --key to sign it with; make one with: tidewaiter key new -o KEY")?;
        signer::from_file(path)
    }
}

/// The container of the link.
#[derive(Debug, clap::Args)]
pub struct ContainerArgs {
    /// Write a DSSE envelope (the default)
    #[arg(long, alias = "use-dsse")]
    dsse: bool,
    /// Write in-toto's older container, for verifiers that know no DSSE
    #[arg(long, conflicts_with_all = ["dsse", "statement"])]
    metablock: bool,
    /// Write a statement of the attestation framework: predicate link v0.3, the subjects are the products
    #[arg(long)]
    statement: bool,
}

impl ContainerArgs {
    pub fn container(&self) -> Container {
        match (self.metablock, self.statement) {
            (true, _) => Container::Metablock,
            (false, true) => Container::Statement,
            (false, false) => Container::Dsse,
        }
    }
}

/// Where the link is written.
#[derive(Debug, clap::Args)]
pub struct OutputArgs {
    /// Directory for the link, which is named STEP.KEYID.link
    #[arg(long, short = 'd', value_name = "DIR", conflicts_with = "output", alias = "metadata-directory")]
    output_dir: Option<PathBuf>,
    /// File for the link
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
}

impl OutputArgs {
    /// The file of the link, into which it could be written now.
    pub fn target(&self, step: &str, key: &SecretKey) -> anyhow::Result<PathBuf> {
        let target = match (&self.output, &self.output_dir) {
            (Some(file), _) => file.clone(),
            (None, directory) => directory.as_deref().unwrap_or(Path::new("")).join(capture::link_file_name(step, key)),
        };
        file::check_writable(&target)?;
        Ok(target)
    }
}

/// Where the link is sent.
#[derive(Debug, clap::Args)]
pub struct SendArgs {
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
}

impl SendArgs {
    /// Whatever can be known to fail fails before the step.
    pub fn check(&self) -> anyhow::Result<()> {
        if let Some(image) = &self.publish {
            image.digest().with_context(|| format!("--publish {image} has no digest"))?;
        }
        Ok(())
    }

    /// To wherever it was asked for, the link on disk by now, so that nothing is lost. Whether that is well.
    pub async fn send(&self, target: &Path, envelope: &Envelope) -> bool {
        let sent = self.try_send(envelope).await;
        for error in &sent {
            anstream::eprintln!("warning: the link \"{}\" is not sent: {error:#}", target.display());
        }
        sent.is_empty() || !self.require_upload
    }

    /// What failed.
    async fn try_send(&self, envelope: &Envelope) -> Vec<anyhow::Error> {
        let mut failed = Vec::new();
        if let Some(url) = &self.store {
            let store = upload::Store {
                url: url.clone(),
                chain: self.chain.clone(),
                token_file: self.store_token_file.clone(),
                ca_file: self.store_ca.clone(),
            };
            failed.extend(upload::put(&store, envelope).await.err());
        }
        if let Some(image) = &self.publish {
            let published = publish::publish(image, &[envelope.to_bytes()], &publish::Options::default()).await;
            failed.extend(published.err());
        }
        failed
    }
}
