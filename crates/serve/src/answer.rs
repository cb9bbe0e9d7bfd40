//! The answer of a query as JSON, as the rival whose dialect was asked for writes it.
//!
//! 1. VictoriaMetrics: vectors and matrices only; times with the digits that they need, values without exponent; `stats` behind the data, then `trace`.
//! 2. Prometheus: scalars and strings too; times with three digits or none, very small and very large values with an exponent, but for scalars;
//!    `warnings` and `infos` behind the data.
//! 3. Points without a sample are left out, and with them series that have none.
//! 4. Series on one grid have the same times, which are made text once.

use std::time::Duration;

use basalt_http::Gone;
use model::METRIC_NAME;
use query::{Answer, AnswerSeries, Dialect, Labels, Points, TraceNode, Value, is_absent};

use crate::{
    json::put_text,
    number::{Layout, put_float, put_seconds, put_seconds_padded, put_whole},
    packing::Sink,
};

/// What stands around the series.
pub(crate) const FRAME_BYTES: usize = 512;
/// Room that a point takes, about.
const POINT_BYTES: usize = 30;
/// What closes a point behind its value.
const POINT_END: &[u8] = b"\"]";
/// Points that are written between two looks at whether a chunk is full.
const POINTS_PER_FLUSH: usize = 1024;

/// What decides how an answer looks, beside its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Whose answer it has to look like.
    pub(crate) dialect: Dialect,
    /// VictoriaMetrics: whether `stats` stands there.
    pub(crate) with_stats: bool,
    /// Prometheus: whether the client asked for statistics.
    pub(crate) stats_wanted: bool,
}

/// How long the answer will be, about.
pub(crate) fn bytes_about(answer: &Answer) -> usize {
    let points = |series: &AnswerSeries| match &series.points {
        Points::Grid { values, .. } | Points::Own { values, .. } => values.len(),
    };
    match &answer.value {
        Value::Scalar(..) => 0,
        Value::Text(_, text) => text.len(),
        Value::Vector(all) | Value::Matrix(all) => {
            all.iter().map(|series| 32 + 2 * series.labels.bytes() + POINT_BYTES * points(series)).sum()
        }
    }
}

/// Writes the answer.
pub(crate) fn write(answer: &Answer, shape: &Shape, out: &mut impl Sink) -> Result<(), Gone> {
    let times = GridTimes::of(&answer.value, |out, time| put_time(shape.dialect, out, time));
    let writer = Writer { shape: *shape, times };
    out.buffer().extend_from_slice(b"{\"status\":\"success\"");
    if let Some(is_partial) = answer.is_partial {
        out.buffer().extend_from_slice(if is_partial { b",\"isPartial\":true" } else { b",\"isPartial\":false" });
    }
    out.buffer().extend_from_slice(b",\"data\":{\"resultType\":");
    match &answer.value {
        Value::Scalar(time, value) => {
            out.buffer().extend_from_slice(b"\"scalar\",\"result\":");
            let out = out.buffer();
            writer.put_begin(out, *time);
            // Also where Prometheus would write the value of a series with an exponent.
            put_float(out, *value, Layout::Plain);
            out.extend_from_slice(POINT_END);
        }
        Value::Text(time, text) => {
            out.buffer().extend_from_slice(b"\"string\",\"result\":[");
            put_time(shape.dialect, out.buffer(), *time);
            out.buffer().push(b',');
            put_text(out.buffer(), text);
            out.buffer().push(b']');
        }
        Value::Vector(series) => {
            out.buffer().extend_from_slice(b"\"vector\",\"result\":[");
            writer.write_series(series, Writer::write_single, out)?;
        }
        Value::Matrix(series) => {
            out.buffer().extend_from_slice(b"\"matrix\",\"result\":[");
            writer.write_series(series, Writer::write_many, out)?;
        }
    }
    put_tail(answer, shape, out.buffer());
    Ok(())
}

struct Writer {
    shape: Shape,
    times: GridTimes,
}

/// The begin of each point of the grid that series stand on, written once for all of them.
#[derive(Debug, Default)]
struct GridTimes {
    start: i64,
    step: i64,
    texts: Vec<u8>,
    ends: Vec<u32>,
}

impl GridTimes {
    /// Of longer grids times are written for each series.
    const POINTS_MAX: usize = 1 << 16;

