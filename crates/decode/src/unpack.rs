//! Undoing the compression of a body in bounded memory.
//!
//! 1. Snappy and zstd say at the start how long the result is. That number is held against the limit *before* any memory is given.
//! 2. The result goes into memory that is kept from body to body. It is never cleared: a body overwrites what the one before left, and only
//!    [`Unpacked::bytes`] of it is looked at.
//! 3. A zstd stream that does not say its length is unpacked piece by piece until it ends or passes the limit.

use std::{fmt, io::Read};

use crate::{error::UnpackError, stream::StreamUnpacker};

/// First bytes of every zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Frames that want a bigger window than 2^this bytes are refused.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Three bytes of snappy become 64 at most, so a body that says it becomes more than so many times its length is broken.
const SNAPPY_GROWTH_MAX: usize = 22;
/// Step by which the result of a zstd stream of unknown length grows.
const ZSTD_STEP_BYTES: usize = 256 << 10;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Snappy's block format.
    Snappy,
    /// Zstandard.
    Zstd,
    /// Gzip, one or more members.
    Gzip,
    /// What HTTP calls deflate: zlib.
    Deflate,
    /// Not at all.
    Plain,
}

impl Packing {
    /// The packing that a `Content-Encoding` names, in capital letters or small ones.
    pub fn named(encoding: &str) -> Option<Self> {
        match encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" | "none" => Some(Self::Plain),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "zstd" => Some(Self::Zstd),
            "snappy" => Some(Self::Snappy),
            _ => None,
        }
    }
}

/// An unpacked body, in memory that is used again for the next one.
#[derive(Default)]
pub struct Unpacked {
    memory: Vec<u8>,
    len: usize,
    snappy: snap::raw::Decoder,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl fmt::Debug for Unpacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unpacked({} of {} bytes)", self.len, self.memory.len())
    }
}

impl Unpacked {
    /// Unpacks a body that becomes at most `max` bytes. Some senders name the wrong packing; a body that is clearly zstd is taken as such.
    pub fn unpack(&mut self, packed: &[u8], packing: Packing, max: usize) -> Result<(), UnpackError> {
        self.len = 0;
        match packing {
            Packing::Zstd if packed.starts_with(&ZSTD_MAGIC) => self.unpack_zstd(packed, max),
            Packing::Zstd => self.unpack_snappy(packed, max).map_err(|error| match error {
                UnpackError::Broken { .. } => broken("zstd", "wrong magic number"),
                other => other,
            }),
            Packing::Snappy => match self.unpack_snappy(packed, max) {
                Err(_) if packed.starts_with(&ZSTD_MAGIC) => self.unpack_zstd(packed, max),
                outcome => outcome,
            },
            Packing::Plain => {
                check(packed.len() as u64, max)?;
                self.set(packed);
                Ok(())
            }
            Packing::Gzip | Packing::Deflate => self.unpack_stream(packed, packing, max),
        }
    }

    /// The body.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[..self.len]
    }

    /// Appends behind the body, for labels that had to be brought together.
    pub(crate) fn append(&mut self, more: &[u8]) {
        self.reserve(self.len + more.len());
        self.memory[self.len..][..more.len()].copy_from_slice(more);
        self.len += more.len();
    }

    /// Takes an unpacked body.
    pub fn set(&mut self, body: &[u8]) {
        self.len = 0;
        self.append(body);
    }

    /// Bytes of memory that it holds on to.
    pub fn held_bytes(&self) -> usize {
        self.memory.capacity()
    }

    fn reserve(&mut self, len: usize) {
        if self.memory.len() < len {
            self.memory.resize(len, 0);
        }
    }

    fn unpack_snappy(&mut self, packed: &[u8], max: usize) -> Result<(), UnpackError> {
        let wrong = |error: snap::Error| broken("snappy", error);
        let declared = snap::raw::decompress_len(packed).map_err(wrong)?;
        check(declared as u64, max)?;
        if declared / SNAPPY_GROWTH_MAX > packed.len() {
            return Err(broken("snappy", format_args!("{} bytes cannot become {declared}", packed.len())));
        }
        self.reserve(declared);
        self.len = self.snappy.decompress(packed, &mut self.memory[..declared]).map_err(wrong)?;
        Ok(())
    }

    fn unpack_zstd(&mut self, packed: &[u8], max: usize) -> Result<(), UnpackError> {
        let Ok(Some(declared)) = zstd::zstd_safe::get_frame_content_size(packed) else {
            return self.unpack_zstd_stream(packed, max);
        };
        check(declared, max)?;
        self.reserve(declared as usize);
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(zstd::bulk::Decompressor::new().map_err(|error| broken("zstd", error))?),
        };
        match zstd.decompress_to_buffer(packed, &mut self.memory[..declared as usize]) {
            Ok(len) => {
                self.len = len;
                Ok(())
            }
            // Several frames in a row are longer than the first one says.
            Err(_) => self.unpack_zstd_stream(packed, max),
        }
    }

    fn unpack_stream(&mut self, packed: &[u8], packing: Packing, max: usize) -> Result<(), UnpackError> {
        let mut unpacker = StreamUnpacker::new(packing).expect("BUG: this packing is a stream")?;
        self.memory.clear();
        let too_long = |memory: &mut Vec<u8>| {
            if memory.len() <= max {
                return Ok(());
            }
            memory.clear();
            Err(UnpackError::TooLong { declared: None, max })
        };
        let mut input = packed;
        while !input.is_empty() {
            let taken = unpacker.step(input, &mut self.memory)?;
            input = &input[taken..];
            too_long(&mut self.memory)?;
        }
        unpacker.end(&mut self.memory)?;
        too_long(&mut self.memory)?;
        self.len = self.memory.len();
        Ok(())
    }

    fn unpack_zstd_stream(&mut self, packed: &[u8], max: usize) -> Result<(), UnpackError> {
        let wrong = |error: std::io::Error| broken("zstd", error);
        let mut stream = zstd::stream::read::Decoder::with_buffer(packed).map_err(wrong)?;
        stream.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(wrong)?;
        self.len = 0;
        loop {
            // One byte over the limit is asked for, to tell a body that ends there from one that goes on.
            let room = ZSTD_STEP_BYTES.min(max + 1 - self.len);
            self.reserve(self.len + room);
            let read = stream.read(&mut self.memory[self.len..][..room]).map_err(wrong)?;
            self.len += read;
            if self.len > max {
                self.len = 0;
                return Err(UnpackError::TooLong { declared: None, max });
            }
            if read == 0 {
                return Ok(());
            }
        }
    }
}

