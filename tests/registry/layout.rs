//! An OCI layout directory answers like a registry, and is trusted as little.

use super::*;
use serde_json::{Value, json};
use std::fs;

struct Disk {
    directory: tempfile::TempDir,
    entries: Vec<Value>,
}

impl Disk {
    fn new() -> Disk {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
        Disk { directory, entries: Vec::new() }
    }
    fn file(&self, digest: &Digest) -> std::path::PathBuf {
        self.directory.path().join("blobs/sha256").join(digest.hex())
    }
    fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        fs::write(self.file(&digest), bytes).unwrap();
        digest
    }
    /// A manifest about a subject, or about nothing.
    fn manifest(&self, artifact_type: &str, subject: Option<&Digest>) -> (Digest, usize) {
        let config = self.blob(b"{}");
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": artifact_type,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config.to_string(), "size": 2}, "layers": [],
        });
        if let Some(subject) = subject {
            manifest["subject"] = json!({"mediaType": OCI_MANIFEST, "digest": subject.to_string(), "size": 1});
        }
        let bytes = manifest.to_string().into_bytes();
        (self.blob(&bytes), bytes.len())
    }
    fn entry(&mut self, kind: &str, (digest, size): &(Digest, usize), name: Option<&str>) {
        let mut entry = json!({"mediaType": kind, "digest": digest.to_string(), "size": size});
        if let Some(name) = name {
            entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        }
        self.entries.push(entry);
    }
    fn index(&self, bytes: &[u8]) {
        fs::write(self.directory.path().join("index.json"), bytes).unwrap();
    }
    fn reader(&self) -> Reader {
        if !self.directory.path().join("index.json").exists() {
            let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.entries});
            self.index(index.to_string().as_bytes());
        }
        let path = Some(self.directory.path().to_owned());
        let rules = HostConfig { host: "air.gap".into(), oci_layout: path, ..HostConfig::default() };
        Reader { registries: registries(vec![rules], Limits::default()), repository: repository("air.gap") }
    }
}

#[tokio::test]
async fn tags_are_found_by_full_name_path_or_alone() {
    let mut disk = Disk::new();
    let images = ["one", "two", "three"].map(|kind| disk.manifest(kind, None));
    disk.entry(OCI_MANIFEST, &images[0], Some("1"));
    disk.entry(OCI_MANIFEST, &images[1], Some("shop/api:2"));
    disk.entry(OCI_MANIFEST, &images[2], Some("air.gap/shop/api:1"));
    let reader = disk.reader();
    let at = async |path: &str, tag: &str| {
        let repository = Repository { path: path.into(), ..reader.repository.clone() };
        reader.registries.tag(&repository, tag, soon()).await.unwrap().map(|blob| blob.digest)
    };
    assert_eq!(at("shop/api", "1").await.as_ref(), Some(&images[2].0));
    assert_eq!(at("shop/web", "1").await.as_ref(), Some(&images[0].0));
    assert_eq!(at("shop/api", "2").await.as_ref(), Some(&images[1].0));
    assert_eq!(at("shop/web", "2").await, None);
    assert_eq!(at("shop/api", "3").await, None);
    assert_eq!(reader.registries.requests(), 0);
}

