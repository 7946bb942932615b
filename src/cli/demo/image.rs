//! A small writer of OCI image layouts (image-spec): one layer, one configuration, one manifest; and cosign's legacy signature beside it.

use crate::{
    cosign::{LEGACY_LAYER, LEGACY_SIGNATURE_ANNOTATION, LEGACY_TYPE},
    digest::Digest,
    key::SecretKey,
    oci::{REF_NAME, blob_path, media},
};
use anyhow::Context as _;
use base64::Engine as _;
use serde_json::{Value, json};
use std::path::Path;

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An OCI layout at `layout` whose one image holds the files of the directory `files`; the manifest's digest.
pub fn package(files: &Path, layout: &Path, name: &str) -> anyhow::Result<Digest> {
    create(layout)?;
    let tar = tar(files)?;
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Entrypoint": ["/app"] },
        "rootfs": { "type": "layers", "diff_ids": [Digest::sha256(&tar).to_string()] },
    });
    let config = blob(layout, config.to_string().as_bytes(), CONFIG)?;
    let layer = blob(layout, &tar, LAYER)?;
    manifest(layout, name, config, vec![layer])
}

/// An empty layout.
pub fn create(layout: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(layout.join("blobs/sha256"))?;
    std::fs::write(layout.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let index = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [] });
    Ok(std::fs::write(layout.join("index.json"), index.to_string())?)
}

/// Copies every blob and every entry into another layout: a push.
pub fn push(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(from.join("blobs/sha256"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join("blobs/sha256").join(entry.file_name()))?;
    }
    let entries = read(&from.join("index.json"))?["manifests"].as_array().cloned().unwrap_or_default();
    entries.into_iter().try_for_each(|entry| list(to, entry))
}

/// cosign's signature of an image as it lay in a registry before bundles: a manifest under the tag `sha256-<hex>.sig` of `beside`, whose
/// layer is the signed payload (signatures §2.1). An honest one lies beside the image it is about.
pub fn sign(layout: &Path, repository: &str, image: &Digest, beside: &Digest, key: &SecretKey) -> anyhow::Result<()> {
    let payload = json!({
        "critical": {
            "identity": { "docker-reference": repository },
            "image": { "docker-manifest-digest": image.to_string() },
            "type": LEGACY_TYPE,
        },
        "optional": null,
    })
    .to_string();
    let signature = base64::engine::general_purpose::STANDARD.encode(key.sign(payload.as_bytes())?);
    let mut layer = blob(layout, payload.as_bytes(), LEGACY_LAYER)?;
    layer["annotations"] = json!({ LEGACY_SIGNATURE_ANNOTATION: signature });
    let config = json!({ "architecture": "", "os": "", "config": {}, "rootfs": { "type": "layers", "diff_ids": [] } });
    let config = blob(layout, config.to_string().as_bytes(), CONFIG)?;
    manifest(layout, &format!("{repository}:sha256-{}.sig", beside.hex()), config, vec![layer]).map(drop)
}

/// Writes a manifest and lists it under the name.
fn manifest(layout: &Path, name: &str, config: Value, layers: Vec<Value>) -> anyhow::Result<Digest> {
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": layers }).to_string();
    let mut entry = blob(layout, manifest.as_bytes(), media::OCI_MANIFEST)?;
    entry["annotations"] = json!({ REF_NAME: name });
    list(layout, entry)?;
    Ok(Digest::sha256(manifest.as_bytes()))
}

fn list(layout: &Path, entry: Value) -> anyhow::Result<()> {
    let path = layout.join("index.json");
    let mut index = read(&path)?;
    index["manifests"].as_array_mut().context("index.json lists no manifests")?.push(entry);
    Ok(std::fs::write(&path, index.to_string())?)
}

fn read(path: &Path) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Writes a blob; its descriptor.
fn blob(layout: &Path, bytes: &[u8], media_type: &str) -> anyhow::Result<Value> {
    let digest = Digest::sha256(bytes);
    std::fs::write(layout.join(blob_path(&digest)), bytes)?;
    Ok(json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() }))
}

/// The directory's files as a tar (POSIX ustar), the same bytes for the same files.
fn tar(directory: &Path) -> anyhow::Result<Vec<u8>> {
    let mut files: Vec<_> = std::fs::read_dir(directory)?.collect::<std::io::Result<_>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    let mut tar = Vec::new();
    for file in files {
        let name = file.file_name().into_string().ok().context("a name that is not UTF-8")?;
        let bytes = std::fs::read(file.path())?;
        tar.extend_from_slice(&tar_header(&name, bytes.len())?);
        tar.extend_from_slice(&bytes);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    Ok(tar)
}

fn tar_header(name: &str, size: usize) -> anyhow::Result<[u8; 512]> {
    anyhow::ensure!(name.len() < 100, "\"{name}\" is too long a name");
    let mut header = [0u8; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    for (at, number) in [(100, "0000755"), (108, "0000000"), (116, "0000000"), (136, "00000000000")] {
        put(at, number.as_bytes());
    }
    put(124, format!("{size:011o}").as_bytes());
    // The sum is taken with blanks in its own place.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Document;

    #[test]
    fn an_image_is_whole_and_the_same_for_the_same_files() {
        let directory = tempfile::tempdir().unwrap();
        let files = directory.path().join("files");
        std::fs::create_dir(&files).unwrap();
        std::fs::write(files.join("app"), "hello").unwrap();
        let one = package(&files, &directory.path().join("one"), "example.com/a:1").unwrap();
        let two = package(&files, &directory.path().join("two"), "example.com/a:1").unwrap();
        assert_eq!(one, two);
        let bytes = std::fs::read(directory.path().join("one/blobs/sha256").join(one.hex())).unwrap();
        let Document::Manifest(manifest) = Document::parse(&bytes, None).unwrap() else { panic!("a manifest") };
        let layer =
            std::fs::read(directory.path().join("one/blobs/sha256").join(manifest.layers[0].digest.hex())).unwrap();
        assert_eq!(layer.len() as u64, manifest.layers[0].size);
        assert_eq!(&layer[..3], b"app");
        assert_eq!(&layer[512..517], b"hello");
    }
}
