//! What is counted before a role sees a request.

use basalt_http::{Counter, MetricsSource, MetricsText};

macro_rules! smalls {
    ($($(#[$doc:meta])* $name:ident = $path:literal,)*) => {
        /// Something that is answered without the role.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Small {
            $($(#[$doc])* $name,)*
        }

        const SMALLS: &[&str] = &[$($path,)*];
    };
}

smalls! {
    /// Whether anybody is there.
    Ping = "/ping",
    /// What browsers ask for.
    Favicon = "/favicon.ico",
    /// Configuration read anew.
    Reload = "/-/reload",
    /// Which profiles there are.
    Profiles = "/debug/pprof/",
    /// A profile.
    Profile = "/debug/pprof/profile",
    /// What vmalert knows.
    Alerts = "/vmalert",
    /// A probe while the process is about to stop.
    Leaving = "/health/leaving",
}

/// Why a request was sent away before anybody looked at what it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Name or password.
    BasicAuth,
    /// The key of the path.
    AuthKey,
    /// The path.
    Unsupported,
}

/// In the order of their numbers, as VictoriaMetrics names them.
const WRONGS: [&str; 3] = ["wrong_basic_auth", "wrong_auth_key", "unsupported"];

/// Counters since the start.
#[derive(Debug, Default)]
pub struct FrontStats {
    requests: Counter,
    smalls: [Counter; SMALLS.len()],
    wrongs: [Counter; WRONGS.len()],
}

impl FrontStats {
    /// Counts a request.
    pub fn request(&self) {
        self.requests.add(1);
    }

    /// Counts an answer that the role did not give.
    pub fn small(&self, small: Small) {
        self.smalls[small as usize].add(1);
    }

    /// Counts a request that was sent away.
    pub fn wrong(&self, wrong: Wrong) {
        self.wrongs[wrong as usize].add(1);
    }
}

impl MetricsSource for FrontStats {
    fn write_metrics(&self, out: &mut MetricsText) {
        out.line("vm_http_requests_all_total", self.requests.get());
        for (path, counter) in SMALLS.iter().zip(&self.smalls) {
            out.line(format_args!("vm_http_requests_total{{path=\"{path}\"}}"), counter.get());
        }
        for (reason, counter) in WRONGS.iter().zip(&self.wrongs) {
            let labels = format_args!("vm_http_request_errors_total{{path=\"*\", reason=\"{reason}\"}}");
            out.line(labels, counter.get());
        }
    }
}
