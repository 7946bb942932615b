//! What is kept of what was admitted.

use super::{Request, check_name};
use crate::{
    digest::Digest,
    envelope::Envelope,
    intoto::{Artifacts, Link},
    reason::Reason,
    server::{
        chains::{Chains, Writer},
        problem::Problem,
    },
    store::{
        Kind, LayoutFacts, NewRecord, RunFacts, VerifiedSignature, artifacts,
        document::{Said, return_code},
    },
};
use std::collections::BTreeSet;

/// What layouts, links and statements have in common.
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) step: Option<String>,
    pub(super) signatures: Vec<VerifiedSignature>,
    pub(super) said: Said,
    pub(super) layout: Option<LayoutFacts>,
    pub(super) link: Option<Link>,
    /// What a statement is about.
    pub(super) subjects: BTreeSet<Digest>,
}

impl Record {
    pub(super) fn of(kind: Kind, step: Option<String>) -> Self {
        let (signatures, said, subjects) = (Vec::new(), Said::default(), BTreeSet::new());
        Record { kind, step, signatures, said, layout: None, link: None, subjects }
    }

    pub(super) fn finish(
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
        let return_code = self.link.as_ref().and_then(return_code);
        let (materials, products) = match self.link {
            Some(link) => (link.materials, link.products),
            None => (Artifacts::new(), Artifacts::new()),
        };
        let produced = artifacts::images(&products, artifacts::IMAGES_MAX);
        let run_facts = RunFacts::of(&self.said.facts);
        let [started_at, finished_at] = self.said.times();
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
            started_at,
            finished_at,
            facts: self.said.facts.indexed(&rules.facts),
            layout: self.layout,
        })
    }
}
