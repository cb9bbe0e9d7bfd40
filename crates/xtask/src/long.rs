//! Tests that also run long: the same code as in `cargo test`, with a length from the command line and the release build.

use std::path::Path;

use crate::ci::{cargo, run_step};

/// One of these tests.
struct Long {
    name: &'static str,
    /// The variable that tells the test how long, and its value if the command line has none.
    variable: &'static str,
    length: &'static str,
    /// Crate, test program and test. Its seed is in the variable that ends in `_SEED` where that of the length ends otherwise.
    package: &'static str,
    program: &'static str,
    test: &'static str,
}

const RUNS: [Long; 4] = [
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
        name: "cluster",
        variable: "BASALT_CLUSTER_HISTORIES",
        length: "40",
        package: "basalt",
        program: "e2e",
        test: "cluster::histories::",
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

/// How long, and from which seed.
#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    length: &'a str,
    seed: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// Reads `[LENGTH] [--histories LENGTH] [--seed SEED]`.
    fn parse(words: &[&'a str], usual: &'a str) -> Result<Self, String> {
        let mut wanted = Self { length: usual, seed: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().ok_or_else(|| format!("{word} needs a number"));
            match *word {
                "--seed" => wanted.seed = Some(value()?),
                "--histories" => wanted.length = value()?,
                length => wanted.length = length,
            }
        }
        if !wanted.length.parse::<u64>().is_ok_and(|length| length > 0) {
            return Err(format!("the length of a run is a whole number above 0, not {}", wanted.length));
        }
        match wanted.seed {
            Some(seed) if seed.parse::<u64>().is_err() => Err(format!("a seed is a whole number, not {seed}")),
            _ => Ok(wanted),
        }
    }
}

/// Runs one of them.
///
/// Tests of the program judge it from outside: only the program is built for release. The store's histories are their own program.
pub fn run(root: &Path, name: &str, words: &[&str]) -> Result<(), String> {
    let names = || RUNS.iter().map(|run| run.name).collect::<Vec<_>>().join(", ");
    let run =
        RUNS.iter().find(|run| run.name == name).ok_or_else(|| format!("no long run {name}: there are {}", names()))?;
    let Wanted { length, seed } = Wanted::parse(words, run.length)?;
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
    if let (Some(seed), Some((name, _))) = (seed, run.variable.rsplit_once('_')) {
        command.env(format!("{name}_SEED"), seed);
    }
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
        assert!(run(root, "kill8", &[]).is_err_and(|why| why.contains("kill9, soak, cluster, histories")));
        assert!(run(root, "soak", &["0"]).is_err_and(|why| why.contains("above 0")));
        assert!(run(root, "cluster", &["--seed"]).is_err_and(|why| why.contains("--seed needs")));
        assert!(run(root, "cluster", &["--seed", "x"]).is_err_and(|why| why.contains("not x")));
        let wanted = Wanted::parse(&["--histories", "7", "--seed", "3"], "40");
        assert_eq!(wanted, Ok(Wanted { length: "7", seed: Some("3") }));
        assert_eq!(Wanted::parse(&[], "40"), Ok(Wanted { length: "40", seed: None }));
    }
}
