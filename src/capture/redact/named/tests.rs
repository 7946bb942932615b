//! Both ways: what is a secret by its name goes, and what only looks like it stays.

use crate::capture::{
    notes::map_named,
    redact::{Findings, OnSecret, Redactor},
};
use crate::json::{self, Limits};

fn redactor() -> Redactor {
    Redactor::new([], OnSecret::Redact).unwrap()
}
fn output(text: &str) -> String {
    redactor().text(text, &mut Findings::default())
}
fn document(text: &str) -> String {
    redactor().document(text, &mut Findings::default())
}
fn command(words: &[&str]) -> Vec<String> {
    let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    redactor().command(&argv, &mut Findings::default())
}

/// No `SECRET` is left, and all else is.
#[track_caller]
fn is_gone(before: &str, after: &str, secrets: &[&str]) {
    let mut rest = before.to_owned();
    for secret in secrets {
        assert!(!after.contains(secret), "{before:?}: {after:?}");
        rest = rest.replace(secret, "\0");
    }
    let mut clean = after.to_owned();
    for rule in ["option", "named", "entropy", "header", "userinfo"] {
        clean = clean.replace(&format!("[redacted:{rule}]"), "\0");
    }
    assert_eq!(clean, rest, "{before:?}: {after:?}");
}

const AWS: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

