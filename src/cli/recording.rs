//! The flags that `run`, `record` and `attest` share: what is recorded, how it is written, where it is sent.

use super::{size, store_args::StoreArgs};
use crate::{
    capture::{
        self, Container, Progress, Recorder, Surroundings, Tree,
        command::Streams,
        config::{Config, Paths},
        deliver::{self, Delivery},
        facts::Facts,
        fence::Fence,
        image::Images,
        redact::{Findings, OnSecret, Redactor},
        upload::Belongs,
    },
    digest::Digest,
    envelope::Envelope,
    file,
    key::SecretKey,
    publish,
    reference::Reference,
    signer,
};
use anyhow::Context as _;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

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
    /// Do not read the .tidewaiter.toml of the working directory, which may name paths
    #[arg(long, env = "TIDEWAITER_NO_CONFIG", value_parser = clap::builder::BoolishValueParser::new())]
    no_config: bool,
}

/// What is recorded of a step.
pub struct Recorded {
    pub tree: Tree,
    pub materials: Vec<String>,
    pub products: Vec<String>,
    /// Of the file that had a say in it.
    pub config: Option<Digest>,
}

impl Recorded {
    /// Before the step: nothing runs where the tree names what lies outside of it.
    pub fn check(&self) -> anyhow::Result<()> {
        for paths in [&self.materials, &self.products] {
            self.tree.recorder.check(&self.tree.base, paths)?;
        }
        Ok(())
    }
}

impl TreeArgs {
    /// What the flags say, and the working directory's file where they say nothing.
    pub fn recorded(&self, step: &str, materials: &[String], products: &[String]) -> anyhow::Result<Recorded> {
        let config = if self.no_config { Config::default() } else { Config::of(Path::new("."))? };
        let by_hand: BTreeSet<&String> = materials.iter().chain(products).collect();
        let given = |texts: &[String]| (!texts.is_empty()).then(|| texts.to_vec());
        let paths = config.step(step).under(Paths {
            materials: given(materials),
            products: given(products),
            excludes: given(&self.exclude),
            lstrip: given(&self.lstrip_paths),
        });
        let Paths { materials, products, excludes, lstrip } = paths;
        let (excludes, lstrip) = (excludes.unwrap_or_default(), lstrip.unwrap_or_default());
        let (materials, products) = (materials.unwrap_or_default(), products.unwrap_or_default());
        // Of what the command line names nothing is the tree's.
        let of_tree = materials.iter().chain(&products).filter(|path| !by_hand.contains(*path)).cloned();
        let of_tree: BTreeSet<String> = of_tree.collect();
        let fence = match of_tree.is_empty() {
            true => Fence::default(),
            false => Fence::new(of_tree, &[Path::new("."), &self.base_path])?,
        };
        let recorder = Recorder::new(&excludes, &lstrip, self.normalize_line_endings)?;
        let tree = Tree {
            base: self.base_path.clone(),
            recorder: recorder.fenced(fence),
            progress: Progress::of_this_process(),
        };
        Ok(Recorded { tree, materials, products, config: config.digest })
    }
}

/// What a link says beside its artifacts.
#[derive(Debug, clap::Args)]
pub struct NotesArgs {
    /// Whether facts of the step are recorded: CI system, commit, times; auto: where it belongs to a run or goes to a store
    #[arg(long, value_name = "WHEN", env = "TIDEWAITER_FACTS", value_enum, default_value_t)]
    facts: When,
    /// A variable of the environment to record; no other is, but the CI system's own. May be repeated
    #[arg(long, value_name = "NAME")]
    env: Vec<String>,
    /// What happens to a secret that is found by its looks; those of the environment are always replaced
    #[arg(long, env = "TIDEWAITER_ON_SECRET", value_enum, default_value_t)]
    on_secret: OnSecret,
}

/// Whether something optional is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum When {
    #[default]
    Auto,
    Always,
    Never,
}

impl NotesArgs {
    /// What is known before the step; `None`: it is not asked for. A link that nobody will ask about stays equal to in-toto-run's.
    pub async fn facts(&self, send: &SendArgs, around: &Surroundings, config: Option<&Digest>) -> Option<Facts> {
        let run = send.store.run(around);
        let is_wanted = match self.facts {
            When::Auto => run.is_some() || send.store.url().is_some() || !self.env.is_empty(),
            When::Always => true,
            When::Never => false,
        };
        match is_wanted {
            true => Some(around.facts(Path::new("."), run.as_deref(), &self.env, config).await),
            false => None,
        }
    }

    pub fn redactor(&self, send: &SendArgs, around: &Surroundings) -> anyhow::Result<Redactor> {
        around.redactor(send.store.secrets(around), self.on_secret)
    }
}

/// What is kept of the command's output.
#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// Keep the last lines of the output in the link, such as 8KiB of each stream and at most 1MiB; secrets are replaced
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    log_tail: Option<u64>,
}

impl LogArgs {
    /// A log's tail is read by people. `--help` names it.
    const BYTES_MAX: u64 = 1 << 20;

