//! CPU profiles of the running process, in the format of pprof (`profile.proto`, uncompressed).
//!
//! 1. For so many seconds a timer of the system interrupts whatever computes, a hundred times per second of CPU, and the stack is noted.
//! 2. Addresses become functions, files and lines.
//! 3. Equal texts, functions and places are written once; a sample is a list of places with its count and its CPU time.
//!
//! One profile is taken at a time, for the timer is one for the whole process.

use std::{collections::HashMap, time::Duration};

use pprof::{ProfilerGuardBuilder, Report, Symbol};
use prost::Message;
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Interruptions per second of CPU; no round number, so that it does not go along with timers of the program.
const HERTZ: i32 = 99;
/// No profile takes longer.
pub const SECONDS_MAX: u64 = 600;
/// Without `seconds=` a profile takes so long.
pub const SECONDS_USUAL: u64 = 30;

static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// Takes a profile; the error says why there is none.
pub async fn take(seconds: u64) -> Result<Vec<u8>, String> {
    let _turn = ONE_AT_A_TIME.try_acquire().map_err(|_| "a profile is being taken already".to_string())?;
    let failed = |why: pprof::Error| format!("cannot take a profile: {why}");
    let guard = ProfilerGuardBuilder::default().frequency(HERTZ).build().map_err(failed)?;
    tokio::time::sleep(Duration::from_secs(seconds.min(SECONDS_MAX))).await;
    let encoding = spawn_blocking(move || guard.report().build().map(|report| encode(&report)).map_err(failed));
    encoding.await.map_err(|_| "the profile ended in a panic; see the log".to_string())?
}

/// The numbers of texts, functions and places that were written already.
#[derive(Default)]
struct Writer {
    profile: proto::Profile,
    texts: HashMap<String, i64>,
    functions: HashMap<(String, String), u64>,
    places: HashMap<(u64, i64), u64>,
}

fn encode(report: &Report) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.text("");
    let (count, unit, cpu, nanoseconds) =
        (writer.text("samples"), writer.text("count"), writer.text("cpu"), writer.text("nanoseconds"));
    let thread = writer.text("thread");
    let timing = &report.timing;
    let period = 1_000_000_000 / i64::from(timing.frequency.max(1));
    writer.profile.sample_type =
        vec![proto::ValueType { kind: count, unit }, proto::ValueType { kind: cpu, unit: nanoseconds }];
    writer.profile.period_type = Some(proto::ValueType { kind: cpu, unit: nanoseconds });
    writer.profile.period = period;
    writer.profile.time_nanos =
        timing.start_time.duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.as_nanos() as i64);
    writer.profile.duration_nanos = timing.duration.as_nanos() as i64;
    for (frames, times) in &report.data {
        let places = frames.frames.iter().flatten().map(|symbol| writer.place(symbol)).collect();
        let name = writer.text(&frames.thread_name);
        let label = proto::Label { key: thread, str: name };
        let times = *times as i64;
        writer.profile.sample.push(proto::Sample {
            location_id: places,
            value: vec![times, times * period],
            label: vec![label],
        });
    }
    writer.profile.encode_to_vec()
}

impl Writer {
    fn text(&mut self, text: &str) -> i64 {
        if let Some(known) = self.texts.get(text) {
            return *known;
        }
        let number = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_string());
        self.texts.insert(text.to_string(), number);
        number
    }

    /// The number of the place where a function was.
    fn place(&mut self, symbol: &Symbol) -> u64 {
        let function = self.function(symbol.name(), symbol.filename().into_owned());
        let line = i64::from(symbol.lineno());
        let number = self.places.len() as u64 + 1;
        let known = *self.places.entry((function, line)).or_insert(number);
        if known == number {
            let line = vec![proto::Line { function_id: function, line }];
            self.profile.location.push(proto::Location { id: number, line });
        }
        known
    }

    fn function(&mut self, name: String, file: String) -> u64 {
        let (name_text, file_text) = (self.text(&name), self.text(&file));
        let number = self.functions.len() as u64 + 1;
        let known = *self.functions.entry((name, file)).or_insert(number);
        if known == number {
            let function = proto::Function { id: number, name: name_text, system_name: name_text, filename: file_text };
            self.profile.function.push(function);
        }
        known
    }
}

/// The messages of `profile.proto`, as far as they are written.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Profile {
        #[prost(message, repeated, tag = "1")]
        pub sample_type: Vec<ValueType>,
        #[prost(message, repeated, tag = "2")]
        pub sample: Vec<Sample>,
        #[prost(message, repeated, tag = "4")]
        pub location: Vec<Location>,
        #[prost(message, repeated, tag = "5")]
        pub function: Vec<Function>,
        #[prost(string, repeated, tag = "6")]
        pub string_table: Vec<String>,
        #[prost(int64, tag = "9")]
        pub time_nanos: i64,
        #[prost(int64, tag = "10")]
        pub duration_nanos: i64,
        #[prost(message, optional, tag = "11")]
        pub period_type: Option<ValueType>,
        #[prost(int64, tag = "12")]
        pub period: i64,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct ValueType {
        #[prost(int64, tag = "1")]
        pub kind: i64,
        #[prost(int64, tag = "2")]
        pub unit: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Sample {
        #[prost(uint64, repeated, tag = "1")]
        pub location_id: Vec<u64>,
        #[prost(int64, repeated, tag = "2")]
        pub value: Vec<i64>,
        #[prost(message, repeated, tag = "3")]
        pub label: Vec<Label>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct Label {
        #[prost(int64, tag = "1")]
        pub key: i64,
        #[prost(int64, tag = "2")]
        pub str: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Location {
        #[prost(uint64, tag = "1")]
        pub id: u64,
        #[prost(message, repeated, tag = "4")]
        pub line: Vec<Line>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct Line {
        #[prost(uint64, tag = "1")]
        pub function_id: u64,
        #[prost(int64, tag = "2")]
        pub line: i64,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct Function {
        #[prost(uint64, tag = "1")]
        pub id: u64,
        #[prost(int64, tag = "2")]
        pub name: i64,
        #[prost(int64, tag = "3")]
        pub system_name: i64,
        #[prost(int64, tag = "4")]
        pub filename: i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_names_what_computes() {
        let guard = ProfilerGuardBuilder::default().frequency(HERTZ).build().expect("profiles can be taken");
        let mut report = guard.report().build().expect("a report");
        let mut work = 0u64;
        while report.data.is_empty() {
            for number in 0..20_000_000u64 {
                work = std::hint::black_box(work ^ number.wrapping_mul(0x9e37_79b9));
            }
            report = guard.report().build().expect("a report");
        }
        let profile = proto::Profile::decode(&encode(&report)[..]).expect("it reads as it was written");
        assert!(!profile.sample.is_empty() && profile.string_table[0].is_empty());
        assert!(profile.sample.iter().all(|sample| sample.value[1] == sample.value[0] * profile.period));
        let names = profile.function.iter().map(|function| &profile.string_table[function.name as usize]);
        assert!(names.into_iter().any(|name| name.contains("a_profile_names_what_computes")));
        let places = profile.location.len() as u64;
        assert!(profile.sample.iter().flat_map(|sample| &sample.location_id).all(|place| (1..=places).contains(place)));
    }
}
