//! The machine that we run on, and this process on it: memory, processors, what the process has used.
//!
//! It reads /proc and the files of the control group; never data.

use std::{fs, path::Path};

/// What `-version` prints.
pub const VERSION: &str = concat!("basalt-", env!("CARGO_PKG_VERSION"));

/// Assumed where the system does not tell.
const MEMORY_BYTES_UNKNOWN: u64 = 4 << 30;

/// Processors that this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Memory that this process may use: the machine's, or less if its control group (version 2 or 1) allows less.
pub fn memory_bytes() -> u64 {
    let machine = read("/proc/meminfo").and_then(|text| kilobytes(&text, "MemTotal:"));
    let group = group_memory_files().into_iter().filter_map(|path| read(&path)?.trim().parse::<u64>().ok()).min();
    machine.into_iter().chain(group).min().unwrap_or(MEMORY_BYTES_UNKNOWN)
}

fn group_memory_files() -> Vec<String> {
    let own = read("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_string();
    let version_2 = Path::new(&own).ancestors().map(|dir| format!("/sys/fs/cgroup{}/memory.max", dir.display()));
    version_2.chain(["/sys/fs/cgroup/memory/memory.limit_in_bytes".to_string()]).collect()
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn kilobytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_memory_and_processors() {
        assert!(memory_bytes() > 64 << 20);
        assert!(processors() >= 1);
        assert_eq!(kilobytes("MemTotal:       16 kB\nMemFree: 1 kB\n", "MemTotal:"), Some(16 << 10));
    }
}
