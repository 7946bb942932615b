//! Images among the products, from the files that builders leave: recorded, and then admitted by both built-in inspections; each thing
//! that was altered afterwards is denied.

use super::{
    bench::{Bench, Ended},
    tools,
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};
use tidewaiter::Digest;

const IMAGE: &str = "registry.example.com/shop/api";

/// umoci, in the tree.
fn umoci(bench: &Bench, args: &[&str]) {
    let output = Command::new(tools::bin("umoci")).current_dir(bench.tree()).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A layout directory `image` made by umoci, with one layer.
fn built() -> Bench {
    let bench = Bench::new();
    fs::create_dir(bench.tree().join("rootfs")).unwrap();
    fs::write(bench.tree().join("rootfs/app"), "program").unwrap();
    umoci(&bench, &["init", "--layout", "image"]);
    umoci(&bench, &["new", "--image", "image:1"]);
    umoci(&bench, &["insert", "--rootless", "--image", "image:1", "rootfs", "/"]);
    umoci(&bench, &["config", "--image", "image:1", "--config.entrypoint", "/app"]);
    bench
}

fn blob(bench: &Bench, digest: &str) -> PathBuf {
    bench.tree().join("image/blobs").join(digest.replace(':', "/"))
}
fn read(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
/// The digests of the image: its manifest's first.
fn digests(bench: &Bench) -> Vec<String> {
    let top = read(bench.tree().join("image/index.json"))["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let manifest = read(blob(bench, &top));
    let mut all = vec![top, manifest["config"]["digest"].as_str().unwrap().to_owned()];
    all.extend(manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()));
    all
}

fn record(bench: &Bench, flags: &[&str]) -> Ended {
    let out = bench.fresh("links");
    let args = ["run", "-s", "build", "--key", "../key.pem", "--metablock", "-d", out.to_str().unwrap()];
    bench.ours(&[&args[..], flags, &["--", "true"]].concat())
}
fn products(bench: &Bench) -> Value {
    bench.links(&bench.root().join("links")).remove(0).1["products"].take()
}

/// Signs a layout whose inspection looks at the image, and verifies.
fn admitted(bench: &Bench, inspection: &str) -> Ended {
    let rule = match inspection {
        "image" => format!("MATCH oci:{IMAGE} WITH PRODUCTS FROM build"),
        _ => "MATCH blobs/sha256/* WITH PRODUCTS FROM build".to_owned(),
    };
    let template = format!(
        "expires: 1d\nsteps:\n  - name: build\n    functionaries: [key.pem.pub]\n    materials: [DISALLOW *]\n    products: [ALLOW *]\n\
         inspections:\n  - name: image\n    run: [tidewaiter, inspect, {inspection}]\n    materials: [\"{rule}\", DISALLOW *]\n"
    );
    fs::write(bench.root().join("layout.yaml"), template).unwrap();
    bench.ours(&["layout", "sign", "../layout.yaml", "--key", "../key.pem", "-o", "../root.layout"]).succeeded();
    bench.ours(&[
        "in-toto",
        "verify",
        "--layout",
        "../root.layout",
        "--key",
        "../key.pem.pub",
        "--links",
        "../links",
        "--image-layout",
        "image",
        "--image",
        IMAGE,
    ])
}
#[track_caller]
fn denied(ended: &Ended, reason: &str) {
    assert!(ended.code == 1 && ended.says.contains(reason), "{ended:?}");
}
#[track_caller]
fn refused(ended: &Ended, why: &str) {
    assert!(ended.code == 125 && ended.says.contains(why), "{ended:?}");
}

#[test]
fn a_layout_directory_is_recorded_whole_and_blob_by_blob() {
    let bench = built();
    record(&bench, &["--image", IMAGE, "--image-from-file", "image", "--image-blobs"]).succeeded();
    let hash = |digest: &String| json!({"sha256": digest.strip_prefix("sha256:").unwrap()});
    let digests = digests(&bench);
    let mut expected: serde_json::Map<String, Value> =
        digests.iter().map(|digest| (format!("blobs/{}", digest.replace(':', "/")), hash(digest))).collect();
    expected.insert(format!("oci:{IMAGE}"), hash(&digests[0]));
    assert_eq!(products(&bench), Value::Object(expected));
    for inspection in ["image", "blobs"] {
        admitted(&bench, inspection).succeeded();
    }
    // Another image in its place, by the same builder.
    umoci(&bench, &["config", "--image", "image:1", "--config.entrypoint", "/evil"]);
    denied(&admitted(&bench, "image"), "rule_violation");
    denied(&admitted(&bench, "blobs"), "rule_violation");
}

#[test]
fn without_the_blobs_the_blobs_are_not_tied() {
    let bench = built();
    record(&bench, &["--image", IMAGE, "--image-from-file", "image"]).succeeded();
    admitted(&bench, "image").succeeded();
    denied(&admitted(&bench, "blobs"), "rule_violation");
    // And the other way round: only the blobs, of an image that nobody named.
    record(&bench, &["--image-from-file", "image", "--image-blobs"]).succeeded();
    admitted(&bench, "blobs").succeeded();
    denied(&admitted(&bench, "image"), "rule_violation");
}

#[test]
fn a_blob_that_is_not_what_it_is_called_is_not_recorded() {
    let bench = built();
    for digest in digests(&bench) {
        let (path, content) = (blob(&bench, &digest), fs::read(blob(&bench, &digest)).unwrap());
        fs::write(&path, [&content[..], b" "].concat()).unwrap();
        refused(&record(&bench, &["--image-from-file", "image", "--image-blobs"]), "does not hash to its name");
        fs::remove_file(&path).unwrap();
        refused(
            &record(&bench, &["--image-from-file", "image", "--image-blobs"]),
            digest.strip_prefix("sha256:").unwrap(),
        );
        fs::write(&path, content).unwrap();
    }
    record(&bench, &["--image-from-file", "image", "--image-blobs"]).succeeded();
}

#[test]
fn an_index_is_recorded_with_what_it_runs() {
    let bench = built();
    let image = digests(&bench);
    let manifest = |digest: &str, platform: Value| {
        let size = fs::metadata(blob(&bench, digest)).unwrap().len();
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size, "platform": platform})
    };
    let attestation = Digest::sha256(b"{}");
    fs::write(blob(&bench, &attestation.to_string()), "{}").unwrap();
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        manifest(&image[0], json!({"os": "linux", "architecture": "amd64"})),
        manifest(&attestation.to_string(), json!({"os": "unknown", "architecture": "unknown"})),
    ]});
    let bytes = index.to_string();
    let digest = Digest::sha256(bytes.as_bytes());
    fs::write(blob(&bench, &digest.to_string()), &bytes).unwrap();
    let top = json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": digest.to_string(), "size": bytes.len()}]});
    fs::write(bench.tree().join("image/index.json"), top.to_string()).unwrap();

    record(&bench, &["--image", IMAGE, "--image-from-file", "image", "--image-blobs"]).succeeded();
    let products = products(&bench);
    assert_eq!(products[format!("oci:{IMAGE}")]["sha256"], digest.hex());
    assert_eq!(products.as_object().unwrap().len(), 2 + image.len(), "{products}");
    assert!(products[format!("blobs/sha256/{}", attestation.hex())].is_null());
    for inspection in ["image", "blobs"] {
        admitted(&bench, inspection).succeeded();
    }
    // A child more than was recorded.
    let mut more = index;
    let child = more["manifests"][0].clone();
    let other = fs::read_to_string(blob(&bench, &image[0])).unwrap() + " ";
    let other_digest = Digest::sha256(other.as_bytes());
    fs::write(blob(&bench, &other_digest.to_string()), &other).unwrap();
    more["manifests"].as_array_mut().unwrap().push(child);
    more["manifests"][2]["digest"] = json!(other_digest.to_string());
    more["manifests"][2]["size"] = json!(other.len());
    let bytes = more.to_string();
    let digest = Digest::sha256(bytes.as_bytes());
    fs::write(blob(&bench, &digest.to_string()), &bytes).unwrap();
    let mut top = top;
    top["manifests"][0]["digest"] = json!(digest.to_string());
    top["manifests"][0]["size"] = json!(bytes.len());
    fs::write(bench.tree().join("image/index.json"), top.to_string()).unwrap();
    for inspection in ["image", "blobs"] {
        denied(&admitted(&bench, inspection), "rule_violation");
    }
}

