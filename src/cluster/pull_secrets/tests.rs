use super::*;
use base64::{Engine, engine::general_purpose::STANDARD};

fn secret(kind: &str, key: &str, text: &str) -> SecretObject {
    let data = STANDARD.encode(text);
    serde_json::from_value(serde_json::json!({ "metadata": {}, "type": kind, "data": { key: data } })).unwrap()
}

const AUTHS: &str = r#"{"auths":{"r.example:5000":{"username":"u","password":"p"}}}"#;
const BARE: &str = r#"{"r.example:5000":{"username":"u","password":"p"}}"#;

#[test]
fn both_types_of_pull_secrets_are_read() {
    for (kind, key, text) in [(DOCKER_CONFIG_JSON, ".dockerconfigjson", AUTHS), (DOCKER_CONFIG, ".dockercfg", BARE)] {
        let keychain = keychain(&secret(kind, key, text)).unwrap();
        assert!(keychain.get("r.example:5000").is_some(), "{kind}");
        assert!(keychain.get("r.example").is_none(), "{kind}");
    }
}

#[test]
fn anything_else_is_passed_over_and_told_without_a_secret() {
    let big = format!(r#"{{"auths":{{"{}":{{}}}}}}"#, "x".repeat(named::VALUE_BYTES_MAX));
    for (kind, key, text, says) in [
        ("Opaque", ".dockerconfigjson", AUTHS, "its type is \"Opaque\""),
        ("kubernetes.io/basic-auth", "password", "hunter2", "its type is \"kubernetes.io/basic-auth\""),
        (DOCKER_CONFIG_JSON, ".dockercfg", AUTHS, "it has no key .dockerconfigjson"),
        (DOCKER_CONFIG_JSON, ".dockerconfigjson", "{\"auths\":hunter2", "line 1 column 10 is not"),
        (DOCKER_CONFIG_JSON, ".dockerconfigjson", r#"{"auths":{"r":{"auth":"hunter2"}}}"#, "is no base64"),
        (DOCKER_CONFIG_JSON, ".dockerconfigjson", &big, "it is larger than 64 KiB"),
    ] {
        let why = keychain(&secret(kind, key, text)).unwrap_err().to_string();
        assert!(why.contains(says), "{why}");
        assert!(!why.contains("hunter2"), "{why}");
    }
}

#[test]
fn each_credential_of_a_host_is_tried_once_and_three_at_most() {
    let with = |password: &str| {
        let text = AUTHS.replace("\"p\"", &format!("{password:?}"));
        Arc::new(Keychain::parse(text.as_bytes()).unwrap())
    };
    let keychains = ["a", "b", "a", "c", "d"].map(with).to_vec();
    let secrets = PodSecrets { keychains, warnings: Vec::new() };
    let passwords: Vec<String> = secrets
        .of("r.example:5000")
        .iter()
        .map(|credential| match credential.as_ref() {
            Credential::Password { password, .. } => password.expose().to_owned(),
            Credential::IdentityToken(_) => panic!("a password was stored"),
        })
        .collect();
    assert_eq!(passwords, ["a", "b", "c"]);
    for other in ["r.example", "r.example:5001", "evil.example:5000"] {
        assert!(secrets.of(other).is_empty(), "{other}");
    }
}
