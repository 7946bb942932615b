//! What an outside program and a stranger at a terminal rely on (design §6, §11, §12, README): the binary, real files, exit codes.
#![cfg(feature = "programs")]

#[allow(dead_code)]
#[path = "support/registry.rs"]
mod registry;
#[allow(dead_code)]
#[path = "real/tools.rs"]
mod tools;
#[allow(dead_code)]
#[path = "support/world.rs"]
mod world;

use registry::{Kind, Registry};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};
use tools::Bench;
use world::{Chain, World};

const TIDEWAITER: &str = env!("CARGO_BIN_EXE_tidewaiter");
const PATH_OF_NOTHING: &str = "127.0.0.1:1";

/// Exit code, stdout, stderr of the binary in a directory, nothing of the developer's environment in it.
fn tidewaiter(dir: &Path, arguments: &[&str], env: &[(&str, &str)], stdin: &str) -> (i32, String, String) {
    let mut command = Command::new(TIDEWAITER);
    command.args(arguments).current_dir(dir).env_clear().env("HOME", dir).envs(env.iter().copied());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // One that does not read it may be gone already.
    let _ = child.stdin.take().expect("stdin").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

/// A world with a good image, and its policy in `policy.json`.
struct Shop {
    world: World,
    dir: tempfile::TempDir,
}

impl Shop {
    fn new() -> Self {
        let mut world = World::empty();
        world.image("good");
        world.sign("good", "release");
        world.chain("good", Chain::default());
        let shop = Shop { world, dir: tempfile::tempdir().expect("a scratch directory") };
        shop.policy(World::demands(), None);
        shop
    }

    /// Several documents, JSON, one after the other; the registry as the world has it or at another place.
    fn policy(&self, spec: Value, registry: Option<Value>) {
        let mut documents = self.world.documents(spec);
        if let (Some(last), Some(registry)) = (documents.last_mut(), registry) {
            last["spec"] = registry;
        }
        let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
        fs::write(self.dir.path().join("policy.json"), texts.join("\n---\n")).expect("a policy");
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        tidewaiter(self.dir.path(), arguments, &[], "")
    }

    fn decision(&self, image: &str) -> (i32, Value) {
        let (code, out, err) = self.run(&["verify", image, "--policy", "policy.json", "--output", "json"]);
        (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}")))
    }
}

/// In the order of the alphabet.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn the_decision_has_the_fields_of_the_contract() {
    let shop = Shop::new();
    let good = shop.world.images["good"].clone();
    let (code, decision) = shop.decision(&good.tagged());
    assert_eq!(code, 0, "{decision}");
    assert_eq!(
        keys(&decision),
        ["allowed", "apiVersion", "decidedAt", "exceptions", "images", "kind", "policyHash", "warnings"]
    );
    // The reference as it was given, the digest beside it.
    let expected = json!({"field": "spec.containers[0].image", "reference": good.tagged(), "digest": good.digest, "policies": [
        {"policy": "ClusterImagePolicy/shop", "mode": "Enforce", "met": true, "requirements": [
            {"name": "released", "met": true, "by": ["release"]}, {"name": "built-by-us", "met": true, "by": ["alice", "bob"]}]}]});
    assert_eq!(decision["images"], json!([expected]));

    let mut shop = shop;
    shop.world.image("bare");
    let (code, decision) = shop.decision(&shop.world.images["bare"].pinned());
    let requirement = &decision["images"][0]["policies"][0]["requirements"][1];
    assert_eq!((code, keys(requirement)), (3, vec!["class", "message", "met", "name", "reason"]), "{decision}");
    assert_eq!((&requirement["class"], &requirement["reason"]), (&json!("missing"), &json!("no_layout")));
    let message = requirement["message"].as_str().expect("a message");
    assert!(message.starts_with("no layout: nothing was found"), "{message}");
}

