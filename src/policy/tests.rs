//! One workload, one good image, real keys, a real signature and a real chain; then one thing wrong at a time.

use super::{exception::tests::sealed, *};
use crate::{
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    key::{Scheme, SecretKey},
    reason::{Class, Reason},
    resource,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use std::collections::BTreeMap;

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
use crate::resource::ResourceError;

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

#[test]
fn the_good_image_is_allowed_and_says_by_whom() {
    let mut world = World::new();
    let decision = world.judge(&set(&world.policy()), &pod(&[&world.pinned()]));
    assert!(decision.allowed, "{}", decision.explain());
    assert_eq!((decision.exit_code(), decision.reason(), decision.message()), (0, None, String::new()));
    let requirements = &decision.images[0].policies[0].requirements;
    assert_eq!(requirements[0].by, ["release"]);
    assert_eq!(requirements[1].by, ["alice", "bob"]);
    // All of a round at once: the manifest beside the evidence.
    assert_eq!(world.asked, [Want::Manifest(world.digest()), Want::Signatures, Want::Envelopes(EvidenceSource::Oci)]);
}

#[test]
fn every_field_alone_makes_the_difference() {
    let policy = World::new().policy();
    for (field, from, to, unmatched, expected) in [
        (
            "images",
            "images: [\"registry.example.com/shop/**\"]",
            "images: [\"registry.example.com/shop2/**\"]",
            Unmatched::Deny,
            Reason::UnmatchedImage,
        ),
        ("exclude", "shop/sandbox/**", "shop/a*", Unmatched::Deny, Reason::UnmatchedImage),
        ("namespaces", "\"shop-*\"", "\"shop\"", Unmatched::Deny, Reason::UnmatchedImage),
        (
            "signature.cosign.trust",
            "trust: release-keys",
            "trust: strangers",
            Unmatched::Warn,
            Reason::SignatureUntrusted,
        ),
        ("signature.cosign.trust", "trust: release-keys", "trust: nobody", Unmatched::Warn, Reason::NoTrustRoot),
        (
            "layout.owners",
            "owners: shop-owners, threshold: 2",
            "owners: strangers",
            Unmatched::Warn,
            Reason::LayoutUntrusted,
        ),
        ("layout.owners", "owners: shop-owners", "owners: nobody", Unmatched::Warn, Reason::NoTrustRoot),
        ("evidence", "evidence: [oci]", "evidence: [store]", Unmatched::Warn, Reason::NoLayout),
        // A root's keys are trusted for what names it: the release key owns no layout.
        (
            "layout.owners",
            "owners: shop-owners, threshold: 2",
            "owners: release-keys",
            Unmatched::Warn,
            Reason::LayoutUntrusted,
        ),
    ] {
        let mut world = World::new();
        let text = with(&world.policy(), from, to);
        let reasons: Vec<Reason> = world.deny(&text, unmatched).into_iter().map(|(_, reason)| reason).collect();
        assert_eq!(reasons, [expected], "{field}: {from} -> {to}");
    }
    assert!(policy.contains("digest: Pin"));
}

#[test]
fn the_threshold_of_owners_is_what_the_policy_says() {
    let mut world = World::new();
    world.oci = Ok(world.chain("2030-01-01T00:00:00Z", &["alice"], &world.digest()));
    let policy = world.policy();
    assert_eq!(world.deny(&policy, Unmatched::Warn), [(Class::Invalid, Reason::LayoutUntrusted)]);
    // Absent: all of them.
    assert_eq!(
        world.deny(&with(&policy, ", threshold: 2", ""), Unmatched::Warn),
        [(Class::Invalid, Reason::LayoutUntrusted)]
    );
    assert_eq!(world.deny(&with(&policy, "threshold: 2", "threshold: 1"), Unmatched::Warn), []);
}

#[test]
fn evidence_alone_makes_the_difference() {
    type Break = fn(&mut World);
    let cases: [(&str, Break, (Class, Reason)); 8] = [
        ("no signature", |w| w.signatures = Ok(vec![]), (Class::Missing, Reason::NoSignature)),
        (
            "a stranger's",
            |w| w.signatures = Ok(vec![w.signature("stranger", &w.digest())]),
            (Class::Invalid, Reason::SignatureUntrusted),
        ),
        (
            "an owner's",
            |w| w.signatures = Ok(vec![w.signature("alice", &w.digest())]),
            (Class::Invalid, Reason::SignatureUntrusted),
        ),
        (
            "another image's",
            |w| w.signatures = Ok(vec![w.signature("release", &Digest::sha256(b"other"))]),
            (Class::Invalid, Reason::SignatureInvalid),
        ),
        (
            "registry down",
            |w| w.signatures = Err(Fault::new(Reason::RegistryTimeout, "slow")),
            (Class::Unavailable, Reason::RegistryTimeout),
        ),
        ("no chain", |w| w.oci = Ok(vec![]), (Class::Missing, Reason::NoLayout)),
        (
            "expired",
            |w| w.oci = Ok(w.chain("2026-11-23T11:59:59Z", &["alice", "bob"], &w.digest())),
            (Class::Invalid, Reason::LayoutExpired),
        ),
        ("no link", |w| w.oci.as_mut().unwrap().truncate(1), (Class::Missing, Reason::ThresholdNotMet)),
    ];
    for (name, spoil, expected) in cases {
        let mut world = World::new();
        spoil(&mut world);
        let policy = world.policy();
        assert_eq!(world.deny(&policy, Unmatched::Warn), [expected], "{name}");
    }
}

#[test]
fn a_source_that_failed_denies_only_where_the_rest_does_not_suffice() {
    let both = |world: &World| with(&world.policy(), "evidence: [oci]", "evidence: [oci, store]");
    let down = || Err(Fault::new(Reason::StoreUnavailable, "the store does not answer"));

    let mut world = World::new();
    world.store = down();
    let policy = both(&world);
    assert_eq!(world.deny(&policy, Unmatched::Warn), []);

    let mut world = World::new();
    (world.oci, world.store) = (Ok(world.oci.clone().unwrap()[..1].to_vec()), down());
    assert_eq!(world.deny(&both(&world), Unmatched::Warn), [(Class::Unavailable, Reason::StoreUnavailable)]);

    // Both together suffice where neither does.
    let mut world = World::new();
    let chain = world.oci.clone().unwrap();
    (world.oci, world.store) = (Ok(chain[..1].to_vec()), Ok(chain[1..].to_vec()));
    assert_eq!(world.deny(&both(&world), Unmatched::Warn), []);
}

#[test]
fn what_was_found_in_part_counts_where_it_suffices_and_is_unavailable_where_not() {
    let judge = |world: &World, signatures: Vec<Candidate>, envelopes: Vec<Vec<u8>>| {
        let set = set(&world.policy());
        let mut assessment = Assessment::new(&set, &world.pinned().parse().unwrap(), NAMESPACE);
        let slow = || Err(Fault::new(Reason::RegistryTimeout, "the registry is slow"));
        assessment.give(&Want::Manifest(world.digest()), Ok(Given::Manifest(world.manifest.clone())));
        assessment.give(&Want::Signatures, Ok(Given::Signatures(signatures)));
        assessment.give(&Want::Signatures, slow());
        let oci = Want::Envelopes(EvidenceSource::Oci);
        assessment.give(&oci, Ok(Given::Envelopes(envelopes)));
        assessment.give(&oci, slow());
        let verdict = assessment.finish(noon());
        verdict.policies[0].requirements.iter().map(|item| item.reason).collect::<Vec<_>>()
    };
    let world = World::new();
    let (signatures, chain) = (world.signatures.clone().unwrap(), world.oci.clone().unwrap());
    assert_eq!(judge(&world, signatures, chain.clone()), [None, None]);
    let strangers = vec![world.signature("stranger", &world.digest())];
    let blind = Some(Reason::RegistryTimeout);
    assert_eq!(judge(&world, strangers, chain[..1].to_vec()), [blind, blind]);
    // Evidence of the owners that says no says no.
    let expired = world.chain("2020-01-01T00:00:00Z", &["alice", "bob"], &world.digest());
    assert_eq!(judge(&world, vec![], expired), [blind, Some(Reason::LayoutExpired)]);
}

#[test]
fn a_manifest_that_lies_denies() {
    let mut world = World::new();
    let (set, image) = (set(&world.policy()), world.pinned());
    world.manifest = b"{}".to_vec();
    let digest = image.rsplit_once('@').unwrap().1.parse::<Digest>().unwrap();
    let mut assessment = Assessment::new(&set, &image.parse().unwrap(), NAMESPACE);
    assessment.give(&Want::Manifest(digest.clone()), Ok(Given::Manifest(world.manifest.clone())));
    assert!(!assessment.wants().contains(&Want::Manifest(digest)), "asked for once, found wanting");
    assessment.give(&Want::Signatures, world.signatures.clone().map(Given::Signatures));
    assessment.give(&Want::Envelopes(EvidenceSource::Oci), Ok(Given::Envelopes(Vec::new())));
    let verdict = assessment.finish(noon());
    assert_eq!(verdict.policies[0].requirements[1].reason, Some(Reason::DigestMismatch));
}

#[test]
fn what_was_never_fetched_is_not_taken_for_nothing() {
    let world = World::new();
    let verdict = Assessment::new(&set(&world.policy()), &world.pinned().parse().unwrap(), NAMESPACE).finish(noon());
    let reasons: Vec<_> = verdict.policies[0].requirements.iter().map(|item| item.reason).collect();
    assert_eq!(reasons, [Some(Reason::DeadlineExceeded), Some(Reason::DeadlineExceeded)]);
    assert!(!verdict.policies[0].met);
    assert_eq!(verdict.valid_until, Some(noon()), "a network fault is not kept");
}

#[test]
fn combinations_say_how_many() {
    for (require, spoil_signature, spoil_chain, allowed) in [
        ("all:", false, false, true),
        ("all:", true, false, false),
        ("all:", false, true, false),
        ("any:", true, false, true),
        ("any:", false, true, true),
        ("any:", true, true, false),
    ] {
        let mut world = World::new();
        if spoil_signature {
            world.signatures = Ok(vec![]);
        }
        if spoil_chain {
            world.oci = Ok(vec![]);
        }
        let policy = with(&world.policy(), "    all:", &format!("    {require}"));
        assert_eq!(
            world.deny(&policy, Unmatched::Warn).is_empty(),
            allowed,
            "{require} {spoil_signature} {spoil_chain}"
        );
    }
    for (count, allowed) in [(1, true), (2, false)] {
        let mut world = World::new();
        world.oci = Ok(vec![]);
        let policy = with(&world.policy(), "    all:", &format!("    atLeast:\n      count: {count}\n      of:"))
            .replace("      - { name: ", "        - { name: ");
        assert_eq!(world.deny(&policy, Unmatched::Warn).is_empty(), allowed, "{count}");
    }
}

#[test]
fn invalid_before_missing_before_unavailable() {
    let mut world = World::new();
    world.signatures = Ok(vec![]);
    world.oci = Ok(world.chain("2026-01-01T00:00:00Z", &["alice", "bob"], &world.digest()));
    let policy = world.policy();
    assert_eq!(
        world.deny(&policy, Unmatched::Warn),
        [(Class::Invalid, Reason::LayoutExpired), (Class::Missing, Reason::NoSignature)]
    );
    let decision = world.judge(&set(&policy), &pod(&[&world.pinned()]));
    assert_eq!((decision.exit_code(), decision.reason()), (1, Some(Reason::LayoutExpired)));
    world.oci = Err(Fault::new(Reason::RegistryUnreachable, "no route"));
    let decision = world.judge(&set(&policy), &pod(&[&world.pinned()]));
    assert_eq!((decision.exit_code(), decision.reason()), (3, Some(Reason::NoSignature)));
    world.signatures = Err(Fault::new(Reason::RegistryUnreachable, "no route"));
    let decision = world.judge(&set(&policy), &pod(&[&world.pinned()]));
    assert_eq!((decision.exit_code(), decision.reason()), (4, Some(Reason::RegistryUnreachable)));
}

#[test]
fn modes_deny_warn_or_record() {
    for (mode, allowed, warned) in [("Enforce", false, false), ("Warn", true, true), ("Audit", true, false)] {
        let mut world = World::new();
        world.signatures = Ok(vec![]);
        let policy = with(&world.policy(), "mode: Enforce", &format!("mode: {mode}"));
        let decision = world.judge(&set(&policy), &pod(&[&world.pinned()]));
        assert_eq!(decision.allowed, allowed, "{mode}");
        assert!(!decision.images[0].policies[0].met, "recorded as it is in every mode");
        let told = decision.warnings.iter().any(|w| w.contains("would deny") && w.contains("[no_signature]"));
        assert_eq!(told, warned, "{mode}: {:?}", decision.warnings);
    }
    let mut world = World::new();
    world.signatures = Ok(vec![]);
    let enforced = set(&world.policy());
    let hash = enforced.hash().clone();
    let audited = enforced.audit_only();
    assert_ne!(audited.hash(), &hash);
    let decision = world.judge(&audited, &pod(&[&world.pinned()]));
    assert!(decision.allowed && decision.images[0].policies[0].mode == Mode::Audit);
    let decision = world.judge(&set_with("", Unmatched::Deny).audit_only(), &pod(&[&world.pinned()]));
    assert!(decision.allowed);
}

#[test]
fn every_policy_that_selects_must_be_met() {
    let second = |namespace: &str, mode: &str| {
        format!(
            "---\napiVersion: tidewaiter.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {{ name: extra, namespace: {namespace} }}\nspec:\n  images: [\"**\"]\n  mode: {mode}\n  require: {{ all: [{{ name: own, signature: {{ cosign: {{ trust: strangers }} }} }}] }}\n"
        )
        .replace("\"**\"", "\"registry.example.com/**\"")
    };
    for (namespace, mode, expected) in [
        (NAMESPACE, "Enforce", vec![(Class::Invalid, Reason::SignatureUntrusted)]),
        (NAMESPACE, "Warn", vec![]),
        // A namespace's policy has no say elsewhere.
        ("shop-test", "Enforce", vec![]),
    ] {
        let mut world = World::new();
        let policy = world.policy() + &second(namespace, mode);
        assert_eq!(world.deny(&policy, Unmatched::Warn), expected, "{namespace} {mode}");
    }
    // Nor does it loosen the cluster's.
    let mut world = World::new();
    world.signatures = Ok(vec![world.signature("stranger", &world.digest())]);
    let policy = world.policy() + &second(NAMESPACE, "Enforce");
    assert_eq!(world.deny(&policy, Unmatched::Warn), [(Class::Invalid, Reason::SignatureUntrusted)]);
}

#[test]
fn the_digest_rule_is_the_strictest_of_those_that_enforce() {
    let tag = format!("{REPOSITORY}:1");
    for (rule, mode, is_pod, allowed, warned) in [
        ("Require", "Enforce", true, false, ""),
        ("Require", "Enforce", false, false, ""),
        ("Pin", "Enforce", true, false, ""),
        ("Pin", "Enforce", false, true, ""),
        ("Resolve", "Enforce", true, true, "judged as sha256:"),
        ("Require", "Warn", false, true, "[image_not_pinned]"),
        ("Pin", "Warn", true, true, "has no digest; ClusterImagePolicy \"shop\" enforced would pin it"),
        ("Pin", "Warn", false, true, ""),
        ("Require", "Audit", true, true, ""),
        ("Pin", "Audit", true, true, ""),
    ] {
        let mut world = World::new();
        let policy = with(
            &with(&world.policy(), "mode: Enforce", &format!("mode: {mode}")),
            "digest: Pin",
            &format!("digest: {rule}"),
        );
        let workload = Workload { is_pod, ..pod(&[&tag]) };
        let decision = world.judge(&set(&policy), &workload);
        let case = format!("{rule} {mode} {is_pod}: {}", decision.explain());
        assert_eq!(decision.allowed, allowed, "{case}");
        if allowed {
            assert!(decision.warnings.iter().all(|w| w.contains(warned)), "{case}");
            assert_eq!(decision.warnings.is_empty(), warned.is_empty(), "{case}");
            let recorded = decision.images[0].policies[0].requirements.iter().any(|item| item.name == "digest");
            assert_eq!(recorded, rule == "Require", "{case}");
        } else {
            assert_eq!((decision.reason(), decision.exit_code()), (Some(Reason::ImageNotPinned), 1), "{case}");
            assert_eq!(world.asked, [], "no packet leaves");
        }
    }
}

#[test]
fn an_image_that_nothing_selects_is_the_installations_matter() {
    let image = format!("docker.io/library/busybox@{}", Digest::sha256(b"x"));
    for (unmatched, allowed, warned) in
        [(Unmatched::Allow, true, false), (Unmatched::Warn, true, true), (Unmatched::Deny, false, false)]
    {
        let mut world = World::new();
        let decision = world.judge(&set_with(&world.policy(), unmatched), &pod(&[&image]));
        assert_eq!((decision.allowed, decision.warnings.len() == 1), (allowed, warned), "{unmatched:?}");
        assert_eq!(decision.reason(), (!allowed).then_some(Reason::UnmatchedImage));
        assert_eq!(world.asked, [], "no packet leaves");
    }
}

#[test]
fn a_reference_that_cannot_be_read_counts_as_selected() {
    let enforced = World::new().policy();
    let warning = with(&enforced, "mode: Enforce", "mode: Warn");
    let elsewhere = with(&enforced, "\"shop-*\"", "\"other\"");
    for (policy, unmatched, allowed) in [
        (&enforced, Unmatched::Allow, false),
        (&warning, Unmatched::Warn, true),
        (&warning, Unmatched::Deny, false),
        (&elsewhere, Unmatched::Warn, true),
    ] {
        let mut world = World::new();
        let decision = world.judge(&set_with(policy, unmatched), &pod(&["registry.example.com/Shop/API"]));
        assert_eq!(decision.allowed, allowed, "{unmatched:?}");
        assert_eq!(decision.warnings.len(), usize::from(allowed));
        assert_eq!(decision.images[0].fault.as_ref().map(|f| f.reason), Some(Reason::ImageRefInvalid));
    }
}

#[test]
fn more_images_than_a_review_may_have_are_not_looked_at() {
    let images: Vec<String> =
        (0..=IMAGES_MAX).map(|i| format!("{REPOSITORY}@{}", Digest::sha256(&i.to_be_bytes()))).collect();
    let all: Vec<&str> = images.iter().map(String::as_str).collect();
    let mut world = World::new();
    let set = set(&world.policy());
    let decision = world.judge(&set, &pod(&all));
    assert_eq!(decision.reason(), Some(Reason::TooManyImages));
    assert_eq!(world.asked, []);
    assert!(decision.message().len() <= 1024 && decision.message().contains("more"), "{}", decision.message());
    // The same image many times over is one.
    let same = vec![all[0]; 300];
    assert!(set.read(&pod(&same)).iter().all(|reading| matches!(reading, Reading::Judge { .. })));
    assert!(set.read(&pod(&all[1..])).iter().all(|reading| matches!(reading, Reading::Judge { .. })));
}

#[test]
fn an_unchanged_image_is_not_judged_again() {
    let mut world = World::new();
    world.signatures = Ok(vec![]);
    let mut workload = pod(&[&world.pinned()]);
    workload.images[0].unchanged = true;
    assert!(world.judge(&set(&world.policy()), &workload).allowed);
    workload.images[0].unchanged = false;
    assert!(!world.judge(&set(&world.policy()), &workload).allowed);
}

#[test]
fn only_a_completed_verification_allows() {
    let world = World::new();
    let set = set(&world.policy());
    let workload = pod(&[&world.pinned()]);
    let reading = || vec![Reading::Judge { reference: world.pinned().parse().unwrap() }];
    let empty = || std::sync::Arc::new(ImageVerdict { policies: vec![], warnings: vec![], valid_until: None });
    for (readings, verdicts) in [
        (vec![], vec![]),
        (reading(), vec![]),
        (reading(), vec![None]),
        (reading(), vec![Some(Ok((world.digest(), empty())))]),
        (reading(), vec![Some(Ok((Digest::sha256(b"other"), empty())))]),
        (vec![Reading::Settled], vec![None]),
    ] {
        let decision = set.decide(&workload, None, readings, verdicts, noon());
        assert_eq!((decision.allowed, decision.reason()), (false, Some(Reason::InternalError)));
    }
    let fault = Fault::new(Reason::ImageNotFound, "not there");
    let decision = set.decide(&workload, None, reading(), vec![Some(Err(fault.clone()))], noon());
    assert_eq!((decision.allowed, decision.reason()), (false, Some(Reason::ImageNotFound)));
    assert!(decision.message().starts_with("denied by ClusterImagePolicy \"shop\"\n"), "{}", decision.message());
    let audited = set.audit_only();
    let decision = audited.decide(&workload, None, reading(), vec![Some(Err(fault))], noon());
    assert!(decision.allowed);
    // What is broken in us is no finding of an audit.
    let broken = Fault::new(Reason::InternalError, "broken");
    let decision = audited.decide(&workload, None, reading(), vec![Some(Err(broken))], noon());
    assert_eq!((decision.allowed, decision.reason()), (false, Some(Reason::InternalError)));
}

#[test]
fn a_verdict_outlives_no_metadata() {
    let until = |spoil: fn(&mut World)| {
        let mut world = World::new();
        spoil(&mut world);
        let set = set(&world.policy());
        let mut assessment = Assessment::new(&set, &world.pinned().parse().unwrap(), NAMESPACE);
        for want in assessment.wants() {
            let found = match want {
                Want::Manifest(_) => Ok(Given::Manifest(world.manifest.clone())),
                Want::Signatures => world.signatures.clone().map(Given::Signatures),
                Want::Envelopes(_) => world.oci.clone().map(Given::Envelopes),
            };
            assessment.give(&want, found);
        }
        assessment.finish(noon()).valid_until.map(|until| until.to_string())
    };
    assert_eq!(until(|_| {}), Some("2030-01-01T00:00:00Z".into()));
    assert_eq!(until(|w| w.signatures = Ok(vec![])), Some("2026-11-23T12:00:10Z".into()));
    let down = |w: &mut World| w.signatures = Err(Fault::new(Reason::RegistryTimeout, "slow"));
    assert_eq!(until(down), Some("2026-11-23T12:00:00Z".into()));
}

#[test]
fn what_several_documents_get_wrong_is_named() {
    let policy = World::new().policy();
    for (from, to, expected) in [
        (
            "trust: release-keys",
            "trust: missing",
            "spec.require.all[0].signature.cosign.trust: names TrustRoot \"missing\"",
        ),
        (
            "owners: shop-owners",
            "owners: missing",
            "spec.require.all[1].supplyChain.layout.owners: names TrustRoot \"missing\"",
        ),
        ("signers: security-team", "signers: missing", "spec.exceptions.signers: names TrustRoot \"missing\""),
        ("threshold: 2", "threshold: 3", "spec.require.all[1].supplyChain.layout.threshold: is 3, expected 1 to 2"),
    ] {
        let errors = compile(&with(&policy, from, to), Unmatched::Warn).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].message.starts_with(expected), "{errors:?}");
        assert_eq!((errors[0].file.as_str(), errors[0].document), ("policy.yaml", 1));
    }
    let first = policy.split("---").next().unwrap();
    let errors = compile(&format!("{policy}---\n{first}"), Unmatched::Warn).unwrap_err();
    assert_eq!(errors[0].message, "metadata.name: duplicate ClusterImagePolicy \"shop\"");
    let registry = "---\napiVersion: tidewaiter.dev/v1alpha1\nkind: RegistryConfig\nmetadata: { name: NAME }\nspec: { host: r.example }\n";
    let two = registry.replace("NAME", "a") + &registry.replace("NAME", "b");
    assert_eq!(
        compile(&two, Unmatched::Warn).unwrap_err()[0].message,
        "spec.host: duplicate RegistryConfig for r.example"
    );
}

