//! A whole cluster beside a single node: what it costs to be several.
//!
//! `processes` starts the nodes, `ingest` measures writing, `queries` measures reading.

pub mod ingest;
pub mod processes;
pub mod queries;
