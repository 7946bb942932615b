//! Functionaries by certificate against in-toto-golang, whose invention they are: links recorded by `in-toto-golang run -c`, layouts signed by
//! it and by us, each judged by both. Where the two differ it is said why.

use super::tools::Bench;
use serde_json::{Value, json};
use std::fs;
use tidewaiter::{
    Layout,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    key::SecretKey,
};

/// A certificate by OpenSSL, with a new key `NAME.key`: `NAME.pem`, issued by `by`.
fn certify(bench: &Bench, name: &str, by: &str, key: &[&str], subject: &str, extensions: &str) {
    let openssl = |args: &[&str]| {
        let output = bench.command("openssl").args(args).output().expect("openssl runs");
        assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let [private, request, extended, pem] = ["key", "csr", "ext", "pem"].map(|kind| format!("{name}.{kind}"));
    openssl(&[&["genpkey", "-out", &private], key].concat());
    openssl(&["req", "-new", "-key", &private, "-subj", subject, "-out", &request]);
    bench.write(&extended, extensions);
    let (ca, ca_key) = (format!("{by}.pem"), format!("{by}.key"));
    let issuer =
        if by == name { vec!["-signkey", &private] } else { vec!["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"] };
    let sign = ["x509", "-req", "-in", &request, "-days", "30", "-extfile", &extended, "-out", &pem];
    openssl(&[&sign[..], &issuer].concat());
}

const EC: &[&str] =
    &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:named_curve"];
const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const ED25519: &[&str] = &["-algorithm", "ED25519"];
const AUTHORITY: &str = "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\n";
const LEAF: &str = "basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n";
const SPIFFE: &str = "subjectAltName=URI:spiffe://example.com/build\nextendedKeyUsage=serverAuth,clientAuth\n";

/// What in-toto-golang puts into a layout for a certificate or key: its id and its object.
fn key_object(bench: &Bench, file: &str) -> (String, Value) {
    let ran = bench.tool("in-toto-golang", &["key", "layout", file]).expect(0);
    let object: Value =
        serde_json::from_str(&format!("{{{}}}", ran.stdout)).unwrap_or_else(|e| panic!("{e}: {}", ran.stdout));
    let (id, object) = object.as_object().expect("an object").iter().next().expect("a member");
    (id.clone(), object.clone())
}

/// Root, intermediate, owner; and a link of step `build` by the functionary `cara`.
fn pipeline(key: &[&str], extensions: &str) -> Bench {
    let bench = Bench::new();
    certify(&bench, "root", "root", EC, "/O=Example/CN=root", AUTHORITY);
    certify(&bench, "mid", "root", EC, "/O=Example/CN=mid", AUTHORITY);
    certify(&bench, "cara", "mid", key, "/O=Example/CN=cara", &format!("{LEAF}{extensions}"));
    let owner = SecretKey::generate(tidewaiter::key::Scheme::Ed25519).unwrap();
    bench.write("owner.key", owner.to_pem());
    bench.write("owner.pub", owner.public().to_pem());
    bench.write("src", "source");
    let run = ["run", "-n", "build", "-k", "cara.key", "-c", "cara.pem", "-m", "src", "-p", "api", "-d", "links"];
    fs::create_dir(bench.path("links")).expect("a folder");
    bench.tool("in-toto-golang", &[&run[..], &["--", "cp", "src", "api"]].concat()).expect(0);
    bench
}

fn layout(bench: &Bench) -> Value {
    let ((root, root_object), (mid, mid_object)) = (key_object(bench, "root.pem"), key_object(bench, "mid.pem"));
    json!({"_type": "layout", "expires": "2030-01-01T00:00:00Z", "readme": "", "keys": {}, "inspect": [],
        "rootcas": {root.clone(): root_object}, "intermediatecas": {mid: mid_object},
        "steps": [{"_type": "step", "name": "build", "threshold": 1, "pubkeys": [], "expected_command": ["cp", "src", "api"],
            "cert_constraints": [{"common_name": "cara", "dns_names": [], "emails": [], "organizations": ["Example"], "roots": [root],
                "uris": ["spiffe://example.com/build"]}],
            "expected_materials": [["ALLOW", "src"], ["DISALLOW", "*"]], "expected_products": [["CREATE", "api"], ["DISALLOW", "*"]]}]})
}

/// Has in-toto-golang sign the layout; what we say (the exit code) and whether it passes there, with more flags for them.
#[track_caller]
fn judged(bench: &Bench, layout: &Value, theirs: &[&str]) -> (i32, String, bool) {
    bench.write("unsigned.layout", json!({"signed": layout, "signatures": []}).to_string());
    bench.tool("in-toto-golang", &["sign", "-f", "unsigned.layout", "-k", "owner.key", "-o", "root.layout"]).expect(0);
    both(bench, theirs)
}

fn both(bench: &Bench, theirs: &[&str]) -> (i32, String, bool) {
    let ours =
        bench.tidewaiter(&["in-toto", "verify", "--layout", "root.layout", "--key", "owner.pub", "--links", "links"]);
    let verify = ["verify", "-l", "root.layout", "-k", "owner.pub", "-d", "links"];
    let go = bench.tool("in-toto-golang", &[&verify[..], theirs].concat());
    (ours.code, format!("{}{}", ours.stdout, ours.stderr), go.code == 0)
}

#[test]
fn links_by_certificates_of_every_kind_of_key() {
    for (key, kind) in [(EC, "P-256"), (RSA, "RSA"), (ED25519, "ed25519")] {
        let bench = pipeline(key, SPIFFE);
        let (code, said, go) = judged(&bench, &layout(&bench), &[]);
        assert_eq!((code, go), (0, true), "{kind}: {said}");
        assert!(said.contains("spiffe://example.com/build"), "{said}");
    }
}

#[test]
fn constraints_are_judged_as_in_toto_golang_judges_them() {
    let bench = pipeline(EC, SPIFFE);
    certify(&bench, "other", "other", EC, "/O=Example/CN=other", AUTHORITY);
    let (other, other_object) = key_object(&bench, "other.pem");
    let honest = layout(&bench);
    let denied = |member: &str, value: Value, says: &str| {
        let mut layout = honest.clone();
        layout["steps"][0]["cert_constraints"][0][member] = value.clone();
        let (code, said, go) = judged(&bench, &layout, &[]);
        assert_eq!((code, go), (3, false), "{member} {value}: {said}");
        assert!(said.contains(says), "{member} {value}: {said}");
    };
    denied("common_name", json!("mallory"), "its common_name is \"cara\", expected \"mallory\"");
    denied("common_name", json!(""), "its common_name is \"cara\", expected none");
    denied("uris", json!([]), "expected none");
    denied("uris", json!([""]), "expected none");
    denied("uris", json!(["spiffe://example.com/build", "spiffe://example.com/a"]), "its uris is");
    denied("organizations", json!([]), "its organizations is \"Example\"");
    denied("dns_names", json!(["b.example.com"]), "its dns_names is missing");
    for (member, value) in
        [("common_name", json!("*")), ("uris", json!(["*"])), ("roots", json!(["*"])), ("dns_names", json!([""]))]
    {
        let mut layout = honest.clone();
        layout["steps"][0]["cert_constraints"][0][member] = value.clone();
        let (code, said, go) = judged(&bench, &layout, &[]);
        assert_eq!((code, go), (0, true), "{member} {value}: {said}");
    }

    // An authority that the layout does not name is none for us, and for in-toto-golang when it is told of it.
    let mut without = honest.clone();
    without.as_object_mut().unwrap().remove("intermediatecas");
    let (code, said, go) = judged(&bench, &without, &[]);
    assert_eq!((code, go), (3, false), "{said}");
    assert!(said.contains("no authority of the layout issued the certificate"), "{said}");
    let (code, said, go) = judged(&bench, &without, &["-i", "mid.pem"]);
    assert_eq!((code, go), (3, true), "{said}");

    // It compares `roots` with all roots of the layout and looks at no path (G4): we bind them to the path.
    let mut two = honest.clone();
    two["rootcas"][&other] = other_object;
    let (code, said, go) = judged(&bench, &two, &[]);
    assert_eq!((code, go), (0, false), "{said}");
    two["steps"][0]["cert_constraints"][0]["roots"] = json!([other]);
    let (code, said, go) = judged(&bench, &two, &[]);
    assert_eq!((code, go), (3, false), "{said}");
    assert!(said.contains("its path ends in"), "{said}");
}

#[test]
fn the_purpose_of_a_certificate() {
    let verdict = |extensions: &str| {
        let bench = pipeline(EC, &format!("subjectAltName=URI:spiffe://example.com/build\n{extensions}"));
        let (code, said, go) = judged(&bench, &layout(&bench), &[]);
        (code, go, said)
    };
    assert!(matches!(verdict(""), (0, true, _)));
    assert!(matches!(verdict("extendedKeyUsage=serverAuth\n"), (0, true, _)));
    // in-toto-golang knows serverAuth alone, which is nothing a functionary does.
    assert!(matches!(verdict("extendedKeyUsage=codeSigning\n"), (0, false, _)));
    let (code, go, said) = verdict("extendedKeyUsage=timeStamping\n");
    assert_eq!((code, go), (3, false), "{said}");
    assert!(said.contains("codeSigning, serverAuth and clientAuth"), "{said}");
}

#[test]
fn a_layout_of_ours_is_read_by_in_toto_golang() {
    let bench = pipeline(EC, SPIFFE);
    let owner = SecretKey::from_pem(&fs::read_to_string(bench.path("owner.key")).unwrap()).unwrap();
    let sign = |layout: &Value| {
        let layout = Layout::from_value(&layout.into()).unwrap().to_value();
        let payload = tidewaiter::json::to_text(&layout).into_bytes();
        let mut envelope = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, payload, &[&owner]).unwrap();
        // It looks for the id that it would give the key (in-toto §1.3, K1).
        envelope.signatures[0].keyid = Some(key_object(&bench, "owner.pub").0);
        bench.write("root.layout", envelope.to_bytes());
        both(&bench, &[])
    };
    let mut layout = layout(&bench);
    let (code, said, go) = sign(&layout);
    assert_eq!((code, go), (0, true), "{said}");
    layout["steps"][0]["cert_constraints"][0]["uris"] = json!(["spiffe://example.com/test"]);
    let (code, said, go) = sign(&layout);
    assert_eq!((code, go), (3, false), "{said}");
}

