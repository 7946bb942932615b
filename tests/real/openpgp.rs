//! OpenPGP as people have it: GnuPG makes keys and signs, the reference implementation writes layouts and links with it, and each side
//! reads what the other wrote.

use crate::{
    links,
    tools::{Bench, Ran, bin},
};
use std::fs;

/// A home for GnuPG, and what it holds.
struct Gnupg<'b> {
    bench: &'b Bench,
}

impl Gnupg<'_> {
    fn new(bench: &Bench) -> Gnupg<'_> {
        let home = bench.path("gnupg");
        fs::create_dir(&home).expect("a home");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&home, mode).expect("a home of one's own");
        Gnupg { bench }
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Ran {
        let usual = ["--homedir", "gnupg", "--batch", "--quiet", "--passphrase", ""];
        self.bench.tool("gpg", &[&usual, args].concat()).expect(0)
    }

    /// A new key, at another time where `before` says so; its fingerprint.
    fn key(&self, before: &[&str], name: &str, algorithm: &str, usage: &str, expires: &str) -> String {
        let address = format!("{name}@example.com");
        self.run(&[before, &["--quick-gen-key", &address, algorithm, usage, expires]].concat());
        let listed = self.run(&["--with-colons", "--list-keys", &address]).stdout;
        let line = listed.lines().find(|line| line.starts_with("fpr:")).expect("a fingerprint");
        line.split(':').nth(9).expect("a fingerprint").to_owned()
    }

    fn subkey(&self, of: &str, algorithm: &str, usage: &str) {
        self.run(&["--quick-add-key", of, algorithm, usage, "1y"]);
    }

    /// `<name>.asc`.
    fn export(&self, id: &str, name: &str) -> String {
        let file = format!("{name}.asc");
        self.bench.write(&file, self.run(&["--armor", "--export", id]).stdout);
        file
    }
}

/// Runs a program of the reference with our GnuPG.
#[track_caller]
fn reference(bench: &Bench, program: &str, args: &[&str]) -> Ran {
    bench.tool_with(program, &[("GNUPG", bin("gpg").to_str().expect("a path"))], args)
}

#[track_caller]
fn verify(bench: &Bench, key: &str, more: &[&str]) -> Ran {
    let args = ["in-toto", "verify", "--layout", "root.layout", "--key", key, "--links", ".", "--output", "json"];
    bench.tidewaiter(&[&args, more].concat())
}

const BUILD: [&str; 4] = ["--", "sh", "-c", "echo out > out.txt"];

/// The link of the step `build`, signed by that key.
fn build(bench: &Bench, key: &str) {
    for link in links(bench) {
        fs::remove_file(bench.path(&link)).expect("a link to remove");
    }
    let args = ["-n", "build", "--gpg", key, "--gpg-home", "gnupg", "-p", "out.txt"];
    let _ = fs::remove_file(bench.path("out.txt"));
    reference(bench, "in-toto-run", &[&args[..], &BUILD].concat()).expect(0);
}

