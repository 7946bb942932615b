//! OCI image-spec documents: descriptor, manifest, index, and the media types we meet.
//!
//! What a document means must not depend on who reads it. container runtimes are written in Go, whose JSON decoder folds the
//! case of member names and takes the last of several; ours refuses both, and refuses a document that could be read as two
//! kinds (CVE-2021-41190).

use crate::{
    digest::Digest,
    json::{self, Value},
    reason::{Fault, Reason},
};
use std::collections::BTreeMap;

/// Media types, as written on the wire.
pub mod media {
    /// An OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// Docker's manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The empty config of an artifact: the two bytes `{}`.
    pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// A DSSE envelope.
    pub const DSSE: &str = "application/vnd.dsse.envelope.v1+json";
    /// in-toto's older container of signed metadata.
    pub const METABLOCK: &str = "application/vnd.in-toto.metablock.v1+json";
    /// artifactType of an evidence set (design §12).
    pub const EVIDENCE: &str = "application/vnd.in-toto+json";
    /// What a request for a manifest accepts.
    pub const ACCEPT_DOCUMENT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
         application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

    /// Whether the media type, parameters aside, is a manifest.
    pub fn is_manifest(media_type: &str) -> bool {
        matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
    }
    /// Whether the media type is an index.
    pub fn is_index(media_type: &str) -> bool {
        matches!(media_type, OCI_INDEX | DOCKER_LIST)
    }
}

/// What a manifest or index may cost (security §2.D8: 4 MiB).
pub const LIMITS: json::Limits =
    json::Limits { bytes_max: DOCUMENT_BYTES_MAX, depth_max: 64, nodes_max: 200_000, nul: false };
/// Bytes of a manifest or index (security §2.D8).
pub const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// The annotation by which an entry of a layout directory's index.json names its image: a tag, or a whole reference.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Where a layout directory keeps a blob (image-spec, "Image Layout"): `blobs/sha256/<hex>`.
pub fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// The tag that lists an image's referrers where the API is missing (distribution-spec, "Referrers Tag Schema"): at most 64 of the hex.
pub fn referrers_tag(image: &Digest) -> String {
    let hex: String = image.hex().chars().take(64).collect();
    format!("{}-{hex}", image.algorithm().name())
}

/// A pointer to content: image-spec, descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What the content says it is.
    pub media_type: String,
    /// What the content hashes to.
    pub digest: Digest,
    /// Bytes of the content.
    pub size: u64,
    /// Of an artifact's manifest; a hint.
    pub artifact_type: Option<String>,
    /// Hints for people; nothing here is trusted.
    pub annotations: BTreeMap<String, String>,
    /// `os/architecture`, of an index entry.
    pub platform: Option<String>,
}

/// An image manifest, or the manifest of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// As in the body, else as the one who sent it said, else OCI's.
    pub media_type: String,
    /// What kind of artifact it is; a hint.
    pub artifact_type: Option<String>,
    /// The config's descriptor.
    pub config: Descriptor,
    /// The layers' descriptors, in order.
    pub layers: Vec<Descriptor>,
    /// What the artifact refers to.
    pub subject: Option<Descriptor>,
    /// Hints for people.
    pub annotations: BTreeMap<String, String>,
}

/// An index: manifests for several platforms, or referrers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// As in the body, else as the one who sent it said, else OCI's.
    pub media_type: String,
    /// Its entries, in order.
    pub manifests: Vec<Descriptor>,
    /// Hints for people.
    pub annotations: BTreeMap<String, String>,
}

/// What stands behind a digest of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are manifests, and there are few of either")]
pub enum Document {
    /// One image, or an artifact.
    Manifest(Manifest),
    /// Several.
    Index(Index),
}

impl Document {
    /// Strict: a document with both `manifests` and `layers` is refused (CVE-2021-41190), and `mediaType` in the body must equal the
    /// Content-Type where both are there. ≤ 4 MiB. Error: `registry_unavailable` (a reply that is no answer).
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, Fault> {
        read(bytes, content_type).map_err(|what| Fault::new(Reason::RegistryUnavailable, what))
    }

    /// Its media type.
    pub fn media_type(&self) -> &str {
        match self {
            Document::Manifest(manifest) => &manifest.media_type,
            Document::Index(index) => &index.media_type,
        }
    }
}

fn read(bytes: &[u8], content_type: Option<&str>) -> Result<Document, String> {
    let value = json::parse(bytes, &LIMITS).map_err(|error| format!("the manifest is not strict JSON: {error}"))?;
    known_members(&value, "the manifest", DOCUMENT_MEMBERS)?;
    match value.get("schemaVersion").and_then(Value::as_u64) {
        Some(2) => {}
        _ => return Err("the manifest has no schemaVersion 2".into()),
    }
    let said = content_type.map(without_parameters).filter(|text| !text.is_empty());
    let written = optional_text(&value, "mediaType", "the manifest")?;
    if let (Some(said), Some(written)) = (&said, &written)
        && said != written
    {
        return Err(format!("the manifest says it is {written}, and was sent as {said}"));
    }
    let has_layers = value.get("layers").is_some() || value.get("config").is_some();
    let has_manifests = value.get("manifests").is_some();
    if has_layers && has_manifests {
        // CVE-2021-41190: one reader would run the manifest's layers, another the index's entries.
        return Err("the manifest has the members of an index too".into());
    }
    match (written.or(said), has_manifests) {
        (Some(media_type), true) if media::is_index(&media_type) => index(&value, media_type),
        (Some(media_type), false) if media::is_manifest(&media_type) => manifest(&value, media_type),
        (None, true) => index(&value, media::OCI_INDEX.into()),
        (None, false) => manifest(&value, media::OCI_MANIFEST.into()),
        (Some(media_type), _) => Err(format!("{media_type:?} is not the media type of such a manifest")),
    }
}

