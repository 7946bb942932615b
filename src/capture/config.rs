//! `.tidewaiter.toml` of the working directory: which paths a step records, and nothing else.
//!
//! A checked-out tree may be hostile (security T-25), so it has no say in where a link goes, which key signs it and who is trusted: any
//! such field, any unknown one, and any path that leads out of the tree is an error. What it does say shows: the names that were
//! recorded are in the link for the layout's rules to judge, and the file's digest is among the facts.

use super::names;
use crate::{digest::Digest, file};
use anyhow::Context as _;
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

/// Its name in the working directory.
pub const FILE: &str = ".tidewaiter.toml";
const BYTES_MAX: usize = 64 << 10;

/// What the file may say, for the errors.
const MAY: &str = "it may name materials, products, excludes and lstrip alone, of all steps or of [step.NAME]; servers, keys and trust \
    never come from the working directory";

/// The file as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    all: Paths,
    steps: BTreeMap<String, Paths>,
    /// Of the file's bytes.
    pub digest: Option<Digest>,
}

/// What is recorded of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Paths {
    pub materials: Option<Vec<String>>,
    pub products: Option<Vec<String>>,
    pub excludes: Option<Vec<String>>,
    pub lstrip: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    // Not flattened: that would let unknown fields through.
    #[serde(default)]
    materials: Option<Vec<String>>,
    #[serde(default)]
    products: Option<Vec<String>>,
    #[serde(default)]
    excludes: Option<Vec<String>>,
    #[serde(default)]
    lstrip: Option<Vec<String>>,
    #[serde(default)]
    step: BTreeMap<String, Paths>,
}

impl Config {
    /// The file of a directory; nothing where there is none.
    ///
    /// # Errors
    /// It cannot be read, says what it may not, or names a path out of the tree.
    pub fn of(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(FILE);
        match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Config::default()),
            // An error would show what it leads to.
            Ok(metadata) => {
                anyhow::ensure!(metadata.is_file(), "\"{FILE}\" of the working directory is no regular file")
            }
            Err(_) => {}
        }
        Config::parse(&file::read_text(&path, BYTES_MAX)?)
            .with_context(|| format!("\"{FILE}\" of the working directory"))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let Document { materials, products, excludes, lstrip, step } = toml::from_str(text).context(MAY)?;
        let all = Paths { materials, products, excludes, lstrip };
        for paths in step.values().chain([&all]) {
            paths.materials.iter().chain(&paths.products).flatten().try_for_each(|path| stays_inside(path))?;
        }
        Ok(Config { all, steps: step, digest: Some(Digest::sha256(text.as_bytes())) })
    }

    /// A step's own words, and those for all steps where it has none.
    pub fn step(&self, name: &str) -> Paths {
        let Paths { materials, products, excludes, lstrip } = self.steps.get(name).cloned().unwrap_or_default();
        Paths {
            materials: materials.or_else(|| self.all.materials.clone()),
            products: products.or_else(|| self.all.products.clone()),
            excludes: excludes.or_else(|| self.all.excludes.clone()),
            lstrip: lstrip.or_else(|| self.all.lstrip.clone()),
        }
    }
}

impl Paths {
    /// With what the command line says: its paths in the place of the file's. What it names is never cut short by the file, so the
    /// file's excludes and prefixes hold for the file's own paths alone.
    pub fn under(self, flags: Paths) -> Paths {
        let by_hand = flags.materials.is_some() || flags.products.is_some();
        let kept = |own: Option<Vec<String>>| own.filter(|_| !by_hand);
        Paths {
            materials: flags.materials.or(self.materials),
            products: flags.products.or(self.products),
            excludes: flags.excludes.or_else(|| kept(self.excludes)),
            lstrip: flags.lstrip.or_else(|| kept(self.lstrip)),
        }
    }
}

fn stays_inside(path: &str) -> anyhow::Result<()> {
    // Whatever the scheme, what follows it is a path.
    let (_, plain) = names::split_scheme(path)?;
    let out = plain.starts_with('/') || plain.split('/').any(|part| part == "..");
    anyhow::ensure!(!out, "the path \"{}\" leads out of the working directory", path.escape_debug());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(texts: &[&str]) -> Option<Vec<String>> {
        Some(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn a_step_has_its_own_words() {
        let text = "excludes = [\"*.o\"]\nmaterials = [\"src\"]\n[step.build]\nmaterials = [\"src\", \"Makefile\"]\nproducts = [\"dist\"]\n";
        let config = Config::parse(text).unwrap();
        let build = Paths {
            materials: some(&["src", "Makefile"]),
            products: some(&["dist"]),
            excludes: some(&["*.o"]),
            lstrip: None,
        };
        assert_eq!(config.step("build"), build);
        assert_eq!(config.step("test").materials, some(&["src"]));
        assert_eq!(config.digest, Some(Digest::sha256(text.as_bytes())));
        assert_eq!(Config::of(tempfile::tempdir().unwrap().path()).unwrap(), Config::default());
    }

    #[test]
    fn what_the_command_line_names_is_not_cut_short_by_the_file() {
        let file = Paths {
            materials: some(&["src"]),
            products: some(&["dist"]),
            excludes: some(&["evil.c"]),
            lstrip: some(&["src/"]),
        };
        let flags = Paths { materials: some(&["."]), ..Paths::default() };
        let both = file.clone().under(flags);
        assert_eq!(both, Paths { materials: some(&["."]), products: some(&["dist"]), excludes: None, lstrip: None });
        assert_eq!(file.clone().under(Paths::default()), file);
        let excludes = Paths { excludes: some(&["*.o"]), ..Paths::default() };
        assert_eq!(file.clone().under(excludes).excludes, some(&["*.o"]));
    }

    #[test]
    fn servers_keys_trust_and_the_unknown_are_errors() {
        for text in [
            "store = \"https://evil.example.com\"",
            "key = \"k.pem\"",
            "trust = []",
            "chain = \"x\"",
            "[step.build]\nkey = \"k.pem\"",
            "[store]\nurl = \"x\"",
            "ci-table = \"x\"",
        ] {
            let error = format!("{:#}", Config::parse(text).unwrap_err());
            assert!(error.contains("never come from the working directory"), "{text}: {error}");
        }
        for text in [
            "materials = [\"/etc\"]",
            "products = [\"../x\"]",
            "materials = [\"dir:/etc\"]",
            "products = [\"dir:../x\"]",
            "materials = [\"ostree:../x\"]",
            "[step.build]\nmaterials = [\"file:a/../../b\"]",
        ] {
            let error = format!("{:#}", Config::parse(text).unwrap_err());
            assert!(error.contains("leads out of"), "{text}: {error}");
        }
        assert!(Config::parse("materials = [\"dir:src\", \"file:a\"]").is_ok());
        assert!(Config::parse("materials = 1").is_err());
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join(FILE)).unwrap();
        assert!(Config::of(directory.path()).unwrap_err().to_string().contains("no regular file"));
    }
}
