//! A small world to be judged: keys, images with every kind of good and bad evidence, and the policies over them. Images lie in an
//! OCI layout directory that a `RegistryConfig` names, so nothing here needs a network. Made anew by each test, with keys of its own:
//! nothing is committed, so nothing expires.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fs, path::PathBuf};
use tidewaiter::{
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE, Signature},
    json as strict,
    key::{Scheme, SecretKey},
};

pub const HOST: &str = "registry.example.com";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// An image of the world.
#[derive(Clone, Debug)]
pub struct Image {
    /// `registry.example.com/shop/<name>`
    pub repository: String,
    /// `sha256:…`
    pub digest: String,
    size: usize,
}

impl Image {
    pub fn pinned(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }
    pub fn tagged(&self) -> String {
        format!("{}:1", self.repository)
    }
    pub fn hex(&self) -> &str {
        &self.digest["sha256:".len()..]
    }
}

pub struct World {
    /// `host[:port]` of every image.
    pub host: String,
    dir: tempfile::TempDir,
    keys: BTreeMap<&'static str, SecretKey>,
    pub images: BTreeMap<&'static str, Image>,
    index: Vec<Value>,
}

/// What the chain of an image says; the default is honest.
pub struct Chain<'a> {
    pub owners: &'a [&'static str],
    pub expires: &'a str,
    /// Who signs the link of `fetch` and of `build`; `None`: no such link.
    pub fetch_by: Option<&'static str>,
    pub build_by: Option<&'static str>,
    /// A file in the materials of `build` that `fetch` did not produce.
    pub smuggled: Option<&'static str>,
    /// How the layout's inspection ties the image.
    pub inspection: &'a [&'a [&'a str]],
    pub run: Value,
    /// The digest that `build` claims to have produced; `None`: the image's own.
    pub product: Option<String>,
    /// Replaces the signed bytes of the `build` link after signing.
    pub garbled: bool,
}

impl Default for Chain<'_> {
    fn default() -> Self {
        Chain {
            owners: &["alice", "bob"],
            expires: "2099-01-01T00:00:00Z",
            fetch_by: Some("ci"),
            build_by: Some("ci"),
            smuggled: None,
            inspection: &[&["MATCH", "oci:*", "WITH", "PRODUCTS", "FROM", "build"], &["DISALLOW", "*"]],
            run: json!(["tidewaiter", "inspect", "image"]),
            product: None,
            garbled: false,
        }
    }
}

impl World {
    /// Keys and an empty registry.
    pub fn empty() -> Self {
        World::at(HOST)
    }

