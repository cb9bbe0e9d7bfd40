//! Why a whole request is not taken, and how that is said over HTTP.

use std::fmt;

use basalt_http::{BodyError, GateFull, HeaderValue, ParamError, Response, StatusCode, come_again, header, plain};
use decode::{Malformed, UnpackError, csv::CsvFormatError, rows::ExtraLabelsError};
use storage_api::InsertError;

use crate::budget::BudgetFull;

/// When a sender should come again.
const RETRY_AFTER_SECONDS: u32 = 5;

/// An answer that acknowledges nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    status: StatusCode,
    why: String,
}

impl Rejection {
    /// A rejection by its status and reason.
    pub fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer.
    pub fn into_response(self) -> Response {
        let response = plain(self.status, self.why);
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => come_again(response, RETRY_AFTER_SECONDS),
            StatusCode::METHOD_NOT_ALLOWED => allowing(response),
            _ => response,
        }
    }
}

/// Every door takes samples by the same methods.
fn allowing(mut response: Response) -> Response {
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, PUT"));
    response
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.as_u16(), self.why)
    }
}

impl std::error::Error for Rejection {}

impl From<GateFull> for Rejection {
    fn from(full: GateFull) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("cannot process the insert now: {full}"))
    }
}

impl From<BudgetFull> for Rejection {
    fn from(full: BudgetFull) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("cannot read the insert now: {full}"))
    }
}

impl From<BodyError> for Rejection {
    fn from(error: BodyError) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl From<UnpackError> for Rejection {
    fn from(error: UnpackError) -> Self {
        let status = match error {
            UnpackError::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            UnpackError::Broken { .. } => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

impl From<Malformed> for Rejection {
    fn from(error: Malformed) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("cannot read the body: {error}"))
    }
}

impl From<ParamError> for Rejection {
    fn from(error: ParamError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl From<ExtraLabelsError> for Rejection {
    fn from(error: ExtraLabelsError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl From<CsvFormatError> for Rejection {
    fn from(error: CsvFormatError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl From<InsertError> for Rejection {
    fn from(error: InsertError) -> Self {
        let status = match error {
            InsertError::Invalid(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
