//! SPIFFE IDs, and patterns of them.

use crate::pattern::Pattern;
use std::str::FromStr;

/// SPIFFE ID standard §2.3.
const ID_BYTES_MAX: usize = 2048;

/// Segments of a path, each a glob: `*` never reaches over a `/`, so that a pattern of a service account is none of what
/// somebody may hang below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiffePattern {
    domain: String,
    segments: Vec<Pattern>,
}

/// Why a text is no pattern of SPIFFE IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeError {
    /// Not `spiffe://<domain>/<path>` (SPIFFE ID standard §2).
    #[error("expected spiffe://<trust domain>/<path>")]
    Malformed,
    /// The trust domain is what the certificate's authority stands for.
    #[error("the trust domain has no wildcards")]
    Domain,
    /// Every workload of the trust domain.
    #[error("names everybody: at least one segment of the path must be more than *")]
    Everybody,
}

impl FromStr for SpiffePattern {
    type Err = SpiffeError;

    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        let (domain, path) = parts(text).ok_or(SpiffeError::Malformed)?;
        if domain.contains(['*', '?', '[', ']']) {
            return Err(SpiffeError::Domain);
        }
        if path.split('/').all(|segment| segment.chars().all(|c| c == '*')) {
            return Err(SpiffeError::Everybody);
        }
        let segments: Result<Vec<Pattern>, _> = path.split('/').map(Pattern::new).collect();
        Ok(SpiffePattern { domain: domain.to_owned(), segments: segments.map_err(|_| SpiffeError::Malformed)? })
    }
}

impl SpiffePattern {
    /// Whether an ID is one of those: the same trust domain, as many segments, each matching.
    pub fn matches(&self, id: &str) -> bool {
        let Some((domain, path)) = parts(id) else { return false };
        let segments: Vec<&str> = path.split('/').collect();
        domain == self.domain
            && segments.len() == self.segments.len()
            && self.segments.iter().zip(segments).all(|(pattern, segment)| pattern.matches(segment))
    }
}

/// Trust domain and path, none empty; no `.` and `..`, nothing that a URL would decode (SPIFFE ID standard §2.2).
fn parts(id: &str) -> Option<(&str, &str)> {
    let (domain, path) = id.strip_prefix("spiffe://")?.split_once('/')?;
    let plain = id.len() <= ID_BYTES_MAX && id.chars().all(|c| c.is_ascii_graphic() && !"%#@\\".contains(c));
    let whole = |segment: &str| !segment.is_empty() && segment != "." && segment != "..";
    (plain && !domain.is_empty() && !domain.contains(':') && path.split('/').all(whole)).then_some((domain, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_matched_segment_by_segment() {
        let matches = |pattern: &str, id: &str| pattern.parse::<SpiffePattern>().unwrap().matches(id);
        assert!(matches("spiffe://corp/ns/ci/sa/*", "spiffe://corp/ns/ci/sa/build"));
        assert!(matches("spiffe://corp/ns/ci-?/sa/build", "spiffe://corp/ns/ci-1/sa/build"));
        for id in [
            "spiffe://corp/ns/ci/sa",
            "spiffe://corp/ns/ci/sa/",
            "spiffe://corp/ns/ci/sa/build/more",
            "spiffe://corp/ns/ci/sa/..",
            "spiffe://corp.example/ns/ci/sa/build",
            "spiffe://CORP/ns/ci/sa/build",
            "spiffe://corp:1/ns/ci/sa/build",
            "https://corp/ns/ci/sa/build",
            "spiffe://corp/ns/ci/sa/a%2fb",
        ] {
            assert!(!matches("spiffe://corp/ns/ci/sa/*", id), "{id}");
        }
        assert!(!matches("spiffe://corp/ns/ci/sa/builder", "spiffe://corp/ns/ci/sa/build"));
        assert!(!matches("spiffe://corp/ns/ci/sa/build", "spiffe://corp/ns/ci/sa/builder"));
    }

    #[test]
    fn what_would_be_everybody_is_no_pattern() {
        use SpiffeError::*;
        for (text, error) in [
            ("", Malformed),
            ("spiffe://corp", Malformed),
            ("spiffe://corp/", Malformed),
            ("spiffe:///ns", Malformed),
            ("spiffe://corp//a", Malformed),
            ("spiffe://corp/a b", Malformed),
            ("spiffe://*/ns/ci", Domain),
            ("spiffe://corp/*", Everybody),
            ("spiffe://corp/*/*", Everybody),
        ] {
            assert_eq!(text.parse::<SpiffePattern>(), Err(error), "{text}");
        }
    }
}
