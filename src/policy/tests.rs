//! One workload, one good image, real keys, a real signature and a real chain; then one thing wrong at a time.

use super::{exception::tests::sealed, *};
use crate::{
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    key::{Scheme, SecretKey},
    reason::{Class, Reason},
    resource::{self, ResourceError},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use std::collections::BTreeMap;

mod documents; // what a set of documents says, and what is wrong with it
mod evidence;
mod exceptions;
mod modes;

pub(super) const NAMESPACE: &str = "shop-prod";
pub(super) const UID: &str = "11111111-2222-3333-4444-555555555555";
const REPOSITORY: &str = "registry.example.com/shop/api";

pub(super) fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// Keys by name, and what the sources have. Every test takes its own and breaks one thing.
pub(super) struct World {
    keys: BTreeMap<&'static str, SecretKey>,
    manifest: Vec<u8>,
    signatures: Result<Vec<Candidate>, Fault>,
    oci: Result<Vec<Vec<u8>>, Fault>,
    store: Result<Vec<Vec<u8>>, Fault>,
    /// What was asked for, in order.
    asked: Vec<Want>,
}

impl World {
    pub(super) fn new() -> Self {
        let names = ["release", "alice", "bob", "builder", "security", "stranger"];
        let keys = names.into_iter().map(|name| (name, SecretKey::generate(Scheme::EcdsaP256).unwrap())).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::sha256(b"c").to_string(), "size": 1},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": Digest::sha256(b"l").to_string(), "size": 1}]
        });
        let mut world = World {
            keys,
            manifest: manifest.to_string().into_bytes(),
            signatures: Ok(Vec::new()),
            oci: Ok(Vec::new()),
            store: Ok(Vec::new()),
            asked: Vec::new(),
        };
        world.signatures = Ok(vec![world.signature("release", &world.digest())]);
        world.oci = Ok(world.chain("2030-01-01T00:00:00Z", &["alice", "bob"], &world.digest()));
        world
    }
    pub(super) fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest)
    }
    pub(super) fn pinned(&self) -> String {
        format!("{REPOSITORY}@{}", self.digest())
    }
    pub(super) fn key(&self, name: &str) -> &SecretKey {
        &self.keys[name]
    }
    fn signature(&self, by: &str, digest: &Digest) -> Candidate {
        let payload = json!({
            "critical": {"identity": {"docker-reference": REPOSITORY}, "image": {"docker-manifest-digest": digest.to_string()},
                "type": "cosign container image signature"}, "optional": null
        })
        .to_string()
        .into_bytes();
        let signature = STANDARD.encode(self.key(by).sign(&payload).unwrap());
        Candidate::Legacy { payload, signature }
    }
    /// A layout of one step whose link names the image, and that link.
    fn chain(&self, expires: &str, owners: &[&str], digest: &Digest) -> Vec<Vec<u8>> {
        let builder = self.key("builder").public();
        let artifact = format!("oci:{REPOSITORY}");
        let layout = json!({
            "_type": "layout", "expires": expires, "readme": "",
            "keys": {builder.id(): builder.to_layout()},
            "steps": [{"_type": "step", "name": "build", "threshold": 1, "pubkeys": [builder.id()], "expected_command": [],
                "expected_materials": [["DISALLOW", "*"]], "expected_products": [["CREATE", artifact], ["DISALLOW", "*"]]}],
            "inspect": [{"_type": "inspection", "name": "image", "run": ["tidewaiter", "inspect", "image"],
                "expected_materials": [["MATCH", artifact, "WITH", "PRODUCTS", "FROM", "build"], ["DISALLOW", "*"]],
                "expected_products": []}]
        });
        let link = json!({
            "_type": "link", "name": "build", "command": [], "materials": {},
            "products": {artifact: {"sha256": digest.hex()}}, "byproducts": {}, "environment": {}
        });
        let sign = |value: &serde_json::Value, by: &[&str]| {
            let keys: Vec<&SecretKey> = by.iter().map(|name| self.key(name)).collect();
            Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, value.to_string().into_bytes(), &keys).unwrap().to_bytes()
        };
        vec![sign(&layout, owners), sign(&link, &["builder"])]
    }

    /// The example of the design, with the trust roots it names.
    pub(super) fn policy(&self) -> String {
        let root = |name: &str, keys: &[&str]| {
            let keys: Vec<_> =
                keys.iter().map(|key| json!({"name": key, "pem": self.key(key).public().to_pem()})).collect();
            let root = json!({"apiVersion": resource::API_VERSION, "kind": "TrustRoot", "metadata": {"name": name},
                "spec": {"keys": keys}});
            format!("---\n{root}\n")
        };
        let mut text = String::from(
            r#"apiVersion: tidewaiter.dev/v1alpha1
kind: ClusterImagePolicy
metadata: { name: shop }
spec:
  images: ["registry.example.com/shop/**"]
  exclude: ["registry.example.com/shop/sandbox/**"]
  namespaces: ["shop-*"]
  mode: Enforce
  digest: Pin
  require:
    all:
      - { name: released, signature: { cosign: { trust: release-keys } } }
      - { name: built-by-us, supplyChain: { layout: { owners: shop-owners, threshold: 2 }, evidence: [oci] } }
  exceptions: { maxDuration: 30d, signers: security-team }
"#,
        );
        text.push_str(&root("release-keys", &["release"]));
        text.push_str(&root("shop-owners", &["alice", "bob"]));
        text.push_str(&root("security-team", &["security"]));
        text.push_str(&root("strangers", &["stranger"]));
        text.push_str(&root("nobody", &[]));
        text
    }

    pub(super) fn judge(&mut self, set: &PolicySet, workload: &Workload) -> Decision {
        self.judge_in(set, workload, None)
    }
    /// The whole flow of a review, with this world as every source.
    pub(super) fn judge_in(&mut self, set: &PolicySet, workload: &Workload, namespace: Option<&Namespace>) -> Decision {
        let readings = set.read(workload);
        let verdicts = readings.iter().map(|reading| match reading {
            Reading::Judge { reference } => {
                let digest = reference.digest().cloned().unwrap_or_else(|| self.digest());
                let mut assessment = Assessment::new(set, &reference.pinned(digest.clone()), &workload.namespace);
                for _ in 0..3 {
                    for want in assessment.wants() {
                        self.asked.push(want.clone());
                        let found = match &want {
                            Want::Manifest(_) => Ok(Given::Manifest(self.manifest.clone())),
                            Want::Signatures => self.signatures.clone().map(Given::Signatures),
                            Want::Envelopes(EvidenceSource::Oci) => self.oci.clone().map(Given::Envelopes),
                            Want::Envelopes(EvidenceSource::Store) => self.store.clone().map(Given::Envelopes),
                        };
                        assessment.give(&want, found);
                    }
                }
                assert_eq!(assessment.wants(), []);
                Some(Ok((digest, assessment.finish(noon()).into())))
            }
            _ => None,
        });
        let verdicts = verdicts.collect();
        set.decide(workload, namespace, readings, verdicts, noon())
    }
    fn deny(&mut self, policy: &str, unmatched: Unmatched) -> Vec<(Class, Reason)> {
        let image = self.pinned();
        let decision = self.judge(&set_with(policy, unmatched), &pod(&[&image]));
        assert_eq!(decision.allowed, decision.exit_code() == 0);
        decision
            .denied_images()
            .iter()
            .flat_map(|(_, causes)| causes)
            .map(|cause| (cause.class, cause.reason))
            .collect()
    }
}

