//! What makes chains of different shapes: their layouts, and what their functionaries do otherwise than in the usual one.

use crate::{
    cases::{Recipe, Shape},
    evidence::{World, container},
    tools::{Ran, Workshop, signing_tool},
};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

/// Those who sign by GnuPG, and of which algorithm their keys are.
const GNUPG: [(&str, &str); 4] =
    [("fetcher", "rsa3072"), ("tester", "ed25519"), ("carol", "ed25519"), ("stranger", "ed25519")];

impl World {
    /// GnuPG's keys, each with its certificate, `gnupg/<name>.asc`.
    pub fn gnupg(&self) {
        let home = Workshop::at(self.shop.path("gnupg"));
        fs::set_permissions(home.path(""), Permissions::from_mode(0o700)).expect("a home of one's own");
        for (name, algorithm) in GNUPG {
            let address = format!("{name}@example.com");
            self.gpg(&["--passphrase", "", "--quick-gen-key", &address, algorithm, "sign,cert", "1y"]);
            home.write(&format!("{name}.asc"), self.gpg(&["--armor", "--export", &address]).stdout);
        }
    }

    /// An OpenPGP certificate.
    pub fn certificate(&self, name: &str) -> String {
        self.shop.read(&format!("gnupg/{name}.asc"))
    }

    /// A step that `in-toto-run` records and GnuPG signs.
    pub fn by_gnupg(&self, bench: &Workshop, name: &str, step: &[&str], command: &[&str]) {
        let by = self.signer(name);
        self.reference(bench, "in-toto-run", &[step, &["--gpg", &by[1], "--gpg-home", &by[0], "--"], command].concat());
    }

    /// GnuPG's home, and the fingerprint of a key in it.
    fn signer(&self, name: &str) -> [String; 2] {
        let listed = self.gpg(&["--with-colons", "--list-keys", &format!("{name}@example.com")]).stdout;
        let line = listed.lines().find(|line| line.starts_with("fpr:")).expect("a fingerprint");
        [self.shop.file("gnupg"), line.split(':').nth(9).expect("a fingerprint").to_owned()]
    }

    fn gpg(&self, args: &[&str]) -> Ran {
        self.shop.tool("gpg", &[&["--homedir", &self.shop.file("gnupg"), "--batch", "--quiet"], args].concat())
    }

    /// A program of the reference implementation, with our GnuPG.
    fn reference(&self, bench: &Workshop, program: &str, args: &[&str]) {
        let mut command = bench.command(signing_tool(program));
        Ran::of(command.env("GNUPG", signing_tool("gpg")).args(args)).expect(0);
    }

