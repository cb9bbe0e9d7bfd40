//! Compression of answers, as the client accepts it.
//!
//! 1. [`Packing::accepted`] reads `Accept-Encoding`: zstd where it is taken as gladly as gzip, else gzip, else none.
//! 2. Answers that are whole are packed in one go if they are long enough to gain by it.
//! 3. Streams are written through [`Outgoing`]: plain text collects in a buffer, which is packed into the stream's chunks when it is full.

use std::io::Write;

use basalt_http::{Body, BodyWriter, Gone, HeaderValue, Response, header};
use flate2::{Compression, write::GzEncoder};

/// Shorter answers are not packed: they fit a packet or two as they are.
const WHOLE_BYTES_MIN: usize = 1400;
/// Plain text that is packed at once.
const PLAIN_BYTES: usize = 64 << 10;
/// Level of both: answers are packed once and read once, so speed counts most.
const LEVEL: i32 = 1;

/// How an answer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Packing {
    /// What the client takes, by its `Accept-Encoding`.
    pub fn accepted(header: Option<&str>) -> Self {
        let weight = |coding: &str| {
            let offers = header.unwrap_or("").split(',').map(|offer| offer.split_once(';').unwrap_or((offer, "")));
            let found = offers.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case(coding));
            let quality = |parameter: &str| parameter.trim().strip_prefix("q=").and_then(|q| q.trim().parse().ok());
            found.map_or(0.0, |(_, parameter)| quality(parameter).unwrap_or(1.0f32))
        };
        let (gzip, zstd) = (weight("gzip"), weight("zstd"));
        match () {
            () if zstd > 0.0 && zstd >= gzip => Self::Zstd,
            () if gzip > 0.0 => Self::Gzip,
            () => Self::Plain,
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// Says in the headers how the body is packed.
    pub fn declare(self, response: &mut Response) {
        if let Some(name) = self.name() {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
    }

    /// Packs an answer that is whole, if it gains by it and was not packed before.
    pub async fn pack(self, mut response: Response) -> Response {
        let long = response.body().len_if_whole().is_some_and(|len| len >= WHOLE_BYTES_MIN);
        if self == Self::Plain || !long || response.headers().contains_key(header::CONTENT_ENCODING) {
            return response;
        }
        let body = std::mem::replace(response.body_mut(), Body::empty());
        let plain = body.collect().await.expect("BUG: a whole body cannot break off");
        // A few hundred microseconds for the longest answers that are not streams.
        let mut packer = Packer::new(self);
        packer.write(&plain);
        *response.body_mut() = Body::whole(packer.finish());
        self.declare(&mut response);
        response
    }
}

/// Packs piece by piece into memory.
enum Packer {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Packer {
    fn new(packing: Packing) -> Self {
        match packing {
            Packing::Plain => Self::Plain(Vec::new()),
            Packing::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::new(LEVEL as u32))),
            Packing::Zstd => {
                let encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL);
                Self::Zstd(encoder.expect("BUG: the level is a valid one"))
            }
        }
    }

    fn write(&mut self, plain: &[u8]) {
        let written = match self {
            Self::Plain(out) => out.write_all(plain),
            Self::Gzip(encoder) => encoder.write_all(plain),
            Self::Zstd(encoder) => encoder.write_all(plain),
        };
        written.expect("BUG: packing into memory cannot fail");
    }

    /// What has come out so far and was not taken.
    fn packed(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Plain(out) => out,
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }

    fn finish(self) -> Vec<u8> {
        let finished = match self {
            Self::Plain(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        };
        finished.expect("BUG: packing into memory cannot fail")
    }
}

/// Where an answer is written to.
pub trait Sink {
    /// Where to append.
    fn buffer(&mut self) -> &mut Vec<u8>;

    /// Passes on what was appended if it is enough; fails when the client has left.
    fn flush_if_full(&mut self) -> Result<(), Gone>;
}

impl Sink for Vec<u8> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self
    }

    fn flush_if_full(&mut self) -> Result<(), Gone> {
        Ok(())
    }
}

/// A stream on its way to a client.
pub struct Outgoing {
    writer: BodyWriter,
    plain: Vec<u8>,
    packer: Option<Packer>,
}

impl Outgoing {
    /// A stream that is packed as the client accepts it.
    pub fn new(writer: BodyWriter, packing: Packing) -> Self {
        let packer = (packing != Packing::Plain).then(|| Packer::new(packing));
        Self { writer, plain: Vec::new(), packer }
    }

    /// Whether nobody reads it any more.
    pub fn is_gone(&self) -> bool {
        self.writer.is_gone()
    }

    /// Sends the rest and says that the answer is whole.
    pub fn finish(self) -> Result<(), Gone> {
        let Self { mut writer, plain, packer } = self;
        if let Some(mut packer) = packer {
            packer.write(&plain);
            writer.buffer().extend_from_slice(&packer.finish());
        }
        writer.finish()
    }
}

impl Sink for Outgoing {
    fn buffer(&mut self) -> &mut Vec<u8> {
        if self.packer.is_some() { &mut self.plain } else { self.writer.buffer() }
    }

    fn flush_if_full(&mut self) -> Result<(), Gone> {
        if let Some(packer) = &mut self.packer
            && self.plain.len() >= PLAIN_BYTES
        {
            packer.write(&self.plain);
            self.plain.clear();
            self.writer.buffer().append(packer.packed());
        }
        self.writer.flush_if_full()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use basalt_http::{StatusCode, json};

    use super::*;

    #[test]
    fn clients_name_what_they_take() {
        for (header, want) in [
            (None, Packing::Plain),
            (Some(""), Packing::Plain),
            (Some("gzip"), Packing::Gzip),
            (Some("gzip, deflate, br, zstd"), Packing::Zstd),
            (Some("GZIP;q=1.0, zstd;q=0.5"), Packing::Gzip),
            (Some("gzip;q=0"), Packing::Plain),
            (Some("identity, br"), Packing::Plain),
        ] {
            assert_eq!(Packing::accepted(header), want, "{header:?}");
        }
    }

    fn unpacked(response_body: &[u8], packing: Packing) -> Vec<u8> {
        let mut plain = Vec::new();
        match packing {
            Packing::Plain => plain.extend_from_slice(response_body),
            Packing::Gzip => {
                flate2::read::GzDecoder::new(response_body).read_to_end(&mut plain).map(drop).expect("gzip");
            }
            Packing::Zstd => plain = zstd::stream::decode_all(response_body).expect("zstd"),
        }
        plain
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn whole_answers_and_streams_are_packed() {
        let text: Vec<u8> = (0..60_000u32).flat_map(|n| n.to_string().into_bytes()).collect();
        for packing in [Packing::Plain, Packing::Gzip, Packing::Zstd] {
            let response = packing.pack(json(StatusCode::OK, text.clone())).await;
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), packing != Packing::Plain);
            let body = response.into_body().collect().await.expect("a whole body");
            assert_eq!(unpacked(&body, packing), text);

            let (writer, body) = Body::stream();
            let pieces = text.clone();
            tokio::task::spawn_blocking(move || {
                let mut out = Outgoing::new(writer, packing);
                for piece in pieces.chunks(1000) {
                    out.buffer().extend_from_slice(piece);
                    out.flush_if_full().expect("the client reads");
                }
                out.finish().expect("the client reads");
            });
            assert_eq!(unpacked(&body.collect().await.expect("it was finished"), packing), text);
        }
        let short = Packing::Gzip.pack(json(StatusCode::OK, "{}")).await;
        assert!(!short.headers().contains_key(header::CONTENT_ENCODING));
    }
}
