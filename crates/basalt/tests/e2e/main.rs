//! The real program over HTTP: what goes in comes out, to the bit, whatever happens in between.

mod api;
mod command_line;
mod kill9;
mod ledger;
mod pressure;
mod prometheus;
mod roundtrip;
mod server;
mod syscalls;
mod wire;
