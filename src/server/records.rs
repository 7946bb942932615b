//! Writing: one record, or up to a thousand, each with its own result.

use super::{
    access::Author,
    admit::{self, Request},
    auth::{Granted, Principal},
    body::BODY_BYTES_MAX,
    budget::Purpose,
    http::App,
    parameters::{Parameters, image, is_word},
    problem::Problem,
    quarantine,
    question::Question,
};
use crate::{
    digest::Digest,
    envelope::Envelope,
    json::Limits,
    reason::Reason,
    store::{
        Kind, Once, Put, Submission, Submitted, artifacts,
        failpoint::{self, Point},
    },
};
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{post, put},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::{Value, json};
use std::{fmt, marker::PhantomData, sync::Arc};
use utoipa::ToSchema;

/// Records of one batch (store §3.4).
const BATCH_MAX: usize = 1_000;
/// Texts that one record of a batch may have for subjects; how many of them count is `parameters`' to say.
const SUBJECTS_MAX: usize = 1_024;
/// Of one batch at once, so that the database has several to commit together.
const AT_ONCE: usize = 16;

/// What writes.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/records/{name}", put(put_record)).route("/v1/records:batch", post(put_batch))
}

/// One record to write.
struct Item {
    name: Digest,
    envelope: Vec<u8>,
    parameters: Parameters,
}

/// What became of it.
struct Written {
    status: StatusCode,
    chain: String,
    digest: Digest,
    /// Of a link that is kept aside.
    state: Option<&'static str>,
}

impl Written {
    fn to_json(&self) -> Value {
        let mut value = json!({ "digest": self.digest.to_string(), "chain": self.chain });
        if let (Some(state), Some(members)) = (self.state, value.as_object_mut()) {
            members.insert("state".into(), state.into());
        }
        value
    }
}

/// One record: a layout, a link or another statement.
///
/// Who it is comes before the body: a stranger sends no 16 MiB.
#[utoipa::path(put, path = "/v1/records/{name}", tag = "records", params(
    ("name" = String, Path, description = "sha256:<hex> of what is signed"),
    ("chain" = Option<String>, Query, description = "the chain, where the token has several"),
    ("run" = Option<String>, Query, description = "the run of the pipeline it belongs to"),
    ("step" = Option<String>, Query, description = "the step of a statement that names none"),
    ("subject" = Option<Vec<String>>, Query, description = "images it is about though its products do not say so"),
), request_body(content = Object, description = "a DSSE envelope or a Metablock", content_type = "application/vnd.in-toto+json"),
responses(
    (status = 201, description = "kept, and on disk", body = super::openapi::Written),
    (status = 200, description = "known already", body = super::openapi::Written),
    (status = 202, description = "kept aside until a layout authorises its key", body = super::openapi::Written),
    super::openapi::Refusals,
))]
pub async fn put_record(
    State(app): State<Arc<App>>,
    Author(principal): Author,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let parameters = Parameters::read(query, &headers)?;
    let name = image(&name)?;
    may_write(&principal, &app, parameters.chain.as_deref())?;
    let sender = principal.name().unwrap_or_default();
    let (envelope, _place) = app.writing.body(sender, &headers, body, "a record", Limits::METADATA.bytes_max).await?;
    let written = write(&app, &principal, Item { name, envelope, parameters }).await?;
    Ok((written.status, Json(written.to_json())).into_response())
}

/// Several records, as the spool of a pipeline has them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Batch {
    #[serde(deserialize_with = "at_most::<_, _, BATCH_MAX>")]
    #[schema(max_items = 1000)]
    records: Vec<BatchItem>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchItem {
    digest: String,
    /// Base64.
    envelope: String,
    chain: Option<String>,
    run: Option<String>,
    step: Option<String>,
    #[serde(default, deserialize_with = "at_most::<_, _, SUBJECTS_MAX>")]
    subjects: Vec<String>,
}

/// A list that is counted while it is read: in 16 MiB there would be millions of empty members.
fn at_most<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MAX: usize>(list: D) -> Result<Vec<T>, D::Error> {
    struct List<T, const MAX: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(member) = members.next_element()? {
                all.push(member);
                if all.len() > MAX {
                    return Err(A::Error::invalid_length(all.len(), &self));
                }
            }
            Ok(all)
        }
    }
    list.deserialize_seq(List::<T, MAX>(PhantomData))
}

