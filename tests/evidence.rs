//! Evidence beside an image, through real sockets: published, read back, counted, and not believed.

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use support::registry::{Kind, Login, PASSWORD, Registry, USER};
use tidewaiter::{
    cli::{Cli, run},
    cosign::{LEGACY_LAYER, LEGACY_SIGNATURE_ANNOTATION, SimpleSigning},
    digest::Digest,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    key::{Scheme, SecretKey},
    policy::{Assessment, ImageVerdict, PolicySet, Unmatched},
    publish::{self, publish, publish_to_layout},
    reference::Reference,
    registry::{self, Registries, Repository},
    resource,
    source::{self, Sources},
};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const REPOSITORY: &str = "shop/api";

/// A registry that holds one image.
struct Site {
    registry: Registry,
    image: Digest,
    key: SecretKey,
}

fn image_manifest() -> Value {
    let blob = |media_type: &str, content: &[u8]| json!({ "mediaType": media_type, "digest": Digest::sha256(content).to_string(), "size": content.len() });
    json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": blob("application/vnd.oci.image.config.v1+json", b"config"),
        "layers": [blob("application/vnd.oci.image.layer.v1.tar", b"layer")] })
}

impl Site {
    async fn new(kind: Kind) -> Self {
        let registry = Registry::start(kind).await;
        registry.blob(b"config");
        registry.blob(b"layer");
        let image = registry.manifest(REPOSITORY, Some("1"), &image_manifest());
        // Ed25519: the same text signed twice is the same envelope.
        Site { registry, image, key: SecretKey::generate(Scheme::Ed25519).unwrap() }
    }

    fn name(&self) -> String {
        format!("{}/{REPOSITORY}", self.registry.address)
    }
    fn pinned(&self) -> Reference {
        format!("{}@{}", self.name(), self.image).parse().unwrap()
    }
    fn tag(&self) -> String {
        format!("sha256-{}", self.image.hex())
    }

