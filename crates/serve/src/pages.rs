//! Pages that are always the same, and the flags.

use std::fmt::Write;

use basalt_http::{Response, StatusCode, plain};

use crate::Endpoint;

/// What never changes.
pub fn fixed(endpoint: Endpoint, version: &str) -> Response {
    let text = match endpoint {
        Endpoint::Health => "OK".to_string(),
        Endpoint::Healthy => "Basalt is Healthy.\n".to_string(),
        Endpoint::Ready => "Basalt is Ready.\n".to_string(),
        Endpoint::Robots => "User-agent: *\nDisallow: /\n".to_string(),
        _ => index(version),
    };
    plain(StatusCode::OK, text)
}

fn index(version: &str) -> String {
    let mut text = format!("{version}\n\n");
    for endpoint in Endpoint::ALL {
        writeln!(text, "{}", endpoint.path()).expect("BUG: writing to a string cannot fail");
    }
    text
}

/// The flags as they could stand on a command line; secrets are masked before they come here.
pub fn flags(flags: &[(&str, String, bool)]) -> Response {
    let mut text = String::new();
    for (name, value, _) in flags {
        writeln!(text, "-{name}={value:?}").expect("BUG: writing to a string cannot fail");
    }
    plain(StatusCode::OK, text)
}
