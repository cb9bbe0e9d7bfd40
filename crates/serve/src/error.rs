//! Why a request has no answer, and how the API says so: `{"status":"error","errorType":"422","error":"…"}`. In dialect `metricsql` the type is the
//! HTTP status, as VictoriaMetrics has it; in dialect `promql` it is Prometheus' word, and a few statuses are others.

use std::fmt;

use basalt_http::{BodyError, GateFull, ParamError, Response, StatusCode, come_again, json};
use query::{Dialect, QueryError};
use storage_api::{AdminError, SelectError};

use crate::json::Json;

/// When a client should come again.
const RETRY_AFTER_SECONDS: u32 = 10;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    /// Status and type in dialect `promql`, where they do not follow from the status.
    of_promql: Option<(u16, &'static str)>,
    why: String,
}

impl ApiError {
    /// An error by its status and reason.
    pub fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, of_promql: None, why: why.into() }
    }

    /// An argument makes no sense; in Prometheus' words.
    pub fn invalid_parameter(name: &str, why: impl fmt::Display) -> Self {
        Self::bad_request(format!("invalid parameter \"{name}\": {why}"))
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
    pub fn into_response(self, dialect: Dialect) -> Response {
        let (status, kind) = match dialect {
            Dialect::MetricsQl => (self.status, self.status.as_str().to_string()),
            Dialect::PromQl => self.prometheus(),
        };
        let mut body = Json::default();
        body.raw("{\"status\":\"error\",\"errorType\":").text(&kind).raw(",\"error\":").text(&self.why).raw("}");
        let response = json(status, body.into_bytes());
        match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                come_again(response, RETRY_AFTER_SECONDS)
            }
            _ => response,
        }
    }

    fn prometheus(&self) -> (StatusCode, String) {
        if let Some((status, kind)) = self.of_promql {
            return (StatusCode::from_u16(status).expect("BUG: a constant is a good status"), kind.to_string());
        }
        let kind = match self.status {
            StatusCode::UNPROCESSABLE_ENTITY => "execution",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            status if status.is_server_error() => "internal",
            _ => "bad_data",
        };
        (self.status, kind.to_string())
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
            SelectError::Cancelled
            | SelectError::DeadlinePassed
            | SelectError::TooManySeries { .. }
            | SelectError::TooCostly(_) => StatusCode::UNPROCESSABLE_ENTITY,
            SelectError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            SelectError::Corrupt(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let (status, of_promql) = match error {
            QueryError::Parse(_) => (StatusCode::BAD_REQUEST, None),
            QueryError::Evaluation(_) | QueryError::Limit(_) => (StatusCode::UNPROCESSABLE_ENTITY, None),
            QueryError::Timeout(_) => (StatusCode::UNPROCESSABLE_ENTITY, Some((503, "timeout"))),
            // The status that proxies use for a client that has left.
            QueryError::Cancelled => (StatusCode::UNPROCESSABLE_ENTITY, Some((499, "canceled"))),
            QueryError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, None),
            QueryError::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        Self { status, of_promql, why: error.to_string() }
    }
}

impl From<AdminError> for ApiError {
    fn from(error: AdminError) -> Self {
        let status = match error {
            AdminError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            AdminError::NotFound(_) => StatusCode::NOT_FOUND,
            AdminError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            AdminError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
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
        Self::new(error.status(), error.to_string())
    }
}

impl From<GateFull> for ApiError {
    fn from(full: GateFull) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, format!("cannot start the query: {full}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_dialects_name_the_same_error_in_their_way() {
        for (error, status, promql_status, kind) in [
            (QueryError::Parse("x".into()), 400, 400, "bad_data"),
            (QueryError::Evaluation("x".into()), 422, 422, "execution"),
            (QueryError::Limit("x".into()), 422, 422, "execution"),
            (QueryError::Timeout("x".into()), 422, 503, "timeout"),
            (QueryError::Cancelled, 422, 499, "canceled"),
            (QueryError::Unavailable("x".into()), 503, 503, "unavailable"),
            (QueryError::Internal("x".into()), 500, 500, "internal"),
        ] {
            for (dialect, status, kind) in
                [(Dialect::MetricsQl, status, status.to_string()), (Dialect::PromQl, promql_status, kind.to_string())]
            {
                let response = ApiError::from(error.clone()).into_response(dialect);
                assert_eq!(response.status().as_u16(), status, "{error:?}");
                let body = String::from_utf8(response.into_body().collect().await.expect("whole")).expect("text");
                assert!(body.contains(&format!("\"errorType\":\"{kind}\"")), "{body}");
            }
        }
    }
}
