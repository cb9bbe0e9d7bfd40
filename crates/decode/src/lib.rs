//! Bytes of a protocol → rows, a module per protocol.
//!
//! Every body goes through two steps: [`Unpacked`] undoes the compression after the declared length was held against the limit, and the
//! protocol's module walks the bytes into [`storage_api::EncodedSeries`] and [`model::Sample`]s. What the label bytes mean is asked later, through
//! [`storage_api::Encoding`], and only for encodings that the store has never seen.
//!
//! Architecture invariant: pure; knows nothing of files, sockets or time.

pub mod csv;
pub mod datadog;
pub mod firehose;
pub mod fuzz;
pub mod graphite;
pub mod import_json;
pub mod influx;
pub mod native;
pub mod newrelic;
pub mod opentsdb;
pub mod otlp;
pub mod prometheus_text;
pub mod remote_write;
pub mod rows;
pub mod zabbix;

mod base64;
mod error;
mod json;
mod limits;
mod proto;
mod stream;
mod unpack;

pub use base64::base64_decode;
pub use error::{Malformed, UnpackError};
pub use limits::LabelLimits;
pub use proto::put_varint;
pub use stream::StreamUnpacker;
pub use unpack::{Packing, Unpacked};