fn manifest(value: &Value, media_type: String) -> Result<Document, String> {
    let config = value.get("config").ok_or("the manifest has no config")?;
    Ok(Document::Manifest(Manifest {
        media_type,
        artifact_type: optional_text(value, "artifactType", "the manifest")?,
        config: descriptor(config, "config")?,
        layers: descriptors(value, "layers")?,
        subject: match value.get("subject") {
            None | Some(Value::Null) => None,
            Some(subject) => Some(descriptor(subject, "subject")?),
        },
        annotations: annotations(value, "the manifest")?,
    }))
}

fn index(value: &Value, media_type: String) -> Result<Document, String> {
    Ok(Document::Index(Index {
        media_type,
        manifests: descriptors(value, "manifests")?,
        annotations: annotations(value, "the index")?,
    }))
}

fn descriptors(value: &Value, member: &str) -> Result<Vec<Descriptor>, String> {
    match value.get(member) {
        // Go writes an empty list as null.
        Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(entries)) => entries.iter().map(|entry| descriptor(entry, member)).collect(),
        _ => Err(format!("the manifest has no list {member}")),
    }
}

fn descriptor(value: &Value, place: &str) -> Result<Descriptor, String> {
    known_members(value, place, DESCRIPTOR_MEMBERS)?;
    let digest = required_text(value, "digest", place)?;
    let platform = match value.get("platform") {
        None | Some(Value::Null) => None,
        Some(platform) => {
            known_members(platform, "platform", PLATFORM_MEMBERS)?;
            let os = required_text(platform, "os", "platform")?;
            Some(format!("{os}/{}", required_text(platform, "architecture", "platform")?))
        }
    };
    Ok(Descriptor {
        media_type: required_text(value, "mediaType", place)?.into(),
        digest: digest.parse().map_err(|error| format!("{place}: {error}"))?,
        size: value.get("size").and_then(Value::as_u64).ok_or_else(|| format!("{place} has no size in bytes"))?,
        artifact_type: optional_text(value, "artifactType", place)?,
        annotations: annotations(value, place)?,
        platform,
    })
}

fn annotations(value: &Value, place: &str) -> Result<BTreeMap<String, String>, String> {
    match value.get("annotations") {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(members)) => members
            .iter()
            .map(|(name, text)| match text.as_str() {
                Some(text) => Ok((name.clone(), text.to_owned())),
                None => Err(format!("{place}: annotation {name:?} is no text")),
            })
            .collect(),
        Some(_) => Err(format!("{place}: annotations are no object")),
    }
}

fn required_text<'v>(value: &'v Value, member: &str, place: &str) -> Result<&'v str, String> {
    value.get(member).and_then(Value::as_str).ok_or_else(|| format!("{place} has no text {member}"))
}

/// Empty is absent, as Go writes and reads it.
fn optional_text(value: &Value, member: &str, place: &str) -> Result<Option<String>, String> {
    match value.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{place}: {member} is no text")),
    }
}

