//! The resources of the world, as they are applied to the cluster and read by `tidewaiter verify`: the same files.

use crate::{cases::Host, evidence::World};
use std::fmt::Write as _;

/// What opens the store, for who writes and for who reads.
pub const TOKEN: &str = "4f7c0d2b9e816a35c4d0f1e2b3a495867";

/// The pipelines' own, in `scenarios/store`.
pub const FLOW_TOKEN: &str = "b21d0c6a9f7e48530c1e2d3f4a5968778";

/// Writes `policies/*.yaml` and the store's `store.yaml`.
pub fn write(world: &World) {
    let owners = trust_root(world, "shop-owners", &["alice", "bob"]);
    let pgp = trust_root(world, "pgp-owners", &["alice"]) + &openpgp(world, "carol");
    let release = trust_root(world, "release-keys", &["release"]);
    let security = trust_root(world, "security-team", &["officer"]);
    world.shop.write("policies/0-trust.yaml", [owners.clone(), pgp, release, security].join("---\n"));
    let registries: Vec<String> = world.hosts().iter().enumerate().map(|(i, host)| registry(world, i, host)).collect();
    world.shop.write("policies/1-registries.yaml", registries.join("---\n"));
    let lines = [
        policy(world, "shop", "Enforce", &[RELEASED, BUILT]),
        policy(world, "stored", "Enforce", &[RELEASED, STORED]),
        policy(world, "flow", "Enforce", &[RECORDED, BUILT]),
        policy(world, "pgp", "Enforce", &[RELEASED, PGP]),
        policy(world, "app", "Enforce", &[RELEASED, &service("app")]),
        policy(world, "web", "Enforce", &[RELEASED, &service("web")]),
        policy(world, "warned", "Warn", &[RELEASED]),
        policy(world, "audited", "Audit", &[RELEASED]),
    ];
    world.shop.write("policies/2-policies.yaml", lines.join("---\n"));
    let store = [stored(), flow(world), registries.join("---\n"), owners];
    world.shop.write("store.yaml", store.join("---\n"));
}

const RELEASED: &str = "{ name: released, signature: { cosign: { trust: release-keys } } }";
const BUILT: &str =
    "{ name: built-by-us, supplyChain: { layout: { owners: shop-owners, threshold: 2 }, evidence: [oci] } }";
const STORED: &str =
    "{ name: built-by-us, supplyChain: { layout: { owners: shop-owners, threshold: 2 }, evidence: [store] } }";
/// As the store in the cluster has it; `BUILT` beside it is what the store has published.
const RECORDED: &str =
    "{ name: recorded, supplyChain: { layout: { owners: shop-owners, threshold: 2 }, evidence: [store] } }";
const PGP: &str =
    "{ name: built-by-us, supplyChain: { layout: { owners: pgp-owners, threshold: 2 }, evidence: [oci] } }";

/// `BUILT`, for layouts that are the same for every service.
fn service(name: &str) -> String {
    let chain = "layout: { owners: shop-owners, threshold: 2 }, evidence: [oci]";
    format!("{{ name: built-by-us, supplyChain: {{ {chain}, parameters: {{ SERVICE: {name} }} }} }}")
}

/// Over the product line of that name, in every registry.
fn policy(world: &World, line: &str, mode: &str, requirements: &[&str]) -> String {
    let mut text = head("ClusterImagePolicy", line);
    let images: Vec<String> = world.hosts().iter().map(|host| format!("\"{host}/{line}/**\"")).collect();
    let _ = writeln!(text, "  images: [{}]", images.join(", "));
    let _ = writeln!(
        text,
        "  mode: {mode}\n  exceptions: {{ signers: security-team, maxDuration: 30d }}\n  require:\n    all:"
    );
    for requirement in requirements {
        let _ = writeln!(text, "      - {requirement}");
    }
    text
}

fn trust_root(world: &World, name: &str, keys: &[&str]) -> String {
    let mut text = head("TrustRoot", name) + "  keys:\n";
    for key in keys {
        let _ = writeln!(text, "    - name: {key}\n      pem: |");
        indent(&mut text, 8, &world.public(key));
    }
    text
}

/// One more key for a TrustRoot: a certificate.
fn openpgp(world: &World, name: &str) -> String {
    let mut text = format!("    - name: {name}\n      pgp: |\n");
    indent(&mut text, 8, &world.certificate(name));
    text
}

fn registry(world: &World, number: usize, host: &str) -> String {
    let mut text = head("RegistryConfig", &format!("registry-{number}"));
    let _ = writeln!(text, "  host: \"{host}\"\n  allowPrivate: true\n  caBundle: |");
    indent(&mut text, 4, &world.tls.ca);
    text
}

fn stored() -> String {
    chain("stored", "[\"**\"]", TOKEN)
}

/// The chain of the pipelines in `scenarios/store`: what they send is published, and the cluster says what it decides.
fn flow(world: &World) -> String {
    let images: Vec<String> =
        [Host::Distribution, Host::Referrers].iter().map(|it| format!("\"{}/flow/*\"", world.host(*it))).collect();
    chain("flow", &format!("[{}]", images.join(", ")), FLOW_TOKEN) + "  publish: {}\n"
}

/// `writer`: the token of who writes. The webhook reads with its own, and reports.
fn chain(name: &str, images: &str, writer: &str) -> String {
    use sha2::{Digest, Sha256};
    let hash = |token: &str| hex::encode(Sha256::digest(token));
    let mut text = head("Chain", name);
    let _ = writeln!(text, "  owners: {{ trust: shop-owners, threshold: 2 }}\n  images: {images}");
    let _ = writeln!(
        text,
        "  writers:\n    - {{ name: ci, tokenHash: \"sha256:{}\", steps: [\"*\"], kinds: [layout, link] }}",
        hash(writer)
    );
    let _ = writeln!(text, "  readers:\n    - {{ name: e2e, tokenHash: \"sha256:{}\", reports: true }}", hash(TOKEN));
    text
}

fn head(kind: &str, name: &str) -> String {
    format!("apiVersion: tidewaiter.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec:\n")
}

fn indent(text: &mut String, by: usize, block: &str) {
    for line in block.lines() {
        let _ = writeln!(text, "{:by$}{line}", "");
    }
}
