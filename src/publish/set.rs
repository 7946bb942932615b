//! An evidence set, pure: one OCI artifact whose layers are the envelopes, bytes as they are (design §12).

use crate::{
    digest::Digest,
    envelope::{Content, Envelope},
    json::Value,
    oci::{Document, REF_NAME, media},
    source::oci::{BLOB_BYTES_MAX, TOTAL_BYTES_MAX},
};
use anyhow::{Context, bail, ensure};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Envelopes of one set; the reader takes more from several.
const ENVELOPES_MAX: usize = 512;
/// The empty config of an artifact (image-spec, "Guidance for an Empty Descriptor").
const EMPTY: &[u8] = b"{}";

/// The image's manifest or index.
#[derive(Clone, Debug)]
pub struct Subject {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
}

/// Everything that is written for one set.
#[derive(Clone, Debug)]
pub struct EvidenceSet {
    pub manifest: Vec<u8>,
    pub digest: Digest,
    layers: Vec<(Digest, Vec<u8>)>,
    empty: Digest,
}

// Members in the order of the struct: the same set is the same bytes whatever a JSON map does.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u8,
    media_type: &'a str,
    artifact_type: &'a str,
    config: Descriptor,
    layers: Vec<Descriptor>,
    subject: Descriptor,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    fn new(media_type: &str, digest: &Digest, size: usize) -> anyhow::Result<Self> {
        Ok(Descriptor {
            media_type: media_type.into(),
            digest: digest.to_string(),
            size: u64::try_from(size)?,
            artifact_type: None,
            annotations: BTreeMap::new(),
        })
    }
}

impl EvidenceSet {
    /// The envelopes in the order of their digests, each once: neither order nor repetition changes the set. Refuses what no
    /// reader of ours would take: no envelope, more than 4 MiB one or 32 MiB all.
    pub fn new(subject: &Subject, envelopes: &[Vec<u8>]) -> anyhow::Result<Self> {
        ensure!(!envelopes.is_empty(), "there is no envelope to publish");
        let mut layers = BTreeMap::new();
        for (at, bytes) in envelopes.iter().enumerate() {
            let layer = layer(bytes).with_context(|| format!("envelope {}", at + 1))?;
            layers.insert(Digest::sha256(bytes), (layer, bytes.clone()));
        }
        ensure!(layers.len() <= ENVELOPES_MAX, "{} envelopes are more than {ENVELOPES_MAX}", layers.len());
        let total: u64 = layers.values().map(|(layer, _)| layer.size).sum();
        ensure!(total <= TOTAL_BYTES_MAX, "the envelopes have {total} bytes, more than {TOTAL_BYTES_MAX}");
        let empty = Digest::sha256(EMPTY);
        let (descriptors, layers) = layers.into_iter().map(|(digest, (layer, bytes))| (layer, (digest, bytes))).unzip();
        let manifest = serde_json::to_vec(&Manifest {
            schema_version: 2,
            media_type: media::OCI_MANIFEST,
            artifact_type: media::EVIDENCE,
            config: Descriptor::new(media::OCI_EMPTY, &empty, EMPTY.len())?,
            layers: descriptors,
            subject: Descriptor { size: subject.size, ..Descriptor::new(&subject.media_type, &subject.digest, 0)? },
        })?;
        Ok(EvidenceSet { digest: Digest::sha256(&manifest), manifest, layers, empty })
    }

    /// Config and layers.
    pub fn blobs(&self) -> impl Iterator<Item = (&Digest, &[u8])> {
        std::iter::once((&self.empty, EMPTY))
            .chain(self.layers.iter().map(|(digest, bytes)| (digest, bytes.as_slice())))
    }

    /// The listing (the tag schema's index, or index.json) with this set in it; `None` when it is in it already. Entries of others
    /// stay as they are.
    pub fn listed_in(&self, listing: Option<&[u8]>) -> anyhow::Result<Option<Vec<u8>>> {
        let mut value = match listing {
            None => empty_index(),
            Some(bytes) => index_value(bytes)?,
        };
        let entry = Descriptor {
            artifact_type: Some(media::EVIDENCE.into()),
            ..Descriptor::new(media::OCI_MANIFEST, &self.digest, self.manifest.len())?
        };
        let entries = entries(&mut value)?;
        let mut seen = BTreeSet::new();
        let before = entries.len();
        // An entry twice in a listing is one referrer (it may be named twice in index.json, where names tell entries apart).
        entries.retain(|entry| seen.insert((text(entry, "/digest"), name_of(entry))));
        if seen.iter().any(|(digest, _)| *digest == entry.digest) {
            return Ok((entries.len() != before).then(|| serde_json::to_vec(&value)).transpose()?);
        }
        entries.push(serde_json::to_value(entry)?);
        Ok(Some(serde_json::to_vec(&value)?))
    }
}

