//! OpenTelemetry metrics in protobuf, as OTLP sends them over HTTP.
//!
//! ```text
//! Request          1 resource metrics*
//! ResourceMetrics  1 resource { 1 attributes* }  2 scope metrics*
//! ScopeMetrics     2 metrics*
//! Metric           1 name  2 description  3 unit  5 gauge  7 sum  9 histogram  10 exponential histogram  11 summary
//! each of these    1 points*  2 temporality  3 is monotonic (of a sum)
//! ```
//!
//! 1. Attributes of the resource become labels of all its points; those of a point win over them.
//! 2. A gauge or sum is one series. A histogram is `_bucket` with `le`, `_sum` and `_count`; an exponential one is `_bucket` with `vmrange`; a summary
//!    is the metric with `quantile`, `_sum` and `_count`.
//! 3. Deltas are refused by name: series here are cumulative, and summing deltas up would need a memory of every sender.
//! 4. A point marked as not recorded is a stale marker. One without a time came now.
//! 5. Rows are handed on whenever they are many. A body that is no protobuf is found out at the place where it breaks.

mod names;
mod points;
mod values;

use storage_api::Refusal;

use crate::{
    Malformed,
    proto::{BYTES, Fields, VARINT},
    rows::{ReadError, Rows, Sink, Skipped, put_pair},
};

const RESOURCE_METRICS: u32 = 1;

const RESOURCE: u32 = 1;
const SCOPE_METRICS: u32 = 2;
const ATTRIBUTES: u32 = 1;
const METRICS: u32 = 2;

const NAME: u32 = 1;
const DESCRIPTION: u32 = 2;
const UNIT: u32 = 3;
const GAUGE: u32 = 5;
const SUM: u32 = 7;
const HISTOGRAM: u32 = 9;
const EXPONENTIAL_HISTOGRAM: u32 = 10;
const SUMMARY: u32 = 11;

const POINTS: u32 = 1;
const TEMPORALITY: u32 = 2;
const MONOTONIC: u32 = 3;
const CUMULATIVE: u64 = 2;

/// How names are made.
#[derive(Debug, Clone)]
pub struct OtlpStyle {
    /// Names as Prometheus has them, with units and `_total`.
    pub prometheus_naming: bool,
    /// Attributes of resources become labels.
    pub promote_resource_attributes: bool,
}

impl Default for OtlpStyle {
    fn default() -> Self {
        Self { prometheus_naming: false, promote_resource_attributes: true }
    }
}

/// Reads one body.
#[derive(Debug)]
pub struct Otlp<'a> {
    style: &'a OtlpStyle,
    now: i64,
    /// Labels of the resource, as pairs.
    resource: Vec<u8>,
    point: points::Point,
    skipped: Skipped,
}

/// What a metric is, before its points are looked at.
#[derive(Debug, Default)]
struct Metric<'a> {
    name: &'a [u8],
    description: &'a [u8],
    unit: &'a [u8],
    /// Its kind by the number of the field, and where that lies.
    data: Option<(u32, usize, usize)>,
}

impl<'a> Otlp<'a> {
    /// A reader of a body that came at `now`.
    pub fn new(style: &'a OtlpStyle, now: i64) -> Self {
        Self { style, now, resource: Vec::new(), point: points::Point::default(), skipped: Skipped::default() }
    }

    /// Reads the body.
    pub async fn read<S: Sink>(
        mut self,
        body: &[u8],
        rows: &mut Rows,
        sink: &mut S,
    ) -> Result<Skipped, ReadError<S::Error>> {
        let mut all = Fields::new(body, 0, body.len());
        while let Some((start, end)) = next(&mut all, RESOURCE_METRICS)? {
            self.read_resource(body, Fields::new(body, start, end))?;
            let mut scopes = Fields::new(body, start, end);
            while let Some((start, end)) = next(&mut scopes, SCOPE_METRICS)? {
                let mut metrics = Fields::new(body, start, end);
                while let Some((start, end)) = next(&mut metrics, METRICS)? {
                    self.metric(body, start, end, rows, sink).await?;
                }
            }
        }
        Ok(self.skipped)
    }