pub(super) fn compile(text: &str, unmatched: Unmatched) -> Result<PolicySet, Vec<ResourceError>> {
    let resources = resource::parse_numbered("policy.yaml", text)?;
    let resources: Vec<_> =
        resources.into_iter().map(|(number, resource)| ("policy.yaml".to_owned(), number, resource)).collect();
    PolicySet::compile(&resources, unmatched)
}
pub(super) fn set_with(text: &str, unmatched: Unmatched) -> PolicySet {
    compile(text, unmatched).unwrap_or_else(|errors| panic!("{errors:#?}\n{text}"))
}
pub(super) fn set(text: &str) -> PolicySet {
    set_with(text, Unmatched::Warn)
}
pub(super) fn pod(images: &[&str]) -> Workload {
    let image = |(index, image): (usize, &&str)| WorkloadImage {
        field: format!("spec.containers[{index}].image"),
        name: format!("c{index}"),
        image: (*image).to_owned(),
        unchanged: false,
    };
    Workload {
        namespace: NAMESPACE.into(),
        kind: "Pod".into(),
        name: "api".into(),
        images: images.iter().enumerate().map(image).collect(),
        is_pod: true,
        ..Workload::default()
    }
}
/// The policy with one text replaced.
fn with(policy: &str, from: &str, to: &str) -> String {
    assert!(policy.contains(from), "{from}");
    policy.replacen(from, to, 1)
}
const RELEASED: &str = "{ name: released, signature: { cosign: { trust: release-keys } } }";

/// An exception from the policy, as its annotation says it.
pub(super) fn exception(requirements: &[&str], images: &str) -> String {
    format!(
        "{images}\npolicy: shop\nrequirements: {requirements:?}\nuntil: 2026-12-01T00:00:00Z\nreason: the signing service is down\n"
    )
}
