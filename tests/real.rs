//! The product against real parts: Debian's docker-registry (no referrers API) and a registry with it, over plain http and TLS, with
//! basic and bearer authentication; images signed by cosign 2 and 3; links recorded by `in-toto-run`, layouts signed by Python
//! in-toto, that of today and an old one; statements by witness and cosign. `tests/tools/install` brings them.

#[path = "real/golang.rs"]
mod golang;
#[path = "real/images.rs"]
mod images;
#[path = "real/old.rs"]
mod old;
#[path = "real/openpgp.rs"]
mod openpgp;
#[path = "real/statements.rs"]
mod statements;
#[path = "real/tools.rs"]
mod tools;

use images::{Image, Site, documents, policy, trust_root};
use std::fs;
use tools::{Bench, Ran, Server, certificate};

const RELEASED: &str = "{ name: released, signature: { cosign: { trust: release-keys } } }";
const BUILT: &str = "{ name: built-by-us, supplyChain: { layout: { owners: shop-owners }, evidence: [oci] } }";

/// A build that leaves its image as an OCI layout directory does.
const COPY: &str = "mkdir -p image/blobs/sha256
for f in blob-*; do cp $f image/blobs/sha256/$(sha256sum < $f | cut -c1-64); done
";

/// Every registry there is to be read.
fn sites(bench: &Bench) -> Vec<(&'static str, Site)> {
    let (cert, key, ca) = certificate(bench);
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let tls = |auth: &str| {
        let args = ["-cert", &cert, "-key", &key, "-user", "ci:s3cret", "-auth", auth, "-page", "1"];
        Site { server: Server::registry(bench, &args), ca: Some(ca.clone()), login: Some(("ci", "s3cret")) }
    };
    let plain = |server| Site { server, ca: None, login: None };
    vec![
        ("docker-registry, http", plain(Server::docker_registry(bench))),
        ("referrers API in pages of one, http", plain(Server::registry(bench, &["-page", "1"]))),
        ("referrers API, TLS, basic", tls("basic")),
        ("referrers API, TLS, bearer", tls("bearer")),
    ]
}

/// cosign keys `<name>.key` and `<name>.pub`; the public half.
fn cosign_keys(bench: &Bench, name: &str) -> String {
    bench.tool("cosign-3", &["generate-key-pair", "--output-key-prefix", name]).expect(0);
    fs::read_to_string(bench.path(&format!("{name}.pub"))).expect("a public key")
}

/// Environment under which cosign reaches the site.
fn cosign_env(bench: &Bench, site: &Site) -> Vec<(&'static str, String)> {
    let mut env = Vec::new();
    if let Some(ca) = &site.ca {
        env.push(("SSL_CERT_FILE", bench.write("ca.pem", ca).display().to_string()));
    }
    if let Some((user, password)) = site.login {
        bench.write("cosign-docker/config.json", site.docker_config(user, password));
        env.push(("DOCKER_CONFIG", bench.path("cosign-docker").display().to_string()));
    }
    env
}

fn cosign(bench: &Bench, site: &Site, version: &str, args: &[&str]) -> Ran {
    let env = cosign_env(bench, site);
    let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (*k, v.as_str())).collect();
    bench.tool_with(version, &env, args)
}

/// The legacy layout.
fn sign_legacy(bench: &Bench, site: &Site, key: &str, image: &Image) {
    let args = ["sign", "--key", key, "--tlog-upload=false", "--allow-insecure-registry", "-y", &image.pinned()];
    cosign(bench, site, "cosign-2", &args).expect(0);
}