#[test]
fn the_hash_is_of_what_is_said_and_not_of_how() {
    let policy = World::new().policy();
    let hash = |text: &str| set(text).hash().clone();
    let (first, rest) = policy.split_once("---").unwrap();
    assert_eq!(hash(&policy), hash(&format!("# by hand\n---\n{rest}---\n{first}")), "order and comments");
    assert_eq!(hash(&policy), hash(&with(&policy, "  digest: Pin\n", "")), "a default written out");
    assert_eq!(hash(&policy), hash(&with(&policy, "{ name: shop }", "{ name: shop, labels: { a: b } }")));
    for (from, to) in [
        ("mode: Enforce", "mode: Warn"),
        ("threshold: 2", "threshold: 1"),
        ("\"shop-*\"", "\"shop-p*\""),
        ("name: alice", "name: carol"),
        ("\"name\":\"alice\"", "\"name\":\"carol\""),
        ("{ name: shop }", "{ name: shop2 }"),
        ("30d", "29d"),
    ] {
        if policy.contains(from) {
            assert_ne!(hash(&policy), hash(&with(&policy, from, to)), "{from}");
        }
    }
    let keyless = policy.replace(&format!("{:?}", "strangers"), "\"renamed\"");
    assert_ne!(hash(&policy), hash(&keyless));
}

