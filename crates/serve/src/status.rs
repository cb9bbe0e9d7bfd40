//! What the process is, what it does now, and what it does not do but is asked about.

use std::time::Duration;

use basalt_http::{Params, Response, StatusCode, json, plain};
use query::{ActiveQuery, Dialect, Span, TopBy, TopQuery};

use crate::{Endpoint, Server, asker::Asker, error::ApiError, json::Json, time};

/// The version of the API that Grafana picks features by, as VictoriaMetrics names it.
const API_VERSION: &str = "2.24.0";
/// The same where Prometheus is spoken.
const PROMETHEUS_VERSION: &str = "3.0.0";
/// Queries of a list of `/api/v1/status/top_queries`, if the request does not say.
const TOP_DEFAULT: u64 = 20;
/// No list is longer.
const TOP_MAX: u64 = 10_000;
/// How old the queries of such a list are, if the request does not say.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(600);

impl Server {
    /// Which version of the API this is.
    pub(crate) fn build_info(&self, dialect: Dialect) -> Response {
        let mut out = Json::default();
        out.raw("{\"status\":\"success\",\"data\":{\"version\":");
        match dialect {
            Dialect::MetricsQl => out.text(API_VERSION),
            Dialect::PromQl => out
                .text(PROMETHEUS_VERSION)
                .raw(",\"revision\":\"\",\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\""),
        };
        success(out)
    }

    pub(crate) fn runtime_info(&self, now_ms: i64) -> Response {
        let time = |ms| jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |time| time.to_string());
        let (cores, started) = (std::thread::available_parallelism().map_or(1, usize::from), time(self.started_ms));
        let mut out = Json::default();
        out.raw("{\"status\":\"success\",\"data\":{\"startTime\":").text(&started);
        out.raw(",\"serverTime\":").text(&time(now_ms)).raw(",\"CWD\":\"\",\"reloadConfigSuccess\":true");
        out.raw(",\"lastConfigTime\":")
            .text(&started)
            .raw(",\"corruptionCount\":0,\"goroutineCount\":0,\"GOMAXPROCS\":");
        out.number(cores as u64).raw(",\"GOMEMLIMIT\":0,\"GOGC\":\"\",\"GODEBUG\":\"\",\"storageRetention\":");
        let retention = self.options.flags.iter().find(|(name, ..)| *name == "retentionPeriod");
        out.text(retention.map_or("", |(_, value, _)| value));
        success(out)
    }

    pub(crate) fn status_flags(&self) -> Response {
        let mut out = Json::default();
        out.raw("{\"status\":\"success\",\"data\":{");
        for (index, (name, value, _)) in self.options.flags.iter().enumerate() {
            out.raw(if index > 0 { "," } else { "" }).text(name).raw(":").text(value);
        }
        success(out)
    }

    pub(crate) fn active_queries(&self, asker: &Asker) -> Response {
        let mut out = Json::default();
        out.raw("{\"status\":\"ok\",\"data\":").list(&self.engine.active(asker.sees), put_active);
        out.raw("}");
        json(StatusCode::OK, out.into_bytes())
    }

    /// Ends the query that `id` names, as `/api/v1/status/active_queries` shows it.
    pub(crate) fn cancel_query(&self, asker: &Asker, params: &Params) -> Result<Response, ApiError> {
        let text = params.get("id").ok_or_else(|| ApiError::bad_request("missing argument id"))?;
        let wrong = |_| ApiError::bad_request(format!("cannot parse argument id={text:?}: want 16 hexadecimal digits"));
        let id = u64::from_str_radix(text, 16).map_err(wrong)?;
        if !self.engine.cancel(id, asker.sees) {
            return Err(ApiError::new(StatusCode::NOT_FOUND, format!("no query {text} runs")));
        }
        Ok(json(StatusCode::OK, "{\"status\":\"success\"}"))
    }

    pub(crate) fn top_queries(&self, asker: &Asker, params: &Params) -> Result<Response, ApiError> {
        let top = params.number("topN")?.unwrap_or(TOP_DEFAULT).clamp(1, TOP_MAX);
        let lifetime = match params.get("maxLifetime") {
            Some(text) => time::parse_duration(text)
                .filter(|ms| *ms > 0)
                .map(|ms| Duration::from_millis(ms as u64))
                .ok_or_else(|| ApiError::bad_request(format!("cannot parse argument maxLifetime={text:?}")))?,
            None => LIFETIME_DEFAULT,
        };
        let mut out = Json::default();
        out.raw("{\"topN\":").text(&top.to_string()).raw(",\"maxLifetime\":").text(&format!("{lifetime:?}"));
        for name in ["search.queryStats.lastQueriesCount", "search.queryStats.minQueryDuration"] {
            let flag = self.options.flags.iter().find(|(flag, ..)| *flag == name);
            out.raw(",").text(name).raw(":").text(flag.map_or("", |(_, value, _)| value));
        }
        for (name, by) in [
            ("topByCount", TopBy::Count),
            ("topByAvgDuration", TopBy::AverageDuration),
            ("topBySumDuration", TopBy::SumDuration),
            ("topByAvgMemoryUsage", TopBy::AverageMemory),
        ] {
            let list = self.engine.top(asker.sees, by, top as usize, lifetime);
            out.raw(",").text(name).raw(":").list(list, |out, query| put_top(out, by, &query));
        }
        out.raw("}");
        Ok(json(StatusCode::OK, out.into_bytes()))
    }

    pub(crate) fn reset_cache(&self) -> Response {
        self.engine.reset_cache();
        log::info!("the cache of query results was reset");
        plain(StatusCode::OK, "")
    }
}

