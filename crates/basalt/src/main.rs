//! Basalt, the program: flags in, one role out.
//!
//! Architecture invariant: wiring only. What a role is made of stands in [`roles`]; nothing here knows how any of it works.

mod flags;
mod logging;
mod machine;
mod roles;
mod settings;

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
    let Invocation { role, flags } = Invocation::read(arguments, &|name| std::env::var(name).ok())?;
    if flags.switch("help") {
        print!("{}", flags::help());
        return Ok(ExitCode::SUCCESS);
    }
    if flags.switch("version") {
        println!("{}", machine::VERSION);
        return Ok(ExitCode::SUCCESS);
    }
    let role = Role::named(role.as_deref())?;
    let settings = Settings::from_flags(&flags)?;
    logging::start(&settings.logging);
    for (name, why) in flags.moot() {
        log::info!("-{name} changes nothing: {why}");
    }
    let ended = match role {
        Role::Single => roles::single(settings),
    };
    Ok(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::error!("{failure}");
            ExitCode::from(EXIT_FAILED)
        }
    })
}
