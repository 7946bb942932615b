//! The referrers API, page by page (distribution-spec, "Listing Referrers"; security §2.D9): pages of one origin, bounded in number, no
//! page twice.

use super::{
    Registries, Repository,
    fetch::{Ask, Kind, Remote, Reply},
};
use crate::{
    digest::Digest,
    oci::{Descriptor, Document, media},
    reason::{Fault, Reason},
};
use std::time::Instant;
use url::Url;

impl Registries {
    pub(super) async fn remote_referrers(
        &self,
        remote: &Remote,
        repository: &Repository,
        digest: &Digest,
        deadline: Instant,
    ) -> Result<Option<Vec<Descriptor>>, Fault> {
        let mut url = super::object::object_url(&remote.base, &repository.path, "referrers", &digest.to_string())?;
        let (mut found, mut seen) = (Vec::new(), Vec::new());
        loop {
            let ask = Ask {
                kind: Kind::Referrers,
                repository: &repository.path,
                url: url.clone(),
                bytes_max: self.limits().manifest_bytes_max,
                credential: self.credential(remote),
            };
            let page = match self.known.fetcher.fetch(remote, &ask, deadline).await? {
                Reply::Found(page) => page,
                Reply::Missing | Reply::NoApi if seen.is_empty() => return Ok(None),
                Reply::Missing | Reply::NoApi => {
                    return Err(bad(remote, "a listing of referrers that ends in the middle"));
                }
            };
            found.extend(entries(remote, &page.bytes, page.media_type.as_deref())?);
            if found.len() > self.limits().referrers_max {
                return Err(bad(remote, &format!("more than {} referrers", self.limits().referrers_max)));
            }
            let Some(next) = page.links.iter().find_map(|line| next_link(line)) else { return Ok(Some(found)) };
            seen.push(url.clone());
            url = following(remote, &url, next)?;
            if seen.contains(&url) {
                return Err(bad(remote, "pages of referrers that go round in a circle"));
            }
            if seen.len() >= self.limits().pages_max {
                return Err(bad(remote, &format!("more than {} pages of referrers", self.limits().pages_max)));
            }
        }
    }
}

fn entries(remote: &Remote, bytes: &[u8], media_type: Option<&str>) -> Result<Vec<Descriptor>, Fault> {
    if media_type != Some(media::OCI_INDEX) {
        return Err(bad(remote, &format!("referrers as {:?}, not as an image index", media_type.unwrap_or("nothing"))));
    }
    match Document::parse(bytes, media_type)? {
        Document::Index(index) => Ok(index.manifests),
        Document::Manifest(_) => Err(bad(remote, "referrers that are no image index")),
    }
}

/// The next page's URL: of the registry's own origin, or not at all.
fn following(remote: &Remote, from: &Url, link: &str) -> Result<Url, Fault> {
    let mut next = from.join(link).map_err(|_| bad(remote, "a link to a next page that is no URL"))?;
    next.set_fragment(None);
    if next.origin() != remote.base.origin() || !next.username().is_empty() || next.password().is_some() {
        return Err(Fault::new(
            Reason::RegistryRefused,
            format!("registry {} links its next page of referrers to another host", remote.name),
        ));
    }
    Ok(next)
}

/// The target of `rel="next"` in one `Link` line (RFC 8288).
fn next_link(line: &str) -> Option<&str> {
    let mut rest = line;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, parameters) = after.split_once('>')?;
        let end = parameters.find('<').unwrap_or(parameters.len());
        let (own, following) = parameters.split_at(end);
        let is_next = own.split([';', ',']).any(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            key.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split(' ').any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target);
        }
        rest = following;
    }
    None
}

fn bad(remote: &Remote, what: &str) -> Fault {
    Fault::new(Reason::RegistryUnavailable, format!("registry {} sent {what}", remote.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_read_from_a_link() {
        assert_eq!(next_link(r#"</v2/a/referrers/x?n=2>; rel="next""#), Some("/v2/a/referrers/x?n=2"));
        assert_eq!(next_link(r#"</p>; rel=prev, </n>; title="t"; rel=next"#), Some("/n"));
        assert_eq!(next_link(r#"</n>; REL="last NEXT""#), Some("/n"));
        for none in ["", "</n>", "</n>; rel=prev", "</n; rel=next", "rel=next", "</n>; title=\"rel\""] {
            assert_eq!(next_link(none), None, "{none}");
        }
    }
}