#[tokio::test]
async fn objects_are_found_by_digest_and_only_whole() {
    let mut disk = Disk::new();
    let image = disk.manifest("image", None);
    disk.entry(OCI_MANIFEST, &image, Some("1"));
    let child = disk.blob(b"a child, in no entry");
    let reader = disk.reader();
    let (all, whole) = (&reader.registries, &reader.repository);
    let found = all.manifest(whole, &image.0, soon()).await.unwrap().unwrap();
    assert_eq!((&found.digest, found.media_type.as_deref()), (&image.0, Some(OCI_MANIFEST)));
    assert!(all.blob(whole, &child, 100, soon()).await.unwrap().is_some());
    assert_eq!(all.blob(whole, &Digest::sha256(b"absent"), 100, soon()).await, Ok(None));
    refuses(all.blob(whole, &child, 3, soon()).await, Reason::RegistryUnavailable);

    fs::write(disk.file(&child), b"another child").unwrap();
    refuses(all.blob(whole, &child, 100, soon()).await, Reason::DigestMismatch);
    fs::write(disk.file(&image.0), b"{}").unwrap();
    refuses(all.manifest(whole, &image.0, soon()).await, Reason::DigestMismatch);
    refuses(all.tag(whole, "1", soon()).await, Reason::DigestMismatch);
    fs::remove_file(disk.file(&child)).unwrap();
    fs::create_dir(disk.file(&child)).unwrap();
    refuses(all.blob(whole, &child, 100, soon()).await, Reason::RegistryUnavailable);
}

#[tokio::test]
async fn referrers_are_found_by_subject_and_by_tag() {
    let mut disk = Disk::new();
    let (image, other) = (disk.manifest("image", None), disk.manifest("other", None));
    let by_subject = disk.manifest("application/vnd.in-toto+json", Some(&image.0));
    let by_tag = disk.manifest("signature", None);
    let stranger = disk.manifest("stranger", Some(&other.0));
    let listed = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        {"mediaType": OCI_MANIFEST, "digest": by_tag.0.to_string(), "size": by_tag.1},
        {"mediaType": OCI_MANIFEST, "digest": by_subject.0.to_string(), "size": by_subject.1},
    ]});
    let listed = listed.to_string().into_bytes();
    let index = (disk.blob(&listed), listed.len());
    for entry in [&image, &other, &by_subject, &stranger] {
        disk.entry(OCI_MANIFEST, entry, None);
    }
    disk.entry(OCI_INDEX, &index, Some(&format!("sha256-{}", image.0.hex())));
    let reader = disk.reader();
    let of = async |digest: &Digest| {
        let found = reader.registries.referrers(&reader.repository, digest, soon()).await.unwrap().unwrap();
        found.into_iter().map(|d| (d.digest, d.artifact_type)).collect::<Vec<_>>()
    };
    let found = of(&image.0).await;
    assert_eq!(found, [(by_subject.0, Some("application/vnd.in-toto+json".into())), (by_tag.0.clone(), None)]);
    assert_eq!(of(&by_tag.0).await, []);
}

/// The tag schema keeps 64 digits of the hex, whatever the algorithm.
#[tokio::test]
async fn referrers_of_a_longer_digest_are_found_by_its_shortened_tag() {
    let mut disk = Disk::new();
    let image: Digest = format!("sha512:{}{}", "a".repeat(64), "b".repeat(64)).parse().unwrap();
    let referrer = disk.manifest("signature", None);
    let listed = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        {"mediaType": OCI_MANIFEST, "digest": referrer.0.to_string(), "size": referrer.1},
    ]});
    let listed = listed.to_string().into_bytes();
    let index = (disk.blob(&listed), listed.len());
    disk.entry(OCI_INDEX, &index, Some(&format!("sha512-{}", "a".repeat(64))));
    let reader = disk.reader();
    let found = reader.registries.referrers(&reader.repository, &image, soon()).await.unwrap().unwrap();
    assert_eq!(found.into_iter().map(|found| found.digest).collect::<Vec<_>>(), [referrer.0]);
}

#[tokio::test]
async fn a_directory_that_is_no_layout_has_a_reason() {
    let reader = {
        let disk = Disk::new();
        disk.reader()
    };
    refuses(reader.tag().await, Reason::RegistryUnreachable);
    for index in [&b""[..], b"{}", b"[]", b"{\"schemaVersion\":2,\"manifests\":[{}]}", &vec![b' '; (4 << 20) + 1]] {
        let disk = Disk::new();
        disk.index(index);
        refuses(disk.reader().tag().await, Reason::RegistryUnavailable);
    }
    let disk = Disk::new();
    assert_eq!(disk.reader().tag().await, Ok(None));
}
