//! part
