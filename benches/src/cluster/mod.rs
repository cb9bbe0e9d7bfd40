//! A whole cluster beside a single node: what it costs to be several.
//!
//! `processes` starts the nodes, `ingest` measures writing.

pub mod ingest;
pub mod processes;
