//! What pairs mean, and the labels that a request adds to all of its rows.

use std::{fmt, sync::Arc};

use model::KeyBuilder;
use storage_api::{Encoding, Refusal, Resolved};

use super::{Pair, Pairs};
use crate::{LabelLimits, proto::put_varint};

/// A request adds no more labels.
const EXTRA_LABELS_MAX: usize = 1000;

/// What two labels of one name in a series mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// That the sender is wrong.
    Refuse,
    /// The last one.
    LastWins,
}

/// Labels that a request adds to all of its rows, in the place of the rows' own. Empty values take labels away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraLabels(Arc<[(String, String)]>);

/// Extra labels that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraLabelsError(String);

impl fmt::Display for ExtraLabelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ExtraLabelsError {}

impl ExtraLabels {
    /// Reads `name=value` texts; later ones win.
    pub fn parse<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, ExtraLabelsError> {
        let pair = |text: &str| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
            _ => Err(ExtraLabelsError(format!("cannot parse extra_label={text:?}: want name=value"))),
        };
        Self::new(texts.take(EXTRA_LABELS_MAX + 1).map(pair).collect::<Result<_, _>>()?)
    }

    /// Labels as pairs; later ones win.
    pub fn new(pairs: Vec<(String, String)>) -> Result<Self, ExtraLabelsError> {
        if pairs.len() > EXTRA_LABELS_MAX {
            return Err(ExtraLabelsError(format!("more than {EXTRA_LABELS_MAX} extra labels")));
        }
        let mut kept: Vec<(String, String)> = Vec::with_capacity(pairs.len());
        for pair in pairs {
            kept.retain(|(name, _)| *name != pair.0);
            kept.push(pair);
        }
        kept.sort();
        Ok(Self(kept.into()))
    }

    /// These labels and `more`, which win.
    pub fn and(&self, more: &Self) -> Result<Self, ExtraLabelsError> {
        Self::new(self.0.iter().chain(more.0.iter()).cloned().collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn replaces(&self, name: &[u8]) -> bool {
        self.0.iter().any(|(extra, _)| extra.as_bytes() == name)
    }

    pub(crate) fn push(&self, limits: &LabelLimits, labels: &mut KeyBuilder) -> Result<(), Refusal> {
        self.0.iter().try_for_each(|(name, value)| limits.push(labels, name.as_bytes(), value.as_bytes()))
    }

    /// The scope of an encoding with these labels.
    pub(crate) fn scope(&self, protocol: &str) -> Vec<u8> {
        let mut scope = protocol.as_bytes().to_vec();
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            scope.push(0);
            put_varint(&mut scope, text.len() as u64);
            scope.extend_from_slice(text.as_bytes());
        }
        scope
    }
}

/// Parses pairs.
#[derive(Debug, Clone)]
pub struct PairLabels {
    limits: LabelLimits,
    generation: u32,
    duplicates: Duplicates,
    extra: ExtraLabels,
    scope: Vec<u8>,
}

impl PairLabels {
    /// Labels under limits; `generation` is the number of the configuration that set them.
    pub fn new(limits: LabelLimits, generation: u32, duplicates: Duplicates, extra: ExtraLabels) -> Self {
        let protocol = match duplicates {
            Duplicates::Refuse => "strict pairs",
            Duplicates::LastWins => "pairs",
        };
        let scope = extra.scope(protocol);
        Self { limits, generation, duplicates, extra, scope }
    }

    fn read<'a>(&self, bytes: &'a [u8]) -> Result<Vec<Pair<'a>>, Refusal> {
        let mut pairs = Vec::new();
        for pair in Pairs(bytes) {
            let (name, value) = pair.ok_or(Refusal::InvalidLabels)?;
            if pairs.len() > self.limits.labels_max {
                return Err(Refusal::TooManyLabels);
            }
            let absent = value.is_empty() && self.duplicates == Duplicates::Refuse;
            if !absent && !self.extra.replaces(name) {
                pairs.push((name, value));
            }
        }
        if self.duplicates == Duplicates::LastWins {
            // Of equal names the last one stands first after reversing, and is the one that stays.
            pairs.reverse();
            pairs.sort_by_key(|(name, _)| *name);
            pairs.dedup_by_key(|(name, _)| *name);
        }
        Ok(pairs)
    }
}

