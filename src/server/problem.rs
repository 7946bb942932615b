//! Answers that say no: problem+json (RFC 9457) with the reason.

use crate::{reason::Fault, store::StoreError};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// Why a request was not done. `reason` is a word of `reason::Reason` where the evidence is to blame, and one of ours
/// (docs/store.md) where the request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    pub reason: &'static str,
    /// One clause that names the thing.
    pub detail: String,
    /// Seconds after which it may be tried again; on 429 and 503.
    retry_after: Option<u64>,
}

/// The reason of an answer that says no, for whoever counts it (`http`).
#[derive(Clone, Copy, Debug)]
pub struct Refused(pub &'static str);

impl Problem {
    pub fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Problem { status, reason, detail: detail.into(), retry_after }
    }

    /// 400: the request itself is wrong.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, "request_malformed", detail)
    }

    /// 401: no token, or one that nobody has.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// 403: a token that may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 413: more bytes than are read, of `what`.
    pub fn too_large(what: &str, max: usize) -> Self {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "record_too_large", format!("{what} has at most {max} bytes"))
    }

    /// 429: this principal's budget is used up.
    pub fn too_many_requests(seconds: u64) -> Self {
        let seconds = seconds.max(1);
        let detail = format!("more requests than this principal has per second: again after {seconds} s");
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail);
        Problem { retry_after: Some(seconds), ..problem }
    }

    /// For an answer without words of ours, by its status alone.
    pub fn of_status(status: StatusCode, detail: impl Into<String>) -> Self {
        let reason = match status {
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "record_too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "encoding_unsupported",
            status if status.is_client_error() => "request_malformed",
            _ => "internal_error",
        };
        Problem::new(status, reason, detail)
    }

    /// 503: later, perhaps.
    pub fn overloaded() -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "too many requests at once")
    }

    /// 503: the request's own time ran out.
    pub fn timeout() -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "deadline_exceeded", "the request took too long")
    }

    /// 500: a defect of ours.
    pub fn internal() -> Self {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "a defect of the store")
    }

    /// 422: what is signed, or by whom, does not allow it.
    pub fn unprocessable(fault: Fault) -> Self {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, fault.reason.as_str(), fault.message)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (status, reason) = match &error {
            StoreError::Full => (StatusCode::INSUFFICIENT_STORAGE, "storage_full"),
            StoreError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "record_too_large"),
            StoreError::Overloaded => return Problem::overloaded(),
            StoreError::Busy | StoreError::Conflict => (StatusCode::SERVICE_UNAVAILABLE, "store_busy"),
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "store error");
                let detail = "the database cannot be reached";
                return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", detail);
            }
            StoreError::Corrupt(_) => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt"),
            StoreError::Broken(_) | StoreError::Database(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            // The database's own words are for its operator, not for whoever asks.
            tracing::error!(%error, "store error");
            let detail = if reason == "corrupt" { "stored bytes are damaged" } else { "the database failed" };
            return Problem::new(status, reason, detail);
        }
        Problem::new(status, reason, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": format!("urn:tidewaiter:problem:{}", self.reason),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "reason": self.reason,
        });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tidewaiter\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(Refused(self.reason));
        response
    }
}
