//! The processor's time instead of the wall's, for steps so long that others get their turn in between.

/// Runs `step` and tells what it took of the processor for each of `count` things.
pub fn report<T>(name: &str, count: usize, step: impl FnOnce() -> T) -> T {
    let before = on_cpu_ns();
    let done = step();
    eprintln!("{name}: {:.0} ns of processor time each", on_cpu_ns().saturating_sub(before) as f64 / count as f64);
    done
}

fn on_cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
