//! The bytes of a segment: see `docs/formats/log.md`.
//!
//! 1. A segment is a header area ([`header`]) followed by records, back to back.
//! 2. A record is sixteen bytes that frame it ([`frame`]) and a payload, whose form its kind tells.
//! 3. The payload of [`Kind::Definitions`] is read and written by [`definitions`], that of [`Kind::Floats`] by
//!    [`encode`] and [`decode`]; both share the value codes of [`value`]. Others are opaque here.
//!
//! Nothing in this module knows of files, threads or waiting.

pub(crate) mod decode;
pub(crate) mod definitions;
pub(crate) mod encode;
pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod keys;
mod value;

pub(crate) use frame::{FRAME_BYTES, Frame, Kind};
pub(crate) use header::{HEADER_BYTES, Header};
