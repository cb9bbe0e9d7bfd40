//! Numbers as text, in the forms that the rivals write.

/// The shortest text that reads back as the number, as Go's `%g` writes it: with an exponent of at least two digits below 1e-4 and from 1e6 on.
pub(super) fn general(value: f64) -> String {
    laid_out(value, 6)
}

/// As [`general`], with two digits at most.
pub(super) fn general_short(value: f64) -> String {
    laid_out(format!("{value:.1e}").parse().unwrap_or(value), 2)
}

/// With an exponent for very small numbers and for those of more digits than so many.
fn laid_out(value: f64, digits_max: i32) -> String {
    if let Some(text) = special(value) {
        return text.into();
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        exponent if (-4..digits_max).contains(&exponent) => plain(value),
        exponent if exponent < 0 => format!("{mantissa}e-{:02}", -exponent),
        exponent => format!("{mantissa}e+{exponent:02}"),
    }
}

/// The shortest text that reads back as the number, without exponent.
pub(super) fn plain(value: f64) -> String {
    special(value).map_or_else(|| format!("{value}"), str::to_string)
}

fn special(value: f64) -> Option<&'static str> {
    match value {
        value if value.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_rivals_write_them() {
        let cases = [
            (0.0, "0", "0"),
            (-1.5, "-1.5", "-1.5"),
            (999_999.5, "999999.5", "999999.5"),
            (1e6, "1e+06", "1000000"),
            (123_456_789.0, "1.23456789e+08", "123456789"),
            (1e21, "1e+21", "1000000000000000000000"),
            (0.0001, "0.0001", "0.0001"),
            (0.000_012_5, "1.25e-05", "0.0000125"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NAN, "NaN", "NaN"),
        ];
        for (value, with_exponent, without) in cases {
            assert_eq!((general(value).as_str(), plain(value).as_str()), (with_exponent, without));
        }
    }
}
