//! The nodes that are asked.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use rpc::Node;

use crate::Copies;

/// The storage nodes of a cluster, and how many of them have each series.
pub struct Members {
    nodes: Vec<Arc<Node>>,
    copies: Copies,
    version: u64,
}

impl Members {
    /// These nodes, and which of them have copies of each series.
    pub fn new(nodes: Vec<Arc<Node>>, copies: Copies) -> Self {
        let mut hash = DefaultHasher::new();
        nodes.iter().for_each(|node| node.address().hash(&mut hash));
        Self { nodes, copies, version: hash.finish() }
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// How many of them have each series, all being well.
    pub fn copies(&self) -> &Copies {
        &self.copies
    }

    /// Equal for equal lists.
    pub fn version(&self) -> u64 {
        self.version
    }
}
