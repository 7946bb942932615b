//! A review off the wire: its place, its body, and what is asked, in bounded memory and time.

use super::{
    super::{
        images::{self, Subject},
        metrics::Endpoint,
        resources::{self, Known},
        review::{self, Answer, Request, Unreadable},
        told,
    },
    Webhook,
};
use crate::{
    cluster::events::Regarding,
    json::Limits,
    reason::{Fault, Reason},
};
use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use http_body_util::BodyExt;
use std::time::Instant;
use tokio::sync::SemaphorePermit;

/// Beyond this a body is not even read to its end.
const DISCARDED_BYTES_MAX: usize = 64 << 20;

/// A review that was read, and its place among those that are judged at once.
pub(super) struct Seated<'w> {
    pub(super) request: Request,
    pub(super) asked: Asked,
    /// What an event about it would lie on.
    pub(super) regarding: Option<Regarding>,
    pub(super) seat: SemaphorePermit<'w>,
}

/// What is to be judged, or where that takes no time, how it came out.
pub(super) enum Asked {
    Workload(Result<Subject, Fault>),
    Answered(Answer),
}

impl Webhook {
    /// Reads and parses the body, in bounded memory and time. What is judged is taken out of the object at once: a tree that waited
    /// for a slow registry would be one of many.
    pub(super) async fn review(
        &self,
        endpoint: Endpoint,
        headers: &HeaderMap,
        body: Body,
        deadline: Instant,
    ) -> Result<Seated<'_>, Unreadable> {
        let mut read = Read::default();
        let denied = |read: &Read, reason, why: &str| {
            let uid = review::peek_uid(&read.bytes).unwrap_or_default();
            Unreadable::Denied { uid, fault: Fault::new(reason, why) }
        };
        let Ok(seat) = self.reviews.try_acquire() else {
            read.keep_max = review::HEAD_BYTES;
            let _ = tokio::time::timeout_at(deadline.into(), read.all(body)).await;
            return Err(denied(&read, Reason::Overloaded, "too many reviews at once; try again in some seconds"));
        };
        let length = headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
        read.keep_max = match length {
            Some(length) if length > Limits::REVIEW.bytes_max => review::HEAD_BYTES,
            _ => Limits::REVIEW.bytes_max,
        };
        let kib = |bytes: usize| u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let size = kib(length.unwrap_or(read.keep_max).min(read.keep_max));
        let all = async {
            let body_seat = self.bodies.acquire_many(size).await;
            read.all(body).await.map(|()| body_seat)
        };
        let _body_seat = match tokio::time::timeout_at(deadline.into(), all).await {
            Ok(Ok(seat)) => seat,
            Ok(Err(_)) => return Err(denied(&read, Reason::ReviewMalformed, "the body broke off")),
            Err(_) => return Err(denied(&read, Reason::DeadlineExceeded, "the body did not arrive in time")),
        };
        if read.cut {
            return Err(review::too_large(&read.bytes));
        }
        let parsing = self.parsing.acquire_many(kib(read.bytes.len()));
        let Ok(_parsing) = tokio::time::timeout_at(deadline.into(), parsing).await else {
            return Err(denied(&read, Reason::Overloaded, "too much to parse at once; try again in some seconds"));
        };
        let parsed = self.caught(async {
            let mut request = review::parse(&read.bytes)?;
            let asked = match endpoint {
                Endpoint::Resources => Asked::Answered(resources::answer(&request, &self.known())),
                Endpoint::Validate | Endpoint::Mutate => Asked::Workload(images::subject(&request)),
            };
            let told = self.tellers.is_some() || self.reports.get().is_some();
            let regarding = told.then(|| told::regarding(&request)).flatten();
            (request.object, request.old_object) = (None, None);
            Ok((request, asked, regarding))
        });
        let (request, asked, regarding) =
            parsed.await.unwrap_or_else(|fault| Err(denied(&read, fault.reason, &fault.message)))?;
        Ok(Seated { request, asked, regarding, seat })
    }

    /// The other documents of the cluster, for one that is being written.
    fn known(&self) -> Known {
        let view = self.watched.as_ref().and_then(|watched| watched.resources().subscribe().borrow().clone());
        let view = view.unwrap_or_default();
        let mut known = Known::of(view.documents.iter().map(|(.., resource)| resource));
        known.trust_roots.extend(view.trust_roots().map(str::to_owned));
        known
    }
}

/// A body being read: kept up to `keep_max`; of a larger one only the head stays.
#[derive(Default)]
struct Read {
    bytes: Vec<u8>,
    keep_max: usize,
    cut: bool,
}

impl Read {
    /// Reads to the end, so that an HTTP/1.1 client gets to reading our answer, or to where it is pointless.
    async fn all(&mut self, mut body: Body) -> Result<(), axum::Error> {
        let mut seen = 0usize;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            seen += data.len();
            if !self.cut {
                self.bytes.extend_from_slice(data.get(..self.keep_max.saturating_add(1)).unwrap_or(&data));
            }
            if seen > self.keep_max {
                self.cut = true;
                self.bytes.truncate(review::HEAD_BYTES);
                self.bytes.shrink_to_fit();
            }
            if seen > DISCARDED_BYTES_MAX {
                break;
            }
        }
        Ok(())
    }
}
