//! Rules and alerts are evaluated by vmalert; who asks us about them is led there (`-vmalert.proxyURL`), so that Grafana needs one address only.
//!
//! Without the flag the role answers `/api/v1/rules` and its like with nothing, and `/vmalert/` says which flag is missing.

use std::time::Duration;

use basalt_http::{Asking, Client, Request, Response, StatusCode, Url, is_hop_by_hop, json, plain};

use crate::{
    files,
    flags::{Flags, UsageError},
};

/// What is answered under `/vmalert/` without the flag, as VictoriaMetrics says it.
const MISSING: &str = r#"{"status":"error","msg":"for accessing vmalert flag '-vmalert.proxyURL' must be configured"}"#;
/// vmalert's answers and the requests to it are shorter.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const BODY_BYTES_MAX: usize = 16 << 20;
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// The paths that are handed on, beside all under `/vmalert/`.
const PATHS: &[&str] =
    &["/api/v1/rules", "/api/v1/alerts", "/api/v1/notifiers", "/rules", "/alerts", "/notifiers", "/vmalert"];

/// See the module.
#[derive(Debug)]
pub struct AlertProxy {
    url: Url,
    client: Client,
}

/// The path that is asked for at vmalert; `None` if the path is not for it.
pub fn target(path: &str) -> Option<&str> {
    let of_tenant = path.strip_prefix("/select").and_then(|rest| {
        let at = rest.find("/prometheus/").or_else(|| rest.find("/vmalert"))?;
        // Before it stands the tenant, or nothing where headers name it.
        let is_tenant = at == 0 || rest[..at].rfind('/') == Some(0);
        is_tenant.then_some(&rest[at..])
    });
    let bare = of_tenant.unwrap_or(path);
    let bare = bare.strip_prefix("/prometheus").filter(|rest| rest.starts_with('/')).unwrap_or(bare);
    (PATHS.contains(&bare) || bare.starts_with("/vmalert/")).then_some(bare)
}

/// What is said under `/vmalert/` when there is nobody to hand on to.
pub fn missing(target: &str) -> Option<Response> {
    target.starts_with("/vmalert").then(|| json(StatusCode::BAD_REQUEST, MISSING))
}

impl AlertProxy {
    /// Reads the flag.
    pub fn from_flags(flags: &Flags) -> Result<Option<Self>, UsageError> {
        let text = flags.text("vmalert.proxyURL");
        if text.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(text).map_err(|why| UsageError(format!("invalid value for -vmalert.proxyURL: {why}")))?;
        Ok(Some(Self { url, client: files::client() }))
    }

    /// Hands a request on, and its answer back.
    pub async fn hand_on(&self, target: &str, mut request: Request) -> Response {
        let mut body = Vec::new();
        if let Err(why) = request.body.read(&mut body, BODY_BYTES_MAX).await {
            return plain(StatusCode::BAD_REQUEST, why.to_string());
        }
        let url = self.url.join(&with_query(target, &request));
        let mut headers = request.headers().clone();
        for name in request.headers().keys().filter(|name| is_hop_by_hop(name)) {
            headers.remove(name);
        }
        // The length is that of the body as it is sent on.
        headers.remove(basalt_http::header::CONTENT_LENGTH);
        let asking = Asking {
            method: request.method().clone(),
            headers,
            body: body.into(),
            ..Asking::get(ANSWER_BYTES_MAX, ANSWER_MAX)
        };
        match self.client.ask(&url, asking).await {
            Ok(mut answered) => {
                let dropped: Vec<_> = answered.headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
                for name in dropped {
                    answered.headers.remove(name);
                }
                answered.headers.remove(basalt_http::header::CONTENT_LENGTH);
                answered.into_response()
            }
            Err(why) => {
                log::warn!("cannot hand {target} on to -vmalert.proxyURL: {why}");
                plain(StatusCode::BAD_GATEWAY, format!("cannot hand {target} on to vmalert: {why}"))
            }
        }
    }
}

/// The address with the request's arguments. Grafana shows only alerts of Prometheus' kind and fails over others.
fn with_query(target: &str, request: &Request) -> String {
    let query = request.head.uri.query().unwrap_or_default();
    let agent = request.header(basalt_http::header::USER_AGENT).unwrap_or_default();
    let mut arguments: Vec<&str> = query.split('&').filter(|argument| !argument.is_empty()).collect();
    if agent.starts_with("Grafana") {
        arguments.retain(|argument| !argument.starts_with("datasource_type="));
        arguments.push("datasource_type=prometheus");
    }
    if arguments.is_empty() { target.to_string() } else { format!("{target}?{}", arguments.join("&")) }
}

#[cfg(test)]
mod tests {
    use basalt_http::{HeaderValue, Method, header};

    use super::*;

    #[test]
    fn paths_for_vmalert_are_known_under_all_prefixes() {
        for (path, want) in [
            ("/api/v1/rules", Some("/api/v1/rules")),
            ("/prometheus/api/v1/alerts", Some("/api/v1/alerts")),
            ("/select/7:1/prometheus/api/v1/notifiers", Some("/api/v1/notifiers")),
            ("/select/prometheus/rules", Some("/rules")),
            ("/select/0/prometheus/vmalert/groups", Some("/vmalert/groups")),
            ("/vmalert/api/v1/rule", Some("/vmalert/api/v1/rule")),
            ("/vmalert", Some("/vmalert")),
            ("/api/v1/query", None),
            ("/vmalerts", None),
            ("/select/0/x/prometheus/rules", None),
        ] {
            assert_eq!(target(path), want, "{path}");
        }
        assert!(missing("/vmalert/x").is_some_and(|response| response.status() == 400) && missing("/rules").is_none());
    }

    #[test]
    fn grafana_is_shown_what_it_understands() {
        let mut request = Request::in_memory(Method::GET, "/api/v1/rules?a=b&datasource_type=vlogs", "");
        assert_eq!(with_query("/x", &request), "/x?a=b&datasource_type=vlogs");
        request.head.headers.insert(header::USER_AGENT, HeaderValue::from_static("Grafana/11"));
        assert_eq!(with_query("/x", &request), "/x?a=b&datasource_type=prometheus");
        assert_eq!(with_query("/x", &Request::in_memory(Method::GET, "/x", "")), "/x");
    }
}
