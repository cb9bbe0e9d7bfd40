//! Copies of what another node holds.

use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message;
use storage_api::ShardSet;
use tokio::sync::mpsc;
use tonic::Request;

use super::{AbortOnDrop, Node};
use crate::{
    RpcError,
    error::from_status,
    raw::RawCodec,
    wire::{
        copy::{self, CopyFrame},
        messages::{CopyMessage, Nothing, OfferMessage},
        path, requests,
    },
};

/// A snapshot, which flushes, or a part may take long.
const COPY_TIME_MAX: Duration = Duration::from_secs(3600);
/// Messages that wait for their reader.
const QUEUE_MESSAGES: usize = 4;

/// What a node offers to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The name of a snapshot that was made for it.
    pub snapshot: String,
    /// The numbers of the snapshot's parts.
    pub parts: Vec<u64>,
    /// The shards of which the node has all that was acknowledged before the snapshot.
    pub complete: ShardSet,
}

/// A part as it comes in.
pub struct CopyStream {
    address: String,
    messages: mpsc::Receiver<Result<Bytes, RpcError>>,
    /// Ends with the stream.
    _task: AbortOnDrop<()>,
}

impl Node {
    /// Asks for a snapshot to copy from.
    pub async fn offer(&self) -> Result<Offer, RpcError> {
        self.hello().await?;
        let OfferMessage { snapshot, parts, complete } = self.call(path::OFFER, &Nothing {}, COPY_TIME_MAX).await?;
        let odd = |why| RpcError::Wrong(format!("{}: its offer has {why}", self.address));
        Ok(Offer { snapshot, parts, complete: requests::shards(&complete).map_err(odd)? })
    }

    /// Asks for what a part of a snapshot holds of some shards.
    pub async fn copy_part(&self, snapshot: &str, part: u64, shards: &ShardSet) -> Result<CopyStream, RpcError> {
        self.hello().await?;
        let question = CopyMessage { snapshot: snapshot.to_string(), part, shards: shards.words().to_vec() };
        let question = Bytes::from(question.encode_to_vec());
        let (sender, messages) = mpsc::channel(QUEUE_MESSAGES);
        let (mut grpc, address) = (self.grpc(), self.address.clone());
        let task = self.runtime.spawn(async move {
            let receiving = async {
                let path = PathAndQuery::from_static(path::COPY_PART);
                let mut stream = grpc.server_streaming(Request::new(question), path, RawCodec).await?.into_inner();
                while let Some(message) = stream.message().await? {
                    if sender.send(Ok(message)).await.is_err() {
                        break;
                    }
                }
                Ok::<(), tonic::Status>(())
            };
            let failed = match tokio::time::timeout(COPY_TIME_MAX, receiving).await {
                Ok(Ok(())) => return,
                Ok(Err(status)) => from_status(&status, &address),
                Err(_) => RpcError::TimedOut(format!("{address} gave no whole copy within {COPY_TIME_MAX:?}")),
            };
            // Nobody may be left to hear it.
            let _ = sender.send(Err(failed)).await;
        });
        Ok(CopyStream { address: self.address.clone(), messages, _task: AbortOnDrop(task) })
    }
}

impl CopyStream {
    /// The next piece. A copy that ends without its end is an error.
    pub async fn next(&mut self) -> Result<CopyFrame, RpcError> {
        let cut_off = || RpcError::Unreachable(format!("{}: its copy was cut off", self.address));
        let message = self.messages.recv().await.ok_or_else(cut_off)??;
        copy::read(&message).map_err(|why| RpcError::Wrong(format!("{}: it sends {why}", self.address)))
    }
}