    /// The same, its images named under another host.
    pub fn at(host: &str) -> Self {
        let dir = tempfile::tempdir().expect("a scratch directory");
        fs::create_dir_all(dir.path().join("layout/blobs/sha256")).expect("a layout directory");
        fs::write(dir.path().join("layout/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a marker");
        let schemes = [
            ("alice", Scheme::Ed25519),
            ("bob", Scheme::EcdsaP256),
            ("ci", Scheme::Ed25519),
            ("release", Scheme::EcdsaP256),
            ("officer", Scheme::Ed25519),
            ("stranger", Scheme::EcdsaP256),
        ];
        let keys = schemes.map(|(name, scheme)| (name, SecretKey::generate(scheme).expect("a key"))).into();
        let world = World { host: host.to_owned(), dir, keys, images: BTreeMap::new(), index: Vec::new() };
        world.write_index();
        world
    }

    /// One image for each way of being right or wrong; the names are used by `tests/attacks`.
    pub fn full() -> Self {
        let mut world = World::empty();
        for name in ["good", "also-good", "third"] {
            world.image(name);
            world.sign(name, "release");
            world.chain(name, Chain::default());
        }
        world.image("unsigned");
        world.chain("unsigned", Chain::default());
        world.image("bare");
        world.image("signed-only");
        world.sign("signed-only", "release");
        world.image("bundle");
        world.bundle("bundle", "release", "bundle", SIGN);
        world.chain("bundle", Chain::default());
        world.image("attested");
        world.bundle("attested", "release", "attested", "https://cosign.sigstore.dev/attestation/v1");
        world.image("foreign");
        world.sign("foreign", "stranger");
        world.image("transplanted");
        let payload = world.simple_signing("good");
        world.attach_signature("transplanted", &payload, "release");
        let signed = |world: &mut World, name, chain| {
            world.image(name);
            world.sign(name, "release");
            world.chain(name, chain);
        };
        signed(&mut world, "layout-expired", Chain { expires: "2020-01-01T00:00:00Z", ..Chain::default() });
        signed(&mut world, "layout-by-stranger", Chain { owners: &["stranger"], ..Chain::default() });
        signed(&mut world, "one-owner", Chain { owners: &["alice"], ..Chain::default() });
        signed(&mut world, "one-owner-twice", Chain { owners: &["alice", "alice"], ..Chain::default() });
        signed(&mut world, "step-missing", Chain { fetch_by: None, ..Chain::default() });
        signed(&mut world, "link-by-stranger", Chain { build_by: Some("stranger"), ..Chain::default() });
        signed(&mut world, "link-by-owner", Chain { build_by: Some("alice"), ..Chain::default() });
        signed(&mut world, "smuggled", Chain { smuggled: Some("src/evil.c"), ..Chain::default() });
        signed(&mut world, "garbled-link", Chain { garbled: true, ..Chain::default() });
        signed(&mut world, "not-the-product", Chain { product: Some(format!("{:064x}", 7)), ..Chain::default() });
        signed(&mut world, "not-bound", Chain { inspection: &[&["ALLOW", "*"]], ..Chain::default() });
        signed(&mut world, "runs-a-command", Chain { run: json!(["sh", "-c", "true"]), ..Chain::default() });
        world
    }

    pub fn key(&self, name: &str) -> &SecretKey {
        &self.keys[name]
    }

    pub fn layout_dir(&self) -> PathBuf {
        self.dir.path().join("layout")
    }

    /// An image `shop/<name>` with the tag `1`; its layer is its name.
    pub fn image(&mut self, name: &'static str) -> Image {
        let config = self.blob(br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#);
        let layer = self.blob(name.as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let repository = format!("{}/shop/{name}", self.host);
        let manifest = self.manifest(&manifest, Some(&format!("{repository}:1")), None);
        let image = Image { repository, digest: manifest.0, size: manifest.1 };
        self.images.insert(name, image.clone());
        image
    }

    /// An index `shop/<name>` with the tag `1` over images of the world.
    pub fn index(&mut self, name: &'static str, children: &[&str]) -> Image {
        let platform = json!({"architecture": "amd64", "os": "linux"});
        let children = children.iter().map(|child| &self.images[child]);
        let manifests: Vec<Value> = children
            .map(|it| json!({"mediaType": MANIFEST, "digest": it.digest, "size": it.size, "platform": platform}))
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        let repository = format!("{}/shop/{name}", self.host);
        let (digest, size) = self.blob(index.to_string().as_bytes());
        let mut entry = descriptor(INDEX, &(digest.clone(), size));
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": format!("{repository}:1")});
        self.index.push(entry);
        self.write_index();
        let image = Image { repository, digest, size };
        self.images.insert(name, image.clone());
        image
    }

    /// cosign's payload for an image.
    pub fn simple_signing(&self, name: &str) -> Vec<u8> {
        let image = &self.images[name];
        json!({"critical": {"identity": {"docker-reference": image.repository},
            "image": {"docker-manifest-digest": image.digest}, "type": "cosign container image signature"}, "optional": null})
        .to_string()
        .into_bytes()
    }

    /// A cosign signature in the legacy layout.
    pub fn sign(&mut self, name: &str, key: &str) {
        let payload = self.simple_signing(name);
        self.attach_signature(name, &payload, key);
    }

    /// Any payload under the image's `.sig` tag.
    pub fn attach_signature(&mut self, name: &str, payload: &[u8], key: &str) {
        let signature = STANDARD.encode(self.keys[key].sign(payload).expect("a signature"));
        let image = self.images[name].clone();
        let config = self.blob(b"{}");
        let layer = self.blob(payload);
        let mut layer = descriptor("application/vnd.dev.cosign.simplesigning.v1+json", &layer);
        layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config), "layers": [layer]});
        self.manifest(&manifest, Some(&format!("{}:sha256-{}.sig", image.repository, image.hex())), None);
    }

