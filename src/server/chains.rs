//! The chains a store serves, from their documents: owners, images, and whose token may write or read what.

use super::auth::{
    Granted, Principal, Seat,
    issuer::{Issuer, Patience},
    oidc::Grant,
    token::Hash,
};
use crate::{
    file,
    key::KeyRing,
    reference::{ImagePattern, Reference},
    resource::{self, Chain, Identity, KeySource, RegistryConfigSpec, Resource, SpiffePattern},
    store::Kind,
};
use anyhow::{Context as _, bail};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    sync::Arc,
};

/// Files of a configuration directory.
const FILES_MAX: usize = 1_024;

/// Who may write.
#[derive(Clone, Debug)]
pub struct Writer {
    pub name: String,
    proof: Proof,
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

/// How a writer or a reader proves who it is.
#[derive(Clone, Debug)]
pub enum Proof {
    Token(Hash),
    /// A token of an issuer, by its index in `Chains::issuers`.
    Signed {
        issuer: usize,
        grant: Box<Grant>,
    },
    Spiffe(SpiffePattern),
}

/// Who may read.
#[derive(Clone, Debug)]
struct Reader {
    name: String,
    proof: Proof,
    /// Whether it reports verdicts for the cluster of its name.
    reports: bool,
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
    /// Images beside which evidence is published.
    publish: Vec<ImagePattern>,
    writers: Vec<Writer>,
    /// Empty: anybody may read.
    readers: Vec<Reader>,
    /// A link that verifies under a key no layout authorises is kept out of sight instead of refused.
    pub quarantine: bool,
}

impl ChainRules {
    /// The writer of this name.
    pub fn writer(&self, name: &str) -> Option<&Writer> {
        self.writers.iter().find(|writer| writer.name == name)
    }

    /// Whether a product `oci:<registry>/<repository>` is one of the chain's images.
    pub fn has_image(&self, name: &str) -> bool {
        name.parse::<Reference>().is_ok_and(|image| self.images.iter().any(|pattern| pattern.matches(&image)))
    }

    /// Whether its evidence is published at all.
    pub fn publishes(&self) -> bool {
        !self.publish.is_empty()
    }

    /// Whether evidence may be written beside this image: it is one of the chain's, and the documents name its host.
    pub fn publishes_to(&self, image: &Reference) -> bool {
        let named = |pattern: &&ImagePattern| pattern.host() == Some(image.registry());
        self.images.iter().any(|pattern| pattern.matches(image))
            && self.publish.iter().filter(named).any(|pattern| pattern.matches(image))
    }
}

/// Every chain, and the issuers whose tokens they take. A clone shares the issuers' keys.
#[derive(Clone, Debug, Default)]
pub struct Chains {
    chains: Vec<ChainRules>,
    issuers: Vec<Arc<Issuer>>,
    /// How registries are written to, by host.
    registries: BTreeMap<String, RegistryConfigSpec>,
}

impl Chains {
    /// Reads the documents of a file, or of every `*.yaml`, `*.yml` and `*.json` of a directory. Documents of other kinds than
    /// Chain, TrustRoot and RegistryConfig are checked and have no say here.
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
        Chains::with_patience(documents, Patience::DEFAULT)
    }

