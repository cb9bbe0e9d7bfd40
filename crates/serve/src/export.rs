//! `/api/v1/export`: raw samples, in the form that the argument `format` names.
//!
//! - JSON lines, `{"metric":{…},"values":[…],"timestamps":[…]}`: without the argument, and with one that names no form, as in VictoriaMetrics;
//! - `prometheus`: the text format, a line a sample;
//! - `promapi`: the answer of a query for a range of samples.
//!
//! A line is sent in pieces, so that memory holds one series' columns and some chunks, however long the line.

use basalt_http::{Gone, Params, Response};
use model::SeriesKey;
use storage_api::{SelectRequest, SeriesData};

use crate::{
    Server, args,
    asker::Asker,
    error::ApiError,
    federate::put_series,
    json::{put_labels, put_value},
    names::Escaping,
    number::{Layout, put_float, put_integer, put_seconds},
    packing::{Outgoing, Sink},
    raw::RawAnswer,
};

/// Numbers that are written between two looks at whether a chunk is full.
const NUMBERS_PER_FLUSH: usize = 1024;
/// So many lines of text are about as long.
const LINES_PER_FLUSH: usize = 64;

const JSON_STREAM: &str = "application/stream+json; charset=utf-8";
const MATRIX_BEGIN: &[u8] = br#"{"status":"success","data":{"resultType":"matrix","result":["#;
const MATRIX_END: &[u8] = b"]}}";

impl Server {
    pub(crate) async fn export(&self, asker: &Asker, params: &Params) -> Result<Response, ApiError> {
        let selector = args::selector(params)?;
        let range = self.range(params)?;
        let rows_per_line = params.number("max_rows_per_line")?.filter(|rows| *rows > 0);
        let rows_per_line = rows_per_line.map_or(usize::MAX, |rows| usize::try_from(rows).unwrap_or(usize::MAX));
        // `reduce_mem_usage` asks for what is always done here.
        let request = SelectRequest::raw(asker.tenant, selector, range);
        match params.get("format") {
            Some("prometheus") => {
                let answer = self.export_answer("text/plain; charset=utf-8");
                self.stream_raw(asker, request, answer, write_text).await
            }
            Some("promapi") => {
                let answer =
                    self.export_answer(JSON_STREAM).beginning_with(MATRIX_BEGIN.to_vec()).ending_with(MATRIX_END);
                let mut separator = &b""[..];
                let write = move |key: &SeriesKey, data: &SeriesData, out: &mut Outgoing| {
                    write_matrix(key, data, rows_per_line, &mut separator, out)
                };
                self.stream_raw(asker, request, answer, write).await
            }
            _ => {
                let answer = self.export_answer(JSON_STREAM);
                let write = move |key: &SeriesKey, data: &SeriesData, out: &mut Outgoing| {
                    write_series(key, data, rows_per_line, out)
                };
                self.stream_raw(asker, request, answer, write).await
            }
        }
    }

    /// What exports may cost.
    pub(crate) fn export_answer(&self, media_type: &'static str) -> RawAnswer {
        let (series_max, time_max) = (self.options.export_series_max, self.options.export_time_max);
        RawAnswer { series_max, time_max, media_type, prologue: Vec::new(), epilogue: b"" }
    }
}

fn write_series(key: &SeriesKey, data: &SeriesData, rows_per_line: usize, out: &mut Outgoing) -> Result<(), Gone> {
    let mut lines = data.times.chunks(rows_per_line).zip(data.values.chunks(rows_per_line));
    lines.try_for_each(|(times, values)| write_line(key, times, values, out))
}

/// A line a sample.
fn write_text(key: &SeriesKey, data: &SeriesData, out: &mut Outgoing) -> Result<(), Gone> {
    let mut series = Vec::new();
    put_series(&mut series, key, Escaping::AsTheyAre);
    series.push(b' ');
    for (times, values) in data.times.chunks(LINES_PER_FLUSH).zip(data.values.chunks(LINES_PER_FLUSH)) {
        let buffer = out.buffer();
        for (time, value) in times.iter().zip(values) {
            buffer.extend_from_slice(&series);
            put_float(buffer, *value, Layout::Plain);
            buffer.push(b' ');
            put_integer(buffer, *time);
            buffer.push(b'\n');
        }
        out.flush_if_full()?;
    }
    Ok(())
}

/// An element of a matrix, or several if there are more samples than an element may have. `separator` stands before the next.
fn write_matrix(
    key: &SeriesKey,
    data: &SeriesData,
    rows_per_line: usize,
    separator: &mut &'static [u8],
    out: &mut Outgoing,
) -> Result<(), Gone> {
    for (times, values) in data.times.chunks(rows_per_line).zip(data.values.chunks(rows_per_line)) {
        out.buffer().extend_from_slice(std::mem::replace(separator, b","));
        out.buffer().extend_from_slice(b"{\"metric\":");
        put_labels(out.buffer(), key);
        out.buffer().extend_from_slice(b",\"values\":[");
        let samples: Vec<(i64, f64)> = times.iter().copied().zip(values.iter().copied()).collect();
        write_numbers(&samples, put_sample, out)?;
        out.buffer().extend_from_slice(b"]}");
        out.flush_if_full()?;
    }
    Ok(())
}

fn put_sample(out: &mut Vec<u8>, (time, value): (i64, f64)) {
    out.push(b'[');
    put_seconds(out, time);
    out.extend_from_slice(b",\"");
    put_float(out, value, Layout::Plain);
    out.extend_from_slice(b"\"]");
}

fn write_line(key: &SeriesKey, times: &[i64], values: &[f64], out: &mut Outgoing) -> Result<(), Gone> {
    out.buffer().extend_from_slice(b"{\"metric\":");
    put_labels(out.buffer(), key);
    out.buffer().extend_from_slice(b",\"values\":[");
    write_numbers(values, put_value, out)?;
    out.buffer().extend_from_slice(b"],\"timestamps\":[");
    write_numbers(times, put_integer, out)?;
    out.buffer().extend_from_slice(b"]}\n");
    out.flush_if_full()
}

fn write_numbers<T: Copy>(numbers: &[T], put: fn(&mut Vec<u8>, T), out: &mut Outgoing) -> Result<(), Gone> {
    for (index, piece) in numbers.chunks(NUMBERS_PER_FLUSH).enumerate() {
        let buffer = out.buffer();
        for (place, number) in piece.iter().enumerate() {
            if index + place > 0 {
                buffer.push(b',');
            }
            put(buffer, *number);
        }
        out.flush_if_full()?;
    }
    Ok(())
}
