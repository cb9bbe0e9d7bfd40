//! Sub-plans: what of a query those who have the samples do themselves.
//!
//! 1. A plan over a selector, with the fold around it if there is one, becomes a [`SubPlan`] if the rollup makes one series of one series and the fold's
//!    states can be merged ([`Evaluation::sub_plan`]). It goes with the request.
//! 2. Where the samples are, it becomes the same plan and the same fold again ([`Remade`]), which run as they would here ([`answering`]).
//! 3. What comes back are rows, or states of groups. A chunk says whether it holds such or samples, so that a store which had better not do it, or
//!    cannot, needs no word for that.
//!
//! A series lies as a whole where its part of the plan runs, so rows are the same bits. Groups are merged state by state in the order in which nodes are
//! listed, which differs from one process's order of adding only.

mod answering;
mod groups;
mod rows;

pub use answering::{PartialAnswers, PartialStats};

use metricsql::Grouping as Written;
use model::{Selector, TimeRange};
use storage_api::{Grouping, SUB_PLAN_POINTS_MAX, SUB_PLAN_VERSION, SubPlan, WindowGrid};

use super::{
    Evaluation,
    fold::FoldPlan,
    rollups::{Plan, Source},
};
use crate::{
    api::{Dialect, QueryError},
    frame::Grid,
    functions::fold::FoldKind,
    rollup::{Arguments, Layout, PromqlFunction, Recipe, What},
};

/// From what a recipe was made.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The name of the function; empty for the value at an instant.
    pub rollup: String,
    /// Its arguments beside the series.
    pub arguments: Arguments,
    /// Behind which gap a counter begins anew.
    pub gap_max: i64,
}

fn name_of(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::MetricsQl => "metricsql",
        Dialect::PromQl => "promql",
    }
}

impl Evaluation<'_> {
    /// What a recipe is made of, if somebody may want to make it again.
    pub(super) fn origin(&self, rollup: &str, arguments: &Arguments, gap_max: i64) -> Option<Origin> {
        let origin = || Origin { rollup: rollup.to_string(), arguments: arguments.clone(), gap_max };
        self.select.takes_sub_plans().then(origin)
    }

    /// The plan for those who have the samples, if they can do it.
    pub(super) fn sub_plan(&self, plan: &Plan<'_>, fold: Option<&FoldPlan<'_>>) -> Option<SubPlan> {
        let Origin { rollup, arguments, gap_max } = plan.origin.clone()?;
        if !makes_one_of_one(&plan.recipe) || fold.is_some_and(|fold| !fold.merges()) {
            return None;
        }
        let numbers = arguments.numbers.into_iter().map(shortened).collect();
        let (aggregate, grouping) = match fold {
            Some(fold) => (fold.kind.name().to_string(), grouping_of(fold.grouping)),
            None => (String::new(), Grouping::Each),
        };
        Some(SubPlan {
            version: SUB_PLAN_VERSION,
            dialect: name_of(self.dialect()).to_string(),
            rollup,
            numbers,
            texts: arguments.texts,
            gap_max,
            grid: window_grid(&plan.layout),
            aggregate,
            grouping,
            keeps_name: plan.keeps_name,
        })
    }
}

/// Whether one series of samples becomes one row.
fn makes_one_of_one(recipe: &Recipe) -> bool {
    let is_plain = |what: &What| matches!(what, What::Metricsql(_) | What::Promql(_));
    matches!(&recipe.outputs[..], [output] if output.tag.is_none() && is_plain(&output.what))
}

/// A number that is the same everywhere is said once.
fn shortened(mut column: Vec<f64>) -> Vec<f64> {
    let first = column.first().map(|value| value.to_bits());
    if column.iter().all(|value| Some(value.to_bits()) == first) {
        column.truncate(1);
    }
    column
}

fn grouping_of(written: Option<&Written>) -> Grouping {
    match written {
        None => Grouping::By(Vec::new()),
        Some(Written::By(names)) => Grouping::By(names.clone()),
        Some(Written::Without(names)) => Grouping::Without(names.clone()),
    }
}

