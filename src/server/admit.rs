//! What a store admits: an envelope that is a layout by enough of the chain's owners, or a link (or a statement that counts
//! as one), or any other statement, by a key that a layout of the chain authorises for its step. Nothing is written before this said yes.

use super::{
    chains::{ChainRules, Chains, Writer},
    problem::Problem,
};
use crate::{
    digest::Digest,
    envelope::{Envelope, INTOTO_PAYLOAD_TYPE},
    image::artifact_repository,
    intoto::{
        Artifacts, Facts, Layout, Link, Profile, Reported, Rule,
        statement::{self, Statement, StatementError},
    },
    json::{self, JsonError, Limits, Value},
    key::{KeyRing, NamedKey, PublicKey},
    reason::{Fault, Reason},
    store::{Kind, LayoutFacts, Metadata, NewRecord, RunFacts, StepKey, VerifiedSignature, artifacts},
    verify::quorum,
};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Bytes of a step's or a predicate's name: both are in indexes, and PostgreSQL's entries have at most 2,700.
const NAME_BYTES_MAX: usize = 1_024;

/// A request to write.
pub struct Request<'r> {
    /// The record's name in the request.
    pub name: Digest,
    pub body: Vec<u8>,
    /// Writers the token stands for: (chain's index, writer).
    pub writers: Vec<(usize, &'r Writer)>,
    pub run: Option<String>,
    /// The step of a statement that names none, or that is no link.
    pub step: Option<String>,
    /// Images named beside the record.
    pub declared: BTreeSet<Digest>,
    pub now: Timestamp,
}

/// What the payload says.
enum Document {
    Layout(Layout),
    /// A link, and the step it names.
    Link(Option<String>, Link, Said),
    /// A statement that is no link.
    Statement(Statement, Said),
}

/// What a record says beside what is judged.
#[derive(Default)]
struct Said {
    predicate_type: Option<String>,
    facts: Facts,
}

/// The record to keep, or why not. `ids`: the store's id of each chain, by index.
pub async fn admit(
    request: Request<'_>,
    chains: &Chains,
    ids: &[i64],
    store: &dyn Metadata,
) -> Result<NewRecord, Problem> {
    let envelope = Envelope::parse(&request.body)
        .map_err(|error| Problem::bad_request(format!("the body is no signed metadata: {error}")))?;
    let digest = envelope.digest();
    if digest != request.name {
        let detail = format!("what is signed is {digest}, and the record is named {}", request.name);
        return Err(Problem::new(http::StatusCode::BAD_REQUEST, Reason::DigestMismatch.as_str(), detail));
    }
    match document(&envelope)? {
        Document::Layout(layout) => admit_layout(request, envelope, layout, chains, ids),
        Document::Link(named, link, said) => {
            let name = step(named.as_deref(), request.step.as_deref())?;
            admit_link(request, envelope, (Link { name, ..link }, said), chains, ids, store).await
        }
        Document::Statement(statement, said) => {
            let step = step(None, request.step.as_deref())?;
            admit_statement(request, envelope, &step, (statement, said), chains, ids, store).await
        }
    }
}

/// The step a record is of: a provenance names none, and then its writer does. Whether the signer may have done it is judged as for any.
fn step(named: Option<&str>, given: Option<&str>) -> Result<String, Problem> {
    match (named, given) {
        (Some(named), Some(given)) if named != given => Err(Problem::bad_request(format!(
            "the record is of step \"{}\", and step is \"{}\"",
            named.escape_debug(),
            given.escape_debug()
        ))),
        (Some(step), _) | (None, Some(step)) => {
            check_name(Reason::LinkMalformed, "the step", step)?;
            Ok(step.to_owned())
        }
        (None, None) => Err(Problem::bad_request("the statement names no step: name it with ?step=")),
    }
}

/// That a name can be kept, by every database.
fn check_name(reason: Reason, what: &str, name: &str) -> Result<(), Problem> {
    match name.len() <= NAME_BYTES_MAX && !name.contains('\0') {
        true => Ok(()),
        false => Err(refuse(reason, format!("{what} has more than {NAME_BYTES_MAX} bytes in its name, or a NUL"))),
    }
}

fn refuse(reason: Reason, message: impl Into<String>) -> Problem {
    Problem::unprocessable(Fault::new(reason, message))
}

