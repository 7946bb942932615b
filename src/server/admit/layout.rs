//! A layout that wants in: signed by enough owners of one chain. What it authorises is kept with it.

use super::{
    Request, check_name,
    record::Record,
    refuse,
    signers::{locate, one_chain},
};
use crate::{
    envelope::Envelope,
    image::artifact_repository,
    intoto::{Layout, Rule},
    reason::Reason,
    server::{chains::Chains, problem::Problem},
    store::{Kind, LayoutFacts, NewRecord, step_key::step_keys},
    verify::quorum,
};

pub(super) fn admit(
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
