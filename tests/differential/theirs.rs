//! The test data that other implementations carry in their packages, got by `tests/tools/install` and never committed: their own keys,
//! layouts and links, with the verdict that each verifier owes.
//!
//! A layout that would run a command is refused as it is; a copy without its inspection, signed by us, is given to all.

use super::{
    case::{By, Doc},
    keys,
    peers::{self, Python},
    tools,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tidewaiter::{
    envelope::Envelope,
    intoto::Profile,
    json,
    key::{KeyError, PublicKey},
};

fn fixture(path: &str) -> PathBuf {
    let bin = tools::bin("python3");
    bin.parent().and_then(Path::parent).expect("the cache of the tools").join("fixtures").join(path)
}

/// A case folder with somebody else's links.
struct Theirs(tempfile::TempDir);

impl Theirs {
    /// `links` are files of the fixtures, each with its path below the directory of links.
    fn new(links: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (from, to) in links {
            let to = folder.path().join("links").join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(fixture(from), to).unwrap_or_else(|error| panic!("{from}: {error}"));
        }
        Theirs(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Their layout as it is, with their key.
    fn with(self, layout: &str, key: &str) -> Self {
        fs::copy(fixture(layout), self.path().join("root.layout")).unwrap();
        fs::copy(fixture(key), self.path().join("owner.pub")).unwrap();
        self
    }

    /// Their layout changed, and signed by us in the container that it came in.
    fn signed(self, layout: &str, change: impl FnOnce(&mut Value)) -> Self {
        let bytes = fs::read(fixture(layout)).unwrap();
        let envelope = Envelope::parse(&bytes).unwrap();
        let mut signed = Value::from(&envelope.value().unwrap());
        change(&mut signed);
        let mut layout = Doc::layout(signed, &[], envelope.payload_type().is_none());
        layout.by = vec![By::new("olga"), By { id: keys::id_of_go("olga"), ..By::new("olga") }];
        fs::write(self.path().join("root.layout"), layout.bytes()).unwrap();
        fs::write(self.path().join("owner.pub"), keys::secret("olga").public().to_pem()).unwrap();
        self
    }

    /// What both of our profiles say, at a time: `None` is now.
    #[track_caller]
    fn ours(&self, at: Option<&str>, expected: &str) {
        let now = at.map_or_else(jiff::Timestamp::now, |at| at.parse().unwrap());
        for profile in [Profile::Strict, Profile::Compat] {
            let verdict = peers::ours_at(self.path(), profile, now);
            assert_eq!(super::known::word(&verdict), expected, "{profile:?}: {verdict}");
        }
    }

    #[track_caller]
    fn ours_strictly(&self, expected: &str) {
        let verdict = peers::ours(self.path(), Profile::Strict);
        assert_eq!(super::known::word(&verdict), expected, "{verdict}");
    }

    /// All verify it, Go where it can.
    #[track_caller]
    fn verified_by_all(&self, by_go: bool) {
        self.ours(None, "verified");
        let python = Python::start("verify").verify(self.path());
        assert!(python.pass, "Python: {python}");
        let go = peers::go(self.path());
        assert_eq!(go.pass, by_go, "Go: {go}");
    }
}

/// Without the inspection, and not expired.
fn harmless(layout: &mut Value) {
    layout["inspect"] = Value::Array(Vec::new());
    layout["expires"] = super::case::EXPIRES.into();
}

#[test]
fn the_demo_of_python_in_both_containers() {
    // Go drops the empty `private` of the old demo's keys, and so can verify no Metablock that has it.
    for (demo, by_go) in [("demo_files", false), ("demo_dsse_files", true)] {
        let file = |name: &str| format!("in-toto-3.1.0/tests/{demo}/{name}");
        let (template, write, package) =
            (file("demo.layout.template"), file("write-code.776a00e2.link"), file("package.2f89b927.link"));
        let links = [(write.as_str(), "write-code.776a00e2.link"), (package.as_str(), "package.2f89b927.link")];
        let whole = Theirs::new(&links).signed(&template, |layout| layout["expires"] = super::case::EXPIRES.into());
        whole.ours(None, "inspection_not_supported");
        Theirs::new(&links).signed(&template, harmless).verified_by_all(by_go);
        // One link is not enough, and neither is what another step made.
        Theirs::new(&links[..1]).signed(&template, harmless).ours(None, "threshold_not_met");
        let other = Theirs::new(&links).signed(&template, |layout| {
            harmless(layout);
            layout["steps"][1]["expected_materials"] = serde_json::json!([["DISALLOW", "foo.py"]]);
        });
        other.ours(None, "rule_violation");
    }
}

const GO: &str = "in-toto-golang-0.11/test/data";

fn go(name: &str) -> String {
    format!("{GO}/{name}")
}

#[test]
fn the_layouts_of_go() {
    let of_alice = |layout: &str, links: &[(String, &str)]| {
        let links: Vec<(&str, &str)> = links.iter().map(|(from, to)| (from.as_str(), *to)).collect();
        Theirs::new(&links).with(&go(layout), &go("alice.pub"))
    };
    let names = ["clone-dsse.776a00e2.link", "update-version-dsse.776a00e2.link", "package-dsse.2f89b927.link"];
    let dsse = names.map(|name| (go(name), name));
    // Signed under Go's key id, which Python does not look for.
    let theirs = of_alice("dsse-only.root.layout", &dsse);
    theirs.ours(None, "verified");
    assert!(peers::go(theirs.path()).pass);
    of_alice("dsse-only.root.layout", &dsse[1..]).ours(None, "threshold_not_met");
    let by_another = of_alice("dsse-only.root.layout", &dsse);
    fs::copy(fixture(&go("dan.pub")), by_another.path().join("owner.pub")).unwrap();
    by_another.ours(None, "layout_untrusted");

    let links = ["write-code.b7d643de.link", "package.d3ffd108.link"].map(|name| (go(name), name));
    of_alice("demo.dsse.layout", &links).ours(None, "inspection_not_supported");
    // The same with certificates.
    of_alice("demo.layout", &links).ours_strictly("inspection_not_supported");
    let links: Vec<(&str, &str)> = links.iter().map(|(from, to)| (from.as_str(), *to)).collect();
    Theirs::new(&links).signed(&go("demo.dsse.layout"), harmless).verified_by_all(true);

    // Layouts inside a layout: the one inside runs a command.
    let inside: Vec<(&str, String)> =
        links.iter().map(|(from, to)| (*from, format!("sub_layout.70ca5750/{to}"))).collect();
    let sublayout = go("sub_layout.70ca5750.link");
    let mut all = vec![(sublayout.as_str(), "sub_layout.70ca5750.link")];
    all.extend(inside.iter().map(|(from, to)| (*from, to.as_str())));
    let plain = |layout: &mut Value| {
        // Go writes these, empty, whether they are wanted or not.
        for name in ["rootcas", "intermediatecas"] {
            layout.as_object_mut().unwrap().remove(name);
        }
        layout["steps"][0].as_object_mut().unwrap().remove("cert_constraints");
    };
    Theirs::new(&all).signed(&go("super.layout"), plain).ours(None, "layout_expired");
    let lasting = Theirs::new(&all).signed(&go("super.layout"), |layout| {
        plain(layout);
        harmless(layout);
    });
    lasting.ours(None, "inspection_not_supported");
}

#[test]
fn the_demo_of_rust_at_its_time() {
    let data = "in-toto-rs-0.4.0/tests/test_verifylib";
    let names = ["clone.776a00e2.link", "update-version.776a00e2.link", "package.2f89b927.link"];
    let from = names.map(|name| format!("{data}/links/{name}"));
    let links: Vec<(&str, &str)> = from.iter().map(String::as_str).zip(names).collect();
    let (layout, alice) = (format!("{data}/workdir/root.layout"), format!("{data}/workdir/alice.pub"));
    let theirs = Theirs::new(&links).with(&layout, &alice);
    theirs.ours(Some("2022-11-20T00:00:00Z"), "inspection_not_supported");
    theirs.ours(Some("2022-12-02T18:41:07Z"), "layout_expired");
    theirs.ours(None, "layout_expired");
    // As above: keys with an empty `private`.
    Theirs::new(&links).signed(&layout, harmless).verified_by_all(false);
}

#[test]
fn keys_of_every_kind_are_read_or_refused_by_name() {
    let read = |name: &str| PublicKey::from_pem(&fs::read_to_string(fixture(name)).unwrap());
    let scheme = |name: &str| read(name).unwrap_or_else(|error| panic!("{name}: {error}")).scheme().name();
    let pems = "in-toto-3.1.0/tests/pems";
    for (name, expected) in [
        (go("alice.pub"), "rsassa-pss-sha256"),
        (go("carol.pub"), "ed25519"),
        (go("grace.pub"), "ecdsa-sha2-nistp384"),
        (go("frank.pub"), "ecdsa-sha2-nistp521"),
        (format!("{pems}/rsa_public.pem"), "rsassa-pss-sha256"),
        (format!("{pems}/ecdsa_public.pem"), "ecdsa-sha2-nistp256"),
        (format!("{pems}/ed25519_public.pem"), "ed25519"),
    ] {
        assert_eq!(scheme(&name), expected, "{name}");
    }
    // P-224 is in no list of in-toto's.
    let heidi = read(&go("heidi.pub"));
    assert!(matches!(heidi, Err(KeyError::Unsupported { .. })), "{heidi:?}");
    assert!(read(&go("alice.pub")).unwrap().ids().iter().any(|id| id.starts_with("70ca5750")), "the id Go derives");
}

/// Go's own test says what is signed of its link full of odd characters.
#[test]
fn canonical_json_is_that_of_go() {
    let test = fs::read_to_string(fixture("in-toto-golang-0.11/in_toto/model_test.go")).unwrap();
    let (_, reference) = test.split_once("referenceHex :=").unwrap();
    let (reference, _) = reference.split_once("\n\n").unwrap();
    let reference: String = reference.chars().filter(char::is_ascii_hexdigit).collect();
    let link = Envelope::parse(&fs::read(fixture(&go("canonical-test.link"))).unwrap()).unwrap();
    let ours: String =
        json::canonical(&link.value().unwrap()).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(ours, reference);
}
