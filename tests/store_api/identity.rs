//! Tokens of CI systems and of Kubernetes: each thing that must be right, wrong alone.

use crate::{
    issuer::{Issuer, Signer, signed},
    shop::*,
};
use serde_json::{Value, json};
use tidewaiter::digest::Digest;

pub fn image() -> Digest {
    Digest::sha256(b"image")
}

/// What the `ci` writer's tokens must say, unless a test says more.
pub fn grant(issuer: &Issuer) -> Value {
    json!({"issuer": issuer.url, "audience": "tidewaiter", "caBundle": issuer.authority,
        "claims": {"repository_id": "123", "ref": "refs/heads/*"}})
}

/// The claims that meet it.
pub fn job() -> Value {
    json!({"sub": "repo:shop/api", "repository_id": "123", "ref": "refs/heads/main"})
}

pub fn with(base: &Value, more: Value) -> Value {
    let mut value = base.clone();
    for (name, member) in more.as_object().unwrap() {
        value[name] = member.clone();
    }
    value
}

/// A shop whose writers are the laptop and these; the cluster reads.
pub async fn shop_of(writers: Vec<Value>, readers: Vec<Value>) -> Shop {
    let keys = Keys::new();
    let mut all =
        vec![json!({"name": "laptop", "tokenHash": token_hash(LAPTOP), "steps": ["*"], "kinds": ["layout", "link"]})];
    all.extend(writers);
    let mut reading = vec![json!({"name": "cluster", "tokenHash": token_hash(CLUSTER)})];
    reading.extend(readers);
    let chain = chain("shop", "registry.example.com/shop/api", json!(all), json!(reading));
    let documents = Some([owners(&keys), chain].map(|document| document.to_string()).join("\n---\n"));
    let shop = Shop::with(keys, Setup { documents, ..Setup::default() }).await;
    shop.put_layout().await;
    shop
}

pub fn writer(way: &str, identity: Value) -> Value {
    json!({"name": "ci", way: identity, "steps": ["build"], "kinds": ["link"]})
}

pub fn build(shop: &Shop) -> Record {
    seal(&link("build", &image()), &[&shop.keys.ci])
}