#[test]
fn layouts_and_links_of_the_reference_signed_by_gnupg() {
    for algorithm in ["rsa3072", "dsa2048", "ed25519"] {
        let bench = Bench::new();
        let gnupg = Gnupg::new(&bench);
        let [owner, fay, mallory] =
            ["owner", "fay", "mallory"].map(|name| gnupg.key(&[], name, algorithm, "sign,cert", "1y"));
        bench.write("openpgp.py", include_str!("openpgp.py"));
        gnupg.export(&owner, "owner");
        gnupg.export(&mallory, "mallory");
        // GnuPG signs with the newest key that signs: the master, as long as it has no such subkey. The reference loses the subkeys
        // of Ed25519 masters, and when they expire: it hashes the master's packet with the header it has, another one for so short a key.
        let rounds = if algorithm == "ed25519" { &[false][..] } else { &[false, true] };
        for with_subkey in rounds {
            if *with_subkey {
                gnupg.subkey(&fay, algorithm, "sign");
            }
            reference(&bench, "python3", &["openpgp.py", "gnupg", &owner, &fay]).expect(0);
            build(&bench, &fay);
            let name = links(&bench).pop().expect("a link");
            assert_eq!(name.contains(&fay.to_lowercase()[..8]), !with_subkey, "{name} is by another key");
            let ran = verify(&bench, "owner.asc", &[]).expect(0);
            assert_eq!(ran.json()["owners"][0], "owner", "{algorithm}");
            assert_eq!(ran.json()["steps"][0]["signers"][0], fay.to_lowercase());
        }
        // Nobody else's layout, nobody else's link, and not another's text under either.
        assert_eq!(verify(&bench, "mallory.asc", &[]).expect(1).json()["reason"], "layout_untrusted");
        let layout = fs::read_to_string(bench.path("root.layout")).expect("a layout");
        bench.write("root.layout", layout.replace("\"readme\": \"\"", "\"readme\": \"!\""));
        assert_eq!(verify(&bench, "owner.asc", &[]).expect(1).json()["reason"], "layout_untrusted");
        bench.write("root.layout", &layout);
        let link = links(&bench).pop().expect("a link");
        let text = fs::read_to_string(bench.path(&link)).expect("a link");
        bench.write(&link, text.replace("\"return-value\": 0", "\"return-value\": 1"));
        let denied = verify(&bench, "owner.asc", &[]).expect(3).json();
        assert!(denied["message"].as_str().expect("text").contains("does not verify"), "{denied}");
        build(&bench, &mallory);
        assert_eq!(verify(&bench, "owner.asc", &[]).expect(3).json()["reason"], "threshold_not_met");

        // The object that we make of a certificate is theirs. A subkey that does not sign is not in it; in theirs, one of RSA would be.
        let encrypts = match algorithm {
            "ed25519" => "cv25519",
            "dsa2048" => "elg2048",
            rsa => rsa,
        };
        gnupg.subkey(&fay, encrypts, "encr");
        gnupg.export(&fay, "fay");
        let mut theirs: serde_json::Value =
            serde_json::from_slice(&fs::read(bench.path("functionary.json")).expect("an object")).expect("JSON");
        let ours = bench.tidewaiter(&["key", "public", "fay.asc"]).expect(0).json();
        if algorithm == "ed25519" {
            theirs["validity_period"] = 31_536_000.into();
        }
        assert_eq!(ours, theirs);
    }
}

#[test]
fn a_layout_of_ours_for_gnupg_verifies_with_the_reference() {
    for algorithm in ["rsa3072", "dsa2048", "ed25519"] {
        let bench = Bench::new();
        let gnupg = Gnupg::new(&bench);
        let fay = gnupg.key(&[], "fay", algorithm, "cert", "1y");
        gnupg.subkey(&fay, algorithm, "sign");
        let mallory = gnupg.key(&[], "mallory", algorithm, "sign,cert", "1y");
        gnupg.export(&fay, "fay");
        bench.tidewaiter(&["key", "new", "-o", "owner.pem"]).expect(0);
        let template = "expires: 30d\nsteps: [{ name: build, functionaries: [fay.asc], materials: [DISALLOW *], products: [CREATE out.txt, DISALLOW *] }]\n";
        bench.write("shop.yaml", template);
        let sign = ["layout", "sign", "shop.yaml", "--key", "owner.pem", "--metablock", "-o", "root.layout"];
        bench.tidewaiter(&sign).expect(0);
        let theirs = ["-l", "root.layout", "--verification-keys", "owner.pem.pub", "--link-dir", "."];
        build(&bench, &fay);
        reference(&bench, "in-toto-verify", &theirs).expect(0);
        verify(&bench, "owner.pem.pub", &[]).expect(0);
        build(&bench, &mallory);
        assert_ne!(reference(&bench, "in-toto-verify", &theirs).code, 0);
        verify(&bench, "owner.pem.pub", &[]).expect(3);
    }
}

