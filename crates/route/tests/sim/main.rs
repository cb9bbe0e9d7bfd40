//! A router and its storage nodes on a network that a seed decides.
//!
//! Time is virtual and everything runs on one thread, so that a seed is a history. What was acknowledged to clients is the judge.

mod changes;
mod histories;
mod network;
mod scenes;
mod storage;
