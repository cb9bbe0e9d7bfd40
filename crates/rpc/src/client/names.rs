//! How often metric names are asked for at another node.

use model::Tenant;
use storage_api::{Asked, NamesAsked};

use super::Node;
use crate::{
    RpcError,
    wire::{
        messages::{NamesAskedMessage, NamesQuestion, Nothing, Number},
        path, requests,
    },
};

impl Node {
    /// How often samples of each of these names were read there.
    pub async fn names_asked(&self, tenant: Tenant, names: &[String]) -> Result<NamesAsked, RpcError> {
        self.hello().await?;
        let question = NamesQuestion { tenant: Some(requests::tenant_message(tenant)), names: names.to_vec() };
        let answer: NamesAskedMessage = self.call(path::NAMES_ASKED, &question, self.options.call_time_max).await?;
        let NamesAskedMessage { since_s, entries, bytes, requests, last_s } = answer;
        let counts = requests.into_iter().zip(last_s);
        let asked = counts.map(|(requests, last_s)| Asked { requests, last_s }).collect();
        Ok(NamesAsked { since_s, entries, bytes, asked })
    }

    /// Has the node forget that, and count from now.
    pub async fn reset_names_asked(&self, now_ms: i64) -> Result<(), RpcError> {
        self.hello().await?;
        let question = Number { number: now_ms.max(0).cast_unsigned() };
        self.call::<_, Nothing>(path::RESET_NAMES_ASKED, &question, self.options.call_time_max).await.map(drop)
    }
}
