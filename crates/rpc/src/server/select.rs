//! Series for another node.
//!
//! 1. A thread that may block finds the series, reads chunk after chunk, and writes them as messages into a short queue.
//! 2. Where the queue is full it waits: the other side takes no more at the moment. Where nobody reads any more, the work is cancelled.

use bytes::Bytes;
use model::SeriesKey;
use prost::Message;
use storage_api::{Cancel, Completeness, SelectError, SelectRequest, SeriesData};
use tokio::{runtime::Handle, sync::mpsc::Sender, task::spawn_blocking};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Service, decode, wrong};
use crate::{
    error::select_status,
    wire::{
        chunk::{self, ChunkWriter},
        messages::{SelectHead, SelectMessage},
        requests,
    },
};

/// Messages that wait for the network.
const QUEUE_MESSAGES: usize = 4;
/// A message is sent when it has come to so many bytes.
const MESSAGE_BYTES: usize = 256 << 10;

type Out = Sender<Result<Bytes, Status>>;

impl Service {
    pub(super) fn stream(&self, question: &[u8]) -> Result<ReceiverStream<Result<Bytes, Status>>, Status> {
        let select = self.select()?.clone();
        let request = requests::select_request(&decode::<SelectMessage>(question)?).map_err(wrong)?;
        let (out, messages) = tokio::sync::mpsc::channel(QUEUE_MESSAGES);
        let complete = self.complete(request.range);
        let runtime = Handle::current();
        let guard = CancelWhenClosed::watch(&out, request.budget.cancel.clone());
        spawn_blocking(move || {
            let _guard = guard;
            let finding = |request: SelectRequest| runtime.block_on(select.select(request));
            if let Err(error) = answer(finding, request, complete, &out) {
                // Nobody may be left to hear it.
                let _ = out.blocking_send(Err(select_status(&error)));
            }
        });
        Ok(ReceiverStream::new(messages))
    }
}

fn answer(
    find: impl FnOnce(SelectRequest) -> Result<Box<dyn storage_api::SeriesStream>, SelectError>,
    request: SelectRequest,
    complete: Vec<u64>,
    out: &Out,
) -> Result<(), SelectError> {
    let budget = request.budget.clone();
    let completeness: Completeness = budget.completeness.clone();
    let send = |message: Bytes| out.blocking_send(Ok(message)).map_err(|_| SelectError::Cancelled);
    let stream = find(request)?;
    send(SelectHead { series_total: stream.series_total(), complete }.encode_to_vec().into())?;
    let mut writer = ChunkWriter::default();
    let (mut key, mut data) = (SeriesKey::default(), SeriesData::default());
    while let Some(mut chunk) = stream.next()? {
        for index in 0..chunk.len() {
            budget.check()?;
            chunk.read(index, &mut data)?;
            chunk.key(index, &mut key)?;
            writer.push(chunk.id(index), &key, &data);
            if writer.len() >= MESSAGE_BYTES {
                send(writer.take())?;
            }
        }
    }
    if writer.len() > 0 {
        send(writer.take())?;
    }
    send(chunk::end(completeness.is_partial()))
}

/// Cancels the work of an answer when its reader is gone, even while nothing is sent.
struct CancelWhenClosed(tokio::task::JoinHandle<()>);

impl CancelWhenClosed {
    /// The watcher's own sender does not keep the answer open: the watcher ends with the work.
    fn watch(out: &Out, cancel: Cancel) -> Self {
        let out = out.clone();
        Self(tokio::spawn(async move {
            out.closed().await;
            cancel.cancel();
        }))
    }
}

impl Drop for CancelWhenClosed {
    fn drop(&mut self) {
        self.0.abort();
    }
}
