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
}

impl Problem {
    pub fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Problem { status, reason, detail: detail.into() }
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

    /// 413: more bytes than are read.
    pub fn too_large(max: usize) -> Self {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "record_too_large", format!("a record has at most {max} bytes"))
    }

    /// 503: later, perhaps.
    pub fn overloaded() -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "too many requests at once")
    }

    /// 503: the request's own time ran out.
    pub fn timeout() -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "deadline_exceeded", "the request took too long")
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
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