impl BatchItem {
    fn read(self) -> Result<Item, Problem> {
        let name = image(&self.digest)?;
        let envelope =
            STANDARD.decode(&self.envelope).map_err(|_| Problem::bad_request("the envelope is not base64"))?;
        if envelope.len() > Limits::METADATA.bytes_max {
            return Err(Problem::too_large("a record", Limits::METADATA.bytes_max));
        }
        Ok(Item { name, envelope, parameters: Parameters::of(self.chain, self.run, self.step, &self.subjects)? })
    }
}

/// Several records at once, each with its own result.
#[utoipa::path(post, path = "/v1/records:batch", tag = "records", request_body = Batch,
    responses((status = 200, body = super::openapi::BatchResults), super::openapi::Refusals))]
pub async fn put_batch(
    State(app): State<Arc<App>>,
    Author(principal): Author,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    Question::new(query)?.end()?;
    let sender = principal.name().unwrap_or_default();
    let (body, _place) = app.writing.body(sender, &headers, body, "a batch", BODY_BYTES_MAX).await?;
    let batch: Batch = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("the body is no batch of records: {error}")))?;
    drop(body);
    let count = batch.records.len();
    // One is paid already.
    app.budgets.take(sender, Purpose::Write, count.saturating_sub(1) as u32)?;
    let mut items: Vec<(usize, String, Result<Item, Problem>)> = Vec::with_capacity(count);
    for (index, item) in batch.records.into_iter().enumerate() {
        items.push((index, item.digest.clone(), item.read()));
    }
    // Layouts first: they bring the keys of the links that stand beside them.
    let (layouts, others): (Vec<_>, Vec<_>) = items.into_iter().partition(|(_, _, item)| is_layout(item));
    let mut results: Vec<(usize, Value)> = Vec::with_capacity(count);
    for (items, at_once) in [(layouts, 1), (others, AT_ONCE)] {
        let write = |(index, name, item)| {
            let (app, principal) = (&app, &principal);
            async move {
                let written = match item {
                    Ok(item) => write(app, principal, item).await,
                    Err(problem) => Err(problem),
                };
                (index, result(app, name, written))
            }
        };
        results.extend(stream::iter(items).map(write).buffer_unordered(at_once).collect::<Vec<_>>().await);
    }
    results.sort_by_key(|(index, _)| *index);
    let results: Vec<Value> = results.into_iter().map(|(_, result)| result).collect();
    Ok(Json(json!({ "results": results })).into_response())
}

fn is_layout(item: &Result<Item, Problem>) -> bool {
    let kind = |item: &Item| Envelope::parse(&item.envelope).ok()?.kind().map(|kind| kind == "layout");
    item.as_ref().ok().and_then(kind) == Some(true)
}

/// As the client named it, for a name that is none has an answer too.
fn result(app: &App, name: String, written: Result<Written, Problem>) -> Value {
    match written {
        Ok(written) => {
            let mut value = written.to_json();
            if let Some(members) = value.as_object_mut() {
                members.insert("status".into(), written.status.as_u16().into());
            }
            value
        }
        Err(problem) => {
            app.metrics.refused.with_label_values(&[problem.reason]).inc();
            json!({
                "digest": name.chars().take(128).collect::<String>(),
                "status": problem.status.as_u16(),
                "reason": problem.reason,
                "detail": problem.detail,
            })
        }
    }
}

/// The principal's writers, of all chains or of the one that is named.
fn may_write<'p>(principal: &'p Principal, app: &App, chain: Option<&str>) -> Result<Vec<&'p Granted>, Problem> {
    let of_chain = |granted: &&Granted| {
        chain.is_none_or(|name| app.chains.get(granted.chain).is_some_and(|rules| rules.name == name))
    };
    let granted: Vec<&Granted> = principal.writes.iter().filter(of_chain).collect();
    if granted.is_empty() { Err(Problem::forbidden("this token may not write here")) } else { Ok(granted) }
}

