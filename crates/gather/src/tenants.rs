//! All tenants as one `Select`: `/select/multitenant/…`.
//!
//! 1. Each series gets the labels `vm_account_id` and `vm_project_id`, whatever it had there.
//! 2. Matchers on these labels choose tenants; each tenant is asked with the others. Nothing comes from a tenant that they do not choose.
//! 3. Series come tenant by tenant, each in the one order of series.
//! 4. What is answered here is of no single tenant, so that no version stands for it, and it is kept in no cache.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use model::{KeyBuilder, MatchOp, Matcher, Selector, SeriesId, SeriesKey, Tenant, TimeRange};
use parking_lot::Mutex;
use regex::Regex;
use storage_api::{
    Admin, AdminError, BoxFuture, Effort, LabelsWanted, NamesRequest, Select, SelectError, SelectRequest, SeriesChunk,
    SeriesData, SeriesStream, ValuesRequest, Version,
};

const ACCOUNT: &str = "vm_account_id";
const PROJECT: &str = "vm_project_id";

/// See the module.
pub struct AllTenants {
    select: Arc<dyn Select>,
    admin: Arc<dyn Admin>,
    versions: AtomicU64,
}

impl AllTenants {
    /// All tenants of a store.
    pub fn new(select: Arc<dyn Select>, admin: Arc<dyn Admin>) -> Self {
        Self { select, admin, versions: AtomicU64::new(0) }
    }

    /// The tenants that a selector chooses, each with what else it says.
    async fn chosen(&self, selector: &Selector) -> Result<Vec<(Tenant, Selector)>, SelectError> {
        let tenants = self.admin.tenants(TimeRange::ALL).await.map_err(|why| unknown(&why))?;
        let mut chosen = Vec::new();
        for tenant in tenants {
            let mut any_of = Vec::new();
            for set in &selector.any_of {
                let (of_tenant, others): (Vec<&Matcher>, Vec<&Matcher>) =
                    set.iter().partition(|matcher| value_of(tenant, &matcher.name).is_some());
                let mut holds = true;
                for matcher in of_tenant {
                    holds &= matches(matcher, &value_of(tenant, &matcher.name).unwrap_or_default())?;
                }
                if holds {
                    any_of.push(others.into_iter().cloned().collect());
                }
            }
            if !any_of.is_empty() {
                chosen.push((tenant, Selector { any_of }));
            }
        }
        Ok(chosen)
    }

    /// What all chosen tenants name, united.
    async fn united<'a, F>(&'a self, request: &NamesRequest, ask: F) -> Result<BTreeSet<String>, SelectError>
    where
        F: Fn(NamesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>>,
    {
        let mut all = BTreeSet::new();
        for (tenant, selector) in self.chosen(&request.selector).await? {
            all.extend(ask(NamesRequest { tenant, selector, ..request.clone() }).await?);
        }
        Ok(all)
    }
}

fn unknown(error: &AdminError) -> SelectError {
    SelectError::Unavailable(format!("the tenants are not known: {error}"))
}

/// The value of a label that stands for the tenant; `None` for any other.
fn value_of(tenant: Tenant, label: &str) -> Option<String> {
    match label {
        ACCOUNT => Some(tenant.account.to_string()),
        PROJECT => Some(tenant.project.to_string()),
        _ => None,
    }
}

fn matches(matcher: &Matcher, value: &str) -> Result<bool, SelectError> {
    let regex = || -> Result<bool, SelectError> {
        let wrong = |why: regex::Error| SelectError::BadMatcher(format!("{}: {why}", matcher.name));
        Ok(Regex::new(&format!("^(?:{})$", matcher.value)).map_err(wrong)?.is_match(value))
    };
    match matcher.op {
        MatchOp::Equal => Ok(matcher.value == value),
        MatchOp::NotEqual => Ok(matcher.value != value),
        MatchOp::Regex => regex(),
        MatchOp::NotRegex => Ok(!regex()?),
    }
}

impl Select for AllTenants {
    fn select<'a>(&'a self, request: SelectRequest) -> BoxFuture<'a, Result<Box<dyn SeriesStream>, SelectError>> {
        Box::pin(async move {
            let mut streams = Vec::new();
            for (tenant, selector) in self.chosen(&request.selector).await? {
                let of_tenant = SelectRequest { tenant, selector, sub_plan: None, ..request.clone() };
                streams.push((tenant, self.select.select(of_tenant).await?));
            }
            let total = streams.iter().map(|(_, stream)| stream.series_total()).sum::<Option<u64>>();
            if let Some(total) = total {
                request.budget.check_series(total)?;
            }
            let labels = Arc::new(request.labels);
            Ok(Box::new(Together { streams, total, labels, at: Mutex::default() }) as Box<dyn SeriesStream>)
        })
    }

    fn label_names<'a>(&'a self, request: NamesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async move {
            let mut all = self.united(&request, |request| self.select.label_names(request)).await?;
            if !all.is_empty() {
                all.extend([ACCOUNT.to_string(), PROJECT.to_string()]);
            }
            Ok(all.into_iter().take(request.limit).collect())
        })
    }

    fn label_values<'a>(&'a self, request: ValuesRequest) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async move {
            let ValuesRequest { label, names } = request;
            let mut all = BTreeSet::new();
            if value_of(Tenant::DEFAULT, &label).is_none() {
                let ask = |names| self.select.label_values(ValuesRequest { label: label.clone(), names });
                all = self.united(&names, ask).await?;
            } else {
                for (tenant, selector) in self.chosen(&names.selector).await? {
                    let asked = NamesRequest { tenant, selector, limit: 1, ..names.clone() };
                    if !self.select.label_names(asked).await?.is_empty() {
                        all.extend(value_of(tenant, &label));
                    }
                }
            }
            Ok(all.into_iter().take(names.limit).collect())
        })
    }

    fn series_count<'a>(&'a self, _: Tenant) -> BoxFuture<'a, Result<u64, SelectError>> {
        Box::pin(async move {
            let mut all = 0;
            for tenant in self.admin.tenants(TimeRange::ALL).await.map_err(|why| unknown(&why))? {
                all += self.select.series_count(tenant).await?;
            }
            Ok(all)
        })
    }

    fn versions(&self, _: Tenant, ranges: &[TimeRange]) -> Vec<Version> {
        ranges.iter().map(|_| Version(self.versions.fetch_add(1, Relaxed))).collect()
    }
}