#[test]
fn an_exception_waives_what_it_names_and_nothing_else() {
    let mut world = World::new();
    world.signatures = Ok(vec![]);
    let text = exception(&["released"], &format!("images: [\"{REPOSITORY}\"]"));
    let namespace = sealed(&world, &text);
    let set = set(&world.policy());
    let decision = world.judge_in(&set, &pod(&[&world.pinned()]), Some(&namespace));
    assert!(decision.allowed, "{}", decision.explain());
    let used = &decision.exceptions[0];
    assert!(used.honoured && used.policy == "ClusterImagePolicy/shop" && used.field == "spec.containers[0].image");
    assert!(decision.warnings.iter().any(|w| w.contains("admitted by an exception")), "{:?}", decision.warnings);
    let requirements = &decision.images[0].policies[0].requirements;
    assert_eq!((requirements[0].met, requirements[0].waived), (false, true));
    assert_eq!((requirements[1].met, requirements[1].waived), (true, false));

    // The chain is not waived.
    world.oci = Ok(vec![]);
    let decision = world.judge_in(&set, &pod(&[&world.pinned()]), Some(&namespace));
    assert!(!decision.allowed && decision.exceptions.is_empty());
    // Nor the digest rule, nor the sanity of references, whatever it names.
    let everything = sealed(&world, &exception(&["released", "built-by-us"], &format!("images: [\"{REPOSITORY}\"]")));
    assert!(world.judge_in(&set, &pod(&[&world.pinned()]), Some(&everything)).allowed);
    for image in [format!("{REPOSITORY}:1"), "registry.example.com/shop/API".into()] {
        assert!(!world.judge_in(&set, &pod(&[&image]), Some(&everything)).allowed, "{image}");
    }
    // Another image, another digest, another namespace.
    let other = format!("registry.example.com/shop/web@{}", world.digest());
    assert!(!world.judge_in(&set, &pod(&[&other]), Some(&everything)).allowed);
    let digests = |digest: Digest| exception(&["released", "built-by-us"], &format!("digests: [\"{digest}\"]"));
    let (same, different) = (sealed(&world, &digests(world.digest())), sealed(&world, &digests(Digest::sha256(b"o"))));
    assert!(world.judge_in(&set, &pod(&[&world.pinned()]), Some(&same)).allowed);
    assert!(!world.judge_in(&set, &pod(&[&world.pinned()]), Some(&different)).allowed);
    let workload = Workload { namespace: "shop-test".into(), ..pod(&[&world.pinned()]) };
    assert!(!world.judge_in(&set, &workload, Some(&everything)).allowed);
    // Another policy of the same requirements, and one of the namespace's own that is called the same.
    let other = with(&world.policy(), "metadata: { name: shop }", "metadata: { name: other }");
    let own = with(
        &world.policy(),
        "ClusterImagePolicy\nmetadata: { name: shop }",
        "ImagePolicy\nmetadata: { name: shop, namespace: NAMESPACE }",
    );
    let own = with(&own.replace("NAMESPACE", NAMESPACE), "  namespaces: [\"shop-*\"]\n", "");
    let own = with(&own, "  exceptions: { maxDuration: 30d, signers: security-team }\n", "");
    let both = format!("{}---\n{own}", world.policy().split("---").next().unwrap());
    for (text, unmet) in
        [(other, "ClusterImagePolicy/other".to_owned()), (both, format!("ImagePolicy/{NAMESPACE}/shop"))]
    {
        let decision = world.judge_in(&self::set(&text), &pod(&[&world.pinned()]), Some(&everything));
        let found: Vec<&str> = decision.images[0]
            .policies
            .iter()
            .filter(|policy| !policy.met)
            .map(|policy| policy.policy.as_str())
            .collect();
        assert_eq!((decision.allowed, found), (false, vec![unmet.as_str()]));
    }
}