/// What a link, or a statement that counts as one, says that its step made.
pub fn products(envelope: &Envelope) -> Artifacts {
    match document(envelope) {
        Ok(Document::Link(_, link, _)) => link.products,
        Ok(Document::Layout(_) | Document::Statement(..)) | Err(_) => Artifacts::new(),
    }
}

/// Layout, link or statement, by the signed `_type`. The bytes hash to the name they were given, so they may be parsed.
fn document(envelope: &Envelope) -> Result<Document, Problem> {
    let payload_type = envelope.payload_type();
    let other_type = payload_type.filter(|kind| *kind != INTOTO_PAYLOAD_TYPE);
    let wrong_type = |found: &str| {
        let message = format!("the payload type is \"{found}\", expected \"{INTOTO_PAYLOAD_TYPE}\"");
        refuse(Reason::LinkMalformed, message)
    };
    if let Some(found) = other_type.filter(|kind| !statement::is_predicate_payload(kind)) {
        return Err(wrong_type(found));
    }
    let malformed = |error: JsonError| refuse(Reason::LinkMalformed, error.to_string());
    if other_type.is_none() && envelope.kind().as_deref() == Some("link") {
        let link = Link::of(envelope, Profile::Strict).map_err(malformed)?.link;
        let link = link.map_err(|error| refuse(Reason::LinkMalformed, error.to_string()))?;
        let said = Said { predicate_type: None, facts: Facts::of_link(&link) };
        return Ok(Document::Link(Some(link.name.clone()), link, said));
    }
    let value = envelope.value().map_err(malformed)?;
    let kind = value.get("_type").and_then(Value::as_str);
    if payload_type.is_some() && kind.is_some_and(|kind| statement::TYPES.contains(&kind)) {
        return statement_of(&value).map_err(|error| refuse(Reason::LinkMalformed, error.to_string()));
    }
    if let Some(found) = other_type {
        return Err(wrong_type(found));
    }
    match kind {
        Some("layout") => {
            Layout::from_value(&value).map(Document::Layout).map_err(|error| refuse(error.reason(), error.to_string()))
        }
        Some(other) => Err(refuse(
            Reason::LinkMalformed,
            format!("_type is \"{}\", expected layout or link", other.escape_debug()),
        )),
        None => Err(refuse(Reason::LinkMalformed, "what is signed has no _type, expected layout or link")),
    }
}

/// A statement: a link where its predicate is one of a link's, whole or not.
fn statement_of(value: &Value) -> Result<Document, StatementError> {
    let said = |predicate_type: &str| Said {
        predicate_type: Some(predicate_type.to_owned()),
        facts: Facts::of_statement(value),
    };
    match Reported::from_value(value) {
        Ok(Reported { step, link }) => {
            let predicate_type = value.get("predicateType").and_then(Value::as_str).unwrap_or_default();
            Ok(Document::Link(step, link, said(predicate_type)))
        }
        Err(StatementError::NotALink { .. }) => {
            let statement = Statement::from_value(value)?;
            let said = said(&statement.predicate_type);
            Ok(Document::Statement(statement, said))
        }
        Err(error) => Err(error),
    }
}

fn admit_layout(
    request: Request<'_>,
    envelope: Envelope,
    layout: Layout,
    chains: &Chains,
    ids: &[i64],
) -> Result<NewRecord, Problem> {
    let mut may = request.writers.iter().filter(|(_, writer)| writer.may_write(Kind::Layout)).peekable();
    if may.peek().is_none() {
        return Err(Problem::forbidden("this token may not write layouts"));
    }
    let mut untrusted = None;
    let mut fits = Vec::new();
    for (index, writer) in may {
        let Some(rules) = chains.get(*index) else { continue };
        let signers = quorum::signers(&envelope, &rules.owners, request.now);
        if signers.len() >= rules.threshold {
            fits.push((*index, rules, *writer, signers));
        } else {
            untrusted = Some(refuse(
                Reason::LayoutUntrusted,
                format!(
                    "the layout is signed by {} of the {} owners chain \"{}\" needs",
                    signers.len(),
                    rules.threshold,
                    rules.name
                ),
            ));
        }
    }
    let (index, _, writer, signers) = one_chain(fits, |rules| {
        layout_images(&layout).any(|image| rules.has_image(image))
    })?
    .ok_or_else(|| untrusted.unwrap_or_else(|| refuse(Reason::LayoutUntrusted, "no owner signed the layout")))?;
    if layout.expires <= request.now {
        return Err(refuse(Reason::LayoutExpired, format!("the layout expired at {}", layout.expires)));
    }
    let signatures = locate(&envelope, &signers, request.now);
    let facts = LayoutFacts { expires: layout.expires, keys: step_keys(&layout) };
    facts.keys.iter().try_for_each(|key| check_name(Reason::LayoutMalformed, "a step", &key.step))?;
    let record = Record { signatures, layout: Some(facts), ..Record::of(Kind::Layout, None) };
    record.finish(request, &envelope, (index, writer), chains, ids)
}

