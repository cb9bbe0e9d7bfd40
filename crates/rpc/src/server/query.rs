//! Names, values, counts and versions for another node.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use bytes::Bytes;
use model::TimeRange;
use storage_api::{BoxFuture, Select, SelectError, Version};
use tokio::{runtime::Handle, task::spawn_blocking};
use tonic::Status;

use super::{Service, decode, encode, wrong};
use crate::{
    error::select_status,
    wire::{
        messages::{NamesMessage, Number, RangesMessage, TenantMessage, Texts, VersionsMessage},
        requests,
    },
};

impl Service {
    /// Does a query's work on a thread that may block.
    async fn asking<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a dyn Select) -> BoxFuture<'a, Result<T, SelectError>> + Send + 'static,
    ) -> Result<T, Status> {
        let select = Arc::clone(self.select()?);
        let _place = self.places.place().await.map_err(|error| select_status(&error))?;
        let runtime = Handle::current();
        let working = spawn_blocking(move || runtime.block_on(work(&*select)));
        let outcome = working.await.map_err(|why| Status::internal(format!("the work ended badly: {why}")))?;
        outcome.map_err(|error| select_status(&error))
    }

    pub(super) async fn label_names(&self, question: &[u8]) -> Result<Bytes, Status> {
        let mut request = requests::names_request(&decode::<NamesMessage>(question)?).map_err(wrong)?;
        self.limits.bound_names(&mut request, self.limits.label_names_max);
        let (completeness, complete) = (request.budget.completeness.clone(), self.complete(request.range));
        let texts = self.asking(move |select| select.label_names(request)).await?;
        Ok(encode(&Texts { texts, lacks: completeness.is_partial(), complete }))
    }

    pub(super) async fn label_values(&self, question: &[u8]) -> Result<Bytes, Status> {
        let mut request = requests::values_request(&decode::<NamesMessage>(question)?).map_err(wrong)?;
        self.limits.bound_names(&mut request.names, self.limits.label_values_max);
        let completeness = request.names.budget.completeness.clone();
        let complete = self.complete(request.names.range);
        let texts = self.asking(move |select| select.label_values(request)).await?;
        Ok(encode(&Texts { texts, lacks: completeness.is_partial(), complete }))
    }

    pub(super) async fn series_count(&self, question: &[u8]) -> Result<Bytes, Status> {
        let tenant = requests::tenant(Some(&decode::<TenantMessage>(question)?)).map_err(wrong)?;
        let number = self.asking(move |select| select.series_count(tenant)).await?;
        Ok(encode(&Number { number }))
    }

    pub(super) async fn versions(&self, question: &[u8]) -> Result<Bytes, Status> {
        let question = decode::<RangesMessage>(question)?;
        let tenant = requests::tenant(question.tenant.as_ref()).map_err(wrong)?;
        let ranges = question.ranges.iter().map(|range| requests::range(Some(range))).collect::<Result<Vec<_>, _>>();
        let ranges = ranges.map_err(wrong)?;
        let asked = ranges.clone();
        let versions = self.asking(move |select| {
            let versions = select.versions(tenant, &asked);
            Box::pin(async move { Ok(versions) })
        });
        // An answer that was whole may lack something now although nothing has changed here: what was written since lies elsewhere.
        let with_stand = |(version, range): (Version, &TimeRange)| {
            if self.stand.is_none() {
                return version.0;
            }
            let mut hash = DefaultHasher::new();
            (version, self.complete(*range)).hash(&mut hash);
            hash.finish()
        };
        Ok(encode(&VersionsMessage { versions: versions.await?.into_iter().zip(&ranges).map(with_stand).collect() }))
    }
}
