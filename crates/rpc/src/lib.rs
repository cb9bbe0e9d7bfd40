//! Node to node: what `Insert`, `Select` and `Admin` are over the network.
//!
//! 1. A [`Node`] is one other node as its callers see it. It connects when it is first needed and again after every break, says hello ([`client`]).
//! 2. A [`Service`] is this node as others see it ([`server`]). All its listeners serve the same calls, so that it does not matter which of a
//!    storage's two addresses an insert or a select was given; who calls whom is settled by the handshake.
//! 3. Messages are gRPC. What is called often is written by hand (rows: [`wire::rows`], chunks of series: [`wire::chunk`]), the rest is protobuf
//!    ([`wire::messages`]). The wire is described in `docs/cluster.md`.
//!
//! Architecture invariant: knows nothing of shards, replicas, or of who stands behind the traits.

pub mod fuzz;

mod client;
mod error;
mod raw;
mod server;
mod tls;
mod wait;
mod wire;

pub use client::{
    CopyStream, Found, Node, NodeOptions, NodeStats, Offer, RemoteChunk, RemoteSeries, RemoteStream, read_key,
};
pub use error::RpcError;
pub use server::{Fit, NodeLimits, NodeListener, Service, Stand};
pub use tls::{ClientTls, ServerTls};
pub use wire::{Hello, Role, WIRE_VERSION, copy::CopyFrame};

/// No message between nodes is longer: a batch of rows, or one series of an answer with all its samples.
pub const MESSAGE_BYTES_MAX: usize = 512 << 20;

/// How much of a batch is under way before it is worked on, and of all batches of a connection.
const BATCH_WINDOW_BYTES: u32 = 4 << 20;
const BATCHES_WINDOW_BYTES: u32 = 16 << 20;

/// How much of an answer is under way before it is read. All answers of a connection together have more than they can take: one that nobody reads must not
/// stop the others. How many there are is bounded by how many queries run.
const ANSWER_WINDOW_BYTES: u32 = 1 << 20;
const ANSWERS_WINDOW_BYTES: u32 = 1 << 30;

/// Long messages come in pieces of this size.
const FRAME_BYTES_MAX: u32 = 128 << 10;
