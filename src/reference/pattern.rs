//! Image patterns of policies: anchored, host and path matched separately (security §2.A10).

use super::{BYTES_MAX, Fault, NAME_BYTES_MAX, Reference, ReferenceError, grammar, in_library, split};
use std::str::FromStr;

/// An image pattern of a policy: host and path matched separately, anchored; `*` stays within a path component, `**` crosses
/// (security §2.A10). `registry.example.com/shop/**`. Canonicalised by the code that canonicalises references.
///
/// * A host may begin with `*.`, which is one label: `*.example.com/**`. Its port is matched exactly.
/// * `*` in a path stands for any characters but `/`, none too: `shop/api-*`.
/// * `**` is a whole component and stands for any number of them, none too; at the end it is one at least, so `shop/**` is
///   everything below `shop` and not `shop` itself.
/// * `**` alone is every image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePattern {
    text: String,
    host: Host,
    path: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    Exactly(String),
    /// One label, and then this, which begins with a dot.
    Below(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Component {
    /// `**`
    AnyNumber,
    /// With `*` for any characters.
    Glob(String),
}

impl FromStr for ImagePattern {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|fault| fault.of(text))
    }
}

fn parse(text: &str) -> Result<ImagePattern, Fault> {
    grammar::check_bytes(text, BYTES_MAX)?;
    if text == "**" {
        return Ok(ImagePattern { text: text.to_owned(), host: Host::Any, path: vec![Component::AnyNumber] });
    }
    if text == "*" || text.starts_with("*/") || text.starts_with("**/") {
        return Err(Fault::Ambiguous("write \"**\" for every image, or the host, which may begin with \"*.\""));
    }
    if text.contains('@') || text.rfind(':') > text.find('/').or(Some(0)) {
        return Err(Fault::Invalid("a pattern has no tag and no digest"));
    }
    if !text.contains('/') && (text.contains('.') || text == "localhost") {
        return Err(Fault::Ambiguous(
            "write a registry with \"/**\" behind it, or an image of Docker Hub with \"docker.io/\" before it",
        ));
    }
    let (host, path) = split(text, host)?;
    for component in path.split('/') {
        check(component)?;
    }
    // `docker.io/*` is the official images, `docker.io/**` all of Docker Hub.
    let path = if path == "**" { path.to_owned() } else { in_library(&host, path) };
    let text = format!("{host}/{path}");
    // A longer one selects nothing, or stars that stand for nothing. Measured as written out, so that it can be read again.
    if text.len() > NAME_BYTES_MAX {
        return Err(Fault::Invalid("its name has more than 255 bytes"));
    }
    Ok(ImagePattern { text, host: Host::new(&host), path: compile(&path) })
}

/// The canonical host, its leading `*.` kept.
fn host(text: &str) -> Result<String, Fault> {
    let Some(domain) = text.strip_prefix("*.") else {
        return match text.contains('*') {
            true => Err(Fault::Invalid("a \"*\" in a host is its whole first label")),
            false => grammar::host(text),
        };
    };
    let (domain, port) = grammar::split_port(domain)?;
    let domain = grammar::domain(domain)?;
    if domain.parse::<std::net::Ipv4Addr>().is_ok()
        || domain.rsplit('.').next().is_some_and(|l| l.parse::<u8>().is_ok())
    {
        return Err(Fault::Invalid("a \"*\" in a host stands before a DNS name"));
    }
    Ok(grammar::with_port(format!("*.{domain}"), port))
}

fn check(component: &str) -> Result<(), Fault> {
    match component {
        "**" => Ok(()),
        _ if component.contains("**") => Err(Fault::Invalid("\"**\" is a whole part of the path")),
        _ if component.contains('*') => {
            // What the star leaves must be able to stand in a path.
            let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'*');
            match component.bytes().all(plain) {
                true => Ok(()),
                false => Err(Fault::Invalid("a part of its path is not a-z 0-9 . _ - and *")),
            }
        }
        _ => grammar::path_component(component),
    }
}

fn compile(path: &str) -> Vec<Component> {
    let mut compiled: Vec<_> =
        path.split('/').map(|c| if c == "**" { Component::AnyNumber } else { Component::Glob(c.to_owned()) }).collect();
    if compiled.last() == Some(&Component::AnyNumber) {
        // At the end, one component at least.
        compiled.insert(compiled.len() - 1, Component::Glob("*".to_owned()));
    }
    compiled
}

impl ImagePattern {
    /// The canonical pattern: `host/path`, or `**`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one host it is about; `None`: it leaves that open.
    pub fn host(&self) -> Option<&str> {
        match &self.host {
            Host::Exactly(host) => Some(host),
            Host::Any | Host::Below(_) => None,
        }
    }

    /// On host and repository; tag and digest play no part.
    pub fn matches(&self, image: &Reference) -> bool {
        let path: Vec<&str> = image.repository().split('/').collect();
        self.host.matches(image.registry())
            && glob(
                &self.path,
                &path,
                |c| *c == Component::AnyNumber,
                |pattern, component| match pattern {
                    Component::AnyNumber => true,
                    Component::Glob(text) => {
                        glob(text.as_bytes(), component.as_bytes(), |b| *b == b'*', |wanted, found| wanted == found)
                    }
                },
            )
    }
}

impl Host {
    fn new(text: &str) -> Self {
        match text.strip_prefix('*') {
            Some(below) => Host::Below(below.to_owned()),
            None => Host::Exactly(text.to_owned()),
        }
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Host::Any => true,
            Host::Exactly(exact) => exact == host,
            Host::Below(suffix) => {
                host.strip_suffix(suffix.as_str()).is_some_and(|label| !label.is_empty() && !label.contains('.'))
            }
        }
    }
}

/// Whether the whole text matches, where a star is any number of elements. The last star alone is ever tried again, so the
/// cost is the product of both lengths at most, which are 512 bytes at most.
fn glob<P, T>(pattern: &[P], text: &[T], is_star: impl Fn(&P) -> bool, fits: impl Fn(&P, &T) -> bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(element) = text.get(t) {
        match pattern.get(p) {
            Some(wanted) if is_star(wanted) => {
                star = Some((p, t));
                p += 1;
            }
            Some(wanted) if fits(wanted, element) => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                // The star takes one element more.
                Some((at, taken)) => {
                    *taken += 1;
                    (p, t) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(is_star)
}