#[tokio::test]
async fn a_job_writes_with_the_token_of_its_issuer() {
    let issuer = Issuer::start().await;
    let shop = shop_of(vec![writer("oidc", grant(&issuer))], vec![]).await;
    let record = build(&shop);
    assert_eq!(shop.put(&issuer.token(job()), &record).await, yes(201));
    // Its jobs upload several records with one token.
    let token = issuer.token(job());
    assert_eq!(shop.put(&token, &record).await, yes(200));
    assert_eq!(shop.put(&token, &seal(&link("build", &Digest::sha256(b"b")), &[&shop.keys.ci])).await, yes(201));
    // What its grant does not say it may not do, whoever signed.
    let test = seal(&link("test", &image()), &[&shop.keys.tester]);
    assert_eq!(shop.put(&token, &test).await, no(403, "forbidden"));
    let layout = seal(&layout(&shop.keys, FUTURE, "more"), &[&shop.keys.alice, &shop.keys.bob]);
    assert_eq!(shop.put(&token, &layout).await, no(403, "forbidden"));
    // And a token is no functionary's signature.
    let forged = seal(&link("build", &image()), &[&shop.keys.stranger]);
    assert_eq!(shop.put(&token, &forged).await, no(422, "signature_untrusted"));
    assert_eq!(shop.evidence(Some(&token), &image().to_string()).await.0, 403, "it writes; it does not read");
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn every_claim_and_every_time_must_be_right() {
    let issuer = Issuer::start().await;
    let shop = shop_of(vec![writer("oidc", grant(&issuer))], vec![]).await;
    let record = build(&shop);
    let now = jiff::Timestamp::now().as_second();
    let cases = [
        (json!({"aud": "other"}), 401, "token_audience"),
        (json!({"aud": "tidewaite"}), 401, "token_audience"),
        (json!({"aud": ["other", "https://tidewaiter"]}), 401, "token_audience"),
        (json!({"aud": null}), 401, "token_audience"),
        (json!({"iss": "https://localhost:1"}), 401, "token_issuer"),
        (json!({"iss": format!("{}/", issuer.url)}), 401, "token_issuer"),
        (json!({"iss": null}), 401, "token_issuer"),
        (json!({"exp": now - 1}), 401, "token_expired"),
        (json!({"exp": null}), 401, "token_malformed"),
        (json!({"exp": "tomorrow"}), 401, "token_malformed"),
        (json!({"exp": -1}), 401, "token_malformed"),
        (json!({"exp": 1e300}), 401, "token_malformed"),
        (json!({"nbf": now + 90}), 401, "token_not_yet_valid"),
        (json!({"iat": now + 90}), 401, "token_not_yet_valid"),
        (json!({"exp": now + 3_700}), 401, "token_lifetime"),
        (json!({"exp": now + 3_700, "iat": null}), 401, "token_lifetime"),
        (json!({"iat": now - 86_400}), 401, "token_lifetime"),
        (json!({"repository_id": "124"}), 403, "forbidden"),
        (json!({"repository_id": "1234"}), 403, "forbidden"),
        (json!({"repository_id": null}), 403, "forbidden"),
        (json!({"repository_id": {"id": "123"}}), 403, "forbidden"),
        (json!({"ref": "refs/tags/v1"}), 403, "forbidden"),
    ];
    for (wrong, status, reason) in cases {
        let token = issuer.token(with(&job(), wrong.clone()));
        assert_eq!(shop.put(&token, &record).await, no(status, reason), "{wrong}");
    }
    assert_eq!(shop.names(&image()).await, [] as [String; 0], "nothing of it was kept");
    let fine = [
        json!({}),
        json!({"aud": ["other", "tidewaiter"]}),
        json!({"repository_id": 123}),
        json!({"repository_id": ["7", "123"]}),
        json!({"nbf": now + 30, "iat": now + 30}),
        json!({"exp": now + 3_600}),
        json!({"exp": now as f64 + 300.5}),
        json!({"nbf": null, "iat": null}),
    ];
    for right in fine {
        let token = issuer.token(with(&job(), right.clone()));
        let answer = shop.put(&token, &record).await;
        assert!(answer == yes(201) || answer == yes(200), "{right}: {answer:?}");
    }
}

#[tokio::test]
async fn only_an_issuers_signature_is_one() {
    let issuer = Issuer::start().await;
    let (rsa, edwards, p384) = (Signer::rsa(), Signer::ed25519(), Signer::p384());
    let rsa_key = rsa.jwk("rsa");
    issuer.publishes(vec![
        issuer.key.jwk("key-1"),
        rsa_key.clone(),
        edwards.jwk("edwards"),
        p384.jwk("p384"),
        with(&Signer::p256().jwk("encrypts"), json!({"use": "enc"})),
        with(&rsa_key, json!({"kid": "only-rs512", "alg": "RS512"})),
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": "shared", "alg": "HS256"}),
        json!({"kty": "RSA", "kid": "weak", "e": "AQAB", "n": "A".repeat(171)}),
        json!({"kty": "new", "kid": "unknown"}),
    ]);
    let shop = shop_of(vec![writer("oidc", grant(&issuer))], vec![]).await;
    let record = build(&shop);
    let claims = issuer.claims(job());
    let header = |algorithm: &str, kid: &str| json!({"alg": algorithm, "kid": kid});

    let good = [
        rsa.token(&header("RS256", "rsa"), &claims),
        rsa.token(&header("RS384", "rsa"), &claims),
        rsa.token(&header("RS512", "only-rs512"), &claims),
        rsa.token(&header("PS256", "rsa"), &claims),
        rsa.token(&header("PS384", "rsa"), &claims),
        rsa.token(&header("PS512", "rsa"), &claims),
        issuer.key.token(&header("ES256", "key-1"), &claims),
        p384.token(&header("ES384", "p384"), &claims),
        edwards.token(&header("EdDSA", "edwards"), &claims),
        issuer.key.token(&with(&header("ES256", "key-1"), json!({"typ": "at+JWT"})), &claims),
    ];
    for (number, token) in good.iter().enumerate() {
        let expected = if number == 0 { yes(201) } else { yes(200) };
        assert_eq!(shop.put(token, &record).await, expected, "{number}");
    }

    // A secret that everybody knows: the key's text, its modulus, its point.
    let hmac = |secret: &[u8]| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        move |message: &[u8]| aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
    };
    let modulus = rsa_key["n"].as_str().unwrap();
    let hs256 = |kid: &str, secret: &[u8]| signed(header("HS256", kid).to_string(), claims.to_string(), hmac(secret));
    let es256 = good[6].clone();
    let (message, signature) = es256.rsplit_once('.').unwrap();
    let mut broken = signature.to_owned();
    let last = if broken.ends_with('A') { "Q" } else { "A" };
    broken.replace_range(0..1, if broken.starts_with('A') { "B" } else { "A" });
    let (head, _) = message.split_once('.').unwrap();
    let twice = claims.to_string().replacen('{', "{\"repository_id\":\"124\",", 1);
    let cases = [
        (signed(json!({"alg": "none"}).to_string(), claims.to_string(), |_| vec![]), "token_algorithm"),
        (signed(header("None", "key-1").to_string(), claims.to_string(), |_| vec![]), "token_algorithm"),
        (format!("{message}."), "token_signature"),
        (hs256("rsa", modulus.as_bytes()), "token_algorithm"),
        (hs256("shared", b"secret"), "token_algorithm"),
        (hs256("key-1", rsa_key.to_string().as_bytes()), "token_algorithm"),
        (format!("{message}.{broken}"), "token_signature"),
        (format!("{message}.{signature}{last}"), "token_signature"),
        (Signer::p256().token(&header("ES256", "key-1"), &claims), "token_signature"),
        (issuer.key.token(&header("ES256", "rsa"), &claims), "token_algorithm"),
        (issuer.key.token(&header("ES256", "p384"), &claims), "token_algorithm"),
        (rsa.token(&header("RS256", "only-rs512"), &claims), "token_algorithm"),
        (issuer.key.token(&header("ES256", "nobodys"), &claims), "token_key"),
        (issuer.key.token(&header("ES256", "encrypts"), &claims), "token_key"),
        (rsa.token(&header("RS256", "weak"), &claims), "token_key"),
        (issuer.key.token(&json!({"alg": "ES256"}), &claims), "token_key"),
        (issuer.key.token(&with(&header("ES256", "key-1"), json!({"crit": ["exp"]})), &claims), "token_malformed"),
        (issuer.key.token(&with(&header("ES256", "key-1"), json!({"typ": "logout+jwt"})), &claims), "token_malformed"),
        (issuer.key.token(&json!({"alg": "ES256", "kid": 1}), &claims), "token_malformed"),
        (signed(header("ES256", "key-1").to_string(), twice, |_| vec![0; 64]), "token_malformed"),
        (signed(header("ES256", "key-1").to_string(), "[]".into(), |_| vec![0; 64]), "token_malformed"),
        (format!("{head}.e30.{signature}"), "token_issuer"),
        (format!("{head}.***.{signature}"), "token_malformed"),
        (format!("{head}.{}", &message[head.len() + 1..]), "unauthenticated"),
        (format!("{es256}.x"), "unauthenticated"),
        ("a.b.c".into(), "token_malformed"),
        ("..".into(), "token_malformed"),
    ];
    for (token, reason) in cases {
        assert_eq!(shop.put(&token, &record).await, no(401, reason), "{token}");
    }
    // One key of the header is no key of the issuer.
    let own = Signer::p256();
    let brought = json!({"alg": "ES256", "kid": "mine", "jwk": own.jwk("mine"), "jku": "https://evil.example/keys"});
    assert_eq!(shop.put(&own.token(&brought, &claims), &record).await, no(401, "token_key"));
}

