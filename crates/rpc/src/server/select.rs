//! Series for another node.
//!
//! A thread that may block finds the series, reads chunk after chunk, and writes them as messages, which leave as [`super::packets`] says.

use std::sync::Arc;

use bytes::Bytes;
use model::SeriesKey;
use prost::Message;
use storage_api::{Completeness, SelectError, SelectRequest, SeriesChunk, SeriesData, ShardWord};
use tokio::{runtime::Handle, task::spawn_blocking};
use tonic::Status;

use super::{
    Service, decode,
    packets::{Packets, packets},
    wrong,
};
use crate::{
    error::select_status,
    wire::{
        chunk::{self, ChunkWriter},
        messages::{SelectHead, SelectMessage},
        requests,
        word::word_message,
    },
};

/// A message is sent when it has come to so many bytes.
const MESSAGE_BYTES: usize = 256 << 10;

/// So many numbers of partial results are a message, however few bytes they take.
const MESSAGE_NUMBERS: usize = 1 << 20;
const _: () = assert!(MESSAGE_NUMBERS + 4 * storage_api::SUB_PLAN_POINTS_MAX <= chunk::NUMBERS_MAX, "a row may follow");
/// A series whose first sample lies so far behind the instant from which samples are wanted seems to begin there.
const BEGINS_LATE_MS: i64 = 60_000;

impl Service {
    pub(super) fn stream(&self, question: &[u8]) -> Result<Packets, Status> {
        let select = self.select()?.clone();
        let question = decode::<SelectMessage>(question)?;
        let mut request = requests::select_request(&question).map_err(wrong)?;
        self.limits.bound(&mut request.budget);
        let (mut out, packets) = packets(request.budget.cancel.clone());
        let asked_word = self.asker_of_words();
        let (runtime, places) = (Handle::current(), Arc::clone(&self.places));
        spawn_blocking(move || {
            let end = runtime.block_on(places.place()).and_then(|mut place| {
                let word = asked_word(request.range);
                let finding = |request: SelectRequest| runtime.block_on(select.select(request));
                let mut send = |message: Bytes| place.leave_for(&runtime, || out.send(message));
                answer(finding, request, &word, |message| send(message).map_err(|_| SelectError::Cancelled))
            });
            out.end(end.map_err(|error| select_status(&error)));
        });
        Ok(packets)
    }
}

/// Writes all messages but the last one, which it returns.
fn answer(
    find: impl FnOnce(SelectRequest) -> Result<Box<dyn storage_api::SeriesStream>, SelectError>,
    request: SelectRequest,
    word: &ShardWord,
    mut send: impl FnMut(Bytes) -> Result<(), SelectError>,
) -> Result<Bytes, SelectError> {
    let (budget, samples_from) = (request.budget.clone(), request.samples_from);
    let completeness: Completeness = budget.completeness.clone();
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
    Ok(chunk::end(completeness.is_partial(), stream.effort().samples))
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
