//! An answer that comes in as it is made.
//!
//! 1. A task takes messages from the network into a short queue; when the queue is full it stops taking, the window fills, and the other node waits.
//! 2. Whoever takes from the queue reads the message as a chunk: keys and times at once, values when they are asked for.
//! 3. The last message says that it is the last. Without it the answer is an error, never a shorter answer.
//! 4. When the stream is dropped, the task ends and the other node's work with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::uri::PathAndQuery;
use model::{SeriesId, SeriesKey};
use parking_lot::Mutex;
use prost::Message;
use storage_api::{Budget, Effort, SelectError, SeriesChunk, SeriesData, SeriesStream, ShardWord};
use tokio::sync::mpsc;
use tonic::Request;

use super::{AbortOnDrop, Node};
use crate::{
    RpcError,
    error::from_status,
    raw::RawCodec,
    wait::wait,
    wire::{
        chunk::{Chunk, ChunkReader, Frame},
        messages::{SelectHead, SelectMessage},
        path,
        word::word,
    },
};

/// Messages that wait for their reader.
const QUEUE_MESSAGES: usize = 4;

/// Series of another node.
pub struct RemoteStream {
    series_total: Option<u64>,
    word: ShardWord,
    budget: Budget,
    address: String,
    incoming: Mutex<Incoming>,
    handed_out: AtomicU64,
    bytes: AtomicU64,
    samples: AtomicU64,
    partial_chunks: AtomicU64,
    /// Ends with the stream.
    _task: AbortOnDrop<()>,
}

struct Incoming {
    messages: mpsc::Receiver<Result<Bytes, RpcError>>,
    reader: ChunkReader,
    ended: bool,
}

/// Neighbouring series of another node.
pub type RemoteSeries = Arc<Chunk>;

impl Node {
    pub(super) async fn open(
        &self,
        question: &SelectMessage,
        budget: &Budget,
        time_max: Duration,
    ) -> Result<RemoteStream, RpcError> {
        let (sender, mut messages) = mpsc::channel(QUEUE_MESSAGES);
        let question = Bytes::from(question.encode_to_vec());
        let mut grpc = self.grpc();
        let began = Instant::now();
        let (address, stats) = (self.address.clone(), Arc::clone(&self.stats));
        let task = self.runtime.spawn(async move {
            let receiving = async {
                // The question says how long the answer is waited for.
                let path = PathAndQuery::from_static(path::SELECT);
                let mut stream = grpc.server_streaming(Request::new(question), path, RawCodec).await?.into_inner();
                while let Some(message) = stream.message().await? {
                    stats.bytes_received.fetch_add(message.len() as u64, Ordering::Relaxed);
                    if sender.send(Ok(message)).await.is_err() {
                        break;
                    }
                }
                Ok::<(), tonic::Status>(())
            };
            let failed = match tokio::time::timeout(time_max, receiving).await {
                Ok(Ok(())) => return,
                Ok(Err(status)) => from_status(&status, &address),
                Err(_) => RpcError::Select(SelectError::DeadlinePassed),
            };
            // Nobody may be left to hear it.
            let _ = sender.send(Err(failed)).await;
        });
        let task = AbortOnDrop(task);
        let head = match messages.recv().await {
            Some(Ok(head)) => head,
            Some(Err(error)) => {
                if error.is_absence() {
                    self.stats.unreachable.fetch_add(1, Ordering::Relaxed);
                    self.was_absent(began.elapsed());
                    self.forget_hello().await;
                }
                return Err(error);
            }
            None => return Err(RpcError::Unreachable(format!("{}: its answer was cut off", self.address))),
        };
        let unreadable = |why| RpcError::Wrong(format!("{}: cannot read the head of its answer: {why}", self.address));
        let head = SelectHead::decode(head).map_err(unreadable)?;
        let odd = |why| RpcError::Wrong(format!("{}: its answer has {why}", self.address));
        let word = word(head.word.as_ref()).map_err(odd)?;
        Ok(RemoteStream {
            series_total: head.series_total,
            word,
            budget: budget.clone(),
            address: self.address.clone(),
            incoming: Mutex::new(Incoming { messages, reader: ChunkReader::default(), ended: false }),
            handed_out: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            partial_chunks: AtomicU64::new(0),
            _task: task,
        })
    }
}

