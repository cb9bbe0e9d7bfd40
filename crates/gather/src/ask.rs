//! One question to all nodes at once.

use std::sync::Arc;

use rpc::{Node, RpcError};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};

use crate::Members;

/// Answers as they come.
pub struct Answers<T> {
    answers: mpsc::Receiver<(usize, Result<T, RpcError>)>,
    /// With it all questions end.
    asking: JoinHandle<()>,
}

/// Asks all nodes; the runtime does the work, so that any thread may wait.
pub fn ask<T, F, W>(runtime: &Handle, members: &Members, question: F) -> Answers<T>
where
    T: Send + 'static,
    W: Future<Output = Result<T, RpcError>> + Send + 'static,
    F: Fn(Arc<Node>) -> W,
{
    ask_each(runtime, members, |_| true, |_, node| question(node))
}

/// As [`ask`], the nodes at some places only, each its own question.
pub fn ask_each<T, F, W>(
    runtime: &Handle,
    members: &Members,
    is_asked: impl Fn(usize) -> bool,
    question: F,
) -> Answers<T>
where
    T: Send + 'static,
    W: Future<Output = Result<T, RpcError>> + Send + 'static,
    F: Fn(usize, Arc<Node>) -> W,
{
    let (sender, answers) = mpsc::channel(members.nodes().len().max(1));
    let to_node = |(place, node): (usize, &Arc<Node>)| {
        let (sender, asking) = (sender.clone(), question(place, Arc::clone(node)));
        // An error means that nobody waits any more.
        async move { drop(sender.send((place, asking.await)).await) }
    };
    let asked = members.nodes().iter().enumerate().filter(|(place, _)| is_asked(*place));
    let questions: Vec<_> = asked.map(to_node).collect();
    // Handed over as one, they wake the runtime once.
    let asking = runtime.spawn(async move {
        let mut questions: JoinSet<()> = questions.into_iter().collect();
        while questions.join_next().await.is_some() {}
    });
    Answers { answers, asking }
}

impl<T> Answers<T> {
    /// The next answer with the place of its node; `None` when all have answered.
    pub async fn next(&mut self) -> Option<(usize, Result<T, RpcError>)> {
        self.answers.recv().await
    }
}

impl<T> Drop for Answers<T> {
    /// Who has not answered yet is not waited for.
    fn drop(&mut self) {
        self.asking.abort();
    }
}
