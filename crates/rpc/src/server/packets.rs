//! Messages of an answer in as few packets as can be.
//!
//! 1. A packet wakes threads on both sides, whatever is in it. So messages are held back until they have come to some bytes or some age, or are all there.
//! 2. The answer begins with its first packet: where it is also the last one, the answer is one piece, with its head and its end.
//! 3. Where the short queue is full the thread that makes messages waits: the other side takes no more at the moment. Where nobody takes them any more,
//!    its work is cancelled.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use storage_api::Cancel;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_stream::Stream;
use tonic::Status;

/// Packets that wait for the network.
const QUEUE_PACKETS: usize = 4;
/// Messages of so many bytes are a packet.
const PACKET_BYTES: usize = 64 << 10;
/// So are messages of which the first is so old when another one is made.
const PACKET_AGE_MAX: Duration = Duration::from_millis(20);

struct Packet {
    messages: Vec<Bytes>,
    is_last: bool,
}

/// Takes messages from a thread that may block.
pub struct PacketWriter {
    out: Sender<Result<Packet, Status>>,
    held: Vec<Bytes>,
    held_bytes: usize,
    held_since: Instant,
    age_max: Duration,
}

/// Nobody takes messages any more.
#[derive(Debug)]
pub struct NobodyTakes;

/// The messages as the network takes them.
pub struct Packets {
    incoming: Receiver<Result<Packet, Status>>,
    ready: std::vec::IntoIter<Bytes>,
    is_last: bool,
    cancel: Cancel,
}

/// Both ends of an answer. `cancel` is what ends the work for it.
pub fn packets(cancel: Cancel) -> (PacketWriter, Packets) {
    let (out, incoming) = channel(QUEUE_PACKETS);
    let writer =
        PacketWriter { out, held: Vec::new(), held_bytes: 0, held_since: Instant::now(), age_max: PACKET_AGE_MAX };
    (writer, Packets { incoming, ready: Vec::new().into_iter(), is_last: false, cancel })
}

impl PacketWriter {
    /// Takes a message that is not the last one.
    pub fn send(&mut self, message: Bytes) -> Result<(), NobodyTakes> {
        if self.held.is_empty() {
            self.held_since = Instant::now();
        }
        self.held_bytes += message.len();
        self.held.push(message);
        if self.held_bytes < PACKET_BYTES && self.held_since.elapsed() < self.age_max {
            return Ok(());
        }
        self.hand_on(false)
    }

    /// Takes the last message, or why there is none. Nobody may be left to hear it.
    pub fn end(mut self, last: Result<Bytes, Status>) {
        match last {
            Ok(message) => {
                self.held.push(message);
                let _ = self.hand_on(true);
            }
            Err(status) => drop(self.out.blocking_send(Err(status))),
        }
    }

    fn hand_on(&mut self, is_last: bool) -> Result<(), NobodyTakes> {
        self.held_bytes = 0;
        let packet = Packet { messages: std::mem::take(&mut self.held), is_last };
        self.out.blocking_send(Ok(packet)).map_err(|_| NobodyTakes)
    }
}

impl Packets {
    /// Waits for the first packet; an answer that failed before there was one is nothing but its error.
    pub async fn begun(mut self) -> Result<Self, Status> {
        match self.incoming.recv().await {
            Some(packet) => self.open(packet?),
            None => return Err(Status::internal("the work ended badly")),
        }
        Ok(self)
    }

    fn open(&mut self, packet: Packet) {
        (self.ready, self.is_last) = (packet.messages.into_iter(), packet.is_last);
    }
}

impl Stream for Packets {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(message) = self.ready.next() {
                return Poll::Ready(Some(Ok(message)));
            }
            if self.is_last {
                return Poll::Ready(None);
            }
            match ready!(self.incoming.poll_recv(context)) {
                Some(Ok(packet)) => self.open(packet),
                Some(Err(status)) => {
                    self.is_last = true;
                    return Poll::Ready(Some(Err(status)));
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for Packets {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    /// The messages that are there without waiting, as often as one has to wait.
    fn pieces(packets: Packets) -> Vec<Vec<Bytes>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it starts");
        runtime.block_on(async {
            let mut packets = packets.begun().await.expect("there is one");
            let mut pieces = vec![Vec::new()];
            loop {
                let next = std::future::poll_fn(|context| match Pin::new(&mut packets).poll_next(context) {
                    Poll::Ready(next) => Poll::Ready(Some(next)),
                    Poll::Pending => Poll::Ready(None),
                });
                let next = match next.await {
                    Some(next) => next,
                    None => {
                        pieces.push(Vec::new());
                        packets.next().await
                    }
                };
                match next {
                    Some(message) => pieces.last_mut().expect("one").push(message.expect("no error")),
                    None => return pieces,
                }
            }
        })
    }

    #[test]
    fn a_small_answer_is_one_piece_whose_end_nobody_waits_for() {
        let cancel = Cancel::default();
        let (mut writer, packets) = packets(cancel.clone());
        writer.age_max = Duration::MAX;
        let made = std::thread::spawn(move || {
            writer.send(Bytes::from_static(b"head")).expect("taken");
            writer.send(Bytes::from_static(b"series")).expect("taken");
            writer.end(Ok(Bytes::from_static(b"end")));
        });
        assert_eq!(pieces(packets), [["head", "series", "end"].map(Bytes::from)]);
        made.join().expect("it ends");
        assert!(cancel.is_cancelled(), "nobody takes anything any more");
    }

    #[test]
    fn a_large_message_leaves_at_once_and_an_error_follows() {
        let (mut writer, packets) = packets(Cancel::default());
        let made = std::thread::spawn(move || {
            writer.send(Bytes::from(vec![0; PACKET_BYTES])).expect("taken");
            writer.end(Err(Status::internal("broken")));
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it starts");
        runtime.block_on(async {
            let mut packets = packets.begun().await.expect("there is one");
            assert_eq!(packets.next().await.expect("some").expect("no error").len(), PACKET_BYTES);
            assert!(packets.next().await.expect("some").is_err());
            assert!(packets.next().await.is_none());
        });
        made.join().expect("it ends");
    }

    #[test]
    fn work_that_fails_at_once_or_ends_badly_is_an_error() {
        let (writer, failed) = packets(Cancel::default());
        let made = std::thread::spawn(move || writer.end(Err(Status::internal("broken"))));
        let (writer, gone) = packets(Cancel::default());
        drop(writer);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it starts");
        let began = runtime.block_on(async { (failed.begun().await.is_ok(), gone.begun().await.is_ok()) });
        assert_eq!(began, (false, false));
        made.join().expect("it ends");
        let (mut writer, nobody) = packets(Cancel::default());
        drop(nobody);
        assert!(writer.send(Bytes::from(vec![0; PACKET_BYTES])).is_err());
    }
}