fn window_grid(layout: &Layout) -> WindowGrid {
    WindowGrid {
        first_end: layout.first_end,
        step: layout.step,
        points: layout.points,
        line_start: layout.grid.start,
        line_step: layout.grid.step,
        line_points: layout.grid.points,
        length: layout.length,
    }
}

fn layout_of(grid: &WindowGrid) -> Option<Layout> {
    let fits = |points: usize| (1..=SUB_PLAN_POINTS_MAX).contains(&points);
    // No window may lie where times overflow.
    let reaches = |start: i64, step: i64, points: usize| {
        step.checked_mul(points as i64).and_then(|all| all.checked_add(start)).is_some_and(|end| end < i64::MAX / 4)
    };
    let is_sound = fits(grid.points)
        && fits(grid.line_points)
        && grid.step >= 0
        && grid.line_step > 0
        && grid.first_end > i64::MIN / 4
        && grid.line_start > i64::MIN / 4
        && reaches(grid.first_end, grid.step, grid.points)
        && reaches(grid.line_start, grid.line_step, grid.line_points);
    if !is_sound {
        return None;
    }
    let line = Grid { start: grid.line_start, step: grid.line_step, points: grid.line_points };
    Some(Layout { first_end: grid.first_end, step: grid.step, points: grid.points, grid: line, length: grid.length })
}

/// A sub-plan as what it was made of.
struct Remade {
    dialect: Dialect,
    recipe: Recipe,
    layout: Layout,
    keeps_name: bool,
    fold: Option<(FoldKind, Option<Written>)>,
}

impl Remade {
    /// `None` if something in the plan has no meaning here.
    fn of(sub_plan: &SubPlan) -> Option<Self> {
        if sub_plan.version != SUB_PLAN_VERSION {
            return None;
        }
        let dialect = [Dialect::MetricsQl, Dialect::PromQl].into_iter().find(|of| name_of(*of) == sub_plan.dialect)?;
        let layout = layout_of(&sub_plan.grid)?;
        let line_points = layout.grid.points;
        let column = |column: &Vec<f64>| match &column[..] {
            [one] => vec![*one; line_points],
            _ => column.clone(),
        };
        let numbers: Vec<Vec<f64>> = sub_plan.numbers.iter().map(column).collect();
        let arguments = Arguments { numbers, texts: sub_plan.texts.clone() };
        let recipe = recipe_of(dialect, &sub_plan.rollup, arguments, sub_plan.gap_max).ok()?;
        if !makes_one_of_one(&recipe) {
            return None;
        }
        let fold = match sub_plan.aggregate.as_str() {
            "" => None,
            name => Some((FoldKind::of(dialect, name)?, written_of(&sub_plan.grouping)?)),
        };
        if fold.as_ref().is_some_and(|(kind, _)| kind.keeps_labels()) {
            return None;
        }
        Some(Self { dialect, recipe, layout, keeps_name: sub_plan.keeps_name, fold })
    }

    fn plan<'e>(&self, selector: &'e Selector, range: TimeRange) -> Plan<'e> {
        Plan {
            source: Source::Selector { selector, range },
            layout: self.layout,
            recipe: self.recipe.clone(),
            keeps_name: self.keeps_name,
            spreads: false,
            counter_at: None,
            origin: None,
        }
    }
}

fn recipe_of(dialect: Dialect, rollup: &str, arguments: Arguments, gap_max: i64) -> Result<Recipe, QueryError> {
    match (dialect, rollup) {
        (Dialect::PromQl, "") => Ok(Recipe::of_instant(PromqlFunction::Instant)),
        (Dialect::PromQl, name) => Recipe::of_promql(name, arguments),
        (Dialect::MetricsQl, name) => Recipe::of_metricsql(name, arguments, gap_max),
    }
}

/// The grouping as it is written; `None` if series do not fold.
fn written_of(grouping: &Grouping) -> Option<Option<Written>> {
    match grouping {
        Grouping::Each => None,
        Grouping::By(names) if names.is_empty() => Some(None),
        Grouping::By(names) => Some(Some(Written::By(names.clone()))),
        Grouping::Without(names) => Some(Some(Written::Without(names.clone()))),
    }
}
