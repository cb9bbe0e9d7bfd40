//! Between the messages and the types of `storage-api`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use model::{MatchOp, Matcher, SHARDS, Selector, Tenant, TimeRange};
use storage_api::{
    Budget, Cancel, Cardinality, CardinalityRequest, Completeness, Cuts, DeleteRequest, InsertReport, LabelsWanted,
    MetadataEntry, Missing, NamedCount, NamesRequest, PassedOver, ReportTurn, SamplesWanted, SelectRequest, ShardSet,
    ValuesRequest,
};

use super::{
    messages::{
        CardinalityMessage, CardinalityQuestion, CountMessage, MatcherMessage, MatcherSet, MetadataMessage,
        NamesMessage, PassedMessage, RangeMessage, ReportMessage, Scope, SelectMessage, TenantMessage,
    },
    sub_plan::{sub_plan, sub_plan_message},
};

const OPS: [MatchOp; 4] = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];

/// Changes of a map in one report; inserts tell fewer.
const PASSED_MAX: usize = 64;

/// What a message lacks or says wrongly.
pub type Wrong = &'static str;

pub fn tenant_message(tenant: Tenant) -> TenantMessage {
    TenantMessage { account: tenant.account, project: tenant.project }
}

pub fn tenant(message: Option<&TenantMessage>) -> Result<Tenant, Wrong> {
    let message = message.ok_or("no tenant")?;
    Ok(Tenant::new(message.account, message.project))
}

pub fn range_message(range: TimeRange) -> RangeMessage {
    RangeMessage { min: range.min, max: range.max }
}

pub fn range(message: Option<&RangeMessage>) -> Result<TimeRange, Wrong> {
    let message = message.ok_or("no range of time")?;
    Ok(TimeRange::new(message.min, message.max))
}

pub fn scope_message(tenant: Tenant, selector: &Selector, range: TimeRange, budget: &Budget) -> Scope {
    let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now()).as_millis() as u64;
    let matcher = |matcher: &Matcher| MatcherMessage {
        name: matcher.name.clone(),
        op: OPS.iter().position(|op| *op == matcher.op).expect("BUG: all comparisons stand in the list") as u32,
        value: matcher.value.clone(),
    };
    let set = |set: &Vec<Matcher>| MatcherSet { all_of: set.iter().map(matcher).collect() };
    Scope {
        tenant: Some(tenant_message(tenant)),
        any_of: selector.any_of.iter().map(set).collect(),
        range: Some(range_message(range)),
        series_max: budget.series_max,
        milliseconds_left: budget.deadline.map(left),
        may_lack: budget.completeness.may_lack(),
    }
}

/// Whether an answer may lack something.
pub fn completeness(may_lack: bool) -> Completeness {
    if may_lack { Completeness::may_be_partial() } else { Completeness::required() }
}

/// Tenant, selector, range and budget of a query.
pub fn scope(message: Option<&Scope>) -> Result<(Tenant, Selector, TimeRange, Budget), Wrong> {
    let message = message.ok_or("no scope")?;
    let matcher = |matcher: &MatcherMessage| {
        let op = OPS.get(matcher.op as usize).ok_or("an unknown comparison")?;
        Ok(Matcher::new(matcher.name.clone(), *op, matcher.value.clone()))
    };
    let set = |set: &MatcherSet| set.all_of.iter().map(matcher).collect::<Result<Vec<_>, Wrong>>();
    let any_of = message.any_of.iter().map(set).collect::<Result<_, _>>()?;
    let deadline = message.milliseconds_left.and_then(|left| Instant::now().checked_add(Duration::from_millis(left)));
    let completeness = completeness(message.may_lack);
    let budget = Budget { series_max: message.series_max, cancel: Cancel::default(), deadline, completeness };
    Ok((tenant(message.tenant.as_ref())?, Selector { any_of }, range(message.range.as_ref())?, budget))
}

