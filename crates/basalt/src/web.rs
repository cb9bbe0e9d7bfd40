//! Pages for people: the small web interface, and what VictoriaMetrics shows of scraping, relabeling and Graphite.
//!
//! 1. `/vmui/` (and `/graph/`) is a page that asks the API of the same address: an expression, a table, a graph, and the dashboards of
//!    `-vmui.customDashboardsPath`, with times in `-vmui.defaultTimezone`.
//! 2. Pages about scraping say that there is nothing: this process scrapes nobody.
//! 3. Relabeling can be tried out ([`relabeling`]).
//! 4. Paths of the Graphite query API are answered 501: Basalt has its doors, and not its queries.

mod relabeling;

use std::sync::Arc;

use basalt_http::{HeaderValue, Request, Response, StatusCode, empty, header, json, plain, text};
use jiff::tz::TimeZone;
use tokio::task::spawn_blocking;

use crate::{
    files,
    flags::{Flags, UsageError},
};

/// A dashboard is shorter.
const DASHBOARD_BYTES_MAX: usize = 1 << 20;
const PAGE: &str = include_str!("web/index.html");
const SCRIPT: &str = include_str!("web/app.js");
const STYLE: &str = include_str!("web/style.css");
/// What is answered at pages about scrape targets.
const NO_TARGETS: &str = "this process scrapes nothing; there are no targets\n";
const NO_TARGETS_JSON: &str =
    r#"{"status":"success","data":{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}}"#;
const NO_GRAPHITE: &str = "Basalt takes Graphite's samples, but does not answer its query API; ask in MetricsQL, with {__graphite__=\"a.*.b\"} for Graphite's patterns";
/// Paths of Graphite's query API, beside all under `/tags`.
const GRAPHITE: &[&str] = &["/render", "/metrics/find", "/metrics/expand", "/metrics/index.json", "/functions"];

/// What the flags say about pages.
#[derive(Debug, Clone)]
pub struct WebSettings {
    dashboards_path: String,
    timezone: String,
}

impl WebSettings {
    /// Reads the flags.
    pub fn from_flags(flags: &Flags) -> Result<Self, UsageError> {
        let zone = flags.text("vmui.defaultTimezone");
        let is_known = matches!(zone, "" | "UTC" | "Local") || TimeZone::get(zone).is_ok();
        if !is_known {
            let why = "want a name such as Europe/Berlin, UTC, or Local for the browser's";
            return Err(UsageError(format!("invalid value {zone:?} for -vmui.defaultTimezone: {why}")));
        }
        let timezone = if zone.is_empty() { "UTC" } else { zone }.to_string();
        Ok(Self { dashboards_path: flags.text("vmui.customDashboardsPath").to_string(), timezone })
    }
}

/// See the module.
pub struct Web {
    settings: Arc<WebSettings>,
}

impl Web {
    /// The pages as the flags want them.
    pub fn new(settings: WebSettings) -> Self {
        Self { settings: Arc::new(settings) }
    }

    /// The page that a request means; `None` if it means none.
    pub async fn page(&self, request: &Request) -> Option<Response> {
        let path = bare(request.path());
        let interface = path.strip_prefix("/vmui").or_else(|| path.strip_prefix("/graph"));
        if let Some(rest) = interface
            && let Some(page) = self.interface(rest).await
        {
            return Some(page);
        }
        Some(match path {
            "/targets" | "/service-discovery" => plain(StatusCode::OK, NO_TARGETS),
            "/api/v1/targets" => json(StatusCode::OK, NO_TARGETS_JSON),
            "/target_response" => plain(StatusCode::BAD_REQUEST, NO_TARGETS),
            // The file with scrape targets, of which there is none.
            "/config" => plain(StatusCode::OK, ""),
            "/ready" => plain(StatusCode::OK, "OK"),
            "/metric-relabel-debug" | "/target-relabel-debug" => relabeling::page(request),
            _ if is_graphite(path) => no_graphite(),
            _ => return None,
        })
    }