    /// As `new`, asking issuers for their keys more or less often.
    pub fn with_patience(documents: Vec<Resource>, patience: Patience) -> anyhow::Result<Self> {
        let mut roots = BTreeMap::new();
        let mut registries = BTreeMap::new();
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
                Resource::RegistryConfig(config) => {
                    let host = config.spec.host.clone();
                    if registries.insert(host.clone(), config.spec).is_some() {
                        bail!("two RegistryConfigs are about \"{host}\"");
                    }
                }
                _ => {}
            }
        }
        let mut chains: Vec<ChainRules> = Vec::new();
        let mut issuers = Issuers { known: Vec::new(), patience };
        for chain in &found {
            let name = &chain.metadata.name;
            if chains.iter().any(|known| known.name == *name) {
                bail!("two Chains are named \"{name}\"");
            }
            chains.push(rules(chain, &roots, &mut issuers).with_context(|| format!("Chain \"{name}\""))?);
        }
        if chains.is_empty() {
            bail!("the configuration has no Chain");
        }
        Ok(Chains { chains, issuers: issuers.known, registries })
    }

    /// The chains with their index.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &ChainRules)> {
        self.chains.iter().enumerate()
    }

    /// What the documents say of a registry, as image references name it.
    pub fn registry(&self, host: &str) -> Option<&RegistryConfigSpec> {
        self.registries.get(host)
    }

    /// A chain by its index.
    pub fn get(&self, index: usize) -> Option<&ChainRules> {
        self.chains.get(index)
    }

    /// The issuers whose tokens some chain takes.
    pub fn issuers(&self) -> &[Arc<Issuer>] {
        &self.issuers
    }

    /// Every writer and reader of every chain.
    pub fn seats(&self) -> impl Iterator<Item = Seat<'_>> {
        self.iter().flat_map(|(chain, rules)| {
            let writers = rules.writers.iter().enumerate().map(move |(index, writer)| Seat {
                chain,
                writer: Some(index),
                name: &writer.name,
                proof: &writer.proof,
                reports: false,
            });
            let readers = rules.readers.iter();
            writers.chain(readers.map(move |reader| Seat {
                chain,
                writer: None,
                name: &reader.name,
                proof: &reader.proof,
                reports: reader.reports,
            }))
        })
    }

    /// The writer a principal was found to be.
    pub fn writer(&self, granted: &Granted) -> Option<&Writer> {
        self.get(granted.chain)?.writers.get(granted.writer)
    }

    /// The chains a principal may read: those open to all, and those that name it.
    pub fn readable<'c>(&'c self, principal: &'c Principal) -> impl Iterator<Item = usize> + 'c {
        self.iter()
            .filter(|(index, rules)| rules.readers.is_empty() || principal.reads.contains(index))
            .map(|(index, _)| index)
    }
}

/// Issuers, each with its source of keys once.
struct Issuers {
    known: Vec<Arc<Issuer>>,
    patience: Patience,
}

impl Issuers {
    fn index(&mut self, url: &str, source: KeySource) -> anyhow::Result<usize> {
        if let Some(index) = self.known.iter().position(|issuer| issuer.url == url && issuer.source == source) {
            return Ok(index);
        }
        self.known.push(Arc::new(Issuer::new(url, source, self.patience)?));
        Ok(self.known.len() - 1)
    }

    fn proof(&mut self, identity: Identity<'_>) -> anyhow::Result<Proof> {
        Ok(match identity {
            Identity::Token(hash) => Proof::Token(Hash::parse(hash)?),
            Identity::Mtls(mtls) => Proof::Spiffe(mtls.spiffe.parse()?),
            Identity::Oidc(oidc) => Proof::Signed {
                issuer: self.index(&oidc.issuer, oidc.key_source())?,
                grant: Box::new(Grant::new(oidc)?),
            },
            Identity::Kubernetes(account) => Proof::Signed {
                issuer: self.index(&account.issuer, account.key_source())?,
                grant: Box::new(Grant::of_account(account)?),
            },
        })
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

fn rules(chain: &Chain, roots: &BTreeMap<String, KeyRing>, issuers: &mut Issuers) -> anyhow::Result<ChainRules> {
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
    let images = patterns("spec.images", &spec.images)?;
    let publish = match &spec.publish {
        None => Vec::new(),
        Some(publish) if publish.repositories.is_empty() => images.clone(),
        Some(publish) => patterns("spec.publish.repositories", &publish.repositories)?,
    };
    let mut writers = Vec::with_capacity(spec.writers.len());
    for writer in &spec.writers {
        let proof = writer.identity().map_err(anyhow::Error::from).and_then(|identity| issuers.proof(identity));
        let proof = proof.with_context(|| format!("writer \"{}\"", writer.name))?;
        let kinds = writer.kinds.iter().map(|kind| match kind {
            resource::RecordKind::Layout => Kind::Layout,
            resource::RecordKind::Link => Kind::Link,
            resource::RecordKind::Fact => Kind::Statement,
        });
        writers.push(Writer { name: writer.name.clone(), proof, steps: writer.steps.clone(), kinds: kinds.collect() });
    }
    let mut readers = Vec::with_capacity(spec.readers.len());
    for reader in &spec.readers {
        let proof = reader.identity().map_err(anyhow::Error::from).and_then(|identity| issuers.proof(identity));
        let proof = proof.with_context(|| format!("reader \"{}\"", reader.name))?;
        readers.push(Reader { name: reader.name.clone(), proof, reports: reader.reports });
    }
    Ok(ChainRules {
        name: chain.metadata.name.clone(),
        owners,
        threshold,
        facts: spec.facts.iter().cloned().collect(),
        images,
        publish,
        writers,
        readers,
        quarantine: spec.quarantine,
    })
}

fn patterns(field: &str, texts: &[String]) -> anyhow::Result<Vec<ImagePattern>> {
    texts.iter().map(|text| text.parse().with_context(|| format!("{field}: \"{text}\""))).collect()
}