pub(super) fn exception(requirements: &[&str], images: &str) -> String {
    format!(
        "{images}\npolicy: shop\nrequirements: {requirements:?}\nuntil: 2026-12-01T00:00:00Z\nreason: the signing service is down\n"
    )
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    /// Two exceptions of one namespace admit nothing that neither admits (security §2.C9).
    #[test]
    fn two_exceptions_together_do_no_more_than_each(
        met in proptest::collection::vec(proptest::bool::ANY, 4),
        first in proptest::collection::vec(proptest::bool::ANY, 4),
        second in proptest::collection::vec(proptest::bool::ANY, 4),
        needed in 1usize..=4,
    ) {
        let world = WORLD.get_or_init(World::new);
        let items: String = (0..4)
            .map(|i| format!("        - {{ name: r{i}, signature: {{ cosign: {{ trust: release-keys }} }} }}\n"))
            .collect();
        let policy = with(&world.policy(), "    all:\n", &format!("    atLeast:\n      count: {needed}\n      of:\n{items}"));
        let policy: String = policy.lines().filter(|l| !l.starts_with("      - {")).map(|l| format!("{l}\n")).collect();
        let set = set(&policy);
        let requirements: Vec<_> = met.iter().enumerate().map(|(i, met)| RequirementDecision {
            name: format!("r{i}"),
            met: *met,
            class: (!met).then_some(Class::Missing),
            reason: (!met).then_some(Reason::NoSignature),
            ..Default::default()
        }).collect();
        let count = met.iter().filter(|met| **met).count();
        let judge = |exceptions: &[&Vec<bool>]| {
            let texts: Vec<String> = exceptions.iter().map(|waived| {
                let names: Vec<String> = (0..4).filter(|i| waived[*i]).map(|i| format!("r{i}")).collect();
                json!({"images": [REPOSITORY], "policy": "shop", "requirements": names, "until": "2026-12-01T00:00:00Z", "reason": "x"}).to_string()
            }).collect();
            let namespace = sealed(world, &format!("[{}]", texts.join(",")));
            let verdict = ImageVerdict {
                policies: vec![PolicyDecision { policy: "ClusterImagePolicy/shop".into(), mode: Mode::Enforce, met: count >= needed, requirements: requirements.clone() }],
                warnings: vec![],
                valid_until: None,
            };
            let workload = pod(&[&world.pinned()]);
            let decision = set.decide(&workload, Some(&namespace), set.read(&workload), vec![Some(Ok((world.digest(), verdict.into())))], noon());
            decision.allowed
        };
        let nonempty = |waived: &Vec<bool>| waived.contains(&true);
        proptest::prop_assume!(nonempty(&first) && nonempty(&second));
        let (one, other) = (judge(&[&first]), judge(&[&second]));
        proptest::prop_assert_eq!(judge(&[&first, &second]), one || other);
        proptest::prop_assert_eq!(judge(&[&second, &first]), one || other);
    }
}
static WORLD: std::sync::OnceLock<World> = std::sync::OnceLock::new();

#[test]
fn a_policy_that_demands_the_same_as_another_is_judged_alike() {
    let mut world = World::new();
    world.signatures = Ok(vec![]);
    let first = world.policy().split("---").next().unwrap().replace("{ name: shop }", "{ name: shop-too }");
    let policy = world.policy() + "---\n" + &first;
    let decision = world.judge(&set(&policy), &pod(&[&world.pinned()]));
    let [one, two] = decision.images[0].policies.as_slice() else { panic!() };
    assert_eq!(one.requirements, two.requirements);
    assert!(RELEASED.contains("released") && !one.met);
    assert!(
        decision.message().starts_with("denied by ClusterImagePolicy \"shop\" and ClusterImagePolicy \"shop-too\"\n")
    );
}

#[test]
fn the_examples_compile() {
    for text in [include_str!("../../examples/policy.yaml"), include_str!("../../examples/namespaced-policy.yaml")] {
        assert_eq!(set(text).policies.len(), 1);
    }
}

#[test]
fn the_reference_lists_every_reason() {
    let text = include_str!("../../docs/policy.md");
    for reason in Reason::ALL {
        let line = format!("| `{}` | {} |", reason.as_str(), message::class_word(reason.class()));
        assert!(text.contains(&line), "{line}");
    }
}
