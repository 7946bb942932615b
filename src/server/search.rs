//! `GET /v1/search` and `GET /v1/images`: records by what is known of them, and the images they lead to.

use super::{
    access::Reader,
    http::App,
    problem::Problem,
    question::{Question, cursor},
    sight::Sight,
    views::RecordView,
};
use crate::{
    intoto::facts,
    store::{
        Kind, images, records,
        search::{self, Filter, Is, Page},
        session::Session,
    },
};
use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use serde::Serialize;
use std::{collections::BTreeSet, sync::Arc};
use utoipa::{IntoParams, ToSchema};

const PAGE: usize = 100;
const PAGE_MAX: usize = 500;
/// Records of one page of images; each may lead to a thousand.
const RECORDS_OF_IMAGES_MAX: usize = 100;
const IMAGES_MAX: usize = 5_000;
/// Facts of one question.
const FACTS_MAX: usize = 8;

/// The routes of this file.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/search", get(get_search)).route("/v1/images", get(get_images))
}

/// A page of records, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Records {
    pub records: Vec<RecordView>,
    /// For the next page; absent on the last. A page may have fewer records than were asked for, and still not be the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A page of images.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Images {
    pub images: Vec<ImageView>,
    /// For the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// One record, or run, of the page leads to more images than are listed.
    pub truncated: bool,
}

/// An image, and the newest record of the page that leads to it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ImageView {
    pub image: String,
    pub chain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The record that the filters found.
    pub record: String,
}

/// What a search answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Found {
    Records(Records),
    /// With `images=true`.
    Images(Images),
}

/// What records are found by; `Question` reads them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "for readers of the OpenAPI alone")]
struct Filters {
    /// a chain; without it all that the token may read
    chain: Option<String>,
    /// the commit: fact vcs.ref.head.revision
    commit: Option<String>,
    /// the run, as its writer calls it
    run: Option<String>,
    /// a key that signed, by its id
    key: Option<String>,
    /// the step
    step: Option<String>,
    /// layout, link or statement
    kind: Option<String>,
    /// a statement's predicateType
    predicate: Option<String>,
    /// received at this time or later, RFC 3339
    since: Option<String>,
    /// received before this time
    until: Option<String>,
    /// from the page before
    cursor: Option<String>,
}

/// Records with all that is asked for.
#[utoipa::path(get, path = "/v1/search", tag = "search", params(
    Filters,
    ("digest" = Option<String>, Query, description = "an image: sha256:<hex>"),
    ("images" = Option<bool>, Query, description = "answer with images instead, as /v1/images"),
    ("limit" = Option<i64>, Query, minimum = 1, maximum = 500),
), responses((status = 200, body = Found), super::openapi::Refusals))]
pub async fn get_search(
    State(app): State<Arc<App>>,
    Query(query): Query<Vec<(String, String)>>,
    reader: Reader,
) -> Result<Json<Found>, Problem> {
    let mut question = Question::new(query)?;
    if question.flag("images")? {
        return Ok(Json(Found::Images(find_images(&app, question, &reader).await?)));
    }
    let limit = question.limit(PAGE, PAGE_MAX)?;
    let (sight, mut session, page) = find(&app, question, &reader, limit).await?;
    let listed = records::listed(&mut session, page.rows).await?;
    let records = listed.into_iter().map(|listed| RecordView::of(listed, &sight)).collect();
    Ok(Json(Found::Records(Records { records, cursor: page.next.map(cursor) })))
}

/// Images that a record with all that is asked for is about, or its run.
#[utoipa::path(get, path = "/v1/images", tag = "search", params(
    Filters,
    ("limit" = Option<i64>, Query, minimum = 1, maximum = 100, description = "records that are followed"),
), responses((status = 200, body = Images), super::openapi::Refusals))]
pub async fn get_images(
    State(app): State<Arc<App>>,
    Query(query): Query<Vec<(String, String)>>,
    reader: Reader,
) -> Result<Json<Images>, Problem> {
    find_images(&app, Question::new(query)?, &reader).await.map(Json)
}

