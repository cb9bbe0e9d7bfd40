//! The table of flags for humans: `-help` and docs/flags.md.

use std::fmt::Write;

use super::{Flag, Kind, State, table::SECTIONS};

const USAGE: &str = "\
Basalt, a metrics store that a VictoriaMetrics user can drop in.

Usage: basalt [single] [-flag=value ...]

The role `single` (also the default) takes remote write, stores it and answers queries.
Flags may be written -f=v, --f=v or -f v, booleans also -f. Sizes take KB, MB, GB, KiB, MiB, GiB; durations
ms, s, m, h, d, w, y. %{NAME} in a value stands for an environment variable.
";

/// The text of `-help`.
pub fn help() -> String {
    let mut out = USAGE.to_string();
    for section in SECTIONS {
        write!(out, "\n{}\n", section.title).expect(WRITE);
        for flag in section.flags {
            writeln!(out, "  -{}{}", flag.name, shape(flag)).expect(WRITE);
            writeln!(out, "        {}{}{}", flag.help, default(flag), state(flag)).expect(WRITE);
        }
    }
    out
}

/// The text of docs/flags.md.
#[cfg(test)]
fn markdown() -> String {
    let mut out = "# Flags\n\nGenerated from the table in crates/basalt/src/flags by `cargo xtask docs`; edit there.\n\n\
        *obeyed*: does what it says. *moot*: accepted, and changes nothing for the reason given. *later*: known, and refused at the start\n\
        (exit code 2) until a version obeys it.\n"
        .to_string();
    for section in SECTIONS {
        write!(out, "\n## {}\n\n| flag | default | state | what it does |\n|---|---|---|---|\n", section.title)
            .expect(WRITE);
        for flag in section.flags {
            let state = match flag.state {
                State::Obeyed => "obeyed".to_string(),
                State::Moot(why) => format!("moot: {why}"),
                State::Later => "later".to_string(),
            };
            let default = if flag.default.is_empty() { String::new() } else { format!("`{}`", flag.default) };
            writeln!(out, "| `-{}` | {default} | {state} | {} |", flag.name, flag.help.replace('|', "\\|"))
                .expect(WRITE);
        }
    }
    let count = |wanted: fn(&State) -> bool| super::table::all().filter(|flag| wanted(&flag.state)).count();
    let obeyed = count(|state| *state == State::Obeyed);
    let moot = count(|state| matches!(state, State::Moot(_)));
    let later = count(|state| *state == State::Later);
    write!(out, "\n{obeyed} obeyed, {moot} moot, {later} later.\n").expect(WRITE);
    out
}

const WRITE: &str = "BUG: writing to a string cannot fail";

fn shape(flag: &Flag) -> String {
    match flag.kind {
        Kind::Switch | Kind::Switches => String::new(),
        Kind::Text | Kind::Secret | Kind::Hidden => " string".to_string(),
        Kind::List | Kind::HiddenList => " list".to_string(),
        Kind::Bytes => " size".to_string(),
        Kind::Duration | Kind::Retention { .. } => " duration".to_string(),
        Kind::Number { .. } => " number".to_string(),
        Kind::Percent => " percent".to_string(),
        Kind::Choice(choices) => format!(" {}", choices.join("|")),
    }
}

fn default(flag: &Flag) -> String {
    match flag.default {
        "" | "false" => String::new(),
        default => format!(" (default {default})"),
    }
}

fn state(flag: &Flag) -> String {
    match flag.state {
        State::Obeyed => String::new(),
        State::Moot(why) => format!(" Accepted without effect: {why}"),
        State::Later => " Not in this version.".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_docs_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/flags.md");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, markdown()).expect("the page can be written");
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        let stale =
            page.lines().zip(markdown().lines()).find(|(have, want)| have != want).map(|(have, _)| have.to_string());
        assert!(page == markdown(), "docs/flags.md is stale, first at {stale:?}: run `cargo xtask docs`");
    }

    #[test]
    fn help_names_every_flag() {
        let help = help();
        assert!(super::super::table::all().all(|flag| help.contains(&format!("  -{}", flag.name))));
    }
}
