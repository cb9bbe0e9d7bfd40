//! Histograms whose buckets are series: with `le` or, as VictoriaMetrics makes them, `vmrange`.
//!
//! Dialect `promql` puts the buckets of a point together anew at every point ([`prometheus`]); dialect `metricsql` puts series of buckets together once
//! and repairs their values ([`victoria`]). Native histograms are not stored, so that functions of them find nothing.

mod limit;
mod prometheus;
mod victoria;
pub(super) mod vmrange;

use super::{
    ANY_NUMBER,
    Dialects::{MetricsQl, PromQl},
    Function,
    Run::Whole,
    args::Args,
    function,
};
use crate::{api::QueryError, frame::Operand};

pub(super) const TABLE: &[Function] = &[
    function("buckets_limit", MetricsQl, (2, 2), Whole(limit::buckets_limit)),
    function("histogram_avg", MetricsQl, (1, 1), Whole(victoria::average)),
    function("histogram_avg", PromQl, (1, 1), Whole(of_native)),
    function("histogram_count", PromQl, (1, 1), Whole(of_native)),
    function("histogram_fraction", MetricsQl, (3, 3), Whole(victoria::fraction)),
    function("histogram_fraction", PromQl, (3, 3), Whole(prometheus::fraction)),
    function("histogram_quantile", MetricsQl, (2, 3), Whole(victoria::quantile)),
    function("histogram_quantile", PromQl, (2, 2), Whole(prometheus::quantile)),
    function("histogram_quantiles", MetricsQl, (3, ANY_NUMBER), Whole(victoria::quantiles)),
    function("histogram_quantiles", PromQl, (3, ANY_NUMBER), Whole(prometheus::quantiles)),
    function("histogram_share", MetricsQl, (2, 3), Whole(victoria::share)),
    function("histogram_stddev", MetricsQl, (1, 1), Whole(victoria::stddev)),
    function("histogram_stddev", PromQl, (1, 1), Whole(of_native)),
    function("histogram_stdvar", MetricsQl, (1, 1), Whole(victoria::stdvar)),
    function("histogram_stdvar", PromQl, (1, 1), Whole(of_native)),
    function("histogram_sum", PromQl, (1, 1), Whole(of_native)),
    function("prometheus_buckets", MetricsQl, (1, 1), Whole(prometheus_buckets)),
];

/// Functions of native histograms pass over floats.
fn of_native(_: Args<'_>) -> Result<Operand, QueryError> {
    Ok(Operand::Rows(Vec::new()))
}

fn prometheus_buckets(mut args: Args<'_>) -> Result<Operand, QueryError> {
    let rows = args.rows(0);
    vmrange::to_le(args.ctx, rows).map(Operand::Rows)
}

/// A bucket's bound as a number.
fn bound_of(text: &str) -> Option<f64> {
    match text {
        "" => None,
        text if text.eq_ignore_ascii_case("nan") => None,
        text => text.parse().ok(),
    }
}
