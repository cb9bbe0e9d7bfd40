//! What is behind the name of a storage node.

use std::sync::Arc;

use storage_api::{InsertNumbered, TakeReports};

use crate::NodeName;

/// A way to a storage node. An error other than read-only, overloaded or invalid counts as a node that is away; so does an answer that does not come.
pub trait NodeLink: InsertNumbered + TakeReports {}

impl<T: InsertNumbered + TakeReports> NodeLink for T {}

/// Makes ways to nodes. It does not wait for them: a node that is away is found out when something is sent to it.
pub trait Connect: Send + Sync {
    /// The way to a node; the error says what is wrong with its name.
    fn link(&self, name: &NodeName) -> Result<Arc<dyn NodeLink>, String>;
}