pub fn select_message(request: &SelectRequest) -> SelectMessage {
    let (labels_wanted, labels) = match &request.labels {
        LabelsWanted::All => (0, Vec::new()),
        LabelsWanted::None => (1, Vec::new()),
        LabelsWanted::Only(names) => (2, names.clone()),
    };
    let (samples_wanted, cuts) = match &request.samples {
        SamplesWanted::None => (0, Cuts::default()),
        SamplesWanted::Raw => (1, Cuts::default()),
        SamplesWanted::Heads(cuts) => (2, cuts.clone()),
    };
    SelectMessage {
        scope: Some(scope_message(request.tenant, &request.selector, request.range, &request.budget)),
        labels_wanted,
        labels,
        samples_wanted,
        cuts: distances(&cuts.at),
        cut_edges: cuts.edges,
        cut_rising: cuts.rising,
        one_per_timestamp: request.one_per_timestamp,
        shards: request.shards.as_ref().map_or_else(Vec::new, |shards| shards.words().to_vec()),
        sub_plan: request.sub_plan.as_ref().map(sub_plan_message),
        samples_from: (request.samples_from > i64::MIN).then_some(request.samples_from),
    }
}

/// A set of shards; none if there are no words.
pub fn shards(words: &[u64]) -> Result<ShardSet, Wrong> {
    if words.is_empty() {
        return Ok(ShardSet::empty());
    }
    let words: &[u64; SHARDS / 64] = words.try_into().map_err(|_| "a set of shards of another size")?;
    Ok(ShardSet::from_words(*words))
}

pub fn report_message(report: &InsertReport) -> ReportMessage {
    ReportMessage {
        insert_low: report.insert as u64,
        insert_high: (report.insert >> 64) as u64,
        token: report.token,
        lease_milliseconds: report.lease.as_millis() as u64,
        map_version: report.map_version,
        owned: report.owned.words().to_vec(),
        missing_shards: report.missing.shards.words().to_vec(),
        missing_range: Some(range_message(report.missing.range)),
        leaving: report.leaving,
        knows_low: report.knows as u64,
        knows_high: (report.knows >> 64) as u64,
        founding: report.founding,
        passed: report.passed.iter().map(passed_message).collect(),
        life: report.turn.life,
        turn: report.turn.number,
    }
}

fn passed_message(passed: &PassedOver) -> PassedMessage {
    PassedMessage { change: passed.change, shards: passed.shards.words().to_vec() }
}

fn passed(message: &PassedMessage) -> Result<PassedOver, Wrong> {
    Ok(PassedOver { change: message.change, shards: shards(&message.shards)? })
}

pub fn report(message: &ReportMessage) -> Result<InsertReport, Wrong> {
    if message.passed.len() > PASSED_MAX {
        return Err("more changes of a map than are told at once");
    }
    Ok(InsertReport {
        insert: u128::from(message.insert_high) << 64 | u128::from(message.insert_low),
        knows: u128::from(message.knows_high) << 64 | u128::from(message.knows_low),
        turn: ReportTurn { life: message.life, number: message.turn },
        token: message.token,
        lease: Duration::from_millis(message.lease_milliseconds),
        map_version: message.map_version,
        owned: shards(&message.owned)?,
        missing: Missing { shards: shards(&message.missing_shards)?, range: range(message.missing_range.as_ref())? },
        leaving: message.leaving,
        founding: message.founding,
        passed: message.passed.iter().map(passed).collect::<Result<_, _>>()?,
    })
}

fn distances(times: &[i64]) -> Vec<i64> {
    let before = std::iter::once(0).chain(times.iter().copied());
    times.iter().zip(before).map(|(time, before)| time.wrapping_sub(before)).collect()
}