#[tokio::test]
async fn the_run_is_the_one_in_the_token() {
    let issuer = Issuer::start().await;
    let oidc = with(&grant(&issuer), json!({"run": "{repository}/{run_id}"}));
    let shop = shop_of(vec![writer("oidc", oidc)], vec![]).await;
    let token = issuer.token(with(&job(), json!({"repository": "shop/api", "run_id": 7})));
    let put = async |token: &str, record: &Record, run: Option<&str>| {
        let mut put = shop.http.put(shop.url(&format!("/v1/records/{}", record.name))).bearer_auth(token);
        if let Some(run) = run {
            put = put.header("Tidewaiter-Run", run);
        }
        answer(put.body(record.bytes.clone()).send().await.unwrap()).await
    };
    let record = build(&shop);
    assert_eq!(put(&token, &record, Some("shop/api/8")).await, no(403, "run_mismatch"));
    assert_eq!(put(&issuer.token(job()), &record, None).await, no(403, "forbidden"), "no claim, no run");
    let odd = issuer.token(with(&job(), json!({"repository": "a\nb", "run_id": "7"})));
    assert_eq!(put(&odd, &record, None).await, no(403, "run_mismatch"));
    assert_eq!(shop.names(&image()).await, [] as [String; 0]);
    // Absent, it is filled in: a test that shares nothing with the build comes with it.
    assert_eq!(put(&token, &record, None).await, yes(201));
    let mut test = link("test", &image());
    test["materials"] = json!({});
    test["products"] = json!({"report": {"sha256": Digest::sha256(b"report").hex()}});
    let test = seal(&test, &[&shop.keys.tester]);
    assert_eq!(put(LAPTOP, &test, Some("shop/api/7")).await, yes(201));
    assert!(shop.names(&image()).await.contains(&test.name));
    assert_eq!(put(&token, &record, Some("shop/api/7")).await, yes(200));
}

