//! Undoing the compression of a body piece by piece, in memory that does not depend on its length.
//!
//! 1. Each step takes some of the input and unfolds it to a bounded piece: gzip gets little at once (it unfolds at most 1032 times), the others get
//!    limited room.
//! 2. A stream that ends in the middle is an error, and so is rubbish behind it.

use std::{fmt, io::Write};

use flate2::{Decompress, FlushDecompress, Status, write::MultiGzDecoder};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use crate::{Packing, error::UnpackError};

/// Gzip gets so many bytes at once, which unfold to half a megabyte at most.
const GZIP_PIECE_BYTES: usize = 512;
/// The others get room for so many bytes at once.
const ROOM_BYTES: usize = 128 << 10;
const CUT: &str = "it ends in the middle";
/// Frames that want a bigger window than 2^this bytes are refused.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// What an unpacker of gzip or deflate keeps between two steps.
const INFLATE_BYTES: usize = 48 << 10;

/// Unpacks a stream.
pub struct StreamUnpacker(State);

enum State {
    Plain,
    Gzip { stream: MultiGzDecoder<Vec<u8>>, begun: bool },
    Zlib { stream: Decompress, begun: bool, ended: bool },
    Zstd { stream: Decoder<'static>, begun: bool, in_frame: bool },
}

impl fmt::Debug for StreamUnpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Plain => "StreamUnpacker(plain)",
            State::Gzip { .. } => "StreamUnpacker(gzip)",
            State::Zlib { .. } => "StreamUnpacker(deflate)",
            State::Zstd { .. } => "StreamUnpacker(zstd)",
        })
    }
}

impl StreamUnpacker {
    /// An unpacker for a stream; `None` for snappy, whose blocks cannot be taken apart.
    pub fn new(packing: Packing) -> Option<Result<Self, UnpackError>> {
        Some(Ok(Self(match packing {
            Packing::Plain => State::Plain,
            Packing::Gzip => State::Gzip { stream: MultiGzDecoder::new(Vec::new()), begun: false },
            Packing::Deflate => State::Zlib { stream: Decompress::new(true), begun: false, ended: false },
            Packing::Zstd => {
                let stream = Decoder::new().and_then(|mut stream| {
                    stream.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                    Ok(stream)
                });
                match stream {
                    Ok(stream) => State::Zstd { stream, begun: false, in_frame: false },
                    Err(error) => return Some(Err(broken("zstd", &error))),
                }
            }
            Packing::Snappy => return None,
        })))
    }

    /// Unpacks the start of `input` behind what `out` holds, and says how much of it was taken. Takes all in several steps.
    pub fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, UnpackError> {
        match &mut self.0 {
            State::Plain => {
                out.extend_from_slice(input);
                Ok(input.len())
            }
            State::Gzip { stream, begun } => {
                *begun = true;
                gzip_step(stream, input, out)
            }
            State::Zlib { stream, begun, ended } => {
                *begun = true;
                zlib_step(stream, ended, input, out)
            }
            State::Zstd { stream, begun, in_frame } => {
                *begun = true;
                zstd_step(stream, in_frame, input, out)
            }
        }
    }

    /// What it may keep between two steps. A frame says how large its window is, but the next one may say otherwise.
    pub fn held_bytes(&self) -> usize {
        match self.0 {
            State::Gzip { begun: true, .. } | State::Zlib { begun: true, .. } => INFLATE_BYTES,
            State::Zstd { begun: true, .. } => (1 << ZSTD_WINDOW_LOG_MAX) + ROOM_BYTES,
            _ => 0,
        }
    }

