//! Why a chain does not hold: a closed list of facts, and what a person reads about them (design §7).

use super::{budget::Excess, certificates::Uncertified, rules::Violation};
use crate::{
    envelope::EnvelopeError,
    intoto::{
        layout::{LayoutError, Place},
        link::LinkError,
        rule::Side,
        statement::StatementError,
    },
    json::{JsonError, readable},
    key::SignatureFault,
    reason::{Fault, Reason},
};
use jiff::Timestamp;
use std::fmt;

/// Why a chain did not hold: facts, comparable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The demand names no owner's key: there is nothing to trust.
    #[error("the demand names no key of an owner")]
    NoOwners,
    /// Among the envelopes is no layout, by whomever.
    #[error("{}", no_layout(*.envelopes, *.unreadable))]
    NoLayout { envelopes: usize, unreadable: usize },
    /// in-toto 5.2.1: not signed by enough owners. `invalid`: the owners whose signatures are there and do not verify.
    #[error("the layout is signed by {} of the {needed} owners it needs{}{}", .signed_by.len(), among(.signed_by), not_valid(.invalid))]
    LayoutUntrusted { signed_by: Vec<String>, invalid: Vec<String>, needed: usize },
    /// What was given as the layout, or is signed by its owners, cannot be read.
    #[error("the layout cannot be read: {cause}")]
    LayoutUnreadable { cause: EnvelopeError },
    /// What was given as the layout is something else.
    #[error("what was given as the layout is not one ({})", .found.as_deref().unwrap_or("it has no _type"))]
    NotALayout { found: Option<String> },
    /// Malformed, or asking for what we do not implement.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// in-toto 5.2.2; R20.
    #[error("the layout expired at {expires}, and it is {now}")]
    LayoutExpired { expires: Timestamp, now: Timestamp },
    /// More than one decision may cost (security §2.E5).
    #[error("too complex: {0}")]
    TooComplex(#[from] Excess),
    /// Too few functionaries reported the step (in-toto 5.2.5).
    #[error("step {step:?} has {} of the {threshold} functionaries it needs: nothing that counts by {}{}", .counted.len(), keys(.missing), ignored_list(.ignored))]
    ThresholdNotMet {
        step: String,
        threshold: u32,
        /// Key ids, as the layout writes them, of the functionaries whose links count.
        counted: Vec<String>,
        /// Those of the others.
        missing: Vec<String>,
        /// What is there and does not count: the first few.
        ignored: Vec<Ignored>,
    },
    /// A functionary answered the step with a layout that does not hold (in-toto 5.2, R27).
    #[error("step {step:?}: the sublayout by {}: {cause}", short(.key))]
    Sublayout { step: String, key: String, cause: Box<Rejection> },
    /// R26.
    #[error("step {step:?}: the links by {} and {} disagree on {}{} in the {}", shorts(.keys, 0), shorts(.keys, 1), names(.artifacts), more(*.count, .artifacts.len()), .side.as_str())]
    LinksDisagree { step: String, keys: [String; 2], side: Side, artifacts: Vec<String>, count: usize },
    /// R35, where the policy insists.
    #[error("step {step:?}: the command was {:?}, expected {:?}", .found.join(" "), .expected.join(" "))]
    OtherCommand { step: String, found: Vec<String>, expected: Vec<String> },
    /// R32, where the policy insists.
    #[error("{at}: the rules for the {} do not end in DISALLOW *: what is left is let in", .side.as_str())]
    OpenList { at: Place, side: Side },
    /// in-toto 5.2.7 and 5.2.9. `by`: whose links of the step it is about; nobody's where an inspection looked for itself.
    #[error("{at}: {violation}{}", whose(.by))]
    Rule { at: Place, by: Vec<String>, violation: Box<Violation> },
    /// Nothing is executed (design §3.6): an inspection is a built-in.
    #[error(
        "inspection {inspection:?} asks to run {run:?}, which is no built-in (tidewaiter inspect image, tidewaiter inspect blobs), and a link for it is signed by {signed} of the {needed} owners it needs"
    )]
    InspectionNotSupported { inspection: String, run: Vec<String>, signed: usize, needed: usize },
    /// R26, for the links that the owners signed for an inspection.
    #[error("inspection {inspection:?}: the links that the owners signed for it disagree on {}{} in the {}", names(.artifacts), more(*.count, .artifacts.len()), .side.as_str())]
    InspectionsDisagree { inspection: String, side: Side, artifacts: Vec<String>, count: usize },
    /// A built-in, and no image was given to look at.
    #[error("inspection {inspection:?} looks at an image, and none was given")]
    InspectionWithoutImage { inspection: String },
    /// `blobs`, while manifests of the image are not known.
    #[error("inspection {inspection:?} needs {missing} manifests of the image that were not read")]
    ManifestsMissing { inspection: String, missing: usize },
    /// Design §5: everything passed, and nothing tied the admitted digest to a step.
    #[error("no MATCH of an inspection consumed {} or {} from a step", .subjects[0], .subjects[1])]
    SubjectNotBound { subjects: [String; 2] },
}