#[test]
fn a_tag_that_cannot_be_pinned_is_denied_for_why_it_cannot() {
    let shop = Shop::new();
    let (code, decision) = shop.decision("registry.example.com/shop/good:2");
    assert_eq!((code, &decision["images"][0]["reason"]), (1, &json!("image_not_found")), "{decision}");
    assert_eq!(decision["images"][0]["reference"], "registry.example.com/shop/good:2");

    let gone = World::at(PATH_OF_NOTHING);
    let shop = Shop { world: gone, ..shop };
    shop.policy(World::demands(), Some(json!({"host": PATH_OF_NOTHING, "allowPrivate": true, "insecure": true})));
    let (code, decision) = shop.decision("127.0.0.1:1/shop/good:1");
    assert_eq!((code, &decision["images"][0]["reason"]), (4, &json!("registry_unreachable")), "{decision}");
    // What a Require asks of the one who writes the reference, no lookup can mend.
    let mut strict = World::demands();
    strict["digest"] = json!("Require");
    shop.policy(strict, Some(json!({"host": PATH_OF_NOTHING, "allowPrivate": true, "insecure": true})));
    let (code, decision) = shop.decision("127.0.0.1:1/shop/good:1");
    let requirement = &decision["images"][0]["policies"][0]["requirements"][0];
    assert_eq!((code, &requirement["reason"]), (1, &json!("image_not_pinned")), "{decision}");
}

/// Design §6, less what is refused for now; keys are put in, since its own are cut short.
#[test]
fn the_documents_of_the_design_load_and_mirrors_are_not_asked_beside_a_layout_directory() {
    let shop = Shop::new();
    let good = shop.world.images["good"].clone();
    let (release, officer) = (shop.world.key("release").public().to_pem(), shop.world.key("officer").public().to_pem());
    let [alice, bob] = ["alice", "bob"].map(|name| json!(shop.world.key(name).public().to_pem()));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a mirror");
    listener.set_nonblocking(true).expect("a listener");
    let mirror = listener.local_addr().expect("its address");
    let text = format!(
        r#"apiVersion: tidewaiter.dev/v1alpha1
kind: ClusterImagePolicy
metadata: {{ name: shop }}
spec:
  images: ["registry.example.com/shop/**"]
  exclude: ["registry.example.com/shop/sandbox/**"]
  namespaces: ["shop-*"]             # by name; absent: all
  mode: Enforce                      # Enforce | Warn | Audit
  digest: Pin                        # Require | Pin | Resolve
  require:
    all:                             # all | any | atLeast: {{count: k, of: […]}}; empty is refused
      - name: released
        signature: {{ cosign: {{ trust: release-keys }} }}
      - name: built-by-us
        supplyChain:
          layout: {{ owners: shop-owners, threshold: 2 }}
          evidence: [oci, store]
          parameters: {{}}
  exceptions: {{ maxDuration: 30d, signers: security-team }}
---
apiVersion: tidewaiter.dev/v1alpha1
kind: TrustRoot
metadata: {{ name: shop-owners }}
spec:
  keys:
    - {{ name: alice, pem: {alice} }}
    - {{ name: bob, pem: {bob} }}
---
{{"apiVersion": "tidewaiter.dev/v1alpha1", "kind": "TrustRoot", "metadata": {{"name": "release-keys"}}, "spec": {{"keys": [{{"name": "release", "pem": {release}}}]}}}}
---
{{"apiVersion": "tidewaiter.dev/v1alpha1", "kind": "TrustRoot", "metadata": {{"name": "security-team"}}, "spec": {{"keys": [{{"name": "s", "pem": {officer}}}]}}}}
---
apiVersion: tidewaiter.dev/v1alpha1
kind: RegistryConfig
metadata: {{ name: internal }}
spec:
  host: registry.example.com
  allowPrivate: true
  insecure: false                    # plain http; refused together with credentials
  caBundle: "-----BEGIN CERTIFICATE-----…"
  mirrors: ["{mirror}/proxy"]
  ociLayout: {layout}     # read from disk instead of the network
---
apiVersion: tidewaiter.dev/v1alpha1
kind: RegistryConfig
metadata: {{ name: mirror }}
spec: {{ host: "{mirror}", allowPrivate: true, insecure: true }}
"#,
        release = json!(release),
        officer = json!(officer),
        layout = shop.world.layout_dir().display(),
    );
    fs::write(shop.dir.path().join("design.yaml"), &text).expect("a policy");
    let verify = |image: &str, namespace: &str| {
        shop.run(&["verify", image, "--policy", "design.yaml", "--namespace", namespace])
    };
    let (code, out, err) = verify(&good.pinned(), "shop-eu");
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, _) = verify(&good.pinned().replace("shop/good", "shop/evil"), "shop-eu");
    // Another name for the same bytes is another image: its chain is of another repository.
    assert!(code == 1 && out.contains("[rule_violation]"), "{out}");
    let (code, out, _) = verify(&good.pinned().replace("shop/good", "shop/sandbox/evil"), "shop-eu");
    assert!(code == 0 && out.contains("warning: spec.containers[0] \"verify\": no policy selects"), "{out}");
    let nobody = listener.accept().map(|(_, address)| address).map_err(|error| error.kind());
    assert_eq!(nobody, Err(std::io::ErrorKind::WouldBlock), "the mirror was asked");
    // The same from stdin.
    let (code, out, err) =
        tidewaiter(shop.dir.path(), &["verify", &good.pinned(), "--policy", "-", "-n", "shop-eu"], &[], &text);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn the_environment_and_stdin_do_as_the_flags() {
    let shop = Shop::new();
    let bare = "registry.example.com/shop/none:1";
    let with = |env: &[(&str, &str)]| {
        let env = [&[("TIDEWAITER_POLICY", "policy.json")], env].concat();
        tidewaiter(shop.dir.path(), &["verify", bare], &env, "").0
    };
    assert_eq!(with(&[]), 1);
    assert_eq!((with(&[("TIDEWAITER_AUDIT_ONLY", "1")]), with(&[("TIDEWAITER_AUDIT_ONLY", "no")])), (0, 1));
    let elsewhere = |unmatched: &str| {
        let env = [("TIDEWAITER_POLICY", "policy.json"), ("TIDEWAITER_UNMATCHED", unmatched)];
        tidewaiter(shop.dir.path(), &["verify", "other.example/a:1"], &env, "").0
    };
    // As the design writes it, and as a flag is written.
    assert_eq!((elsewhere("Deny"), elsewhere("deny"), elsewhere("Allow"), elsewhere("never")), (1, 1, 0, 2));
    // A denial names the policy; who takes that for a file is told what is wanted.
    let (code, _, err) = shop.run(&["verify", bare, "--policy", "shop"]);
    assert!(code == 2 && err.contains("file or directory that holds the documents"), "{err}");
    // Nothing watches stdin.
    assert_eq!(shop.run(&["webhook", "--policy", "-"]).0, 2);
}