    /// What series on one grid share; nothing if it is not worth it.
    fn of(answer: &Value, put_time: impl Fn(&mut Vec<u8>, i64)) -> Self {
        let Value::Matrix(all) = answer else { return Self::default() };
        let grids = all.iter().filter_map(|series| match &series.points {
            Points::Grid { start, step, values } => Some((*start, *step, *start + *step * values.len() as i64)),
            Points::Own { .. } => None,
        });
        let joined =
            |(start, step, end): (i64, i64, i64), other: (i64, i64, i64)| (start.min(other.0), step, end.max(other.2));
        let ([_, _, ..], Some((start, step, end))) = (all.as_slice(), grids.reduce(joined)) else {
            return Self::default();
        };
        let mut times = Self { start, step, ..Self::default() };
        let points = ((end - start) / step) as usize;
        if points > Self::POINTS_MAX {
            return times;
        }
        for index in 0..points {
            times.texts.push(b'[');
            put_time(&mut times.texts, start + step * index as i64);
            times.texts.extend_from_slice(b",\"");
            times.ends.push(times.texts.len() as u32);
        }
        times
    }

    /// The place of the first point of a series, if it is on this grid.
    fn place(&self, start: i64, step: i64) -> Option<usize> {
        let is_on_grid = step == self.step && (start - self.start) % step == 0;
        is_on_grid.then(|| ((start - self.start) / step) as usize)
    }

    /// The begin of point `index`.
    fn begin(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)? as usize;
        let begin = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        Some(&self.texts[begin..end])
    }
}

impl Writer {
    /// All series that have a point, and the closing bracket.
    fn write_series<S: Sink>(
        &self,
        all: &[AnswerSeries],
        write_points: fn(&Self, &Points, &mut S) -> Result<(), Gone>,
        out: &mut S,
    ) -> Result<(), Gone> {
        let mut first = true;
        for series in all.iter().filter(|series| self.has_point(&series.points)) {
            out.buffer().extend_from_slice(if first { b"{\"metric\":" } else { b",{\"metric\":" });
            first = false;
            self.put_labels(out.buffer(), &series.labels);
            write_points(self, &series.points, out)?;
            out.buffer().push(b'}');
            out.flush_if_full()?;
        }
        out.buffer().push(b']');
        Ok(())
    }

    fn write_single<S: Sink>(&self, points: &Points, out: &mut S) -> Result<(), Gone> {
        let (_, time, value) = self.points(points).next().expect("BUG: series without points are left out");
        out.buffer().extend_from_slice(b",\"value\":");
        self.put_point(out.buffer(), time, value);
        Ok(())
    }

    fn write_many<S: Sink>(&self, points: &Points, out: &mut S) -> Result<(), Gone> {
        out.buffer().extend_from_slice(b",\"values\":[");
        let first = match points {
            Points::Grid { start, step, .. } => self.times.place(*start, *step),
            Points::Own { .. } => None,
        };
        for (index, (place, time, value)) in self.points(points).enumerate() {
            if index > 0 {
                out.buffer().push(b',');
            }
            if index % POINTS_PER_FLUSH == POINTS_PER_FLUSH - 1 {
                out.flush_if_full()?;
            }
            let out = out.buffer();
            match first.and_then(|first| self.times.begin(first + place)) {
                Some(begin) => {
                    out.extend_from_slice(begin);
                    self.put_value(out, value);
                }
                None => self.put_point(out, time, value),
            }
        }
        out.buffer().push(b']');
        Ok(())
    }

    /// The points that there are, with their places. On a grid a NaN of VictoriaMetrics is no sample; a series' own samples are all shown.
    fn points<'a>(&self, points: &'a Points) -> impl Iterator<Item = (usize, i64, f64)> + 'a {
        let (first, step, times, values): (i64, i64, &[i64], &[f64]) = match points {
            Points::Grid { start, step, values } => (*start, *step, &[], values),
            Points::Own { times, values } => (0, 0, times, values),
        };
        let nan_is_absent = self.shape.dialect == Dialect::MetricsQl;
        let is_own = matches!(points, Points::Own { .. });
        values.iter().enumerate().filter_map(move |(index, value)| {
            if is_own {
                return Some((index, times[index], *value));
            }
            let absent = if nan_is_absent { value.is_nan() } else { is_absent(*value) };
            (!absent).then(|| (index, first + step * index as i64, *value))
        })
    }

    fn has_point(&self, points: &Points) -> bool {
        self.points(points).next().is_some()
    }

    fn put_point(&self, out: &mut Vec<u8>, time: i64, value: f64) {
        self.put_begin(out, time);
        self.put_value(out, value);
    }

    /// What stands before the value of a point.
    fn put_begin(&self, out: &mut Vec<u8>, time: i64) {
        out.push(b'[');
        put_time(self.shape.dialect, out, time);
        out.extend_from_slice(b",\"");
    }

    /// A value and what closes its point.
    fn put_value(&self, out: &mut Vec<u8>, value: f64) {
        let layout = match self.shape.dialect {
            Dialect::MetricsQl => Layout::Plain,
            Dialect::PromQl => Layout::Exponent,
        };
        put_float(out, value, layout);
        out.extend_from_slice(POINT_END);
    }

    /// The labels as an object: in VictoriaMetrics the metric's name stands first, in Prometheus where its name sorts it.
    fn put_labels(&self, out: &mut Vec<u8>, labels: &Labels) {
        let name_first = self.shape.dialect == Dialect::MetricsQl;
        let is_early = |label: &(&str, &str)| name_first && label.0 == METRIC_NAME;
        let name = labels.iter().filter(is_early);
        let others = labels.iter().filter(|label| !is_early(label));
        out.push(b'{');
        for (index, (name, value)) in name.chain(others).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            put_text(out, name);
            out.push(b':');
            put_text(out, value);
        }
        out.push(b'}');
    }
}