async fn find_images(app: &App, mut question: Question, reader: &Reader) -> Result<Images, Problem> {
    let limit = question.limit(RECORDS_OF_IMAGES_MAX, RECORDS_OF_IMAGES_MAX)?;
    let (sight, mut session, page) = find(app, question, reader, limit).await?;
    let runs: BTreeSet<i64> = page.rows.iter().filter_map(|row| row.run).collect();
    let runs = records::run_keys(&mut session, &runs).await?;
    let mut answer = Images { images: Vec::new(), cursor: page.next.map(cursor), truncated: false };
    let mut seen = BTreeSet::new();
    for (row, images) in page.rows.iter().zip(images::of_records(&mut session, &page.rows).await?) {
        for image in images.into_iter().filter(|image| seen.insert((row.chain, image.clone()))) {
            if answer.images.len() >= IMAGES_MAX {
                answer.truncated = true;
                break;
            }
            answer.images.push(ImageView {
                image: image.to_string(),
                chain: sight.name(row.chain),
                run: row.run.and_then(|run| runs.get(&run).cloned()),
                record: row.digest.to_string(),
            });
        }
    }
    Ok(answer)
}

/// The page of records that the question ask for.
async fn find(
    app: &App,
    mut question: Question,
    reader: &Reader,
    limit: usize,
) -> Result<(Sight, Session, Page), Problem> {
    let sight = Sight::of(app, reader, question.text("chain").as_deref())?;
    let before = question.cursor()?;
    let filter = filter(&mut question)?;
    question.end()?;
    let mut session = app.database.read().await?;
    let page = search::search(&mut session, &filter, &sight.ids(), before, limit).await?;
    Ok((sight, session, page))
}

/// The filters among the question.
fn filter(question: &mut Question) -> Result<Filter, Problem> {
    let kind = question.text("kind").map(|word| {
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
        kind.ok_or_else(|| Problem::bad_request("kind is layout, link or statement"))
    });
    let mut filter = Filter {
        digest: question.digest("digest")?,
        run: question.text("run"),
        key: question.text("key"),
        step: question.text("step"),
        predicate_type: question.text("predicate"),
        kind: kind.transpose()?,
        facts: Vec::new(),
        since: question.time("since")?,
        until: question.time("until")?,
    };
    filter.facts.extend(question.text("commit").map(|commit| (facts::REVISION.to_owned(), Is::Text(commit))));
    for (name, value) in question.beginning("fact.") {
        filter.facts.push(fact(&name, value)?);
    }
    if filter.facts.len() > FACTS_MAX {
        return Err(Problem::bad_request(format!("more than {FACTS_MAX} facts")));
    }
    Ok(filter)
}

/// `NAME=VALUE`, `NAME.min=N` or `NAME.max=N`.
fn fact(name: &str, value: String) -> Result<(String, Is), Problem> {
    let number = || value.parse().map_err(|_| Problem::bad_request("what is compared with a fact is a number"));
    let (name, is) = match (name.strip_suffix(".min"), name.strip_suffix(".max")) {
        (Some(name), _) => (name, Is::Between(number()?, i64::MAX)),
        (None, Some(name)) => (name, Is::Between(i64::MIN, number()?)),
        (None, None) => (name, Is::Text(value)),
    };
    match facts::is_name(name) {
        true => Ok((name.to_owned(), is)),
        false => Err(Problem::bad_request(format!("\"{}\" is no name of a fact", name.escape_default()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)]) -> Result<Filter, Problem> {
        let query = query.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let mut question = Question::new(query)?;
        let filter = filter(&mut question)?;
        question.end().map(|()| filter)
    }

    #[test]
    fn filters_are_read() {
        let found =
            read(&[("commit", "abc"), ("fact.a.b", "x"), ("fact.n.min", "1"), ("fact.n.max", "5"), ("kind", "link")]);
        let facts = [
            ("vcs.ref.head.revision".to_owned(), Is::Text("abc".into())),
            ("a.b".to_owned(), Is::Text("x".into())),
            ("n".to_owned(), Is::Between(i64::MIN, 5)),
            ("n".to_owned(), Is::Between(1, i64::MAX)),
        ];
        assert_eq!(found, Ok(Filter { facts: facts.into(), kind: Some(Kind::Link), ..Filter::default() }));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for query in [
            ("kind", "fact"),
            ("fact.n.min", "x"),
            ("fact.", "1"),
            ("fact.a b", "1"),
            ("digest", "latest"),
            ("colour", "red"),
        ] {
            assert_eq!(read(&[query]).unwrap_err().reason, "request_malformed", "{query:?}");
        }
        let many: Vec<String> = (0..9).map(|n| format!("fact.n{n}")).collect();
        assert!(read(&many.iter().map(|name| (name.as_str(), "1")).collect::<Vec<_>>()).is_err());
    }
}