    /// The web interface.
    async fn interface(&self, path: &str) -> Option<Response> {
        Some(match path {
            // What the page loads stands beside it.
            "" => beside(),
            "/" => text(StatusCode::OK, "text/html; charset=utf-8", PAGE),
            "/app.js" => text(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT),
            "/style.css" => text(StatusCode::OK, "text/css; charset=utf-8", STYLE),
            "/config.json" => json(StatusCode::OK, r#"{"license":{"type":"opensource"}}"#),
            "/timezone" => json(StatusCode::OK, format!("{{\"timezone\":{:?}}}", self.settings.timezone)),
            "/custom-dashboards" => self.dashboards().await,
            _ => return None,
        })
    }

    async fn dashboards(&self) -> Response {
        let settings = Arc::clone(&self.settings);
        let reading = spawn_blocking(move || dashboards(&settings.dashboards_path));
        match reading.await {
            Ok(Ok(body)) => json(StatusCode::OK, body),
            Ok(Err(why)) => {
                log::warn!("cannot read -vmui.customDashboardsPath: {why}");
                plain(StatusCode::INTERNAL_SERVER_ERROR, why)
            }
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "reading dashboards ended in a panic; see the log"),
        }
    }
}

/// The dashboards of a folder, in the form in which VictoriaMetrics' own page takes them. They are read anew each time, so that changes show.
fn dashboards(path: &str) -> Result<String, String> {
    if path.is_empty() {
        return Ok("{\"dashboardsSettings\":[]}".to_string());
    }
    let mut all = Vec::new();
    for (name, bytes) in files::read_folder(path, ".json", DASHBOARD_BYTES_MAX)? {
        all.push(String::from_utf8(bytes).map_err(|_| format!("{name:?} is not UTF-8"))?);
    }
    Ok(format!("{{\"dashboardsSettings\":[{}]}}", all.join(",")))
}

/// To the same path with a slash behind it.
fn beside() -> Response {
    let mut response = empty(StatusCode::FOUND);
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("vmui/"));
    response
}

/// The answer where Graphite's API would be.
pub fn no_graphite() -> Response {
    plain(StatusCode::NOT_IMPLEMENTED, NO_GRAPHITE)
}

fn is_graphite(path: &str) -> bool {
    let path = path.strip_prefix("/graphite").unwrap_or(path);
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    GRAPHITE.contains(&path) || path.strip_prefix("/tags").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path without the tenant and without what may stand before all of Prometheus' paths.
fn bare(path: &str) -> &str {
    let of_tenant = path.strip_prefix("/select/").and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    let path = of_tenant.unwrap_or(path);
    path.strip_prefix("/prometheus").filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Invocation;

    #[test]
    fn paths_of_graphites_queries_are_known() {
        for path in ["/render", "/graphite/render", "/metrics/find/", "/tags", "/graphite/tags/name", "/functions"] {
            assert!(is_graphite(path), "{path}");
        }
        for path in ["/renders", "/metrics", "/tagsx", "/", "/graphite"] {
            assert!(!is_graphite(path), "{path}");
        }
    }

    #[test]
    fn tenants_and_prefixes_are_left_away() {
        for (path, want) in [
            ("/vmui/", "/vmui/"),
            ("/prometheus/graph", "/graph"),
            ("/select/0/vmui/x", "/vmui/x"),
            ("/select/7:1/prometheus/vmui/", "/vmui/"),
            ("/select/7/graphite/render", "/graphite/render"),
        ] {
            assert_eq!(bare(path), want);
        }
    }

    #[test]
    fn time_zones_are_checked() {
        let settings = |zone: &str| {
            let flags = Invocation::read(vec![format!("-vmui.defaultTimezone={zone}")], &|_| None).expect("good").flags;
            WebSettings::from_flags(&flags).map(|settings| settings.timezone)
        };
        assert_eq!(settings("Europe/Berlin"), Ok("Europe/Berlin".to_string()));
        assert_eq!(settings(""), Ok("UTC".to_string()));
        assert!(settings("Atlantis/Poseidonis").is_err());
    }
}
