//! `/api/v1/export`: raw samples as JSON lines, `{"metric":{…},"values":[…],"timestamps":[…]}`.
//!
//! A line is sent in pieces, so that memory holds one series' columns and some chunks, however long the line.

use basalt_http::{Gone, Params, Response};
use model::SeriesKey;
use storage_api::{SelectRequest, SeriesData};

use crate::{
    Server, args,
    asker::Asker,
    error::ApiError,
    json::{put_labels, put_value},
    number::put_integer,
    packing::{Outgoing, Sink},
    raw::RawAnswer,
};

/// Numbers that are written between two looks at whether a chunk is full.
const NUMBERS_PER_FLUSH: usize = 1024;

impl Server {
    pub(crate) async fn export(&self, asker: &Asker, params: &Params) -> Result<Response, ApiError> {
        let selector = args::selector(params)?;
        let range = self.range(params)?;
        let rows_per_line = params.number("max_rows_per_line")?.filter(|rows| *rows > 0);
        let rows_per_line = rows_per_line.map_or(usize::MAX, |rows| usize::try_from(rows).unwrap_or(usize::MAX));
        // `reduce_mem_usage` asks for what is always done here.
        let request = SelectRequest::raw(asker.tenant, selector, range);
        let answer = self.export_answer("application/stream+json; charset=utf-8");
        self.stream_raw(asker, request, answer, move |key, data, out| write_series(key, data, rows_per_line, out)).await
    }

    /// What exports may cost.
    pub(crate) fn export_answer(&self, media_type: &'static str) -> RawAnswer {
        let (series_max, time_max) = (self.options.export_series_max, self.options.export_time_max);
        RawAnswer { series_max, time_max, media_type, prologue: Vec::new() }
    }
}

fn write_series(key: &SeriesKey, data: &SeriesData, rows_per_line: usize, out: &mut Outgoing) -> Result<(), Gone> {
    let mut lines = data.times.chunks(rows_per_line).zip(data.values.chunks(rows_per_line));
    lines.try_for_each(|(times, values)| write_line(key, times, values, out))
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
