//! Capture: materials → command → products → link (design §8, store §5; in-toto §1.15).
//!
//! What is recorded is what the caller says, and no more (security T-25). The working directory may say which paths (`config`), and
//! that shows in the link. `notes` are what a link says beside its artifacts, and what it must not say.

use crate::{
    digest::DigestSet,
    envelope::Envelope,
    intoto::{Artifacts, Link},
    json::Value,
    key::SecretKey,
};
use anyhow::Context as _;
use std::path::{Path, PathBuf};

pub mod attest;
pub mod cache;
pub mod ci;
pub mod command;
pub mod config;
pub mod deliver;
mod exclude;
pub mod facts;
pub mod fence;
pub mod git;
mod hash;
pub mod identity;
pub mod image;
pub mod names;
pub mod notes;
mod progress;
pub mod record;
pub mod redact;
mod seal;
pub mod session;
pub mod spool;
pub mod surroundings;
mod tail;
pub mod upload;
mod walk;

pub use notes::Notes;
pub use progress::Progress;
pub use record::Recorder;
pub use seal::Container;
pub use surroundings::Surroundings;

/// Where artifacts are, and how they are recorded.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Relative paths of artifacts start here, and it is no part of their names.
    pub base: PathBuf,
    pub recorder: Recorder,
    pub progress: Progress,
}
impl Tree {
    fn record(&self, paths: &[String], known: &cache::Known) -> Result<record::Recording, record::RecordError> {
        self.recorder.record(&self.base, paths, known, self.progress)
    }
}

/// One step of a pipeline, as the person who runs it describes it.
pub struct Job<'a> {
    pub step: &'a str,
    /// Artifact paths as written.
    pub materials: &'a [String],
    pub products: &'a [String],
    pub tree: &'a Tree,
    /// The command; none for a step that is not one, such as a review.
    pub argv: &'a [String],
    /// Where it runs, and where the files are that tell of images.
    pub directory: &'a Path,
    pub images: &'a image::Images,
    pub container: Container,
    pub streams: command::Streams,
    pub notes: Notes<'a>,
}

/// What a run left: the signed link and how the command ended.
pub struct Run {
    pub link: Link,
    pub envelope: Envelope,
    /// `None`: there was no command.
    pub outcome: Option<command::Outcome>,
    /// Remarks for a person, one clause each.
    pub warnings: Vec<String>,
}

/// Why there is no link.
#[derive(Debug)]
pub enum Failure {
    /// The command could not be started: 126 or 127, as `env`.
    NotStarted { exit_code: u8, error: anyhow::Error },
    /// It could not be recorded or signed: 125. The command may have run.
    NotRecorded(anyhow::Error),
}
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::NotRecorded(error)
    }
}

/// Records materials, runs the command, records products, and signs the link. A command that fails still yields one.
pub async fn run(job: &Job<'_>, key: &SecretKey) -> Result<Run, Failure> {
    names::check_step(job.step)?;
    // What the command's own words give away is known before it runs.
    job.notes.check_command(job.argv)?;
    let before = job.tree.record(job.materials, &cache::Known::default()).context("materials")?;
    let tool = job.notes.facts.map(|_| tokio::task::spawn_blocking(facts::own_digest));
    let ended = match job.argv {
        [] => None,
        argv => Some(command::run(argv, job.directory, job.streams).await?),
    };
    let (products, after) = products(job.tree, job.products, &before.known, job.images, job.directory)?;
    let mut warnings = before.warnings;
    warnings.extend(after);
    warnings.dedup();
    let link = Link {
        name: job.step.to_owned(),
        command: job.argv.to_vec(),
        materials: before.artifacts,
        products,
        byproducts: byproducts(ended.as_ref()),
        environment: Value::Object(Vec::new()),
    };
    let mut facts = job.notes.facts.cloned();
    if let (Some(facts), Some(ended)) = (&mut facts, &ended) {
        facts.of_execution(&ended.execution, job.notes.ok_codes);
    }
    if let (Some(facts), Some(tool)) = (&mut facts, tool)
        && let Ok(Some(digest)) = tool.await
    {
        facts.set("tidewaiter.digest", digest);
    }
    let link = job.notes.write(link, facts, &mut warnings)?;
    let envelope = seal::seal(&link, job.container, key)?;
    if let Some(why) = seal::refused(&envelope, job.container) {
        warnings.push(format!("verifiers will refuse this link: {why}"));
    }
    Ok(Run { link, envelope, outcome: ended.map(|ended| ended.execution.outcome), warnings })
}

/// The files a step left and the images it made, with remarks.
fn products(
    tree: &Tree,
    paths: &[String],
    known: &cache::Known,
    images: &image::Images,
    directory: &Path,
) -> anyhow::Result<(Artifacts, Vec<String>)> {
    let recorded = tree.record(paths, known).context("products")?;
    let mut products = recorded.artifacts;
    for (name, digest) in images.resolve(directory).context("image")? {
        insert_image(&mut products, name, DigestSet::of(&digest))?;
    }
    Ok((products, recorded.warnings))
}

/// An image may be named twice with one digest, never with two.
fn insert_image(products: &mut Artifacts, name: String, digest: DigestSet) -> anyhow::Result<()> {
    match products.get(&name) {
        Some(known) if *known != digest => anyhow::bail!("\"{name}\" is given with two digests"),
        _ => products.insert(&name, digest),
    };
    Ok(())
}

/// As `in-toto-run` writes them when streams are not recorded; output may hold secrets, so it goes into a link only as the tail that was
/// asked for (store §5.3).
fn byproducts(ended: Option<&command::Ended>) -> Value {
    let Some(ended) = ended else { return Value::Object(Vec::new()) };
    let return_value = ended.execution.outcome.return_value.to_string();
    Value::Object(vec![
        ("return-value".to_owned(), Value::Number(return_value)),
        ("stderr".to_owned(), Value::String(ended.stderr.clone())),
        ("stdout".to_owned(), Value::String(ended.stdout.clone())),
    ])
}

/// The file name other in-toto tools look for: the step and the first eight characters of the key id.
pub fn link_file_name(step: &str, key: &SecretKey) -> String {
    let id: String = key.public().id().chars().take(8).collect();
    format!("{step}.{id}.link")
}

#[cfg(test)]
mod tests;
