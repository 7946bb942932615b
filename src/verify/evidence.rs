//! What was found: a set of envelopes, none of them trusted yet. Layouts and links are told apart by their signed content.

use super::{Rejection, budget, budget::Limits, reference};
use crate::{
    envelope::{Envelope, EnvelopeError, INTOTO_PAYLOAD_TYPE},
    intoto::{Link, Profile, Reported, link::Reading, statement},
    json::{JsonError, Value},
};
use std::{cell::OnceCell, collections::BTreeSet};

/// One piece of evidence: bytes as received, and the name under which they lay there, if they had one.
///
/// A name is anybody's to choose. It never makes an envelope count; it chooses among several steps that a signer may have meant
/// (`build.1a2b3c4d.link`), and keeps the links of a sublayout apart (`build.1a2b3c4d/test.5e6f7a8b.link`, specification 4.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece<'b> {
    pub bytes: &'b [u8],
    pub name: Option<&'b str>,
}

impl<'b> Piece<'b> {
    /// A piece without a name.
    pub fn of(bytes: &'b [u8]) -> Self {
        Piece { bytes, name: None }
    }
}

/// The envelopes that could be opened. Nothing in them is verified yet.
pub(super) struct Evidence<'b> {
    pub envelopes: Vec<Held<'b>>,
    pub unreadable: Vec<EnvelopeError>,
    /// How often the signatures of one envelope may be tried.
    pub attempts_max: usize,
}

/// An envelope, and where it lay.
pub(super) struct Held<'b> {
    pub envelope: Envelope,
    pub name: Option<&'b str>,
    claim: OnceCell<Claim>,
}

/// What an envelope says it is, before anybody vouched for it: for messages alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// `link`, `layout` or `statement`.
    pub kind: &'static str,
    /// The step it names.
    pub step: Option<String>,
}

impl<'b> Evidence<'b> {
    pub fn open(pieces: &[Piece<'b>], profile: Profile) -> Result<Evidence<'b>, Rejection> {
        let attempts_max = budget::evidence(pieces, &Limits::DEFAULT)?;
        let mut evidence = Evidence { envelopes: Vec::new(), unreadable: Vec::new(), attempts_max };
        // Sorted, so that the order of arrival plays no part; and once each, as two sources may hold the same.
        for piece in pieces.iter().collect::<BTreeSet<_>>() {
            match open(piece.bytes, profile) {
                Ok(envelope) => evidence.envelopes.push(Held::new(envelope, piece.name)),
                Err(cause) => evidence.unreadable.push(cause),
            }
        }
        Ok(evidence)
    }
}

fn open(bytes: &[u8], profile: Profile) -> Result<Envelope, EnvelopeError> {
    let envelope = Envelope::parse(bytes)?;
    match profile {
        Profile::Strict => Ok(envelope),
        Profile::Compat => Ok(reference::as_signed(envelope)),
    }
}

impl<'b> Held<'b> {
    fn new(envelope: Envelope, name: Option<&'b str>) -> Self {
        Held { envelope, name, claim: OnceCell::new() }
    }

    /// What it says it is; `None` where it is none of these. It is read once, however many layouts ask.
    pub fn claim(&self, profile: Profile) -> Option<&Claim> {
        let none = Claim { kind: "", step: None };
        let claim = self.claim.get_or_init(|| match Content::of(self, profile) {
            Content::Link(reading) => Claim { kind: "link", step: Some(reading.step).filter(|step| !step.is_empty()) },
            Content::Layout(_) => Claim { kind: "layout", step: None },
            Content::Statement(value) => match Reported::from_value(&value) {
                Ok(reported) => Claim { kind: "statement", step: reported.step },
                Err(_) => none,
            },
            Content::Other(_) | Content::Unparsable(_) => none,
        });
        Some(claim).filter(|claim| !claim.kind.is_empty())
    }

    /// What two copies of one record have in common: container and content. Anybody can write the same record down in as many ways as he
    /// likes, or put signatures of his own beside a functionary's: however often it comes, it is one.
    pub fn record(&self) -> Record<'_> {
        (self.envelope.payload_type().is_some(), self.envelope.content())
    }

    /// Whether it lies where the links of this layout lie: directories by name, the root layout's first. What has no name, or lies further
    /// up, can be meant for any; the reference looks in the one directory alone.
    pub fn is_in(&self, directories: &[String], profile: Profile) -> bool {
        let Some((path, _)) = self.name.and_then(|name| name.rsplit_once('/')) else {
            return profile == Profile::Strict || directories.is_empty() || self.name.is_none();
        };
        let mut path = path.split('/');
        let mut expected = directories.iter();
        loop {
            match (path.next(), expected.next()) {
                (Some(found), Some(expected)) if found == expected => {}
                (None, None) => return true,
                (None, Some(_)) => return profile == Profile::Strict,
                (Some(_), _) => return false,
            }
        }
    }

    /// The step that its name speaks of, and the beginning of the key id: `<step>.<8 hex>.link` or `.json` (specification 4.4).
    pub fn hint(&self) -> Option<(&'b str, &'b str)> {
        let name = self.name?;
        let file = name.rsplit_once('/').map_or(name, |(_, file)| file);
        let (file, extension) = file.rsplit_once('.')?;
        let (step, key) = file.rsplit_once('.')?;
        let is_key = key.len() == 8 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        (matches!(extension, "link" | "json") && is_key).then_some((step, key))
    }
}

/// See [`Held::record`].
pub(super) type Record<'e> = (bool, &'e [u8]);

