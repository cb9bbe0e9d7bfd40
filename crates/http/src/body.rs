//! Bodies of answers: nothing, whole, or a stream that a blocking thread writes.
//!
//! A stream is a short queue of chunks: the writer waits when the client reads slowly, learns when the client has left, and gives up when the
//! client takes nothing for a minute. A stream that is dropped without [`BodyWriter::finish`] breaks the connection, so that a client can
//! never take a cut answer for a whole one.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::{runtime::Handle, sync::mpsc};

/// Chunks that may wait for a slow client.
const CHUNKS_WAITING_MAX: usize = 4;
/// A chunk is sent once it is this long.
const CHUNK_BYTES: usize = 64 << 10;
/// A client that takes nothing for so long is given up.
const STALLED_CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

/// The body of an answer.
pub struct Body {
    inner: Inner,
    /// Dropped with the body, that is when it was sent or the client has left.
    guard: Option<Box<dyn Any + Send + Sync>>,
}

enum Inner {
    Whole(Bytes),
    Stream { chunks: mpsc::Receiver<Piece>, ended: bool },
}

enum Piece {
    Chunk(Bytes),
    End,
}

/// Writes the stream of a body from a blocking thread.
pub struct BodyWriter {
    pieces: mpsc::Sender<Piece>,
    runtime: Handle,
    buffer: Vec<u8>,
}

/// The client has left, or takes nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has left")
    }
}

impl std::error::Error for Gone {}

/// A stream whose writer failed.
#[derive(Debug)]
pub struct Unfinished;

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer could not be finished")
    }
}

impl std::error::Error for Unfinished {}

impl Body {
    /// A body without bytes.
    pub fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    /// A body that is there already.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { inner: Inner::Whole(bytes.into()), guard: None }
    }

    /// A body that a blocking thread writes. Must be called inside a runtime.
    pub fn stream() -> (BodyWriter, Self) {
        let (pieces, chunks) = mpsc::channel(CHUNKS_WAITING_MAX);
        let writer = BodyWriter { pieces, runtime: Handle::current(), buffer: Vec::with_capacity(CHUNK_BYTES + 4096) };
        (writer, Self { inner: Inner::Stream { chunks, ended: false }, guard: None })
    }

    /// How long it is, unless it is a stream.
    pub fn len_if_whole(&self) -> Option<usize> {
        match &self.inner {
            Inner::Whole(bytes) => Some(bytes.len()),
            Inner::Stream { .. } => None,
        }
    }

    /// The same body, which keeps `guard` until it was sent or the client has left.
    #[must_use]
    pub fn holding(self, guard: impl Any + Send + Sync) -> Self {
        Self { guard: Some(Box::new(guard)), ..self }
    }

    /// All bytes; an error if the stream broke off.
    pub async fn collect(mut self) -> Result<Vec<u8>, Unfinished> {
        let mut all = Vec::new();
        loop {
            let frame = std::future::poll_fn(|cx| hyper::body::Body::poll_frame(Pin::new(&mut self), cx)).await;
            match frame {
                None => return Ok(all),
                Some(Ok(frame)) => all.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Some(Err(unfinished)) => return Err(unfinished),
            }
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guarded = if self.guard.is_some() { ", guarded" } else { "" };
        match &self.inner {
            Inner::Whole(bytes) => write!(f, "Body({} bytes{guarded})", bytes.len()),
            Inner::Stream { .. } => write!(f, "Body(stream{guarded})"),
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Unfinished;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match &mut self.get_mut().inner {
            Inner::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Inner::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Inner::Stream { ended: true, .. } => Poll::Ready(None),
            Inner::Stream { chunks, ended } => chunks.poll_recv(cx).map(|piece| match piece {
                Some(Piece::Chunk(bytes)) => Some(Ok(Frame::data(bytes))),
                Some(Piece::End) => {
                    *ended = true;
                    None
                }
                None => Some(Err(Unfinished)),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Whole(bytes) => bytes.is_empty(),
            Inner::Stream { ended, .. } => *ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Stream { .. } => SizeHint::default(),
        }
    }
}

impl BodyWriter {
    /// Where to write; call [`BodyWriter::flush_if_full`] after each line.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Sends what was written if it is enough for a chunk; waits while the client is slow.
    pub fn flush_if_full(&mut self) -> Result<(), Gone> {
        if self.buffer.len() < CHUNK_BYTES {
            return if self.pieces.is_closed() { Err(Gone) } else { Ok(()) };
        }
        self.flush()
    }

    /// Sends what was written.
    pub fn flush(&mut self) -> Result<(), Gone> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES + 4096)));
        self.send(Piece::Chunk(chunk))
    }

    /// Whether nobody reads the answer any more.
    pub fn is_gone(&self) -> bool {
        self.pieces.is_closed()
    }

    /// Sends the rest and says that the answer is whole.
    pub fn finish(mut self) -> Result<(), Gone> {
        self.flush()?;
        self.send(Piece::End)
    }

    fn send(&mut self, piece: Piece) -> Result<(), Gone> {
        let piece = match self.pieces.try_send(piece) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Gone),
            Err(mpsc::error::TrySendError::Full(piece)) => piece,
        };
        let sending = self.pieces.send_timeout(piece, STALLED_CLIENT_TIMEOUT);
        self.runtime.block_on(sending).map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts")
    }

    #[test]
    fn a_stream_arrives_whole_or_as_an_error() {
        runtime().block_on(async {
            let (mut writer, body) = Body::stream();
            let wrote = tokio::task::spawn_blocking(move || {
                for line in 0..100_000u32 {
                    writer.buffer().extend_from_slice(&line.to_le_bytes());
                    writer.flush_if_full()?;
                }
                writer.finish()
            });
            assert_eq!(body.collect().await.expect("it was finished").len(), 400_000);
            assert_eq!(wrote.await.expect("the thread ends"), Ok(()));

            let (mut writer, body) = Body::stream();
            writer.buffer().push(1);
            drop(writer);
            assert!(body.collect().await.is_err());
        });
    }

    #[test]
    fn a_writer_learns_that_its_client_left() {
        runtime().block_on(async {
            let (mut writer, body) = Body::stream();
            drop(body);
            assert!(writer.is_gone());
            assert_eq!(writer.flush_if_full(), Err(Gone));
        });
    }
}