    fn envelope(&self, text: &str) -> Vec<u8> {
        let payload = json!({ "_type": "link", "name": text }).to_string();
        Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, payload.into(), &[&self.key]).unwrap().to_bytes()
    }

    async fn publish(&self, envelopes: &[Vec<u8>]) -> Digest {
        publish(&self.pinned(), envelopes, &options(None)).await.unwrap()
    }

    /// cosign's legacy layout, by the site's key, over a payload that names `image`.
    fn sign(&self, image: &Digest) {
        let payload = SimpleSigning::payload(&self.name(), image);
        let signature = STANDARD.encode(self.key.sign(&payload).unwrap());
        let layer = json!({ "mediaType": LEGACY_LAYER, "digest": self.registry.blob(&payload).to_string(),
            "size": payload.len(), "annotations": { LEGACY_SIGNATURE_ANNOTATION: signature } });
        let config = json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": self.registry.blob(b"{}").to_string(), "size": 2 });
        let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer] });
        self.registry.manifest(REPOSITORY, Some(&format!("{}.sig", self.tag())), &manifest);
    }

    /// What comes of the image under these requirements.
    async fn judge(&self, require: Value) -> ImageVerdict {
        let resource = |kind: &str, name: &str, spec: Value| json!({ "apiVersion": "tidewaiter.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec });
        let host = self.registry.address.to_string();
        let keys = json!({ "keys": [{ "name": "alice", "pem": self.key.public().to_pem() }] });
        let documents = [
            resource("ClusterImagePolicy", "shop", json!({ "images": [format!("{host}/**")], "require": require })),
            resource("TrustRoot", "keys", keys),
            resource("RegistryConfig", "local", json!({ "host": host, "allowPrivate": true, "insecure": true })),
        ];
        let text = documents.map(|document| document.to_string()).join("\n---\n");
        let resources = resource::parse("test", &text).unwrap();
        let numbered: Vec<_> =
            resources.iter().cloned().enumerate().map(|(n, one)| ("test".into(), n + 1, one)).collect();
        let set = PolicySet::compile(&numbered, Unmatched::Deny).unwrap();
        let registries = Registries::new(&registry::Options { docker_config: None, resources }).unwrap();
        let sources = Sources { registries: Arc::new(registries), store: None };
        let reference = self.pinned();
        let mut assessment = Assessment::new(&set, &reference, "default");
        let deadline = Instant::now() + Duration::from_secs(10);
        self.registry.reset();
        self.registry.held().delay = Duration::from_millis(150);
        source::drive(&mut assessment, &Repository::from(&reference), &self.image, None, &sources, deadline).await;
        self.registry.held().delay = Duration::ZERO;
        assessment.finish(jiff::Timestamp::now())
    }
}

fn signature() -> Value {
    json!({ "all": [{ "name": "released", "signature": { "cosign": { "trust": "keys" } } }] })
}
fn chain() -> Value {
    json!({ "all": [
        { "name": "released", "signature": { "cosign": { "trust": "keys" } } },
        { "name": "built", "supplyChain": { "layout": { "owners": "keys" }, "evidence": ["oci"] } }] })
}
fn options(docker_config: Option<&Path>) -> publish::Options {
    publish::Options { plain_http: true, docker_config: docker_config.map(Path::to_owned), ..Default::default() }
}
/// Reason of the first requirement, `None` where it is met.
fn reason(verdict: &ImageVerdict, requirement: usize) -> Option<&'static str> {
    verdict.policies[0].requirements[requirement].reason.map(|reason| reason.as_str())
}
fn docker_config(dir: &Path, host: &str) -> std::path::PathBuf {
    let file = dir.join("config.json");
    let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    std::fs::write(&file, json!({ "auths": { host: { "auth": auth } } }).to_string()).unwrap();
    file
}
fn once_each(registry: &Registry) {
    let mut log = registry.held().log.clone();
    let all = log.len();
    log.sort();
    log.dedup();
    assert_eq!(log.len(), all, "asked more than once: {:?}", registry.held().log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_published_whole_and_twice_is_once() {
    let site = Site::new(Kind::modern()).await;
    let (one, two) = (site.envelope("one"), site.envelope("two"));
    let digest = site.publish(&[one.clone(), two.clone()]).await;
    let manifest = site.registry.find(REPOSITORY, &digest.to_string()).unwrap();
    assert_eq!(manifest["artifactType"], "application/vnd.in-toto+json");
    assert_eq!(manifest["subject"]["digest"], site.image.to_string());
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
    assert_eq!(site.registry.held().blobs[&Digest::sha256(&one).to_string()], one);
    assert_eq!(site.registry.find(REPOSITORY, &site.tag()), None, "the API lists it: no tag");

    let before = site.registry.held().manifests.len();
    site.registry.reset();
    assert_eq!(site.publish(&[two, one]).await, digest, "the order of the files changes nothing");
    assert_eq!(site.registry.held().manifests.len(), before);
    assert!(!site.registry.held().log.iter().any(|line| line.starts_with("POST")), "nothing is uploaded twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_api_the_tag_lists_it_beside_what_others_wrote() {
    for kind in [Kind::old(), Kind { says_subject: true, ..Kind::old() }, Kind { referrers_api: true, ..Kind::old() }] {
        let site = Site::new(kind).await;
        let foreign = json!({ "mediaType": OCI_MANIFEST, "digest": Digest::sha256(b"foreign").to_string(), "size": 7, "x-unknown": [1] });
        let listing = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [foreign] });
        site.registry.manifest(REPOSITORY, Some(&site.tag()), &listing);
        let first = site.publish(&[site.envelope("one")]).await;
        let listing = |site: &Site| site.registry.find(REPOSITORY, &site.tag()).unwrap()["manifests"].clone();
        let entries = listing(&site);
        assert_eq!(entries[0], foreign, "kept as it was");
        assert_eq!(entries[1]["digest"], first.to_string());
        assert_eq!(entries[1]["artifactType"], "application/vnd.in-toto+json");
        site.publish(&[site.envelope("two")]).await;
        assert_eq!(listing(&site).as_array().unwrap().len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_no_listing_is_not_written_over() {
    let site = Site::new(Kind::old()).await;
    site.registry.manifest(REPOSITORY, Some(&site.tag()), &image_manifest());
    let error = publish(&site.pinned(), &[site.envelope("one")], &options(None)).await.unwrap_err();
    assert!(format!("{error:#}").contains("where the listing of referrers should be"), "{error:#}");
    assert_eq!(site.registry.find(REPOSITORY, &site.tag()), Some(image_manifest()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_reader_takes_is_not_published() {
    let site = Site::new(Kind::modern()).await;
    for (envelopes, part) in [
        (vec![], "no envelope"),
        (vec![b"{}".to_vec()], "is no DSSE envelope"),
        (vec![vec![b' '; 5 << 20]], "more than"),
    ] {
        let error = publish(&site.pinned(), &envelopes, &options(None)).await.unwrap_err();
        assert!(format!("{error:#}").contains(part), "{error:#}");
    }
    let absent: Reference = format!("{}@{}", site.name(), Digest::sha256(b"absent")).parse().unwrap();
    let error = publish(&absent, &[site.envelope("one")], &options(None)).await.unwrap_err();
    assert!(format!("{error:#}").contains("has no image"), "{error:#}");
    assert!(!site.registry.held().log.iter().any(|line| line.starts_with("PUT")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_used_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.json");
    std::fs::write(&empty, "{}").unwrap();
    for login in [Login::Basic, Login::Bearer] {
        let site = Site::new(Kind { login, ..Kind::modern() }).await;
        let config = docker_config(dir.path(), &site.registry.address.to_string());
        publish(&site.pinned(), &[site.envelope("one")], &options(Some(&config))).await.unwrap();
        let refused = publish(&site.pinned(), &[site.envelope("two")], &options(Some(&empty))).await;
        assert!(refused.is_err(), "{login:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_do_not_cross_the_network_in_the_clear() {
    let dir = tempfile::tempdir().unwrap();
    let config = docker_config(dir.path(), "registry.example.com");
    let image: Reference = format!("registry.example.com/shop/api@{}", Digest::sha256(b"x")).parse().unwrap();
    let error = publish(&image, &[b"{}".to_vec()], &options(Some(&config))).await.unwrap_err();
    assert!(error.to_string().contains("not sent over plain http"), "{error:#}");
}

fn layout(dir: &Path) -> Digest {
    let manifest = image_manifest().to_string();
    let image = Digest::sha256(manifest.as_bytes());
    std::fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    for bytes in [manifest.as_bytes(), b"config", b"layer"] {
        std::fs::write(dir.join("blobs/sha256").join(Digest::sha256(bytes).hex()), bytes).unwrap();
    }
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let entry = json!({ "mediaType": OCI_MANIFEST, "digest": image.to_string(), "size": manifest.len(),
        "annotations": { "org.opencontainers.image.ref.name": "registry.example.com/shop/api:1" } });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
    image
}
fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_directory_lists_the_set_in_both_places_and_keeps_its_image_first() {
    let site = Site::new(Kind::modern()).await;
    let dir = tempfile::tempdir().unwrap();
    let image = layout(dir.path());
    let digest = publish_to_layout(dir.path(), &image, &[site.envelope("one")]).unwrap();
    let index = read_json(&dir.path().join("index.json"));
    assert_eq!(index["manifests"][0]["digest"], image.to_string());
    assert_eq!(index["manifests"][1]["digest"], digest.to_string());
    let tag = format!("sha256-{}", image.hex());
    assert_eq!(index["manifests"][2]["annotations"]["org.opencontainers.image.ref.name"], tag);
    let listing = index["manifests"][2]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    let listing = read_json(&dir.path().join("blobs/sha256").join(listing));
    assert_eq!(listing["manifests"][0]["digest"], digest.to_string());

    assert_eq!(publish_to_layout(dir.path(), &image, &[site.envelope("one")]).unwrap(), digest);
    assert_eq!(read_json(&dir.path().join("index.json")), index, "twice is once");
    publish_to_layout(dir.path(), &image, &[site.envelope("two")]).unwrap();
    assert_eq!(read_json(&dir.path().join("index.json"))["manifests"].as_array().unwrap().len(), 4);
    let leftovers = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(leftovers, 3, "oci-layout, index.json, blobs and nothing else");

    let error = publish_to_layout(dir.path(), &Digest::sha256(b"absent"), &[site.envelope("one")]).unwrap_err();
    assert!(format!("{error:#}").contains("cannot be opened"), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_signature_costs_two_trips_and_allows_only_its_image() {
    let site = Site::new(Kind::modern()).await;
    assert_eq!(reason(&site.judge(signature()).await, 0), Some("no_signature"));
    site.sign(&site.image);
    assert_eq!(reason(&site.judge(signature()).await, 0), None);
    once_each(&site.registry);
    assert_eq!(site.registry.held().rounds, 2, "{:?}", site.registry.held().log);
    site.sign(&Digest::sha256(b"another image"));
    assert_eq!(reason(&site.judge(signature()).await, 0), Some("signature_invalid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_costs_three_trips_whatever_the_registry_and_nothing_twice() {
    for kind in [Kind::modern(), Kind::old()] {
        let site = Site::new(kind).await;
        assert_eq!(reason(&site.judge(chain()).await, 1), Some("no_layout"));
        site.sign(&site.image);
        for n in 0..3 {
            site.publish(&[site.envelope(&format!("a{n}")), site.envelope(&format!("b{n}"))]).await;
        }
        let verdict = site.judge(chain()).await;
        assert_eq!(reason(&verdict, 0), None);
        once_each(&site.registry);
        let held = site.registry.held();
        assert!(held.rounds <= 3, "{} rounds: {:?}", held.rounds, held.log);
        // The image, referrers, tag, .sig, .att; the payload; three manifests; six envelopes.
        assert_eq!(held.log.len(), 5 + 1 + 3 + 6, "{:?}", held.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_lie_about_their_digest_are_a_mismatch() {
    let site = Site::new(Kind::modern()).await;
    site.sign(&site.image);
    let payload = Digest::sha256(&SimpleSigning::payload(&site.name(), &site.image)).to_string();
    let lie = SimpleSigning::payload(&site.name(), &Digest::sha256(b"another one"));
    site.registry.held().blobs.insert(payload, lie);
    assert_eq!(reason(&site.judge(signature()).await, 0), Some("digest_mismatch"));
}

async fn tidewaiter(args: &[&str]) -> anyhow::Result<u8> {
    run(<Cli as clap::Parser>::try_parse_from([&["tidewaiter"], args].concat())?).await
}
fn hash_of(path: &Path) -> Digest {
    Digest::sha256(&std::fs::read(path).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_writes_files_that_hash_to_what_the_inspection_says() {
    let site = Site::new(Kind::modern()).await;
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("image");
    let reference = format!("{}:1", site.name());
    let to = out.to_str().unwrap();
    assert_eq!(tidewaiter(&["inspect", "image", &reference, "--plain-http", "-o", to]).await.unwrap(), 0);
    assert_eq!(hash_of(&out.join(format!("oci:{}", site.name()))), site.image);
    // As a stock verifier runs it, in that directory.
    assert_eq!(tidewaiter(&["inspect", "image", "-o", to]).await.unwrap(), 0);
    assert!(tidewaiter(&["inspect", "blobs", "-o", to]).await.is_err());

    let out = dir.path().join("blobs");
    let to = out.to_str().unwrap();
    assert_eq!(tidewaiter(&["inspect", "blobs", &reference, "--plain-http", "-o", to]).await.unwrap(), 0);
    let files: Vec<_> = std::fs::read_dir(out.join("blobs/sha256")).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 3);
    for file in files {
        assert_eq!(hash_of(&file).hex(), file.file_name().unwrap().to_str().unwrap());
    }
    let small = ["inspect", "blobs", &reference, "--plain-http", "--blob-bytes-max", "3", "-o", to];
    let error = tidewaiter(&small).await.unwrap_err();
    assert!(error.to_string().contains("--blob-bytes-max 3"), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_and_publish_read_a_layout_directory() {
    let site = Site::new(Kind::modern()).await;
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("layout");
    let image = layout(&source);
    let source = source.to_str().unwrap();
    let out = dir.path().join("out");
    let to = out.to_str().unwrap();
    assert_eq!(tidewaiter(&["inspect", "image", "--image-layout", source, "-o", to]).await.unwrap(), 0);
    assert_eq!(hash_of(&out.join("oci:registry.example.com/shop/api")), image);
    let other = format!("registry.example.com/shop/api@{}", Digest::sha256(b"x"));
    assert!(tidewaiter(&["inspect", "image", &other, "--image-layout", source, "-o", to]).await.is_err());

    let file = dir.path().join("one.link");
    std::fs::write(&file, site.envelope("one")).unwrap();
    let target = format!("oci-layout:{source}");
    assert_eq!(tidewaiter(&["publish", &target, file.to_str().unwrap()]).await.unwrap(), 0);
    assert_eq!(read_json(&dir.path().join("layout/index.json"))["manifests"].as_array().unwrap().len(), 3);
    std::fs::write(&file, "{}").unwrap();
    assert!(tidewaiter(&["publish", &target, file.to_str().unwrap()]).await.is_err());
}
