//! Numbers and durations.

use super::{Printer, Style};
use crate::{
    ast::{Expr, ExprKind, Span, Unit},
    duration::duration_millis,
};

/// The units that a normalized duration is made of, and whether each is used only if nothing is left behind it.
const NORMAL_UNITS: [(Unit, bool); 7] = [
    (Unit::Year, true),
    (Unit::Week, true),
    (Unit::Day, false),
    (Unit::Hour, false),
    (Unit::Minute, false),
    (Unit::Second, false),
    (Unit::Millisecond, false),
];

impl Printer<'_> {
    pub(super) fn number(&self, out: &mut String, value: f64, span: Span) {
        match self.written(span) {
            Some(written) => out.push_str(written),
            None if self.style == Style::Spacious && value == f64::INFINITY => out.push_str("+Inf"),
            None if self.style == Style::Spacious && value.is_finite() => out.push_str(&format!("{value}")),
            None => out.push_str(&number(value)),
        }
    }

    pub(super) fn duration(&self, out: &mut String, parts: &[(f64, Unit)], span: Span) {
        if let Some(written) = self.written(span) {
            return out.push_str(written);
        }
        let is_fixed = parts.iter().all(|(_, unit)| *unit != Unit::Step);
        let normal = normalized(duration_millis(parts, 0.0)).filter(|_| is_fixed && self.style == Style::Spacious);
        match normal {
            Some(normal) => out.push_str(&normal),
            None => parts.iter().for_each(|(number, unit)| out.push_str(&format!("{number}{}", unit.suffix()))),
        }
    }

    /// A length of time in brackets or behind `offset`.
    pub(super) fn length(&self, out: &mut String, length: &Expr) {
        match &length.kind {
            ExprKind::Number(seconds) if self.style == Style::Spacious => match normalized(seconds * 1e3) {
                Some(normal) => out.push_str(&normal),
                None => self.expr(out, length),
            },
            _ => self.expr(out, length),
        }
    }

    fn written(&self, span: Span) -> Option<&str> {
        let source = self.source.filter(|_| self.style == Style::Compact)?;
        source.get(span.start as usize..span.end as usize).filter(|written| !written.is_empty())
    }
}

fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value.is_infinite() {
        return if value > 0.0 { "Inf" } else { "-Inf" }.to_string();
    }
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) && !value.is_nan() {
        return format!("{value:e}");
    }
    format!("{value}")
}

/// `5400s` as `1h30m`; nothing for what is no whole number of milliseconds.
fn normalized(millis: f64) -> Option<String> {
    if millis.fract() != 0.0 || !(0.0..1e15).contains(&millis) {
        return None;
    }
    let mut rest = millis as u64;
    if rest == 0 {
        return Some("0s".to_string());
    }
    let mut written = String::new();
    for (unit, only_whole) in NORMAL_UNITS {
        let length = unit.millis(0.0) as u64;
        if only_whole && !rest.is_multiple_of(length) {
            continue;
        }
        if rest >= length {
            written.push_str(&format!("{}{}", rest / length, unit.suffix()));
            rest %= length;
        }
    }
    Some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_normalized() {
        let cases = [
            (5_400_000.0, "1h30m"),
            (0.0, "0s"),
            (604_800_000.0, "1w"),
            (90_061_001.0, "1d1h1m1s1ms"),
            (691_200_000.0, "8d"),
        ];
        for (millis, text) in cases {
            assert_eq!(normalized(millis).as_deref(), Some(text));
        }
        assert_eq!(normalized(0.5), None);
    }

    #[test]
    fn numbers_keep_their_value() {
        for value in [0.1, 1e21, 5e-324, 1.7976931348623157e308, 123456789.125, 1e-7, f64::INFINITY] {
            let written = number(value);
            assert_eq!(written.to_ascii_lowercase().parse::<f64>().unwrap(), value, "{written}");
        }
    }
}