    /// `build.layout`, which answers the step `build`; and links for its two steps by somebody whom the root layout does not know.
    pub fn pack_and_release(&self, bench: &Workshop, packed: bool, repository: &str, name: &str) {
        let key = self.key("packer");
        let step = |step: &str, args: &[&str], command: &[&str]| {
            bench.tidewaiter(&[&["run", "--step", step, "--key", &key], args, &["--"], command].concat()).expect(0);
        };
        step("pack", &["-m", "src", "-m", "report.txt", "-p", "image"], &["sh", "build.sh", name]);
        if !packed {
            Ran::of(bench.command("sh").args(["-c", "rm pack.*.link"])).expect(0);
        }
        let image = ["-m", "image", "--image", repository, "--image-from-file", "image"];
        step("release", &image, &["test", "-s", "image/index.json"]);
        // What may be packed is said by the layout around it.
        bench.write(
            "build.yaml",
            format!(
                "expires: 30d
steps:
  - name: pack
    functionaries: [../keys/packer.pub]
    materials: [ALLOW *]
    products: [CREATE image/*, DISALLOW *]
  - name: release
    functionaries: [../keys/packer.pub]
    materials: [MATCH image/* WITH PRODUCTS FROM pack, DISALLOW *]
    products: [\"CREATE oci:{repository}\", DISALLOW *]
"
            ),
        );
        bench
            .tidewaiter(&["layout", "sign", "build.yaml", "-o", "build.layout", "--key", &self.key("builder")])
            .expect(0);
    }

    /// The step `build`, as one who attests tells it.
    pub fn attest(&self, bench: &Workshop, recipe: &Recipe, pinned: &str) {
        bench.write("provenance.py", include_str!("pipeline/provenance.py"));
        let predicate = bench.tool("python3", &["provenance.py", "src", "report.txt"]).stdout;
        bench.write("provenance.json", predicate);
        let what = ["attest", "--type", "slsaprovenance1", "--predicate", "provenance.json"];
        self.cosign(bench, recipe, "ci", &what, pinned);
    }

    /// `root.layout`, signed by the recipe's owners.
    pub fn layout(&self, bench: &Workshop, recipe: &Recipe, repository: &str) {
        bench.write("shop.yaml", template(recipe, repository));
        let mut owners: Vec<&str> = recipe.owners.to_vec();
        let python = recipe.metablock.then(|| owners.pop()).flatten();
        let keys: Vec<String> =
            owners.iter().map(|it| self.key(if *it == "stranger" { "stranger-owner" } else { it })).collect();
        let mut args = vec!["layout", "sign", "shop.yaml", "-o", "root.layout", container(recipe)];
        keys.iter().for_each(|key| args.extend(["--key", key]));
        bench.tidewaiter(&args).expect(0);
        let Some(owner) = python else { return };
        let sign = ["-f", "root.layout", "-a"];
        if recipe.shape == Shape::OpenPgp {
            let by = self.signer(owner);
            self.reference(bench, "in-toto-sign", &[&sign[..], &["--gpg", &by[1], "--gpg-home", &by[0]]].concat());
        } else {
            bench.tool("in-toto-sign", &[&sign[..], &["-k", &self.key(owner)]].concat());
        }
    }
}

/// The root layout of an image, before anybody signs it.
fn template(recipe: &Recipe, repository: &str) -> String {
    let [fetcher, tester] = ["fetcher", "tester"].map(|name| match recipe.shape {
        Shape::OpenPgp => format!("../gnupg/{name}.asc"),
        _ => format!("../keys/{name}.pub"),
    });
    let second = if recipe.testers > 1 { ", ../keys/second-tester.pub" } else { "" };
    let builder = if recipe.shape == Shape::Provenance { "ci" } else { "builder" };
    let sources = match recipe.shape {
        Shape::Parameters => "\"CREATE src/{SERVICE}.sh\", CREATE src/busybox",
        _ => "CREATE src/*",
    };
    let oci = match recipe.shape {
        Shape::Parameters => format!("oci:{}", repository.replace(&format!("/{}/", recipe.line), "/{SERVICE}/")),
        _ => format!("oci:{repository}"),
    };
    let (product, inspect, material) = match recipe.blobs {
        true => ("image/*", "blobs", "blobs/sha256/* WITH PRODUCTS IN image"),
        false => (oci.as_str(), "image", &*format!("{oci} WITH PRODUCTS")),
    };
    format!(
        "expires: {}
steps:
  - name: fetch
    functionaries: [{fetcher}]
    materials: [DISALLOW *]
    products: [{sources}, DISALLOW *]
  - name: test
    functionaries: [{tester}{second}]
    threshold: {}
    materials: [MATCH src/* WITH PRODUCTS FROM fetch, DISALLOW *]
    products: [CREATE report.txt, DISALLOW *]
  - name: build
    functionaries: [../keys/{builder}.pub]
    materials: [MATCH src/* WITH PRODUCTS FROM fetch, MATCH report.txt WITH PRODUCTS FROM test, DISALLOW *]
    products: [\"CREATE {product}\", DISALLOW *]
inspections:
  - name: image
    run: [tidewaiter, inspect, {inspect}]
    materials: [\"MATCH {material} FROM build\", DISALLOW *]
",
        recipe.expires, recipe.testers
    )
}