/// The Sigstore bundle: `sign`, or `attest` with a predicate.
fn sign_bundle(bench: &Bench, site: &Site, verb: &str, key: &str, image: &Image) {
    if !bench.path("signing.json").exists() {
        let args = ["--no-default-fulcio", "--no-default-oidc", "--no-default-rekor", "--no-default-tsa"];
        let args = [&["signing-config", "create"], &args[..], &["--out", "signing.json"]].concat();
        bench.tool("cosign-3", &args).expect(0);
        bench.write("root.json", r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#);
        bench.write("predicate.json", "{}");
    }
    let pinned = image.pinned();
    let mut args = vec![verb, "--key", key, "--signing-config", "signing.json", "--trusted-root", "root.json"];
    args.extend(["--allow-insecure-registry", "-y"]);
    if site.ca.is_none() {
        args.push("--allow-http-registry");
    }
    if verb == "attest" {
        args.extend(["--type", "custom", "--predicate", "predicate.json"]);
    }
    args.push(&pinned);
    cosign(bench, site, "cosign-3", &args).expect(0);
}

fn verify(bench: &Bench, policy: &str, image: &str) -> Ran {
    bench.tidewaiter(&["verify", image, "--policy", policy, "--output", "json"])
}

/// The one requirement's reason.
#[track_caller]
fn reason(ran: &Ran) -> String {
    ran.json()["images"][0]["policies"][0]["requirements"][0]["reason"].as_str().unwrap_or("none").to_owned()
}

#[test]
fn cosign_signatures_of_both_generations_in_every_registry() {
    let bench = Bench::new();
    let release = cosign_keys(&bench, "release");
    cosign_keys(&bench, "stranger");
    for (what, site) in sites(&bench) {
        let policy = documents(
            &bench,
            &[
                policy(&site.host(), &[RELEASED]),
                trust_root("release-keys", &[("release", &release)]),
                site.config(&bench),
            ],
        );
        let legacy = site.push("legacy", "one");
        sign_legacy(&bench, &site, "release.key", &legacy);
        let ran = verify(&bench, &policy, &legacy.pinned()).expect(0);
        assert_eq!(ran.json()["images"][0]["policies"][0]["requirements"][0]["by"][0], "release", "{what}");

        let bundle = site.push("bundle", "two");
        // An attestation and a stranger's signature come first and must not get in the way, on another page of the referrers.
        sign_bundle(&bench, &site, "attest", "release.key", &bundle);
        sign_bundle(&bench, &site, "sign", "stranger.key", &bundle);
        let ran = verify(&bench, &policy, &bundle.pinned()).expect(1);
        assert!(
            ["signature_untrusted", "signature_invalid"].contains(&reason(&ran).as_str()),
            "{what}: {}",
            ran.stdout
        );
        sign_bundle(&bench, &site, "sign", "release.key", &bundle);
        verify(&bench, &policy, &bundle.pinned()).expect(0);

        let unsigned = site.push("unsigned", "three");
        assert_eq!(reason(&verify(&bench, &policy, &unsigned.pinned()).expect(3)), "no_signature", "{what}");

        let foreign = site.push("foreign", "four");
        sign_legacy(&bench, &site, "stranger.key", &foreign);
        assert_eq!(reason(&verify(&bench, &policy, &foreign.pinned()).expect(1)), "signature_untrusted", "{what}");

        // The tag names what was signed, and then something else.
        let tag = format!("{}:v1", legacy.repository);
        let ran = verify(&bench, &policy, &tag).expect(0);
        assert_eq!(ran.json()["images"][0]["digest"], legacy.digest.as_str(), "{what}");
        site.push("legacy", "another one");
        assert_eq!(reason(&verify(&bench, &policy, &tag).expect(3)), "no_signature", "{what}");
        assert!(!site.server.log().iter().any(|line| line.contains("s3cret")), "{what}: a secret in a log");
    }
}

#[test]
fn a_chain_by_in_toto_run_and_python_layouts_in_every_registry() {
    let bench = Bench::new();
    let owner = chain_keys(&bench);
    for (what, site) in sites(&bench) {
        let image = site.push("chain", "the product");
        // The build step really runs under in-toto-run, and leaves the image's blobs as an OCI layout would.
        let hex = image.digest.strip_prefix("sha256:").expect("sha256").to_owned();
        bench.tool("python3", &["layout.py"]).expect(0);
        let steps: [(&str, &[&str]); 2] = [
            ("fetch", &["-p", "src.c", "--", "sh", "-c", "printf 'int main;' > src.c"]),
            ("build", &["-m", "src.c", "-p", "src.c", "image", "--", "sh", "copy.sh"]),
        ];
        let _ = fs::remove_dir_all(bench.path("image"));
        let _ = fs::remove_file(bench.path("src.c"));
        bench.write("copy.sh", COPY);
        for (i, blob) in image.blobs.iter().enumerate() {
            bench.write(&format!("blob-{i}"), blob);
        }
        for (step, args) in steps {
            let args = [&["-n", step, "--signing-key", "functionary.pem"], args].concat();
            bench.tool("in-toto-run", &args).expect(0);
        }
        assert!(bench.path(&format!("image/blobs/sha256/{hex}")).exists(), "{what}: the manifest is a product");
        let mut evidence: Vec<String> = links(&bench);
        evidence.push("root.layout".into());
        publish(&bench, &site, &image, &evidence).expect(0);
        let policy = documents(
            &bench,
            &[policy(&site.host(), &[BUILT]), trust_root("shop-owners", &[("owner", &owner)]), site.config(&bench)],
        );
        let ran = verify(&bench, &policy, &image.pinned()).expect(0);
        assert_eq!(ran.json()["images"][0]["policies"][0]["requirements"][0]["by"][0], "owner", "{what}");

        // The same evidence says nothing of another image, wherever it is published.
        let other = site.push("other", "not the product");
        publish(&bench, &site, &other, &evidence).expect(0);
        let denied = verify(&bench, &policy, &other.pinned()).expect(1);
        assert_eq!(reason(&denied), "rule_violation", "{what}: {}", denied.stdout);
        // A chain with a link short.
        let short = site.push("short", "the product");
        publish(&bench, &site, &short, &["root.layout".to_owned()]).expect(0);
        assert_eq!(reason(&verify(&bench, &policy, &short.pinned()).expect(3)), "threshold_not_met", "{what}");
        // And an image without any evidence.
        let bare = site.push("bare", "the product, unpublished");
        assert_eq!(reason(&verify(&bench, &policy, &bare.pinned()).expect(3)), "no_layout", "{what}");
        for link in links(&bench) {
            fs::remove_file(bench.path(&link)).expect("a link to remove");
        }
    }
}

#[test]
fn a_link_of_ours_is_the_link_of_in_toto_run() {
    let bench = Bench::new();
    chain_keys(&bench);
    bench.write("src/a b.c", "int main;\r\n");
    bench.write("src/deep/é.txt", "text");
    bench.write("src/.hidden", "");
    std::os::unix::fs::symlink("a b.c", bench.path("src/link.c")).expect("a link");
    let command = ["--", "sh", "-c", "cat src/*.c > out.txt"];
    let signed = |path: &str| {
        let link: serde_json::Value =
            serde_json::from_slice(&fs::read(bench.path(path)).expect("a link")).expect("JSON");
        assert_eq!(link["signatures"].as_array().map(Vec::len), Some(1), "{path}");
        (link["signatures"][0]["keyid"].clone(), link["signed"].clone())
    };
    let theirs = ["-n", "build", "--signing-key", "functionary.pem", "-m", "src", "-p", "src", "out.txt"];
    bench.tool("in-toto-run", &[&theirs[..], &command].concat()).expect(0);
    let theirs = links(&bench).pop().expect("a link");
    let expected = signed(&theirs);
    fs::remove_file(bench.path(&theirs)).expect("it was there");
    fs::remove_file(bench.path("out.txt")).expect("it was made");

    let ours = [
        "run",
        "--step",
        "build",
        "--metablock",
        "--key",
        "functionary.pem",
        "-m",
        "src",
        "-p",
        "src",
        "-p",
        "out.txt",
    ];
    bench.tidewaiter(&[&ours[..], &command].concat()).expect(0);
    assert_eq!(links(&bench), std::slice::from_ref(&theirs), "under the same file name");
    assert_eq!(signed(&theirs), expected);
    assert_eq!(expected.1["materials"].as_object().map(serde_json::Map::len), Some(4));

    // A file more is another link.
    bench.write("src/more", "");
    bench.tidewaiter(&[&ours[..], &command].concat()).expect(0);
    assert_ne!(signed(&theirs), expected);
}

/// Owner and functionary keys as PEM; the owner's public key.
fn chain_keys(bench: &Bench) -> String {
    for key in ["owner.pem", "functionary.pem"] {
        bench.tidewaiter(&["key", "new", "-o", key]).expect(0);
    }
    bench.write("layout.py", include_str!("real/layout.py"));
    fs::read_to_string(bench.path("owner.pem.pub")).expect("a public key")
}

fn links(bench: &Bench) -> Vec<String> {
    let names = fs::read_dir(bench.dir.path()).expect("the scratch directory").flatten();
    names.filter_map(|e| e.file_name().into_string().ok()).filter(|n| n.ends_with(".link")).collect()
}

fn publish(bench: &Bench, site: &Site, image: &Image, files: &[String]) -> Ran {
    let reference = image.pinned();
    let mut args = vec!["publish", &reference];
    args.extend(files.iter().map(String::as_str));
    let ca;
    if let Some(pem) = &site.ca {
        ca = bench.write("ca.pem", pem).display().to_string();
        args.extend(["--ca-file", &ca]);
    } else {
        args.push("--plain-http");
    }
    let config;
    if let Some((user, password)) = site.login {
        config = bench.write("publish.json", site.docker_config(user, password)).display().to_string();
        args.extend(["--docker-config", &config]);
    }
    bench.tidewaiter(&args)
}