fn put_time(dialect: Dialect, out: &mut Vec<u8>, time: i64) {
    match dialect {
        Dialect::MetricsQl => put_seconds(out, time),
        Dialect::PromQl => put_seconds_padded(out, time),
    }
}

/// What stands behind the series.
fn put_tail(answer: &Answer, shape: &Shape, out: &mut Vec<u8>) {
    match shape.dialect {
        Dialect::MetricsQl => {
            out.push(b'}');
            if shape.with_stats {
                put_stats(answer, out);
            }
        }
        Dialect::PromQl => {
            if shape.stats_wanted {
                put_prometheus_stats(answer, out);
            }
            out.push(b'}');
            put_notes(out, "warnings", &answer.warnings);
            put_notes(out, "infos", &answer.infos);
        }
    }
    if let Some(trace) = &answer.trace {
        out.extend_from_slice(b",\"trace\":");
        put_trace(out, trace);
    }
    out.push(b'}');
}

/// The series are a string for reasons of history.
fn put_stats(answer: &Answer, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"stats\":{\"seriesFetched\":\"");
    put_whole(out, answer.stats.series_fetched);
    out.extend_from_slice(b"\",\"executionTimeMsec\":");
    put_whole(out, answer.stats.elapsed.as_millis() as u64);
    if answer.stats.bytes_moved > 0 {
        // Only where storage nodes were asked.
        out.extend_from_slice(b",\"bytesMoved\":");
        put_whole(out, answer.stats.bytes_moved);
    }
    out.push(b'}');
}

fn put_prometheus_stats(answer: &Answer, out: &mut Vec<u8>) {
    let seconds = |out: &mut Vec<u8>, duration: Duration| put_float(out, duration.as_secs_f64(), Layout::Exponent);
    out.extend_from_slice(b",\"stats\":{\"timings\":{");
    for name in ["evalTotalTime", "innerEvalTime", "execTotalTime"] {
        put_text(out, name);
        out.push(b':');
        seconds(out, answer.stats.elapsed);
        out.push(b',');
    }
    out.extend_from_slice(b"\"resultSortTime\":0,\"queryPreparationTime\":0,\"execQueueTime\":0},\"samples\":{");
    for (name, behind) in [("totalQueryableSamples", b','), ("peakSamples", b'}')] {
        put_text(out, name);
        out.push(b':');
        put_whole(out, answer.stats.samples_scanned);
        out.push(behind);
    }
    out.push(b'}');
}

fn put_notes(out: &mut Vec<u8>, name: &str, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    out.push(b',');
    put_text(out, name);
    out.extend_from_slice(b":[");
    for (index, note) in notes.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_text(out, note);
    }
    out.push(b']');
}