    pub fn streams(&self) -> anyhow::Result<Streams> {
        match self.log_tail {
            None => Ok(Streams::Inherited),
            Some(bytes) => {
                anyhow::ensure!(bytes <= Self::BYTES_MAX, "--log-tail is at most {}MiB", Self::BYTES_MAX >> 20);
                Ok(Streams::Tail(usize::try_from(bytes)?))
            }
        }
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
    /// The functionary's private key (see `tidewaiter key new`); the variable TIDEWAITER_KEY_PEM may hold the key itself
    #[arg(long, env = "TIDEWAITER_KEY", value_name = "FILE", alias = "signing-key")]
    key: Option<PathBuf>,
}

impl KeyArgs {
    /// The key of a file, or of the variable that holds one.
    pub fn key(&self) -> anyhow::Result<SecretKey> {
        match (&self.key, std::env::var(signer::PEM_VARIABLE)) {
            (Some(path), _) => signer::from_file(path),
            (None, Ok(pem)) if !pem.is_empty() => signer::from_text(&pem),
            _ => anyhow::bail!(
                "there is no --key to sign it with, and no {}; make one with: tidewaiter key new -o KEY",
                signer::PEM_VARIABLE
            ),
        }
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
        self.named(&capture::link_file_name(step, key))
    }

    /// The file, by this name where no other was given.
    pub fn named(&self, name: &str) -> anyhow::Result<PathBuf> {
        let target = match (&self.output, &self.output_dir) {
            (Some(file), _) => file.clone(),
            (None, directory) => directory.as_deref().unwrap_or(Path::new("")).join(name),
        };
        file::check_writable(&target)?;
        Ok(target)
    }
}

/// Where it is sent.
#[derive(Debug, clap::Args)]
pub struct SendArgs {
    #[command(flatten)]
    pub store: StoreArgs,
    /// An image, REF@sha256:…, to put the link beside in its registry
    #[arg(long, value_name = "REF")]
    publish: Option<Reference>,
    /// Exit with 125 where the link could not be sent (it is on disk and in the spool all the same)
    #[arg(long, env = "TIDEWAITER_REQUIRE_UPLOAD", value_parser = clap::builder::BoolishValueParser::new())]
    require_upload: bool,
}

impl SendArgs {
    /// Whatever can be known to fail fails before the step.
    pub fn check(&self, around: &Surroundings) -> anyhow::Result<()> {
        if let Some(image) = &self.publish {
            image.digest().with_context(|| format!("--publish {image} has no digest"))?;
        }
        self.store.check(around)
    }

    /// To wherever it was asked for, the link on disk by now, so that nothing is lost. Whether that is well.
    pub async fn send(
        &self,
        around: &Surroundings,
        redactor: &Redactor,
        target: &Path,
        envelope: &Envelope,
        more: Belongs,
    ) -> bool {
        let mut belongs = self.store.belongs(around, more);
        // It is made of the environment, like the facts.
        belongs.run = belongs.run.map(|run| redactor.text(&run, &mut Findings::default()));
        let stored = self.to_store(around, target, envelope, belongs).await;
        let published = match &self.publish {
            None => Ok(()),
            Some(image) => {
                let options = publish::Options::default();
                publish::publish(image, &[envelope.to_bytes()], &options).await.map(drop)
            }
        };
        if let Err(error) = &published {
            anstream::eprintln!("warning: \"{}\" is not sent: {error:#}", target.display());
        }
        (stored && published.is_ok()) || !self.require_upload
    }

    /// To the store, or the spool; what waited there goes along.
    async fn to_store(&self, around: &Surroundings, target: &Path, envelope: &Envelope, belongs: Belongs) -> bool {
        let Some(store) = self.store.store(around).await else { return true };
        let spool = self.store.spool(around);
        let named = target.display();
        match deliver::deliver(&store, spool.as_ref(), envelope, belongs).await {
            Delivery::Sent(_) => {
                if let (Ok(store), Some(spool)) = (&store, &spool) {
                    self.flush(store, spool).await;
                }
                true
            }
            Delivery::Waits { why, spooled: Ok(()) } => {
                anstream::eprintln!(
                    "warning: \"{named}\" is not sent and waits in the spool (tidewaiter push sends it): {why}"
                );
                false
            }
            Delivery::Waits { why, spooled: Err(error) } => {
                anstream::eprintln!("warning: \"{named}\" is not sent: {why}; nor is it in the spool: {error:#}");
                false
            }
            Delivery::Refused { why } => {
                anstream::eprintln!("warning: \"{named}\" is not sent: {why}");
                false
            }
        }
    }

    /// Without delaying the step: who is at it already does it alone, and what cannot be sent at once waits on.
    async fn flush(&self, store: &capture::upload::Store, spool: &capture::spool::Spool) {
        let Ok(Some(_lock)) = spool.lock(false) else { return };
        if let Ok(flushed) = deliver::flush(store, spool, Duration::ZERO).await {
            for (name, why) in flushed.refused {
                anstream::eprintln!("warning: {name} of the spool is refused: {why}");
            }
        }
    }
}
