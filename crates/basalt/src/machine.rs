//! The machine that we run on, and this process on it: memory, processors, what the process has used.
//!
//! It reads /proc and the files of the control group; never data.

use std::{
    fs,
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use basalt_http::{MetricsSource, MetricsText};

/// What `-version` prints.
pub const VERSION: &str = concat!("basalt-", env!("CARGO_PKG_VERSION"));

/// Assumed where the system does not tell.
const MEMORY_BYTES_UNKNOWN: u64 = 4 << 30;
/// The unit of CPU time in /proc, a constant of the Linux ABI.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processors that this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Threads that move what goes between nodes. What they do themselves takes so little of the time of what goes through them that one keeps three others busy.
pub fn link_threads() -> usize {
    processors().div_ceil(4)
}

/// Memory that this process may use: the machine's, or less if its control group (version 2 or 1) allows less.
pub fn memory_bytes() -> u64 {
    let machine = read("/proc/meminfo").and_then(|text| kilobytes(&text, "MemTotal:"));
    let group = group_memory_files().into_iter().filter_map(|path| read(&path)?.trim().parse::<u64>().ok()).min();
    machine.into_iter().chain(group).min().unwrap_or(MEMORY_BYTES_UNKNOWN)
}

/// The name of this machine.
pub fn hostname() -> String {
    read("/proc/sys/kernel/hostname").map(|name| name.trim().to_string()).unwrap_or_default()
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
    Some(number(text, field)?.saturating_mul(1024))
}

/// The number behind a field's name at the start of a line.
fn number(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// What this process has used, for `/metrics`.
#[derive(Debug)]
pub struct Process {
    started: Instant,
    started_unix_seconds: u64,
    memory_allowed_bytes: u64,
}

impl Process {
    /// This process, which has just begun.
    pub fn begin(memory_allowed_bytes: u64) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_unix_seconds: since_1970.as_secs(), memory_allowed_bytes }
    }
}

impl MetricsSource for Process {
    fn write_metrics(&self, out: &mut MetricsText) {
        write_cpu(out);
        write_memory(out);
        write_io(out);
        out.line("process_start_time_seconds", self.started_unix_seconds);
        out.line("vm_app_start_timestamp", self.started_unix_seconds);
        out.line("vm_app_uptime_seconds", self.started.elapsed().as_secs());
        out.line("vm_allowed_memory_bytes", self.memory_allowed_bytes);
        out.line("vm_available_memory_bytes", memory_bytes());
        out.line("vm_available_cpu_cores", processors());
        out.line("process_cpu_cores_available", processors());
        out.line("process_memory_limit_bytes", memory_bytes());
    }
}

fn write_cpu(out: &mut MetricsText) {
    let stat = read("/proc/self/stat").unwrap_or_default();
    // The name of the program stands in brackets and may hold blanks; the state follows as field 3.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, behind)| behind).split_whitespace().collect();
    let seconds = |field: usize| {
        fields.get(field - 3).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / TICKS_PER_SECOND
    };
    let (user, system) = (seconds(14), seconds(15));
    out.line("process_cpu_seconds_total", user + system);
    out.line("process_cpu_seconds_user_total", user);
    out.line("process_cpu_seconds_system_total", system);
    let faults = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    out.line("process_minor_pagefaults_total", faults(10));
    out.line("process_major_pagefaults_total", faults(12));
}

/// Memory of this process that is no file's.
pub fn anonymous_bytes() -> u64 {
    read("/proc/self/status").and_then(|text| kilobytes(&text, "RssAnon:")).unwrap_or(0)
}

fn write_memory(out: &mut MetricsText) {
    let status = read("/proc/self/status").unwrap_or_default();
    for (metric, field) in [
        ("process_resident_memory_bytes", "VmRSS:"),
        ("process_resident_memory_peak_bytes", "VmHWM:"),
        ("process_resident_memory_anon_bytes", "RssAnon:"),
        ("process_resident_memory_file_bytes", "RssFile:"),
        ("process_resident_memory_shared_bytes", "RssShmem:"),
        ("process_virtual_memory_bytes", "VmSize:"),
        ("process_virtual_memory_peak_bytes", "VmPeak:"),
    ] {
        out.line(metric, kilobytes(&status, field).unwrap_or(0));
    }
    out.line("process_num_threads", number(&status, "Threads:").unwrap_or(0));
    out.line("process_open_fds", fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count()));
    let limits = read("/proc/self/limits").unwrap_or_default();
    let open_files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let max_fds = open_files.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    out.line("process_max_fds", max_fds.unwrap_or(0));
}

fn write_io(out: &mut MetricsText) {
    let io = read("/proc/self/io").unwrap_or_default();
    for (metric, field) in [
        ("process_io_read_bytes_total", "rchar:"),
        ("process_io_written_bytes_total", "wchar:"),
        ("process_io_read_syscalls_total", "syscr:"),
        ("process_io_write_syscalls_total", "syscw:"),
        ("process_io_storage_read_bytes_total", "read_bytes:"),
        ("process_io_storage_written_bytes_total", "write_bytes:"),
    ] {
        out.line(metric, number(&io, field).unwrap_or(0));
    }
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

    #[test]
    fn this_process_uses_something() {
        let mut out = MetricsText::default();
        Process::begin(5).write_metrics(&mut out);
        let text = out.into_string();
        for metric in ["process_resident_memory_bytes", "process_num_threads", "process_open_fds", "process_max_fds"] {
            let line = text.lines().find(|line| line.starts_with(&format!("{metric} "))).expect(metric);
            assert!(!line.ends_with(" 0"), "{line}");
        }
        assert!(text.contains("vm_allowed_memory_bytes 5\n"));
    }
}
