//! in-toto verification, pure: layout, links, keys and a time in, a verified chain or a rejection out (specification 5.2;
//! order of work as in-toto §1.4, since it decides which error is told).

use crate::{
    digest::Digest,
    envelope::{Content as Signed, Envelope, EnvelopeError},
    image::ImageFacts,
    intoto::{
        Artifacts, Layout, Link,
        layout::Place,
        rule::{Rule, Side},
    },
    json::{JsonError, Value},
    key::KeyRing,
};
use jiff::Timestamp;
use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

pub mod budget;
pub mod inspection;
pub mod quorum;
pub mod rejection;
pub mod rules;
pub mod thresholds;

pub use budget::Limits;
pub use rejection::{Ignored, Rejection};

use budget::Budget;
use rules::Sides;
use thresholds::Content;

/// What a supply chain must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainDemand {
    pub owners: KeyRing,
    /// How many distinct owners must have signed the layout; `None`: all of them (R19).
    pub threshold: Option<u32>,
}

/// A chain that held. Only this module makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedChain {
    layout: Digest,
    owners: Vec<String>,
    expires: Timestamp,
    steps: Vec<VerifiedStep>,
    warnings: Vec<String>,
}

/// A step of a chain that held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedStep {
    pub name: String,
    /// The functionaries whose links count, by key id as the layout writes it.
    pub signers: Vec<String>,
}

