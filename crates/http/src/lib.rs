//! Listener, limits, drain, the small vocabulary of requests and answers, and requests to others.
//!
//! 1. [`Listener`] binds an address and says which port it got; [`Tls`] may be spoken on it.
//! 2. [`serve`] accepts connections up to a limit and runs HTTP/1.1 on each, with timeouts for heads, bodies, idleness and age.
//! 3. Every request becomes a [`Request`] and goes to the one [`Handler`]; what comes back is a [`Response`], whole or a stream.
//! 4. When it is told to stop, it takes who waits already and accepts nobody else, answers the requests that have arrived in a bounded time, and returns.
//!
//! It stands on hyper itself: routes are few and known at compile time, so that a router, extractors and boxed layers would only add cost.
//!
//! Architecture invariant: knows nothing of what is served.

pub mod fuzz;

mod accept;
mod answer;
mod base64;
mod body;
mod client;
mod counted;
mod gate;
mod listener;
mod metrics;
mod multipart;
mod params;
mod percent;
mod proxy_protocol;
mod request;
mod resolve;
mod secret;
mod server;
mod summary;
mod target;
mod throttle;
mod tls;
mod url;

pub use accept::{Accepted, accept_each};
pub use answer::{Response, come_again, empty, json, plain, text};
pub use base64::base64;
pub use body::{Body, BodyWriter, Gone};
pub use client::{Answered, Asking, Client, ClientError};
pub use counted::{Counted, ListenerStats};
pub use gate::{Gate, GateFull, Permit};
pub use hyper::{
    Method, StatusCode,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
pub use listener::{ListenError, Listener, check_address};
pub use metrics::{Counter, MetricsSource, MetricsText};
pub use params::{ParamError, Params};
pub use percent::{percent_decoded, plain_path};
pub use request::{BodyError, Request, RequestBody};
pub use resolve::{ReadFile, ResolveError, Resolver};
pub use secret::{Secret, is_equal};
pub use server::{Handler, ServerOptions, Stop, Stopper, serve, serve_accepted, stop_signal};
pub use summary::Summary;
pub use throttle::Throttle;
pub use tls::{PemFiles, ReadPem, ReadRoots, Tls, TlsOptions, TlsVersion};
pub use url::{Url, UrlError, is_hop_by_hop};