/// Its own demonstration: we read the layout, its authorities and constraints, and everything holds up to the inspection, which is a
/// command; so it does with the step's key in the layout taken out, for a link by the certificate that lies there for it.
#[test]
fn the_demonstration_of_in_toto_golang() {
    let bench = Bench::new();
    let data = super::tools::bin("in-toto-golang-data");
    let copy = |from: &str, to: &str| drop(bench.write(to, fs::read(data.join(from)).expect(from)));
    copy("demo.layout", "root.layout");
    copy("alice.pub", "owner.pub");
    copy("package.d3ffd108.link", "links/package.d3ffd108.link");
    copy("foo.tar.gz", "foo.tar.gz");
    let (code, said, _) = both(&bench, &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("write-code"), "{said}");
    copy("write-code.b7d643de.link", "links/write-code.b7d643de.link");
    let (code, said, go) = both(&bench, &[]);
    assert_eq!((code, go), (1, true), "{said}");
    assert!(said.contains("inspection \"untar\" asks to run"), "{said}");

    let owner = SecretKey::generate(tidewaiter::key::Scheme::Ed25519).unwrap();
    bench.write("owner.key", owner.to_pem());
    bench.write("owner.pub", owner.public().to_pem());
    copy("example.com.write-code.cert.pem", "cara.pem");
    copy("example.com.write-code.key.pem", "cara.key");
    bench.write("foo.py", fs::read(data.join("foo.tar.gz")).unwrap());
    let demo: Value = serde_json::from_slice(&fs::read(data.join("demo.layout")).unwrap()).unwrap();
    let mut layout = demo["signed"].clone();
    layout["inspect"] = json!([]);
    layout["steps"].as_array_mut().unwrap().truncate(1);
    layout["steps"][0]["pubkeys"] = json!([]);
    fs::remove_dir_all(bench.path("links")).unwrap();
    fs::create_dir(bench.path("links")).unwrap();
    let run = ["run", "-n", "write-code", "-k", "cara.key", "-p", "foo.py", "-d", "links", "-x"];
    bench.tool("in-toto-golang", &run).expect(0);
    let (code, said, go) = judged(&bench, &layout, &[]);
    assert_eq!((code, go), (3, false), "without the certificate: {said}");
    bench.tool("in-toto-golang", &[&run[..], &["-c", "cara.pem"]].concat()).expect(0);
    let (code, said, go) = judged(&bench, &layout, &[]);
    assert_eq!((code, go), (0, true), "{said}");
    assert!(said.contains("spiffe://example.com/write-code"), "{said}");
}
