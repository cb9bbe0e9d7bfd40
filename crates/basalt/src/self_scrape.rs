//! The process as its own scraper (`-selfScrapeInterval`): what `/metrics` says goes into the store by the same door as text from anybody else.

use std::{sync::Arc, time::Duration};

use basalt_http::{Handler, Method, Request, Secret, Stop};

use crate::front::Front;

/// How the process scrapes itself.
#[derive(Debug, Clone)]
pub struct SelfScrape {
    /// How often; zero means never.
    pub interval: Duration,
    /// The label `job` of its samples.
    pub job: String,
    /// The label `instance` of its samples.
    pub instance: String,
    /// What `/metrics` wants as `authKey`.
    pub metrics_key: Secret,
}

impl SelfScrape {
    /// Scrapes until it is told to stop.
    pub async fn run<H: Handler>(self, front: Arc<Front<H>>, mut stop: Stop) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.stopped() => return,
            }
            if let Err(why) = self.scrape(&*front).await {
                log::warn!("cannot store the own metrics: {why}");
            }
        }
    }

    async fn scrape<H: Handler>(&self, front: &Front<H>) -> Result<(), String> {
        let text = metrics(front, &self.metrics_key.get()).await?;
        let role = front.role();
        let labels = [format!("job={}", self.job), format!("instance={}", self.instance)];
        let labels = labels.each_ref().map(|label| ("extra_label", label.as_str()));
        let stored =
            role.handle(Request::in_memory(Method::POST, &address("/api/v1/import/prometheus", &labels), text)).await;
        if stored.status().is_success() { Ok(()) } else { Err(format!("the import answers {}", stored.status())) }
    }
}

/// What the role says at `/metrics`.
pub async fn metrics<H: Handler>(front: &Front<H>, key: &str) -> Result<Vec<u8>, String> {
    let asked = Request::in_memory(Method::GET, &address("/metrics", &[("authKey", key)]), "");
    let text = front.role().handle(asked).await;
    if !text.status().is_success() {
        return Err(format!("/metrics answers {}", text.status()));
    }
    text.into_body().collect().await.map_err(|why| why.to_string())
}

/// A path with arguments, each byte of them that could mean something escaped.
fn address(path: &str, arguments: &[(&str, &str)]) -> String {
    let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let arguments: Vec<String> = arguments.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    format!("{path}?{}", arguments.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_arrive_as_they_are() {
        let request = Request::in_memory(Method::GET, &address("/x", &[("a", "ü&=%? +"), ("b", "")]), "");
        assert_eq!(request.path(), "/x");
        assert_eq!(request.query_params().get("a"), Some("ü&=%? +"));
    }
}
