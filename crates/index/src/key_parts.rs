//! A canonical series key, taken apart into the three pieces that the index is built of.
//!
//! 1. The *family*: tenant and metric name. The series of a family stand side by side in key order.
//! 2. The *origin*: all labels but the metric name and `le`. A container has one origin and some fifty metrics, a histogram has one origin
//!    and a dozen buckets; so origins are few where series are many, and terms point to origins instead of series.
//! 3. The *bound*: the value of `le`, if there is one.
//!
//! Inside a family, key order is the order of (origin, bound as a number); and the bytes of origins order like their labels one by one.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::{memchr, memmem};
use model::{BUCKET_BOUND, KeyBuilder, SeriesKey, Tenant};

const TENANT_BYTES: usize = 8;
const BOUND_ORDER_BYTES: usize = 8;

/// The pieces of a key, as they stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyParts<'a> {
    /// Tenant and metric name.
    pub(crate) family: &'a [u8],
    /// The labels between, each name and value closed by a zero byte.
    pub(crate) origin: &'a [u8],
    /// The value of `le`, still escaped.
    bound: Option<&'a [u8]>,
}

impl<'a> KeyParts<'a> {
    /// Takes a key apart. It is whole, as everything that is a [`SeriesKey`].
    #[inline]
    pub(crate) fn of(key: &'a SeriesKey) -> Self {
        static TWO_ZEROS: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\0\0"));
        let bytes = key.as_bytes();
        let metric_len = memchr(0, &bytes[TENANT_BYTES..]).expect("BUG: a key without metric name");
        let (family, rest) = bytes.split_at(TENANT_BYTES + metric_len + 1);
        // No name is empty and no text holds a zero byte: two zeros in a row can only be the end of a value and the mark before `le`.
        let origin_len = match rest.first() {
            None => 0,
            Some(0) => 0,
            Some(_) => TWO_ZEROS.find(rest).map_or(rest.len(), |at| at + 1),
        };
        let (origin, bound) = rest.split_at(origin_len);
        let bound = (!bound.is_empty()).then(|| &bound[1 + BOUND_ORDER_BYTES..bound.len() - 1]);
        Self { family, origin, bound }
    }

    /// Whose series it is.
    pub(crate) fn tenant(&self) -> Tenant {
        let number = |at| u32::from_be_bytes(*self.family[at..].first_chunk().expect("BUG: a key without tenant"));
        Tenant::new(number(0), number(4))
    }

    /// The metric name; empty if there is none.
    pub(crate) fn metric(&self) -> Cow<'a, [u8]> {
        unescape(&self.family[TENANT_BYTES..self.family.len() - 1])
    }

    /// The value of `le`.
    pub(crate) fn bound(&self) -> Option<Cow<'a, [u8]>> {
        self.bound.map(unescape)
    }
}

/// The labels of an origin by ascending name.
pub(crate) fn origin_labels(origin: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    let mut rest = origin;
    let mut text = move || {
        let end = memchr(0, rest)?;
        let text = &rest[..end];
        rest = &rest[end + 1..];
        Some(unescape(text))
    };
    std::iter::from_fn(move || Some((text()?, text()?)))
}

fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr(1, text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(if *byte == 1 { bytes.next().map_or(0, |code| code.wrapping_sub(1)) } else { *byte });
    }
    Cow::Owned(out)
}

/// Appends a text as keys hold it, with its closing zero.
#[inline]
pub(crate) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().any(|byte| *byte <= 1) {
        for byte in text {
            match byte {
                0 | 1 => out.extend_from_slice(&[1, byte + 1]),
                other => out.push(*other),
            }
        }
    } else {
        out.extend_from_slice(text);
    }
    out.push(0);
}

/// Appends tenant and metric name as keys hold them.
pub(crate) fn put_family(out: &mut Vec<u8>, tenant: Tenant, metric: &[u8]) {
    out.extend_from_slice(&tenant.account.to_be_bytes());
    out.extend_from_slice(&tenant.project.to_be_bytes());
    put_text(out, metric);
}

/// What a key ends with whose `le` is `bound`.
pub(crate) fn bound_suffix(bound: &str) -> Vec<u8> {
    let mut builder = KeyBuilder::new();
    builder.push(BUCKET_BOUND, bound);
    match builder.build(Tenant::DEFAULT) {
        // In front of it stand the tenant and the closing zero of an empty metric name.
        Ok(key) => key.as_bytes()[TENANT_BYTES + 1..].to_vec(),
        Err(error) => panic!("BUG: a bound makes no key: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(labels: &[(&str, &str)]) -> SeriesKey {
        let mut builder = KeyBuilder::new();
        labels.iter().for_each(|(name, value)| builder.push(name, value));
        builder.build(Tenant::new(1, 0x0200_0000)).expect("good labels")
    }

    #[test]
    fn a_key_is_the_sum_of_its_parts() {
        let sets: [&[(&str, &str)]; 8] = [
            &[("__name__", "m")],
            &[("le", "0.5")],
            &[("__name__", "m"), ("le", "+Inf")],
            &[("__name__", "m"), ("a", "1"), ("b", "2")],
            &[("a", "1"), ("le", "1")],
            &[("__name__", "m\u{0}\u{1}"), ("a\u{1}", "\u{0}\u{0}"), ("b", "\u{1}"), ("le", "\u{1}")],
            // The number of this bound begins with zero bytes.
            &[("a", "1"), ("le", "-1.7976931348623157e308")],
            &[("a", "1"), ("le", "-Inf")],
        ];
        for labels in sets {
            let key = key(labels);
            let parts = KeyParts::of(&key);
            let mut bytes = Vec::new();
            put_family(&mut bytes, parts.tenant(), &parts.metric());
            assert_eq!(bytes, parts.family);
            let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            if !parts.metric().is_empty() {
                found.push((b"__name__".to_vec(), parts.metric().into_owned()));
            }
            for (name, value) in origin_labels(parts.origin) {
                put_text(&mut bytes, &name);
                put_text(&mut bytes, &value);
                found.push((name.into_owned(), value.into_owned()));
            }
            if let Some(bound) = parts.bound() {
                bytes.extend(bound_suffix(std::str::from_utf8(&bound).expect("text")));
                found.push((b"le".to_vec(), bound.into_owned()));
            }
            assert_eq!(bytes, key.as_bytes());
            let want: Vec<_> = labels.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
            assert_eq!(found, want);
        }
    }
}
