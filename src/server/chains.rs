//! The chains a store serves, from their documents: owners, images, and whose token may write or read what.

use crate::{
    digest::Digest,
    file,
    key::KeyRing,
    reference::{ImagePattern, Reference},
    resource::{self, Chain, Resource},
    store::Kind,
};
use anyhow::{Context as _, bail};
use http::{HeaderMap, header};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};
use subtle::ConstantTimeEq as _;

/// A token longer than this is nobody's.
const TOKEN_BYTES_MAX: usize = 4 << 10;
/// Files of a configuration directory.
const FILES_MAX: usize = 1_024;

/// Who may write.
#[derive(Clone, Debug)]
pub struct Writer {
    pub name: String,
    token: Token,
    steps: Vec<String>,
    kinds: Vec<Kind>,
}

impl Writer {
    /// Whether it may write records of this kind at all.
    pub fn may_write(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Whether it may write records of this kind and step.
    pub fn may_write_step(&self, kind: Kind, step: &str) -> bool {
        self.may_write(kind) && self.steps.iter().any(|allowed| allowed == "*" || allowed == step)
    }
}

/// One chain's rules.
#[derive(Clone, Debug)]
pub struct ChainRules {
    pub name: String,
    pub owners: KeyRing,
    /// Distinct owners that must have signed a layout.
    pub threshold: usize,
    /// Facts its records are found by, beside those of every store.
    pub facts: BTreeSet<String>,
    images: Vec<ImagePattern>,
    writers: Vec<Writer>,
    /// Empty: anybody may read.
    readers: Vec<Reader>,
}

/// Who may read.
#[derive(Clone, Debug)]
struct Reader {
    name: String,
    token: Token,
    /// Whether it reports verdicts for the cluster of its name.
    reports: bool,
}

impl ChainRules {
    /// Whether a product `oci:<registry>/<repository>` is one of the chain's images.
    pub fn has_image(&self, name: &str) -> bool {
        name.parse::<Reference>().is_ok_and(|image| self.images.iter().any(|pattern| pattern.matches(&image)))
    }
}

/// SHA-256 of a bearer token.
type Token = [u8; 32];

/// Every chain.
#[derive(Clone, Debug, Default)]
pub struct Chains {
    chains: Vec<ChainRules>,
}

/// Whose token a request brought: writers as (chain, writer), and chains it reads by its token.
#[derive(Clone, Debug, Default)]
pub struct Principal<'c> {
    pub writers: Vec<(usize, &'c Writer)>,
    reads: Vec<usize>,
    /// A token came with the request.
    token: bool,
}

impl Principal<'_> {
    /// A token came that no document names.
    pub fn is_stranger(&self) -> bool {
        self.token && self.writers.is_empty() && self.reads.is_empty()
    }

    /// A token came.
    pub fn has_token(&self) -> bool {
        self.token
    }
}

impl Chains {
    /// Reads the documents of a file, or of every `*.yaml`, `*.yml` and `*.json` of a directory. Documents of other kinds than
    /// Chain and TrustRoot are checked and have no say here.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let mut documents = Vec::new();
        for path in files(path)? {
            let name = path.display().to_string();
            let text = file::read_text(&path, resource::TEXT_BYTES_MAX)?;
            documents.extend(parse(&name, &text)?);
        }
        Chains::new(documents)
    }

    /// The chains of the documents of one text.
    pub fn parse(name: &str, text: &str) -> anyhow::Result<Self> {
        Chains::new(parse(name, text)?)
    }

    /// The chains among these documents, with the trust roots they name.
    pub fn new(documents: Vec<Resource>) -> anyhow::Result<Self> {
        let mut roots = BTreeMap::new();
        let mut found = Vec::new();
        for document in documents {
            match document {
                Resource::TrustRoot(root) => {
                    let ring = root.spec.key_ring().with_context(|| format!("TrustRoot \"{}\"", root.metadata.name))?;
                    if roots.insert(root.metadata.name.clone(), ring).is_some() {
                        bail!("two TrustRoots are named \"{}\"", root.metadata.name);
                    }
                }
                Resource::Chain(chain) => found.push(chain),
                _ => {}
            }
        }
        let mut chains: Vec<ChainRules> = Vec::new();
        for chain in &found {
            let name = &chain.metadata.name;
            if chains.iter().any(|known| known.name == *name) {
                bail!("two Chains are named \"{name}\"");
            }
            chains.push(rules(chain, &roots).with_context(|| format!("Chain \"{name}\""))?);
        }
        if chains.is_empty() {
            bail!("the configuration has no Chain");
        }
        Ok(Chains { chains })
    }

    /// The chains with their index.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &ChainRules)> {
        self.chains.iter().enumerate()
    }

    /// A chain by its index.
    pub fn get(&self, index: usize) -> Option<&ChainRules> {
        self.chains.get(index)
    }

    /// Whose request this is, by its bearer token. Every hash is compared, each in constant time. `chain`: only in this one.
    pub fn principal(&self, headers: &HeaderMap, chain: Option<&str>) -> Principal<'_> {
        let mut principal = Principal::default();
        let Some(value) = headers.get(header::AUTHORIZATION) else { return principal };
        principal.token = true;
        let Some(token) = bearer(value.as_bytes()) else { return principal };
        let token = hash(token);
        for (index, rules) in self.iter().filter(|(_, rules)| chain.is_none_or(|name| name == rules.name)) {
            for writer in &rules.writers {
                if bool::from(writer.token.ct_eq(&token)) {
                    principal.writers.push((index, writer));
                }
            }
            for reader in &rules.readers {
                if bool::from(reader.token.ct_eq(&token)) {
                    principal.reads.push(index);
                }
            }
        }
        principal
    }

    /// The clusters that a request's token reports for: the names of its readers that may.
    pub fn reports_for(&self, headers: &HeaderMap) -> BTreeSet<String> {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        let Some(token) = value.map(hash) else { return BTreeSet::new() };
        let readers = self.chains.iter().flat_map(|rules| &rules.readers).filter(|reader| reader.reports);
        readers.filter(|reader| bool::from(reader.token.ct_eq(&token))).map(|reader| reader.name.clone()).collect()
    }

    /// The chains a principal may read: those open to all, and those that name its token.
    pub fn readable<'c>(&'c self, principal: &'c Principal<'_>) -> impl Iterator<Item = usize> + 'c {
        self.iter()
            .filter(|(index, rules)| rules.readers.is_empty() || principal.reads.contains(index))
            .map(|(index, _)| index)
    }
}

