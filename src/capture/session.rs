//! `record start` … `record stop`: a step that is not one command (in-toto §1.15).
//!
//! Between the two lies a file, the link with its materials alone. It is signed, since whatever happens between start and stop can write
//! to it: what is not of our key, or not of this step, is refused. One thing a signature cannot tell is an earlier start of the same
//! step whose file was kept and put back; the digest that `start` prints tells it, when it is given to `stop`.

use super::{Container, Notes, Tree, cache::Known, image::Images, names, products, seal};
use crate::{
    digest::Digest,
    envelope::Envelope,
    file,
    intoto::{Artifacts, Link, Profile},
    json::{Limits, Value},
    key::{KeyRing, NamedKey, SecretKey},
    verify::quorum,
};
use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};

/// A step that is recorded in two halves.
pub struct Session<'a> {
    pub step: &'a str,
    pub key: &'a SecretKey,
    /// Where the file between the halves lies.
    pub directory: &'a Path,
    pub tree: &'a Tree,
    pub container: Container,
    pub notes: Notes<'a>,
}

/// What `start` left.
pub struct Started {
    /// By which `stop` can tell it from every other start.
    pub digest: Digest,
    pub warnings: Vec<String>,
}

/// What `stop` made.
pub struct Stopped {
    pub link: Link,
    pub envelope: Envelope,
    pub warnings: Vec<String>,
}

impl Session<'_> {
    /// `.STEP.<first 8 of the key id>.link-unfinished`, as in-toto-record calls it.
    pub fn path(&self) -> PathBuf {
        self.directory.join(format!(".{}-unfinished", super::link_file_name(self.step, self.key)))
    }

    /// Records the materials. An earlier start is left as it is unless `force` says otherwise.
    ///
    /// # Errors
    /// The step has been started already; the tree cannot be recorded; the record is larger than `stop` would read.
    pub fn start(&self, materials: &[String], force: bool) -> anyhow::Result<Started> {
        names::check_step(self.step)?;
        let path = self.path();
        let is_started =
            || format!("the step has been started already ({}); stop it, or start with --force", path.display());
        ensure!(force || !path.exists(), is_started());
        let recorded = self.tree.record(materials, &Known::default()).context("materials")?;
        let link = Link {
            name: self.step.to_owned(),
            command: Vec::new(),
            materials: recorded.artifacts,
            products: Artifacts::new(),
            byproducts: Value::Object(Vec::new()),
            environment: Value::Object(Vec::new()),
        };
        let container = if self.container == Container::Metablock { Container::Metablock } else { Container::Dsse };
        let envelope = seal::seal(&link, container, self.key)?;
        let bytes = envelope.to_bytes();
        Envelope::parse(&bytes).context("what was recorded could not be read at the stop")?;
        match force {
            true => file::write(&path, &bytes)?,
            // Two starts at once: one of them is the second.
            false => file::write_new(&path, &bytes, 0o666).with_context(is_started)?,
        }
        Ok(Started { digest: envelope.digest(), warnings: recorded.warnings })
    }

    /// Records the products, and makes the link. The file between the halves stays until [`Session::finish`].
    ///
    /// # Errors
    /// What `start` left is missing, altered, or of another step or key; `started`, where it is given, names another start; as
    /// [`super::run`].
    pub fn stop(&self, paths: &[String], images: &Images, started: Option<&Digest>) -> anyhow::Result<Stopped> {
        names::check_step(self.step)?;
        let materials = self.materials(started).with_context(|| format!("{}", self.path().display()))?;
        let (products, mut warnings) = products(self.tree, paths, &Known::default(), images, Path::new("."))?;
        let link = Link { products, ..materials };
        let link = self.notes.write(link, self.notes.facts.cloned(), &mut warnings)?;
        let envelope = seal::seal(&link, self.container, self.key)?;
        if let Some(why) = seal::refused(&envelope, self.container) {
            warnings.push(format!("verifiers will refuse this link: {why}"));
        }
        Ok(Stopped { link, envelope, warnings })
    }

    /// Takes the file between the halves away: the link is written.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn finish(&self) -> anyhow::Result<()> {
        let path = self.path();
        std::fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
    }

    /// The link that `start` signed.
    fn materials(&self, started: Option<&Digest>) -> anyhow::Result<Link> {
        let path = self.path();
        ensure!(path.exists(), "the step has not been started with this key here; see: tidewaiter record start");
        let envelope = Envelope::parse(&file::read(&path, Limits::METADATA.bytes_max)?).context("it is damaged")?;
        let us = KeyRing::new(vec![NamedKey { name: "ours".to_owned(), key: self.key.public().clone() }]);
        let is_ours = !quorum::signers(&envelope, &us, jiff::Timestamp::now()).is_empty();
        ensure!(is_ours, "it is not signed by this key: it was altered, or started by another");
        if let Some(started) = started {
            let found = envelope.digest();
            ensure!(found == *started, "it is not what was started: {found}, not {started}");
        }
        let link = Link::of(&envelope, Profile::Compat)?.link?;
        ensure!(link.name == self.step, "it is of the step \"{}\"", link.name.escape_debug());
        let is_unfinished = link.products.is_empty()
            && link.command.is_empty()
            && link.byproducts.as_object().is_some_and(<[_]>::is_empty);
        ensure!(is_unfinished, "it is a finished link");
        Ok(link)
    }
}
