//! `GET /v1/records?after=`: records in their order, as they come, by long-poll or as server-sent events.

use super::{access::Reader, http::App, problem::Problem, question::Question, sight::Sight, views::RecordView};
use crate::store::{
    records,
    stream::{self, Event},
};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, header},
    response::{
        IntoResponse, Response,
        sse::{KeepAlive, Sse},
    },
    routing::get,
};
use serde::Serialize;
use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::ToSchema;

const PAGE: usize = 100;
const PAGE_MAX: usize = 500;
/// The longest a poll waits, in seconds.
const WAIT_MAX: i64 = 30;
/// How often the database is asked while nothing comes.
const POLL: Duration = Duration::from_millis(250);
/// Those who wait or are sent events, at once.
const WAITING_MAX: usize = 64;
/// What is passed over of others' records in one answer takes no longer: the next one goes on from there.
const PASSING_MAX: Duration = Duration::from_secs(5);
/// An event stream ends by itself and is taken up again: nobody keeps a place, or a right, for ever. It ends before `serve` ends a
/// connection whose answer was begun so long ago (`serve::Times::idle`).
const STREAM_TIME: Duration = Duration::from_secs(90);

/// The routes of this file. Who waits takes no place from those who read, so the places are its own.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/records", get(get_stream)).layer(axum::Extension(Arc::new(Semaphore::new(WAITING_MAX))))
}

/// Records after a position.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Stream {
    pub records: Vec<StreamedRecord>,
    /// The position to go on from: `after` of the next request.
    pub next: i64,
}

/// A record at its position.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StreamedRecord {
    pub seq: i64,
    /// `new`, or `signed`: the record is known and has a further signature.
    pub event: &'static str,
    #[serde(flatten)]
    pub record: RecordView,
}

/// Records in the order in which they were kept; each once, and once more for each signature that joined it later.
#[utoipa::path(get, path = "/v1/records", tag = "records", params(
    ("after" = Option<i64>, Query, minimum = 0, description = "the position to go on from; without it the beginning"),
    ("wait" = Option<i64>, Query, minimum = 0, maximum = 30, description = "seconds to wait for a record where there is none"),
    ("chain" = Option<String>, Query, description = "a chain; without it all that the token may read"),
    ("limit" = Option<i64>, Query, minimum = 1, maximum = 500),
), responses(
    (status = 200, description = "with Accept: text/event-stream, events whose id is the position and whose data is the record", body = Stream),
    super::openapi::Refusals,
))]
pub async fn get_stream(
    State(app): State<Arc<App>>,
    axum::Extension(places): axum::Extension<Arc<Semaphore>>,
    Query(query): Query<Vec<(String, String)>>,
    reader: Reader,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = places.try_acquire_owned().map_err(|_| Problem::overloaded())?;
    let mut question = Question::new(query)?;
    let sight = Sight::of(&app, &reader, question.text("chain").as_deref())?;
    let after = question.number("after", 0, i64::MAX)?;
    let wait = question.number("wait", 0, WAIT_MAX)?.unwrap_or(0);
    let limit = question.limit(PAGE, PAGE_MAX)?;
    question.end()?;
    let events = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if events.contains("text/event-stream") {
        let after = last_event(&headers)?.or(after).unwrap_or(0);
        let tail = Tail { app, sight, position: after, limit, _place: place };
        return Ok(Sse::new(tail.events()).keep_alive(KeepAlive::default()).into_response());
    }
    let mut tail = Tail { app, sight, position: after.unwrap_or(0), limit, _place: place };
    let until = Instant::now() + Duration::from_secs(wait.unsigned_abs());
    let records = tail.next(until).await?;
    Ok(Json(Stream { records, next: tail.position }).into_response())
}

/// Where a client was when its stream ended (HTML, server-sent events: `Last-Event-ID`).
fn last_event(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let position = value.to_str().ok().and_then(|text| text.parse().ok()).filter(|position| *position >= 0);
    position.map(Some).ok_or_else(|| Problem::bad_request("Last-Event-ID is a position of the stream"))
}

/// One who follows the stream.
struct Tail {
    app: Arc<App>,
    sight: Sight,
    position: i64,
    limit: usize,
    _place: OwnedSemaphorePermit,
}

impl Tail {
    /// The next records, as soon as there are some; none when the time is up or the server stops. What others wrote is passed over, of
    /// a long stream not all at once.
    async fn next(&mut self, until: Instant) -> Result<Vec<StreamedRecord>, Problem> {
        let chains = self.sight.ids();
        let passing_until = until.max(Instant::now() + PASSING_MAX);
        loop {
            let mut session = self.app.database.read().await?;
            let (events, position) = stream::after(&mut session, &chains, self.position, self.limit).await?;
            let passed = position > self.position;
            self.position = position;
            if !events.is_empty() {
                return Ok(self.views(&mut session, events).await?);
            }
            drop(session);
            if passed && Instant::now() < passing_until && !self.app.stopping.is_cancelled() {
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.app.stopping.is_cancelled() {
                return Ok(Vec::new());
            }
            let _ = tokio::time::timeout(POLL.min(left), self.app.stopping.cancelled()).await;
        }
    }

    async fn views(
        &self,
        session: &mut crate::store::session::Session,
        events: Vec<Event>,
    ) -> Result<Vec<StreamedRecord>, crate::store::StoreError> {
        let (places, rows): (Vec<_>, Vec<_>) =
            events.into_iter().map(|event| ((event.seq, event.is_new), event.row)).unzip();
        let listed = records::listed(session, rows).await?;
        let view = |((seq, is_new), listed): ((i64, bool), _)| StreamedRecord {
            seq,
            event: if is_new { "new" } else { "signed" },
            record: RecordView::of(listed, &self.sight),
        };
        Ok(places.into_iter().zip(listed).map(view).collect())
    }

    /// Everything from here on, as events. An error ends them: the client comes back and goes on from its last one.
    fn events(self) -> impl futures::Stream<Item = Result<axum::response::sse::Event, Infallible>> {
        use futures::{StreamExt as _, stream};
        let until = Instant::now() + STREAM_TIME;
        let batches = stream::unfold(Some(self), move |tail| async move {
            let mut tail = tail?;
            match tail.next(until).await {
                Ok(records) if records.is_empty() => None,
                Ok(records) => Some((records, Some(tail))),
                Err(problem) => {
                    tracing::warn!(detail = problem.detail, "a stream of records ended");
                    None
                }
            }
        });
        batches.flat_map(|records| stream::iter(records.into_iter().map(|record| Ok(event(&record)))))
    }
}

fn event(record: &StreamedRecord) -> axum::response::sse::Event {
    let event = axum::response::sse::Event::default().id(record.seq.to_string()).event("record");
    event.json_data(record).unwrap_or_default()
}
