//! Where requests to an insert node go: to a door, or to one of the few pages that it has.

use std::sync::Arc;

use basalt_http::{Handler, MetricsSource, MetricsText, Request, Response, StatusCode, plain};
use receive::{Door, Entrance, Receiver};
use route::BY_LABELS;

use crate::{
    front::{FrontStats, Wrong},
    machine,
    web::no_graphite,
};

/// What stands in a path where labels name the tenants.
const MULTITENANT: &str = "/insert/multitenant/";

/// See the module.
pub struct Pages {
    /// Takes samples.
    pub receiver: Arc<Receiver>,
    /// Everybody who counts.
    pub sources: Vec<Arc<dyn MetricsSource>>,
    /// The flags, secrets masked.
    pub flags: Vec<(&'static str, String, bool)>,
    /// Whether headers may name the tenant.
    pub tenant_by_headers: bool,
    /// Counts what led nowhere.
    pub stats: Arc<FrontStats>,
}

impl Pages {
    /// The entrance that a path names. The error says what is wrong with the tenant in it.
    fn entrance(&self, path: &str) -> Option<Result<Entrance, String>> {
        if let Some(rest) = path.strip_prefix(MULTITENANT) {
            let found = Door::find(&format!("/insert/0/{rest}"))?;
            let by_labels = found.map(|entrance| Entrance { tenant: Some(BY_LABELS), ..entrance });
            return Some(by_labels.map_err(|why| why.to_string()));
        }
        // A path without a tenant is that of tenant 0:0.
        let found = Door::find(path)?.map_err(|why| why.to_string());
        Some(found.and_then(|entrance| match entrance.tenant {
            None if !self.tenant_by_headers => Err("missing tenant in the path: want /insert/accountID/…".into()),
            _ => Ok(entrance),
        }))
    }

    fn page(&self, path: &str) -> Option<Response> {
        let text = match path.strip_prefix("/prometheus").unwrap_or(path) {
            "/health" => "OK".to_string(),
            "/-/healthy" => "Basalt is Healthy.\n".to_string(),
            "/-/ready" => "Basalt is Ready.\n".to_string(),
            "/robots.txt" => "User-agent: *\nDisallow: /\n".to_string(),
            "/" => format!("{}, an insert node\n", machine::VERSION),
            "/flags" => self.flags.iter().map(|(name, value, _)| format!("-{name}={value:?}\n")).collect(),
            "/metrics" => self.metrics(),
            _ => return None,
        };
        Some(plain(StatusCode::OK, text))
    }

    fn metrics(&self) -> String {
        let mut out = MetricsText::default();
        self.sources.iter().for_each(|source| source.write_metrics(&mut out));
        for (name, value, given) in &self.flags {
            out.line(format_args!("flag{{name={name:?}, value={value:?}, is_set=\"{given}\"}}"), 1);
        }
        out.into_string()
    }
}

/// Whether Graphite would register series by their tags here.
fn is_of_tags(path: &str) -> bool {
    let of_tenant = path.strip_prefix("/insert/").and_then(|rest| rest.split_once('/'));
    of_tenant.is_some_and(|(_, rest)| matches!(rest, "graphite/tags/tagSeries" | "graphite/tags/tagMultiSeries"))
}

impl Handler for Pages {
    async fn handle(&self, request: Request) -> Response {
        let path = request.path();
        if let Some(page) = self.page(path) {
            return page;
        }
        match self.entrance(path) {
            // Headers name tenants too.
            Some(Ok(entrance)) if !path.starts_with(MULTITENANT) && entrance.whose(&request) == Some(BY_LABELS) => {
                plain(StatusCode::BAD_REQUEST, format!("tenant {BY_LABELS} is reserved"))
            }
            Some(Ok(entrance)) => self.receiver.receive(entrance, request).await,
            Some(Err(why)) => plain(StatusCode::BAD_REQUEST, why),
            None if is_of_tags(path) => no_graphite(),
            None => {
                self.stats.wrong(Wrong::Unsupported);
                plain(StatusCode::BAD_REQUEST, format!("unsupported path requested: {path:?}"))
            }
        }
    }
}
