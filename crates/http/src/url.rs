//! Addresses of other servers: `http://user:password@host:port/path?query`.

use std::{fmt, net::IpAddr};

use hyper::{
    Uri,
    header::{HeaderName, HeaderValue},
};

use crate::{base64::base64, percent::percent_decoded};

/// No address is longer.
const URL_BYTES_MAX: usize = 16 << 10;

/// Where another server is and what it is asked for. Its text never shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether TLS is spoken.
    pub(crate) tls: bool,
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query, which begin with a slash.
    pub(crate) target: String,
    /// What the header `Authorization` says.
    pub(crate) authorization: Option<HeaderValue>,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlError {
    why: &'static str,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "want http://host:port/path or https://host:port/path: {}", self.why)
    }
}

impl std::error::Error for UrlError {}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.target)
    }
}

impl Url {
    /// Whether a text means to be an address and not a path.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("http://") || text.starts_with("https://")
    }

    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let wrong = |why| UrlError { why };
        if text.len() > URL_BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        let text = text.split('#').next().unwrap_or_default();
        let uri: Uri = text.parse().map_err(|_| wrong("it cannot be read"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("it has another scheme")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("there is no host"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_string();
        if host.is_empty() {
            return Err(wrong("there is no host"));
        }
        let behind_host = authority.as_str().rsplit('@').next().and_then(|rest| rest.get(authority.host().len()..));
        let port = match (authority.port_u16(), behind_host) {
            (Some(port), _) => port,
            (None, Some("")) if tls => 443,
            (None, Some("")) => 80,
            _ => return Err(wrong("its port is no number")),
        };
        let user = authority.as_str().rsplit_once('@').map(|(user, _)| user);
        let authorization = user.map(basic).transpose()?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let target = if target.starts_with('/') { target.to_string() } else { format!("/{target}") };
        Ok(Self { tls, host, port, target, authorization })
    }

    /// The same server, asked for a path and query behind its own path.
    #[must_use]
    pub fn join(&self, target: &str) -> Self {
        let base = self.target.split('?').next().unwrap_or_default().trim_end_matches('/');
        let slash = if target.starts_with('/') { "" } else { "/" };
        Self { target: format!("{base}{slash}{target}"), ..self.clone() }
    }

    /// Where a redirect leads. The password stays with the server that it is for.
    pub(crate) fn redirected(&self, location: &str) -> Result<Self, UrlError> {
        if Self::is_meant(location) {
            let mut next = Self::parse(location)?;
            if next.authorization.is_none() && (next.tls, &next.host, next.port) == (self.tls, &self.host, self.port) {
                next.authorization.clone_from(&self.authorization);
            }
            return Ok(next);
        }
        if location.starts_with("//") || location.len() > URL_BYTES_MAX {
            return Err(UrlError { why: "a redirect leads nowhere" });
        }
        let folder = self.target.split('?').next().and_then(|path| path.rfind('/')).map_or("", |at| &self.target[..at]);
        let target = if location.starts_with('/') { location.to_string() } else { format!("{folder}/{location}") };
        target.parse::<Uri>().map_err(|_| UrlError { why: "a redirect leads nowhere" })?;
        Ok(Self { target, ..self.clone() })
    }

    /// Host and port as the header `Host` has them: a usual port is left away.
    pub(crate) fn authority(&self) -> String {
        let host = match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) => format!("[{}]", self.host),
            _ => self.host.clone(),
        };
        match (self.tls, self.port) {
            (false, 80) | (true, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// The header for `user:password` as they stand in an address.
fn basic(user: &str) -> Result<HeaderValue, UrlError> {
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let wrong = UrlError { why: "wrong user name or password" };
    let [Some(user), Some(password)] = [user, password].map(percent_decoded) else { return Err(wrong) };
    let value = format!("Basic {}", base64(format!("{user}:{password}").as_bytes()));
    let mut value = HeaderValue::try_from(value).map_err(|_| wrong)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Headers that are for one connection only and not for who stands behind it.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    const NAMES: &[&str] = &[
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    NAMES.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_secrets() {
        for (text, want) in [
            ("http://a", "http://a/"),
            ("https://a.b:443/c?d=e#f", "https://a.b/c?d=e"),
            ("http://u:p@[::1]:81?x", "http://[::1]:81/?x"),
            ("http://127.0.0.1:80/", "http://127.0.0.1/"),
        ] {
            assert_eq!(Url::parse(text).expect(text).to_string(), want);
        }
        for text in ["", "a", "ftp://a", "http://", "http:///x", "/a/b", "http://a b", "http://a:x"] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
        let url = Url::parse("http://us%40er:pa%3Ass+@h/x").expect("good");
        let authorization = url.authorization.clone().expect("it has a password");
        assert_eq!(authorization.to_str().expect("text"), format!("Basic {}", base64(b"us@er:pa:ss+")));
        assert!(!format!("{url:?} {url}").contains("ss+"));
    }

    #[test]
    fn paths_are_joined_and_redirects_followed() {
        let url = Url::parse("http://u:p@h/base/?x=y").expect("good");
        assert_eq!(url.join("/api/v1/rules?a=b").to_string(), "http://h/base/api/v1/rules?a=b");
        let to = |location: &str| url.redirected(location).map(|next| (next.to_string(), next.authorization.is_some()));
        assert_eq!(to("/y?z"), Ok(("http://h/y?z".to_string(), true)));
        assert_eq!(to("y"), Ok(("http://h/base/y".to_string(), true)));
        assert_eq!(to("http://h/y"), Ok(("http://h/y".to_string(), true)));
        assert_eq!(to("https://other/y"), Ok(("https://other/y".to_string(), false)), "others do not see the password");
        assert!(to("//other").is_err() && to("/a b").is_err());
    }
}