    /// A Sigstore bundle on `name` whose statement is about `subject`.
    pub fn bundle(&mut self, name: &str, key: &str, subject: &str, predicate_type: &str) {
        let statement = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate_type, "predicate": {},
            "subject": [{"digest": {"sha256": self.images[subject].hex()}, "annotations": {}}]});
        let envelope = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, statement.to_string().into_bytes(), &[&self.keys[key]])
            .expect("an envelope");
        let mut dsse: Value = serde_json::from_slice(&envelope.to_bytes()).expect("JSON");
        for signature in dsse["signatures"].as_array_mut().expect("signatures") {
            *signature = json!({"sig": signature["sig"], "keyid": ""});
        }
        let bundle = json!({"mediaType": BUNDLE, "dsseEnvelope": dsse,
            "verificationMaterial": {"publicKey": {"hint": "hint"}}});
        self.attach(name, BUNDLE, BUNDLE, &[bundle.to_string().into_bytes()]);
    }

    /// A chain of two steps, as one evidence set beside the image.
    pub fn chain(&mut self, name: &str, chain: Chain<'_>) -> Vec<Vec<u8>> {
        let envelopes = self.envelopes(name, chain);
        self.attach(name, INTOTO_PAYLOAD_TYPE, "application/vnd.dsse.envelope.v1+json", &envelopes);
        envelopes
    }

    /// The layout and the links of a chain, not attached to anything.
    pub fn envelopes(&self, name: &str, chain: Chain<'_>) -> Vec<Vec<u8>> {
        let image = &self.images[name];
        let ci = self.keys["ci"].public();
        let step = |name: &str, materials: Value, products: Value| {
            json!({"_type": "step", "name": name, "threshold": 1, "pubkeys": [ci.id()], "expected_command": [],
                "expected_materials": materials, "expected_products": products})
        };
        let mut key = ci.to_layout();
        key["keyid"] = json!(ci.id());
        let layout = json!({
            "_type": "layout", "expires": chain.expires, "readme": "", "keys": {ci.id(): key},
            "steps": [
                step("fetch", json!([["DISALLOW", "*"]]), json!([["CREATE", "src/*"], ["DISALLOW", "*"]])),
                step("build", json!([["MATCH", "src/*", "WITH", "PRODUCTS", "FROM", "fetch"], ["DISALLOW", "*"]]),
                    json!([["CREATE", "oci:*"], ["ALLOW", "src/*"], ["DISALLOW", "*"]])),
            ],
            "inspect": [{"_type": "inspection", "name": "image", "run": chain.run,
                "expected_materials": chain.inspection, "expected_products": []}],
        });
        let source = json!({"src/main.c": {"sha256": hex(b"int main;")}});
        let mut materials = source.clone();
        if let Some(file) = chain.smuggled {
            materials[file] = json!({"sha256": hex(b"evil")});
        }
        let mut products = materials.clone();
        products[format!("oci:{}", image.repository)] =
            json!({"sha256": chain.product.unwrap_or_else(|| image.hex().to_owned())});
        let link = |name: &str, materials: &Value, products: &Value| {
            json!({"_type": "link", "name": name, "command": ["make", name], "materials": materials, "products": products,
                "byproducts": {"return-value": 0, "stdout": "", "stderr": ""}, "environment": {}})
        };
        let mut envelopes = vec![self.seal(&layout, chain.owners)];
        if let Some(key) = chain.fetch_by {
            envelopes.push(self.seal(&link("fetch", &json!({}), &source), &[key]));
        }
        if let Some(key) = chain.build_by {
            let mut sealed = self.seal(&link("build", &materials, &products), &[key]);
            if chain.garbled {
                let mut dsse: Value = serde_json::from_slice(&sealed).expect("JSON");
                dsse["payload"] = json!(STANDARD.encode(b"{\"_type\": \"link\", broken"));
                sealed = dsse.to_string().into_bytes();
            }
            envelopes.push(sealed);
        }
        envelopes
    }

    /// A DSSE envelope over a document, by these keys.
    pub fn seal(&self, document: &Value, keys: &[&str]) -> Vec<u8> {
        let keys: Vec<&SecretKey> = keys.iter().map(|name| &self.keys[name]).collect();
        let payload = strict::to_text(&document.into()).into_bytes();
        let mut envelope = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, payload, &[]).expect("an envelope");
        // One by one: `sign_dsse` keeps one signature of each key, and whoever cheats does not.
        for key in keys {
            let sig = key.sign(&envelope.signed_bytes()).expect("a signature");
            envelope.signatures.push(Signature {
                keyid: Some(key.public().id().to_owned()),
                sig,
                ..Signature::default()
            });
        }
        envelope.to_bytes()
    }

    /// An artifact whose subject is the image; in the tag schema's index too, as on a registry without the referrers API.
    pub fn attach(&mut self, name: &str, artifact: &str, layer: &str, bodies: &[Vec<u8>]) {
        let image = self.images[name].clone();
        let config = self.blob(b"{}");
        let layers: Vec<Value> = bodies.iter().map(|body| descriptor(layer, &self.blob(body))).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact,
            "config": descriptor("application/vnd.oci.empty.v1+json", &config), "layers": layers,
            "subject": {"mediaType": MANIFEST, "digest": image.digest, "size": image.size}});
        self.manifest(&manifest, None, Some(artifact));
    }

    /// The documents of the world: `ClusterImagePolicy/shop` with these fields of its spec besides `images`, the trust roots and the registry.
    pub fn documents(&self, spec: Value) -> Vec<Value> {
        let mut policy = json!({"images": [format!("{}/shop/**", self.host)]});
        for (key, value) in spec.as_object().into_iter().flatten() {
            policy[key] = value.clone();
        }
        let resource = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "tidewaiter.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        let root = |name: &str, keys: &[&str]| {
            let keys: Vec<Value> =
                keys.iter().map(|k| json!({"name": k, "pem": self.keys[k].public().to_pem()})).collect();
            resource("TrustRoot", name, json!({"keys": keys}))
        };
        vec![
            resource("ClusterImagePolicy", "shop", policy),
            root("release-keys", &["release"]),
            root("shop-owners", &["alice", "bob"]),
            root("security-team", &["officer"]),
            resource("RegistryConfig", "layout", json!({"host": self.host, "ociLayout": self.layout_dir()})),
        ]
    }

    /// What the usual policy demands: a release signature and the chain, by both owners.
    pub fn demands() -> Value {
        json!({"mode": "Enforce", "require": {"all": [
            {"name": "released", "signature": {"cosign": {"trust": "release-keys"}}},
            {"name": "built-by-us", "supplyChain": {"layout": {"owners": "shop-owners", "threshold": 2}, "evidence": ["oci"]}},
        ]}, "exceptions": {"maxDuration": "30d", "signers": "security-team"}})
    }

    fn blob(&self, bytes: &[u8]) -> (String, usize) {
        let hex = hex(bytes);
        fs::write(self.layout_dir().join("blobs/sha256").join(&hex), bytes).expect("a blob");
        (format!("sha256:{hex}"), bytes.len())
    }

    fn manifest(&mut self, manifest: &Value, name: Option<&str>, artifact: Option<&str>) -> (String, usize) {
        let blob = self.blob(manifest.to_string().as_bytes());
        let mut entry = descriptor(MANIFEST, &blob);
        if let Some(name) = name {
            let named = |e: &Value| e["annotations"]["org.opencontainers.image.ref.name"] == name;
            self.index.retain(|e| !named(e));
            entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        }
        if let Some(artifact) = artifact {
            entry["artifactType"] = json!(artifact);
        }
        self.index.push(entry);
        self.write_index();
        blob
    }

    fn write_index(&self) {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.index});
        fs::write(self.layout_dir().join("index.json"), index.to_string()).expect("an index");
    }
}

fn descriptor(media: &str, blob: &(String, usize)) -> Value {
    json!({"mediaType": media, "digest": blob.0, "size": blob.1})
}

fn hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