#[test]
fn what_is_printed_is_printed_as_json_too() {
    let shop = Shop::new();
    let json = |arguments: &[&str], stdin: &str| -> (i32, Value) {
        let (code, out, err) = tidewaiter(shop.dir.path(), arguments, &[], stdin);
        (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}{err}")))
    };
    let (code, id, _) = shop.run(&["key", "new", "-o", "ci.pem"]);
    assert_eq!(code, 0);
    assert_eq!(json(&["key", "public", "ci.pem", "--output", "json"], "").1["id"], id.trim());
    assert_eq!(json(&["key", "id", "ci.pem.pub", "--output", "json"], "").1["id"], id.trim());
    let (_, template, _) =
        shop.run(&["layout", "init", "--image", "registry.example.com/shop/good", "--functionary", "ci.pem.pub"]);
    let (code, found) = json(&["layout", "lint", "-", "--output", "json"], &template);
    assert_eq!((code, found), (0, json!({"errors": [], "warnings": []})));
    let (code, found) =
        json(&["layout", "lint", "-", "--output", "json"], &template.replace("ALLOW *", "ALLOW src/**"));
    assert_eq!((code, &found["errors"][0]["place"]), (1, &json!("step \"build\": materials")));

    let image = shop.world.images["good"].pinned();
    let review = |image: &str| {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "api", "image": image}]}});
        let pods = json!({"group": "", "version": "v1", "resource": "pods"});
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u-1", "operation": "CREATE",
            "namespace": "default", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "resource": pods, "object": pod}})
        .to_string()
    };
    let arguments = ["review", "-", "--policy", "policy.json", "--output", "json"];
    let (code, answer) = json(&arguments, &review(&image));
    assert_eq!((code, &answer["response"]["uid"], &answer["response"]["allowed"]), (0, &json!("u-1"), &json!(true)));
    let evil = review(&image.replace("good", "evil"));
    let (code, answer) = json(&arguments, &evil);
    assert_eq!((code, &answer["response"]["status"]["reason"]), (1, &json!("rule_violation")));
    let (code, out, _) =
        tidewaiter(shop.dir.path(), &["review", "--policy", "policy.json", "--output", "text"], &[], &evil);
    let message = answer["response"]["status"]["message"].as_str().expect("a message");
    assert_eq!((code, out), (1, format!("denied\n{message}\n")));
}