impl Rejection {
    /// The stable word.
    pub fn reason(&self) -> Reason {
        match self {
            Rejection::NoOwners => Reason::NoTrustRoot,
            Rejection::NoLayout { .. } => Reason::NoLayout,
            Rejection::LayoutUntrusted { .. } => Reason::LayoutUntrusted,
            Rejection::LayoutUnreadable { .. } | Rejection::NotALayout { .. } => Reason::LayoutMalformed,
            Rejection::Layout(error) => error.reason(),
            Rejection::LayoutExpired { .. } => Reason::LayoutExpired,
            Rejection::TooComplex(_) => Reason::LayoutTooComplex,
            Rejection::ThresholdNotMet { .. } => Reason::ThresholdNotMet,
            Rejection::Sublayout { cause, .. } => cause.reason(),
            Rejection::LinksDisagree { .. } | Rejection::InspectionsDisagree { .. } => Reason::LinksDisagree,
            Rejection::OtherCommand { .. } => Reason::CommandMismatch,
            Rejection::OpenList { .. } => Reason::RuleListOpen,
            Rejection::Rule { .. } => Reason::RuleViolation,
            Rejection::InspectionNotSupported { .. } | Rejection::InspectionWithoutImage { .. } => {
                Reason::InspectionNotSupported
            }
            Rejection::ManifestsMissing { .. } => Reason::RegistryUnavailable,
            Rejection::SubjectNotBound { .. } => Reason::SubjectNotBound,
        }
    }

    /// The same, of a rule of a step that these functionaries reported.
    pub(super) fn reported_by(mut self, signers: &[String]) -> Self {
        if let Rejection::Rule { by, .. } = &mut self {
            *by = signers.to_vec();
        }
        self
    }

    /// How far the work had come (in-toto §1.4): of two readings of one chain, the one that came further knows better what is wrong.
    pub(super) fn stage(&self) -> (u8, u8) {
        let stage = match self {
            Rejection::NoOwners => 0,
            Rejection::NoLayout { .. } | Rejection::NotALayout { .. } | Rejection::LayoutUnreadable { .. } => 1,
            Rejection::LayoutUntrusted { .. } => 2,
            Rejection::Layout(_) => 3,
            Rejection::LayoutExpired { .. } | Rejection::TooComplex(_) | Rejection::OpenList { .. } => 4,
            Rejection::Sublayout { cause, .. } => return (5, cause.stage().0),
            Rejection::ThresholdNotMet { .. } | Rejection::OtherCommand { .. } => 5,
            Rejection::LinksDisagree { .. } => 6,
            Rejection::Rule { at: Place::Step(_), .. } => 7,
            Rejection::InspectionNotSupported { .. }
            | Rejection::InspectionsDisagree { .. }
            | Rejection::InspectionWithoutImage { .. }
            | Rejection::ManifestsMissing { .. } => 8,
            Rejection::Rule { .. } => 9,
            Rejection::SubjectNotBound { .. } => 10,
        };
        (stage, 0)
    }

    /// The rejection for a person: its reason of the closed list, and its message.
    pub fn fault(&self) -> Fault {
        Fault::new(self.reason(), self.to_string())
    }
}

