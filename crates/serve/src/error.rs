//! Why a request has no answer, and how the API says so: `{"status":"error","errorType":"422","error":"…"}`, where the type is the HTTP status as
//! VictoriaMetrics has it.

use std::fmt;

use basalt_http::{BodyError, GateFull, HeaderValue, ParamError, Response, StatusCode, header, json};
use storage_api::{AdminError, SelectError};

use crate::json::Json;

/// When a client should come again.
const RETRY_AFTER_SECONDS: &str = "10";

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    why: String,
}

impl ApiError {
    /// An error by its status and reason.
    pub fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    /// The request makes no sense.
    pub fn bad_request(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    /// Whether the cause lies here and not with the client.
    pub fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// The reason.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer.
    pub fn into_response(self) -> Response {
        let mut body = Json::default();
        body.raw("{\"status\":\"error\",\"errorType\":\"").raw(self.status.as_str()).raw("\",\"error\":");
        body.text(&self.why).raw("}");
        let mut response = json(self.status, body.into_bytes());
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.as_u16(), self.why)
    }
}

impl std::error::Error for ApiError {}

impl From<SelectError> for ApiError {
    fn from(error: SelectError) -> Self {
        let status = match error {
            SelectError::BadMatcher(_) => StatusCode::BAD_REQUEST,
            SelectError::Cancelled | SelectError::DeadlinePassed | SelectError::TooManySeries { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            SelectError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            SelectError::Corrupt(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<AdminError> for ApiError {
    fn from(error: AdminError) -> Self {
        let status = match error {
            AdminError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            AdminError::NotFound(_) => StatusCode::NOT_FOUND,
            AdminError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<ParamError> for ApiError {
    fn from(error: ParamError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken(_) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

impl From<GateFull> for ApiError {
    fn from(full: GateFull) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, format!("cannot start the query: {full}"))
    }
}
