//! Every flag of a single-node VictoriaMetrics, and ours, once.

mod cluster;
mod http;
mod ingest;
mod insert;
mod process;
mod query;
mod storage;

/// A flag.
#[derive(Debug, PartialEq)]
pub struct Flag {
    /// The name, without dash.
    pub name: &'static str,
    /// How its text reads, and which values are good.
    pub kind: Kind,
    /// The value without it.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Whether Basalt does that.
    pub state: State,
}

/// How the text of a flag reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// true or false; bare means true
    Switch,
    /// true or false for each address, by repetition or with commas; bare means true
    Switches,
    /// any text
    Text,
    /// a text that `/flags` does not show; it may stand in a file or behind an address
    Secret,
    /// a text that `/flags` does not show
    Hidden,
    /// texts, by repetition or with commas
    List,
    /// the same, which `/flags` does not show
    HiddenList,
    /// bytes with a unit
    Bytes,
    /// a duration with a unit
    Duration,
    /// a duration; a bare number counts months
    Retention {
        /// The shortest one, in days.
        days_min: u32,
    },
    /// a whole number
    Number {
        /// The smallest one.
        min: u64,
        /// The largest one.
        max: u64,
    },
    /// over 0 and up to 100
    Percent,
    /// one of these
    Choice(&'static [&'static str]),
}

/// What Basalt makes of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does what it says.
    Obeyed,
    /// It is accepted and changes nothing, for this reason.
    Moot(&'static str),
    /// It is refused until a version obeys it.
    Later,
}

/// Flags that belong together.
#[derive(Debug)]
pub struct Section {
    /// Their heading.
    pub title: &'static str,
    /// The flags.
    pub flags: &'static [Flag],
}

/// The table.
pub const SECTIONS: &[Section] = &[
    Section { title: "Storage", flags: storage::FLAGS },
    Section { title: "HTTP", flags: http::FLAGS },
    Section { title: "Ingestion", flags: ingest::FLAGS },
    Section { title: "Queries", flags: query::FLAGS },
    Section { title: "Cluster", flags: cluster::FLAGS },
    Section { title: "Insert nodes", flags: insert::FLAGS },
    Section { title: "Process and logs", flags: process::FLAGS },
];

/// All flags.
pub fn all() -> impl Iterator<Item = &'static Flag> {
    SECTIONS.iter().flat_map(|section| section.flags)
}

const ANY_NUMBER: Kind = Kind::Number { min: 0, max: u64::MAX };

const fn obeyed(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag { name, kind, default, help, state: State::Obeyed }
}

const fn moot(name: &'static str, kind: Kind, default: &'static str, help: &'static str, why: &'static str) -> Flag {
    Flag { name, kind, default, help, state: State::Moot(why) }
}

const fn later(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag { name, kind, default, help, state: State::Later }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::flags::parse::check_value;

    #[test]
    fn every_flag_stands_there_once() {
        let mut seen = BTreeSet::new();
        for flag in all() {
            assert!(seen.insert(flag.name.to_lowercase()), "-{} stands there twice", flag.name);
        }
    }

    #[test]
    fn every_flag_is_described_in_a_sentence() {
        for flag in all() {
            let starts_well = flag.help.chars().next().is_some_and(|first| first.is_uppercase());
            assert!(
                flag.help.len() >= 20 && starts_well && flag.help.ends_with('.'),
                "-{}: {:?}",
                flag.name,
                flag.help
            );
            if let State::Moot(why) = flag.state {
                assert!(why.len() >= 20 && !why.ends_with('.'), "-{}: {why:?}", flag.name);
            }
        }
    }

    #[test]
    fn defaults_are_good_values() {
        for flag in all() {
            let text = matches!(flag.kind, Kind::Text | Kind::Secret | Kind::Hidden | Kind::List | Kind::HiddenList);
            let unset = flag.default.is_empty() && text;
            let good = unset || check_value(flag, flag.default).is_ok();
            assert!(good, "-{}={:?}", flag.name, flag.default);
        }
    }
}
