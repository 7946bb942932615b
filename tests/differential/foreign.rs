//! Keys that OpenSSL has to make and to sign with, by the beginning of their names.

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::Write,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

/// How such a key is made, signs, and stands in a layout.
struct Kind {
    make: &'static [&'static str],
    public: &'static [&'static str],
    keytype: &'static str,
    scheme: &'static str,
    sign: &'static [&'static str],
    /// In front of the PEM.
    text: &'static str,
}

const RSA: &[&str] = &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const PUBLIC: &[&str] = &["pkey", "-pubout"];
const PSS: &[&str] = &["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"];
const USUAL: Kind =
    Kind { make: RSA, public: PUBLIC, keytype: "rsa", scheme: "rsassa-pss-sha256", sign: PSS, text: "" };

static KINDS: [(&str, Kind); 7] = [
    ("weak-", Kind { make: &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], ..USUAL }),
    (
        "salt-",
        Kind { sign: &["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:100"], ..USUAL },
    ),
    (
        "pss224-",
        Kind {
            scheme: "rsassa-pss-sha224",
            sign: &["-sha224", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:28"],
            ..USUAL
        },
    ),
    ("pkcs224-", Kind { scheme: "rsa-pkcs1v15-sha224", sign: &["-sha224"], ..USUAL }),
    ("pkcs1-", Kind { public: &["rsa", "-RSAPublicKey_out"], ..USUAL }),
    ("text-", Kind { text: "the key of \"rita\"\n", ..USUAL }),
    (
        "compressed-",
        Kind {
            make: &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            public: &["ec", "-pubout", "-conv_form", "compressed"],
            keytype: "ecdsa",
            scheme: "ecdsa-sha2-nistp256",
            sign: &["-sha256"],
            text: "",
        },
    ),
];

fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|(beginning, _)| name.starts_with(beginning)).map(|(_, kind)| kind)
}

/// The private key of that name and how it signs; made once a run.
fn made(name: &str) -> Option<(&'static Kind, &'static str)> {
    static MADE: Mutex<BTreeMap<String, &'static str>> = Mutex::new(BTreeMap::new());
    let kind = kind(name)?;
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let pem = || -> &'static str { String::from_utf8(openssl(kind.make, b"")).unwrap().leak() };
    Some((kind, made.entry(name.to_owned()).or_insert_with(pem)))
}

fn openssl(args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("openssl starts");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {args:?}");
    output.stdout
}

/// The key object of a layout, without an id.
pub fn object(name: &str) -> Option<Value> {
    let (kind, private) = made(name)?;
    let public = String::from_utf8(openssl(kind.public, private.as_bytes())).unwrap();
    Some(json!({"keytype": kind.keytype, "scheme": kind.scheme, "keyval": {"public": kind.text.to_owned() + &public}}))
}

pub fn sign(name: &str, message: &[u8]) -> Option<Vec<u8>> {
    let (kind, private) = made(name)?;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), private).unwrap();
    let key = file.path().to_str().unwrap();
    Some(openssl(&[&["dgst", "-sign", key], kind.sign].concat(), message))
}