/// The series of several tenants, one tenant behind the other.
struct Together {
    streams: Vec<(Tenant, Box<dyn SeriesStream>)>,
    total: Option<u64>,
    labels: Arc<LabelsWanted>,
    at: Mutex<Place>,
}

#[derive(Default)]
struct Place {
    stream: usize,
    handed_out: u64,
}

impl SeriesStream for Together {
    fn next(&self) -> Result<Option<Box<dyn SeriesChunk>>, SelectError> {
        let mut at = self.at.lock();
        while let Some((tenant, stream)) = self.streams.get(at.stream) {
            if let Some(chunk) = stream.next()? {
                let position = at.handed_out;
                at.handed_out += chunk.len() as u64;
                return Ok(Some(Box::new(OfTenant {
                    tenant: *tenant,
                    position,
                    chunk,
                    labels: Arc::clone(&self.labels),
                })));
            }
            at.stream += 1;
        }
        Ok(None)
    }

    fn series_total(&self) -> Option<u64> {
        self.total
    }

    fn effort(&self) -> Effort {
        let mut all = Effort::default();
        for (_, stream) in &self.streams {
            let effort = stream.effort();
            all.bytes += effort.bytes;
            all.samples += effort.samples;
        }
        all
    }
}

/// Series of a tenant, with labels that say whose they are.
struct OfTenant {
    tenant: Tenant,
    position: u64,
    chunk: Box<dyn SeriesChunk>,
    labels: Arc<LabelsWanted>,
}

impl SeriesChunk for OfTenant {
    fn position(&self) -> u64 {
        self.position
    }

    fn len(&self) -> usize {
        self.chunk.len()
    }

    /// As the store knows it: ids of tenants differ.
    fn id(&self, index: usize) -> SeriesId {
        self.chunk.id(index)
    }

    fn key(&self, index: usize, key: &mut SeriesKey) -> Result<(), SelectError> {
        self.chunk.key(index, key)?;
        let is_wanted = |name: &str| match &*self.labels {
            LabelsWanted::All => true,
            LabelsWanted::None => false,
            LabelsWanted::Only(names) => names.iter().any(|wanted| wanted == name),
        };
        let mut builder = KeyBuilder::new();
        key.labels().filter(|(name, _)| name != ACCOUNT && name != PROJECT).for_each(|(name, value)| {
            builder.push(&name, &value);
        });
        for label in [ACCOUNT, PROJECT].into_iter().filter(|label| is_wanted(label)) {
            builder.push(label, &value_of(self.tenant, label).unwrap_or_default());
        }
        // A series without any of the labels that are read has the empty key.
        *key = match builder.is_empty() {
            true => SeriesKey::default(),
            false => {
                let odd = |why: model::LabelError| SelectError::Corrupt(format!("labels of a series: {why}"));
                builder.build(Tenant::DEFAULT).map_err(odd)?
            }
        };
        Ok(())
    }

    fn has_before(&mut self, index: usize) -> Result<bool, SelectError> {
        self.chunk.has_before(index)
    }

    fn read(&mut self, index: usize, data: &mut SeriesData) -> Result<(), SelectError> {
        self.chunk.read(index, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_choose_tenants() {
        let tenant = Tenant::new(7, 12);
        let of = |op, name: &str, value: &str| {
            matches(&Matcher::new(name, op, value), &value_of(tenant, name).expect("one"))
        };
        assert_eq!(of(MatchOp::Equal, ACCOUNT, "7"), Ok(true));
        assert_eq!(of(MatchOp::NotEqual, PROJECT, "12"), Ok(false));
        assert_eq!(of(MatchOp::Regex, PROJECT, "1"), Ok(false), "an expression stands for the whole value");
        assert_eq!(of(MatchOp::NotRegex, PROJECT, "2|3"), Ok(true));
        assert!(of(MatchOp::Regex, ACCOUNT, "(").is_err());
        assert_eq!(value_of(tenant, "pod"), None);
    }
}
