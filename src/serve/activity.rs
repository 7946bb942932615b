//! What a connection does: nothing yet, a request, the answer to one, nothing any more.

use super::idle::{Idle, Place};
use axum::body::{Body, Bytes};
use hyper::{
    Response,
    body::{Frame, SizeHint},
};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A connection that has not spoken cannot be done without for so long, whatever the crowd.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// Nor one to which an answer is being sent.
const SENDING: Duration = Duration::from_secs(10);

/// Whether a connection does anything.
#[derive(Debug)]
pub(super) struct Activity {
    idle: Arc<Idle>,
    /// Cancelled when another needs its place.
    leave: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    spoke: bool,
    /// Requests that have no answer, and answers that are not sent.
    requests: usize,
    answers: usize,
    last: Option<Instant>,
    place: Option<Place>,
}

impl Activity {
    /// Of a connection that was accepted now.
    pub(super) fn begin(idle: &Arc<Idle>) -> Arc<Self> {
        let activity = Activity { idle: Arc::clone(idle), leave: CancellationToken::new(), state: Mutex::default() };
        activity.may_go(&mut activity.state(), Instant::now() + FIRST_WORD);
        Arc::new(activity)
    }

    /// That another needs its place.
    pub(super) async fn dismissed(&self) {
        self.leave.cancelled().await;
    }

    pub(super) fn has_spoken(&self) -> bool {
        self.state().spoke
    }

    pub(super) fn is_busy(&self) -> bool {
        self.state().requests > 0
    }

    /// Until when the connection may stay without a further request; `None` where there never was one.
    pub(super) fn quiet_until(&self, idle: Duration) -> Option<Instant> {
        let state = self.state();
        let now = Instant::now();
        state.spoke.then(|| if state.requests > 0 { now } else { state.last.unwrap_or(now) } + idle)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_go(&self, state: &mut State, from: Instant) {
        if let Some(place) = state.place.replace(self.idle.enter(from, &self.leave)) {
            self.idle.leave(place);
        }
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        if let Some(place) = self.state().place.take() {
            self.idle.leave(place);
        }
    }
}

/// A request in flight; ends also when the future is dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Busy {
    pub(super) fn enter(activity: &Arc<Activity>) -> Self {
        let mut state = activity.state();
        state.spoke = true;
        state.requests += 1;
        if let Some(place) = state.place.take() {
            activity.idle.leave(place);
        }
        drop(state);
        Busy(Arc::clone(activity))
    }

    /// It has its answer, which is to be sent.
    pub(super) fn answered(self, answer: Response<Body>) -> Response<Sent> {
        let activity = Arc::clone(&self.0);
        activity.state().answers += 1;
        drop(self);
        answer.map(|body| Sent { body, activity })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let (activity, now) = (&self.0, Instant::now());
        let mut state = activity.state();
        state.last = Some(now);
        state.requests -= 1;
        if state.requests == 0 {
            let from = if state.answers > 0 { now + SENDING } else { now };
            activity.may_go(&mut state, from);
        }
    }
}

/// The body of an answer, for as long as it is sent.
pub(super) struct Sent {
    body: Body,
    activity: Arc<Activity>,
}

impl Drop for Sent {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.answers -= 1;
        if state.requests == 0 && state.answers == 0 {
            self.activity.may_go(&mut state, Instant::now());
        }
    }
}

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
