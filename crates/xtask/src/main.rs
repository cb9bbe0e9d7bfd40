//! Chores of the project: `cargo xtask <chore>`.
//!
//! | chore | what it does |
//! |---|---|
//! | `tidy` | checks the rules that no compiler knows |
//! | `docs` | writes the generated pages anew |
//! | `deploy [PROGRAM]` | checks what lies under `deploy/`, with target/release/basalt or the program that is named |
//! | `diff [metricsql\|promql\|cluster [PROGRAM]]` | the queries of testdata/ beside the programs that the dialects follow, and a single node beside clusters |
//! | `ci` | everything that has to pass, in one command |
//! | `long kill9 [ROUNDS]` | the `kill -9` loop of the tests, as long as wanted |
//! | `long soak [MINUTES]` | everything at once at a fixed limit of memory, as long as wanted |
//! | `long cluster [HISTORIES] [--seed SEED]` | whole clusters under faults, as many histories as wanted |
//! | `long histories [COUNT]` | the store's simulated histories of faults and power cuts, as many as wanted |

mod ci;
mod deploy_check;
mod diff;
mod long;
mod shared_scripts;
mod source;
mod tidy;

use std::{path::PathBuf, process::ExitCode};

const USAGE: &str = "usage: cargo xtask tidy | docs | deploy [PROGRAM] | diff [metricsql|promql|cluster [PROGRAM]] | ci | \
                     long kill9 [ROUNDS] | long soak [MINUTES] | long cluster [HISTORIES] [--seed SEED] | long histories [COUNT]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["tidy"] => tidy::run(&root()),
        ["docs"] => ci::write_docs(&root()),
        ["deploy"] => deploy_check::run(&root(), &root().join("target/release/basalt")),
        ["deploy", program] => deploy_check::run(&root(), &PathBuf::from(program)),
        ["diff", ref rest @ ..] => diff::run(&root(), rest),
        ["ci"] => ci::run(&root()),
        ["long", run, ref rest @ ..] => long::run(&root(), run, rest),
        _ => Err(USAGE.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace.
fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).expect("BUG: this crate lies two folders below the root").to_path_buf()
}
