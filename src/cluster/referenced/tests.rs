use super::*;
use base64::{Engine, engine::general_purpose::STANDARD};

/// Name, type and data.
type Given<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

fn told(secrets: &[Given<'_>]) -> BTreeMap<String, Told> {
    let secret = |(name, kind, data): &Given<'_>| {
        let data: serde_json::Map<_, _> =
            data.iter().map(|(key, text)| ((*key).to_owned(), STANDARD.encode(text).into())).collect();
        let object = serde_json::json!({"metadata": {"uid": name, "resourceVersion": "7"}, "type": kind, "data": data});
        ((*name).to_owned(), Ok(Arc::new(serde_json::from_value(object).unwrap())))
    };
    secrets.iter().map(secret).collect()
}

fn config(secret: &str) -> RegistryConfig {
    let text = format!(
        "apiVersion: tidewaiter.dev/v1alpha1\nkind: RegistryConfig\nmetadata: {{ name: a }}\nspec: {{ host: \"r.example:5000\", credentials: \
         {{ secretRef: {{ name: {secret} }} }} }}\n"
    );
    match crate::resource::parse("f", &text).unwrap().remove(0) {
        Resource::RegistryConfig(config) => config,
        other => panic!("{other:?}"),
    }
}

/// The credential as `user:password`, or the problem.
fn logged_in(secret: &str, told: &BTreeMap<String, Told>) -> Result<String, String> {
    let (mut credentials, mut problems, mut config) = (HostCredentials::new(), Vec::new(), config(secret));
    login(&mut config, told, &mut credentials, &mut problems);
    assert_eq!(credentials.len() + problems.len(), 1);
    match credentials.get("r.example:5000").map(Arc::as_ref) {
        Some(Credential::Password { username, password }) => Ok(format!("{username}:{}", password.expose())),
        _ => Err(problems.remove(0).to_string()),
    }
}

#[test]
fn only_the_entry_of_the_documents_host_is_used() {
    let auths = |host: &str| format!(r#"{{"auths":{{"{host}":{{"username":"u","password":"p"}}}}}}"#);
    let (own, other) = (auths("r.example:5000"), auths("r.example"));
    let told = told(&[
        ("own", pull_secrets::DOCKER_CONFIG_JSON, &[(".dockerconfigjson", &own)]),
        ("other", pull_secrets::DOCKER_CONFIG_JSON, &[(".dockerconfigjson", &other)]),
        ("basic", BASIC_AUTH, &[("username", "u"), ("password", "p")]),
        ("half", BASIC_AUTH, &[("username", "u")]),
        ("opaque", "Opaque", &[("username", "u"), ("password", "p")]),
    ]);
    assert_eq!(logged_in("own", &told), Ok("u:p".into()));
    assert_eq!(logged_in("basic", &told), Ok("u:p".into()));
    for (name, says) in [
        ("other", "it has no entry for r.example:5000"),
        ("half", "it has no key password"),
        ("opaque", "its type is \"Opaque\""),
        ("absent", "it is not there"),
    ] {
        let problem = logged_in(name, &told).unwrap_err();
        let place = format!("RegistryConfig \"a\": spec.credentials.secretRef: Secret \"{name}\": ");
        assert!(problem.starts_with(&place) && problem.contains(says), "{problem}");
    }
}

#[test]
fn the_policy_hash_holds_the_version_of_the_secret_and_not_its_text() {
    let line = |password: &str, version: &str| {
        let data = [("username", "u"), ("password", password)];
        let mut told = told(&[("s", BASIC_AUTH, &data)]);
        if let Some(Ok(secret)) = told.get_mut("s") {
            Arc::get_mut(secret).unwrap().metadata.resource_version = version.into();
        }
        let mut config = config("s");
        login(&mut config, &told, &mut HostCredentials::new(), &mut Vec::new());
        serde_json::to_string(&config.spec).unwrap()
    };
    assert_eq!(line("hunter2", "7"), line("hunter3", "7"));
    assert_ne!(line("hunter2", "7"), line("hunter2", "8"));
    assert!(!line("hunter2", "7").contains("hunter2"));
}

#[test]
fn a_key_stands_as_pem_or_is_absent() {
    let secret_key = crate::key::SecretKey::generate(crate::key::Scheme::Ed25519).unwrap();
    let (public, private) =
        (secret_key.public().to_pem(), "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n");
    let told = told(&[("s", "Opaque", &[("good", &public), ("private", private), ("garbage", "hunter2")])]);
    let reference =
        |secret: &str, key: &str| format!("{{ name: {key}, secretKeyRef: {{ name: {secret}, key: {key} }} }}");
    let all = [reference("s", "garbage"), reference("s", "good"), reference("s", "private"), reference("none", "k")];
    let text = format!(
        "apiVersion: tidewaiter.dev/v1alpha1\nkind: TrustRoot\nmetadata: {{ name: release }}\nspec: {{ keys: [{}] }}\n",
        all.join(", ")
    );
    let Resource::TrustRoot(mut root) = crate::resource::parse("f", &text).unwrap().remove(0) else {
        panic!("no root")
    };
    assert!(root.spec.key_ring().unwrap_err().to_string().contains("is a Secret of a cluster"));
    let mut problems = Vec::new();
    keys(&mut root, &told, &mut problems);
    assert_eq!(root.spec.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["good"]);
    assert_eq!(root.spec.key_ring().unwrap().distinct(), 1);
    let told: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(told.len(), 3);
    assert!(told[0].contains("spec.keys[0].secretKeyRef: Secret \"s\": garbage is no PEM block"), "{told:?}");
    assert!(told[2].contains("spec.keys[3].secretKeyRef: Secret \"none\": it is not there"), "{told:?}");
    assert!(!told.concat().contains("hunter2"), "{told:?}");
}
