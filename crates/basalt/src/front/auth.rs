//! Who may come in.
//!
//! 1. Probes are for everybody: they tell nothing and change nothing.
//! 2. Where a path has a key and the key is set, the key alone decides, as in VictoriaMetrics: supervisors have keys and no passwords.
//! 3. Everything else asks for `-httpAuth.username` and `-httpAuth.password`, if they are set.
//!
//! All comparisons take as long for what is nearly right as for what is not. The keys of paths that the role serves are checked there too, where
//! forms are read; a key that stands in a form is let through here.

use std::fmt;

use basalt_http::{Method, Request, Secret, base64, header, is_equal};

use super::bare;

/// Paths that anybody may ask for.
const PROBES: &[&str] = &["/health", "/-/healthy", "/-/ready", "/ping", "/robots.txt", "/favicon.ico"];

/// Paths with a key of their own: which, the flag, and who checks a key that stands in a form.
const KEYED: &[(Place, &str, Forms)] = &[
    (Place::Exactly("/-/reload"), "reloadAuthKey", Forms::Nobody),
    (Place::Exactly("/config"), "configAuthKey", Forms::Nobody),
    (Place::Exactly("/api/v1/status/config"), "configAuthKey", Forms::Nobody),
    (Place::Exactly("/flags"), "flagsAuthKey", Forms::Nobody),
    (Place::Exactly("/api/v1/status/flags"), "flagsAuthKey", Forms::Nobody),
    (Place::Exactly("/metrics"), "metricsAuthKey", Forms::Nobody),
    (Place::Under("/debug/pprof"), "pprofAuthKey", Forms::Nobody),
    (Place::Under("/snapshot"), "snapshotAuthKey", Forms::Role),
    (Place::Exactly("/api/v1/admin/tsdb/snapshot"), "snapshotAuthKey", Forms::Role),
    (Place::Exactly("/internal/force_merge"), "forceMergeAuthKey", Forms::Role),
    (Place::Exactly("/internal/force_flush"), "forceFlushAuthKey", Forms::Role),
    (Place::Exactly("/internal/log_new_series"), "logNewSeriesAuthKey", Forms::Nobody),
    (Place::Exactly("/internal/resetRollupResultCache"), "search.resetCacheAuthKey", Forms::Role),
    (Place::EndsWith("/api/v1/admin/tsdb/delete_series"), "deleteAuthKey", Forms::Role),
    (Place::EndsWith("/api/v1/admin/status/metric_names_stats/reset"), "metricNamesStatsResetAuthKey", Forms::Role),
    (Place::EndsWith("/tags/delSeries"), "deleteAuthKey", Forms::Nobody),
];