impl Encoding for PairLabels {
    fn scope(&self) -> &[u8] {
        &self.scope
    }

    fn generation(&self) -> u32 {
        self.generation
    }

    fn resolve(&self, bytes: &[u8], labels: &mut KeyBuilder) -> Resolved {
        let pushed = self.read(bytes).and_then(|pairs| {
            pairs.iter().try_for_each(|(name, value)| self.limits.push(labels, name, value))?;
            self.extra.push(&self.limits, labels)
        });
        match pushed {
            Ok(()) => self.limits.finish(labels),
            Err(reason) => Resolved::Refuse(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Rows;

    fn resolve(encoding: &PairLabels, pairs: &[(&str, &str)]) -> Result<String, Refusal> {
        let mut rows = Rows::default();
        pairs.iter().for_each(|(name, value)| rows.label(name.as_bytes(), value.as_bytes()));
        rows.sample(1, 1.0);
        rows.finish().expect("it fits");
        let mut labels = KeyBuilder::new();
        match encoding.resolve(rows.bytes(), &mut labels) {
            Resolved::Refuse(reason) => Err(reason),
            _ => Ok(labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")),
        }
    }

    #[test]
    fn duplicates_are_refused_or_the_last_wins() {
        let limits = LabelLimits { labels_max: 3, ..LabelLimits::default() };
        let lax = PairLabels::new(limits, 1, Duplicates::LastWins, ExtraLabels::default());
        let strict = PairLabels::new(limits, 1, Duplicates::Refuse, ExtraLabels::default());
        let twice = [("b", "1"), ("a", "2"), ("b", "3")];
        assert_eq!(resolve(&lax, &twice), Ok("a=2 b=3".into()));
        assert_eq!(resolve(&strict, &twice), Err(Refusal::InvalidLabels));
        let many = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")];
        assert_eq!(resolve(&lax, &many), Err(Refusal::TooManyLabels));
        assert_eq!(resolve(&lax, &[]), Err(Refusal::NoLabels));
        assert_eq!(resolve(&lax, &[("", "1")]), Err(Refusal::InvalidLabels));
        assert!(matches!(lax.resolve(&[5, b'a'], &mut KeyBuilder::new()), Resolved::Refuse(Refusal::InvalidLabels)));
        assert_ne!(lax.scope(), strict.scope());
    }

    #[test]
    fn extra_labels_win_and_change_the_scope() {
        let extra = ExtraLabels::parse(["job=x", "gone=", "job=y", "eq=a=b"].into_iter()).expect("good labels");
        let encoding = PairLabels::new(LabelLimits::default(), 1, Duplicates::LastWins, extra.clone());
        assert_eq!(resolve(&encoding, &[("job", "own"), ("gone", "1"), ("z", "1")]), Ok("z=1 eq=a=b job=y".into()));
        let none = PairLabels::new(LabelLimits::default(), 1, Duplicates::LastWins, ExtraLabels::default());
        assert_ne!(encoding.scope(), none.scope());
        assert!(ExtraLabels::parse(["job"].into_iter()).is_err_and(|error| error.to_string().contains("\"job\"")));
        assert!(ExtraLabels::parse(["=x"].into_iter()).is_err());
        let more = ExtraLabels::parse(["job=z"].into_iter()).expect("a good label");
        assert!(extra.and(&more).is_ok_and(|all| all.0.contains(&("job".into(), "z".into()))));
        assert!(ExtraLabels::parse(std::iter::repeat("a=b")).is_err());
    }
}
