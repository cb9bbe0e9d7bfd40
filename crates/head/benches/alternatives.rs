//! placeholder
use crate::common::Fleet;
pub fn run(_: &mut Fleet) {}