/// `application/x; charset=utf-8` without what follows the semicolon.
fn without_parameters(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

const DOCUMENT_MEMBERS: &[&str] =
    &["schemaversion", "mediatype", "artifacttype", "config", "layers", "manifests", "subject", "annotations"];
const DESCRIPTOR_MEMBERS: &[&str] =
    &["mediatype", "digest", "size", "urls", "annotations", "data", "artifacttype", "platform"];
const PLATFORM_MEMBERS: &[&str] = &["architecture", "os", "os.version", "os.features", "variant", "features"];

/// An object in which no member is a known one in another spelling: Go's decoder would take it for the known one (security §2.E).
fn known_members(value: &Value, place: &str, known: &[&str]) -> Result<(), String> {
    let members = value.as_object().ok_or_else(|| format!("{place} is no object"))?;
    let mut seen = Vec::new();
    for (name, _) in members {
        let folded = folded(name);
        if known.contains(&folded.as_str()) {
            if seen.contains(&folded) || !exact(name, &folded) {
                return Err(format!("{place}: member {name:?} is a known one in another spelling"));
            }
            seen.push(folded);
        }
    }
    Ok(())
}

/// Whether the member is spelled as the specification spells it.
fn exact(name: &str, folded: &str) -> bool {
    match folded {
        "schemaversion" => name == "schemaVersion",
        "mediatype" => name == "mediaType",
        "artifacttype" => name == "artifactType",
        _ => name == folded,
    }
}

/// Go folds ASCII case, and the two letters of Unicode that fold to ASCII ones: long s and the Kelvin sign.
fn folded(name: &str) -> String {
    name.chars()
        .map(|letter| match letter {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";

    fn pointer(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{HEX}","size":7}}"#)
    }
    fn image(extra: &str) -> String {
        let config = pointer("application/vnd.oci.image.config.v1+json");
        let layer = pointer("application/vnd.oci.image.layer.v1.tar+gzip");
        format!(r#"{{"schemaVersion":2{extra},"config":{config},"layers":[{layer}]}}"#)
    }
    fn list(entry: &str) -> String {
        format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{entry}]}}"#, media::OCI_INDEX)
    }
    fn refused(text: &str, content_type: Option<&str>, part: &str) {
        let fault = Document::parse(text.as_bytes(), content_type).expect_err(text);
        assert_eq!(fault.reason, Reason::RegistryUnavailable);
        assert!(fault.message.contains(part), "{}", fault.message);
    }

    #[test]
    fn a_manifest_with_its_media_type_is_read() {
        let text = image(&format!(r#","mediaType":"{}","artifactType":"a/b""#, media::OCI_MANIFEST));
        let Ok(Document::Manifest(manifest)) = Document::parse(text.as_bytes(), Some(media::OCI_MANIFEST)) else {
            panic!("not read: {text}")
        };
        assert_eq!(manifest.layers.len(), 1);
        assert_eq!(manifest.config.digest.hex(), HEX);
        assert_eq!(manifest.config.size, 7);
        assert_eq!(manifest.artifact_type.as_deref(), Some("a/b"));
        assert_eq!(manifest.subject, None);
    }

    #[test]
    fn without_a_media_type_the_senders_word_or_the_shape_decides() {
        let text = image("");
        assert_eq!(Document::parse(text.as_bytes(), None).unwrap().media_type(), media::OCI_MANIFEST);
        let sent = format!("{}; charset=utf-8", media::DOCKER_MANIFEST);
        assert_eq!(Document::parse(text.as_bytes(), Some(&sent)).unwrap().media_type(), media::DOCKER_MANIFEST);
        refused(&text, Some(media::OCI_INDEX), "not the media type of such a manifest");
    }

    #[test]
    fn a_body_that_contradicts_its_content_type_is_refused() {
        let text = image(&format!(r#","mediaType":"{}""#, media::OCI_MANIFEST));
        refused(&text, Some(media::DOCKER_MANIFEST), "was sent as");
        refused(&text, Some("text/html"), "was sent as");
    }

    #[test]
    fn a_document_of_two_kinds_is_refused() {
        refused(&image(r#","manifests":[]"#), None, "members of an index too");
        let only_config = format!(r#"{{"schemaVersion":2,"manifests":[],"config":{}}}"#, pointer("a/b"));
        refused(&only_config, None, "members of an index too");
    }

    #[test]
    fn an_index_is_read_with_its_platforms() {
        let entry = pointer(media::OCI_MANIFEST).replace(
            "\"size\":7",
            "\"size\":7,\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"}",
        );
        let Ok(Document::Index(index)) = Document::parse(list(&entry).as_bytes(), None) else { panic!("not read") };
        assert_eq!(index.manifests[0].platform.as_deref(), Some("linux/arm64"));
        refused(&list(&entry).replace("\"os\":\"linux\",", ""), None, "platform has no text os");
    }

    #[test]
    fn schema_1_is_refused() {
        refused(&image("").replace("\"schemaVersion\":2", "\"schemaVersion\":1"), None, "schemaVersion 2");
        refused(&image("").replace("\"schemaVersion\":2,", ""), None, "schemaVersion 2");
    }

    #[test]
    fn a_known_member_in_another_spelling_is_refused() {
        refused(&image(r#","Layers":[]"#), None, "another spelling");
        refused(&image(",\"layer\u{17f}\":[]"), None, "another spelling");
        refused(&image("").replace("\"digest\"", "\"DIGEST\""), None, "another spelling");
        assert!(Document::parse(image(r#","x-layers":[]"#).as_bytes(), None).is_ok());
    }

    #[test]
    fn a_broken_descriptor_is_refused() {
        refused(&image("").replace("sha256:", "md5:"), None, "is not a digest");
        refused(&image("").replace("\"size\":7", "\"size\":-7"), None, "no size in bytes");
        refused(&image("").replace("\"size\":7", "\"size\":\"7\""), None, "no size in bytes");
        refused(&image(r#","subject":{}"#), None, "subject has no text digest");
        refused(&image(r#","annotations":{"a":1}"#), None, "annotation \"a\" is no text");
    }

    #[test]
    fn what_is_no_object_or_too_large_is_refused() {
        refused("[]", None, "is no object");
        refused("", None, "not strict JSON");
        let padded = image(&format!(r#","x":"{}""#, "y".repeat(DOCUMENT_BYTES_MAX)));
        refused(&padded, None, "not strict JSON");
    }
}