/// The images a layout's rules name, `oci:<registry>/<repository>` without wildcards.
fn layout_images(layout: &Layout) -> impl Iterator<Item = &str> {
    let of_steps = layout.steps.iter().flat_map(|step| step.expected_materials.iter().chain(&step.expected_products));
    let of_inspections = layout
        .inspections
        .iter()
        .flat_map(|inspection| inspection.expected_materials.iter().chain(&inspection.expected_products));
    of_steps.chain(of_inspections).filter_map(literal).filter_map(artifact_repository)
}

/// The one name that a rule is about; none for a glob of many.
fn literal(rule: &Rule) -> Option<&str> {
    match rule {
        Rule::Require(name) => Some(name),
        rule => rule.pattern()?.literal(),
    }
}

/// The keys each step's functionaries have. A key that is unusable authorises nothing.
fn step_keys(layout: &Layout) -> Vec<StepKey> {
    let mut keys = BTreeSet::new();
    for step in &layout.steps {
        for key in step.pubkeys.iter().filter_map(|id| layout.keys.get(id)?.as_ref().ok()) {
            keys.insert(StepKey {
                step: step.name.clone(),
                keyid: stored_id(key),
                alg: format!("{:?}", key.scheme()),
                public: key.to_layout().to_string(),
            });
        }
    }
    keys.into_iter().collect()
}

/// What the store knows a key by, over all chains: nobody may choose it, and a key that says more of itself is another one. An id of
/// OpenPGP in a layout is what the layout's owners say it is.
fn stored_id(key: &PublicKey) -> String {
    match key.is_openpgp() {
        true => format!("{}:{}", key.id(), Digest::sha256(key.to_layout().to_string().as_bytes()).hex()),
        false => key.id().to_owned(),
    }
}

async fn admit_link(
    request: Request<'_>,
    envelope: Envelope,
    (link, said): (Link, Said),
    chains: &Chains,
    ids: &[i64],
    store: &dyn Metadata,
) -> Result<NewRecord, Problem> {
    let images = || link.products.keys().filter_map(artifact_repository);
    let names = |rules: &ChainRules| images().any(|image| rules.has_image(image));
    let asked = Asked { request: &request, envelope: &envelope, kind: Kind::Link, step: &link.name };
    let (index, writer, signatures) = asked.functionary(chains, ids, store, names).await?;
    let step = Some(link.name.clone());
    let record = Record { signatures, said, link: Some(link), ..Record::of(Kind::Link, step) };
    record.finish(request, &envelope, (index, writer), chains, ids)
}

/// A statement that is no link: what a scanner, a test or a reviewer says of images. It never stands in for a link.
async fn admit_statement(
    request: Request<'_>,
    envelope: Envelope,
    step: &str,
    (statement, said): (Statement, Said),
    chains: &Chains,
    ids: &[i64],
    store: &dyn Metadata,
) -> Result<NewRecord, Problem> {
    let images = || statement.subject.iter().filter_map(|subject| subject.name.as_deref());
    let named = |name: &str, rules: &ChainRules| rules.has_image(artifact_repository(name).unwrap_or(name));
    let names = |rules: &ChainRules| images().any(|name| named(name, rules));
    let asked = Asked { request: &request, envelope: &envelope, kind: Kind::Statement, step };
    let (index, writer, signatures) = asked.functionary(chains, ids, store, names).await?;
    let subjects = statement.subject.iter().filter_map(|subject| artifacts::sha256(&subject.digest));
    let subjects = subjects.take(artifacts::IMAGES_MAX).collect();
    let record = Record { signatures, said, subjects, ..Record::of(Kind::Statement, Some(step.to_owned())) };
    record.finish(request, &envelope, (index, writer), chains, ids)
}

/// A record of a step that wants in.
struct Asked<'a, 'r> {
    request: &'a Request<'r>,
    envelope: &'a Envelope,
    kind: Kind,
    step: &'a str,
}

