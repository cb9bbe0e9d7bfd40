//! An operator's wishes that come by way of another node.

use std::sync::Arc;

use bytes::Bytes;
use storage_api::{Admin, AdminError, BoxFuture, DeleteRequest};
use tokio::{runtime::Handle, task::spawn_blocking};
use tonic::Status;

use super::{Service, decode, encode, wrong};
use crate::{
    error::admin_status,
    wire::{
        messages::{
            CardinalityQuestion, MetadataList, MetadataQuestion, Nothing, Number, RangeMessage, Scope, Tenants, Texts,
        },
        requests,
    },
};

impl Service {
    /// Does an operator's work on a thread that may block.
    pub(super) async fn operating<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a dyn Admin) -> BoxFuture<'a, Result<T, AdminError>> + Send + 'static,
    ) -> Result<T, Status> {
        let admin = Arc::clone(self.admin()?);
        let runtime = Handle::current();
        let working = spawn_blocking(move || runtime.block_on(work(&*admin)));
        let outcome = working.await.map_err(|why| Status::internal(format!("the work ended badly: {why}")))?;
        outcome.map_err(|error| admin_status(&error))
    }

    pub(super) async fn flush(&self) -> Result<Bytes, Status> {
        self.operating(|admin| admin.flush()).await?;
        Ok(encode(&Nothing {}))
    }

    pub(super) async fn merge(&self, question: &[u8]) -> Result<Bytes, Status> {
        let prefix = one_text(question)?;
        self.operating(move |admin| Box::pin(async move { admin.merge(&prefix).await })).await?;
        Ok(encode(&Texts::default()))
    }

    pub(super) async fn create_snapshot(&self) -> Result<Bytes, Status> {
        let name = self.operating(|admin| admin.create_snapshot()).await?;
        Ok(encode(&Texts { texts: vec![name], ..Texts::default() }))
    }

    pub(super) async fn list_snapshots(&self) -> Result<Bytes, Status> {
        let texts = self.operating(|admin| Box::pin(async move { admin.list_snapshots() })).await?;
        Ok(encode(&Texts { texts, ..Texts::default() }))
    }

    pub(super) async fn delete_snapshot(&self, question: &[u8]) -> Result<Bytes, Status> {
        let name = one_text(question)?;
        self.operating(move |admin| Box::pin(async move { admin.delete_snapshot(&name) })).await?;
        Ok(encode(&Texts::default()))
    }

    pub(super) async fn check_delete(&self, question: &[u8]) -> Result<Bytes, Status> {
        let request = self.delete_request(question)?;
        self.operating(move |admin| admin.check_delete(request)).await?;
        Ok(encode(&Nothing {}))
    }

    /// What is to be deleted, if this node is fit for that.
    fn delete_request(&self, question: &[u8]) -> Result<DeleteRequest, Status> {
        let mut request = requests::delete_request(&decode::<Scope>(question)?).map_err(wrong)?;
        request.series_max = request.series_max.min(self.limits.deletes_max);
        if let Some(is_fit) = &self.is_fit {
            is_fit().map_err(|why| admin_status(&AdminError::Unavailable(why)))?;
        }
        Ok(request)
    }

    pub(super) async fn delete_series(&self, question: &[u8]) -> Result<Bytes, Status> {
        let request = self.delete_request(question)?;
        let number = self.operating(move |admin| admin.delete_series(request)).await?;
        Ok(encode(&Number { number }))
    }

    pub(super) async fn tenants(&self, question: &[u8]) -> Result<Bytes, Status> {
        let range = requests::range(Some(&decode::<RangeMessage>(question)?)).map_err(wrong)?;
        let tenants = self.operating(move |admin| admin.tenants(range)).await?;
        Ok(encode(&Tenants { tenants: tenants.into_iter().map(requests::tenant_message).collect() }))
    }

    pub(super) async fn metadata(&self, question: &[u8]) -> Result<Bytes, Status> {
        let question = decode::<MetadataQuestion>(question)?;
        let tenant = requests::tenant(question.tenant.as_ref()).map_err(wrong)?;
        let limit = usize::try_from(question.limit).unwrap_or(usize::MAX);
        let completeness = requests::completeness(question.may_lack);
        let told = completeness.clone();
        let entries = self.operating(move |admin| {
            Box::pin(async move { admin.metadata(tenant, question.metric.as_deref(), limit, &told).await })
        });
        let entries = entries.await?.into_iter().map(requests::metadata_message).collect();
        Ok(encode(&MetadataList { entries, lacks: completeness.is_partial() }))
    }

    pub(super) async fn cardinality(&self, question: &[u8]) -> Result<Bytes, Status> {
        let request = requests::cardinality_request(&decode::<CardinalityQuestion>(question)?).map_err(wrong)?;
        let cardinality = self.operating(move |admin| admin.cardinality(request)).await?;
        Ok(encode(&requests::cardinality_answer(cardinality)))
    }
}

fn one_text(question: &[u8]) -> Result<String, Status> {
    let texts = decode::<Texts>(question)?;
    texts.texts.into_iter().next().ok_or_else(|| wrong("no name"))
}