/// What an envelope carries, by its payload type and the `_type` in it.
pub(super) enum Content {
    Link(Box<Reading>),
    Layout(Value),
    /// Whatever it claims.
    Statement(Value),
    /// The payload type or `_type`, where there is one.
    Other(Option<String>),
    /// A payload that breaks the strict grammar of JSON.
    Unparsable(JsonError),
}

impl Content {
    pub fn of(held: &Held<'_>, profile: Profile) -> Self {
        let envelope = &held.envelope;
        // security §2.E1: the payload type is part of what was signed, and compared exactly. That of one predicate may stand over
        // statements alone.
        let predicate = envelope.payload_type().filter(|kind| *kind != INTOTO_PAYLOAD_TYPE);
        if predicate.is_some_and(|kind| !statement::is_predicate_payload(kind)) {
            return Content::Other(predicate.map(str::to_owned));
        }
        if predicate.is_none() && envelope.kind().as_deref() == Some("link") {
            return Link::of(envelope, profile)
                .map_or_else(Content::Unparsable, |reading| Content::Link(reading.into()));
        }
        let value = match envelope.value() {
            Ok(value) => value,
            Err(cause) => return Content::Unparsable(cause),
        };
        match value.get("_type").and_then(Value::as_str) {
            Some(kind) if statement::TYPES.contains(&kind) && envelope.payload_type().is_some() => {
                Content::Statement(value)
            }
            _ if predicate.is_some() => Content::Other(predicate.map(str::to_owned)),
            Some("layout") => Content::Layout(value),
            other => Content::Other(other.map(str::to_owned)),
        }
    }

    /// The word it goes by in a message.
    pub fn kind(self) -> Option<String> {
        match self {
            Content::Link(_) => Some("link".to_owned()),
            Content::Layout(_) => Some("layout".to_owned()),
            Content::Statement(_) => Some("statement".to_owned()),
            Content::Other(kind) => kind,
            Content::Unparsable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::INTOTO_PAYLOAD_TYPE;

    fn held(name: Option<&str>) -> Held<'_> {
        let envelope = Envelope::sign_dsse(INTOTO_PAYLOAD_TYPE, b"{}".to_vec(), &[]).unwrap();
        Held::new(envelope, name)
    }

    fn is_in(name: Option<&str>, directories: &[&str], profile: Profile) -> bool {
        held(name).is_in(&directories.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>(), profile)
    }

    #[test]
    fn a_name_keeps_apart_and_lets_nothing_in() {
        use Profile::{Compat, Strict};
        for (name, directories, strict, compat) in [
            (None, &[][..], true, true),
            (None, &["b.12345678"], true, true),
            (Some("a.12345678.link"), &[], true, true),
            (Some("a.12345678.link"), &["b.12345678"], true, false),
            (Some("b.12345678/a.link"), &[], false, false),
            (Some("b.12345678/a.link"), &["b.12345678"], true, true),
            (Some("b.12345678/a.link"), &["b.12345678", "c.12345678"], true, false),
            (Some("c.12345678/a.link"), &["b.12345678"], false, false),
            (Some("b.12345678/c.12345678/a.link"), &["b.12345678", "c.12345678"], true, true),
        ] {
            assert_eq!(is_in(name, directories, Strict), strict, "{name:?} in {directories:?}");
            assert_eq!(is_in(name, directories, Compat), compat, "{name:?} in {directories:?}, as the reference");
        }
    }

    #[test]
    fn a_hint_is_a_step_and_the_beginning_of_a_key_id() {
        for (name, hint) in [
            ("build.1a2b3c4d.link", Some(("build", "1a2b3c4d"))),
            ("build.1a2b3c4d.json", Some(("build", "1a2b3c4d"))),
            ("x.1a2b3c4d/build.all.1a2b3c4d.link", Some(("build.all", "1a2b3c4d"))),
            ("build.link", None),
            ("build.1a2b3c4.link", None),
            ("build.1a2b3c4g.link", None),
            ("build.1a2b3c4d.layout", None),
        ] {
            assert_eq!(held(Some(name)).hint(), hint, "{name}");
        }
        assert_eq!(held(None).hint(), None);
    }
}
