//! Images among the products: `oci:<registry>/<repository>` and the digest of the manifest or index (design §5).

use crate::{
    digest::Digest,
    file,
    image::artifact_name,
    json::{self, Limits, Value},
    oci::REF_NAME,
    reference::Reference,
    source::layout_dir::LayoutDir,
};
use anyhow::Context as _;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

mod blobs;

/// Buildkit and containerd write the whole reference here, and often a bare tag above.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// Metadata and digest files are small; what is larger is something else.
const FILE_BYTES_MAX: usize = 4 << 20;

/// What `--image` and its kin said.
#[derive(Clone, Debug, Default)]
pub struct Images {
    references: Vec<Reference>,
    files: Vec<PathBuf>,
    /// Files with a configuration's digest, each of which an image of `files` must have.
    configs: Vec<PathBuf>,
    /// Whether layout directories are recorded blob by blob too.
    blobs: bool,
}

/// What a file says about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    digest: Digest,
    names: Vec<Reference>,
}

impl Images {
    /// Checked before the command runs: a reference without a digest needs the one file that will hold it.
    pub fn new(references: &[String], files: &[PathBuf]) -> anyhow::Result<Self> {
        let references = references
            .iter()
            .map(|text| text.parse::<Reference>().map_err(anyhow::Error::new))
            .collect::<anyhow::Result<Vec<_>>>()?;
        if let Some(bare) = references.iter().find(|reference| reference.digest().is_none()) {
            anyhow::ensure!(
                files.len() == 1,
                "\"{bare}\" has no digest; write {}@sha256:…, or give one --image-from-file that holds it",
                bare.name()
            );
        }
        Ok(Images { references, files: files.to_vec(), ..Images::default() })
    }

    /// Every layout directory is recorded blob by blob too, as `blobs/sha256/<hex>` (design §5).
    pub fn with_blobs(mut self) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !self.files.is_empty(),
            "--image-blobs needs an --image-from-file: an OCI image layout directory"
        );
        self.blobs = true;
        Ok(self)
    }

    /// These `--iidfile`s must name the configuration of an image among the layout directories.
    ///
    /// The digest of a configuration cannot stand alone: pods name the digest of a manifest, and many manifests may have one
    /// configuration (other compressions, other annotations). A layout directory holds the manifest that ties the two.
    pub fn with_configs(mut self, files: &[PathBuf]) -> anyhow::Result<Self> {
        anyhow::ensure!(
            files.is_empty() || !self.files.is_empty(),
            "--iidfile holds the digest of the image's configuration, which no pod names; it needs the manifest beside it: \
             --image-from-file with an OCI image layout directory"
        );
        self.configs = files.to_vec();
        Ok(self)
    }

    /// The artifacts, read after the command ran; files that are relative are below `base`.
    pub fn resolve(&self, base: &Path) -> anyhow::Result<Vec<(String, Digest)>> {
        let mut artifacts: Vec<(String, Digest)> = Vec::new();
        let bare: Vec<&Reference> = self.references.iter().filter(|reference| reference.digest().is_none()).collect();
        for reference in &self.references {
            if let Some(digest) = reference.digest() {
                artifacts.push((artifact_name(&reference.name()), digest.clone()));
            }
        }
        let mut configs = BTreeSet::new();
        for file in &self.files {
            let path = base.join(file);
            let found = if path.is_dir() { oci_layout(&path) } else { read(&path) };
            let found = found.with_context(|| format!("\"{}\"", file.display()))?;
            if !path.is_dir() {
                agree(&bare, &found.names).with_context(|| format!("\"{}\"", file.display()))?;
            }
            let names: Vec<&Reference> = if bare.is_empty() { found.names.iter().collect() } else { bare.clone() };
            anyhow::ensure!(
                self.blobs || !names.is_empty(),
                "\"{}\" names no image; say which with --image",
                file.display()
            );
            artifacts.extend(names.into_iter().map(|name| (artifact_name(&name.name()), found.digest.clone())));
            if self.blobs || !self.configs.is_empty() {
                let image = blobs::Image::open(&path).with_context(|| format!("\"{}\"", file.display()))?;
                configs.extend(image.configs());
                if self.blobs {
                    artifacts.extend(image.artifacts()?);
                }
            }
        }
        for file in &self.configs {
            let found = read(&base.join(file)).with_context(|| format!("\"{}\"", file.display()))?;
            anyhow::ensure!(
                configs.contains(&found.digest),
                "no image of --image-from-file has the configuration {} of \"{}\"",
                found.digest,
                file.display()
            );
        }
        Ok(artifacts)
    }
}

/// What a file of the build names, and what `--image` says of the same digest. A layout directory is a copy, whose name may be any.
fn agree(said: &[&Reference], named: &[Reference]) -> anyhow::Result<()> {
    let strange = said.iter().find(|said| !named.iter().any(|named| named.name() == said.name()));
    match strange.filter(|_| !named.is_empty()) {
        None => Ok(()),
        Some(said) => {
            let named: Vec<String> = named.iter().map(Reference::name).collect();
            anyhow::bail!("it names {}, and --image says {}", named.join(", "), said.name())
        }
    }
}

/// Buildx's `--metadata-file`, or a digest alone (`--digestfile`, `--iidfile`).
fn read(path: &Path) -> anyhow::Result<Found> {
    let bytes = file::read(path, FILE_BYTES_MAX)?;
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => build_metadata(&bytes),
        _ => digest_file(&bytes),
    }
}

