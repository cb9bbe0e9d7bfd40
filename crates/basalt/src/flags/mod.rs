//! Flags as data.
//!
//! 1. [`table`] holds every flag once: name, kind, default, help, and whether it is obeyed, moot, or comes in a later version.
//! 2. [`parse`] turns arguments and environment into raw text per flag; [`values`] knows how text of each kind reads, and checks it there and then.
//! 3. [`Flags`] gives typed values. It remembers which flags were asked for, so that a test can find an obeyed flag that no code reads.
//! 4. [`help`] renders the table for `-help` and for docs/flags.md.

#[cfg(test)]
mod effects;
mod help;
mod parse;
pub mod table;
mod values;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use basalt_http::Secret;

use crate::secrets::Sourced;

pub use help::help;
pub use table::{Flag, Kind, State};

/// What the command line said.
#[derive(Debug)]
pub struct Invocation {
    /// The role, if one was named.
    pub role: Option<String>,
    /// The flags.
    pub flags: Flags,
}

/// The values of all flags, each checked to be of its kind.
#[derive(Debug)]
pub struct Flags {
    set: Vec<SetFlag>,
    asked: RefCell<BTreeSet<&'static str>>,
    /// The secrets that were asked for, by flag.
    secrets: RefCell<BTreeMap<&'static str, Secret>>,
}

/// A flag and where its value comes from.
#[derive(Debug)]
struct SetFlag {
    flag: &'static Flag,
    /// The values given, in order; none if the default holds.
    given: Vec<String>,
    /// The default: the table's, or that of the role.
    default: &'static str,
    /// Where the last value comes from, if that is a secret that stands in a file or behind an address.
    source: Option<String>,
}

impl SetFlag {
    fn new(flag: &'static Flag) -> Self {
        Self { flag, given: Vec::new(), default: flag.default, source: None }
    }
}

/// A command line that cannot be obeyed. Exit code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl Invocation {
    /// Reads arguments (without the program's name) and, if they enable it, the environment.
    pub fn read(arguments: Vec<String>, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, UsageError> {
        parse::read(arguments, environment)
    }
}

impl Flags {
    /// What flags mean that are not given.
    pub fn default_to(&mut self, defaults: &[(&'static str, &'static str)]) {
        for (name, default) in defaults {
            let set = self.set.iter_mut().find(|set| set.flag.name == *name);
            set.unwrap_or_else(|| panic!("BUG: -{name} is not in the table of flags")).default = default;
        }
    }

    fn raw(&self, name: &'static str) -> (&'static Flag, &str) {
        self.asked.borrow_mut().insert(name);
        let set = self.set.iter().find(|set| set.flag.name == name);
        let set = set.unwrap_or_else(|| panic!("BUG: -{name} is not in the table of flags"));
        (set.flag, set.given.last().map_or(set.default, String::as_str))
    }

    /// A text.
    pub fn text(&self, name: &'static str) -> &str {
        self.raw(name).1
    }

    /// A secret; everybody who asks for it gets the same one.
    pub fn secret(&self, name: &'static str) -> Secret {
        let text = self.text(name);
        self.secrets.borrow_mut().entry(name).or_insert_with(|| Secret::new(text)).clone()
    }

    /// The secrets that stand in files or behind addresses, as far as somebody asked for them.
    pub fn sourced_secrets(&self) -> Vec<Sourced> {
        let secrets = self.secrets.borrow();
        let sourced = self.set.iter().filter_map(|set| {
            let (flag, source) = (set.flag.name, set.source.clone()?);
            Some(Sourced { flag, source, secret: secrets.get(flag)?.clone() })
        });
        sourced.collect()
    }

    /// A boolean.
    pub fn switch(&self, name: &'static str) -> bool {
        values::switch(self.raw(name).1).expect("BUG: values are checked when they are parsed")
    }

    /// A whole number.
    pub fn number(&self, name: &'static str) -> u64 {
        self.raw(name).1.parse().expect("BUG: values are checked when they are parsed")
    }

    /// A percentage.
    pub fn percent(&self, name: &'static str) -> f64 {
        self.raw(name).1.parse().expect("BUG: values are checked when they are parsed")
    }

    /// A size in bytes.
    pub fn bytes(&self, name: &'static str) -> u64 {
        values::bytes(self.raw(name).1).expect("BUG: values are checked when they are parsed")
    }

    /// A duration; for [`Kind::Retention`] a bare number counts months.
    pub fn duration(&self, name: &'static str) -> Duration {
        let (flag, text) = self.raw(name);
        let read = if matches!(flag.kind, Kind::Retention { .. }) { values::retention } else { values::duration };
        read(text).expect("BUG: values are checked when they are parsed")
    }

    /// The booleans of a list.
    pub fn switches(&self, name: &'static str) -> Vec<bool> {
        let texts = self.list(name);
        texts.iter().map(|text| values::switch(text).expect("BUG: values are checked when they are parsed")).collect()
    }

    /// The values of a list: flags that repeat, and commas inside them.
    pub fn list(&self, name: &'static str) -> Vec<String> {
        let (flag, default) = self.raw(name);
        let set = self.set.iter().find(|set| set.flag.name == flag.name).filter(|set| !set.given.is_empty());
        let given = set.map_or_else(|| vec![default], |set| set.given.iter().map(String::as_str).collect());
        given.iter().flat_map(|text| values::list(text)).collect()
    }

    /// Every flag with its value as it may be shown (secrets masked), and whether it was given.
    pub fn shown(&self) -> impl Iterator<Item = (&'static str, String, bool)> + '_ {
        let secret = self.list("secret.flags");
        self.set.iter().map(move |set| {
            let given = !set.given.is_empty();
            let is_secret = matches!(set.flag.kind, Kind::Secret | Kind::Hidden | Kind::HiddenList)
                || secret.iter().any(|name| name.trim_start_matches('-') == set.flag.name);
            let value = match (is_secret, given) {
                (true, true) => "secret".to_string(),
                (_, true) => set.given.join(","),
                (_, false) => set.default.to_string(),
            };
            (set.flag.name, value, given)
        })
    }

    /// The given flags that change nothing in Basalt, with the reason.
    pub fn moot(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        self.set.iter().filter(|set| !set.given.is_empty()).filter_map(|set| match set.flag.state {
            State::Moot(why) => Some((set.flag.name, why)),
            State::Obeyed | State::Later => None,
        })
    }

    /// The flags that were asked for until now.
    #[cfg(test)]
    pub fn asked(&self) -> BTreeSet<&'static str> {
        self.asked.borrow().clone()
    }
}
