//! Arguments and environment to raw text per flag.
//!
//! 1. The first argument may name a role; everything else is a flag: `-f=v`, `--f=v`, `-f v` (not for booleans), `-f` (booleans).
//! 2. `%{NAME}` in a value is replaced by the environment's `NAME`; a secret `file:///path` or `http://host/path` is what stands there.
//! 3. With `-envflag.enable`, a flag that no argument sets takes its value from the variable `prefix` + name with `_` for `.`.
//! 4. Every value is checked against its kind, and flags of later versions are refused.

use basalt_http::Url;

use super::{Flag, Flags, Invocation, Kind, SetFlag, State, UsageError, table, values};
use crate::{
    files::{self, Environment},
    secrets,
};

/// A flag that was meant differs from what was given in at most one part of so many.
const DIFFERENT_OF: usize = 4;

pub fn read(arguments: Vec<String>, environment: Environment<'_>) -> Result<Invocation, UsageError> {
    let mut set: Vec<SetFlag> = table::all().map(SetFlag::new).collect();
    let mut arguments = arguments.into_iter().peekable();
    let role = arguments.next_if(|first| !first.starts_with('-'));
    while let Some(argument) = arguments.next() {
        let (name, value) = split(&argument)?;
        let known = set.iter_mut().find(|set| set.flag.name == name).ok_or_else(|| unknown(name))?;
        let value = match value {
            Some(value) => value.to_string(),
            None if matches!(known.flag.kind, Kind::Switch | Kind::Switches) => "true".to_string(),
            None => arguments.next().ok_or_else(|| UsageError(format!("flag needs a value: -{name}")))?,
        };
        known.give(&value, environment)?;
    }
    let mut flags = Flags { set, asked: Default::default(), secrets: Default::default() };
    check(&flags)?;
    if flags.switch("envflag.enable") {
        let prefix = flags.text("envflag.prefix").to_string();
        add_environment(&mut flags, &prefix, environment)?;
        check(&flags)?;
    }
    Ok(Invocation { role, flags })
}

fn split(argument: &str) -> Result<(&str, Option<&str>), UsageError> {
    let flag = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
    let flag = flag.filter(|flag| !flag.is_empty() && !flag.starts_with(['-', '=']));
    let flag =
        flag.ok_or_else(|| UsageError(format!("unexpected argument {argument:?}: want -flag=value; see -help")))?;
    Ok(flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value))))
}

fn unknown(name: &str) -> UsageError {
    let near = |flag: &&Flag| distance(name, flag.name) <= 1 + name.chars().count() / DIFFERENT_OF;
    let nearest = table::all().filter(near).min_by_key(|flag| distance(name, flag.name));
    let hint = nearest.map(|flag| format!("the nearest known one is -{}; ", flag.name)).unwrap_or_default();
    UsageError(format!("flag provided but not defined: -{name}; {hint}see -help"))
}

/// How many characters must be added, dropped or replaced (without regard to case) to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, c) in one.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, d) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

impl SetFlag {
    /// Takes a value; a secret that stands elsewhere is what stands there, and the place is remembered.
    fn give(&mut self, text: &str, environment: Environment<'_>) -> Result<(), UsageError> {
        let name = self.flag.name;
        let value = files::expand(text, environment)
            .map_err(|why| UsageError(format!("cannot expand -{name}={text:?}: {why}")))?;
        let is_elsewhere = value.starts_with("file://") || Url::is_meant(&value);
        if self.flag.kind != Kind::Secret || !is_elsewhere {
            self.source = None;
            self.given.push(value);
            return Ok(());
        }
        let secret = secrets::read(&value, environment);
        self.given.push(secret.map_err(|why| UsageError(format!("cannot take -{name}: {why}")))?);
        self.source = Some(value);
        Ok(())
    }
}

fn add_environment(flags: &mut Flags, prefix: &str, environment: Environment<'_>) -> Result<(), UsageError> {
    for set in flags.set.iter_mut().filter(|set| set.given.is_empty() && !set.flag.name.starts_with("envflag.")) {
        if let Some(value) = environment(&format!("{prefix}{}", set.flag.name.replace('.', "_"))) {
            set.give(&value, environment)?;
        }
    }
    Ok(())
}

fn check(flags: &Flags) -> Result<(), UsageError> {
    for set in &flags.set {
        for value in &set.given {
            check_value(set.flag, value)
                .map_err(|why| UsageError(format!("invalid value {value:?} for -{}: {why}", set.flag.name)))?;
        }
        if set.flag.state == State::Later && !set.given.is_empty() {
            return Err(UsageError(format!(
                "-{} is known but this version of Basalt does not obey it yet; leave it away",
                set.flag.name
            )));
        }
    }
    Ok(())
}

