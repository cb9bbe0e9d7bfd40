//! The argument `format` of CSV imports: `position:type:context`, with commas between.

use std::fmt;

use super::layout::Layout;

/// No line has more columns that anybody wants.
const COLUMNS_MAX: usize = 64 << 10;
const SECOND_MS: f64 = 1000.0;
const NANOSECONDS_PER_MS: i64 = 1_000_000;

/// What the columns are.
#[derive(Debug)]
pub struct CsvFormat {
    pub(super) columns: Vec<Column>,
}

#[derive(Debug)]
pub(super) enum Column {
    Skip,
    Metric(String),
    Label(String),
    Time(TimeForm),
}

#[derive(Debug)]
pub(super) enum TimeForm {
    Seconds,
    Milliseconds,
    Nanoseconds,
    Rfc3339,
    Custom(Layout),
}

/// A format that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFormatError(String);

impl fmt::Display for CsvFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CsvFormatError {}

impl CsvFormat {
    /// Reads a format.
    pub fn parse(text: &str) -> Result<Self, CsvFormatError> {
        let mut columns: Vec<Column> = Vec::new();
        for entry in text.split(',') {
            let wrong = |why: &str| CsvFormatError(format!("cannot parse {entry:?} of format={text:?}: {why}"));
            let mut parts = entry.splitn(3, ':');
            let (Some(position), Some(kind), Some(context)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(wrong("want position:type:context"));
            };
            let position: usize = position.trim().parse().map_err(|_| wrong("the position is no number"))?;
            if !(1..=COLUMNS_MAX).contains(&position) {
                return Err(wrong("the position is out of range; the first column is 1"));
            }
            let column = match kind {
                "time" => Column::Time(TimeForm::named(context).ok_or_else(|| {
                    wrong("want unix_s, unix_ms, unix_ns, rfc3339 or custom:layout with a layout that is understood")
                })?),
                _ if context.is_empty() => return Err(wrong("the name is empty")),
                "metric" => Column::Metric(context.to_string()),
                "label" => Column::Label(context.to_string()),
                _ => return Err(wrong("unknown type; want time, metric or label")),
            };
            if columns.len() < position {
                columns.resize_with(position, || Column::Skip);
            }
            let is_time = |column: &Column| matches!(column, Column::Time(_));
            if is_time(&column) && columns.iter().any(is_time) {
                return Err(wrong("there is a time column already"));
            }
            if !matches!(columns[position - 1], Column::Skip) {
                return Err(wrong("the column stands there twice"));
            }
            columns[position - 1] = column;
        }
        if !columns.iter().any(|column| matches!(column, Column::Metric(_))) {
            return Err(CsvFormatError(format!("no metric column in format={text:?}")));
        }
        Ok(Self { columns })
    }
}

impl TimeForm {
    fn named(name: &str) -> Option<Self> {
        match name {
            "unix_s" => Some(Self::Seconds),
            "unix_ms" => Some(Self::Milliseconds),
            "unix_ns" => Some(Self::Nanoseconds),
            "rfc3339" => Some(Self::Rfc3339),
            _ => Layout::from_go(name.strip_prefix("custom:")?).map(Self::Custom),
        }
    }

    /// Milliseconds since 1970.
    pub(super) fn parse(&self, text: &str) -> Option<i64> {
        match self {
            Self::Seconds => match text.parse::<i64>() {
                Ok(seconds) => seconds.checked_mul(SECOND_MS as i64),
                Err(_) => finite(text).map(|seconds| (seconds * SECOND_MS).round() as i64),
            },
            Self::Milliseconds => text.parse().ok().or_else(|| finite(text).map(|ms| ms.round() as i64)),
            Self::Nanoseconds => text.parse::<i64>().ok().map(|ns| ns.div_euclid(NANOSECONDS_PER_MS)),
            Self::Rfc3339 => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond),
            Self::Custom(layout) => layout.parse(text),
        }
    }
}

fn finite(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_formats_name_the_entry() {
        for (format, want) in [
            ("", "want position:type:context"),
            ("1:metric", "want position:type:context"),
            ("x:metric:a", "no number"),
            ("0:metric:a", "out of range"),
            ("70000:metric:a", "out of range"),
            ("1:metric:", "name is empty"),
            ("1:thing:a", "unknown type"),
            ("1:time:iso", "want unix_s"),
            ("1:metric:a,1:label:b", "twice"),
            ("1:time:unix_s,2:time:unix_s", "already"),
            ("1:label:a", "no metric column"),
        ] {
            let error = CsvFormat::parse(format).expect_err(format).to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