#[test]
fn arguments_that_say_what_they_are() {
    for (words, secret) in [
        (&["env", &format!("AWS_SECRET_ACCESS_KEY={AWS}")][..], AWS),
        (&["tool", &format!("--secret-access-key={AWS}")], AWS),
        (&["tool", "--secret-access-key", AWS, "-v"], AWS),
        (&["tool", "--access-key=abc"], "abc"),
        (&["tool", "--access-key", "abc"], "abc"),
        (&["env", "PRIVATE_KEY=abc"], "abc"),
        (&["env", "STRIPE_KEY=abc"], "abc"),
        (&["env", "ENCRYPTION_KEY=0123456789abcdef0123456789abcdef"], "0123456789abcdef0123456789abcdef"),
        (&["env", "AZURE_STORAGE_KEY=a+b/c=="], "a+b/c=="),
        (&["tool", "--storageKey=abc", "--sshKey", "abc"], "abc"),
        (&["tool", "DefaultEndpointsProtocol=https;AccountName=me;AccountKey=a/b+c==;EndpointSuffix=x"], "a/b+c=="),
        (&["docker", "run", "-e", "DB_PASSWORD=two words; and more"], "two words; and more"),
        (&["docker", "run", "-e", "DB_PASSWORD=cor;re&ct"], "cor;re&ct"),
        (&["sh", "-c", "A_TOKEN=abc;make && B_TOKEN=abc make"], "abc"),
        (&["sh", "-c", "exec 3>&1; PRIVATE_KEY='a b' make"], "a b"),
        (&["curl", "-d", r#"{"user":"me","password":"a\"b c"}"#], r#"a\"b c"#),
        (&["curl", "-d", r#"{"user": "me", "client_secret" : "abc"}"#], "abc"),
        (&["sh", "-c", r#"curl -d "{\"password\":\"abc\",\"user\":\"me\"}" x"#], "abc"),
        (&["tool", "{'password': 'abc', 'n': 1}"], "abc"),
        (&["tool", "{password: abc, user: me}"], "abc"),
        (&["tool", "password: abc def"], "abc def"),
        (&["sh", "-c", "echo 'password: abc def' > f; make"], "abc def"),
        (&["curl", "-ume:abc", "https://x.example.com"], "abc"),
        (&["curl", "--user=me:abc", "https://x.example.com"], "abc"),
        (&["twine", "upload", "-u", "me", "-p", "abc", "dist/x.whl"], "abc"),
        (&["docker", "login", "-u", "me", "-pabc", "r.example.com"], "abc"),
        (&["mongodump", "-u", "me", "-p", "abc"], "abc"),
        (&["ldapsearch", "-D", "cn=me", "-w", "abc"], "abc"),
        (&["aws", "configure", "set", "aws_secret_access_key", "abc"], "abc"),
        (&["wget", "--http-password=abc", "https://x.example.com"], "abc"),
    ] {
        let after = command(words);
        is_gone(&words.join("\n"), &after.join("\n"), &[secret]);
    }
}

#[test]
fn arguments_that_only_look_like_it() {
    for words in [
        &["tool", "--public-key=abc", "--cache-key", "deps-v1", "--sort-key=name", "primary_key=id", "keyid=ab12"][..],
        &["dynamo", "--partition-key", "id", "--hash-key=id", "-Dsonar.projectKey=shop", "primaryKey=id", "key=value"],
        &["cosign", "sign", "--key", "cosign.key", "--key=k8s://ns/name", "--signing-key", "ci.pem"],
        &["kubectl", "--client-key=/etc/kube/client", "--private-key", "~/.ssh/id_ed25519", "--tls-key=tls.key"],
        &["aws", "--kms-key", "arn:aws:kms:eu-west-1:1:key/1", "--encryption-key", "alias/shop"],
        &["env", "GPG_KEY=E3FF2839C048B25C084DEBE9B26995E310250568", "SSH_KEY=SHA256:abc", "PRIVATE_KEY=$KEY"],
        &["pip", "install", "pyjwt==2.8.0", "flask-jwt~=1.0", "passlib"],
        &["docker", "pull", "registry.example.com/org/secret:1.0", "vault-token:latest"],
        &["git", "commit", "-m", "parser: unexpected token: fix the password: prompt"],
        &["git", "log", "3f9a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a"],
        &["curl", "-Uunix", "-u", "me", "-sSfL", "https://x.example.com/a?page=2&sort_key=name"],
        &["wget", "-U", "Mozilla:5.0"],
        &["twine", "check", "-p", "x"],
        &["mkdir", "-p", "a/b"],
        &["tool", "{\"token\":null,\"name\":\"x\"}", "{\"passwords\":3}", "password:"],
        &["env", "PWD=/root/project", "PASSED=3"],
        &["go", "test", "-run", "TestToken", "./internal/secret/...", "-count=1"],
    ] {
        assert_eq!(command(words), words, "{words:?}");
    }
}

#[test]
fn what_a_command_prints() {
    for (text, secrets) in [
        ("API_TOKEN=abcdef99", &["abcdef99"][..]),
        ("it's set:\nDB_PASSWORD=correcthorse\nHOME=/root\n", &["correcthorse"]),
        ("DB_PASSWORD=cor;re&ct,h<1\n", &["cor;re&ct,h<1"]),
        ("can't run --password swordfish, won't try", &["swordfish,"]),
        ("export FOO_SECRET=abc", &["abc"]),
        ("+ export FOO_SECRET=abc BAR=1", &["abc"]),
        ("+ docker login -u me -p swordfish r.example.com", &["swordfish"]),
        ("+ curl -u me:swordfish https://x.example.com/", &["swordfish"]),
        ("password: correct horse battery\nuser: me", &["correct horse battery"]),
        ("  - client_secret: 'a b'  # from the vault\n", &["a b"]),
        ("INFO the password: swordfish (old)", &["swordfish"]),
        ("INFO db_password: swordfish", &["swordfish"]),
        ("[db]\npassword = swordfish\nport = 1", &["swordfish"]),
        ("token: abcdef\nTOKEN = \"abcdef\"", &["abcdef"]),
        (r#"{"level":"info","password":"sword\"fish","n":1}"#, &[r#"sword\"fish"#]),
        (r#"{"msg":"{\"token\":\"abcdef\",\"n\":1}"}"#, &["abcdef"]),
        ("GET https://x.example.com/?access_token=abcdef&page=2 200", &["abcdef"]),
        ("Server=x;User=me;Password=abcdef;Port=1", &["abcdef"]),
        ("<system-out>DB_PASSWORD=abcdef</system-out>", &["abcdef"]),
        ("['A_TOKEN=abcdef', 'B=1']", &["abcdef"]),
        ("password: 123456", &["123456"]),
        ("\"password\": \"never closed\n", &["never closed"]),
        (&format!("Secret access key is {AWS}, keep it"), &[AWS]),
        (&format!("aws_secret_access_key = {AWS}"), &[AWS]),
    ] {
        is_gone(text, &output(text), secrets);
    }
}

#[test]
fn what_a_command_prints_that_is_no_secret() {
    for text in [
        "error: expected one of `;` or `}`, found `x`\n  --> src/token.rs:12:4\n",
        "syntax error, unexpected token: }",
        "src/a.tf:3:1: aws-secret-access-key: remove this",
        "PASS: test_login\nFAIL: test_token\n--- PASS: TestX (0.00s)\nok pass=12 fail=0 token=7",
        "# pass 12\n# fail 0\npass: 12",
        "PWD=/root/project\nOLDPWD=/root\nHOME=/root",
        "PRIVATE_KEY=/run/secrets/key.pem\nSSL_KEY=server.key",
        "Collecting pyjwt==2.8.0\nRequirement already satisfied: pyjwt>=2",
        "pushing registry.example.com/org/secret:1.0\nsecret:1.0: digest: sha256:3f9a0b1c",
        "primary_key: id\ncache-key: deps-v1\nkey: value\npublic_key: abc",
        "password: null\ntoken: $TOKEN\n\"secret\": false\nEnter password: \n",
        "password = [redacted:MY_TOKEN]",
        "std::token::Token\nToken::new()",
        "downloading https://proxy.golang.org/github.com/Azure/azure-sdk-for-go/sdk/azcore/@v/v1.9.0.zip",
        "github.com/Masterminds/semver/v3 v3.2.1 h1:RN9w6+7QoMeJVGyfmbcgs28Br8cvmnucEXnY0rYXWg0=",
        "256 SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8 github.com (RSA)",
        "integrity sha512-qYkuVE6WHIyjhk9vn3wtGC8yMIkBZBKJP3wF6xoZBZ5w9G5YPxGTqZNsuU8ZvVxTzDnFqfRzQnEZOd6t2Qy8sA==",
        "/Users/runner/work/MyProject2/build/Release/App3Bundle/Contents/MacOS/MyApp",
        "com/fasterxml/jackson/databind/ser/std/ToStringSerializerBase2.class",
        "  --pass <phrase>  Pass phrase\n  --key <key>  Key",
        "\"jsonwebtoken\": \"^9.0.2\", \"parse-passwd\": \"1.0.0-beta.1\", \"path-key\": \"x\"",
        "topologyKey: kubernetes.io/hostname",
        "Trustwave_Global_ECC_P256_Certification_Authority.pem ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        "layer sha256:3f9a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f90 blobs/SHA256/3f9a0b1c2d3e4f5a6b7c8d9e0f1a2b3c",
    ] {
        assert_eq!(output(text), text);
    }
}

#[test]
fn documents_of_others() {
    let cleaned = |text: &str| {
        let value = json::parse(text.as_bytes(), &Limits::METADATA).unwrap();
        let (here, mut found) = (redactor(), Findings::default());
        let value = map_named(&value, "", &mut |name, text| {
            here.member(name, text, &mut found).unwrap_or_else(|| here.document(text, &mut found))
        });
        json::to_text(&value)
    };
    for (text, secret) in [
        (r#"{"config":{"password":"abcdef"}}"#, "abcdef"),
        (r#"{"env":["DB_PASSWORD=abcdef","A=1"]}"#, "abcdef"),
        (r#"{"env":[{"name":"DB_PASSWORD","value":"abcdef"},{"name":"A","value":"1"}]}"#, "abcdef"),
        (r#"{"credentials":["abcdef"]}"#, "abcdef"),
        (r#"{"text":"{\"credentials\": [\"a\"], \"token\": {\"password\": \"abcdef\"}}"}"#, "abcdef"),
        (r#"{"message":{"text":"Possible hardcoded password: 'abcdef'"}}"#, "abcdef"),
        (r#"{"snippet":{"text":"password: abcdef\nuser: me"}}"#, "abcdef"),
        (r#"{"azureStorageKey":"abcdef"}"#, "abcdef"),
    ] {
        is_gone(text, &cleaned(text), &[secret]);
    }
    for text in [
        r#"{"description":"Cleartext storage of password: an attacker may read it. The --password option is unsafe."}"#,
        r#"{"ruleId":"aws-secret-access-key","Class":"secret","token":null,"key":"CVE-2026-1","projectKey":"shop"}"#,
        r#"{"publicKey":"abc","primaryKey":"id","keyid":"ab12","integrity":"sha512-qYkuVE6WHIyjhk9vn3wtGC8yMIkBZBKJP3wF6xoZBZ5w9G5YPxGTqZNsuU8ZvVxTzDnFqfRzQnEZOd6t2Qy8sA=="}"#,
        r#"{"purl":"pkg:pypi/pyjwt@2.8.0?arch=amd64","properties":[{"name":"syft:location:0:path","value":"/a"}]}"#,
    ] {
        assert_eq!(cleaned(text), text);
    }
    assert_eq!(document("unexpected token: x in --password y"), "unexpected token: x in --password y");
}

/// What tools wrote about this very repository, and all it deploys: hashes, versions, names, paths.
#[test]
fn real_files_stay_as_they_are() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("Cargo.lock"), root.join("fuzz/Cargo.lock"), root.join("Cargo.toml")];
    for folder in ["manifests", "tests/vectors/threshold-not-met"] {
        files.extend(std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    let texts = files.iter().filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap());
    let (here, mut found, mut lines) = (redactor(), Findings::default(), 0);
    for line in texts.collect::<Vec<_>>().iter().flat_map(|text| text.lines()) {
        // The name of a Secret, where a flag's name could as well be followed by one.
        if !line.contains("--tls-secret=") {
            assert_eq!((here.text(line, &mut found).as_str(), here.document(line, &mut found).as_str()), (line, line));
            lines += 1;
        }
    }
    assert!(lines > 3_000, "{lines}");
}

/// Of random secrets hardly one passes for a word, whatever characters it has of base64's.
#[test]
fn random_words_go() {
    let mut state = 1_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 56).unwrap()
    };
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let secrets: Vec<String> = (0..500).map(|_| STANDARD.encode((0..30).map(|_| byte()).collect::<Vec<_>>())).collect();
    let missed: Vec<&String> =
        secrets.iter().filter(|secret| output(&format!("it is {secret} now")).contains(*secret)).collect();
    assert!(missed.len() <= 10, "{missed:?}");
    assert!(secrets.iter().any(|secret| secret.contains('/')));
}