#[test]
fn a_configuration_alone_is_no_image() {
    let bench = built();
    let digests = digests(&bench);
    fs::write(bench.tree().join("iid"), &digests[1]).unwrap();
    refused(&record(&bench, &["--image", &format!("{IMAGE}@{}", digests[0]), "--iidfile", "iid"]), "no pod names");
    record(&bench, &["--image", IMAGE, "--image-from-file", "image", "--iidfile", "iid"]).succeeded();
    admitted(&bench, "image").succeeded();
    // Of another build.
    fs::write(bench.tree().join("iid"), &digests[0]).unwrap();
    let other = record(&bench, &["--image", IMAGE, "--image-from-file", "image", "--iidfile", "iid"]);
    refused(&other, "has the configuration");
    // What is no layout directory has neither blobs nor a configuration.
    fs::write(bench.tree().join("digest"), &digests[0]).unwrap();
    let flags = ["--image", IMAGE, "--image-from-file", "digest"];
    record(&bench, &flags).succeeded();
    refused(&record(&bench, &[&flags[..], &["--image-blobs"]].concat()), "no OCI image layout directory");
    refused(&record(&bench, &[&flags[..], &["--iidfile", "iid"]].concat()), "no OCI image layout directory");
    refused(&record(&bench, &["--image-blobs"]), "needs an --image-from-file");
}