/// A trace is as deep as the expression, which the parser bounds.
fn put_trace(out: &mut Vec<u8>, node: &TraceNode) {
    out.extend_from_slice(b"{\"duration_msec\":");
    put_float(out, node.elapsed.as_micros() as f64 / 1e3, Layout::Plain);
    out.extend_from_slice(b",\"message\":");
    put_text(out, &node.message);
    if !node.children.is_empty() {
        out.extend_from_slice(b",\"children\":[");
        for (index, child) in node.children.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            put_trace(out, child);
        }
        out.push(b']');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use query::{ABSENT, Stats};

    use super::*;

    fn series(labels: &[(&str, &str)], points: Points) -> AnswerSeries {
        AnswerSeries { labels: Labels::from_sorted(labels.iter().copied()), points }
    }

    fn grid(values: &[f64]) -> Points {
        Points::Grid { start: 1_700_000_000_500, step: 500, values: values.to_vec() }
    }

    fn text(value: Value, dialect: Dialect, change: impl FnOnce(&mut Answer, &mut Shape)) -> String {
        let stats = Stats { series_fetched: 12, elapsed: Duration::from_millis(29), ..Stats::default() };
        let mut answer =
            Answer { value, stats, warnings: vec![], infos: vec![], trace: None, is_partial: None, held: None };
        let mut shape = Shape { dialect, with_stats: true, stats_wanted: false };
        change(&mut answer, &mut shape);
        let mut out = Vec::new();
        write(&answer, &shape, &mut out).expect("memory does not leave");
        String::from_utf8(out).expect("JSON is text")
    }

    #[test]
    fn victoriametrics_answers_look_like_its_own() {
        let vector = Value::Vector(vec![
            series(&[("A", "a"), ("__name__", "m"), ("b", "\"")], grid(&[1e21])),
            series(&[("gone", "x")], grid(&[f64::NAN])),
        ]);
        assert_eq!(
            text(vector, Dialect::MetricsQl, |_, _| {}),
            concat!(
                r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"m","A":"a","#,
                r#""b":"\""},"value":[1700000000.5,"1000000000000000000000"]}]},"stats":{"seriesFetched":"12","#,
                r#""executionTimeMsec":29}}"#,
            )
        );
        let matrix = Value::Matrix(vec![series(&[], grid(&[1.0, f64::NAN, -0.5]))]);
        assert_eq!(
            text(matrix, Dialect::MetricsQl, |answer, _| answer.is_partial = Some(false)),
            concat!(
                r#"{"status":"success","isPartial":false,"data":{"resultType":"matrix","result":[{"metric":{},"#,
                r#""values":[[1700000000.5,"1"],[1700000001.5,"-0.5"]]}]},"stats":{"seriesFetched":"12","#,
                r#""executionTimeMsec":29}}"#,
            )
        );
        let raw = Points::Own { times: Arc::new(vec![1000, 2500]), values: vec![3.0, f64::NAN] };
        let traced = text(Value::Matrix(vec![series(&[], raw)]), Dialect::MetricsQl, |answer, shape| {
            shape.with_stats = false;
            let child = TraceNode { message: "scan".into(), ..TraceNode::default() };
            let elapsed = Duration::from_micros(1500);
            answer.trace = Some(TraceNode { message: "query".into(), elapsed, children: vec![child] });
        });
        assert_eq!(
            traced,
            concat!(
                r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"3"],[2.5,"#,
                r#""NaN"]]}]},"trace":{"duration_msec":1.5,"message":"query","children":[{"duration_msec":0,"#,
                r#""message":"scan"}]}}"#,
            )
        );
    }

    #[test]
    fn series_of_one_grid_begin_where_they_have_samples() {
        let from = |start: i64, values: &[f64]| Points::Grid { start, step: 1_000, values: values.to_vec() };
        let matrix = vec![
            series(&[("a", "1")], from(3_000, &[1.0, 2.0])),
            series(&[("a", "2")], from(1_000, &[3.0, ABSENT, 4.0])),
            series(&[("a", "3")], from(1_500, &[5.0])),
        ];
        let answer = text(Value::Matrix(matrix), Dialect::PromQl, |_, _| {});
        for want in [r#"[[3,"1"],[4,"2"]]"#, r#"[[1,"3"],[3,"4"]]"#, r#"[[1.500,"5"]]"#] {
            assert!(answer.contains(want), "{want} is not in {answer}");
        }
    }

    #[test]
    fn prometheus_answers_look_like_its_own() {
        for (scalar, want) in [(1e21, "1000000000000000000000"), (1e-7, "0.0000001"), (f64::INFINITY, "+Inf")] {
            assert_eq!(
                text(Value::Scalar(1500, scalar), Dialect::PromQl, |_, _| {}),
                format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[1.500,"{want}"]}}}}"#)
            );
        }
        let vector = Value::Vector(vec![series(&[], grid(&[1e21]))]);
        assert!(text(vector, Dialect::PromQl, |_, _| {}).contains(r#""value":[1700000000.500,"1e+21"]"#));
        assert_eq!(
            text(Value::Text(0, "x\n".into()), Dialect::PromQl, |_, _| {}),
            r#"{"status":"success","data":{"resultType":"string","result":[0,"x\n"]}}"#
        );
        let vector = Value::Vector(vec![series(&[("A", "a"), ("__name__", "m")], grid(&[f64::NAN]))]);
        assert_eq!(
            text(vector, Dialect::PromQl, |answer, _| {
                answer.warnings.push("w".into());
                answer.infos.extend(["i".into(), "j".into()]);
            }),
            concat!(
                r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"A":"a","__name__":"m"},"#,
                r#""value":[1700000000.500,"NaN"]}]},"warnings":["w"],"infos":["i","j"]}"#,
            )
        );
        let matrix = Value::Matrix(vec![series(&[], grid(&[ABSENT, 1.0]))]);
        let with_stats = text(matrix, Dialect::PromQl, |_, shape| shape.stats_wanted = true);
        assert!(with_stats.contains(r#""values":[[1700000001,"1"]]}],"stats":{"timings":{"evalTotalTime":0.029,"#));
    }
}
