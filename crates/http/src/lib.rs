//! Listener, limits, drain, and the small vocabulary of requests and answers.
//!
//! 1. [`Listener`] binds an address and says which port it got; [`Tls`] may be spoken on it.
//! 2. [`serve`] accepts connections up to a limit and runs HTTP/1.1 on each, with timeouts for heads, bodies, idleness and age.
//! 3. Every request becomes a [`Request`] and goes to the one [`Handler`]; what comes back is a [`Response`], whole or a stream.
//! 4. When it is told to stop, it stops accepting, lets running requests end for a bounded time, and returns.
//!
//! It stands on hyper itself: routes are few and known at compile time, so that a router, extractors and boxed layers would only add cost.
//!
//! Architecture invariant: knows nothing of what is served.

mod answer;
mod body;
mod gate;
mod listener;
mod metrics;
mod params;
mod request;
mod server;
mod throttle;
mod tls;

pub use answer::{Response, empty, json, plain, text};
pub use body::{Body, BodyWriter, Gone};
pub use gate::{Gate, GateFull, Permit};
pub use hyper::{
    Method, StatusCode,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
pub use listener::{ListenError, Listener};
pub use metrics::{Counter, MetricsSource, MetricsText};
pub use params::{ParamError, Params};
pub use request::{BodyError, Request, RequestBody};
pub use server::{Handler, ServerOptions, Stop, Stopper, serve, serve_socket, stop_signal};
pub use throttle::Throttle;
pub use tls::{PemPair, ReadPem, Tls, TlsOptions, TlsVersion};
