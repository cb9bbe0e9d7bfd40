//! Native imports: records of a body of any length, as they come.

use basalt_http::{Request, Response, StatusCode, empty};
use decode::{
    Malformed, StreamUnpacker,
    native::{Native, RECORD_BYTES_MAX},
    rows::{Rows, Sink},
};

use crate::{
    Entered, Receiver,
    body::{check_method, extra_labels},
    lines::packing,
    rejection::Rejection,
    session::Session,
    stream::{ByteStream, CHUNK_BYTES},
};

impl Receiver {
    pub(crate) async fn import_native(
        &self,
        Entered { door, tenant }: Entered,
        mut request: Request,
    ) -> Result<Response, Rejection> {
        check_method(&request)?;
        let labels = self.labels_with(extra_labels(&request.query_params())?);
        let mut session = Session::new(self, tenant, door.kind(), &labels);
        self.read_records(&mut request, &mut session).await?;
        let taken = session.end().check()?;
        Ok(self.name_refused(&taken, door.protocol(), empty(StatusCode::NO_CONTENT)))
    }

    async fn read_records(&self, request: &mut Request, session: &mut Session<'_>) -> Result<(), Rejection> {
        let mut native = Native::default();
        let packing = packing(request)?;
        let Some(unpacker) = StreamUnpacker::new(packing) else {
            let mut workspace = session.unpack_body(request, packing, self.body_bytes_max).await?;
            let (body, rows) = workspace.body_and_rows();
            let left = session.records(&mut native, body, rows).await?;
            session.insert_rows(rows).await?;
            return if left == 0 { Ok(()) } else { Err(session.broken(CUT)) };
        };
        let mut stream = ByteStream::new(self, unpacker?, &mut request.body, RECORD_BYTES_MAX);
        let mut wanted = CHUNK_BYTES;
        loop {
            stream.fill(wanted).await?;
            session.enter(stream.bytes().len()).await?;
            let mut workspace = self.pool.workspace();
            let rows = &mut workspace.pairs;
            let left = session.records(&mut native, stream.bytes(), rows).await?;
            session.insert_rows(rows).await?;
            session.leave();
            let taken = stream.bytes().len() - left;
            session.count_bytes(taken as u64);
            stream.consume(taken);
            if stream.is_ended() {
                return if left == 0 { Ok(()) } else { Err(session.broken(CUT)) };
            }
            // A record that is longer than a chunk is waited for; its length was checked.
            wanted = if taken == 0 { RECORD_BYTES_MAX } else { CHUNK_BYTES };
        }
    }
}

const CUT: Malformed = Malformed { what: "the last record is cut", at: 0 };

impl Session<'_> {
    /// Reads whole records; gives how many bytes are left behind them.
    async fn records(&mut self, native: &mut Native, bytes: &[u8], rows: &mut Rows) -> Result<usize, Rejection> {
        let mut at = 0;
        loop {
            let taken = native.read(&bytes[at..], rows);
            let taken = taken.map_err(|error| self.broken(Malformed { at: at + error.at, ..error }))?;
            at += taken;
            if taken == 0 {
                return Ok(bytes.len() - at);
            }
            if rows.is_full() {
                self.flush(rows).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{ask, post, receiver, store};

    fn record(name: &str) -> Vec<u8> {
        let part = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
        [part(format!("{name}\u{1}").as_bytes()), part(&[2, 10, 2, 1, 2, 3, 1, 4, 0])].concat()
    }

    #[tokio::test]
    async fn records_come_in() {
        let store = store(1000, Ok(()));
        let receiver = receiver(&store);
        let range = [0u64.to_be_bytes(), 100u64.to_be_bytes()].concat();
        let body = [range.clone(), record("a"), record("b")].concat();
        let address = "/insert/5/prometheus/api/v1/import/native?extra_label=x=y";
        assert_eq!(ask(&receiver, post(address, body.clone())).await, (204, String::new(), String::new()));
        assert_eq!(store.take(), ["5:0 __name__=a,x=y 0.5@1 0.5@3", "5:0 __name__=b,x=y 0.5@1 0.5@3"]);

        let many: Vec<u8> = (0..50_000).flat_map(|n| record(&format!("metric_{n}"))).collect();
        assert_eq!(ask(&receiver, post(address, [range, many].concat())).await.0, 204);
        assert_eq!(store.take().len(), 50_000);

        let (status, _, why) = ask(&receiver, post(address, body[..body.len() - 1].to_vec())).await;
        assert!(status == 400 && why.contains("cut"), "{status} {why}");
        let (status, _, why) = ask(&receiver, post(address, [body, vec![0xff; 4]].concat())).await;
        assert!(status == 400 && why.contains("1 MiB"), "{status} {why}");
        assert_eq!(ask(&receiver, post(address, "")).await.0, 204);
    }
}
