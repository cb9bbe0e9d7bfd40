//! What the tests of the other crates stand on; nothing of it is in the program.
//!
//! - [`SimDisk`]: a disk in memory that loses, tears, fails and fills up, from a seed.
//! - [`fuzz`]: mutations of valid inputs against readers of outside bytes.
//! - [`process`] and [`http`]: the real binary as a child, and a client that talks to it.
//! - [`proxy`]: a link between two processes that can be cut, stalled and slowed down.
//! - [`apart`]: networks, far hosts and small disks of a thread alone.
//! - [`ManualClock`] and [`Rng`]: time and chance that a test decides.
//!
//! Architecture invariant: knows the contracts (`disk::Disk`, `model::Clock`), no implementation.

pub mod apart;
pub mod fuzz;
pub mod http;
pub mod process;
pub mod proxy;

mod clock;
mod rng;
mod sim_disk;

pub use clock::ManualClock;
pub use rng::Rng;
pub use sim_disk::{DirOrder, Event, Fault, Op, SimDisk};
