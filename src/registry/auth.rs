//! Bearer and Basic authentication: the challenge, where its realm may be, and the token (security §2.D5, T-50). A registry chooses the
//! realm, so the realm is hostile: it gets credentials only where they would have gone anyway.

use super::credentials::Secret;
use crate::reason::{Fault, Reason};
use http::HeaderMap;
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use url::{Host, Url};

/// What a registry asks for in `WWW-Authenticate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    Bearer { realm: String, service: Option<String> },
    Basic,
}

/// One `WWW-Authenticate` line, and how many challenges and parameters of it are read.
const CHALLENGE_BYTES_MAX: usize = 4096;
const CHALLENGES_MAX: usize = 8;
const PARAMETERS_MAX: usize = 16;

/// The challenge we answer: Bearer before Basic, as an answer to the former tells the registry less.
pub fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let all = headers.get_all(http::header::WWW_AUTHENTICATE).iter().take(CHALLENGES_MAX);
    let mut found: Vec<Challenge> = all.filter_map(|line| line.to_str().ok()).flat_map(parse).collect();
    found.sort_by_key(|challenge| matches!(challenge, Challenge::Basic));
    found.into_iter().next()
}

/// RFC 9110 §11.6.1, the part registries use: `scheme key=token, key="quoted \" string", scheme …`.
fn parse(line: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = if line.len() <= CHALLENGE_BYTES_MAX { line } else { "" };
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let word_end = rest.find(|c: char| !is_token_char(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        if word.is_empty() || found.len() > CHALLENGES_MAX {
            break;
        }
        let value = after.trim_start_matches([' ', '\t']).strip_prefix('=').map(|v| v.trim_start_matches([' ', '\t']));
        match (value.and_then(parameter), found.last_mut()) {
            (Some((value, after)), Some((_, parameters))) if parameters.len() < PARAMETERS_MAX => {
                parameters.push((word.to_ascii_lowercase(), value));
                rest = after;
            }
            (None, _) if value.is_none() => {
                found.push((word.to_ascii_lowercase(), Vec::new()));
                rest = after;
            }
            _ => break,
        }
    }
    found.into_iter().filter_map(|(scheme, parameters)| known(&scheme, parameters)).collect()
}

fn known(scheme: &str, parameters: Vec<(String, String)>) -> Option<Challenge> {
    let get = |key: &str| parameters.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    match scheme {
        "bearer" => Some(Challenge::Bearer { realm: get("realm")?, service: get("service") }),
        "basic" => Some(Challenge::Basic),
        _ => None,
    }
}

/// The value of a parameter, and what follows it.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !is_token_char(c)).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (!value.is_empty()).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// What a registry's realm is held against.
pub struct RealmRules<'r> {
    /// Where the registry itself is reached.
    pub registry: &'r Url,
    /// Hosts (`host[:port]`) whose realm the operator allows for this registry.
    pub allowed: &'r [String],
    pub allow_private: bool,
}

/// Token servers of public registries that live beside them: the registry's host, the realm's.
const REALMS_KNOWN: [(&str, &str); 2] =
    [("registry-1.docker.io", "auth.docker.io"), ("registry.gitlab.com", "gitlab.com")];

/// The realm as a URL we may ask for a token (D5): https unless the registry itself is plain http, on the registry's own host or one that
/// is allowed for it; an address only where the registry is that same address.
pub fn realm(text: &str, rules: &RealmRules<'_>) -> Result<Url, Fault> {
    let refuse = |why: &str| {
        let shown: String = text.chars().take(120).collect();
        let registry = authority(rules.registry);
        Fault::new(Reason::RegistryRefused, format!("registry {registry} sends us for a token to {shown:?}: {why}"))
    };
    let mut url = Url::parse(text).map_err(|_| refuse("that is no URL"))?;
    let secure = url.scheme() == "https" || (url.scheme() == "http" && rules.registry.scheme() == "http");
    if !secure {
        return Err(refuse("it is not https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it names a user"));
    }
    url.set_fragment(None);
    let same_host = url.host() == rules.registry.host();
    let same_port = url.port_or_known_default() == rules.registry.port_or_known_default();
    if same_host && (same_port || rules.allow_private) {
        return Ok(url);
    }
    let host = authority(&url);
    if rules.allowed.contains(&host) {
        return Ok(url);
    }
    if matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_))) {
        return Err(refuse("it is an address, not a name"));
    }
    let known = REALMS_KNOWN.iter().any(|(registry, realm)| authority(rules.registry) == *registry && host == *realm);
    if known { Ok(url) } else { Err(refuse("another host than the registry's")) }
}

