//! What stands before the role on every listener.
//!
//! 1. The prefix of all paths is taken away; probes and Prometheus may ask without it.
//! 2. Browsers that ask what a page of another site may do are told so, without a password: they send none.
//! 3. Who may not come in is told so ([`auth`]): by user name and password, or by the key of the path where it has one.
//! 4. What concerns the process and not the role is answered here: reloads, profiles, small static answers, what is handed on to vmalert.
//! 5. Every answer gets the headers that the operator wants.

pub mod auth;
mod stats;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use basalt_http::{
    Handler, HeaderName, HeaderValue, Method, Request, Response, StatusCode, empty, header, plain, text,
};
use tokio::task::spawn_blocking;

use crate::{
    alerts::{self, AlertProxy},
    machine, profile,
    reload::Reloads,
};
use auth::{Auth, Verdict};
use stats::Small;
pub use stats::{FrontStats, Wrong};

static HOSTNAME: HeaderName = HeaderName::from_static("x-server-hostname");

/// What some path or other takes.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, OPTIONS");
/// Headers that a browser may send, if it does not say which it wants to.
const HEADERS: HeaderValue = HeaderValue::from_static("Accept, Authorization, Content-Type, Origin");

/// The page of profiles.
const PROFILES: &str = "/debug/pprof/profile?seconds=30\n\nA CPU profile of that many seconds, for `go tool pprof` and whatever else reads pprof's format.\n";

/// What the operator wants of every answer.
#[derive(Debug, Clone, Default)]
pub struct FrontOptions {
    /// What stands before every path: empty, or with a slash before it and none behind.
    pub path_prefix: String,
    /// Who may come in.
    pub auth: Auth,
    /// Headers of every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Who is asked about rules and alerts.
    pub alerts: Option<Arc<AlertProxy>>,
}

/// Stands before a role.
pub struct Front<H> {
    role: H,
    options: FrontOptions,
    reloads: Arc<Reloads>,
    stats: Arc<FrontStats>,
    leaving: AtomicBool,
}

impl<H: Handler> Front<H> {
    /// Stands before `role`.
    pub fn new(role: H, mut options: FrontOptions, reloads: Arc<Reloads>, stats: Arc<FrontStats>) -> Self {
        let hostname = HeaderValue::try_from(machine::hostname()).unwrap_or(HeaderValue::from_static(""));
        options.headers.push((HOSTNAME.clone(), hostname));
        Self { role, options, reloads, stats, leaving: AtomicBool::new(false) }
    }

    /// What it stands before.
    pub fn role(&self) -> &H {
        &self.role
    }

    /// Answers probes badly from now on, so that balancers send their clients elsewhere.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    async fn answer(&self, request: Request) -> Response {
        self.stats.request();
        if *request.method() == Method::OPTIONS {
            return preflight(&self.options, &request);
        }
        match self.options.auth.check(&request) {
            Verdict::Welcome => {}
            Verdict::WhoAreYou => {
                self.stats.wrong(Wrong::BasicAuth);
                return who_are_you();
            }
            Verdict::WrongKey(flag) => {
                self.stats.wrong(Wrong::AuthKey);
                return plain(StatusCode::UNAUTHORIZED, format!("the provided authKey doesn't match -{flag}"));
            }
        }
        if let Some(answer) = self.small(&request).await {
            return answer;
        }
        let Some(target) = alerts::target(request.path()).map(str::to_string) else {
            return self.role.handle(request).await;
        };
        self.stats.small(Small::Alerts);
        match &self.options.alerts {
            Some(proxy) => proxy.hand_on(&target, request).await,
            None => match alerts::missing(&target) {
                Some(answer) => answer,
                None => self.role.handle(request).await,
            },
        }
    }

    /// What concerns the process and not the role.
    async fn small(&self, request: &Request) -> Option<Response> {
        let (small, answer) = match bare(request.path()) {
            "/ping" => (Small::Ping, empty(StatusCode::NO_CONTENT)),
            "/favicon.ico" => (Small::Favicon, empty(StatusCode::NO_CONTENT)),
            "/-/reload" => (Small::Reload, self.reload().await),
            "/health" | "/-/healthy" | "/-/ready" if self.leaving.load(Ordering::Relaxed) => {
                (Small::Leaving, plain(StatusCode::SERVICE_UNAVAILABLE, "the process is about to stop"))
            }
            "/debug/pprof" | "/debug/pprof/" => (Small::Profiles, plain(StatusCode::OK, PROFILES)),
            "/debug/pprof/profile" => (Small::Profile, profile(request).await),
            _ => return None,
        };
        self.stats.small(small);
        Some(answer)
    }

    async fn reload(&self) -> Response {
        let reloads = Arc::clone(&self.reloads);
        match spawn_blocking(move || reloads.reload()).await {
            Ok(Ok(())) => plain(StatusCode::OK, ""),
            Ok(Err(why)) => plain(StatusCode::INTERNAL_SERVER_ERROR, why),
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the reload ended in a panic; see the log"),
        }
    }
}

impl<H: Handler> Handler for Front<H> {
    async fn handle(&self, mut request: Request) -> Response {
        request.strip_prefix(&self.options.path_prefix);
        let mut response = self.answer(request).await;
        for (name, value) in &self.options.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response
    }
}

/// Which methods and headers a request may have.
fn preflight(options: &FrontOptions, request: &Request) -> Response {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, METHODS);
    if options.headers.iter().any(|(name, _)| name == header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        let wanted = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.cloned().unwrap_or(HEADERS));
    }
    response
}

async fn profile(request: &Request) -> Response {
    let seconds = match request.query_params().number("seconds") {
        Ok(seconds) => seconds.unwrap_or(profile::SECONDS_USUAL),
        Err(wrong) => return plain(StatusCode::BAD_REQUEST, wrong.to_string()),
    };
    match profile::take(seconds).await {
        Ok(bytes) => text(StatusCode::OK, "application/octet-stream", bytes),
        Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

/// The path without the prefix that all of Prometheus' paths may have.
fn bare(path: &str) -> &str {
    path.strip_prefix("/prometheus").filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

fn who_are_you() -> Response {
    let mut response = plain(StatusCode::UNAUTHORIZED, "user name and password are needed");
    let basic = HeaderValue::from_static("Basic realm=\"Basalt\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_learn_what_pages_of_other_sites_may_do() {
        let mut request = Request::in_memory(Method::OPTIONS, "/api/v1/query", "");
        let mut options = FrontOptions::default();
        let response = preflight(&options, &request);
        assert_eq!((response.status(), &response.headers()[header::ALLOW]), (StatusCode::NO_CONTENT, &METHODS));
        assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_METHODS), "-http.disableCORS");
        options.headers.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")));
        let response = preflight(&options, &request);
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_METHODS], METHODS);
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS], HEADERS);
        request.head.headers.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("x-a"));
        assert_eq!(preflight(&options, &request).headers()[header::ACCESS_CONTROL_ALLOW_HEADERS], "x-a");
    }
}