/// What clients of Prometheus ask for and another program answers: rules and alerts are evaluated elsewhere, exemplars are not kept.
pub(crate) fn nothing(endpoint: Endpoint) -> Response {
    let data = match endpoint {
        Endpoint::Rules => "{\"groups\":[]}",
        Endpoint::Alerts => "{\"alerts\":[]}",
        Endpoint::Notifiers => "{\"notifiers\":[]}",
        Endpoint::StatusConfig => "{\"yaml\":\"\"}",
        _ => "[]",
    };
    json(StatusCode::OK, format!("{{\"status\":\"success\",\"data\":{data}}}"))
}

fn success(mut out: Json) -> Response {
    out.raw("}}");
    json(StatusCode::OK, out.into_bytes())
}

fn put_active(out: &mut Json, active: &ActiveQuery) {
    let (start, end, step) = match active.span {
        Span::Instant { time, step } => (time, time, step),
        Span::Range { start, end, step } => (start, end, step),
    };
    out.raw("{\"duration\":").text(&format!("{:.3}s", active.elapsed.as_secs_f64()));
    out.raw(",\"id\":").text(&format!("{:016X}", active.id)).raw(",\"remote_addr\":").text(&active.remote_addr);
    out.raw(",\"query\":").text(&active.text).raw(&format!(",\"start\":{start},\"end\":{end},\"step\":{step}}}"));
}

fn put_top(out: &mut Json, by: TopBy, query: &TopQuery) {
    out.raw("{\"query\":").text(&query.text).raw(",\"timeRangeSeconds\":").number(query.time_range.as_secs());
    match by {
        TopBy::Count => {}
        TopBy::AverageDuration => {
            out.raw(&format!(",\"avgDurationSeconds\":{:.3}", query.average_duration().as_secs_f64()));
        }
        TopBy::SumDuration => {
            out.raw(&format!(",\"sumDurationSeconds\":{:.3}", query.sum_duration.as_secs_f64()));
        }
        TopBy::AverageMemory => {
            out.raw(",\"avgMemoryBytes\":").number(query.average_memory());
        }
    }
    out.raw(",\"count\":").number(query.count).raw("}");
}
