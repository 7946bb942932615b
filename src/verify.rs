//! in-toto verification, pure: layout, links, keys and a time in, a verified chain or a rejection out (specification 5.2;
//! order of work as in-toto §1.4, since it decides which error is told).

use crate::{
    digest::Digest,
    image::ImageFacts,
    intoto::{Parameters, Profile},
    key::KeyRing,
};
use jiff::Timestamp;

mod agreement;
pub mod budget;
pub mod certificates;
mod chain;
mod details;
mod evidence;
pub mod inspection;
mod owners;
pub mod quorum;
mod reference;
pub mod rejection;
mod remarks;
pub mod rules;
pub mod thresholds;
mod told;
pub mod trace;

pub use budget::Limits;
pub use evidence::Piece;
pub use rejection::{Ignored, Rejection};
pub use trace::Trace;

use budget::Budget;
use chain::{Authority, Judge, Nest};
use evidence::{Content, Evidence, Held};
use owners::SignedLayout;

/// What a supply chain must show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainDemand {
    pub owners: KeyRing,
    /// How many distinct owners must have signed the layout; `None`: all of them (R19).
    pub threshold: Option<u32>,
    /// What is put in for `{name}` in the layout.
    pub parameters: Parameters,
    pub profile: Profile,
    pub insist: Insist,
}

/// What is allowed by the specification, and refused where a policy insists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Insist {
    /// A step was done by the command that the layout expects (R35).
    pub commands: bool,
    /// Every list of rules ends in `DISALLOW *` (R32).
    pub closed_lists: bool,
}

/// A chain that held. Only this module makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedChain {
    layout: Digest,
    owners: Vec<String>,
    expires: Timestamp,
    steps: Vec<VerifiedStep>,
    warnings: Vec<String>,
    remarks: Vec<String>,
}

/// A step of a chain that held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedStep {
    pub name: String,
    /// The functionaries whose links count, by key id as the layout writes it, or by what their certificates call them.
    pub signers: Vec<String>,
}

impl VerifiedChain {
    /// Owners who signed the layout, by name.
    pub fn owners(&self) -> &[String] {
        &self.owners
    }
    /// When the first of what it was held by expires: layout, certificate, OpenPGP signature. Bounds how long a verdict may be kept.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
    /// The layout's steps in its order, each with who did it.
    pub fn steps(&self) -> &[VerifiedStep] {
        &self.steps
    }
    /// For whoever deploys: a command that differs, an answer that was ignored, an end that is near.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
    /// For the owners of the layout: rules that matched nothing, patterns that mean something else, lists that let in what is left, …
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }
    /// The SHA-256 name of the layout's record.
    pub fn layout(&self) -> &Digest {
        &self.layout
    }
}