impl<'r> Asked<'_, 'r> {
    /// The one chain with a layout that authorises a signer for the step, with whose right it is written, and the signatures that count.
    async fn functionary(
        &self,
        chains: &Chains,
        ids: &[i64],
        store: &dyn Metadata,
        names: impl Fn(&ChainRules) -> bool,
    ) -> Result<(usize, &'r Writer, Vec<VerifiedSignature>), Problem> {
        let Asked { request, envelope, kind, step } = *self;
        let may: Vec<_> = request.writers.iter().filter(|(_, writer)| writer.may_write_step(kind, step)).collect();
        if may.is_empty() {
            let (kind, step) = (kind.as_str(), step.escape_debug());
            return Err(Problem::forbidden(format!("this token may not write {kind}s of step \"{step}\"")));
        }
        let mut refused = None;
        let mut rings = Vec::new();
        for (index, writer) in may {
            let (Some(rules), Some(id)) = (chains.get(*index), ids.get(*index)) else { continue };
            rings.push((*index, rules, *writer, ring(&store.step_keys(*id, step).await?)));
        }
        let mut fits = Vec::new();
        for (index, rules, writer, ring) in &rings {
            let signers = quorum::signers(envelope, ring, request.now);
            if signers.is_empty() {
                refused = Some(step_refusal(envelope, step, rules, ring));
            } else {
                fits.push((*index, *rules, *writer, signers));
            }
        }
        let stranger = || refuse(Reason::SignatureUntrusted, "no chain knows the signer");
        let (index, _, writer, signers) = one_chain(fits, names)?.ok_or_else(|| refused.unwrap_or_else(stranger))?;
        Ok((index, writer, locate(envelope, &signers, request.now)))
    }
}

/// The keys of a step as they were kept. One that no longer reads authorises nothing.
fn ring(keys: &[String]) -> KeyRing {
    let key = |text: &String| PublicKey::from_layout(&json::parse(text.as_bytes(), &Limits::METADATA).ok()?).ok();
    KeyRing::new(keys.iter().filter_map(key).map(|key| NamedKey { name: key.id().to_owned(), key }).collect())
}

/// That a link which no layout authorises is at least no forgery of what the chain knows: it has signatures, and where it names a
/// key of one of the chain's steps (`keys`), that key or another of them signed it.
///
/// # Errors
/// `signature_invalid`, or the refusal that is given.
pub fn check_known(
    envelope: &[u8],
    rules: &ChainRules,
    keys: &[String],
    now: Timestamp,
    refusal: Problem,
) -> Result<(), Problem> {
    let Ok(envelope) = Envelope::parse(envelope) else { return Err(refusal) };
    if envelope.signatures.is_empty() {
        return Err(refusal);
    }
    let ring = ring(keys);
    if ring.is_empty() || !quorum::signers(&envelope, &ring, now).is_empty() {
        return Ok(());
    }
    let problem = step_refusal(&envelope, "of any name", rules, &ring);
    if problem.reason == Reason::SignatureInvalid.as_str() { Err(problem) } else { Ok(()) }
}

/// Signed by a stranger, or by nobody although a functionary's key is named.
fn step_refusal(envelope: &Envelope, step: &str, rules: &ChainRules, ring: &KeyRing) -> Problem {
    let step = step.escape_debug();
    if ring.is_empty() {
        let message = format!("no layout of chain \"{}\" authorises a key for step \"{step}\"", rules.name);
        return refuse(Reason::SignatureUntrusted, message);
    }
    let named = |id: &String| ring.iter().any(|key| key.key.ids().contains(id));
    if envelope.signatures.iter().filter_map(|signature| signature.keyid.as_ref()).any(named) {
        let message = format!("the signature of a functionary of step \"{step}\" does not verify");
        return refuse(Reason::SignatureInvalid, message);
    }
    let message = format!("no functionary of step \"{step}\" in chain \"{}\" signed the record", rules.name);
    refuse(Reason::SignatureUntrusted, message)
}