impl VerifiedChain {
    /// Owners who signed the layout, by name.
    pub fn owners(&self) -> &[String] {
        &self.owners
    }
    /// When the layout expires: bounds how long a verdict may be kept.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
    /// The layout's steps in its order, each with who did it.
    pub fn steps(&self) -> &[VerifiedStep] {
        &self.steps
    }
    /// Remarks for a person: a command that differs, what was ignored, …
    pub fn warnings(&self) -> &[String] {
        &self.warnings
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
pub fn verify(
    demand: &ChainDemand,
    image: Option<&ImageFacts>,
    envelopes: &[Vec<u8>],
    now: Timestamp,
) -> Result<VerifiedChain, Rejection> {
    let mut evidence = Evidence::open(envelopes)?;
    let layouts = take_layouts(demand, &mut evidence)?;
    judge_newest(&layouts, image, &evidence, now)
}

/// Verifies a chain under the one layout that is given; other layouts among the links are not judged by.
pub fn verify_given(
    demand: &ChainDemand,
    image: Option<&ImageFacts>,
    layout: &[u8],
    links: &[Vec<u8>],
    now: Timestamp,
) -> Result<VerifiedChain, Rejection> {
    let layout = [layout.to_vec()];
    let mut given = Evidence::open(&layout)?;
    let layouts = take_layouts(demand, &mut given).map_err(|error| match (error, given.envelopes.first()) {
        (Rejection::NoLayout { .. }, Some(held)) => Rejection::NotALayout { found: Content::of(held).kind() },
        (error, _) => error,
    })?;
    let mut evidence = Evidence::open(links)?;
    evidence.envelopes.retain(|held| layouts.iter().all(|layout| layout.name != held.envelope.digest()));
    judge_newest(&layouts, image, &evidence, now)
}

/// The first that verifies; else what is wrong with the first.
fn judge_newest(
    layouts: &[SignedLayout],
    image: Option<&ImageFacts>,
    evidence: &Evidence<'_>,
    now: Timestamp,
) -> Result<VerifiedChain, Rejection> {
    let mut verdict =
        Err(Rejection::NoLayout { envelopes: evidence.envelopes.len(), unreadable: evidence.unreadable.len() });
    for (at, layout) in layouts.iter().enumerate() {
        match judge(layout, image, evidence, now) {
            Ok(chain) => return Ok(chain),
            Err(rejection) if at == 0 => verdict = Err(rejection),
            Err(_) => {}
        }
    }
    verdict
}

/// One layout of the owners, from top to bottom as the specification has it.
fn judge(
    signed: &SignedLayout,
    image: Option<&ImageFacts>,
    evidence: &Evidence<'_>,
    now: Timestamp,
) -> Result<VerifiedChain, Rejection> {
    // in-toto 5.2.1: its signatures were checked when it was taken. Its grammar comes first, since what follows is read from it.
    let layout = signed.layout.as_ref().map_err(Clone::clone)?;
    let mut warnings = remarks(layout);

    // 5.2.2: expiry. Off-spec: "the time after which" reads as if that very second were valid; the reference says no (R20).
    if layout.expires <= now {
        return Err(Rejection::LayoutExpired { expires: layout.expires, now });
    }
    let mut budget = Budget::open(layout, Limits::DEFAULT)?;

    // 5.2.3: parameters and sublayouts are refused, the one by the reader of layouts, the other below.
    // 5.2.4, 5.2.5: links by verified key and name; enough distinct functionaries for each step.
    let mut reports = thresholds::collect(layout, evidence);
    let mut steps = Vec::new();
    for step in &layout.steps {
        let reports = reports.entry(&step.name).or_default();
        let signers = thresholds::meet(layout, step, reports, evidence, &budget)?;
        steps.push(VerifiedStep { name: step.name.clone(), signers });
        // 5.2.6: commands that differ are told, and deny nothing.
        warnings.extend(reports.remarks(step));
    }

    // The functionaries of a step report the same results (R26).
    let mut links = BTreeMap::new();
    for step in &layout.steps {
        let reports = reports.remove(step.name.as_str()).unwrap_or_default();
        links.insert(step.name.as_str(), thresholds::agree(step, reports.links)?);
    }

    // 5.2.7: the rules of the steps, in the order of the layout, materials before products.
    let of_steps = |name: &str| links.get(name).map(sides);
    for step in &layout.steps {
        let Some(item) = of_steps(&step.name) else { continue };
        let at = Place::Step(step.name.clone());
        hold(&at, Side::Materials, &step.expected_materials, item, of_steps, &mut budget, &mut warnings)?;
        hold(&at, Side::Products, &step.expected_products, item, of_steps, &mut budget, &mut warnings)?;
    }

    // 5.2.8: all inspections, then 5.2.9: their rules, which may name one another.
    let mut seen = BTreeMap::new();
    for inspection in &layout.inspections {
        seen.insert(inspection.name.as_str(), inspection::artifacts(inspection, image)?);
    }
    let of_all = |name: &str| of_steps(name).or_else(|| seen.get(name).map(unchanged));
    let mut tied = BTreeSet::new();
    for inspection in &layout.inspections {
        let Some(item) = seen.get(inspection.name.as_str()).map(unchanged) else { continue };
        let at = Place::Inspection(inspection.name.clone());
        for (side, rules) in
            [(Side::Materials, &inspection.expected_materials), (Side::Products, &inspection.expected_products)]
        {
            let matched = hold(&at, side, rules, item, of_all, &mut budget, &mut warnings)?;
            // A MATCH between inspections compares the image with itself: only a step ties it.
            tied.extend(matched.into_iter().filter(|(_, from)| links.contains_key(from)).map(|(name, _)| name));
        }
    }

    // Design §5: tying is more than passing.
    if let Some(image) = image {
        let subjects = inspection::subjects(image);
        if !subjects.iter().any(|subject| tied.contains(subject.as_str())) {
            return Err(Rejection::SubjectNotBound { subjects });
        }
    }

    Ok(VerifiedChain {
        layout: signed.name.clone(),
        owners: signed.owners.clone(),
        expires: layout.expires,
        steps,
        warnings,
    })
}

/// Applies one list of rules. Gives what its MATCHes consumed, by name and where from.
fn hold<'a>(
    at: &Place,
    side: Side,
    rules: &'a [Rule],
    item: Sides<'a>,
    destination: impl Fn(&str) -> Option<Sides<'a>>,
    budget: &mut Budget,
    warnings: &mut Vec<String>,
) -> Result<BTreeSet<(&'a str, &'a str)>, Rejection> {
    budget.rules(rules, item.of(side))?;
    let outcome = rules::apply(rules, side, item, destination)
        .map_err(|violation| Rejection::Rule { at: at.clone(), violation })?;
    warnings.extend(outcome.idle.iter().map(|rule| format!("{at}: {rule} matched nothing in the {}", side.as_str())));
    Ok(outcome.matched)
}

fn sides(link: &Link) -> Sides<'_> {
    Sides { materials: &link.materials, products: &link.products }
}

