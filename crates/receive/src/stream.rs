//! A body as bytes that come in, unpacked piece by piece into a buffer of bounded length.

use basalt_http::{RequestBody, StatusCode};
use decode::StreamUnpacker;

use crate::{Receiver, budget::Hold, rejection::Rejection};

/// Bytes that are read at one go at the gate.
pub const CHUNK_BYTES: usize = 256 << 10;
/// What a stream costs besides its longest line or record: a chunk, a frame, and what a step of unpacking makes.
const STREAM_BYTES: u64 = 1 << 20;

/// See the module.
pub struct ByteStream<'a> {
    body: &'a mut RequestBody,
    unpacker: StreamUnpacker,
    buffer: Vec<u8>,
    ended: bool,
    /// The longest line or record.
    piece_bytes_max: usize,
    held: Hold<'a>,
}

impl<'a> ByteStream<'a> {
    /// A stream of which nothing was read yet. No line or record in it may be longer than `piece_bytes_max`.
    pub fn new(
        receiver: &'a Receiver,
        unpacker: StreamUnpacker,
        body: &'a mut RequestBody,
        piece_bytes_max: usize,
    ) -> Self {
        let held = receiver.budget.hold(None);
        Self { body, unpacker, buffer: Vec::new(), ended: false, piece_bytes_max, held }
    }

    /// What is there.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether nothing more comes.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Forgets the first bytes, and gives their memory back.
    pub fn consume(&mut self, len: usize) {
        self.buffer.drain(..len);
        self.buffer.shrink_to_fit();
        self.held.shrink(self.bytes_held());
    }

    /// Reads on until so many bytes are there, or nothing more comes.
    pub async fn fill(&mut self, wanted: usize) -> Result<(), Rejection> {
        while self.buffer.len() < wanted && !self.ended {
            self.read().await?;
        }
        Ok(())
    }

    /// Reads on until there is a chunk of whole lines, or nothing more comes; gives where the last line ends.
    pub async fn fill_lines(&mut self) -> Result<usize, Rejection> {
        let line_bytes_max = self.piece_bytes_max;
        let mut has_line = self.buffer.contains(&b'\n');
        loop {
            let whole_chunk = has_line && self.buffer.len() >= CHUNK_BYTES;
            if self.ended || whole_chunk {
                break;
            }
            if self.buffer.len() >= CHUNK_BYTES {
                check_line(self.buffer.len(), line_bytes_max)?;
            }
            let before = self.buffer.len();
            self.read().await?;
            has_line |= self.buffer[before..].contains(&b'\n');
        }
        let end = match memchr::memrchr(b'\n', &self.buffer) {
            Some(at) if !self.ended => at + 1,
            _ => self.buffer.len(),
        };
        if has_longer_line(&self.buffer[..end], line_bytes_max) {
            return Err(line_too_long(line_bytes_max));
        }
        Ok(end)
    }

    /// What is in memory for the stream: also the window of what unpacks it, which stays when all that was unpacked is gone.
    fn bytes_held(&self) -> usize {
        self.buffer.capacity() + self.unpacker.held_bytes()
    }

    /// Reads and unpacks a piece.
    async fn read(&mut self) -> Result<(), Rejection> {
        let Some(frame) = self.held.next_frame(self.body).await? else {
            self.unpacker.end(&mut self.buffer)?;
            self.ended = true;
            return Ok(());
        };
        let taken = self.unpacker.step(&frame, &mut self.buffer)?;
        if taken < frame.len() {
            // It unfolds to an unknown length, which has to wait for room.
            self.body.put_back(frame.slice(taken..));
        }
        // Asked for as a whole where it has to be waited for: who has waited once is never refused for a long line.
        let whole = STREAM_BYTES + (self.piece_bytes_max + self.unpacker.held_bytes()) as u64;
        Ok(self.held.grow(self.bytes_held(), whole).await?)
    }
}

/// A line that does not fit into a chunk may not be longer than allowed.
fn check_line(line_bytes: usize, line_bytes_max: usize) -> Result<(), Rejection> {
    if line_bytes > line_bytes_max { Err(line_too_long(line_bytes_max)) } else { Ok(()) }
}

fn line_too_long(line_bytes_max: usize) -> Rejection {
    Rejection::new(StatusCode::BAD_REQUEST, format!("a line is longer than the allowed {line_bytes_max} bytes"))
}

/// Whether some line has more bytes, without its end. Looks at the last end of a line in each stretch of so many bytes, not at all of them.
fn has_longer_line(lines: &[u8], bytes_max: usize) -> bool {
    let mut rest = lines;
    while rest.len() > bytes_max {
        match memchr::memrchr(b'\n', &rest[..=bytes_max]) {
            Some(at) => rest = &rest[at + 1..],
            None => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use basalt_http::{Method, Request};

    use super::*;
    use crate::testing::{options, receiver_with, store};

    #[tokio::test]
    async fn the_window_of_an_unpacker_is_held_while_it_lives() {
        let packed = zstd::bulk::compress(b"a 1\n", 1).expect("it is packed");
        let mut request = Request::in_memory(Method::POST, "/", packed);
        let receiver = receiver_with(&store(1, Ok(())), &options());
        let unpacker = StreamUnpacker::new(decode::Packing::Zstd).expect("a stream").expect("it is set up");
        let mut stream = ByteStream::new(&receiver, unpacker, &mut request.body, 100);
        let end = stream.fill_lines().await.expect("a line");
        let whole = stream.held.bytes();
        assert!(end == 4 && whole > 8 << 20 || whole == receiver.budget.lane_bytes(), "{end} {whole}");
        stream.consume(end);
        assert_eq!(stream.held.bytes(), whole, "nothing is left of the lines, but the window is");
    }

    #[test]
    fn the_longest_line_counts_without_its_end() {
        for (lines, is_longer) in [
            ("", false),
            ("abc", false),
            ("abc\n", false),
            ("a\nabc\nab\n\nabc", false),
            ("abcd", true),
            ("abcd\n", true),
            ("a\nabcd\nb\n", true),
            ("a\nb\nabcd", true),
        ] {
            assert_eq!(has_longer_line(lines.as_bytes(), 3), is_longer, "{lines:?}");
        }
    }
}