#[test]
fn keys_that_must_not_sign_are_not_exported() {
    let bench = Bench::new();
    let gnupg = Gnupg::new(&bench);
    let refused = |file: &str, why: &str| {
        for args in [&["key", "public", file][..], &["layout", "lint", "shop.yaml"]] {
            let template = format!("expires: 30d\nsteps: [{{ name: build, functionaries: [{file}] }}]\n");
            bench.write("shop.yaml", template);
            let ran = bench.tidewaiter(args).expect(2);
            assert!(ran.stderr.contains(why), "{file}: {}", ran.stderr);
        }
    };
    // Two years ago, for one.
    let then = ["--faked-system-time", "20241101T000000"];
    let old = gnupg.key(&then, "old", "ed25519", "sign,cert", "1y");
    refused(&gnupg.export(&old, "old"), "expired at 2025-11-01T00:");
    let next_year = ["--faked-system-time", "20991101T000000"];
    let unborn = gnupg.key(&next_year, "unborn", "ed25519", "sign,cert", "1y");
    let export = ["--armor", "--export", &unborn];
    bench.write("unborn.asc", gnupg.run(&[&next_year[..], &export].concat()).stdout);
    refused("unborn.asc", "holds only from 2099-11-01T00:");
    let certifies = gnupg.key(&[], "certifies", "ed25519", "cert", "1y");
    gnupg.subkey(&certifies, "cv25519", "encr");
    refused(&gnupg.export(&certifies, "certifies"), "is not for signing");
    for weak in ["rsa1024", "dsa1024"] {
        let key = gnupg.key(&[], weak, weak, "sign,cert", "1y");
        refused(&gnupg.export(&key, weak), "has 1024 bits");
    }
    let ecdsa = gnupg.key(&[], "ecdsa", "nistp256", "sign,cert", "1y");
    refused(&gnupg.export(&ecdsa, "ecdsa"), "ECDSA is not supported");

    let alice = gnupg.key(&[], "alice", "ed25519", "sign,cert", "1y");
    bench.tidewaiter(&["key", "public", &gnupg.export(&alice, "alice")]).expect(0);
    // GnuPG keeps a revocation beside each key, with a colon in front so that nobody imports it by chance.
    let revocation = format!("gnupg/openpgp-revocs.d/{alice}.rev");
    let text = fs::read_to_string(bench.path(&revocation)).expect("a revocation");
    bench.write("revocation.asc", text.replace(":-----BEGIN", "-----BEGIN"));
    gnupg.run(&["--import", "revocation.asc"]);
    refused(&gnupg.export(&alice, "alice"), "is revoked");
}

#[test]
fn a_key_counts_in_its_time() {
    let bench = Bench::new();
    let gnupg = Gnupg::new(&bench);
    let then = ["--faked-system-time", "20241101T000000"];
    let owner = gnupg.key(&then, "owner", "ed25519", "sign,cert", "1y");
    gnupg.export(&owner, "owner");
    bench.write("openpgp.py", include_str!("openpgp.py"));
    // The reference has GnuPG sign, which lives in the past for it.
    let past = bench.write(
        "gpg-then",
        format!("#!/bin/sh\nexec {} {} {} \"$@\"\n", bin("gpg").display(), then[0], "20241102T000000"),
    );
    fs::set_permissions(&past, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a program");
    let env = [("GNUPG", past.to_str().expect("a path"))];
    bench.tool_with("python3", &env, &["openpgp.py", "gnupg", &owner, &owner]).expect(0);
    let link = ["-n", "build", "--gpg", &owner, "--gpg-home", "gnupg", "-p", "out.txt"];
    bench.tool_with("in-toto-run", &env, &[&link[..], &BUILD].concat()).expect(0);
    verify(&bench, "owner.asc", &["--at", "2024-11-03T00:00:00Z"]).expect(0);
    // Before it was signed, and after the key's time.
    for at in ["2024-11-01T12:00:00Z", "2025-11-01T01:00:00Z"] {
        assert_eq!(verify(&bench, "owner.asc", &["--at", at]).expect(1).json()["reason"], "layout_untrusted", "{at}");
    }
    let ran = verify(&bench, "owner.asc", &[]).expect(1);
    assert!(ran.stderr.contains("nothing that owner signed counts"), "{}", ran.stderr);
}
