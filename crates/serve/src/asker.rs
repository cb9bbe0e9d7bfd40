//! What is known about a request before its endpoint looks at it: whose data, whose meaning, how the answer is packed, and when it came.

use basalt_http::{Params, Request, header};
use model::Tenant;
use query::Dialect;

use crate::{Endpoint, Entrance, Server, error::ApiError, packing::Packing};

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// What is asked.
    pub(crate) endpoint: Endpoint,
    /// Whose data.
    pub(crate) tenant: Tenant,
    /// Whose queries are shown, and may be cancelled; `None` for all, as the operator asks who names no tenant.
    pub(crate) sees: Option<Tenant>,
    /// Whose meaning.
    pub(crate) dialect: Dialect,
    /// How the answer is packed.
    pub(crate) packing: Packing,
    /// Who asks.
    pub(crate) remote_addr: String,
    /// What kinds of text are taken.
    pub(crate) accept: String,
    /// When the request came.
    pub(crate) now_ms: i64,
}

impl Server {
    /// Reads the head of a request. Arguments may choose the dialect where the path does not.
    pub(crate) fn asker(&self, entrance: &Entrance, request: &Request, params: &Params) -> Result<Asker, ApiError> {
        let tenant = match entrance.tenant {
            Some(tenant) => tenant,
            None if !self.options.tenant_by_headers => {
                let why = "missing tenant in the path: want /select/<account>:<project>/…";
                return Err(ApiError::bad_request(why));
            }
            None => Tenant::new(number_header(request, "AccountID")?, number_header(request, "ProjectID")?),
        };
        Ok(Asker {
            endpoint: entrance.endpoint,
            tenant,
            sees: (entrance.is_of_tenants && !entrance.of_all_tenants).then_some(tenant),
            dialect: self.dialect(entrance, params)?,
            packing: self.packing(request),
            remote_addr: request.peer.to_string(),
            accept: request.header(header::ACCEPT).unwrap_or_default().to_string(),
            now_ms: self.clock.now_ms(),
        })
    }

    /// The dialect by path, argument and flag, in this order.
    fn dialect(&self, entrance: &Entrance, params: &Params) -> Result<Dialect, ApiError> {
        match (entrance.dialect, params.get("dialect")) {
            (Some(dialect), _) => Ok(dialect),
            (None, None) => Ok(self.options.queries.dialect),
            (None, Some("metricsql")) => Ok(Dialect::MetricsQl),
            (None, Some("promql")) => Ok(Dialect::PromQl),
            (None, Some(other)) => {
                Err(ApiError::bad_request(format!("cannot parse argument dialect={other:?}: want metricsql or promql")))
            }
        }
    }

    /// The dialect in which an error is told when the request itself could not be understood.
    pub(crate) fn dialect_of_errors(&self, entrance: &Entrance, params: &Params) -> Dialect {
        self.dialect(entrance, params).unwrap_or(self.options.queries.dialect)
    }
}

fn number_header(request: &Request, name: &'static str) -> Result<u32, ApiError> {
    let Some(value) = request.headers().get(name) else {
        return Ok(0);
    };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| ApiError::bad_request(format!("cannot parse header {name}: want a whole number of 32 bits")))
}
