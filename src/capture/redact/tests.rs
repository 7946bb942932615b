use super::*;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;

fn redactor(secrets: &[(&str, &str)], on_secret: OnSecret) -> Redactor {
    let owned = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Redactor::new(owned, on_secret).unwrap()
}
fn text(input: &str) -> String {
    redactor(&[("MY_TOKEN", "hunter2hunter2")], OnSecret::Redact).text(input, &mut Findings::default())
}
fn command(words: &[&str]) -> Vec<String> {
    let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    redactor(&[], OnSecret::Redact).command(&argv, &mut Findings::default())
}

#[test]
fn which_variables_are_secrets() {
    let environment: BTreeMap<String, String> = [
        ("GITHUB_TOKEN", "aaaaaaaa"),
        ("db_password", "bbbbbbbb"),
        ("AWS_SECRET_ACCESS_KEY", "c"),
        ("JWT", "d"),
        ("HOME", "/root"),
        ("BUILDKITE_STEP_KEY", "package"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let harmless = BTreeSet::from(["BUILDKITE_STEP_KEY".to_owned()]);
    let found: Vec<String> = secrets(&environment, &harmless).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, ["AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "JWT", "db_password"]);
}

#[test]
fn the_values_of_secrets_in_every_encoding() {
    let secret = "hunter2hunter2";
    assert_eq!(text(&format!("x {secret} y")), "x [redacted:MY_TOKEN] y");
    for encoded in [
        STANDARD.encode(secret),
        STANDARD.encode(format!("a{secret}")),
        STANDARD.encode(format!("ab{secret}c")),
        hex::encode(secret),
        "hunter%32hunter2".to_owned(),
        "%68unter2hunter2".to_owned(),
    ] {
        let out = text(&format!("x {encoded} y"));
        assert!(!out.contains(&encoded), "{encoded}: {out}");
    }
    assert_eq!(text("nothing of the kind"), "nothing of the kind");
    // A word of the placeholder itself, and the secret's own name.
    let odd = redactor(&[("A", "redacted"), ("MY_TOKEN", "MY_TOKEN")], OnSecret::Redact);
    assert_eq!(odd.text("say redacted", &mut Findings::default()), "say ***");
    assert_eq!(odd.text("say MY_TOKEN", &mut Findings::default()), "say ***");
}

#[test]
fn options_whose_value_is_a_secret() {
    for (words, expected) in [
        (&["tool", "--password", "swordfish"][..], &["tool", "--password", "[redacted:option]"][..]),
        (&["tool", "--password", "two words"], &["tool", "--password", "[redacted:option]"]),
        (&["tool", "--api-key=abc", "-v"], &["tool", "--api-key=[redacted:option]", "-v"]),
        (
            &["docker", "login", "-u", "me", "-p", "swordfish", "r.example.com"],
            &["docker", "login", "-u", "me", "-p", "[redacted:option]", "r.example.com"],
        ),
        (
            &["docker", "build", "--build-arg", "NPM_TOKEN=abc", "."],
            &["docker", "build", "--build-arg", "NPM_TOKEN=[redacted:option]", "."],
        ),
        (
            &["docker", "build", "--build-arg=NPM_TOKEN=abc", "."],
            &["docker", "build", "--build-arg=NPM_TOKEN=[redacted:option]", "."],
        ),
        (&["mysql", "-pswordfish", "-u", "me"], &["mysql", "-p[redacted:option]", "-u", "me"]),
        (&["curl", "-u", "me:swordfish", "https://x"], &["curl", "-u", "me:[redacted:option]", "https://x"]),
        (
            &["sh", "-c", "docker login -p 'sword fish' x && make"],
            &["sh", "-c", "docker login -p '[redacted:option]' x && make"],
        ),
        (
            &["sh", "-c", "DB_PASSWORD=\"a b\" ./deploy --token abc"],
            &["sh", "-c", "DB_PASSWORD=\"[redacted:option]\" ./deploy --token [redacted:option]"],
        ),
        (
            &["get", "https://x.example.com/?access_token=abc&page=2"],
            &["get", "https://x.example.com/?access_token=[redacted:option]&page=2"],
        ),
    ] {
        assert_eq!(command(words), expected, "{words:?}");
    }
}

#[test]
fn what_is_no_secret_stays_as_it_is() {
    for words in [
        &["docker", "run", "-p", "8080:80", "image"][..],
        &["docker", "login", "--password-stdin", "-u", "me"],
        &["docker", "buildx", "build", "--secret", "id=npm,src=/run/npm", "."],
        &["tool", "--token", "$TOKEN", "--password", "--verbose"],
        &["sh", "-c", "mkdir -p dist; cp a dist && echo \"done: $SECRET\""],
        &["make", "CC=gcc", "-j4", "key=value", "--token-file=/run/token"],
        &["git", "clone", "ssh://git@git.example.com/shop/api.git"],
        &[
            "ship",
            "registry.example.com/shop/api@sha256:3f9a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f90",
        ],
        &["echo", "0123456789abcdef0123456789abcdef01234567", "a-very-long-name-of-a-branch-for-the-2026-release"],
    ] {
        assert_eq!(command(words), words, "{words:?}");
    }
}

#[test]
fn urls_and_headers() {
    for (input, expected) in [
        ("https://me:swordfish@git.example.com/x", "https://me:[redacted:userinfo]@git.example.com/x"),
        ("clone https://abcdef@git.example.com/x now", "clone https://[redacted:userinfo]@git.example.com/x now"),
        ("https://git.example.com/@scope/x", "https://git.example.com/@scope/x"),
        ("Authorization: Bearer abc", "Authorization: [redacted:header]"),
        ("curl -H 'PRIVATE-TOKEN: abc' https://x", "curl -H 'PRIVATE-TOKEN: [redacted:header]' https://x"),
        ("with bearer abc123def456 in it", "with bearer [redacted:header] in it"),
        ("bearer authentication is used", "bearer authentication is used"),
    ] {
        assert_eq!(text(input), expected);
        assert_eq!(redactor(&[], OnSecret::Redact).document(input, &mut Findings::default()), expected);
    }
}

#[test]
fn tokens_by_their_looks() {
    let letters = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9jK2mN5pQ8sT1vW4yZ7";
    for (input, rule) in [
        (format!("ghp_{}", &letters[..36]), "github-token"),
        (format!("glpat-{}", &letters[..20]), "gitlab-token"),
        ("AKIAIOSFODNN7EXAMPLE".to_owned(), "aws-access-key"),
        (format!("eyJ{}.{}.{}", &letters[..20], &letters[..20], &letters[..20]), "jwt"),
        (format!("hvs.{}", &letters[..24]), "vault-token"),
        ("-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----".to_owned(), "private-key"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nabc\n-----END PGP PRIVATE KEY BLOCK-----".to_owned(), "private-key"),
        (letters[..40].to_owned(), "entropy"),
    ] {
        assert_eq!(text(&format!("a {input} b")), format!("a [redacted:{rule}] b"));
        let mut found = Findings::default();
        let warned = redactor(&[], OnSecret::Warn).text(&input, &mut found);
        assert_eq!((warned, found.rules().as_str(), found.count()), (input.clone(), rule, 1));
        // In a document, and in a name, randomness alone proves nothing.
        let here = redactor(&[], OnSecret::Redact);
        assert_eq!(here.in_name(&input), (rule != "entropy").then_some(rule));
        assert_eq!(here.document(&input, &mut Findings::default()) == input, rule == "entropy");
    }
    for harmless in [
        "ghp_short",
        "task-proj-aaaaaaaaaaaaaaaaaaaaaaaa",
        "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
        "eyJust a word",
    ] {
        assert_eq!(text(harmless), harmless);
    }
}

#[test]
fn tokens_side_by_side_and_one_in_another() {
    let letters = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9";
    for (input, expected, count) in [
        ("AKIAIOSFODNN7EXAMPLE\n".repeat(3), "[redacted:aws-access-key]\n".repeat(3), 3),
        (
            "AKIAIOSFODNN7EXAMPLE,AKIAIOSFODNN7EXAMPL".to_owned(),
            "[redacted:aws-access-key],AKIAIOSFODNN7EXAMPL".into(),
            1,
        ),
        // What spans another goes with it, and what begins in one and ends behind it.
        (format!("glpat-{}-AKIAIOSFODNN7EXAMPLE x", &letters[..20]), "[redacted:gitlab-token] x".to_owned(), 1),
        (format!("ghp_{letters}_glpat-{letters}"), "[redacted:github-token]".to_owned(), 1),
        // A word of high entropy ends where a token begins.
        (format!("{letters}-AKIAIOSFODNN7EXAMPLE"), "[redacted:entropy][redacted:aws-access-key]".to_owned(), 2),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nab\n-----END RSA PRIVATE KEY-----\n".repeat(2),
            "[redacted:private-key]\n".repeat(2),
            2,
        ),
        (
            "-----BEGIN CERTIFICATE-----\nab\n-----BEGIN RSA PRIVATE KEY-----\nAKIAIOSFODNN7EXAMPLE".to_owned(),
            "-----BEGIN CERTIFICATE-----\nab\n[redacted:private-key]".to_owned(),
            1,
        ),
    ] {
        let mut found = Findings::default();
        assert_eq!(redactor(&[], OnSecret::Redact).text(&input, &mut found), expected);
        assert_eq!(found.count(), count, "{input}");
    }
}

/// The command chooses what it prints, so it chooses what this costs.
#[test]
fn the_search_grows_with_the_text_and_no_faster() {
    let here = redactor(&[("MY_TOKEN", "hunter2hunter2")], OnSecret::Redact);
    let cost = |piece: &str, times: usize| {
        effort::spent();
        let text = piece.repeat(times);
        here.text(&text, &mut Findings::default());
        here.document(&text, &mut Findings::default());
        here.command(&["tool".to_owned(), text], &mut Findings::default());
        effort::spent()
    };
    for piece in [
        "AKIAIOSFODNN7EXAMPLE\n",
        "AKIAIOSFODNN7EXAMPLE ",
        "AKIA-",
        "eyJ-",
        "eyJ.",
        "sk-ant-",
        "ghp_",
        "hvs.",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        "Cookie: ",
        "Authorization:",
        "bearer ",
        "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9/",
        "A_TOKEN=",
        "A_TOKEN=$",
        "A_TOKEN=a ",
        "A_TOKEN=a,",
        "A_KEY=/",
        "token: ",
        "password: a, ",
        "password : \"",
        "\"password\":",
        "\\\"password\\\": \\\"$",
        "'password=a",
        "password=a'a\"",
        "a=,",
        "--password ",
        "docker -p ",
        "'",
    ] {
        let (small, large) = (cost(piece, 500), cost(piece, 4_000));
        assert!(large <= 8 * small + 1_000, "{piece:?}: {small}, and {large} of 8 times the text");
    }
}

#[test]
fn what_was_found_is_counted_and_not_kept() {
    let here = redactor(&[("MY_TOKEN", "hunter2hunter2")], OnSecret::Redact);
    let mut found = Findings::default();
    let argv = ["x", "hunter2hunter2", "--password", "swordfish"].map(str::to_owned);
    here.command(&argv, &mut found);
    assert_eq!((found.count(), found.rules().as_str()), (2, "env:MY_TOKEN,option"));
    assert!(!format!("{found:?}").contains("hunter2") && !format!("{found:?}").contains("swordfish"));
}

proptest! {
    /// Whatever the secret and wherever it stands: none of its encodings is left.
    #[test]
    fn no_secret_survives(secret in "[!-~]{6,24}", before in "[ -~]{0,12}", after in "[ -~]{0,12}", kind in 0..7_usize) {
        let here = redactor(&[("DEPLOY_KEY", &secret)], OnSecret::Redact);
        let raw = [before.as_str(), &secret, &after].concat();
        let text = match kind {
            0 | 1 => raw,
            2 => STANDARD.encode(&raw),
            3 => base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&raw),
            4 => secret.bytes().map(|byte| format!("%{byte:02x}")).collect(),
            5 => hex::encode(&raw),
            _ => serde_json::Value::from(raw).to_string(),
        };
        let mut found = Findings::default();
        let argv = vec!["deploy".to_owned(), text.clone(), format!("--url=https://x/?q={text}")];
        for word in here.command(&argv, &mut found).iter().skip(1).chain([&here.text(&text, &mut found)]) {
            prop_assert!(!word.contains(&secret) && !here.holds_known(word), "{word}");
        }
        prop_assert!(found.count() > 0);
    }
}
