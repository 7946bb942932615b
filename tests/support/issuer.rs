//! An issuer of tokens on loopback, as a CI system has one: OpenID Connect discovery and its keys over https with a
//! certificate of its own authority, and tokens signed with whatever algorithm, claims and lies a test wants.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa, signature,
    signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tidewaiter::serve::{self, tls};
use tokio_util::sync::CancellationToken;

/// A key that signs tokens.
pub enum Signer {
    Rsa(Box<rsa::KeyPair>),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub fn rsa() -> Self {
        Signer::Rsa(Box::new(rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap()))
    }

    pub fn p256() -> Self {
        Signer::P256(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub fn p384() -> Self {
        Signer::P384(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
    }

    pub fn ed25519() -> Self {
        Signer::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let curve = |name: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            json!({"kty": "EC", "crv": name, "x": text(x), "y": text(y), "kid": kid, "use": "sig"})
        };
        match self {
            Signer::Rsa(pair) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({"kty": "RSA", "kid": kid, "use": "sig",
                    "n": text(n.big_endian_without_leading_zero()), "e": text(e.big_endian_without_leading_zero())})
            }
            Signer::P256(pair) => curve("P-256", pair.public_key().as_ref()),
            Signer::P384(pair) => curve("P-384", pair.public_key().as_ref()),
            Signer::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()), "kid": kid})
            }
        }
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Signer::Rsa(pair) => {
                let padding: &'static dyn signature::RsaEncoding = match algorithm {
                    "RS256" => &signature::RSA_PKCS1_SHA256,
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    other => panic!("no {other} of an RSA key"),
                };
                let mut made = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut made).unwrap();
                made
            }
            Signer::P256(pair) | Signer::P384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Signer::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with this header and these claims.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        let algorithm = header["alg"].as_str().unwrap();
        signed(header.to_string(), claims.to_string(), |message| self.sign(algorithm, message))
    }
}

/// Header and claims as texts, with whatever makes the signature.
pub fn signed(header: String, claims: String, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// How the issuer answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Honest,
    /// 503.
    Down,
    /// No answer at all.
    Silent,
    /// Its configuration is of another issuer.
    Other,
    /// Its keys are said to be where no token should be checked against.
    Astray,
    /// It sends us elsewhere.
    Redirects,
    /// A configuration without end.
    Endless,
    /// Keys that are none.
    Garbled,
}

pub struct Issuer {
    pub url: String,
    /// PEM of its authority.
    pub authority: String,
    pub key: Signer,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

struct Shared {
    url: String,
    mood: Mutex<Mood>,
    keys: Mutex<Vec<Value>>,
    asked: AtomicUsize,
}

impl Issuer {
    /// Serves until it is dropped; its key is `key-1`.
    pub async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let (authority, secret) = (made.cert.pem(), made.signing_key.serialize_pem());
        let held = tls::Certificates::held(authority.as_bytes(), secret.as_bytes()).unwrap();
        let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let tls = Some(tls::Source::Held(held));
        let options = serve::Options { listen, tls, connections_max: 64, drain: Duration::ZERO };
        let bound = serve::bind(options).await.unwrap();
        let url = format!("https://localhost:{}", bound.local_addr().port());
        let key = Signer::p256();
        let shared = Arc::new(Shared {
            url: url.clone(),
            mood: Mutex::default(),
            keys: Mutex::new(vec![key.jwk("key-1")]),
            asked: AtomicUsize::new(0),
        });
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(keys))
            .with_state(shared.clone());
        let stop = CancellationToken::new();
        tokio::spawn(bound.run(app, stop.clone()));
        Issuer { url, authority, key, shared, stop }
    }

    pub fn is(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    pub fn publishes(&self, keys: Vec<Value>) {
        *self.shared.keys.lock().unwrap() = keys;
    }

    /// How often its keys were looked up.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// A token of its key with these claims beside `iss`, `iat` and `exp` (ten minutes); null takes one away.
    pub fn token(&self, claims: Value) -> String {
        self.key.token(&json!({"alg": "ES256", "typ": "JWT", "kid": "key-1"}), &self.claims(claims))
    }

    pub fn claims(&self, more: Value) -> Value {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({"iss": self.url, "iat": now, "nbf": now, "exp": now + 600, "aud": "tidewaiter"});
        for (name, value) in more.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn configuration(State(shared): State<Arc<Shared>>) -> axum::response::Response {
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let mood = *shared.mood.lock().unwrap();
    let of = |issuer: &str, keys: &str| axum::Json(json!({"issuer": issuer, "jwks_uri": keys})).into_response();
    let url = &shared.url;
    match mood {
        Mood::Honest | Mood::Garbled => of(url, &format!("{url}/keys")),
        Mood::Down => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Mood::Silent => std::future::pending().await,
        Mood::Other => of("https://other.example", &format!("{url}/keys")),
        Mood::Astray => of(url, "http://keys.example/keys"),
        Mood::Redirects => (StatusCode::FOUND, [("location", format!("{url}/elsewhere"))]).into_response(),
        Mood::Endless => {
            let part = || Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; 1 << 16]));
            axum::body::Body::from_stream(futures::stream::repeat_with(part)).into_response()
        }
    }
}

async fn keys(State(shared): State<Arc<Shared>>) -> axum::response::Response {
    if *shared.mood.lock().unwrap() == Mood::Garbled {
        return "{\"keys\": {}}".into_response();
    }
    axum::Json(json!({"keys": *shared.keys.lock().unwrap()})).into_response()
}