    fn read_resource(&mut self, body: &[u8], mut fields: Fields<'_>) -> Result<(), Malformed> {
        self.resource.clear();
        while let Some((start, end)) = next(&mut fields, RESOURCE)? {
            let mut inner = Fields::new(body, start, end);
            while let Some((start, end)) = next(&mut inner, ATTRIBUTES)? {
                let (name, value) = values::attribute(body, start, end)?;
                if self.style.promote_resource_attributes {
                    let name = self.label_name(name);
                    put_pair(&mut self.resource, &name, &value);
                }
            }
        }
        Ok(())
    }

    fn label_name<'b>(&self, name: &'b [u8]) -> std::borrow::Cow<'b, [u8]> {
        if self.style.prometheus_naming { names::label(name) } else { std::borrow::Cow::Borrowed(name) }
    }

    async fn metric<S: Sink>(
        &mut self,
        body: &[u8],
        start: usize,
        end: usize,
        rows: &mut Rows,
        sink: &mut S,
    ) -> Result<(), ReadError<S::Error>> {
        let metric = Metric::read(body, start, end)?;
        let Some((kind, start, end)) = metric.data else {
            return Ok(());
        };
        let (temporality, monotonic) = aggregation(body, start, end)?;
        let kind_name = match kind {
            SUM if monotonic => "counter",
            GAUGE | SUM => "gauge",
            HISTOGRAM | EXPONENTIAL_HISTOGRAM => "histogram",
            _ => "summary",
        };
        let name = match self.style.prometheus_naming {
            true => names::metric(metric.name, metric.unit, kind_name),
            false => metric.name.to_vec(),
        };
        let is_delta = matches!(kind, SUM | HISTOGRAM | EXPONENTIAL_HISTOGRAM) && temporality != CUMULATIVE;
        if !is_delta && !name.is_empty() {
            rows.metadata(kind_name, &name, metric.description, metric.unit);
        }
        let mut points = Fields::new(body, start, end);
        while let Some((start, end)) = next(&mut points, POINTS)? {
            if is_delta {
                self.skipped.refused.add(Refusal::DeltaTemporality, 1);
                continue;
            }
            let mark = rows.mark();
            self.read_point(kind, body, start, end)?;
            if let Err(why) = self.write_point(kind, &name, rows) {
                rows.rewind(mark);
                self.skipped.add(Malformed { at: start, ..why });
            }
            if rows.is_full() {
                sink.flush(rows).await.map_err(ReadError::Sink)?;
            }
        }
        Ok(())
    }
}

impl<'a> Metric<'a> {
    fn read(body: &'a [u8], start: usize, end: usize) -> Result<Self, Malformed> {
        let mut metric = Self::default();
        let mut fields = Fields::new(body, start, end);
        while !fields.is_at_end() {
            let key = fields.key()?;
            match key.field {
                NAME | DESCRIPTION | UNIT | GAUGE | SUM | HISTOGRAM | EXPONENTIAL_HISTOGRAM | SUMMARY => {
                    fields.expect(key, BYTES)?;
                    let (start, end) = fields.extent()?;
                    match key.field {
                        NAME => metric.name = &body[start..end],
                        DESCRIPTION => metric.description = &body[start..end],
                        UNIT => metric.unit = &body[start..end],
                        kind => metric.data = Some((kind, start, end)),
                    }
                }
                _ => fields.skip(key)?,
            }
        }
        Ok(metric)
    }
}

/// Temporality, and whether a sum only grows.
fn aggregation(body: &[u8], start: usize, end: usize) -> Result<(u64, bool), Malformed> {
    let mut fields = Fields::new(body, start, end);
    let (mut temporality, mut monotonic) = (0, false);
    while !fields.is_at_end() {
        let key = fields.key()?;
        match key.field {
            TEMPORALITY | MONOTONIC if key.wire == VARINT => {
                let number = fields.varint()?;
                match key.field {
                    TEMPORALITY => temporality = number,
                    _ => monotonic = number != 0,
                }
            }
            _ => fields.skip(key)?,
        }
    }
    Ok((temporality, monotonic))
}

/// The extent of the next field of this number; others are stepped over.
fn next(fields: &mut Fields<'_>, wanted: u32) -> Result<Option<(usize, usize)>, Malformed> {
    while !fields.is_at_end() {
        let key = fields.key()?;
        if key.field == wanted {
            fields.expect(key, BYTES)?;
            return fields.extent().map(Some);
        }
        fields.skip(key)?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