#[tokio::test]
async fn a_service_account_is_one_name_of_one_namespace() {
    let issuer = Issuer::start().await;
    let account = json!({"issuer": issuer.url, "audience": "tidewaiter", "namespace": "ci", "serviceAccount": "build",
        "jwks": {"keys": [issuer.key.jwk("key-1")]}});
    let shop = shop_of(vec![writer("kubernetes", account.clone())], vec![]).await;
    let record = build(&shop);
    let token = |subject: &str| issuer.token(json!({"sub": subject}));
    for stranger in [
        "system:serviceaccount:ci:builder",
        "system:serviceaccount:ci:buil",
        "system:serviceaccount:prod:build",
        "system:serviceaccount:ci:build:x",
        "system:node:ci:build",
        "build",
    ] {
        assert_eq!(shop.put(&token(stranger), &record).await, no(403, "forbidden"), "{stranger}");
    }
    let good = json!({"sub": "system:serviceaccount:ci:build"});
    let other = issuer.token(with(&good, json!({"aud": "https://kubernetes.default.svc"})));
    assert_eq!(shop.put(&other, &record).await, no(401, "token_audience"));
    let later = jiff::Timestamp::now().as_second() + 86_400;
    assert_eq!(shop.put(&issuer.token(with(&good, json!({"exp": later}))), &record).await, no(401, "token_lifetime"));
    // As the API server makes them: a lifetime of 3,607 s, nested claims.
    let now = jiff::Timestamp::now().as_second();
    let projected = with(
        &good,
        json!({"aud": ["tidewaiter"], "exp": now + 3_607, "iat": now, "kubernetes.io":
        {"namespace": "ci", "pod": {"name": "p", "uid": "u"}, "serviceaccount": {"name": "build", "uid": "u"}}}),
    );
    assert_eq!(shop.put(&issuer.token(projected), &record).await, yes(201));
    assert_eq!(issuer.asked(), 0, "its keys are in the document");
}

#[tokio::test]
async fn who_reads_may_have_a_token_of_an_issuer_too() {
    let issuer = Issuer::start().await;
    let reader = json!({"name": "auditor", "oidc": grant(&issuer)});
    let shop = shop_of(vec![], vec![reader]).await;
    let read = async |claims: Value| shop.evidence(Some(&issuer.token(claims)), &image().to_string()).await;
    assert_eq!(read(job()).await.0, 200);
    for (wrong, status, reason) in [
        (json!({"ref": "refs/tags/v1"}), 403, "forbidden"),
        (json!({"aud": "other"}), 401, "token_audience"),
        (json!({"exp": 1}), 401, "token_expired"),
    ] {
        let (found, body) = read(with(&job(), wrong)).await;
        assert_eq!((found, body["reason"].as_str().unwrap()), (status, reason));
    }
    assert_eq!(
        shop.put(&issuer.token(job()), &build(&shop)).await,
        no(403, "forbidden"),
        "it reads; it does not write"
    );
}

#[tokio::test]
async fn a_longer_life_is_the_documents_to_give() {
    let issuer = Issuer::start().await;
    let oidc = with(&grant(&issuer), json!({"maxLifetime": "2h"}));
    let shop = shop_of(vec![writer("oidc", oidc)], vec![]).await;
    let now = jiff::Timestamp::now().as_second();
    let lives = |seconds: i64| issuer.token(with(&job(), json!({"exp": now + seconds})));
    assert_eq!(shop.put(&lives(7_300), &build(&shop)).await, no(401, "token_lifetime"));
    assert_eq!(shop.put(&lives(7_200), &build(&shop)).await, yes(201));
}
