//! Families and tenants: which series numbers are whose.

use std::ops::Range;

use disk::Corrupt;
use model::Tenant;

use super::Inner;
use super::layout::{RUN_BYTES, Section, TENANT_BYTES};
use super::lists::List;

/// The entry of a family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Place among the metric names, plus one; 0 for series without one.
    pub(super) metric: u32,
    pub(super) first_series: u32,
    pub(super) list: u32,
    /// Place among the tenants.
    pub(super) tenant: u32,
}

/// What belongs to a tenant.
#[derive(Debug, Clone)]
pub(super) struct TenantSpan {
    pub(super) tenant: Tenant,
    pub(super) runs: Range<u32>,
    pub(super) series: Range<u32>,
}

fn fields(bytes: &[u8; 16]) -> [u32; 4] {
    let field = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    [field(0), field(4), field(8), field(12)]
}

impl Inner {
    pub(super) fn run(&self, at: u32) -> Result<Run, Corrupt> {
        let bytes: &[u8; RUN_BYTES] = self.file.entry(Section::Runs, at as usize)?;
        let [metric, first_series, list, tenant] = fields(bytes);
        Ok(Run { metric, first_series, list, tenant })
    }

    /// The series of a family, not empty.
    pub(super) fn series_of(&self, at: u32, run: &Run) -> Result<Range<u32>, Corrupt> {
        let end = if at + 1 < self.file.counts.runs { self.run(at + 1)?.first_series } else { self.file.counts.series };
        if run.first_series >= end || end > self.file.counts.series {
            return Err(self.file.corrupt(Section::Runs, at as usize * RUN_BYTES, "families are out of order"));
        }
        Ok(run.first_series..end)
    }

    /// The list of a family, which has as many entries as the family has series.
    pub(super) fn list_of(&self, at: u32, run: &Run) -> Result<(Range<u32>, List), Corrupt> {
        let series = self.series_of(at, run)?;
        let list = List::open(&self.file, run.list)?;
        if list.len != series.end - series.start {
            return Err(self.file.corrupt(Section::Runs, at as usize * RUN_BYTES, "family and list differ in length"));
        }
        Ok((series, list))
    }

    /// The family of a series.
    pub(super) fn run_of(&self, series: u32) -> Result<(u32, Run), Corrupt> {
        let (mut low, mut high) = (0, self.file.counts.runs);
        while low < high {
            let middle = low.midpoint(high);
            if self.run(middle)?.first_series <= series {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let found = low.checked_sub(1).filter(|_| series < self.file.counts.series);
        let at = found.ok_or_else(|| self.file.corrupt(Section::Runs, 0, &format!("there is no series {series}")))?;
        let run = self.run(at)?;
        match self.series_of(at, &run)?.contains(&series) {
            true => Ok((at, run)),
            false => Err(self.file.corrupt(Section::Runs, at as usize * RUN_BYTES, "families are out of order")),
        }
    }

    /// All tenants, ascending.
    pub(super) fn tenants(&self) -> Result<&[TenantSpan], Corrupt> {
        if let Some(tenants) = self.tenants.get() {
            return Ok(tenants);
        }
        let tenants = self.read_tenants()?;
        Ok(self.tenants.get_or_init(|| tenants))
    }

    /// A tenant, if the part has series of it.
    pub(super) fn tenant(&self, tenant: Tenant) -> Result<Option<&TenantSpan>, Corrupt> {
        let tenants = self.tenants()?;
        Ok(tenants.binary_search_by_key(&tenant, |span| span.tenant).ok().map(|at| &tenants[at]))
    }

    fn read_tenants(&self) -> Result<Vec<TenantSpan>, Corrupt> {
        let counts = self.file.counts;
        let mut tenants: Vec<TenantSpan> = Vec::with_capacity(self.file.len(Section::Tenants) / TENANT_BYTES);
        for at in 0..counts.tenants {
            let bytes: &[u8; TENANT_BYTES] = self.file.entry(Section::Tenants, at as usize)?;
            let [account, project, first_run, first_series] = fields(bytes);
            let tenant = Tenant::new(account, project);
            let bad = || self.file.corrupt(Section::Tenants, at as usize * TENANT_BYTES, "tenants are out of order");
            let starts = match tenants.last_mut() {
                None => first_run == 0 && first_series == 0,
                Some(last) => {
                    last.runs.end = first_run;
                    last.series.end = first_series;
                    last.tenant < tenant && !last.runs.is_empty() && !last.series.is_empty()
                }
            };
            if !starts || first_run >= counts.runs || first_series >= counts.series {
                return Err(bad());
            }
            let (runs, series) = (first_run..counts.runs, first_series..counts.series);
            tenants.push(TenantSpan { tenant, runs, series });
        }
        if tenants.is_empty() != (counts.series == 0) || (counts.runs == 0) != (counts.series == 0) {
            return Err(self.file.corrupt(Section::Tenants, 0, "there are series without tenant or family"));
        }
        Ok(tenants)
    }
}