/// An example that a terminal breaks is no longer a command.
#[test]
fn the_examples_of_every_help_text_can_be_pasted() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let help = |command: &[&str]| {
        let (code, out, err) = tidewaiter(dir.path(), &[command, &["--help"]].concat(), &[], "");
        assert_eq!((code, err.as_str()), (0, ""), "{command:?}");
        out
    };
    let commands = |text: &str| -> Vec<String> {
        let list = text.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
        let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        names.filter_map(|line| line.split_whitespace().next()).filter(|it| *it != "help").map(String::from).collect()
    };
    let mut seen = 0;
    for first in commands(&help(&[])) {
        let text = help(&[&first]);
        let below = commands(&text);
        let texts = match below.is_empty() {
            true => vec![(first.clone(), text)],
            false => below.iter().map(|second| (format!("{first} {second}"), help(&[&first, second]))).collect(),
        };
        for (command, text) in texts {
            let examples = text.split("Example").nth(1).map(|rest| rest.split_once(":\n").expect("a list").1);
            let Some(examples) = examples else {
                assert!(command == "version", "{command} has no example");
                continue;
            };
            let mut continued = false;
            for line in examples.lines() {
                seen += 1;
                assert!(line.len() <= 80, "{command}: {} columns: {line}", line.len());
                let begins = line.starts_with("  tidewaiter ")
                    || line.starts_with("  (cd ")
                    || line.starts_with("      kubectl ");
                assert!(
                    continued != begins || line.starts_with("      "),
                    "{command}: no command, nor the rest of one: {line}"
                );
                assert!(continued || begins, "{command}: {line}");
                continued = line.ends_with('\\');
            }
        }
    }
    assert!(seen > 30, "{seen} lines of examples");
}

