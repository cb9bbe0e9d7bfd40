//! Batches that wait for one node.
//!
//! 1. A batch that finds no call for rows under way goes at once, alone.
//! 2. Those that come meanwhile wait and go together in the next call. With many senders a node has few calls to read and few times to make rows durable,
//!    the fewer the longer a call takes; with one sender nothing waits.
//! 3. Where the node turns out to be away, those that wait fail with the call: they were not sent, and each would find out as slowly.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use storage_api::InsertError;
use tokio::sync::oneshot;
use tonic::{Code, Status};

use super::Node;
use crate::{
    RpcError,
    error::from_status,
    wire::{
        bundle::{self, BATCHES_MAX, BatchReply, BundleReply},
        messages::InsertReply,
        path,
    },
};

/// More bytes do not go together; they still fit into the window of a call.
const BUNDLE_BYTES_MAX: usize = 2 << 20;

type Outcome = Result<InsertReply, RpcError>;

/// See the module.
#[derive(Debug, Default)]
pub struct Outbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    is_under_way: bool,
    batches: Vec<Batch>,
}

#[derive(Debug)]
struct Batch {
    message: Bytes,
    outcome: oneshot::Sender<Outcome>,
}

/// How a batch goes.
enum Turn {
    Now(Bytes),
    Later(oneshot::Receiver<Outcome>),
}

impl Outbox {
    fn enter(&self, message: Bytes) -> Turn {
        let mut waiting = self.0.lock();
        if !waiting.is_under_way {
            waiting.is_under_way = true;
            return Turn::Now(message);
        }
        let (outcome, receiver) = oneshot::channel();
        waiting.batches.push(Batch { message, outcome });
        Turn::Later(receiver)
    }

    /// Those that go next; none if nobody waits, and then no call is under way any more.
    fn next(&self) -> Vec<Batch> {
        let mut waiting = self.0.lock();
        // Who gave up waiting counts its rows as not stored.
        waiting.batches.retain(|batch| !batch.outcome.is_closed());
        let mut bytes = 0;
        let fits = |batch: &&Batch| {
            bytes += batch.message.len();
            bytes <= BUNDLE_BYTES_MAX
        };
        let count = waiting.batches.iter().take(BATCHES_MAX).take_while(fits).count();
        let count = count.max(waiting.batches.len().min(1));
        waiting.is_under_way = count > 0;
        waiting.batches.drain(..count).collect()
    }

    /// All that wait.
    fn all(&self) -> Vec<Batch> {
        std::mem::take(&mut self.0.lock().batches)
    }
}

/// Sees to those that wait when the call ends before theirs, also if nobody waits for it any more.
struct UnderWay<'a> {
    node: &'a Node,
    failure: Option<RpcError>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let Self { node, failure } = self;
        if let Some(failure) = failure {
            node.outbox.fail_all(failure);
        }
        let batches = node.outbox.next();
        match node.me.upgrade() {
            Some(node) if !batches.is_empty() => drop(node.runtime.clone().spawn(node.send_waiting(batches))),
            _ => {}
        }
    }
}

impl Outbox {
    fn fail_all(&self, failure: &RpcError) {
        // Nobody listens to those that fail to be told.
        self.all().into_iter().for_each(|batch| drop(batch.outcome.send(Err(failure.clone()))));
    }
}

impl Node {
    /// Sends a batch; alone or with others.
    pub(super) async fn send_rows(&self, message: Bytes) -> Outcome {
        match self.outbox.enter(message) {
            Turn::Now(message) => {
                let mut under_way = UnderWay { node: self, failure: None };
                let outcome = self.send_one(message).await;
                under_way.failure = outcome.as_ref().err().filter(|why| why.is_absence()).cloned();
                outcome
            }
            Turn::Later(outcome) => {
                outcome.await.unwrap_or_else(|_| Err(RpcError::Unreachable("we are closing".to_string())))
            }
        }
    }

    /// Sends batches until none waits.
    async fn send_waiting(self: Arc<Self>, mut batches: Vec<Batch>) {
        while !batches.is_empty() {
            let failure = self.send_together(batches).await;
            if let Some(failure) = failure {
                self.outbox.fail_all(&failure);
            }
            batches = self.outbox.next();
        }
    }

    /// Sends batches in one call, and tells each what became of it. Gives why the node is away, if it is.
    async fn send_together(&self, batches: Vec<Batch>) -> Option<RpcError> {
        let (messages, senders): (Vec<Bytes>, Vec<_>) =
            batches.into_iter().map(|batch| (batch.message, batch.outcome)).unzip();
        let outcomes = match &messages[..] {
            [message] => self.send_one(message.clone()).await.map(|reply| vec![Ok(reply)]),
            _ => self.send_bundle(&messages).await,
        };
        match outcomes {
            Ok(outcomes) => {
                senders.into_iter().zip(outcomes).for_each(|(sender, outcome)| drop(sender.send(outcome)));
                None
            }
            Err(failure) => {
                senders.into_iter().for_each(|sender| drop(sender.send(Err(failure.clone()))));
                Some(failure).filter(RpcError::is_absence)
            }
        }
    }

    async fn send_one(&self, message: Bytes) -> Outcome {
        let answer = self.call_raw(path::INSERT, message, self.options.call_time_max).await?;
        InsertReply::decode(answer).map_err(|why| self.unreadable(&why))
    }

    async fn send_bundle(&self, messages: &[Bytes]) -> Result<Vec<Outcome>, RpcError> {
        let question = bundle::write(messages);
        let answer = self.call_raw(path::INSERT_BUNDLE, question, self.options.call_time_max).await?;
        let reply = BundleReply::decode(answer).map_err(|why| self.unreadable(&why))?;
        if reply.batches.len() != messages.len() {
            return Err(self.unreadable(&format!("{} answers to {} batches", reply.batches.len(), messages.len())));
        }
        Ok(reply.batches.into_iter().map(|batch| self.outcome_of(batch)).collect())
    }

    fn outcome_of(&self, batch: BatchReply) -> Outcome {
        match batch.taken {
            Some(taken) => Ok(taken),
            None => {
                let error = from_status(&Status::with_details(Code::Aborted, "", batch.failure), &self.address);
                // Whether it is stored nobody knows, and the others were: that is no word about the node.
                Err(if error.is_absence() {
                    RpcError::Insert(InsertError::NotDurable(error.to_string()))
                } else {
                    error
                })
            }
        }
    }

    fn unreadable(&self, why: &dyn std::fmt::Display) -> RpcError {
        RpcError::Wrong(format!("{}: cannot read its answer to rows: {why}", self.address))
    }
}