/// An envelope that is there and does not count for a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Says it is by a functionary of the step, and its signature does not verify.
    BadSignature { key: String },
    /// Says it is by an OpenPGP functionary of the step, and does not count (R17).
    OpenPgp { key: String, cause: SignatureFault },
    /// By a key of the layout that this step does not trust.
    Unauthorised { key: String },
    /// By a key that no step trusts; the id it claims.
    Stranger { claimed: Option<String> },
    /// With a certificate that makes nobody a functionary of the step (ITE-7).
    Certificate { subject: String, cause: Uncertified },
    /// By a functionary of the step, and it breaks the grammar.
    Malformed { key: String, cause: LinkError },
    /// By a functionary of the step, and a statement that breaks the grammar.
    BadStatement { key: String, cause: StatementError },
    /// By a functionary of the step, and it is something else.
    NotALink { key: String, kind: Option<String> },
    /// By a functionary of the step, and its payload breaks the strict grammar of JSON.
    Unparsable { key: String, cause: JsonError },
    /// A layout, or a statement that names no step, by a functionary of the step who has other steps as well; nothing says which it answers,
    /// or its copies say several.
    NoStep { key: String, kind: &'static str },
    /// It lies under a name of the step, and is the answer to another, or to none.
    Elsewhere { kind: &'static str, step: Option<String> },
    /// No envelope.
    Unreadable { cause: EnvelopeError },
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ignored::BadSignature { key } => write!(f, "a link whose signature by {} does not verify", short(key)),
            Ignored::OpenPgp { key, cause } => {
                write!(f, "a link whose signature by {} does not count: {cause}", short(key))
            }
            Ignored::Unauthorised { key } => write!(f, "a link by {}, which is not a key of this step", short(key)),
            Ignored::Stranger { claimed: Some(id) } => write!(f, "a link by the stranger {}", short(id)),
            Ignored::Stranger { claimed: None } => f.write_str("a link by a stranger"),
            Ignored::Certificate { subject, cause } if subject.is_empty() => {
                write!(f, "a link with a certificate that does not count: {cause}")
            }
            Ignored::Certificate { subject, cause } => {
                write!(f, "a link with the certificate of {subject}, which does not count: {cause}")
            }
            Ignored::Malformed { key, cause } => write!(f, "a malformed link by {}: {cause}", short(key)),
            Ignored::BadStatement { key, cause } => write!(f, "a malformed statement by {}: {cause}", short(key)),
            Ignored::NotALink { key, kind: Some(kind) } => {
                write!(f, "an envelope by {} that holds {kind:?}", short(key))
            }
            Ignored::NotALink { key, kind: None } => write!(f, "an envelope by {} that holds no link", short(key)),
            Ignored::Unparsable { key, cause } => {
                write!(f, "an envelope by {} whose payload cannot be read: {cause}", short(key))
            }
            Ignored::NoStep { key, kind } => write!(f, "a {kind} by {} that may answer several steps", short(key)),
            Ignored::Elsewhere { kind, step: Some(step) } => {
                write!(f, "a {kind} in a file named after this step, which names step {step:?}")
            }
            Ignored::Elsewhere { kind, step: None } => {
                write!(f, "a {kind} in a file named after this step, by nobody who may answer it")
            }
            Ignored::Unreadable { cause } => write!(f, "an unreadable envelope: {cause}"),
        }
    }
}

/// A key id as a person reads it: hash-like ones by their beginning, as in file names of links.
pub(super) fn short(id: &str) -> String {
    match id.get(..8) {
        Some(beginning) if id.len() >= 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => beginning.to_owned(),
        _ => format!("{id:?}"),
    }
}

fn shorts(keys: &[String; 2], at: usize) -> String {
    keys.get(at).map(|keys| keys.split('+').map(short).collect::<Vec<_>>().join(" and ")).unwrap_or_default()
}

fn keys(ids: &[String]) -> String {
    let named: Vec<String> = ids.iter().take(4).map(|id| short(id)).collect();
    format!("{}{}", named.join(", "), more(ids.len(), named.len()))
}

fn no_layout(envelopes: usize, unreadable: usize) -> String {
    match (envelopes, unreadable) {
        (0, _) => "no layout: nothing was found".into(),
        (_, 0) => format!("no layout among what was found ({envelopes})"),
        _ => format!("no layout among what was found ({envelopes}, {unreadable} unreadable)"),
    }
}

fn whose(keys: &[String]) -> String {
    if keys.is_empty() { String::new() } else { format!("; reported by {}", self::keys(keys)) }
}

fn not_valid(owners: &[String]) -> String {
    match owners {
        [] => String::new(),
        owners => format!("; the signature of {} is not valid", owners.join(", ")),
    }
}

/// Names of artifacts as a message may show them: whoever wrote them may have put anything in them.
pub(super) fn names(artifacts: &[String]) -> String {
    artifacts.iter().map(|name| readable(name)).collect::<Vec<_>>().join(", ")
}

fn among(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

fn more(all: usize, named: usize) -> String {
    match all.saturating_sub(named) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

fn ignored_list(ignored: &[Ignored]) -> String {
    if ignored.is_empty() {
        return String::new();
    }
    format!("; ignored: {}", ignored.iter().map(Ignored::to_string).collect::<Vec<_>>().join("; "))
}
