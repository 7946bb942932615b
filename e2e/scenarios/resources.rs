//! Our own resources are refused at apply where they are wrong, by the name of what is wrong; what counted before goes on counting.

use super::in_cluster;
use crate::{runner::Scenario, stage::Stage, tools::eventually};

pub fn scenarios() -> Vec<Scenario> {
    in_cluster(
        "resources",
        &[
            ("wrong-field", wrong_field),
            ("not-there-yet", not_there_yet),
            ("in-use", in_use),
            ("namespaced", namespaced),
            ("threshold-out-of-reach", threshold_out_of_reach),
        ],
    )
}

/// Kind, the rest of the document, and what the refusal names.
const WRONG: &[(&str, &str, &str)] = &[
    ("ClusterImagePolicy", "{ images: [], require: { all: [R] } }", "spec.images"),
    ("ClusterImagePolicy", "{ images: [\"*/shop/**\"], require: { all: [R] } }", "spec.images[0]"),
    ("ClusterImagePolicy", "{ images: [\"**\"], mode: Enforced, require: { all: [R] } }", "spec.mode"),
    ("ClusterImagePolicy", "{ images: [\"**\"], digest: Maybe, require: { all: [R] } }", "spec.digest"),
    ("ClusterImagePolicy", "{ images: [\"**\"], require: { all: [] } }", "spec.require"),
    ("ClusterImagePolicy", "{ images: [\"**\"], requires: { all: [R] } }", "spec.requires"),
    ("ClusterImagePolicy", "{ images: [\"**\"], require: { all: [R, R] } }", "spec.require.all"),
    ("TrustRoot", "{ keys: [{ name: a, pem: nonsense }] }", "spec.keys[0].pem"),
    ("RegistryConfig", "{ host: \"registry.example.com/path\" }", "spec.host"),
    ("RegistryConfig", "{ host: registry.example.com, caBundle: nonsense }", "spec.caBundle"),
    ("RegistryConfig", "{ host: registry.example.com, mirrors: [\"https://mirror.example.com\"] }", "spec.mirrors[0]"),
];

const REQUIREMENT: &str = "{ name: released, signature: { cosign: { trust: release-keys } } }";

fn wrong_field(stage: &Stage) {
    let cluster = stage.guarded();
    for (kind, spec, field) in WRONG {
        let spec = spec.replace(" R]", &format!(" {REQUIREMENT}]")).replace("[R", &format!("[{REQUIREMENT}"));
        let document =
            format!("apiVersion: tidewaiter.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: wrong }}\nspec: {spec}\n");
        let ran = cluster.apply(&document, &[]);
        if ran.code == 0 {
            // What should not be there would spoil what comes after.
            cluster.kubectl(&["delete", kind, "wrong"]).expect(0);
        }
        assert!(ran.code == 1 && ran.stderr.contains(field), "{kind} {spec}: not refused for {field}\n{ran}");
        assert_eq!(cluster.kubectl(&["get", kind, "wrong"]).code, 1, "{kind} {spec}: and it is not there");
    }
}

/// Documents come in any order: a policy may name what another will bring. Until then it denies, and says so at once.
fn not_there_yet(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("early");
    let policy = format!(
        "apiVersion: tidewaiter.dev/v1alpha1
kind: ClusterImagePolicy
metadata: {{ name: early }}
spec:
  images: [\"**\"]
  namespaces: [{}]
  require: {{ all: [{{ name: released, signature: {{ cosign: {{ trust: late }} }} }}] }}
",
        namespace.name
    );
    cluster.apply(&policy, &[]).expect(0).says(&["Warning: TrustRoot \"late\" does not exist yet", "no_trust_root"]);
    let denied = eventually(10, "it denies", || {
        let ran = namespace.run("app", &world.pinned("good"), &["--dry-run=server"]);
        (ran.code == 1).then_some(ran)
    });
    cluster.kubectl(&["delete", "clusterimagepolicy", "early"]).expect(0);
    denied.says(&["ClusterImagePolicy \"early\"", "released: unavailable: ", "[no_trust_root]"]);
}

/// Who takes away what a policy names is told what that means.
fn in_use(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let ran = cluster.kubectl(&["delete", "trustroot", "release-keys", "--dry-run=server"]).expect(0);
    ran.says(&["Warning: ", "names TrustRoot \"release-keys\"", "no_trust_root"]);
    let namespace = cluster.namespace("use");
    namespace.run("app", &world.pinned("good"), &["--dry-run=server"]).expect(0);
}

/// Three owners, of the two that the TrustRoot has: that is denied, and never rounded down.
fn threshold_out_of_reach(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let namespace = cluster.namespace("three");
    let policy = |threshold: u32| {
        format!(
            "apiVersion: tidewaiter.dev/v1alpha1
kind: ClusterImagePolicy
metadata: {{ name: three-owners }}
spec:
  images: [\"**\"]
  namespaces: [{}]
  require: {{ all: [{{ name: owned, supplyChain: {{ layout: {{ owners: shop-owners, threshold: {threshold} }}, evidence: [oci] }} }}] }}
",
            namespace.name
        )
    };
    cluster.apply(&policy(3), &[]).expect(0);
    let run = || namespace.run("app", &world.pinned("good"), &["--dry-run=server"]);
    let denied = eventually(10, "it denies", || Some(run()).filter(|ran| ran.code == 1));
    cluster.apply(&policy(2), &[]).expect(0);
    eventually(10, "two are enough", || (run().code == 0).then_some(()));
    cluster.kubectl(&["delete", "clusterimagepolicy", "three-owners"]).expect(0);
    denied.says(&[
        "ClusterImagePolicy \"three-owners\"",
        "owned: invalid: ",
        "signed by 2 of the 3 owners",
        "[layout_untrusted]",
    ]);
}

/// An ImagePolicy asks for more in its own namespace, and nowhere else.
fn namespaced(stage: &Stage) {
    let (cluster, world) = (stage.guarded(), stage.world());
    let (strict, other) = (cluster.namespace("strict"), cluster.namespace("other"));
    let host = world.host(crate::cases::Host::Distribution);
    let policy = format!(
        "apiVersion: tidewaiter.dev/v1alpha1
kind: ImagePolicy
metadata: {{ name: officers-only, namespace: {} }}
spec:
  images: [\"{host}/**\"]
  require: {{ all: [{{ name: inspected, signature: {{ cosign: {{ trust: security-team }} }} }}] }}
",
        strict.name
    );
    cluster.apply(&policy, &[]).expect(0);
    eventually(10, "the policy counts in its namespace", || {
        let ran = strict.run("app", &world.pinned("good"), &["--dry-run=server"]);
        (ran.code == 1).then(|| ran.says(&["ImagePolicy", "officers-only", "inspected", "[signature_untrusted]"]))
    });
    other.run("app", &world.pinned("good"), &["--dry-run=server"]).expect(0);
}