async fn write(app: &App, principal: &Principal, item: Item) -> Result<Written, Problem> {
    let granted = may_write(principal, app, item.parameters.chain.as_deref())?;
    let aside = quarantine::Aside::of(app, &granted, &item.envelope, &item.parameters);
    let writers = granted.iter().filter_map(|granted| Some((granted.chain, app.chains.writer(granted)?))).collect();
    let Parameters { run, step, subjects, .. } = item.parameters;
    failpoint::reach(Point::Received);
    let request = Request {
        name: item.name.clone(),
        body: item.envelope,
        writers,
        run: run.clone(),
        step,
        declared: subjects,
        now: app.clock.now(),
    };
    let mut record = match (admit::admit(request, &app.chains, &app.ids, &*app.store).await, aside) {
        (Ok(record), _) => record,
        (Err(problem), Some(aside)) if problem.reason == Reason::SignatureUntrusted.as_str() => {
            let Some(used) = aside.writer(app) else { return Err(problem) };
            let (run, submission) = (self::run(used, run)?, submission(principal, used)?);
            let chain = aside.keep(app, problem, item.name.clone(), used, run, submission).await?;
            let (status, digest) = (StatusCode::ACCEPTED, item.name);
            return Ok(Written { status, chain, digest, state: Some("quarantined") });
        }
        (Err(problem), _) => return Err(problem),
    };
    // Whose right it was: the writer of that name in the chain the record went to.
    let used = granted.into_iter().find(|granted| {
        app.ids.get(granted.chain) == Some(&record.chain)
            && app.chains.writer(granted).is_some_and(|writer| writer.name == record.submitter)
    });
    let used = used.ok_or_else(|| Problem::forbidden("this token may not write here"))?;
    record.run = self::run(used, record.run)?;
    let (kind, chain, digest) = (record.kind, record.chain, record.digest.clone());
    failpoint::reach(Point::Admitted);
    let put = match app.store.submit(record, submission(principal, used)?).await? {
        Submitted::Kept(put) => put,
        Submitted::Replayed => {
            let detail = "the token has written another record, and writes one";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "token_replayed", detail));
        }
    };
    failpoint::reach(Point::Answered);
    let (status, result) = match put {
        Put::Created => (StatusCode::CREATED, "created"),
        Put::Known => (StatusCode::OK, "known"),
        Put::Extended => (StatusCode::OK, "extended"),
    };
    app.metrics.records.with_label_values(&[kind.as_str(), result]).inc();
    if kind == Kind::Layout && put != Put::Known {
        // Its keys may be those of links that wait for them.
        app.released.notify_one();
    }
    let chain = app.chain_name(chain);
    tracing::info!(%digest, kind = kind.as_str(), chain, result, principal = principal.name(), "record");
    Ok(Written { status, chain, digest, state: None })
}

/// What is kept of the principal beside its records.
fn submission(principal: &Principal, granted: &Granted) -> Result<Submission, Problem> {
    let who = principal.who.as_ref().ok_or_else(Problem::internal)?;
    let once = match (granted.one_time, &who.jti) {
        (false, _) => None,
        (true, Some((jti, expires))) => {
            let name = json!([who.issuer, jti]).to_string();
            let token = artifacts::raw(&Digest::sha256(name.as_bytes()));
            let expires = Timestamp::from_second(*expires).map_err(|_| Problem::internal())?;
            Some(Once { token, expires })
        }
        (true, None) => return Err(Problem::internal()),
    };
    Ok(Submission {
        principal: who.name.clone(),
        issuer: who.issuer.clone(),
        subject: who.subject.clone(),
        claims: granted.claims.to_string(),
        once,
    })
}

/// The run a record belongs to. Where the token says so, what is claimed beside it must be the same.
fn run(granted: &Granted, claimed: Option<String>) -> Result<Option<String>, Problem> {
    let mismatch = |detail: String| Problem::new(StatusCode::FORBIDDEN, "run_mismatch", detail);
    match (&granted.run, claimed) {
        (None, claimed) => Ok(claimed),
        (Some(run), _) if !is_word(run) => Err(mismatch("the token's claims name no run".into())),
        (Some(run), Some(claimed)) if claimed != *run => {
            Err(mismatch(format!("the token is of run \"{run}\", and the record is said to be of another")))
        }
        (Some(run), _) => Ok(Some(run.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_counted_while_it_is_read() {
        let batch = |records: usize, subjects: usize| {
            let item = json!({"digest": "x", "envelope": "", "subjects": vec![""; subjects]});
            serde_json::from_value::<Batch>(json!({"records": vec![item; records]}))
        };
        assert_eq!(batch(BATCH_MAX, 1).unwrap().records.len(), BATCH_MAX);
        assert!(batch(BATCH_MAX + 1, 1).err().unwrap().to_string().contains("a list of at most 1000"));
        assert_eq!(batch(1, SUBJECTS_MAX).unwrap().records[0].subjects.len(), SUBJECTS_MAX);
        assert!(batch(1, SUBJECTS_MAX + 1).err().unwrap().to_string().contains("a list of at most 1024"));
    }
}
