//! Protocols of lines: bodies of any length in bounded memory.
//!
//! 1. The body comes in frames, which are unpacked piece by piece into a buffer, until that holds a chunk of whole lines or the body ends.
//! 2. The chunk is read at the gate, line by line, into rows. A line that cannot be read is counted and left out; the others are taken.
//! 3. Rows go to the store whenever they are many, and at the end of each chunk: a sender that goes on for hours has its samples stored
//!    meanwhile, and costs no more than what is left of its last line while it is silent.
//! 4. A line longer than a chunk waits for memory for the longest line that is allowed. One that is longer still ends the request.

use basalt_http::{Request, StatusCode};
use decode::{
    Packing, StreamUnpacker,
    rows::{LineReader, Rows, Sink},
};
use memchr::memchr;

use crate::{Receiver, rejection::Rejection, session::Session, stream::ByteStream};

/// Where a reader of lines is in its body.
#[derive(Default)]
pub struct Position {
    line: u64,
}

impl Receiver {
    /// Reads the whole body of a request.
    pub(crate) async fn read_lines(
        &self,
        request: &mut Request,
        line_bytes_max: usize,
        reader: &mut dyn LineReader,
        session: &mut Session<'_>,
    ) -> Result<(), Rejection> {
        let packing = packing(request)?;
        let Some(unpacker) = StreamUnpacker::new(packing) else {
            return self.read_block_of_lines(request, packing, reader, session).await;
        };
        let mut stream = ByteStream::new(self, unpacker?, &mut request.body, line_bytes_max);
        let mut position = Position::default();
        while !stream.is_ended() {
            let end = stream.fill_lines().await?;
            session.enter(end).await?;
            let mut workspace = self.pool.workspace();
            let rows = &mut workspace.pairs;
            session.count_bytes(end as u64);
            session.read_chunk(&stream.bytes()[..end], &mut position, reader, rows).await?;
            if stream.is_ended() {
                reader.end(rows);
            }
            session.insert_rows(rows).await?;
            session.leave();
            stream.consume(end);
        }
        Ok(())
    }

    /// Reads a body whose packing cannot be taken apart.
    async fn read_block_of_lines(
        &self,
        request: &mut Request,
        packing: Packing,
        reader: &mut dyn LineReader,
        session: &mut Session<'_>,
    ) -> Result<(), Rejection> {
        let (packed, held) = self.read_body(request, self.body_bytes_max).await?;
        session.enter(packed.len()).await?;
        let mut workspace = self.pool.workspace();
        let workspace = &mut *workspace;
        workspace.body.unpack(&packed, packing, self.body_bytes_max)?;
        drop((packed, held));
        session.count_bytes(workspace.body.bytes().len() as u64);
        let (bytes, rows) = (workspace.body.bytes(), &mut workspace.pairs);
        session.read_chunk(bytes, &mut Position::default(), reader, rows).await?;
        reader.end(rows);
        session.insert_rows(rows).await?;
        Ok(())
    }
}

/// The packing that a request's headers name.
pub fn packing(request: &Request) -> Result<Packing, Rejection> {
    let encoding = request.header(basalt_http::header::CONTENT_ENCODING).unwrap_or("");
    Packing::named(encoding).ok_or_else(|| {
        let why = format!("content encoding {encoding:?} is not supported; want gzip, deflate, zstd or snappy");
        Rejection::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)
    })
}

impl Session<'_> {
    /// Reads whole lines into rows, which go to the store whenever they are many.
    pub(crate) async fn read_chunk(
        &mut self,
        lines: &[u8],
        position: &mut Position,
        reader: &mut dyn LineReader,
        rows: &mut Rows,
    ) -> Result<(), Rejection> {
        let mut rest = lines;
        while !rest.is_empty() {
            rest = self.read_until_full(rest, position, reader, rows);
            if rows.is_full() {
                self.flush(rows).await?;
            }
        }
        Ok(())
    }

    /// Reads whole lines into rows until those are many; gives the lines that are left.
    pub(crate) fn read_until_full<'b>(
        &mut self,
        mut lines: &'b [u8],
        position: &mut Position,
        reader: &mut dyn LineReader,
        rows: &mut Rows,
    ) -> &'b [u8] {
        while !lines.is_empty() && !rows.is_full() {
            let len = memchr(b'\n', lines).unwrap_or(lines.len());
            let line = lines[..len].strip_suffix(b"\r").unwrap_or(&lines[..len]);
            lines = &lines[(len + 1).min(lines.len())..];
            position.line += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let mark = rows.mark();
            if let Err(wrong) = reader.read(line, rows) {
                rows.rewind(mark);
                self.malformed(1, format_args!("line {}: {wrong}", position.line));
            }
        }
        lines
    }
}
