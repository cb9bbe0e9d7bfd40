//! Sub-plans between messages and their type.

use storage_api::{Grouping, SUB_PLAN_POINTS_MAX, SubPlan, WindowGrid, WindowLength, WindowSpacing};

use super::{
    messages::{NumbersMessage, SpacingMessage, SubPlanMessage, WindowGridMessage},
    requests::Wrong,
};

/// A plan as it is sent.
pub fn sub_plan_message(plan: &SubPlan) -> SubPlanMessage {
    let (grouping, labels) = match &plan.grouping {
        Grouping::Each => (0, Vec::new()),
        Grouping::By(labels) => (1, labels.clone()),
        Grouping::Without(labels) => (2, labels.clone()),
    };
    SubPlanMessage {
        version: plan.version,
        dialect: plan.dialect.clone(),
        rollup: plan.rollup.clone(),
        numbers: plan.numbers.iter().map(|numbers| NumbersMessage { numbers: numbers.clone() }).collect(),
        texts: plan.texts.clone(),
        gap_max: plan.gap_max,
        grid: Some(grid_message(&plan.grid)),
        aggregate: plan.aggregate.clone(),
        grouping,
        labels,
        keeps_name: plan.keeps_name,
    }
}

fn grid_message(grid: &WindowGrid) -> WindowGridMessage {
    let (fixed, spaced) = match grid.length {
        WindowLength::Fixed(length) => (Some(length), None),
        WindowLength::Spaced(spacing) => {
            let WindowSpacing { said, step, is_instant, lookback, staleness_min, may_adjust, within_lookback } =
                spacing;
            let spacing =
                SpacingMessage { said, step, is_instant, lookback, staleness_min, may_adjust, within_lookback };
            (None, Some(spacing))
        }
    };
    WindowGridMessage {
        first_end: grid.first_end,
        step: grid.step,
        points: grid.points as u64,
        line_start: grid.line_start,
        line_step: grid.line_step,
        line_points: grid.line_points as u64,
        fixed,
        spaced,
    }
}

/// A plan as it came.
pub fn sub_plan(message: &SubPlanMessage) -> Result<SubPlan, Wrong> {
    let labels = || message.labels.clone();
    let grouping = match message.grouping {
        0 => Grouping::Each,
        1 => Grouping::By(labels()),
        2 => Grouping::Without(labels()),
        _ => return Err("an unknown grouping"),
    };
    let grid = grid(message.grid.as_ref().ok_or("a sub-plan without windows")?)?;
    if message.numbers.iter().any(|numbers| numbers.numbers.len() > SUB_PLAN_POINTS_MAX) {
        return Err("a sub-plan with too many numbers");
    }
    Ok(SubPlan {
        version: message.version,
        dialect: message.dialect.clone(),
        rollup: message.rollup.clone(),
        numbers: message.numbers.iter().map(|numbers| numbers.numbers.clone()).collect(),
        texts: message.texts.clone(),
        gap_max: message.gap_max,
        grid,
        aggregate: message.aggregate.clone(),
        grouping,
        keeps_name: message.keeps_name,
    })
}

fn grid(message: &WindowGridMessage) -> Result<WindowGrid, Wrong> {
    let length = match (message.fixed, &message.spaced) {
        (Some(length), None) => WindowLength::Fixed(length),
        (None, Some(spacing)) => {
            let SpacingMessage { said, step, is_instant, lookback, staleness_min, may_adjust, within_lookback } =
                *spacing;
            WindowLength::Spaced(WindowSpacing {
                said,
                step,
                is_instant,
                lookback,
                staleness_min,
                may_adjust,
                within_lookback,
            })
        }
        _ => return Err("windows without one length"),
    };
    let points = |points: u64| match usize::try_from(points) {
        Ok(points) if points <= SUB_PLAN_POINTS_MAX => Ok(points),
        _ => Err("too many windows"),
    };
    Ok(WindowGrid {
        first_end: message.first_end,
        step: message.step,
        points: points(message.points)?,
        line_start: message.line_start,
        line_step: message.line_step,
        line_points: points(message.line_points)?,
        length,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lengths() -> impl Strategy<Value = WindowLength> {
        let spaced = (any::<Option<i64>>(), any::<i64>(), any::<bool>(), any::<i64>(), any::<[bool; 2]>()).prop_map(
            |(said, step, is_instant, lookback, [may_adjust, within_lookback])| {
                let staleness_min = lookback.wrapping_mul(3);
                WindowLength::Spaced(WindowSpacing {
                    said,
                    step,
                    is_instant,
                    lookback,
                    staleness_min,
                    may_adjust,
                    within_lookback,
                })
            },
        );
        prop_oneof![any::<i64>().prop_map(WindowLength::Fixed), spaced]
    }

    fn groupings() -> impl Strategy<Value = Grouping> {
        let names = || prop::collection::vec("[a-z]{0,3}", 0..3);
        prop_oneof![Just(Grouping::Each), names().prop_map(Grouping::By), names().prop_map(Grouping::Without)]
    }

    proptest! {
        #[test]
        fn a_sub_plan_comes_back(
            (length, grouping, keeps_name) in (lengths(), groupings(), any::<bool>()),
            times in any::<[i64; 5]>(),
            points in 0..SUB_PLAN_POINTS_MAX,
            numbers in prop::collection::vec(prop::collection::vec(-5.0..5.0, 0..4), 0..3),
        ) {
            let [first_end, step, line_start, line_step, gap_max] = times;
            let plan = SubPlan {
                version: 1,
                dialect: "promql".into(),
                rollup: "rate".into(),
                numbers,
                texts: vec!["x".into()],
                gap_max,
                grid: WindowGrid { first_end, step, points, line_start, line_step, line_points: points / 2, length },
                aggregate: "sum".into(),
                grouping,
                keeps_name,
            };
            prop_assert_eq!(sub_plan(&sub_plan_message(&plan)), Ok(plan));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let grid = WindowGridMessage { points: 1, line_points: 1, fixed: Some(5), ..WindowGridMessage::default() };
        let with = |grid: WindowGridMessage| SubPlanMessage { grid: Some(grid), ..SubPlanMessage::default() };
        assert!(sub_plan(&with(grid.clone())).is_ok());
        for wrong in [
            WindowGridMessage { points: 1 << 40, ..grid.clone() },
            WindowGridMessage { fixed: None, ..grid.clone() },
            WindowGridMessage { spaced: Some(SpacingMessage::default()), ..grid.clone() },
        ] {
            assert!(sub_plan(&with(wrong)).is_err());
        }
        assert!(sub_plan(&SubPlanMessage { grouping: 3, ..with(grid) }).is_err());
        assert!(sub_plan(&SubPlanMessage::default()).is_err());
    }
}
