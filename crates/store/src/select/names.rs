//! Label names and label values, from the indexes alone.
//!
//! Without matchers the terms of each index are read; with matchers the series are searched first. Names of several sources are joined in a sorted set.

use std::{collections::BTreeSet, sync::Arc};

use index::CompiledSelector;
use model::{Tenant, TimeRange};
use roaring::RoaringBitmap;
use storage_api::{NamesRequest, SelectError, ValuesRequest};

use super::{
    head_source::HeadSource,
    search::{failed, visible, wholly},
};
use crate::{inner::Inner, state::State};

/// Calls `part` for each part that the request touches and `head` for the head, each with the series that are meant; `None` stands for all series of the tenant.
struct Sources<'a> {
    inner: &'a Inner,
    state: Arc<State>,
    selector: CompiledSelector,
    everything: bool,
    request: &'a NamesRequest,
    range: TimeRange,
}

impl<'a> Sources<'a> {
    fn of(inner: &'a Inner, request: &'a NamesRequest) -> Result<Self, SelectError> {
        let selector =
            CompiledSelector::compile(&request.selector).map_err(|error| SelectError::BadMatcher(error.to_string()))?;
        let everything = request.selector.any_of.iter().any(Vec::is_empty);
        let range = request.range.intersect(inner.kept());
        Ok(Self { inner, state: inner.shared.get(), selector, everything, request, range })
    }

    fn visit_parts(
        &self,
        mut visit: impl FnMut(&index::PartIndex, Option<&RoaringBitmap>) -> Result<(), disk::Corrupt>,
    ) -> Result<(), SelectError> {
        if self.range.is_empty() {
            return Ok(());
        }
        for part in self.state.parts.iter().filter(|part| part.meta().range.overlaps(self.range)) {
            self.request.budget.check()?;
            let hidden = self.state.hidden(part).map_err(failed)?;
            let visited = if self.everything && wholly(part, &hidden).next().is_none() {
                visit(part.labels(), None)
            } else {
                let found = part.search(self.request.tenant, &self.selector).map_err(failed)?;
                let found = visible(part, found, &hidden);
                self.request.budget.check_series(found.len())?;
                if found.is_empty() { Ok(()) } else { visit(part.labels(), Some(&found)) }
            };
            visited.map_err(|corrupt| failed(corrupt.into()))?;
        }
        Ok(())
    }

    fn visit_head(&self, visit: impl FnOnce(&index::HeadIndex, &RoaringBitmap)) -> Result<(), SelectError> {
        if self.range.is_empty() {
            return Ok(());
        }
        self.request.budget.check()?;
        let _guard = self.inner.head.guard();
        let views = HeadSource::views(self.inner, &self.state, self.range);
        let found = HeadSource::find(&views, &self.inner.head, self.request.tenant, &self.selector, self.range);
        if !self.everything {
            self.request.budget.check_series(found.len())?;
        }
        if !found.is_empty() {
            visit(self.inner.head.index(), &found);
        }
        Ok(())
    }
}

/// Label names, sorted.
pub fn label_names(inner: &Inner, request: &NamesRequest) -> Result<Vec<String>, SelectError> {
    let sources = Sources::of(inner, request)?;
    let mut names = BTreeSet::new();
    sources.visit_parts(|labels, within| {
        names.extend(labels.label_names(request.tenant, within)?);
        Ok(())
    })?;
    sources.visit_head(|labels, within| names.extend(labels.label_names(request.tenant, Some(within))))?;
    Ok(names.into_iter().take(request.limit).collect())
}

/// Values of a label, sorted.
pub fn label_values(inner: &Inner, request: &ValuesRequest) -> Result<Vec<String>, SelectError> {
    let names = &request.names;
    let sources = Sources::of(inner, names)?;
    let mut values = BTreeSet::new();
    sources.visit_parts(|labels, within| {
        values.extend(labels.label_values(names.tenant, &request.label, within, names.limit)?);
        Ok(())
    })?;
    sources.visit_head(|labels, within| {
        values.extend(labels.label_values(names.tenant, &request.label, Some(within), names.limit));
    })?;
    Ok(values.into_iter().take(names.limit).collect())
}

/// Tenants with series in the range, sorted.
pub fn tenants(inner: &Inner, range: TimeRange) -> Result<Vec<Tenant>, SelectError> {
    let state = inner.shared.get();
    let range = range.intersect(inner.kept());
    let mut tenants = BTreeSet::new();
    for part in state.parts.iter().filter(|part| part.meta().range.overlaps(range)) {
        let of_part = part.labels().tenants().map_err(|corrupt| failed(corrupt.into()))?;
        tenants.extend(of_part.into_iter().map(|(tenant, _)| tenant));
    }
    if !HeadSource::views(inner, &state, range).is_empty() {
        tenants.extend(inner.head.index().tenants());
    }
    Ok(tenants.into_iter().collect())
}
