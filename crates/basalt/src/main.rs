//! basalt

fn main() {}