/// The template that docs/layouts.md explains is one: linted, signed and shown by what the page says.
#[test]
fn the_template_of_the_documentation_is_one() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let page = include_str!("../docs/layouts.md").split("## The template").nth(1).expect("the section");
    let template = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a template");
    fs::write(dir.path().join("shop.yaml"), template).expect("a template");
    let run = |arguments: &[&str]| tidewaiter(dir.path(), arguments, &[], "");
    for key in ["ci.pem", "alice.pem", "bob.pem"] {
        assert_eq!(run(&["key", "new", "-o", key]).0, 0);
    }
    let (code, out, err) = run(&["layout", "lint", "shop.yaml"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    assert_eq!(run(&["layout", "sign", "shop.yaml", "--key", "alice.pem", "-o", "shop.layout"]).0, 0);
    assert_eq!(run(&["layout", "sign", "shop.layout", "--key", "bob.pem", "-o", "shop.layout"]).0, 0);
    let (code, out, _) = run(&["layout", "show", "shop.layout", "--key", "alice.pem.pub", "--key", "bob.pem.pub"]);
    assert!(code == 0 && out.matches("signed by ").count() == 2 && !out.contains("not signed by"), "{out}");
}

/// The README's own commands, run as they stand against a registry without the referrers API.
#[tokio::test(flavor = "multi_thread")]
async fn the_readme_is_true() {
    let registry = Registry::start(Kind::old()).await;
    let host = registry.address.to_string();
    let config = registry.blob(br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#);
    let push = |layer: &str, tag: &str| {
        let digest = registry.blob(layer.as_bytes());
        registry.manifest("shop/api", Some(tag), &json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.to_string(), "size": 78},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest.to_string(), "size": layer.len()}]}))
    };
    let (image, other) = (push("the product", "1"), push("another", "2"));
    let dir = tempfile::tempdir().expect("a scratch directory");
    fs::create_dir(dir.path().join("src")).expect("a source tree");
    fs::write(dir.path().join("src/main.c"), "int main;").expect("a source");
    fs::write(dir.path().join("Makefile"), "all:\n\t@true\n").expect("a Makefile");
    let readme = include_str!("../README.md");
    let block = readme.split("## Try it on an image").nth(1).expect("the section").split("```sh\n").nth(1);
    let block = block.and_then(|rest| rest.split("```").next()).expect("its commands");
    let script = block.replace("localhost:5000", &host).replace("sha256:3f9a…", &image.to_string());
    assert_ne!(script, block);
    let run = move |script: String| {
        let path = format!(
            "{}:{}",
            Path::new(TIDEWAITER).parent().expect("a folder").display(),
            std::env::var("PATH").expect("PATH")
        );
        let output = Command::new("sh")
            .args(["-euc", &script])
            .current_dir(dir.path())
            .env("PATH", path)
            .env("HOME", dir.path())
            .output();
        let output = output.expect("a shell");
        (
            output.status.code().expect("no signal"),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let denied = format!("tidewaiter verify {host}/shop/api@{other} --policy policy.yaml");
    // One layout by hand, at a registry without TLS and a private address, as `publish` and `inspect` reach it.
    let by_hand = |tag: &str, more: &str| {
        format!(
            "tidewaiter in-toto verify --layout shop.layout --key owner.pem.pub --links . --image {host}/shop/api:{tag} {more}"
        )
    };
    let scripts = [script, denied, by_hand("1", "--plain-http"), by_hand("2", "--plain-http"), by_hand("1", "")];
    let ran = tokio::task::spawn_blocking(move || scripts.map(run)).await.expect("it ran");
    assert!(ran[0].0 == 0 && ran[0].1.contains("built-by-us: met by owner"), "{}", ran[0].1);
    assert!(ran[1].0 == 3 && ran[1].1.contains("[no_layout]"), "{}", ran[1].1);
    assert!(ran[2].0 == 0 && ran[2].1.contains("signed by owner"), "{}", ran[2].1);
    assert!(ran[3].0 == 1 && ran[3].1.contains("[rule_violation]"), "{}", ran[3].1);
    assert!(ran[4].0 == 4 && ran[4].1.contains("[registry_un"), "{}", ran[4].1);

    // What was published is an evidence set as design §12 has it.
    let index = registry.find("shop/api", &format!("sha256-{}", image.hex())).expect("the tag schema");
    assert_eq!(index["manifests"][0]["artifactType"], "application/vnd.in-toto+json");
    let set = registry.find("shop/api", index["manifests"][0]["digest"].as_str().expect("a digest")).expect("the set");
    assert_eq!(
        (&set["artifactType"], &set["subject"]["digest"]),
        (&json!("application/vnd.in-toto+json"), &json!(image.to_string()))
    );
    assert_eq!(
        (&set["config"]["mediaType"], &set["config"]["size"]),
        (&json!("application/vnd.oci.empty.v1+json"), &json!(2))
    );
    let types: Vec<_> = set["layers"].as_array().expect("layers").iter().map(|layer| &layer["mediaType"]).collect();
    assert_eq!(types, [&json!("application/vnd.dsse.envelope.v1+json"); 2]);
}

/// The files that `tidewaiter inspect` writes lead stock `in-toto-verify`, and in-toto-golang, to our verdict, over links of stock `in-toto-run` and of ours,
/// in both containers.
#[test]
fn a_stock_verifier_reaches_the_same_verdict_over_what_inspect_writes() {
    let bench = Bench::new();
    let mut world = World::empty();
    let (good, _) = (world.image("good"), world.image("other"));
    for key in ["owner.pem", "ci.pem"] {
        bench.tidewaiter(&["key", "new", "-o", key]).expect(0);
    }
    bench.write("src/main.c", "int main;");
    // The first image of a layout directory of its own, as a build leaves it.
    let image = |name: &str| {
        let blob = |digest: &Value| format!("blobs/sha256/{}", &digest.as_str().expect("a digest")["sha256:".len()..]);
        let digest = json!(world.images[name].digest);
        let bytes = fs::read(world.layout_dir().join(blob(&digest))).expect("a manifest");
        let manifest: Value = serde_json::from_slice(&bytes).expect("JSON");
        for digest in [&digest, &manifest["config"]["digest"], &manifest["layers"][0]["digest"]] {
            let bytes = fs::read(world.layout_dir().join(blob(digest))).expect("a blob");
            bench.write(&format!("{name}/{}", blob(digest)), bytes);
        }
        bench.write(&format!("{name}/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
        let text = fs::read(world.layout_dir().join("index.json")).expect("an index");
        let mut index: Value = serde_json::from_slice(&text).expect("JSON");
        index["manifests"].as_array_mut().expect("entries").retain(|entry| entry["digest"] == digest);
        bench.write(&format!("{name}/index.json"), index.to_string());
    };
    image("good");
    image("other");
    for (builtin, rule) in [
        ("image", format!("MATCH oci:{} WITH PRODUCTS FROM build", good.repository)),
        ("blobs", "MATCH blobs/sha256/* WITH PRODUCTS IN good FROM build".to_owned()),
    ] {
        // Rules for both sides: a stock verifier sees the same files as materials and as products.
        bench.write("shop.yaml", format!("readme: \"\"\nexpires: 90d\nsteps:\n  - name: build\n    functionaries: [ci.pem.pub]\n    threshold: 1\n    \
            command: [make]\n    materials: [ALLOW src/*, DISALLOW *]\n    products: [ALLOW *]\ninspections:\n  - name: ship\n    run: [tidewaiter, inspect, {builtin}]\n    \
            materials: [{rule:?}, DISALLOW *]\n    products: [{rule:?}, DISALLOW *]\n"));
        for container in ["--dsse", "--metablock"] {
            bench
                .tidewaiter(&["layout", "sign", "shop.yaml", "--key", "owner.pem", "-o", "root.layout", container])
                .expect(0);
            for recorder in ["stock", "ours"] {
                let _ = fs::remove_dir_all(bench.path("links"));
                fs::create_dir(bench.path("links")).expect("a folder");
                match (recorder, builtin) {
                    // A stock recorder knows files, so the image's own name is a file too.
                    ("stock", "image") => continue,
                    ("stock", _) => {
                        let flag: &[&str] = if container == "--dsse" { &["--use-dsse"] } else { &[] };
                        let args = [
                            &["-n", "build", "-m", "src", "-p", "good", "--signing-key", "ci.pem", "-d", "links"],
                            flag,
                            &["--", "true"],
                        ];
                        bench.tool("in-toto-run", &args.concat()).expect(0);
                    }
                    _ => {
                        let reference = good.pinned();
                        let args = [
                            "run", "--step", "build", "-m", "src", "-p", "good", "--key", "ci.pem", "-d", "links",
                            container,
                        ];
                        bench.tidewaiter(&[&args[..], &["--image", &reference, "--", "true"]].concat()).expect(0);
                    }
                }
                for (name, code) in [("good", 0), ("other", 1)] {
                    let what = format!("{builtin} {container} {recorder} {name}");
                    let args =
                        ["in-toto", "verify", "--layout", "root.layout", "--key", "owner.pem.pub", "--links", "links"];
                    // Judged under the good image's name, whatever the layout directory holds.
                    let ours =
                        bench.tidewaiter(&[&args[..], &["--image-layout", name, "--image", &good.repository]].concat());
                    assert_eq!(ours.code, code, "{what}: {}{}", ours.stdout, ours.stderr);
                    let _ = fs::remove_dir_all(bench.path("inspected"));
                    fs::create_dir(bench.path("inspected")).expect("a folder");
                    bench
                        .tidewaiter(&["inspect", builtin, &good.repository, "--image-layout", name, "-o", "inspected"])
                        .expect(0);
                    let stock = stock_verify(&bench);
                    assert_eq!(stock.0, code, "{what}: {}", stock.1);
                    // Go writes a Metablock's keys anew before it verifies them, with members that ours do not have.
                    if container == "--dsse" {
                        let go = go_verify(&bench);
                        assert_eq!(go.0, code, "{what}: {}", go.1);
                    }
                }
            }
        }
    }
}

fn stock_verify(bench: &Bench) -> (i32, String) {
    let keys = ["--verification-keys", "../owner.pem.pub", "--link-dir", "../links"];
    over_inspected(bench, "in-toto-verify", &[&["--layout", "../root.layout"], &keys[..]].concat())
}

/// `in-toto-golang verify` looks for the owner's signature under an id of its own: the same signature stands there too.
fn go_verify(bench: &Bench) -> (i32, String) {
    // What the one before it left of its inspection would be an artifact.
    let _ = fs::remove_file(bench.path("inspected/ship.link"));
    let id = bench.tool("in-toto-golang", &["key", "id", "owner.pem.pub"]).expect(0).stdout.trim().to_owned();
    let text = fs::read(bench.path("root.layout")).expect("a layout");
    let mut layout: Value = serde_json::from_slice(&text).expect("JSON");
    let mut signature = layout["signatures"][0].clone();
    signature["keyid"] = id.into();
    layout["signatures"].as_array_mut().expect("signatures").push(signature);
    bench.write("go.layout", layout.to_string());
    let args = ["verify", "-l", "../go.layout", "-k", "../owner.pem.pub", "-d", "../links"];
    over_inspected(bench, "in-toto-golang", &args)
}

/// A verifier in the directory of the inspected files, with our tool on its PATH.
fn over_inspected(bench: &Bench, tool: &str, args: &[&str]) -> (i32, String) {
    let path = format!("{}:/usr/bin:/bin", Path::new(TIDEWAITER).parent().expect("a folder").display());
    let output = Command::new(tools::bin(tool))
        .args(args)
        .current_dir(bench.path("inspected"))
        .env("PATH", path)
        .output()
        .unwrap_or_else(|error| panic!("{tool}: {error}"));
    (output.status.code().expect("no signal"), String::from_utf8_lossy(&output.stderr).into_owned())
}
