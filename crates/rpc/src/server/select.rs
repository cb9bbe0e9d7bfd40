//! Series for another node.
//!
//! 1. A thread that may block finds the series, reads chunk after chunk, and writes them as messages into a short queue.
//! 2. Where the queue is full it waits: the other side takes no more at the moment. Where nobody reads any more, the work is cancelled.

use bytes::Bytes;
use model::SeriesKey;
use prost::Message;
use storage_api::{Cancel, Completeness, SelectError, SelectRequest, SeriesChunk, SeriesData, ShardWord};
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
        word::word_message,
    },
};

/// Messages that wait for the network.
const QUEUE_MESSAGES: usize = 4;
/// A message is sent when it has come to so many bytes.
const MESSAGE_BYTES: usize = 256 << 10;

/// So many numbers of partial results are a message, however few bytes they take.
const MESSAGE_NUMBERS: usize = 1 << 20;
const _: () = assert!(MESSAGE_NUMBERS + 4 * storage_api::SUB_PLAN_POINTS_MAX <= chunk::NUMBERS_MAX, "a row may follow");
/// A series whose first sample lies so far behind the instant from which samples are wanted seems to begin there.
const BEGINS_LATE_MS: i64 = 60_000;

type Out = Sender<Result<Bytes, Status>>;

impl Service {
    pub(super) fn stream(&self, question: &[u8]) -> Result<ReceiverStream<Result<Bytes, Status>>, Status> {
        let select = self.select()?.clone();
        let question = decode::<SelectMessage>(question)?;
        let request = requests::select_request(&question).map_err(wrong)?;
        let samples_from = question.samples_from.unwrap_or(i64::MIN);
        let (out, messages) = tokio::sync::mpsc::channel(QUEUE_MESSAGES);
        let asked_word = self.asker_of_words();
        let runtime = Handle::current();
        let guard = CancelWhenClosed::watch(&out, request.budget.cancel.clone());
        spawn_blocking(move || {
            let _guard = guard;
            let word = asked_word(request.range);
            let finding = |request: SelectRequest| runtime.block_on(select.select_from(request, samples_from));
            if let Err(error) = answer(finding, request, &word, samples_from, &out) {
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
    word: &ShardWord,
    samples_from: i64,
    out: &Out,
) -> Result<(), SelectError> {
    let budget = request.budget.clone();
    let completeness: Completeness = budget.completeness.clone();
    let send = |message: Bytes| out.blocking_send(Ok(message)).map_err(|_| SelectError::Cancelled);
    let stream = find(request)?;
    send(SelectHead { series_total: stream.series_total(), word: Some(word_message(word)) }.encode_to_vec().into())?;
    let mut writer = ChunkWriter::default();
    let (mut key, mut data) = (SeriesKey::default(), SeriesData::default());
    let mut numbers = 0;
    while let Some(mut chunk) = stream.next()? {
        let results = chunk.is_partial_result();
        if writer.must_end(results) {
            send(writer.take())?;
        }
        for index in 0..chunk.len() {
            budget.check()?;
            chunk.read(index, &mut data)?;
            chunk.key(index, &mut key)?;
            if results {
                writer.push_result(&key, &data.values);
                numbers += data.values.len();
            } else {
                let has_before = has_before(&mut *chunk, index, &data, samples_from)?;
                writer.push(chunk.id(index), &key, &data, has_before);
            }
            if writer.len() >= MESSAGE_BYTES || numbers >= MESSAGE_NUMBERS {
                send(writer.take())?;
                numbers = 0;
            }
        }
    }
    if writer.len() > 0 {
        send(writer.take())?;
    }
    send(chunk::end(completeness.is_partial(), stream.effort().samples))
}

/// Whether a series may have samples before those that were wanted. It costs a look, which is only worth it where the series seems to begin.
fn has_before(
    chunk: &mut dyn SeriesChunk,
    index: usize,
    data: &SeriesData,
    samples_from: i64,
) -> Result<bool, SelectError> {
    let begins_late = data.times.first().is_some_and(|first| *first > samples_from.saturating_add(BEGINS_LATE_MS));
    if samples_from > i64::MIN && begins_late { chunk.has_before(index) } else { Ok(true) }
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
