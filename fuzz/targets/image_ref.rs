//! Image references: what we accept, the grammar of distribution/reference accepts too and names the same thing; the
//! canonical form reads as itself. (security §4.4 `image_ref`)
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewaiter::reference::{ImagePattern, Reference};

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        let again: Reference = reference.to_string().parse().expect("the canonical form is a reference");
        assert_eq!(again, reference);
        let (name, tag, digest) = theirs(text).expect("the Go grammar accepts it");
        let (host, path) = name.split_once('/').expect("a name is host and path");
        let host = host.to_lowercase();
        // The default port is dropped, unless the rest would not be read as a host.
        let is_host = |h: &&str| h.contains(['.', ':']) || *h == "localhost";
        let host = host.strip_suffix(":443").filter(is_host).unwrap_or(&host);
        assert_eq!(reference.name(), format!("{host}/{path}"));
        assert_eq!(reference.digest().map(|d| d.to_string()), digest);
        assert_eq!(reference.tag().map(str::to_owned), tag.or_else(|| digest.is_none().then(|| "latest".into())));
        let exactly: ImagePattern = reference.name().parse().expect("a name is a pattern");
        assert!(exactly.matches(&reference));
        let all: ImagePattern = "**".parse().expect("a pattern");
        assert!(all.matches(&reference));
    }
    if let Ok(pattern) = text.parse::<ImagePattern>() {
        assert_eq!(pattern.as_str().parse::<ImagePattern>().as_ref(), Ok(&pattern));
    }
});

type Parts = (String, Option<String>, Option<String>);

/// `ParseNormalizedNamed` of distribution/reference, from its grammar: normalised name, tag, digest.
fn theirs(text: &str) -> Option<Parts> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    let (rest, digest) = match text.rfind('@') {
        Some(at) => (&text[..at], Some(text[at + 1..].to_owned())),
        None => (text, None),
    };
    let (name, tag) = match rest.rfind(':') {
        Some(at) if !rest[at..].contains('/') => (&rest[..at], Some(rest[at + 1..].to_owned())),
        _ => (rest, None),
    };
    let (mut domain, mut path) = ("docker.io".to_owned(), name.to_owned());
    if let Some(slash) = name.find('/') {
        let first = &name[..slash];
        if first.contains('.') || first.contains(':') || first == "localhost" || first.to_lowercase() != first {
            (domain, path) = (first.to_owned(), name[slash + 1..].to_owned());
        }
    }
    if domain == "index.docker.io" {
        domain = "docker.io".to_owned();
    }
    if domain == "docker.io" && !path.contains('/') {
        path = format!("library/{path}");
    }
    let sound = is_domain(&domain)
        && path.len() <= 255
        && path.split('/').all(|component| is_component(component.as_bytes()))
        && tag.as_deref().is_none_or(is_tag)
        && digest.as_deref().is_none_or(is_digest);
    sound.then(|| (format!("{domain}/{path}"), tag, digest))
}

fn is_domain(text: &str) -> bool {
    let colon = text.rfind(':').filter(|at| !text[*at..].contains(']'));
    let (host, port) = text.split_at(colon.unwrap_or(text.len()));
    let port_fits = port.is_empty() || (port.len() > 1 && port[1..].bytes().all(|b| b.is_ascii_digit()));
    let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host_fits = match v6 {
        Some(address) => !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => host.split('.').all(|label| {
            let bytes = label.as_bytes();
            !bytes.is_empty()
                && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
                && bytes[0] != b'-'
                && bytes[bytes.len() - 1] != b'-'
        }),
    };
    port_fits && host_fits
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, as a machine of its own.
fn is_component(bytes: &[u8]) -> bool {
    let (mut at, mut separator) = (0, String::new());
    let mut before = false;
    while at < bytes.len() {
        let c = bytes[at] as char;
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            let fits = matches!(separator.as_str(), "" | "." | "_" | "__") || separator.chars().all(|c| c == '-');
            if !fits || (!separator.is_empty() && !before) {
                return false;
            }
            separator.clear();
            before = true;
        } else {
            separator.push(c);
        }
        at += 1;
    }
    before && separator.is_empty()
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_digest(digest: &str) -> bool {
    digest
        .strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)))
}
