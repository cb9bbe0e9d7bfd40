//! Tests that also run long: the same code as in `cargo test`, with a length from the command line and the release build.

use std::path::Path;

use crate::ci::{cargo, run_step};

/// One of these tests.
struct Long {
    name: &'static str,
    /// The variable that tells the test how long, and its value if the command line has none.
    variable: &'static str,
    length: &'static str,
    /// Crate, test program and test.
    package: &'static str,
    program: &'static str,
    test: &'static str,
}

const RUNS: [Long; 3] = [
    Long {
        name: "kill9",
        variable: "BASALT_KILL9_ROUNDS",
        length: "1000",
        package: "basalt",
        program: "e2e",
        test: "kill9::",
    },
    Long {
        name: "soak",
        variable: "BASALT_SOAK_MINUTES",
        length: "60",
        package: "basalt",
        program: "e2e",
        test: "soak::",
    },
    Long {
        name: "histories",
        variable: "BASALT_HISTORIES",
        length: "20000",
        package: "store",
        program: "tests",
        test: "histories",
    },
];

/// Runs one of them.
///
/// Tests of the program judge it from outside: only the program is built for release. The store's histories are their own program.
pub fn run(root: &Path, name: &str, length: Option<&str>) -> Result<(), String> {
    let names = || RUNS.iter().map(|run| run.name).collect::<Vec<_>>().join(", ");
    let run =
        RUNS.iter().find(|run| run.name == name).ok_or_else(|| format!("no long run {name}: there are {}", names()))?;
    let length = length.unwrap_or(run.length);
    if !length.parse::<u64>().is_ok_and(|length| length > 0) {
        return Err(format!("the length of a run is a whole number above 0, not {length}"));
    }
    let is_from_outside = run.package == "basalt";
    let mut arguments = vec!["test"];
    if is_from_outside {
        run_step(&mut cargo(root, &["build", "--release", "--package", "basalt"]), &mut Vec::new())?;
    } else {
        arguments.push("--release");
    }
    arguments.extend(["--package", run.package, "--test", run.program, run.test, "--", "--nocapture"]);
    let mut command = cargo(root, &arguments);
    command.env(run.variable, length);
    if is_from_outside {
        command.env("BASALT_PROGRAM", root.join("target/release/basalt"));
    }
    run_step(&mut command, &mut Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_run_is_refused() {
        let root = Path::new("/nowhere");
        assert!(run(root, "kill8", None).is_err_and(|why| why.contains("kill9, soak, histories")));
        assert!(run(root, "soak", Some("0")).is_err_and(|why| why.contains("above 0")));
    }
}
