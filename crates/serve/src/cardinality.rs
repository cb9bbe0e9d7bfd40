//! `/api/v1/status/tsdb`: how series spread over metrics and labels.

use basalt_http::{Params, Response, StatusCode, json};
use model::{Tenant, TimeRange};
use storage_api::{Asked, Cardinality, CardinalityRequest, NamedCount};

use crate::{
    Server, args,
    error::ApiError,
    json::Json,
    names_usage::put_asked,
    time::{self, TIME_FORMS},
    work,
};

/// Entries of a list if the request does not say.
const TOP_DEFAULT: u64 = 10;

impl Server {
    pub(crate) async fn status_tsdb(&self, tenant: Tenant, params: &Params) -> Result<Response, ApiError> {
        let top = usize::try_from(params.number("topN")?.unwrap_or(TOP_DEFAULT)).unwrap_or(usize::MAX);
        let request = CardinalityRequest {
            tenant: Some(tenant),
            selector: args::selector_or_everything(params)?,
            range: self.date(params)?,
            top: top.clamp(1, self.options.status_top_max.max(1)),
            focus_label: params.get("focusLabel").map(str::to_string),
            series_max: self.options.status_series_max,
        };
        let time_max = self.options.status_time_max;
        let query = self.begin(request.series_max, time_max).await?;
        // The store has no way to give it up, so the place at the gate goes with the work and not with the answer.
        let counting = self.operate(move |admin| {
            Box::pin(async move {
                let counted = admin.cardinality(request).await;
                drop(query);
                counted
            })
        });
        let too_slow =
            |_| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, format!("it takes more time than {time_max:?}"));
        let cardinality = work::within(time_max, counting).await.map_err(too_slow)??;
        let metrics = cardinality.series_by_metric.iter().map(|counted| counted.name.clone()).collect();
        let asked = self.requests_for(tenant, metrics).await?;
        Ok(json(StatusCode::OK, body(&cardinality, asked.as_deref())))
    }

    /// The UTC day that `date` lies in, today without it, all time for `date=0`.
    fn date(&self, params: &Params) -> Result<TimeRange, ApiError> {
        let day = match params.get("date") {
            Some("0") => return Ok(TimeRange::ALL),
            Some(text) => {
                let wrong = || ApiError::bad_request(format!("cannot parse argument date={text:?}: want {TIME_FORMS}"));
                time::parse_time(text, self.clock.now_ms()).ok_or_else(wrong)?
            }
            None => self.clock.now_ms(),
        };
        Ok(TimeRange::new(time::day_start(day), time::day_end(day)))
    }
}

/// `asked` says how often each metric of the list was asked for.
fn body(cardinality: &Cardinality, asked: Option<&[(String, Asked)]>) -> Vec<u8> {
    let mut out = Json::default();
    out.raw("{\"status\":\"success\",\"data\":{\"totalSeries\":").number(cardinality.series);
    out.raw(",\"totalLabelValuePairs\":").number(cardinality.label_value_pairs);
    out.raw(",\"seriesCountByMetricName\":").list(
        cardinality.series_by_metric.iter().enumerate(),
        |out, (at, counted)| {
            put_counted(out, counted);
            if let Some((_, asked)) = asked.and_then(|asked| asked.get(at)) {
                put_asked(out, asked);
            }
            out.raw("}");
        },
    );
    for (name, list) in [
        ("seriesCountByLabelName", &cardinality.series_by_label),
        ("seriesCountByFocusLabelValue", &cardinality.series_by_focus_value),
        ("seriesCountByLabelValuePair", &cardinality.series_by_pair),
        ("labelValueCountByLabelName", &cardinality.values_by_label),
    ] {
        out.raw(",").text(name).raw(":").list(list, entry);
    }
    out.raw("}}");
    out.into_bytes()
}

fn entry(out: &mut Json, counted: &NamedCount) {
    put_counted(out, counted);
    out.raw("}");
}

/// What an entry begins with.
fn put_counted(out: &mut Json, counted: &NamedCount) {
    out.raw("{\"name\":").text(&counted.name).raw(",\"value\":").number(counted.count);
}