/// The digest of the index.json entry with this name.
pub fn named_entry(index: &[u8], name: &str) -> anyhow::Result<Option<Digest>> {
    let Document::Index(index) = Document::parse(index, None)? else { bail!("index.json is no index") };
    let named = |entry: &&crate::oci::Descriptor| entry.annotations.get(REF_NAME).is_some_and(|found| found == name);
    Ok(index.manifests.iter().find(named).map(|entry| entry.digest.clone()))
}

/// index.json whose entry of this name is the listing; the only one of that name.
pub fn with_named_entry(index: &[u8], name: &str, listing: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut value = index_value(index)?;
    let entry = Descriptor {
        annotations: BTreeMap::from([(REF_NAME.to_owned(), name.to_owned())]),
        ..Descriptor::new(media::OCI_INDEX, &Digest::sha256(listing), listing.len())?
    };
    let entries = entries(&mut value)?;
    entries.retain(|entry| name_of(entry) != name);
    entries.push(serde_json::to_value(entry)?);
    Ok(serde_json::to_vec(&value)?)
}

/// A layer's descriptor, with hints for people: what it is, of which step, by which keys.
fn layer(bytes: &[u8]) -> anyhow::Result<Descriptor> {
    let size = u64::try_from(bytes.len())?;
    ensure!(size <= BLOB_BYTES_MAX, "has {size} bytes, more than the {BLOB_BYTES_MAX} that are read");
    let envelope = Envelope::parse(bytes).context("is no DSSE envelope and no Metablock")?;
    ensure!(!envelope.signatures.is_empty(), "is not signed");
    let media_type = match &envelope.content {
        Content::Dsse { .. } => media::DSSE,
        Content::Metablock { .. } => media::METABLOCK,
    };
    let mut layer = Descriptor::new(media_type, &Digest::sha256(bytes), bytes.len())?;
    let mut hint = |name: &str, text: &str| {
        let short: String = text.chars().filter(|letter| !letter.is_control()).take(256).collect();
        if !short.is_empty() {
            layer.annotations.insert(format!("tidewaiter.dev/{name}"), short);
        }
    };
    if let Ok(value) = envelope.value() {
        let member = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        match member("_type") {
            kind @ ("layout" | "link") => {
                hint("kind", kind);
                hint("step", member("name"));
            }
            _ => {
                hint("kind", if member("predicateType").is_empty() { "" } else { "statement" });
                hint("predicate-type", member("predicateType"));
            }
        }
    }
    let ids: Vec<_> = envelope.signatures.iter().filter_map(|signature| signature.keyid.as_deref()).collect();
    hint("key-id", &ids.join(","));
    Ok(layer)
}

fn empty_index() -> serde_json::Value {
    serde_json::json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [] })
}

/// An index that the strict parser takes, with every member it has.
fn index_value(bytes: &[u8]) -> anyhow::Result<serde_json::Value> {
    match Document::parse(bytes, None)? {
        Document::Index(_) => Ok(serde_json::from_slice(bytes)?),
        Document::Manifest(_) => bail!("a manifest is where the listing of referrers should be"),
    }
}

fn entries(index: &mut serde_json::Value) -> anyhow::Result<&mut Vec<serde_json::Value>> {
    let entries = index.get_mut("manifests").context("the index has no manifests")?;
    if entries.is_null() {
        *entries = serde_json::Value::Array(Vec::new());
    }
    entries.as_array_mut().context("the index's manifests are no list")
}

fn name_of(entry: &serde_json::Value) -> String {
    let annotations = entry.get("annotations");
    annotations.and_then(|all| all.get(REF_NAME)).and_then(|name| name.as_str()).unwrap_or_default().into()
}

fn text(entry: &serde_json::Value, pointer: &str) -> String {
    entry.pointer(pointer).and_then(|text| text.as_str()).unwrap_or_default().into()
}
