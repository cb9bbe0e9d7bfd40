//! The real program over HTTP: what goes in comes out, to the bit, whatever happens in between.

mod api;
mod auth;
mod clients;
mod command_line;
mod doors;
mod driver;
mod grafana;
mod kill9;
mod ledger;
mod native;
mod own_metrics;
mod pressure;
mod prometheus;
mod promql_api;
mod queries;
mod query_flags;
mod relabel;
mod remote_read;
mod roundtrip;
mod scripts;
mod server;
mod syscalls;
mod tls;
mod wire;