/// Who reads forms for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forms {
    /// A key in a form is no key.
    Nobody,
    /// The role, which answers the path and checks the key too.
    Role,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Exactly(&'static str),
    Under(&'static str),
    EndsWith(&'static str),
}

impl Place {
    fn holds(self, path: &str) -> bool {
        match self {
            Self::Exactly(want) => path == want,
            Self::Under(want) => path.strip_prefix(want).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::EndsWith(want) => path.ends_with(want),
        }
    }
}

/// Names and keys; empty ones let everybody in.
#[derive(Clone, Default)]
pub struct Auth {
    username: String,
    password: Secret,
    keys: Vec<(&'static str, Secret)>,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth(secret)")
    }
}

/// Whether a request may come in.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Welcome,
    /// A user name and a password are missing or wrong.
    WhoAreYou,
    /// The key of this flag is missing or wrong.
    WrongKey(&'static str),
}

impl Auth {
    /// Reads user name and password, and the key of each flag through `key`.
    pub fn new(username: &str, password: Secret, key: impl Fn(&'static str) -> Secret) -> Self {
        let mut flags: Vec<&'static str> = KEYED.iter().map(|(_, flag, _)| *flag).collect();
        flags.sort_unstable();
        flags.dedup();
        let keys = flags.into_iter().map(|flag| (flag, key(flag))).collect();
        Self { username: username.to_string(), password, keys }
    }

    /// Judges a request by its path, header and query.
    pub fn check(&self, request: &Request) -> Verdict {
        let path = bare(request.path());
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        if PROBES.contains(&path) {
            return Verdict::Welcome;
        }
        let keyed = KEYED.iter().find(|(place, ..)| place.holds(path));
        let key = keyed.and_then(|(_, flag, forms)| {
            let (_, key) = self.keys.iter().find(|(known, key)| known == flag && !key.is_empty())?;
            Some((*flag, key, *forms))
        });
        let Some((flag, key, forms)) = key else {
            return self.check_basic(request);
        };
        let given = request.query_params();
        match given.get("authKey") {
            Some(given) if key.is(given) => Verdict::Welcome,
            None if forms == Forms::Role && is_form(request) => Verdict::Welcome,
            _ => Verdict::WrongKey(flag),
        }
    }

    fn check_basic(&self, request: &Request) -> Verdict {
        let password = self.password.get();
        if self.username.is_empty() && password.is_empty() {
            return Verdict::Welcome;
        }
        let want = base64(format!("{}:{password}", self.username).as_bytes());
        let given = request.header(header::AUTHORIZATION).and_then(|value| value.split_once(' '));
        let given =
            given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic")).map_or("", |(_, given)| given.trim());
        if is_equal(&want, given) { Verdict::Welcome } else { Verdict::WhoAreYou }
    }
}

fn is_form(request: &Request) -> bool {
    let kind = request.header(header::CONTENT_TYPE);
    *request.method() == Method::POST && kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

#[cfg(test)]
mod tests {
    use basalt_http::HeaderValue;

    use super::*;

    fn ask(auth: &Auth, path: &str, authorization: Option<&'static str>) -> Verdict {
        let mut request = Request::in_memory(Method::GET, path, "");
        if let Some(value) = authorization {
            request.head.headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        auth.check(&request)
    }

    /// With the key `k` for these flags.
    fn auth(username: &str, password: &str, keyed: &[&str]) -> Auth {
        let key = |flag: &'static str| Secret::new(if keyed.contains(&flag) { "k" } else { "" });
        Auth::new(username, Secret::new(password), key)
    }

    #[test]
    fn a_secret_may_change() {
        let password = Secret::new("p");
        let auth = Auth::new("u", password.clone(), |_| Secret::default());
        assert_eq!(ask(&auth, "/", Some("Basic dTpw")), Verdict::Welcome);
        password.set("q");
        assert_eq!(ask(&auth, "/", Some("Basic dTpw")), Verdict::WhoAreYou);
        assert_eq!(ask(&auth, "/", Some("Basic dTpx")), Verdict::Welcome);
    }

    #[test]
    fn without_flags_everybody_is_welcome() {
        let auth = auth("", "", &[]);
        assert!(
            ["/metrics", "/api/v1/query", "/-/reload"].iter().all(|path| ask(&auth, path, None) == Verdict::Welcome)
        );
    }

    #[test]
    fn a_password_is_asked_for_everything_but_probes() {
        let auth = auth("u", "p", &[]);
        for path in
            ["/api/v1/write", "/metrics", "/", "/-/reload", "/healthy", "/prometheus/api/v1/query", "/snapshot/list"]
        {
            assert_eq!(ask(&auth, path, None), Verdict::WhoAreYou, "{path}");
            assert_eq!(ask(&auth, path, Some("Basic dTpw")), Verdict::Welcome, "{path}");
            for wrong in ["Basic dTpx", "Bearer dTpw", "Basic", "dTpw", "Basic dTpwdTpw", "Basic "] {
                assert_eq!(ask(&auth, path, Some(wrong)), Verdict::WhoAreYou, "{path} {wrong}");
            }
        }
        for path in ["/health", "/-/ready", "/ping", "/robots.txt"] {
            assert_eq!(ask(&auth, path, None), Verdict::Welcome, "{path}");
        }
    }

    #[test]
    fn a_key_stands_for_the_password_where_it_is_set() {
        let auth = auth("u", "p", &["metricsAuthKey", "deleteAuthKey"]);
        assert_eq!(ask(&auth, "/metrics?authKey=k", None), Verdict::Welcome);
        assert_eq!(ask(&auth, "/metrics/?authKey=x", None), Verdict::WrongKey("metricsAuthKey"));
        assert_eq!(ask(&auth, "/metrics", Some("Basic dTpw")), Verdict::WrongKey("metricsAuthKey"));
        let delete = "/delete/7/prometheus/api/v1/admin/tsdb/delete_series";
        assert_eq!(ask(&auth, delete, Some("Basic dTpw")), Verdict::WrongKey("deleteAuthKey"));
        assert_eq!(ask(&auth, &format!("{delete}?authKey=k"), None), Verdict::Welcome);
        assert_eq!(ask(&auth, "/flags?authKey=k", None), Verdict::WhoAreYou);
    }

    #[test]
    fn a_form_may_carry_the_key_to_the_role() {
        let by_role = auth("", "", &["deleteAuthKey"]);
        let mut request = Request::in_memory(Method::POST, "/api/v1/admin/tsdb/delete_series", "authKey=k");
        assert_eq!(by_role.check(&request), Verdict::WrongKey("deleteAuthKey"));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.head.headers.insert(header::CONTENT_TYPE, form);
        assert_eq!(by_role.check(&request), Verdict::Welcome);
        let auth = auth("", "", &["reloadAuthKey"]);
        let mut request = Request::in_memory(Method::POST, "/-/reload", "authKey=k");
        request
            .head
            .headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        assert_eq!(auth.check(&request), Verdict::WrongKey("reloadAuthKey"), "the role does not see it");
    }
}