fn check(declared: u64, max: usize) -> Result<(), UnpackError> {
    if declared > max as u64 {
        return Err(UnpackError::TooLong { declared: Some(declared), max });
    }
    Ok(())
}

fn broken(packing: &'static str, why: impl fmt::Display) -> UnpackError {
    UnpackError::Broken { packing, why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::stream::tests::{deflate, gzip};

    fn body() -> Vec<u8> {
        (0..100_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect()
    }

    fn snappy(body: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(body).expect("snappy packs everything")
    }

    fn zstd_stream(body: &[u8]) -> Vec<u8> {
        let mut stream = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("zstd starts");
        stream.write_all(body).expect("zstd packs everything");
        stream.finish().expect("zstd ends")
    }

    #[test]
    fn packings_are_named_in_any_letters() {
        assert_eq!([Packing::named("GZIP"), Packing::named("Zstd ")], [Some(Packing::Gzip), Some(Packing::Zstd)]);
        assert_eq!(Packing::named("br"), None);
    }

    #[test]
    fn bodies_come_back() {
        let body = body();
        let zstd = zstd::bulk::compress(&body, 1).expect("zstd packs everything");
        let mut two_frames = zstd.clone();
        two_frames.extend_from_slice(&zstd);
        let mut unpacked = Unpacked::default();
        for (packed, packing, times) in [
            (&snappy(&body), Packing::Snappy, 1),
            (&zstd, Packing::Zstd, 1),
            (&zstd, Packing::Snappy, 1),
            (&snappy(&body), Packing::Zstd, 1),
            (&zstd_stream(&body), Packing::Zstd, 1),
            (&two_frames, Packing::Zstd, 2),
            (&gzip(&body), Packing::Gzip, 1),
            (&deflate(&body), Packing::Deflate, 1),
        ] {
            let max = body.len() * times;
            assert_eq!(unpacked.unpack(packed, packing, max), Ok(()));
            assert_eq!(unpacked.bytes(), body.repeat(times));
            let error = unpacked.unpack(packed, packing, max - 1).expect_err("one byte too long");
            assert!(matches!(error, UnpackError::TooLong { .. }), "{error}");
            assert!(unpacked.unpack(&packed[..packed.len() - 1], packing, max).is_err());
        }
        assert_eq!(unpacked.unpack(b"plain", Packing::Plain, 5), Ok(()));
        assert_eq!(unpacked.bytes(), b"plain");
        assert!(unpacked.unpack(b"plain", Packing::Plain, 4).is_err());
        unpacked.set(b"ab");
        unpacked.append(b"c");
        assert_eq!(unpacked.bytes(), b"abc");
    }

    #[test]
    fn a_bomb_gets_no_memory() {
        let mut unpacked = Unpacked::default();
        // A snappy header that promises 4 GiB.
        let error = unpacked.unpack(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], Packing::Snappy, 1000).expect_err("a bomb");
        assert_eq!(error, UnpackError::TooLong { declared: Some(u64::from(u32::MAX)), max: 1000 });
        let error = unpacked.unpack(&[0x80, 0x80, 0x80, 0x08, 0], Packing::Snappy, 32 << 20).expect_err("a lie");
        assert!(error.to_string().contains("5 bytes cannot become 16777216"), "{error}");
        assert_eq!(unpacked.held_bytes(), 0);
        let bomb = zstd_stream(&vec![0; 50 << 20]);
        assert!(unpacked.unpack(&bomb, Packing::Zstd, 1 << 20).is_err());
        assert!(unpacked.held_bytes() <= 4 << 20, "{unpacked:?} {}", unpacked.held_bytes());
    }
}
