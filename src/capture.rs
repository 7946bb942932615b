//! Capture: materials → command → products → link (design §8, store §5; in-toto §1.15).
//!
//! Nothing in the working directory is read as configuration (security T-25): what is recorded is what the caller says, and no more.

use crate::{
    digest::DigestSet,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    intoto::{Artifacts, Link, Profile},
    json::{self, Value},
    key::SecretKey,
};
use anyhow::Context as _;
use std::path::PathBuf;

pub mod ci;
pub mod command;
pub mod hash;
pub mod image;
pub mod names;
pub mod record;
pub mod redact;
pub mod upload;

pub use record::{Progress, Recorder};

/// The container a link is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Container {
    #[default]
    Dsse,
    Metablock,
}

/// One step of a pipeline, as the person who runs it describes it.
pub struct Job<'a> {
    pub step: &'a str,
    /// Artifact paths as written; relative ones are below `base`.
    pub materials: &'a [String],
    pub products: &'a [String],
    /// The command, and where it runs.
    pub argv: &'a [String],
    pub base: PathBuf,
    pub recorder: Recorder,
    pub images: image::Images,
    pub container: Container,
    /// What stands for the name of a key when nobody looks at a terminal.
    pub progress: &'a Progress,
    /// Whether the command's standard streams are ours; `false` gives it none (the demonstration's steps are silent).
    pub inherit_streams: bool,
}

/// What a run left: the signed link and how the command ended.
pub struct Run {
    pub link: Link,
    pub envelope: Envelope,
    pub outcome: command::Outcome,
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
    let before = job.recorder.record(&job.base, job.materials, job.progress).context("materials")?;
    let outcome = command::run(job.argv, &job.base, job.inherit_streams).await?;
    let after = job.recorder.record(&job.base, job.products, job.progress).context("products")?;
    let mut warnings = before.warnings;
    warnings.extend(after.warnings);
    warnings.dedup();

    let mut products = after.artifacts;
    for (name, digest) in job.images.resolve(&job.base).context("image")? {
        insert_image(&mut products, name, DigestSet::of(&digest))?;
    }
    let link = Link {
        name: job.step.to_owned(),
        command: job.argv.to_vec(),
        materials: before.artifacts,
        products,
        byproducts: byproducts(&outcome),
        environment: Value::Object(Vec::new()),
    };
    let envelope = seal(&link, job.container, key)?;
    if let Some(why) = refused(&envelope) {
        warnings.push(format!("verifiers will refuse this link: {why}"));
    }
    Ok(Run { link, envelope, outcome, warnings })
}

/// An image may be named twice with one digest, never with two.
fn insert_image(products: &mut Artifacts, name: String, digest: DigestSet) -> anyhow::Result<()> {
    match products.get(&name) {
        Some(known) if *known != digest => anyhow::bail!("\"{name}\" is given with two digests"),
        _ => products.insert(&name, digest),
    };
    Ok(())
}

/// Why verifiers would not read the link.
fn refused(envelope: &Envelope) -> Option<String> {
    match Link::of(envelope, Profile::Strict) {
        Ok(reading) => reading.link.err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// The link in its container, signed.
fn seal(link: &Link, container: Container, key: &SecretKey) -> anyhow::Result<Envelope> {
    let value = link.to_value();
    let sealed = match container {
        Container::Dsse => {
            Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, json::to_text(&value).into_bytes(), &[key]).context("sign")?
        }
        Container::Metablock => Envelope::sign_metablock(value, &[key]).context("sign")?,
    };
    Ok(sealed)
}

/// As `in-toto-run` writes them when streams are not recorded; output may hold secrets, so it never goes into a link (store §5.3).
fn byproducts(outcome: &command::Outcome) -> Value {
    Value::Object(vec![
        ("return-value".to_owned(), Value::Number(outcome.return_value.to_string())),
        ("stderr".to_owned(), Value::String(String::new())),
        ("stdout".to_owned(), Value::String(String::new())),
    ])
}

/// The file name other in-toto tools look for: the step and the first eight characters of the key id.
pub fn link_file_name(step: &str, key: &SecretKey) -> String {
    let id: String = key.public().id().chars().take(8).collect();
    format!("{step}.{id}.link")
}

#[cfg(test)]
mod tests;