/// A built-in inspection changes nothing.
fn unchanged(artifacts: &Artifacts) -> Sides<'_> {
    Sides { materials: artifacts, products: artifacts }
}

/// What its owners should know about a layout, though it is valid: keys that cannot be used, patterns that mean something else (R30).
fn remarks(layout: &Layout) -> Vec<String> {
    let unusable = layout.keys.iter().filter_map(|(id, key)| Some((id, key.as_ref().err()?)));
    let mut remarks: Vec<String> = unusable
        .map(|(id, cause)| format!("the layout's key {} cannot be used: {cause}", rejection::short(id)))
        .collect();
    let of_steps = layout
        .steps
        .iter()
        .map(|step| (Place::Step(step.name.clone()), &step.expected_materials, &step.expected_products));
    let of_inspections = layout
        .inspections
        .iter()
        .map(|item| (Place::Inspection(item.name.clone()), &item.expected_materials, &item.expected_products));
    for (at, materials, products) in of_steps.chain(of_inspections) {
        for rule in materials.iter().chain(products) {
            if let Some(lint) = rule.pattern().and_then(|pattern| pattern.lint()) {
                remarks.push(format!("{at}: {rule}: {lint}"));
            }
        }
    }
    remarks
}

/// The envelopes that could be opened. Nothing in them is verified yet.
struct Evidence<'b> {
    envelopes: Vec<Held<'b>>,
    unreadable: Vec<EnvelopeError>,
    /// How often the signatures of one envelope may be tried.
    attempts_max: usize,
}

/// An envelope, of which the signed tree may have been let go.
struct Held<'b> {
    envelope: Envelope,
    /// Where to read the tree again.
    bytes: Option<&'b [u8]>,
}

/// A tree is many times its text, and of a Metablock it is there before anyone's signature was checked: beyond so many bytes of text,
/// trees are let go and read again for those that somebody we know has signed (security §2.E; memory, design §10).
const TREES_BYTES_MAX: usize = 3 << 20;

impl<'b> Evidence<'b> {
    fn open(envelopes: &'b [Vec<u8>]) -> Result<Evidence<'b>, Rejection> {
        let attempts_max = budget::evidence(envelopes, &Limits::DEFAULT)?;
        let mut evidence = Evidence { envelopes: Vec::new(), unreadable: Vec::new(), attempts_max };
        let mut trees = 0;
        // Sorted, so that the order of arrival plays no part; and once each, as two sources may hold the same.
        for bytes in envelopes.iter().collect::<BTreeSet<_>>() {
            match Envelope::parse(bytes) {
                Ok(envelope) => evidence.envelopes.push(Held::new(envelope, bytes, &mut trees)),
                Err(cause) => evidence.unreadable.push(cause),
            }
        }
        Ok(evidence)
    }
}

impl<'b> Held<'b> {
    fn new(mut envelope: Envelope, bytes: &'b [u8], trees: &mut usize) -> Self {
        if let Signed::Metablock { signed, .. } = &mut envelope.content {
            *trees += bytes.len();
            if *trees > TREES_BYTES_MAX {
                *signed = Value::Null;
                return Held { envelope, bytes: Some(bytes) };
            }
        }
        Held { envelope, bytes: None }
    }

    /// See [`Envelope::value`].
    fn value(&self) -> Result<Cow<'_, Value>, JsonError> {
        let Some(bytes) = self.bytes else { return self.envelope.value() };
        // The same bytes were read before, to the same end.
        match Envelope::parse(bytes).map(|envelope| envelope.content) {
            Ok(Signed::Metablock { signed, .. }) => Ok(Cow::Owned(signed)),
            Ok(Signed::Dsse { .. }) | Err(_) => Ok(Cow::Owned(Value::Null)),
        }
    }
}

