//! Arguments as Prometheus reads them, and its words for those that it cannot read.

use basalt_http::Params;

use crate::{
    error::ApiError,
    time::{self, MAX_TIME_MS, MIN_TIME_MS},
};

/// Units from long to short; each may stand there once, in this order.
const UNITS_MS: &[(&str, i64)] = &[
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];
/// Nanoseconds of a duration must fit 64 bits.
const DURATION_MS_MAX: i64 = i64::MAX / 1_000_000;

/// A time that must be there.
pub(crate) fn time(params: &Params, name: &str) -> Result<i64, ApiError> {
    let text = params.get(name).unwrap_or("");
    parse_time(text).map_err(|why| ApiError::invalid_parameter(name, why))
}

/// A time, or another one if it is missing.
pub(crate) fn time_or(params: &Params, name: &str, missing: i64) -> Result<i64, ApiError> {
    params.get(name).map_or(Ok(missing), |_| time(params, name))
}

/// A duration that must be there.
pub(crate) fn duration(params: &Params, name: &str) -> Result<i64, ApiError> {
    parse_duration(params.get(name).unwrap_or("")).map_err(|why| ApiError::invalid_parameter(name, why))
}

/// The argument `limit`; `None` without it or for 0.
pub(crate) fn limit(params: &Params) -> Result<Option<usize>, ApiError> {
    let Some(text) = params.get("limit") else {
        return Ok(None);
    };
    let wrong = |_| ApiError::invalid_parameter("limit", format!("strconv.Atoi: parsing {text:?}: invalid syntax"));
    let limit: i64 = text.parse().map_err(wrong)?;
    if limit < 0 {
        return Err(ApiError::invalid_parameter("limit", "limit must be non-negative"));
    }
    Ok((limit > 0).then_some(usize::try_from(limit).unwrap_or(usize::MAX)))
}

/// Seconds since 1970 or RFC 3339, whole.
fn parse_time(text: &str) -> Result<i64, String> {
    let wrong = || format!("cannot parse {text:?} to a valid timestamp");
    match text {
        time::MIN_TIME => return Ok(MIN_TIME_MS),
        time::MAX_TIME => return Ok(MAX_TIME_MS),
        _ => {}
    }
    if let Ok(seconds) = text.parse::<f64>() {
        // The fraction is rounded by itself, where it has more digits: 1.0005 is less than it looks.
        let ms = seconds.trunc() * 1e3 + (seconds.fract() * 1e3).round();
        return if ms.abs() < i64::MAX as f64 { Ok(ms as i64) } else { Err(wrong()) };
    }
    let timestamp: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    Ok(timestamp.as_millisecond())
}

/// Seconds, or whole numbers with units.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let wrong = || format!("cannot parse {text:?} to a valid duration");
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = seconds * 1e3;
        if ms.is_nan() || ms.abs() > DURATION_MS_MAX as f64 {
            return Err(format!("{}. It overflows int64", wrong()));
        }
        // Cut to nanoseconds, then to milliseconds: 33.3 s are 33,299 ms.
        return Ok((seconds * 1e9) as i64 / 1_000_000);
    }
    let (mut rest, mut sum) = (text, 0i64);
    for (unit, ms) in UNITS_MS {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let letters = rest[digits..].find(|c: char| !c.is_ascii_alphabetic()).map_or(rest.len(), |len| digits + len);
        if digits == 0 || &rest[digits..letters] != *unit {
            continue;
        }
        let number: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        sum = number.checked_mul(*ms).and_then(|part| sum.checked_add(part)).ok_or_else(wrong)?;
        rest = &rest[letters..];
    }
    if rest.is_empty() && !text.is_empty() && sum <= DURATION_MS_MAX { Ok(sum) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        for (text, want) in [
            ("1435781451.781", Some(1_435_781_451_781)),
            ("0", Some(0)),
            ("-1", Some(-1000)),
            ("1.0005", Some(1000)),
            ("1.0015", Some(1002)),
            ("-1.0006", Some(-1001)),
            ("2015-06-03T13:21:58.555Z", Some(1_433_337_718_555)),
            ("2015-06-03T14:21:58.555+01:00", Some(1_433_337_718_555)),
            (time::MIN_TIME, Some(MIN_TIME_MS)),
            ("", None),
            ("now", None),
            ("30s", None),
            ("2015-06-03", None),
            ("NaN", None),
            ("Inf", None),
        ] {
            assert_eq!(parse_time(text).ok(), want, "{text}");
        }
        assert_eq!(parse_time("").expect_err("none"), "cannot parse \"\" to a valid timestamp");
    }

    #[test]
    fn durations_are_seconds_or_whole_units_in_order() {
        for (text, want) in [
            ("1.5", Some(1500)),
            ("33.3", Some(33_299)),
            ("-33.3", Some(-33_299)),
            ("1h30m", Some(5_400_000)),
            ("1d5ms", Some(86_400_005)),
            ("2m3ms", Some(120_003)),
            ("30m1h", None),
            ("1.5h", None),
            ("", None),
            ("h", None),
            ("1e300", None),
            ("NaN", None),
        ] {
            assert_eq!(parse_duration(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn limits_are_not_negative() {
        let limit = |query: &str| limit(&Params::parse(query.as_bytes())).map_err(|error| error.why().to_string());
        assert_eq!(limit("limit=3"), Ok(Some(3)));
        assert_eq!(limit("limit=0"), Ok(None));
        assert_eq!(limit("limit=-1"), Err("invalid parameter \"limit\": limit must be non-negative".to_string()));
        assert!(limit("limit=x").is_err());
    }
}