    /// Unpacks what is left inside, and fails if the stream has no proper end.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), UnpackError> {
        match &mut self.0 {
            State::Gzip { stream, begun: true } => {
                stream.try_finish().map_err(|error| broken("gzip", &error))?;
                out.append(stream.get_mut());
            }
            State::Zlib { stream, begun: true, ended } => {
                while !*ended {
                    let before = out.len();
                    zlib_step(stream, ended, &[], out)?;
                    if out.len() == before && !*ended {
                        return Err(broken("deflate", &CUT));
                    }
                }
            }
            State::Zstd { stream, in_frame, .. } => {
                while *in_frame {
                    let before = out.len();
                    zstd_step(stream, in_frame, &[], out)?;
                    if out.len() == before && *in_frame {
                        return Err(broken("zstd", &CUT));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn gzip_step(stream: &mut MultiGzDecoder<Vec<u8>>, input: &[u8], out: &mut Vec<u8>) -> Result<usize, UnpackError> {
    let piece = &input[..input.len().min(GZIP_PIECE_BYTES)];
    let taken = stream.write(piece).map_err(|error| broken("gzip", &error))?;
    out.append(stream.get_mut());
    if taken == 0 && !piece.is_empty() {
        return Err(broken("gzip", &"more behind its end"));
    }
    Ok(taken)
}

fn zlib_step(stream: &mut Decompress, ended: &mut bool, input: &[u8], out: &mut Vec<u8>) -> Result<usize, UnpackError> {
    if *ended {
        return if input.is_empty() { Ok(0) } else { Err(broken("deflate", &"more behind its end")) };
    }
    let (taken_before, start) = (stream.total_in(), out.len());
    out.resize(start + ROOM_BYTES, 0);
    let made_before = stream.total_out();
    let status = stream.decompress(input, &mut out[start..], FlushDecompress::None);
    out.truncate(start + (stream.total_out() - made_before) as usize);
    let taken = (stream.total_in() - taken_before) as usize;
    match status.map_err(|error| broken("deflate", &error))? {
        Status::StreamEnd => *ended = true,
        Status::BufError if taken == 0 && out.len() == start && !input.is_empty() => {
            return Err(broken("deflate", &"it goes no further"));
        }
        _ => {}
    }
    Ok(taken)
}

fn zstd_step(
    stream: &mut Decoder<'static>,
    in_frame: &mut bool,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<usize, UnpackError> {
    let mut source = InBuffer::around(input);
    let start = out.len();
    out.resize(start + ROOM_BYTES, 0);
    let mut target = OutBuffer::around(&mut out[start..]);
    let ran = stream.run(&mut source, &mut target);
    let written = target.pos();
    out.truncate(start + written);
    let hint = ran.map_err(|error| broken("zstd", &error))?;
    *in_frame = hint != 0;
    if source.pos() == 0 && written == 0 && !input.is_empty() {
        return Err(broken("zstd", &"it goes no further"));
    }
    Ok(source.pos())
}

fn broken(packing: &'static str, why: &dyn fmt::Display) -> UnpackError {
    UnpackError::Broken { packing, why: why.to_string() }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };

    use super::*;

    pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
        let mut stream = GzEncoder::new(Vec::new(), Compression::default());
        stream.write_all(body).expect("gzip packs everything");
        stream.finish().expect("gzip ends")
    }

    pub(crate) fn deflate(body: &[u8]) -> Vec<u8> {
        let mut stream = ZlibEncoder::new(Vec::new(), Compression::default());
        stream.write_all(body).expect("deflate packs everything");
        stream.finish().expect("deflate ends")
    }

    fn zstd(body: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(body, 1).expect("zstd packs everything")
    }

    /// Unpacks in pieces; also gives the longest output of a step.
    fn unpack(packing: Packing, packed: &[u8], piece: usize) -> Result<(Vec<u8>, usize), UnpackError> {
        let mut unpacker = StreamUnpacker::new(packing).expect("a stream")?;
        let (mut out, mut longest) = (Vec::new(), 0);
        for mut input in packed.chunks(piece) {
            while !input.is_empty() {
                let before = out.len();
                let taken = unpacker.step(input, &mut out)?;
                longest = longest.max(out.len() - before);
                input = &input[taken..];
            }
        }
        let before = out.len();
        unpacker.end(&mut out)?;
        longest = longest.max(out.len() - before);
        Ok((out, longest))
    }

    #[test]
    fn streams_come_back_in_any_pieces() {
        let body: Vec<u8> = (0..200_000u32).flat_map(|n| (n / 5).to_le_bytes()).collect();
        for (packing, packed) in [
            (Packing::Plain, body.clone()),
            (Packing::Gzip, gzip(&body)),
            (Packing::Deflate, deflate(&body)),
            (Packing::Zstd, zstd(&body)),
        ] {
            for piece in [1, 1000, usize::MAX] {
                let (out, _) = unpack(packing, &packed, piece).expect("a good stream");
                assert_eq!(out, body, "{packing:?} {piece}");
            }
            assert_eq!(unpack(packing, &[], 1).expect("nothing").0, b"");
            if packing == Packing::Plain {
                continue;
            }
            for cut in [1, packed.len() / 2, packed.len() - 1] {
                assert!(unpack(packing, &packed[..cut], 1000).is_err(), "{packing:?} cut at {cut}");
            }
            let longer = [&packed[..], b"rubbish"].concat();
            assert!(unpack(packing, &longer, 1000).is_err(), "{packing:?} with rubbish");
        }
        let twice = [gzip(&body), gzip(&body)].concat();
        assert_eq!(unpack(Packing::Gzip, &twice, 777).expect("two members").0.len(), 2 * body.len());
        let twice = [zstd(&body), zstd(&body)].concat();
        assert_eq!(unpack(Packing::Zstd, &twice, 777).expect("two frames").0.len(), 2 * body.len());
    }

    #[test]
    fn a_bomb_unfolds_in_bounded_steps() {
        let zeros = vec![0; 30 << 20];
        for (packing, packed) in
            [(Packing::Gzip, gzip(&zeros)), (Packing::Deflate, deflate(&zeros)), (Packing::Zstd, zstd(&zeros))]
        {
            let (out, longest) = unpack(packing, &packed, usize::MAX).expect("a good stream");
            assert_eq!(out.len(), zeros.len());
            assert!(longest <= 1 << 20, "{packing:?} made {longest} bytes in a step");
        }
    }
}