/// A layout that enough owners have signed, and how it reads.
struct SignedLayout {
    name: Digest,
    owners: Vec<String>,
    layout: Result<Layout, Rejection>,
}

/// in-toto 5.2.1: takes out the layouts that enough owners have signed, the newest-expiring first. The owners may have signed copies.
fn take_layouts(demand: &ChainDemand, evidence: &mut Evidence<'_>) -> Result<Vec<SignedLayout>, Rejection> {
    if demand.owners.is_empty() {
        return Err(Rejection::NoOwners);
    }
    let all = demand.owners.distinct();
    // At least one, whatever the demand says.
    let needed = demand.threshold.map_or(all, |threshold| usize::try_from(threshold).unwrap_or(usize::MAX)).max(1);

    // Container and content → the owners' public keys, with their names.
    let mut signed: BTreeMap<(bool, Digest), BTreeMap<&[u8], &str>> = BTreeMap::new();
    let mut names = Vec::new();
    for Held { envelope, .. } in &evidence.envelopes {
        let signers = quorum::signers_within(envelope, &demand.owners, evidence.attempts_max);
        let name = (!signers.is_empty()).then(|| (envelope.payload_type().is_some(), envelope.digest()));
        if let Some(name) = &name {
            let owners = signed.entry(name.clone()).or_default();
            owners.extend(signers.into_iter().map(|owner| (owner.key.spki(), owner.name.as_str())));
        }
        names.push(name);
    }

    let mut layouts: BTreeMap<(bool, Digest), SignedLayout> = BTreeMap::new();
    for (held, name) in evidence.envelopes.iter().zip(&names) {
        let Some((name, owners)) = name.as_ref().and_then(|name| signed.get_key_value(name)) else { continue };
        if owners.len() < needed || layouts.contains_key(name) {
            continue;
        }
        let layout = match Content::of(held) {
            Content::Layout(value) => Layout::from_value(&value).map_err(Rejection::from),
            Content::Unparsable(cause) => Err(Rejection::LayoutUnreadable { cause: cause.into() }),
            Content::Link(_) | Content::Other(_) => continue,
        };
        let owners = owners.values().map(|owner| (*owner).to_owned()).collect();
        layouts.insert(name.clone(), SignedLayout { name: name.1.clone(), owners, layout });
    }
    if layouts.is_empty() {
        return Err(no_layout(evidence, &names, &signed, needed));
    }

    let mut names = names.into_iter();
    evidence.envelopes.retain(|_| !names.next().flatten().is_some_and(|name| layouts.contains_key(&name)));
    let mut layouts: Vec<SignedLayout> = layouts.into_values().collect();
    layouts.sort_by_key(|signed| Reverse(signed.layout.as_ref().ok().map(|layout| layout.expires)));
    layouts.truncate(Limits::DEFAULT.layouts_max);
    Ok(layouts)
}

/// Why there is none. Reads content that nobody trusted has signed, for the message alone.
fn no_layout(
    evidence: &Evidence<'_>,
    names: &[Option<(bool, Digest)>],
    signed: &BTreeMap<(bool, Digest), BTreeMap<&[u8], &str>>,
    needed: usize,
) -> Rejection {
    let layouts =
        evidence.envelopes.iter().zip(names).filter(|(held, _)| matches!(Content::of(held), Content::Layout(_)));
    let best = layouts
        .map(|(_, name)| name.as_ref().and_then(|name| signed.get(name)))
        .max_by_key(|owners| owners.map_or(0, BTreeMap::len));
    match (best, evidence.unreadable.as_slice()) {
        (Some(owners), _) => {
            let signed_by = owners.into_iter().flat_map(BTreeMap::values).map(|owner| (*owner).to_owned()).collect();
            Rejection::LayoutUntrusted { signed_by, needed }
        }
        (None, [cause]) if evidence.envelopes.is_empty() => Rejection::LayoutUnreadable { cause: cause.clone() },
        (None, unreadable) => {
            Rejection::NoLayout { envelopes: names.len() + unreadable.len(), unreadable: unreadable.len() }
        }
    }
}
