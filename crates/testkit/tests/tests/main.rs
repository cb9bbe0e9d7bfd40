//! The simulated disk seen from outside.

mod faults;
mod power_cut;
mod same_as_real;
