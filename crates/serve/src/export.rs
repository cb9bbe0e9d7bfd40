//! `/api/v1/export`: raw samples as JSON lines, `{"metric":{…},"values":[…],"timestamps":[…]}`.
//!
//! 1. The series are found before the answer begins, so that errors of the request get their status.
//! 2. A blocking thread pulls chunk by chunk, decodes series by series, and writes into the answer's stream, which makes it wait for slow clients.
//! 3. A line is sent in pieces, so that memory holds one series' columns and some chunks, however long the line.
//! 4. If a series cannot be read the connection breaks.

use std::fmt;

use basalt_http::{Body, BodyWriter, Gone, HeaderValue, Params, Response, header};
use model::{SeriesKey, Tenant};
use storage_api::{Budget, SelectError, SelectRequest, SeriesData, SeriesStream};

use crate::{
    Server, args,
    error::ApiError,
    json::{put_integer, put_labels, put_value},
};

/// Numbers that are written between two looks at whether a chunk is full.
const NUMBERS_PER_FLUSH: usize = 1024;

/// Why an export ended early.
enum Ended {
    Gone,
    Select(SelectError),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => Gone.fmt(f),
            Self::Select(error) => error.fmt(f),
        }
    }
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<SelectError> for Ended {
    fn from(error: SelectError) -> Self {
        Self::Select(error)
    }
}

impl Server {
    pub(crate) async fn export(&self, tenant: Tenant, params: &Params) -> Result<Response, ApiError> {
        let selector = args::selector(params)?;
        let range = self.range(params)?;
        let rows_per_line = params.number("max_rows_per_line")?.filter(|rows| *rows > 0);
        let rows_per_line = rows_per_line.map_or(usize::MAX, |rows| usize::try_from(rows).unwrap_or(usize::MAX));
        // `reduce_mem_usage` asks for what is always done here.

        let query = self.begin(self.options.export_series_max, self.options.export_time_max).await?;
        let budget = query.budget.clone();
        let request = SelectRequest { budget: budget.clone(), ..SelectRequest::raw(tenant, selector, range) };
        let (stream, permit, guard) = self.find(query, request).await?;

        let (mut writer, body) = Body::stream();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            match write_series(&*stream, &budget, rows_per_line, &mut writer) {
                // An error here means that the client is gone, which is its affair.
                Ok(()) => drop(writer.finish()),
                Err(Ended::Gone) => {}
                Err(ended) => log::error!("an export broke off: {ended}"),
            }
        });
        let mut response = Response::new(body.holding(guard));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/stream+json; charset=utf-8"));
        Ok(response)
    }
}

fn write_series(
    stream: &dyn SeriesStream,
    budget: &Budget,
    rows_per_line: usize,
    writer: &mut BodyWriter,
) -> Result<(), Ended> {
    let mut key = SeriesKey::default();
    let mut data = SeriesData::default();
    while let Some(mut chunk) = stream.next()? {
        for index in 0..chunk.len() {
            budget.check()?;
            chunk.read(index, &mut data)?;
            if data.values.is_empty() {
                continue;
            }
            chunk.key(index, &mut key)?;
            let lines = data.times.chunks(rows_per_line).zip(data.values.chunks(rows_per_line));
            for (times, values) in lines {
                write_line(&key, times, values, writer)?;
            }
        }
    }
    Ok(())
}

fn write_line(key: &SeriesKey, times: &[i64], values: &[f64], writer: &mut BodyWriter) -> Result<(), Gone> {
    writer.buffer().extend_from_slice(b"{\"metric\":");
    put_labels(writer.buffer(), key);
    writer.buffer().extend_from_slice(b",\"values\":[");
    write_numbers(values, put_value, writer)?;
    writer.buffer().extend_from_slice(b"],\"timestamps\":[");
    write_numbers(times, put_integer, writer)?;
    writer.buffer().extend_from_slice(b"]}\n");
    writer.flush_if_full()
}

fn write_numbers<T: Copy>(numbers: &[T], put: fn(&mut Vec<u8>, T), writer: &mut BodyWriter) -> Result<(), Gone> {
    for (index, piece) in numbers.chunks(NUMBERS_PER_FLUSH).enumerate() {
        let out = writer.buffer();
        for (place, number) in piece.iter().enumerate() {
            if index + place > 0 {
                out.push(b',');
            }
            put(out, *number);
        }
        writer.flush_if_full()?;
    }
    Ok(())
}
