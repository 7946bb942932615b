//! How something was made: links, and SLSA provenance.

use super::{Facts, REF, REPOSITORY, REVISION};
use crate::{intoto::Link, json::Value};

/// A link's own facts. How its command ended is read from where in-toto keeps it, whatever else is claimed.
pub(super) fn link(link: &Link, facts: &mut Facts) {
    facts.members_are(link.environment.get("facts"));
    ended(Some(&link.byproducts), facts);
}

/// The same of a link that is a statement's predicate.
pub(super) fn reported(predicate: &Value, facts: &mut Facts) {
    facts.members_are(predicate.get("environment").and_then(|environment| environment.get("facts")));
    ended(predicate.get("byproducts"), facts);
}

fn ended(byproducts: Option<&Value>, facts: &mut Facts) {
    if let Some(code) = byproducts.and_then(|byproducts| byproducts.get("return-value")) {
        facts.member_is("step.return_value", code);
    }
}

/// SLSA provenance v1.
pub(super) fn provenance(predicate: &Value, facts: &mut Facts) {
    let text = |of: Option<&Value>, name: &str| of?.get(name)?.as_str().map(str::to_owned);
    let (definition, details) = (predicate.get("buildDefinition"), predicate.get("runDetails"));
    facts.text_is("build.type", text(definition, "buildType").as_deref());
    facts.text_is("builder.id", text(details.and_then(|details| details.get("builder")), "id").as_deref());
    let metadata = details.and_then(|details| details.get("metadata"));
    invocation(text(metadata, "invocationId").as_deref(), facts);
    let sources = definition.and_then(|definition| definition.get("resolvedDependencies")).and_then(Value::as_array);
    source(sources.unwrap_or_default(), facts);
}

/// SLSA provenance v0.2.
pub(super) fn old_provenance(predicate: &Value, facts: &mut Facts) {
    let text = |of: Option<&Value>, name: &str| of?.get(name)?.as_str().map(str::to_owned);
    facts.text_is("build.type", text(Some(predicate), "buildType").as_deref());
    facts.text_is("builder.id", text(predicate.get("builder"), "id").as_deref());
    invocation(text(predicate.get("metadata"), "buildInvocationId").as_deref(), facts);
    match predicate.get("invocation").and_then(|invocation| invocation.get("configSource")) {
        Some(config) if commit(config).is_some() => source(std::slice::from_ref(config), facts),
        _ => source(predicate.get("materials").and_then(Value::as_array).unwrap_or_default(), facts),
    }
}

/// One run of the builder: its page where it has one, or its number.
fn invocation(id: Option<&str>, facts: &mut Facts) {
    let is_page = id.is_some_and(|id| id.starts_with("https://") || id.starts_with("http://"));
    facts.text_is(if is_page { "cicd.pipeline.run.url.full" } else { "cicd.pipeline.run.id" }, id);
}

/// The first of the sources that is a commit.
fn source(sources: &[Value], facts: &mut Facts) {
    let Some((source, commit)) = sources.iter().find_map(|source| Some((source, commit(source)?))) else { return };
    facts.text_is(REVISION, Some(commit));
    let Some(uri) = source.get("uri").and_then(Value::as_str) else { return };
    let url = uri.strip_prefix("git+").unwrap_or(uri);
    // SPDX's download location: `git+https://host/path@refs/heads/main`. An `@` before the host's end is a user's.
    let host_ends = url.find("://").and_then(|at| Some(at + 3 + url.get(at + 3..)?.find('/')?)).unwrap_or(0);
    match url.rsplit_once('@').filter(|(before, _)| before.len() > host_ends) {
        Some((repository, reference)) => {
            facts.text_is(REPOSITORY, Some(repository));
            facts.text_is(REF, Some(reference));
        }
        None => facts.text_is(REPOSITORY, Some(url)),
    }
}

/// The commit a source names: git's own name for it, or its SHA-1 where the source says that it is git's.
fn commit(source: &Value) -> Option<&str> {
    let digest = source.get("digest")?;
    let git = || source.get("uri").and_then(Value::as_str).is_some_and(|uri| uri.starts_with("git+"));
    let commit = digest.get("gitCommit").or_else(|| digest.get("sha1").filter(|_| git()));
    commit?.as_str().filter(|commit| commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