pub fn select_request(message: &SelectMessage) -> Result<SelectRequest, Wrong> {
    let (tenant, selector, range, budget) = scope(message.scope.as_ref())?;
    let labels = match message.labels_wanted {
        0 => LabelsWanted::All,
        1 => LabelsWanted::None,
        2 => LabelsWanted::Only(message.labels.clone()),
        _ => return Err("an unknown wish for labels"),
    };
    let samples = match message.samples_wanted {
        0 => SamplesWanted::None,
        1 => SamplesWanted::Raw,
        2 => {
            let mut time = 0_i64;
            let mut next = |distance: &i64| {
                time = time.wrapping_add(*distance);
                time
            };
            let at: Vec<i64> = message.cuts.iter().map(&mut next).collect();
            if !at.is_sorted() {
                return Err("cuts out of order");
            }
            SamplesWanted::Heads(Cuts { at: Arc::new(at), edges: message.cut_edges, rising: message.cut_rising })
        }
        _ => return Err("an unknown wish for samples"),
    };
    let shards = if message.shards.is_empty() { None } else { Some(shards(&message.shards)?) };
    let sub_plan = message.sub_plan.as_ref().map(sub_plan).transpose()?;
    let samples_from = message.samples_from.unwrap_or(i64::MIN);
    let one_per_timestamp = message.one_per_timestamp;
    Ok(SelectRequest {
        tenant,
        selector,
        range,
        labels,
        samples,
        samples_from,
        one_per_timestamp,
        shards,
        sub_plan,
        budget,
    })
}

pub fn names_message(request: &NamesRequest, label: &str) -> NamesMessage {
    NamesMessage {
        scope: Some(scope_message(request.tenant, &request.selector, request.range, &request.budget)),
        limit: request.limit as u64,
        label: label.to_string(),
    }
}

pub fn names_request(message: &NamesMessage) -> Result<NamesRequest, Wrong> {
    let (tenant, selector, range, budget) = scope(message.scope.as_ref())?;
    let limit = usize::try_from(message.limit).unwrap_or(usize::MAX);
    Ok(NamesRequest { tenant, selector, range, limit, budget })
}

pub fn values_request(message: &NamesMessage) -> Result<ValuesRequest, Wrong> {
    Ok(ValuesRequest { label: message.label.clone(), names: names_request(message)? })
}

pub fn delete_message(request: &DeleteRequest) -> Scope {
    let budget = Budget { series_max: request.series_max, ..Budget::default() };
    scope_message(request.tenant, &request.selector, request.range, &budget)
}

pub fn delete_request(message: &Scope) -> Result<DeleteRequest, Wrong> {
    let (tenant, selector, range, budget) = scope(Some(message))?;
    Ok(DeleteRequest { tenant, selector, range, series_max: budget.series_max })
}

pub fn cardinality_message(request: &CardinalityRequest) -> CardinalityQuestion {
    let budget = Budget { series_max: request.series_max, ..Budget::default() };
    let tenant = request.tenant.unwrap_or_default();
    CardinalityQuestion {
        scope: Some(scope_message(tenant, &request.selector, request.range, &budget)),
        of_tenant: request.tenant.is_some(),
        top: request.top as u64,
        focus_label: request.focus_label.clone(),
    }
}

pub fn cardinality_request(message: &CardinalityQuestion) -> Result<CardinalityRequest, Wrong> {
    let (tenant, selector, range, budget) = scope(message.scope.as_ref())?;
    Ok(CardinalityRequest {
        tenant: message.of_tenant.then_some(tenant),
        selector,
        range,
        top: usize::try_from(message.top).unwrap_or(usize::MAX),
        focus_label: message.focus_label.clone(),
        series_max: budget.series_max,
    })
}

pub fn metadata_message(entry: MetadataEntry) -> MetadataMessage {
    let MetadataEntry { metric, kind, help, unit } = entry;
    MetadataMessage { metric, kind, help, unit }
}

pub fn metadata_entry(message: MetadataMessage) -> MetadataEntry {
    let MetadataMessage { metric, kind, help, unit } = message;
    MetadataEntry { metric, kind, help, unit }
}

pub fn cardinality_answer(cardinality: Cardinality) -> CardinalityMessage {
    let counts = |list: Vec<NamedCount>| {
        list.into_iter().map(|NamedCount { name, count }| CountMessage { name, count }).collect::<Vec<_>>()
    };
    CardinalityMessage {
        series: cardinality.series,
        label_value_pairs: cardinality.label_value_pairs,
        series_by_metric: counts(cardinality.series_by_metric),
        series_by_label: counts(cardinality.series_by_label),
        series_by_focus_value: counts(cardinality.series_by_focus_value),
        series_by_pair: counts(cardinality.series_by_pair),
        values_by_label: counts(cardinality.values_by_label),
    }
}