/// Whether a value is of its flag's kind.
pub fn check_value(flag: &Flag, value: &str) -> Result<(), String> {
    match flag.kind {
        Kind::Text | Kind::Secret | Kind::Hidden | Kind::List | Kind::HiddenList => Ok(()),
        Kind::Switch => values::switch(value).map(drop),
        Kind::Switches => values::list(value).iter().try_for_each(|item| values::switch(item).map(drop)),
        Kind::Bytes => values::bytes(value).map(drop),
        Kind::Duration => values::duration(value).map(drop),
        Kind::Retention { days_min } => match values::retention(value)? {
            long if long.as_secs() >= u64::from(days_min) * 86_400 => Ok(()),
            _ => Err(format!("want at least {days_min}d")),
        },
        Kind::Number { min, max } => match value.parse::<u64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(()),
            _ if max == u64::MAX => Err(format!("want a whole number of at least {min}")),
            _ => Err(format!("want a whole number from {min} to {max}")),
        },
        Kind::Percent => match value.parse::<f64>() {
            Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(()),
            _ => Err("want a number over 0 and up to 100".to_string()),
        },
        Kind::Choice(choices) if choices.contains(&value) => Ok(()),
        Kind::Choice(choices) => Err(format!("want one of {}", choices.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn parse(line: &str, environment: Environment<'_>) -> Result<Invocation, UsageError> {
        read(line.split_whitespace().map(str::to_string).collect(), environment)
    }

    fn error(line: &str) -> String {
        parse(line, &nothing).expect_err("a wrong command line").0
    }

    #[test]
    fn flags_have_many_forms() {
        for line in [
            "-retentionPeriod=3d",
            "--retentionPeriod=3d",
            "-retentionPeriod 3d",
            "-retentionPeriod=1 -retentionPeriod=3d",
        ] {
            let flags = parse(line, &nothing).expect(line).flags;
            assert_eq!(flags.duration("retentionPeriod").as_secs(), 3 * 86_400, "{line}");
        }
        let invocation = parse("single -httpListenAddr=:1,:2 -httpListenAddr :3 -version", &nothing).expect("good");
        assert_eq!(invocation.role.as_deref(), Some("single"));
        assert_eq!(invocation.flags.list("httpListenAddr"), [":1", ":2", ":3"]);
        assert!(invocation.flags.switch("version"));
        assert_eq!(invocation.flags.list("storageDataPath"), ["victoria-metrics-data"]);
    }

    #[test]
    fn an_unknown_flag_is_named_with_its_neighbour() {
        let said = error("-retentionPerod=3d");
        assert!(said.contains("-retentionPerod;") && said.contains("nearest known one is -retentionPeriod"), "{said}");
        assert_eq!(error("-nosuch"), "flag provided but not defined: -nosuch; see -help");
    }

    #[test]
    fn wrong_values_are_named() {
        for (line, part) in [
            ("-retentionPeriod=3h", "at least 1d"),
            ("-storage.ack=maybe", "power, process, none"),
            ("-maxConcurrentInserts=-3", "whole number"),
            ("-maxInsertRequestSize=big", "a size such as"),
            ("-loggerFormat", "needs a value"),
            ("-version=perhaps", "true or false"),
            ("--", "unexpected argument"),
            ("-httpListenAddr=:1 single", "unexpected argument \"single\""),
            ("-storageDataPath=%{NOWHERE}", "no NOWHERE"),
            ("-storageDataPath=%{NOWHERE", "%{ without }"),
        ] {
            let said = error(line);
            assert!(said.contains(part), "{line}: {said}");
        }
    }

    #[test]
    fn secrets_may_stand_in_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        std::fs::write(&path, "s3cret\r\n").expect("a file");
        let line = format!("-metricsAuthKey=file://{} -flagsAuthKey=plain -storageDataPath=file://x", path.display());
        let flags = parse(&line, &nothing).expect("good").flags;
        assert_eq!((flags.text("metricsAuthKey"), flags.text("flagsAuthKey")), ("s3cret", "plain"));
        assert_eq!(flags.text("storageDataPath"), "file://x");
        assert!(flags.shown().all(|(_, value, _)| !value.contains("s3cret") && !value.contains("plain")));
        assert!(error("-metricsAuthKey=file:///nowhere/key").contains("cannot take -metricsAuthKey"));
    }

    #[test]
    fn flags_of_later_versions_are_refused() {
        assert!(error("-promscrape.config=x.yml").contains("does not obey it yet"));
    }

    #[test]
    fn the_environment_fills_what_arguments_leave() {
        let environment = |name: &str| match name {
            "VM_retentionPeriod" => Some("2y".to_string()),
            "VM_storage_ack" => Some("none".to_string()),
            "DISK" => Some("/data".to_string()),
            _ => None,
        };
        let line = "-envflag.enable -envflag.prefix=VM_ -retentionPeriod=3d -storageDataPath=%{DISK}/x";
        let flags = parse(line, &environment).expect("good").flags;
        assert_eq!(flags.duration("retentionPeriod").as_secs(), 3 * 86_400);
        assert_eq!(flags.text("storage.ack"), "none");
        assert_eq!(flags.text("storageDataPath"), "/data/x");
        let flags = parse("-envflag.prefix=VM_", &environment).expect("good").flags;
        assert_eq!(flags.text("storage.ack"), "power");
    }
}