/// The first entry of `index.json`, whose bytes must be there and hash to it.
fn oci_layout(directory: &Path) -> anyhow::Result<Found> {
    let layout = LayoutDir::unmarked(directory)?;
    let digest = layout.first()?.digest.clone();
    layout.blob(&digest, FILE_BYTES_MAX as u64)?;
    let name = layout.name(IMAGE_NAME).or_else(|| layout.name(REF_NAME));
    Ok(Found { digest, names: name.into_iter().collect() })
}

/// `containerimage.digest`, and the comma-separated `image.name`.
fn build_metadata(bytes: &[u8]) -> anyhow::Result<Found> {
    let value = json::parse(bytes, &Limits::METADATA)?;
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let digest = text("containerimage.digest").context("it has no \"containerimage.digest\"")?.parse()?;
    let names = text("image.name").unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    let names =
        names.map(|name| name.parse::<Reference>().map_err(anyhow::Error::new)).collect::<anyhow::Result<_>>()?;
    Ok(Found { digest, names })
}

/// One line: a digest, or a reference with one.
fn digest_file(bytes: &[u8]) -> anyhow::Result<Found> {
    let text = std::str::from_utf8(bytes).context("it is not text")?.trim();
    if let Ok(digest) = text.parse() {
        return Ok(Found { digest, names: Vec::new() });
    }
    let reference: Reference = text.parse().ok().context("it holds neither a digest nor a reference with one")?;
    let digest = reference.digest().cloned().context("its reference has no digest")?;
    Ok(Found { digest, names: vec![reference] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> Digest {
        Digest::sha256(b"manifest")
    }
    fn resolved(references: &[&str], file: Option<&str>) -> anyhow::Result<Vec<(String, Digest)>> {
        let directory = tempfile::tempdir()?;
        let files: Vec<PathBuf> = file.iter().map(|_| PathBuf::from("meta")).collect();
        if let Some(text) = file {
            std::fs::write(directory.path().join("meta"), text)?;
        }
        let references: Vec<String> = references.iter().map(|r| (*r).to_owned()).collect();
        Images::new(&references, &files)?.resolve(directory.path())
    }

    #[test]
    fn a_reference_carries_its_digest_or_a_file_does() {
        let expected = vec![("oci:registry.example.com/shop/api".to_owned(), digest())];
        let pinned = format!("registry.example.com/shop/api:1@{}", digest());
        assert_eq!(resolved(&[&pinned], None).unwrap(), expected);
        assert_eq!(resolved(&["registry.example.com/shop/api:1"], Some(&format!("{}\n", digest()))).unwrap(), expected);
        assert_eq!(resolved(&[], Some(&pinned)).unwrap(), expected);
        let metadata =
            format!(r#"{{"containerimage.digest":"{}","image.name":"registry.example.com/shop/api:1"}}"#, digest());
        assert_eq!(resolved(&[], Some(&metadata)).unwrap(), expected);
    }

    #[test]
    fn a_layout_directory_is_named_by_a_whole_reference_alone() {
        let directory = tempfile::tempdir().unwrap();
        let manifest = b"{}";
        let digest = Digest::sha256(manifest);
        let blob = directory.path().join(crate::oci::blob_path(&digest));
        std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
        std::fs::write(&blob, manifest).unwrap();
        let named = |annotations: serde_json::Value| {
            let media_type = crate::oci::media::OCI_MANIFEST;
            let entry = serde_json::json!({"mediaType": media_type, "digest": digest.to_string(), "size": 2, "annotations": annotations});
            let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry]});
            std::fs::write(directory.path().join("index.json"), index.to_string()).unwrap();
            Images::new(&[], &[PathBuf::from(".")]).unwrap().resolve(directory.path())
        };
        let whole = "registry.example.com/shop/api:1";
        let expected = vec![("oci:registry.example.com/shop/api".to_owned(), digest.clone())];
        assert_eq!(named(serde_json::json!({REF_NAME: whole})).unwrap(), expected);
        assert_eq!(named(serde_json::json!({REF_NAME: "1", IMAGE_NAME: whole})).unwrap(), expected);
        for name in ["1", "shop/api:1"] {
            let error = format!("{:#}", named(serde_json::json!({REF_NAME: name})).unwrap_err());
            assert!(error.contains("names no image"), "{name}: {error}");
        }
        std::fs::write(&blob, b"[]").unwrap();
        let error = format!("{:#}", named(serde_json::json!({REF_NAME: whole})).unwrap_err());
        assert!(error.contains("does not hash to its name"), "{error}");
    }

    #[test]
    fn a_file_and_an_image_that_contradict_each_other_are_refused() {
        let metadata = |names: &str| format!(r#"{{"containerimage.digest":"{}","image.name":"{names}"}}"#, digest());
        let api = "registry.example.com/shop/api";
        let expected = vec![(format!("oci:{api}"), digest())];
        for file in
            [metadata("registry.example.com/shop/api:2"), metadata("x/y:1,registry.example.com/shop/api"), metadata("")]
        {
            assert_eq!(resolved(&[api], Some(&file)).unwrap(), expected, "{file}");
        }
        for file in [metadata("registry.example.com/shop/web:1"), format!("registry.example.com/shop/web@{}", digest())]
        {
            let error = format!("{:#}", resolved(&[api], Some(&file)).unwrap_err());
            assert!(
                error
                    .contains("it names registry.example.com/shop/web, and --image says registry.example.com/shop/api"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for (references, file, why) in [
            (vec!["registry.example.com/shop/api:1"], None, "has no digest"),
            (vec![], Some(digest().to_string()), "names no image"),
            (vec![], Some("registry.example.com/shop/api:1".to_owned()), "no digest"),
            (vec![], Some("{}".to_owned()), "containerimage.digest"),
            (vec![], Some("nonsense here".to_owned()), "neither a digest"),
        ] {
            let error = format!("{:#}", resolved(&references, file.as_deref()).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }
}