pub fn cardinality(message: CardinalityMessage) -> Cardinality {
    let counts = |list: Vec<CountMessage>| {
        list.into_iter().map(|CountMessage { name, count }| NamedCount { name, count }).collect::<Vec<_>>()
    };
    Cardinality {
        series: message.series,
        label_value_pairs: message.label_value_pairs,
        series_by_metric: counts(message.series_by_metric),
        series_by_label: counts(message.series_by_label),
        series_by_focus_value: counts(message.series_by_focus_value),
        series_by_pair: counts(message.series_by_pair),
        values_by_label: counts(message.values_by_label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back() {
        let selector = Selector::all_of(vec![
            Matcher::equal("__name__", "up"),
            Matcher::new("job", MatchOp::NotRegex, "a|b"),
            Matcher::new("pod", MatchOp::Regex, "x.*"),
            Matcher::new("z", MatchOp::NotEqual, "ü"),
        ]);
        let mut shards = ShardSet::empty();
        shards.insert(1023);
        let request = SelectRequest {
            labels: LabelsWanted::Only(vec!["a".into()]),
            samples: SamplesWanted::Heads(Cuts { at: Arc::new(vec![-5, 100, 101]), edges: 3, rising: true }),
            samples_from: 5,
            shards: Some(shards),
            one_per_timestamp: true,
            budget: Budget { series_max: 7, completeness: Completeness::may_be_partial(), ..Budget::default() },
            ..SelectRequest::raw(Tenant::new(1, 2), selector, TimeRange::new(i64::MIN, i64::MAX))
        };
        let read = select_request(&select_message(&request)).expect("it comes back");
        assert_eq!((read.tenant, read.range, &read.selector), (request.tenant, request.range, &request.selector));
        assert_eq!((&read.labels, &read.samples, &read.shards), (&request.labels, &request.samples, &request.shards));
        assert!(read.one_per_timestamp && read.sub_plan.is_none());
        assert_eq!(read.samples_from, 5);
        let all = SelectRequest { samples_from: i64::MIN, ..request };
        assert_eq!(select_message(&all).samples_from, None);
        assert_eq!((read.budget.series_max, read.budget.deadline), (7, None));
        assert!(read.budget.completeness.may_lack());
    }

    #[test]
    fn a_report_comes_back() {
        let many = vec![PassedMessage::default(); PASSED_MAX + 1];
        assert!(report(&ReportMessage { passed: many, ..ReportMessage::default() }).is_err());
        let mut owned = ShardSet::empty();
        owned.insert(7);
        let sent = InsertReport {
            turn: ReportTurn { life: u64::MAX, number: 3 },
            insert: 5 << 64 | 3,
            knows: 7 << 64 | 1,
            token: 9,
            lease: Duration::from_millis(1500),
            map_version: 4,
            owned: owned.clone(),
            founding: 11,
            passed: vec![PassedOver { change: 3, shards: owned.clone() }],
            missing: Missing { shards: owned, range: TimeRange::new(-1, 8) },
            leaving: true,
        };
        assert_eq!(report(&report_message(&sent)), Ok(sent));
    }

    #[test]
    fn what_is_missing_is_refused() {
        assert_eq!(select_request(&SelectMessage::default()).map(drop), Err("no scope"));
        let scope = scope_message(Tenant::DEFAULT, &Selector::everything(), TimeRange::ALL, &Budget::default());
        let whole = SelectMessage { scope: Some(scope), ..SelectMessage::default() };
        assert!(select_request(&whole).is_ok());
        for wrong in [
            SelectMessage { shards: vec![1], ..whole.clone() },
            SelectMessage { labels_wanted: 9, ..whole.clone() },
            SelectMessage { samples_wanted: 2, cuts: vec![5, -1], ..whole.clone() },
            SelectMessage { sub_plan: Some(super::super::messages::SubPlanMessage::default()), ..whole.clone() },
        ] {
            assert!(select_request(&wrong).is_err(), "{wrong:?}");
        }
    }
}
