//! Command line flags of the measuring programs: `--name=value`, `--name value`, bare booleans.

use std::collections::BTreeMap;
use std::str::FromStr;

/// The flags of one run. A flag that is not asked for by [`Flags::take`] is an error in the end.
#[derive(Debug)]
pub struct Flags {
    given: BTreeMap<String, String>,
    known: Vec<String>,
}

impl Flags {
    /// From the words behind the program's name.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut given = BTreeMap::new();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix("--") else { return Err(format!("{word:?} is no flag")) };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => {
                    let value = words.next_if(|next| !next.starts_with("--")).unwrap_or_else(|| "true".to_owned());
                    (flag.to_owned(), value)
                }
            };
            given.insert(name, value);
        }
        Ok(Self { given, known: Vec::new() })
    }

    /// The value of a flag, or its default.
    pub fn take<T: FromStr>(&mut self, name: &str, default: T) -> Result<T, String> {
        self.known.push(name.to_owned());
        match self.given.remove(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("--{name} cannot be {text:?}")),
        }
    }

    /// To be called when all flags have been taken.
    pub fn finish(self) -> Result<(), String> {
        match self.given.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("there is no --{name}; there are --{}", self.known.join(", --"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Flags {
        Flags::parse(words.iter().map(|&word| word.to_owned())).expect("flags")
    }

    #[test]
    fn each_form_is_read() {
        let mut flags = parse(&["--series=5", "--hours", "3", "--aligned", "--out=a b"]);
        assert_eq!(flags.take("series", 1), Ok(5));
        assert_eq!(flags.take("hours", 24), Ok(3));
        assert_eq!(flags.take("aligned", false), Ok(true));
        assert_eq!(flags.take("out", String::new()), Ok("a b".to_owned()));
        assert_eq!(flags.take("seed", 9), Ok(9));
        assert_eq!(flags.finish(), Ok(()));
    }

    #[test]
    fn what_is_unknown_or_broken_is_refused() {
        assert!(Flags::parse(["series".to_owned()]).is_err());
        assert!(parse(&["--series=x"]).take("series", 1).is_err());
        assert!(parse(&["--serie=1"]).finish().is_err());
    }
}
