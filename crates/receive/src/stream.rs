//! A body as bytes that come in, unpacked piece by piece into a buffer of bounded length.

use basalt_http::{Permit, RequestBody, StatusCode};
use decode::StreamUnpacker;

use crate::{Receiver, rejection::Rejection};

/// Bytes that are read at one go at the gate.
pub const CHUNK_BYTES: usize = 256 << 10;
/// What a stream costs: a chunk, a frame, and what a step of unpacking makes.
const STREAM_BYTES: u64 = 1 << 20;

/// See the module.
pub struct ByteStream<'a> {
    receiver: &'a Receiver,
    body: &'a mut RequestBody,
    unpacker: StreamUnpacker,
    buffer: Vec<u8>,
    ended: bool,
    _reserved: Permit,
    /// For a line that does not fit into a chunk.
    reserved_line: Option<Permit>,
}

impl<'a> ByteStream<'a> {
    /// Waits for the memory that it costs.
    pub async fn new(
        receiver: &'a Receiver,
        unpacker: StreamUnpacker,
        body: &'a mut RequestBody,
    ) -> Result<Self, Rejection> {
        let _reserved = receiver.budget.reserve(Some(STREAM_BYTES)).await?;
        Ok(Self { receiver, body, unpacker, buffer: Vec::new(), ended: false, _reserved, reserved_line: None })
    }

    /// What is there.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether nothing more comes.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Forgets the first bytes.
    pub fn consume(&mut self, len: usize) {
        self.buffer.drain(..len);
    }

    /// Reads on until so many bytes are there, or nothing more comes.
    pub async fn fill(&mut self, wanted: usize) -> Result<(), Rejection> {
        while self.buffer.len() < wanted && !self.ended {
            self.read().await?;
        }
        Ok(())
    }

    /// Reads on until there is a chunk of whole lines, or nothing more comes; gives where the last line ends.
    pub async fn fill_lines(&mut self, line_bytes_max: usize) -> Result<usize, Rejection> {
        let mut has_line = self.buffer.contains(&b'\n');
        loop {
            let whole_chunk = has_line && self.buffer.len() >= CHUNK_BYTES;
            if self.ended || whole_chunk {
                break;
            }
            if self.buffer.len() >= CHUNK_BYTES {
                self.check_line(line_bytes_max).await?;
            }
            let before = self.buffer.len();
            self.read().await?;
            has_line |= self.buffer[before..].contains(&b'\n');
        }
        Ok(match memchr::memrchr(b'\n', &self.buffer) {
            Some(at) if !self.ended => at + 1,
            _ => self.buffer.len(),
        })
    }

    /// Reads and unpacks a piece.
    async fn read(&mut self) -> Result<(), Rejection> {
        let Some(frame) = self.body.next_frame().await? else {
            self.unpacker.end(&mut self.buffer)?;
            self.ended = true;
            return Ok(());
        };
        let taken = self.unpacker.step(&frame, &mut self.buffer)?;
        if taken < frame.len() {
            // It unfolds to an unknown length, which has to wait for room.
            self.body.put_back(frame.slice(taken..));
        }
        Ok(())
    }

    /// A line that does not fit into a chunk needs memory of its own, and may not be longer than allowed.
    async fn check_line(&mut self, line_bytes_max: usize) -> Result<(), Rejection> {
        if self.buffer.len() > line_bytes_max {
            let why = format!("a line is longer than the allowed {line_bytes_max} bytes");
            return Err(Rejection::new(StatusCode::BAD_REQUEST, why));
        }
        if self.reserved_line.is_none() {
            self.reserved_line = Some(self.receiver.budget.reserve(Some(line_bytes_max as u64)).await?);
        }
        Ok(())
    }
}