/// A chain that fits, with whose token and signatures.
type Fit<'f, 'w> = (usize, &'f ChainRules, &'w Writer, Vec<&'f NamedKey>);

/// The one chain among those that fit; where several do, the one whose images are named.
fn one_chain<'f, 'w>(
    mut fits: Vec<Fit<'f, 'w>>,
    names: impl Fn(&ChainRules) -> bool,
) -> Result<Option<Fit<'f, 'w>>, Problem> {
    // Two writers of one chain may share a token, and stand apart where its issuer is known by several key sources.
    let mut seen = BTreeSet::new();
    fits.retain(|fit| seen.insert(fit.0));
    if fits.len() > 1 && fits.iter().any(|fit| names(fit.1)) {
        fits.retain(|fit| names(fit.1));
    }
    if fits.len() > 1 {
        let names: Vec<&str> = fits.iter().map(|fit| fit.1.name.as_str()).collect();
        let detail = format!("the record fits the chains {}: name one with ?chain=", names.join(", "));
        return Err(Problem::new(http::StatusCode::BAD_REQUEST, "chain_ambiguous", detail));
    }
    Ok(fits.pop())
}

/// Which signatures of the envelope are those of the keys that `quorum` counted.
fn locate(envelope: &Envelope, signers: &[&NamedKey], now: Timestamp) -> Vec<VerifiedSignature> {
    let message = envelope.signed_bytes();
    let mut found: Vec<VerifiedSignature> = Vec::new();
    for signer in signers {
        let key = &signer.key;
        let fits = |keyid: &Option<String>| keyid.as_ref().is_none_or(|id| key.ids().contains(id));
        let signature = envelope
            .signatures
            .iter()
            .enumerate()
            .find(|(_, signature)| fits(&signature.keyid) && quorum::verify(signature, &message, key, now).is_ok());
        let keyid = stored_id(key);
        if let Some((index, signature)) = signature
            && !found.iter().any(|known| known.keyid == keyid)
        {
            let alg = format!("{:?}", key.scheme());
            found.push(VerifiedSignature { keyid, alg, index, sig: signature.sig.clone() });
        }
    }
    found
}

/// What layouts, links and statements have in common.
struct Record {
    kind: Kind,
    step: Option<String>,
    signatures: Vec<VerifiedSignature>,
    said: Said,
    layout: Option<LayoutFacts>,
    link: Option<Link>,
    /// What a statement is about.
    subjects: BTreeSet<Digest>,
}

impl Record {
    fn of(kind: Kind, step: Option<String>) -> Self {
        let (signatures, said, subjects) = (Vec::new(), Said::default(), BTreeSet::new());
        Record { kind, step, signatures, said, layout: None, link: None, subjects }
    }

    fn finish(
        self,
        request: Request<'_>,
        envelope: &Envelope,
        (index, writer): (usize, &Writer),
        chains: &Chains,
        ids: &[i64],
    ) -> Result<NewRecord, Problem> {
        if let Some(name) = &self.said.predicate_type {
            check_name(Reason::LinkMalformed, "the predicate", name)?;
        }
        let unknown = || Problem::bad_request("the chain is not known");
        let (chain, rules) = ids.get(index).zip(chains.get(index)).ok_or_else(unknown)?;
        let return_code =
            self.link.as_ref().and_then(|link| link.byproducts.get("return-value")?.as_u64()?.try_into().ok());
        let (materials, products) = match self.link {
            Some(link) => (link.materials, link.products),
            None => (Artifacts::new(), Artifacts::new()),
        };
        let produced = artifacts::images(&products, artifacts::IMAGES_MAX);
        let run_facts = RunFacts::of(&self.said.facts);
        Ok(NewRecord {
            chain: *chain,
            kind: self.kind,
            step: self.step,
            digest: request.name,
            payload_type: envelope.payload_type().unwrap_or_default().to_owned(),
            envelope: request.body,
            signatures: self.signatures,
            run: request.run,
            run_facts,
            submitter: writer.name.clone(),
            produced: if self.kind == Kind::Statement { self.subjects } else { produced },
            declared: request.declared,
            materials,
            products,
            return_code,
            received_at: request.now,
            predicate_type: self.said.predicate_type,
            started_at: self.said.facts.time("step.started_at"),
            finished_at: self.said.facts.time("step.ended_at"),
            facts: self.said.facts.indexed(&rules.facts),
            layout: self.layout,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_database_would_not_keep_is_refused() {
        let long = "x".repeat(NAME_BYTES_MAX);
        for name in ["build", "prüfen", &long] {
            assert_eq!(step(Some(name), None).as_deref(), Ok(name));
        }
        for name in ["build\0", &format!("{long}x")] {
            assert_eq!(step(Some(name), None).unwrap_err().reason, "link_malformed", "{name:?}");
        }
    }
}
