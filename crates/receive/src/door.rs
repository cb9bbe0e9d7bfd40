//! Which door a path leads to.

use model::{Tenant, TenantParseError};

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Prometheus remote write.
    RemoteWrite,
}

/// A door, and whose samples come through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entrance {
    /// The door.
    pub door: Door,
    /// Whose samples.
    pub tenant: Tenant,
}

impl Door {
    /// The entrance that a path names; `None` if it names none. The error is about the tenant in it.
    pub fn find(path: &str) -> Option<Result<Entrance, TenantParseError>> {
        if let Some(rest) = path.strip_prefix("/insert/") {
            let (tenant, rest) = rest.split_once('/')?;
            let door = match rest.strip_prefix("prometheus")? {
                // `/insert/0/prometheus/` is what VictoriaMetrics' documentation tells Prometheus users to write to.
                "" | "/" => Self::RemoteWrite,
                rest => Self::bare(rest)?,
            };
            return Some(tenant.parse().map(|tenant| Entrance { door, tenant }));
        }
        let door = Self::bare(path.strip_prefix("/prometheus").unwrap_or(path))?;
        Some(Ok(Entrance { door, tenant: Tenant::DEFAULT }))
    }

    fn bare(path: &str) -> Option<Self> {
        match path {
            "/api/v1/write" | "/api/v1/push" => Some(Self::RemoteWrite),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_write_has_many_paths() {
        let tenant = |path: &str| Door::find(path).map(|found| found.map(|entrance| entrance.tenant.to_string()));
        for path in [
            "/api/v1/write",
            "/api/v1/push",
            "/prometheus/api/v1/write",
            "/insert/0/prometheus",
            "/insert/0/prometheus/",
        ] {
            assert_eq!(tenant(path), Some(Ok("0:0".to_string())), "{path}");
        }
        assert_eq!(tenant("/insert/7:9/prometheus/api/v1/write"), Some(Ok("7:9".to_string())));
        assert!(tenant("/insert/x/prometheus/api/v1/write").is_some_and(|found| found.is_err()));
        for path in ["/", "/api/v1/export", "/insert/0", "/insert/0/influx/write", "/api/v1/write/x"] {
            assert_eq!(tenant(path), None, "{path}");
        }
    }
}