fn parse(name: &str, text: &str) -> anyhow::Result<Vec<Resource>> {
    resource::parse(name, text).map_err(|errors| {
        let mut message = String::from("the configuration is in error");
        for error in errors {
            // Writing to a String does not fail.
            let _ = write!(message, "\n  {error}");
        }
        anyhow::Error::msg(message)
    })
}

fn files(path: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let what = || path.display().to_string();
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(what)? {
        let file = entry.with_context(what)?.path();
        let document = file.extension().is_some_and(|name| name == "yaml" || name == "yml" || name == "json");
        if document && file.is_file() {
            files.push(file);
        }
        if files.len() > FILES_MAX {
            bail!("{} has more than {FILES_MAX} documents", path.display());
        }
    }
    files.sort();
    Ok(files)
}

fn rules(chain: &Chain, roots: &BTreeMap<String, KeyRing>) -> anyhow::Result<ChainRules> {
    let spec = &chain.spec;
    let owners = roots
        .get(&spec.owners.trust)
        .with_context(|| format!("spec.owners.trust: there is no TrustRoot \"{}\"", spec.owners.trust))?
        .clone();
    let keys = owners.distinct();
    let threshold = match spec.owners.threshold {
        Some(threshold) => usize::try_from(threshold)?,
        None => keys,
    };
    if threshold == 0 || threshold > keys {
        bail!("spec.owners.threshold: {threshold} owners must sign, and \"{}\" has {keys} keys", spec.owners.trust);
    }
    let mut images = Vec::with_capacity(spec.images.len());
    for image in &spec.images {
        images.push(image.parse::<ImagePattern>().with_context(|| format!("spec.images: \"{image}\""))?);
    }
    let mut writers = Vec::with_capacity(spec.writers.len());
    for writer in &spec.writers {
        let token = token(writer.token_hash.as_deref()).with_context(|| format!("writer \"{}\"", writer.name))?;
        let kinds = writer.kinds.iter().map(|kind| match kind {
            resource::RecordKind::Layout => Kind::Layout,
            resource::RecordKind::Link => Kind::Link,
            resource::RecordKind::Fact => Kind::Statement,
        });
        writers.push(Writer { name: writer.name.clone(), token, steps: writer.steps.clone(), kinds: kinds.collect() });
    }
    let mut readers = Vec::with_capacity(spec.readers.len());
    for reader in &spec.readers {
        let token = token(reader.token_hash.as_deref()).with_context(|| format!("reader \"{}\"", reader.name))?;
        readers.push(Reader { name: reader.name.clone(), token, reports: reader.reports });
    }
    let facts = spec.facts.iter().cloned().collect();
    Ok(ChainRules { name: chain.metadata.name.clone(), owners, threshold, facts, images, writers, readers })
}

fn token(hash: Option<&str>) -> anyhow::Result<Token> {
    let digest: Digest = hash.context("has no tokenHash")?.parse()?;
    let bytes = hex::decode(digest.hex())?;
    bytes.try_into().map_err(|_| anyhow::anyhow!("tokenHash is not sha256"))
}

fn hash(token: &[u8]) -> Token {
    use sha2::Digest as _;
    sha2::Sha256::digest(token).into()
}

/// The token of `Authorization: Bearer …` (RFC 6750; the scheme in any case).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    let fits = scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty() && token.len() <= TOKEN_BYTES_MAX;
    fits.then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_one() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"Basic abcd"), None);
        assert_eq!(bearer(b"Bearer "), None);
        assert_eq!(bearer(b"Bear"), None);
        assert_eq!(bearer(&[b"Bearer ".as_slice(), &[b'x'; TOKEN_BYTES_MAX + 1]].concat()), None);
    }
}
