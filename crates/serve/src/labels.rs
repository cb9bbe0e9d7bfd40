//! Series, label names, label values.

use basalt_http::{Params, Response, StatusCode, json};
use model::{SeriesKey, Tenant};
use storage_api::{NamesRequest, SamplesWanted, SelectRequest, ValuesRequest};

use crate::{Server, args, error::ApiError, json::Json};

/// An answer of `/api/v1/series` is no longer than this; whoever wants more names a limit or takes the export.
const ANSWER_BYTES_MAX: usize = 256 << 20;

impl Server {
    pub(crate) async fn series(&self, tenant: Tenant, params: &Params) -> Result<Response, ApiError> {
        let selector = args::selector(params)?;
        let range = self.days(params)?;
        let limit = args::limit(params, usize::MAX)?;
        let query = self.begin(self.options.series_max, self.options.labels_time_max).await?;
        let body = self
            .query(query, move |select, runtime, budget| {
                let samples = SamplesWanted::None;
                let request =
                    SelectRequest { samples, budget: budget.clone(), ..SelectRequest::raw(tenant, selector, range) };
                let stream = runtime.block_on(select.select(request))?;
                let mut key = SeriesKey::default();
                let mut body = Json::default();
                let mut written = 0;
                body.raw("{\"status\":\"success\",\"data\":[");
                while let Some(chunk) = stream.next()? {
                    budget.check()?;
                    for index in 0..chunk.len().min(limit - written) {
                        if body.len() > ANSWER_BYTES_MAX {
                            return Ok(None);
                        }
                        chunk.key(index, &mut key)?;
                        body.raw(if written > 0 { "," } else { "" }).labels(&key);
                        written += 1;
                    }
                    if written == limit {
                        break;
                    }
                }
                body.raw("]}");
                Ok(Some(body.into_bytes()))
            })
            .await?;
        let too_long = || {
            let why = format!("the answer is longer than {ANSWER_BYTES_MAX} bytes; name a limit or a narrower match[]");
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, why)
        };
        Ok(json(StatusCode::OK, body.ok_or_else(too_long)?))
    }

    pub(crate) async fn label_names(&self, tenant: Tenant, params: &Params) -> Result<Response, ApiError> {
        let limit = args::limit(params, self.options.label_names_max)?;
        let request = self.names_request(tenant, params, limit)?;
        let query = self.begin(self.options.labels_series_max, self.options.labels_time_max).await?;
        let names = self.query(query, move |select, runtime, budget| {
            runtime.block_on(select.label_names(NamesRequest { budget, ..request }))
        });
        Ok(success_list(&names.await?))
    }

    pub(crate) async fn label_values(
        &self,
        tenant: Tenant,
        label: String,
        params: &Params,
    ) -> Result<Response, ApiError> {
        let limit = args::limit(params, self.options.label_values_max)?;
        let request = self.names_request(tenant, params, limit)?;
        let query = self.begin(self.options.labels_series_max, self.options.labels_time_max).await?;
        let values = self.query(query, move |select, runtime, budget| {
            let names = NamesRequest { budget, ..request };
            runtime.block_on(select.label_values(ValuesRequest { label, names }))
        });
        Ok(success_list(&values.await?))
    }

    pub(crate) async fn series_count(&self, tenant: Tenant) -> Result<Response, ApiError> {
        let query = self.begin(u64::MAX, self.options.labels_time_max).await?;
        let count = self.query(query, move |select, runtime, _| runtime.block_on(select.series_count(tenant)));
        let mut body = Json::default();
        body.raw("{\"status\":\"success\",\"data\":[").number(count.await?).raw("]}");
        Ok(json(StatusCode::OK, body.into_bytes()))
    }

    fn names_request(&self, tenant: Tenant, params: &Params, limit: usize) -> Result<NamesRequest, ApiError> {
        let selector = args::selector_or_everything(params)?;
        Ok(NamesRequest { tenant, selector, range: self.days(params)?, limit, budget: Default::default() })
    }
}

fn success_list(items: &[String]) -> Response {
    let mut body = Json::default();
    body.raw("{\"status\":\"success\",\"data\":").texts(items).raw("}");
    json(StatusCode::OK, body.into_bytes())
}
