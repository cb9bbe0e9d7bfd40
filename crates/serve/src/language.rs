//! Expressions as text and tree: `format_query`, `parse_query`, `/prettify-query`, `/expand-with-exprs`.

mod tree;

use basalt_http::{Params, Response, StatusCode, json, text};
use metricsql::{Options, ParseError};
use query::Dialect;

use crate::{Server, asker::Asker, error::ApiError, json::Json};

impl Server {
    /// Prometheus' way of printing an expression.
    pub(crate) fn format_query(&self, asker: &Asker, params: &Params) -> Result<Response, ApiError> {
        let formatted = metricsql::format_query(self.expression(asker, params)?);
        let formatted = formatted.map_err(|error| of_parse(&error, asker.dialect))?;
        let mut out = Json::default();
        out.raw("{\"status\":\"success\",\"data\":").text(&formatted).raw("}");
        Ok(json(StatusCode::OK, out.into_bytes()))
    }

    /// The tree of an expression as Prometheus shows it.
    pub(crate) fn parse_query(&self, asker: &Asker, params: &Params) -> Result<Response, ApiError> {
        let options = Options { folds_texts: false, predefined_templates: false, ..Options::default() };
        let parsed = metricsql::parse(self.expression(asker, params)?, &options);
        let expr = parsed.map_err(|error| of_parse(&error, asker.dialect))?;
        let mut out = Json::default();
        out.raw("{\"status\":\"success\",\"data\":");
        tree::put(&mut out, &expr);
        out.raw("}");
        Ok(json(StatusCode::OK, out.into_bytes()))
    }

    /// VictoriaMetrics' way of printing an expression. Its web interface reads errors from a good answer.
    pub(crate) fn prettify_query(&self, params: &Params) -> Result<Response, ApiError> {
        let mut out = Json::default();
        match metricsql::prettify(self.query_text(params)?) {
            Ok(pretty) => out.raw("{\"status\":\"success\",\"query\":").text(&pretty),
            Err(error) => out.raw("{\"status\":\"error\",\"msg\":").text(&error.to_string()),
        };
        out.raw("}");
        Ok(json(StatusCode::OK, out.into_bytes()))
    }

    /// An expression without templates: a page to try it, or JSON for `format=json`.
    pub(crate) fn expand_with_exprs(&self, params: &Params) -> Result<Response, ApiError> {
        let written = params.get("query").unwrap_or("");
        let expanded = if written.is_empty() {
            Err("query string cannot be empty".to_string())
        } else {
            metricsql::expand(self.query_text(params)?).map_err(|error| error.to_string())
        };
        if params.get("format") != Some("json") {
            let shown = if written.is_empty() { String::new() } else { expanded.unwrap_or_else(|why| why) };
            return Ok(text(StatusCode::OK, "text/html; charset=utf-8", page(written, &shown)));
        }
        let mut out = Json::default();
        match expanded {
            Ok(expression) => out.raw("{\"status\":\"success\",\"expr\":").text(&expression),
            Err(why) => out.raw("{\"status\":\"error\",\"error\":").text(&why),
        };
        out.raw("}");
        Ok(json(StatusCode::OK, out.into_bytes()))
    }

    /// The argument `query`; Prometheus finds nothing wrong with a missing one before it parses it.
    fn expression<'a>(&self, asker: &Asker, params: &'a Params) -> Result<&'a str, ApiError> {
        match asker.dialect {
            Dialect::PromQl if params.get("query").is_none() => Ok(""),
            _ => self.query_text(params),
        }
    }
}

/// A text that is no expression, in the words of the dialect.
fn of_parse(error: &ParseError, dialect: Dialect) -> ApiError {
    match dialect {
        Dialect::MetricsQl => ApiError::bad_request(error.to_string()),
        Dialect::PromQl => {
            let why = format!("{}:{}: parse error: {}", error.line, error.column, error.message);
            ApiError::invalid_parameter("query", why)
        }
    }
}

fn page(written: &str, shown: &str) -> String {
    format!(
        "<!doctype html><title>Expand WITH expressions</title><form method=\"post\"><textarea name=\"query\" rows=\"12\" cols=\"120\">{}</textarea>\
         <p><input type=\"submit\" value=\"Expand\"></form><pre>{}</pre>\n",
        escaped(written),
        escaped(shown)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