impl RemoteStream {
    /// The next series, in order; `None` behind the last one. Blocks the thread.
    pub fn next_series(&self) -> Result<Option<(u64, RemoteSeries)>, RpcError> {
        let mut incoming = self.incoming.lock();
        if incoming.ended {
            return Ok(None);
        }
        let message = wait(incoming.messages.recv());
        self.take(&mut incoming, message)
    }

    /// As [`Self::next_series`], for who may not block.
    pub async fn receive(&mut self) -> Result<Option<RemoteSeries>, RpcError> {
        if self.incoming.get_mut().ended {
            return Ok(None);
        }
        let message = self.incoming.get_mut().messages.recv().await;
        let mut incoming = self.incoming.lock();
        Ok(self.take(&mut incoming, message)?.map(|(_, series)| series))
    }

    fn take(
        &self,
        incoming: &mut Incoming,
        message: Option<Result<Bytes, RpcError>>,
    ) -> Result<Option<(u64, RemoteSeries)>, RpcError> {
        let cut_off = || RpcError::Unreachable(format!("{}: its answer was cut off", self.address));
        let message = message.ok_or_else(cut_off)??;
        self.bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
        let unreadable = |why| RpcError::Wrong(format!("{}: cannot read its answer: {why}", self.address));
        match incoming.reader.read(&message).map_err(unreadable)? {
            Frame::Chunk(chunk) => {
                let position = self.handed_out.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                self.partial_chunks.fetch_add(u64::from(chunk.holds_results()), Ordering::Relaxed);
                Ok(Some((position, Arc::new(chunk))))
            }
            Frame::End { lacks, samples } => {
                incoming.ended = true;
                self.samples.store(samples, Ordering::Relaxed);
                if lacks {
                    self.budget.completeness.lack();
                }
                Ok(None)
            }
        }
    }

    /// What the node says of its shards over the range that was asked for.
    pub fn word(&self) -> &ShardWord {
        &self.word
    }

    /// How many series there are, if the node knows already.
    pub fn total(&self) -> Option<u64> {
        self.series_total
    }
}

impl SeriesStream for RemoteStream {
    fn next(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError> {
        self.budget.check()?;
        let next = self.next_series()?;
        Ok(next.map(|(position, series)| Box::new(RemoteChunk { position, series }) as Box<dyn SeriesChunk>))
    }

    fn series_total(&self) -> Option<u64> {
        self.series_total
    }

    fn effort(&self) -> Effort {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Effort { samples: get(&self.samples), bytes: get(&self.bytes), partial_chunks: get(&self.partial_chunks) }
    }
}

/// Series of another node as a chunk of an answer.
#[derive(Debug)]
pub struct RemoteChunk {
    position: u64,
    series: RemoteSeries,
}

impl SeriesChunk for RemoteChunk {
    fn position(&self) -> u64 {
        self.position
    }

    fn len(&self) -> usize {
        self.series.len()
    }

    fn is_partial_result(&self) -> bool {
        self.series.holds_results()
    }

    fn id(&self, index: usize) -> SeriesId {
        self.series.id(index)
    }

    fn has_before(&mut self, index: usize) -> Result<bool, SelectError> {
        Ok(self.series.has_before(index))
    }

    fn key(&self, index: usize, key: &mut SeriesKey) -> Result<(), SelectError> {
        read_key(self.series.key(index), key)
    }

    fn read(&mut self, index: usize, data: &mut SeriesData) -> Result<(), SelectError> {
        self.series.read(index, data);
        Ok(())
    }
}

/// A key as it came. An empty one stands for labels that were not asked for.
pub fn read_key(bytes: &[u8], key: &mut SeriesKey) -> Result<(), SelectError> {
    *key = match bytes {
        [] => SeriesKey::default(),
        bytes => SeriesKey::from_bytes(bytes.to_vec()).map_err(|why| SelectError::Corrupt(why.to_string()))?,
    };
    Ok(())
}