/// Verifies a chain from a set of envelopes, in whatever order and with whatever strangers among them. Layouts and links are told apart
/// by their signed content. Among several layouts of the owners the newest-expiring one that verifies is judged; the error is that of
/// the newest-expiring. `image` is what a virtual inspection sees; `None` (plain `in-toto verify`) refuses layouts with built-in
/// inspections, and asks no binding.
///
/// Under [`Profile::Compat`] a chain that does not hold strictly is judged once more as the reference reads it; where neither holds, it is said
/// why by the reading that came further.
pub fn verify(
    demand: &ChainDemand,
    image: Option<&ImageFacts>,
    evidence: &[Piece<'_>],
    now: Timestamp,
) -> Result<VerifiedChain, Rejection> {
    told(demand, image, None, evidence, now, Trace::silent()).0
}

/// Verifies a chain under the one layout that is given; other layouts among the links are not judged by.
pub fn verify_given(
    demand: &ChainDemand,
    image: Option<&ImageFacts>,
    layout: &[u8],
    links: &[Piece<'_>],
    now: Timestamp,
) -> Result<VerifiedChain, Rejection> {
    told(demand, image, Some(layout), links, now, Trace::silent()).0
}

/// Verifies, and tells what was done, as far as it came. With a layout given as [`verify_given`], else as [`verify`].
pub fn explain(
    demand: &ChainDemand,
    image: Option<&ImageFacts>,
    layout: Option<&[u8]>,
    evidence: &[Piece<'_>],
    now: Timestamp,
) -> (Result<VerifiedChain, Rejection>, Trace) {
    told(demand, image, layout, evidence, now, Trace::default())
}

fn told(
    demand: &ChainDemand,
    image: Option<&ImageFacts>,
    layout: Option<&[u8]>,
    evidence: &[Piece<'_>],
    now: Timestamp,
    trace: Trace,
) -> (Result<VerifiedChain, Rejection>, Trace) {
    let once = |profile| {
        let mut trace = trace.fresh();
        let demand = Demand { demand, profile };
        let verdict = demand.judge_all(image, layout, evidence, now, &mut trace);
        (verdict, trace)
    };
    match once(Profile::Strict) {
        (Err(strict), told) if demand.profile == Profile::Compat => match once(Profile::Compat) {
            // The other reading of the same bytes may fail before it comes to what is wrong.
            (Err(compat), _) if compat.stage() <= strict.stage() => (Err(strict), told),
            verdict => verdict,
        },
        verdict => verdict,
    }
}

/// A demand, and as what it is judged this time.
struct Demand<'d> {
    demand: &'d ChainDemand,
    profile: Profile,
}

impl Demand<'_> {
    fn judge_all(
        &self,
        image: Option<&ImageFacts>,
        layout: Option<&[u8]>,
        pieces: &[Piece<'_>],
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<VerifiedChain, Rejection> {
        let mut evidence = Evidence::open(pieces, self.profile)?;
        let layouts = match layout {
            None => owners::take_layouts(self.demand, self.profile, &mut evidence, now)?,
            Some(layout) => {
                let layouts = self.given(layout, now)?;
                // A link need not be hashed to be told from a layout.
                let is_link = |held: &Held<'_>| held.envelope.kind().as_deref() == Some("link");
                let is_given = |held: &Held<'_>| layouts.iter().any(|layout| layout.name == held.envelope.digest());
                evidence.envelopes.retain(|held| is_link(held) || !is_given(held));
                layouts
            }
        };
        // The first that verifies; else what is wrong with the first.
        let mut verdict =
            Err(Rejection::NoLayout { envelopes: evidence.envelopes.len(), unreadable: evidence.unreadable.len() });
        for (at, layout) in layouts.iter().enumerate() {
            let mut told = trace.fresh();
            match self.judge(layout, image, &evidence, now, &mut told) {
                Ok(chain) => {
                    *trace = told;
                    return Ok(chain);
                }
                Err(rejection) if at == 0 => {
                    *trace = told;
                    verdict = Err(rejection);
                }
                Err(_) => {}
            }
        }
        verdict
    }

    fn given(&self, layout: &[u8], now: Timestamp) -> Result<Vec<SignedLayout>, Rejection> {
        let mut given = Evidence::open(&[Piece::of(layout)], self.profile)?;
        owners::take_layouts(self.demand, self.profile, &mut given, now).map_err(|error| {
            match (error, given.envelopes.first()) {
                (Rejection::NoLayout { .. }, Some(held)) => {
                    Rejection::NotALayout { found: Content::of(held, self.profile).kind() }
                }
                (error, _) => error,
            }
        })
    }

    /// One layout of the owners, and that it is about the image.
    fn judge(
        &self,
        signed: &SignedLayout,
        image: Option<&ImageFacts>,
        evidence: &Evidence<'_>,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<VerifiedChain, Rejection> {
        // Its grammar comes first, since what follows is read from it.
        let layout = signed.layout.as_ref().map_err(Clone::clone)?;
        let mut judge = Judge {
            evidence,
            image,
            parameters: &self.demand.parameters,
            profile: self.profile,
            insist: self.demand.insist,
            now,
            budget: Budget::new(Limits::DEFAULT),
            trace: std::mem::take(trace),
        };
        let authority = Authority { ring: &self.demand.owners, needed: owners::needed(self.demand) };
        let held = judge.layout(layout, &authority, &Nest::default());
        *trace = judge.trace;
        let held = held?;
        // Design §5: tying is more than passing.
        if let Some(image) = image {
            let subjects = inspection::subjects(image);
            if !subjects.iter().any(|subject| held.tied.contains(subject.as_str())) {
                return Err(Rejection::SubjectNotBound { subjects });
            }
        }
        Ok(VerifiedChain {
            layout: signed.name.clone(),
            owners: signed.owners.clone(),
            expires: signed.until.map_or(held.expires, |until| until.min(held.expires)),
            steps: held.steps,
            warnings: held.warnings,
            remarks: held.remarks,
        })
    }
}
