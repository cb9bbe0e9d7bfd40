//! Basalt, the program: flags in, one role out.
//!
//! Architecture invariant: wiring only. What a role is made of stands in [`roles`]; nothing here knows how any of it works.

mod alerts;
mod allocator;
mod cluster;
mod doors;
mod files;
mod flags;
mod front;
mod links;
mod listeners;
mod logging;
mod machine;
mod profile;
mod push;
mod reload;
mod roles;
mod secrets;
mod self_scrape;
mod settings;
mod web;

use std::process::ExitCode;

use flags::{Invocation, UsageError};
use roles::Role;
use settings::Settings;

// The allocator is the system's; another one would be named here, with the measurement that speaks for it.

const EXIT_FAILED: u8 = 1;
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    match run(arguments) {
        Ok(code) => code,
        Err(usage) => {
            eprintln!("basalt: {usage}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn run(arguments: Vec<String>) -> Result<ExitCode, UsageError> {
    let Invocation { role, mut flags } = Invocation::read(arguments, &|name| std::env::var(name).ok())?;
    if flags.switch("help") {
        print!("{}", flags::help());
        return Ok(ExitCode::SUCCESS);
    }
    if flags.switch("version") {
        println!("{}", machine::VERSION);
        return Ok(ExitCode::SUCCESS);
    }
    let role = Role::named(role.as_deref())?;
    flags.default_to(role.defaults());
    let settings = Settings::from_flags(&flags, role)?;
    settings.check(role)?;
    if flags.switch("dryRun") {
        return Ok(dry_run(&settings));
    }
    allocator::bound(machine::processors(), settings.memory_allowed_bytes);
    logging::start(&settings.logging);
    for (name, why) in flags.moot() {
        log::info!("-{name} changes nothing: {why}");
    }
    let ended = match role {
        Role::Insert => roles::insert(settings),
        Role::Single | Role::Storage | Role::Select => roles::single(role, settings),
    };
    Ok(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::error!("{failure}");
            ExitCode::from(EXIT_FAILED)
        }
    })
}

/// Reads the configuration files and says whether they are good.
fn dry_run(settings: &Settings) -> ExitCode {
    let tls = settings.listen.iter().try_for_each(|listen| listen.check());
    match tls.and_then(|()| reload::read_relabeling(&settings.relabel_config)) {
        Ok(_) => {
            println!("the configuration is good");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("basalt: {why}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}
