//! How a query was done, if that was asked for.

use std::time::Instant;

use parking_lot::Mutex;

use crate::api::TraceNode;

/// Collects nodes while a query is evaluated, on one thread.
#[derive(Debug)]
pub struct Trace {
    open: Option<Mutex<Vec<TraceNode>>>,
}

impl Trace {
    /// Collects if `wanted`.
    pub fn new(wanted: bool) -> Self {
        Self { open: wanted.then(|| Mutex::new(vec![TraceNode::default()])) }
    }

    /// Runs `work` as a step below the one that runs already; `message` is made of what came out.
    pub fn step<T>(&self, message: impl FnOnce(&T) -> String, work: impl FnOnce() -> T) -> T {
        let Some(open) = &self.open else { return work() };
        open.lock().push(TraceNode::default());
        let begin = Instant::now();
        let result = work();
        let mut open = open.lock();
        if let Some(mut node) = open.pop() {
            node.message = message(&result);
            node.elapsed = begin.elapsed();
            if let Some(parent) = open.last_mut() {
                parent.children.push(node);
            }
        }
        result
    }

    /// The root, with this message.
    pub fn finish(self, message: String, begin: Instant) -> Option<TraceNode> {
        let mut root = self.open?.into_inner().into_iter().next()?;
        root.message = message;
        root.elapsed = begin.elapsed();
        Some(root)
    }
}