/// `host[:port]` as references write it: the scheme's own port is left out.
pub fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A token server's answer (distribution's token specification, "Token Response Fields").
#[derive(Deserialize)]
struct TokenReply {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default = "sixty")]
    expires_in: u64,
}
/// The specification's default lifetime of a token, in seconds.
fn sixty() -> u64 {
    60
}

/// A token and how long it may be used.
#[derive(Clone, Debug)]
pub struct Token {
    /// The whole value of `Authorization`.
    pub header: Secret,
    pub until: Instant,
}

/// A token longer than this is none: it has to travel in a header.
const TOKEN_CHARS_MAX: usize = 16 << 10;

/// Reads a token server's answer; `None`: there is no usable token in it.
pub fn token(body: &[u8], now: Instant) -> Option<Token> {
    let reply: TokenReply = serde_json::from_slice(body).ok()?;
    let text = if reply.token.is_empty() { reply.access_token } else { reply.token };
    let usable = (1..=TOKEN_CHARS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    // Used for nine tenths of its life and an hour at most: it must not run out on the way.
    let life = Duration::from_secs(reply.expires_in.min(3600)).mul_f64(0.9);
    usable.then(|| Token { header: Secret::new(format!("Bearer {text}")), until: now + life })
}

/// For whom a token is: never shared between registries, repositories or credentials (security §2.G4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenKey {
    pub registry: String,
    pub repository: String,
    pub identity: String,
}

/// One token's place. Whoever holds the lock fetches; the others wait for what it finds.
pub type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// Tokens in use, by whom they are for.
#[derive(Default)]
pub struct Tokens(Mutex<HashMap<TokenKey, Slot>>);

