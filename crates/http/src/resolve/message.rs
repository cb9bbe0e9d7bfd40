//! Questions and answers about names (RFC 1035), as far as addresses need them.
//!
//! ```text
//! header     number 2 | flags 2 | questions 2 | answers 2 | authorities 2 | further 2
//! question   name | kind 2 | class 2
//! record     name | kind 2 | class 2 | seconds 4 | length 2 | data
//! name       (length 1, text)* 0, or two bytes that point back at a name
//! ```
//!
//! An answer counts if it repeats number and question. Its records are taken whatever name they are for: a server that follows aliases for us, as it
//! is asked to, puts the addresses at the end of the chain.

use std::net::IpAddr;

/// Addresses of version 4.
pub const ADDRESS_4: u16 = 1;
/// Addresses of version 6.
pub const ADDRESS_6: u16 = 28;

const INTERNET: u16 = 1;
const HEADER_BYTES: usize = 12;
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// More records than this are not looked at.
const RECORDS_MAX: u16 = 128;

const RECURSION_WANTED: u16 = 0x0100;
const IS_ANSWER: u16 = 0x8000;
const IS_CUT: u16 = 0x0200;
const OUTCOME: u16 = 0x000f;
const NO_SUCH_NAME: u16 = 3;

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// These; none if the name is unknown or has none of this kind.
    Addresses(Vec<IpAddr>),
    /// More than fits.
    Cut,
}

/// Whether a text can be asked for.
pub fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.len() <= LABEL_BYTES_MAX && label.bytes().all(fine)
    };
    text.len() <= NAME_BYTES_MAX && text.split('.').all(is_label)
}

/// A question.
pub fn question(number: u16, name: &str, kind: u16) -> Vec<u8> {
    debug_assert!(is_name(name), "BUG: names are checked before they are asked for");
    let mut out = Vec::with_capacity(HEADER_BYTES + name.len() + 6);
    for field in [number, RECURSION_WANTED, 1, 0, 0, 0] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&INTERNET.to_be_bytes());
    out
}

/// Reads an answer; `None` if it answers something else, is broken, or says that the server could not answer.
pub fn read(answer: &[u8], question: &[u8]) -> Option<Answer> {
    let field = |at: usize| Some(u16::from_be_bytes(*answer.get(at..)?.first_chunk()?));
    let flags = field(2)?;
    let repeats = answer.get(HEADER_BYTES..question.len())? == question.get(HEADER_BYTES..)?;
    if flags & IS_ANSWER == 0 || field(0) != Some(u16::from_be_bytes([question[0], question[1]])) || !repeats {
        return None;
    }
    match flags & OUTCOME {
        0 => {}
        NO_SUCH_NAME => return Some(Answer::Addresses(Vec::new())),
        _ => return None,
    }
    if flags & IS_CUT != 0 {
        return Some(Answer::Cut);
    }
    let mut at = question.len();
    let mut found = Vec::new();
    for _ in 0..field(6)?.min(RECORDS_MAX) {
        at = behind_name(answer, at)?;
        let (kind, len) = (field(at)?, usize::from(field(at + 8)?));
        let data = answer.get(at + 10..at + 10 + len)?;
        match kind {
            ADDRESS_4 => found.push(IpAddr::from(<[u8; 4]>::try_from(data).ok()?)),
            ADDRESS_6 => found.push(IpAddr::from(<[u8; 16]>::try_from(data).ok()?)),
            _ => {}
        }
        at += 10 + len;
    }
    Some(Answer::Addresses(found))
}

/// Where a name ends.
fn behind_name(answer: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *answer.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer >= 0xc0 => return Some(at + 2),
            len => at += 1 + usize::from(len),
        }
    }
}

/// Entry points for fuzzers.
pub mod fuzz {
    /// Takes `data` as an answer to a question that it may begin with.
    pub fn fuzz_answer_of_names(data: &[u8]) {
        let question = super::question(7, "a.b", super::ADDRESS_4);
        super::read(data, &question);
        let mut answer = question.clone();
        answer[2] |= 0x80;
        answer.extend_from_slice(data);
        if let Some(count) = data.first() {
            answer[7] = *count;
        }
        super::read(&answer, &question);
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    fn with(question: &[u8], flags: u16, records: &[u8], count: u16) -> Vec<u8> {
        let mut out = question.to_vec();
        out[2..4].copy_from_slice(&(IS_ANSWER | flags).to_be_bytes());
        out[6..8].copy_from_slice(&count.to_be_bytes());
        out.extend_from_slice(records);
        out
    }

    /// An answer with an alias and addresses behind it.
    pub fn answer(question: &[u8], addresses: &[IpAddr]) -> Vec<u8> {
        let mut records = vec![0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 4, 1, b'x', 0xc0, 12];
        for address in addresses {
            let (kind, data) = match address {
                IpAddr::V4(four) => (ADDRESS_4, four.octets().to_vec()),
                IpAddr::V6(six) => (ADDRESS_6, six.octets().to_vec()),
            };
            records.extend_from_slice(&[1, b'x', 0]);
            records.extend_from_slice(&kind.to_be_bytes());
            records.extend_from_slice(&[0, 1, 0, 0, 0, 9, 0, data.len() as u8]);
            records.extend_from_slice(&data);
        }
        with(question, 0, &records, 1 + addresses.len() as u16)
    }

    pub fn cut(question: &[u8]) -> Vec<u8> {
        with(question, IS_CUT, &[], 0)
    }

    pub fn unknown(question: &[u8]) -> Vec<u8> {
        with(question, NO_SUCH_NAME, &[], 0)
    }

    #[test]
    fn answers_are_read() {
        let asked = question(7, "a.b", ADDRESS_4);
        let both: Vec<IpAddr> = vec![[1, 2, 3, 4].into(), "::5".parse().expect("an address")];
        let good = answer(&asked, &both);
        assert_eq!(read(&good, &asked), Some(Answer::Addresses(both)));
        assert_eq!(read(&cut(&asked), &asked), Some(Answer::Cut));
        assert_eq!(read(&unknown(&asked), &asked), Some(Answer::Addresses(vec![])));
        assert_eq!(read(&with(&asked, 2, &[], 0), &asked), None, "the server failed");
        assert_eq!(read(&asked, &asked), None, "a question is no answer");
        assert_eq!(read(&good, &question(8, "a.b", ADDRESS_4)), None);
        assert_eq!(read(&good, &question(7, "a.c", ADDRESS_4)), None);
        for len in 0..good.len() {
            assert_eq!(read(&good[..len], &asked), None, "cut at {len}");
        }
        for at in 0..good.len() {
            for byte in [0, 1, 0x3f, 0xc0, 0xff] {
                let mut broken = good.clone();
                broken[at] = byte;
                read(&broken, &asked);
                fuzz::fuzz_answer_of_names(&broken);
            }
        }
    }

    #[test]
    fn names_are_checked() {
        let long = "a".repeat(64);
        for (name, good) in [
            ("a", true),
            ("a.b-c_d.", true),
            ("", false),
            (".", false),
            ("a..b", false),
            ("a b", false),
            (&long, false),
        ] {
            assert_eq!(is_name(name), good, "{name}");
        }
        assert!(!is_name(&["a"; 130].join(".")));
    }
}
