//! What a store admits: an envelope that is a layout by enough of the chain's owners, or a link (or a statement that counts
//! as one), or any other statement, by a key that a layout of the chain authorises for its step. Nothing is written before this said yes.

use super::{
    chains::{ChainRules, Chains, Writer},
    problem::Problem,
};
use crate::{
    digest::Digest,
    envelope::Envelope,
    image::artifact_repository,
    intoto::{Link, statement::Statement},
    reason::{Fault, Reason},
    store::{
        Kind, Metadata, NewRecord,
        document::{self, Document, Said, document},
    },
};
use functionary::Asked;
pub use functionary::check_known;
use jiff::Timestamp;
use record::Record;
use std::collections::BTreeSet;

mod functionary;
mod layout;
mod record;
mod signers;

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
    match document(&envelope).map_err(Problem::unprocessable)? {
        Document::Layout(layout) => layout::admit(request, envelope, layout, chains, ids),
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

/// The kind of an envelope's record and the step it is of; `None` for a layout, which is of none, and for what is no record.
pub fn kind_and_step(body: &[u8], given: Option<&str>) -> Option<(Kind, String)> {
    let (kind, named) = match document(&Envelope::parse(body).ok()?).ok()? {
        Document::Layout(_) => return None,
        Document::Link(named, ..) => (Kind::Link, named),
        Document::Statement(..) => (Kind::Statement, None),
    };
    Some((kind, step(named.as_deref(), given).ok()?))
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
    let subjects = document::subjects(&statement);
    let record = Record { signatures, said, subjects, ..Record::of(Kind::Statement, Some(step.to_owned())) };
    record.finish(request, &envelope, (index, writer), chains, ids)
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