impl Tokens {
    pub fn slot(&self, key: &TokenKey, remembered_max: usize) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= remembered_max && !slots.contains_key(key) {
            let now = Instant::now();
            slots.retain(|_, slot| slot.try_lock().map_or(true, |token| token.as_ref().is_some_and(|t| t.until > now)));
            if slots.len() >= remembered_max {
                slots.clear();
            }
        }
        slots.entry(key.clone()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("www-authenticate", line.parse().unwrap());
        }
        challenge(&headers)
    }
    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer { realm: realm.into(), service: service.map(Into::into) })
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let docker =
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull""#;
        assert_eq!(of(&[docker]), bearer("https://auth.docker.io/token", Some("registry.docker.io")));
        assert_eq!(of(&[r#"bearer  realm = "a\"b" , error=x"#]), bearer("a\"b", None));
        assert_eq!(of(&["Basic realm=\"r\""]), Some(Challenge::Basic));
        assert_eq!(of(&["Basic realm=\"r\", Bearer realm=\"https://r/\""]), bearer("https://r/", None));
        assert_eq!(of(&["Basic", "Negotiate", "Bearer realm=https"]), bearer("https", None));
    }

    #[test]
    fn broken_and_endless_challenges_are_none() {
        let long = format!("Bearer realm=\"{}\"", "a".repeat(5000));
        let many = format!("Bearer {} realm=\"x\"", "a=b, ".repeat(20));
        for line in
            ["", "Bearer", "Bearer realm", "Bearer realm=\"open", "Bearer =x", "Digest realm=\"r\"", "\"", &long, &many]
        {
            assert_eq!(of(&[line]), None, "{line}");
        }
    }

    fn ask(registry: &str, realm_text: &str, allow_private: bool, allowed: &[&str]) -> Result<Url, Reason> {
        let registry = Url::parse(registry).unwrap();
        let allowed: Vec<String> = allowed.iter().map(|s| (*s).to_owned()).collect();
        realm(realm_text, &RealmRules { registry: &registry, allowed: &allowed, allow_private }).map_err(|f| f.reason)
    }

    #[test]
    fn a_realm_is_at_home_or_allowed() {
        for (registry, text, private, allowed) in [
            ("https://r.example/", "https://r.example/token", false, &[][..]),
            ("https://r.example/", "https://r.example:443/token", false, &[]),
            ("https://r.example:5000/", "https://r.example:5000/token", false, &[]),
            ("https://r.example:5000/", "https://r.example:5001/token", true, &[]),
            ("https://registry-1.docker.io/", "https://auth.docker.io/token", false, &[]),
            ("https://r.example/", "https://login.example/token", false, &["login.example"]),
            ("https://127.0.0.1:5000/", "https://127.0.0.1:5001/token", true, &[]),
            ("http://r.example:5000/", "http://r.example:5000/token", false, &[]),
            ("http://r.example:5000/", "https://r.example:5000/token", false, &[]),
        ] {
            assert!(ask(registry, text, private, allowed).is_ok(), "{registry} {text}");
        }
    }

    #[test]
    fn a_realm_anywhere_else_is_refused() {
        for (registry, text, private, allowed) in [
            ("https://r.example/", "https://evil.example/token", true, &["login.example"][..]),
            ("https://r.example/", "http://r.example/token", true, &["r.example"]),
            ("https://r.example/", "https://r.example:8443/token", false, &[]),
            ("https://r.example/", "https://r.example.evil.example/token", true, &[]),
            ("https://r.example/", "https://r.example@evil.example/token", true, &[]),
            ("https://r.example/", "https://u:p@r.example/token", true, &[]),
            ("https://r.example/", "https://169.254.169.254/latest", true, &[]),
            ("https://r.example/", "https://2130706433/token", true, &[]),
            ("https://r.example/", "https://[::1]/token", true, &[]),
            ("https://127.0.0.1:5000/", "https://127.0.0.2:5000/token", true, &[]),
            ("https://r.example/", "https://auth.docker.io/token", false, &[]),
            ("https://r.example/", "file:///etc/passwd", true, &[]),
            ("https://r.example/", "/token", true, &[]),
            ("http://r.example/", "ftp://r.example/token", true, &[]),
        ] {
            assert_eq!(ask(registry, text, private, allowed), Err(Reason::RegistryRefused), "{registry} {text}");
        }
    }

    #[test]
    fn tokens_that_cannot_be_sent_are_none() {
        let now = Instant::now();
        let good = token(br#"{"access_token":"a.b","expires_in":100}"#, now).unwrap();
        assert_eq!((good.header.expose(), good.until), ("Bearer a.b", now + Duration::from_secs(90)));
        assert_eq!(token(br#"{"token":"t","access_token":"u"}"#, now).unwrap().header.expose(), "Bearer t");
        assert_eq!(
            token(br#"{"token":"t","expires_in":9999999999999}"#, now).unwrap().until,
            now + Duration::from_secs(3240)
        );
        let long = format!(r#"{{"token":"{}"}}"#, "a".repeat(TOKEN_CHARS_MAX + 1));
        for body in ["{}", "", "[]", r#"{"token":"a b"}"#, r#"{"token":"a\r\nX: y"}"#, r#"{"token":"é"}"#, &long] {
            assert!(token(body.as_bytes(), now).is_none(), "{body}");
        }
    }

    #[test]
    fn remembered_tokens_are_bounded() {
        let tokens = Tokens::default();
        for n in 0..20 {
            let key = TokenKey { registry: "r".into(), repository: n.to_string(), identity: String::new() };
            tokens.slot(&key, 4);
        }
        assert!(tokens.0.lock().unwrap().len() <= 4);
    }
}
