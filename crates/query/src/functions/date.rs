//! Functions that read samples as times, in seconds since 1970, UTC.

use super::{
    Dialects::{Both, MetricsQl},
    Function,
    Run::Whole,
    args::Args,
    function, math,
};
use crate::{
    api::QueryError,
    frame::{Operand, Row},
    labels::Labels,
};

pub(super) const TABLE: &[Function] = &[
    function("day_of_month", Both, (0, 1), Whole(|args| map_dates(args, |date| date.day))),
    function("day_of_week", Both, (0, 1), Whole(|args| map_dates(args, |date| date.day_of_week))),
    function("day_of_year", Both, (0, 1), Whole(|args| map_dates(args, |date| date.day_of_year))),
    function("days_in_month", Both, (0, 1), Whole(|args| map_dates(args, |date| days_in(date.year, date.month)))),
    function("hour", Both, (0, 1), Whole(|args| map_dates(args, |date| date.second_of_day / 3_600))),
    function("minute", Both, (0, 1), Whole(|args| map_dates(args, |date| date.second_of_day % 3_600 / 60))),
    function("month", Both, (0, 1), Whole(|args| map_dates(args, |date| date.month))),
    function("timezone_offset", MetricsQl, (1, 1), Whole(timezone_offset)),
    function("year", Both, (0, 1), Whole(|args| map_dates(args, |date| date.year))),
];

const DAY_SECONDS: i64 = 86_400;
/// The years of a calendar repeat after so many days.
const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;
/// The least number of seconds that 64 bits hold.
const SECONDS_MIN: f64 = i64::MIN as f64;
/// What 64 bits do not hold, and what is no number, is for both rivals the time 2^63 seconds after 1970: Go makes the least integer of it, and its
/// calendar has no date so early.
const BEYOND_DAYS: i64 = 106_751_991_167_300;
const BEYOND_SECONDS: i64 = 55_808;

/// A time in the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Date {
    year: i64,
    /// From 1.
    month: i64,
    /// From 1.
    day: i64,
    /// From 0, Sunday.
    day_of_week: i64,
    /// From 1.
    day_of_year: i64,
    second_of_day: i64,
}

impl Date {
    fn of(seconds: f64) -> Self {
        if !(SECONDS_MIN..-SECONDS_MIN).contains(&seconds) {
            return Self::on(BEYOND_DAYS, BEYOND_SECONDS);
        }
        let seconds = seconds as i64;
        Self::on(seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS))
    }

    /// A second of the day so many days after 1970-01-01.
    fn on(days: i64, second_of_day: i64) -> Self {
        // Counted from March on, a year's leap day is its last.
        let shifted = days + EPOCH_DAYS;
        let day_of_era = shifted.rem_euclid(ERA_DAYS);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_march_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_march_year + 2) / 153;
        let day = day_of_march_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + shifted.div_euclid(ERA_DAYS) * 400 + i64::from(month <= 2);
        let day_of_year = (1..month).map(|month| days_in(year, month)).sum::<i64>() + day;
        let day_of_week = (days + 4).rem_euclid(7);
        Self { year, month, day, day_of_week, day_of_year, second_of_day }
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn map_dates(mut args: Args<'_>, part: fn(Date) -> i64) -> Result<Operand, QueryError> {
    let rows = if args.len() == 0 {
        let grid = args.ctx.grid;
        let values = (0..grid.points).map(|at| grid.at(at).div_euclid(1_000) as f64).collect();
        vec![Row { labels: Labels::default(), values, drop_name: false }]
    } else {
        args.rows(0)
    };
    let keeps_nan = !args.is_promql();
    math::map_points(
        &args,
        rows,
        false,
        |_, value| {
            if keeps_nan && value.is_nan() { value } else { part(Date::of(value)) as f64 }
        },
    )
}

fn timezone_offset(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let name = args.text(0)?;
    let zone = match name.as_str() {
        "" | "UTC" => jiff::tz::TimeZone::UTC,
        "Local" => jiff::tz::TimeZone::system(),
        name => match jiff::tz::TimeZone::get(name) {
            Ok(zone) => zone,
            Err(error) => return args.fail(format!("cannot load timezone {name:?}: {error}")),
        },
    };
    let grid = args.ctx.grid;
    let offset = |at: usize| {
        let time = jiff::Timestamp::from_millisecond(grid.at(at)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        f64::from(zone.to_offset(time).seconds())
    };
    Ok(Operand::Scalar((0..grid.points).map(offset).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0.0, (1970, 1, 1, 4, 1, 0)),
            (1_136_239_445.0, (2006, 1, 2, 1, 2, 79_445)),
            (1_230_767_999.0, (2008, 12, 31, 3, 366, 86_399)),
            (1_456_790_399.0, (2016, 2, 29, 1, 60, 86_399)),
            (1_456_790_400.0, (2016, 3, 1, 2, 61, 0)),
            (-1.0, (1969, 12, 31, 3, 365, 86_399)),
            (951_782_400.0, (2000, 2, 29, 2, 60, 0)),
        ];
        for (seconds, (year, month, day, day_of_week, day_of_year, second_of_day)) in cases {
            let want = Date { year, month, day, day_of_week, day_of_year, second_of_day };
            assert_eq!(Date::of(seconds), want, "{seconds}");
        }
    }

    #[test]
    fn every_day_of_centuries_follows_the_one_before() {
        let mut before = Date::of(-40_000.0 * 86_400.0);
        for day in -39_999..60_000 {
            let date = Date::of(f64::from(day) * 86_400.0);
            let month_ends = before.day == days_in(before.year, before.month);
            assert_eq!(date.day, if month_ends { 1 } else { before.day + 1 });
            assert_eq!(date.day_of_week, (before.day_of_week + 1) % 7);
            assert_eq!(date.day_of_year == 1, date.month == 1 && date.day == 1);
            before = date;
        }
    }

    #[test]
    fn no_time_is_too_far_away() {
        for seconds in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e300, -1e18, 9.2e18, -9.2e18] {
            let date = Date::of(seconds);
            assert!(
                (1..=12).contains(&date.month) && (1..=31).contains(&date.day) && (1..=366).contains(&date.day_of_year)
            );
        }
        let beyond = Date { year: 292_277_026_596, month: 12, day: 4, ..Date::of(f64::NAN) };
        assert_eq!(Date::of(f64::NAN), beyond);
        assert_eq!(Date::of(1e18).year, 31_688_740_476);
    }
}
