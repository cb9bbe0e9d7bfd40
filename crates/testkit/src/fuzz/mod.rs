//! A small mutation fuzzer for readers of outside bytes, on the stable compiler.
//!
//! Strategy:
//! 1. Every file in `testdata/fuzz/<name>/`, the inputs that once broke something.
//! 2. The corpus as it is.
//! 3. Mutations of both, a few stacked on one another, from a seed that is printed, until the
//!    budget is used up.
//!
//! Invariant: the target returns. When it panics, the input is written to
//! `target/fuzz/<name>-<hash>`, from where it goes to `testdata/fuzz/<name>/` with the fix.
//!
//! `BASALT_FUZZ_SECONDS` overrides every budget, `BASALT_FUZZ_SEED` the seed.

mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use crate::Rng;
pub use mutate::mutate;

/// How long new inputs are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// For this long.
    Time(Duration),
    /// This many.
    Iterations(u64),
}

impl From<Duration> for Budget {
    fn from(time: Duration) -> Budget {
        Budget::Time(time)
    }
}

impl From<u64> for Budget {
    fn from(iterations: u64) -> Budget {
        Budget::Iterations(iterations)
    }
}

/// Runs `target` on all known and on new inputs; gives the number of new ones.
pub fn run(name: &str, corpus: &[Vec<u8>], budget: impl Into<Budget>, target: impl Fn(&[u8])) -> u64 {
    let seed = number_from_env("BASALT_FUZZ_SEED").unwrap_or_else(fresh_seed);
    let budget = number_from_env("BASALT_FUZZ_SECONDS")
        .map_or_else(|| budget.into(), |seconds| Budget::Time(Duration::from_secs(seconds)));
    println!("fuzz {name}: BASALT_FUZZ_SEED={seed}, {budget:?}");
    let judge = |bytes: &[u8]| judge(name, seed, bytes, &target);

    let mut known = saved_inputs(&workspace().join("testdata/fuzz").join(name));
    known.extend_from_slice(corpus);
    known.iter().for_each(|bytes| judge(bytes));

    let started = Instant::now();
    let mut rng = Rng::new(seed);
    let mut input = Vec::new();
    let mut made = 0;
    while goes_on(budget, made, started) {
        mutate(&known, &mut input, &mut rng);
        judge(&input);
        made += 1;
    }
    made
}

fn goes_on(budget: Budget, made: u64, started: Instant) -> bool {
    match budget {
        Budget::Time(time) => started.elapsed() < time,
        Budget::Iterations(iterations) => made < iterations,
    }
}

fn judge(name: &str, seed: u64, bytes: &[u8], target: impl Fn(&[u8])) {
    // The target gets bytes that nobody else changes, so nothing is left half done by its panic.
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(bytes))) else { return };
    let folder = workspace().join("target/fuzz");
    let file = folder.join(format!("{name}-{:08x}", disk::crc32c(bytes)));
    match fs::create_dir_all(&folder).and_then(|()| fs::write(&file, bytes)) {
        Ok(()) => eprintln!("fuzz {name}: seed {seed}, {} bytes broke it: {}", bytes.len(), file.display()),
        Err(error) => eprintln!("fuzz {name}: seed {seed}, cannot keep {}: {error}", file.display()),
    }
    resume_unwind(panic);
}

/// The inputs that are kept in the repository, in the order of their names.
fn saved_inputs(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map_while(Result::ok).map(|entry| entry.path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    let read =
        |file: &PathBuf| fs::read(file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
    files.iter().map(read).collect()
}

fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("BUG: this crate is two folders below the workspace")
}

fn number_from_env(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a whole number, not {text:?}")))
}

fn fresh_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    #[test]
    fn the_corpus_comes_first_and_the_budget_is_kept() {
        let seen = RefCell::new(Vec::new());
        let corpus = [b"one".to_vec(), b"two".to_vec()];
        let made = run("testkit-order", &corpus, 100, |bytes| seen.borrow_mut().push(bytes.to_vec()));
        let seen = seen.into_inner();
        // BASALT_FUZZ_SECONDS may ask for more.
        assert_eq!(seen.len() as u64, 2 + made);
        assert_eq!(seen[..2], corpus);
        assert!(seen[2..].iter().collect::<BTreeSet<_>>().len() > 50, "the inputs are alike");
    }

    #[test]
    fn an_input_that_panics_is_kept_and_the_panic_goes_on() {
        let target = |bytes: &[u8]| assert!(!bytes.contains(&0xFF), "a broken byte");
        let corpus = [vec![1, 2, 3, 4, 5, 6, 7, 8]];
        let panic = catch_unwind(|| run("testkit-panic", &corpus, 1_000_000, target)).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a broken byte"));
        let kept = saved_inputs(&workspace().join("target/fuzz"));
        assert!(kept.iter().any(|bytes| bytes.contains(&0xFF)));
    }
}
