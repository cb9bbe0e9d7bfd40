//! Messages of a copy: what one node gives another of a part.
//!
//! The first byte says what it is: 0 a part begins (length of its index and of its columns, 8 bytes each), 1 the next of its bytes, 2 the end. A copy without its
//! end was cut off.

use bytes::Bytes;
use storage_api::CopyPiece;

/// A message that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyFrame {
    /// A part begins.
    Begin {
        /// Bytes of its index.
        index_bytes: u64,
        /// Bytes of its columns.
        columns_bytes: u64,
    },
    /// The next of its bytes.
    Bytes(Bytes),
    /// There is no more.
    End,
}

/// The message of a piece.
pub fn write(piece: CopyPiece<'_>) -> Bytes {
    match piece {
        CopyPiece::Begin { index_bytes, columns_bytes } => {
            let mut message = vec![0];
            message.extend_from_slice(&index_bytes.to_le_bytes());
            message.extend_from_slice(&columns_bytes.to_le_bytes());
            message.into()
        }
        CopyPiece::Bytes(bytes) => {
            let mut message = Vec::with_capacity(1 + bytes.len());
            message.push(1);
            message.extend_from_slice(bytes);
            message.into()
        }
    }
}

/// The last message.
pub fn end() -> Bytes {
    Bytes::from_static(&[2])
}

/// Reads a message.
pub fn read(message: &Bytes) -> Result<CopyFrame, &'static str> {
    let number = |at: usize| {
        let bytes: Option<[u8; 8]> = message.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_le_bytes).ok_or("a part without its lengths")
    };
    match message.first() {
        Some(0) if message.len() == 17 => Ok(CopyFrame::Begin { index_bytes: number(1)?, columns_bytes: number(9)? }),
        Some(1) => Ok(CopyFrame::Bytes(message.slice(1..))),
        Some(2) if message.len() == 1 => Ok(CopyFrame::End),
        _ => Err("a piece of a copy that is none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_and_others_are_refused() {
        let begin = CopyPiece::Begin { index_bytes: 7, columns_bytes: u64::MAX };
        assert_eq!(read(&write(begin)), Ok(CopyFrame::Begin { index_bytes: 7, columns_bytes: u64::MAX }));
        assert_eq!(read(&write(CopyPiece::Bytes(b"abc"))), Ok(CopyFrame::Bytes(Bytes::from_static(b"abc"))));
        assert_eq!(read(&end()), Ok(CopyFrame::End));
        for wrong in [&b""[..], &b"\x00abc"[..], &b"\x02x"[..], &b"\x09"[..]] {
            assert!(read(&Bytes::copy_from_slice(wrong)).is_err(), "{wrong:?}");
        }
    }
}
