//! How often metric names are asked for, for another node.

use std::sync::Arc;

use bytes::Bytes;
use storage_api::{CountNames, NamesAsked};
use tonic::Status;

use super::{Service, decode, encode, wrong};
use crate::{
    error::admin_status,
    wire::{
        messages::{NamesAskedMessage, NamesQuestion, Nothing, Number},
        requests,
    },
};

impl Service {
    /// It counts how often names are asked for.
    #[must_use]
    pub fn with_names(mut self, names: Arc<dyn CountNames>) -> Self {
        self.names = Some(names);
        self
    }

    pub(super) async fn names_asked(&self, question: &[u8]) -> Result<Bytes, Status> {
        let question = decode::<NamesQuestion>(question)?;
        let tenant = requests::tenant(question.tenant.as_ref()).map_err(wrong)?;
        let counted = match &self.names {
            Some(names) => names.names_asked(tenant, question.names).await.map_err(|why| admin_status(&why))?,
            None => NamesAsked::default(),
        };
        let NamesAsked { since_s, entries, bytes, asked } = counted;
        let (requests, last_s) = asked.iter().map(|asked| (asked.requests, asked.last_s)).unzip();
        Ok(encode(&NamesAskedMessage { since_s, entries, bytes, requests, last_s }))
    }

    pub(super) async fn reset_names_asked(&self, question: &[u8]) -> Result<Bytes, Status> {
        let now_ms = decode::<Number>(question)?.number.try_into().map_err(|_| wrong("no time"))?;
        if let Some(names) = &self.names {
            names.reset_names_asked(now_ms).await.map_err(|why| admin_status(&why))?;
        }
        Ok(encode(&Nothing {}))
    }
}
