//! The parts of a reference, each by the grammar that distribution/reference and containerd share.

use super::Fault;
use crate::digest::{Algorithm, Digest};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Visible ASCII, not empty, not too long: everything after may cut at any byte.
pub(super) fn check_bytes(text: &str, bytes_max: usize) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::Invalid("it is empty"));
    }
    if text.len() > bytes_max {
        return Err(Fault::Invalid("it has more than 512 bytes"));
    }
    if text.contains("://") {
        return Err(Fault::Invalid("a reference has no scheme"));
    }
    match text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(Fault::Invalid("only visible ASCII characters can stand in it")),
    }
}

/// A7: sha256, lower case, right length.
pub(super) fn digest(text: &str) -> Result<Digest, Fault> {
    match text.parse::<Digest>() {
        Ok(digest) if digest.algorithm() == Algorithm::Sha256 => Ok(digest),
        _ => Err(Fault::Invalid("its digest is not sha256: and 64 lower-case hex digits")),
    }
}

pub(super) fn tag(text: &str) -> Result<String, Fault> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let fits = text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'));
    match fits {
        true => Ok(text.to_owned()),
        false => {
            Err(Fault::Invalid("its tag is not up to 128 of A-Z a-z 0-9 _ . -, beginning with none of the last two"))
        }
    }
}

/// A6: containerd's CRI tries a reference as the id of a local image, which has no origin.
pub(super) fn check_is_no_image_id(name: &str, tag: Option<&str>, has_digest: bool) -> Result<(), Fault> {
    let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_algorithm = matches!(name, "sha256" | "sha384" | "sha512" | "sha1" | "md5" | "blake3");
    if is_algorithm && tag.is_some_and(hex) {
        return Err(Fault::Ambiguous("it may be the id of a local image; write the registry and the path out"));
    }
    if hex(name) && ((tag.is_none() && !has_digest) || name.len() == 64) {
        return Err(Fault::Ambiguous("it may be the id of a local image; write the registry and the path out"));
    }
    Ok(())
}

/// `alpha-numeric [separator alpha-numeric]*`, where a separator is one of `.` `_` `__`, or any number of `-`.
pub(super) fn path_component(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::Invalid("a part of its path is empty"));
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(Fault::Invalid("its path has upper-case letters"));
    }
    let alphanumeric = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9');
    let mut separators = text.split(|c| u8::try_from(c).is_ok_and(alphanumeric)).filter(|s| !s.is_empty());
    let edges = [text.bytes().next(), text.bytes().next_back()];
    let sound = separators.all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'));
    match sound && edges.into_iter().flatten().all(alphanumeric) {
        true => Ok(()),
        false => Err(Fault::Invalid("a part of its path is not a-z 0-9 with single . _ __ or - between them")),
    }
}

/// `host[:port]` in its one spelling: lower case, `:443` dropped (A5).
pub(super) fn host(text: &str) -> Result<String, Fault> {
    let (host, port) = split_port(text)?;
    let host = match host.strip_prefix('[') {
        Some(address) => ipv6(address)?,
        None => domain(host)?,
    };
    Ok(with_port(host, port))
}

/// Drops the default port, unless the host would be read as a path of Docker Hub without it.
pub(super) fn with_port(host: String, port: Option<u16>) -> String {
    match port {
        Some(443) if host == "localhost" || host.contains(['.', ':']) => host,
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

/// The host and the port.
pub(super) fn split_port(text: &str) -> Result<(&str, Option<u16>), Fault> {
    let in_brackets = text.rfind(']').map_or(0, |at| at + 1);
    let (host, digits) = match text.rsplit_once(':') {
        Some((host, digits)) if host.len() >= in_brackets => (host, digits),
        _ => return Ok((text, None)),
    };
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse::<u16>() {
        Ok(port) if is_number && digits.starts_with('0') && port > 0 => {
            Err(Fault::Ambiguous("its port begins with a zero"))
        }
        Ok(port) if is_number && port > 0 => Ok((host, Some(port))),
        _ => Err(Fault::Invalid("its port is not a number from 1 to 65535")),
    }
}

/// A DNS name or an IPv4 address, in lower case.
pub(super) fn domain(text: &str) -> Result<String, Fault> {
    let host = text.to_ascii_lowercase();
    if host.ends_with('.') {
        return Err(Fault::Ambiguous("its host ends with a dot"));
    }
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err(Fault::Invalid("its host is no DNS name"));
    }
    if host.split('.').any(|label| label.starts_with("xn--")) {
        return Err(Fault::Ambiguous("its host is an internationalised name, which may look like another"));
    }
    // What resolvers take for an IPv4 address has many spellings: 127.1, 0x7f000001, 017700000001.
    let numeric = |label: &str| {
        let digits = label.strip_prefix("0x").unwrap_or(label);
        (digits.len() < label.len() && digits.bytes().all(|b| b.is_ascii_hexdigit()))
            || label.bytes().all(|b| b.is_ascii_digit())
    };
    if host.rsplit('.').next().is_some_and(numeric) && host.parse::<Ipv4Addr>().is_err() {
        return Err(Fault::Ambiguous("its host is a number, but no IPv4 address of four decimal parts"));
    }
    Ok(host)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// `address]`, accepted in its canonical spelling alone (RFC 5952).
fn ipv6(text: &str) -> Result<String, Fault> {
    let not_one = Fault::Invalid("its host in brackets is no IPv6 address");
    let address = text.strip_suffix(']').ok_or(not_one)?;
    let parsed: Ipv6Addr = address.parse().map_err(|_| not_one)?;
    let canonical = parsed.to_string();
    match canonical.eq_ignore_ascii_case(address) && !canonical.contains('.') {
        true => Ok(format!("[{canonical}]")),
        false => Err(Fault::Ambiguous("its IPv6 address is not written in its canonical form")),
    }
}
