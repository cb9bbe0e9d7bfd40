//! What has to pass before anything is merged, as a list of commands.
//!
//! 1. Programs that the tests need are installed if they are missing.
//! 2. Cheap checks come first: formatting, tidy rules, lints.
//! 3. Then all tests (unit, property, fuzz corpora, end to end against the real program, generated pages), benches in their short form, and the
//!    release build.
//! 4. What lies under `deploy/`, query scripts that lie beside the checkout, and the lists of queries for the differ are run with that build.
//! 5. At the end the closing lines of all test programs stand together.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{deploy_check, diff, shared_scripts, tidy};

const CARGO_STEPS: &[(&str, &[&str])] = &[
    ("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("tests", &["test", "--workspace"]),
    ("benches, once each", &["test", "--workspace", "--bench", "*"]),
    ("release build", &["build", "--release"]),
];

/// Runs everything.
pub fn run(root: &Path) -> Result<(), String> {
    let started = Instant::now();
    let mut closing = Vec::new();
    announce("programs for the tests");
    run_step(Command::new(root.join(".ci/install")).current_dir(root), &mut closing)?;
    announce("formatting");
    run_step(&mut cargo(root, &["fmt", "--all", "--check"]), &mut closing)?;
    announce("tidy rules");
    tidy::run(root)?;
    for (name, arguments) in CARGO_STEPS {
        announce(name);
        run_step(&mut cargo(root, arguments), &mut closing)?;
    }
    announce("static linking");
    check_static(root)?;
    announce("scripts beside the checkout");
    shared_scripts::run(root)?;
    announce("queries beside the programs that the dialects follow");
    diff::run(root, &[])?;
    announce("deployment");
    deploy_check::run(root, &root.join("target/release/basalt"))?;
    println!();
    closing.iter().for_each(|line| println!("{line}"));
    println!("all passed in {} s", started.elapsed().as_secs());
    Ok(())
}

/// Writes docs/flags.md.
pub fn write_docs(root: &Path) -> Result<(), String> {
    let arguments = ["test", "--quiet", "--package", "basalt", "--bin", "basalt", "the_generated_one"];
    run_step(cargo(root, &arguments).env("UPDATE_EXPECT", "1"), &mut Vec::new())
}

fn announce(name: &str) {
    println!("\n== {name}");
}

/// A call of cargo at the root of the workspace.
pub fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(root);
    command
}

/// Runs a command, passes its output on and keeps the closing lines of test programs.
pub fn run_step(command: &mut Command, closing: &mut Vec<String>) -> Result<(), String> {
    let what = format!("{command:?}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|why| format!("cannot start {what}: {why}"))?;
    let output = child.stdout.take().expect("BUG: the output is piped");
    for line in BufReader::new(output).lines() {
        let line = line.map_err(|why| format!("cannot read the output of {what}: {why}"))?;
        println!("{line}");
        if line.starts_with("test result:") {
            closing.push(line);
        }
    }
    let status = child.wait().map_err(|why| format!("cannot wait for {what}: {why}"))?;
    if status.success() { Ok(()) } else { Err(format!("failed: {what}")) }
}

/// A dynamic program has an interpreter segment that names `ld-linux`.
fn check_static(root: &Path) -> Result<(), String> {
    let path = root.join("target/release/basalt");
    let program = std::fs::read(&path).map_err(|why| format!("cannot read {}: {why}", path.display()))?;
    let interpreter = b"/ld-linux";
    let head = &program[..program.len().min(4096)];
    if head.windows(interpreter.len()).any(|window| window == interpreter) {
        return Err("target/release/basalt is linked dynamically".to_string());
    }
    Ok(())
}
