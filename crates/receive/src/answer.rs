//! Answers that acknowledge, and say what they do not acknowledge.

use std::fmt::Write;

use basalt_http::{HeaderName, HeaderValue, Response};
use storage_api::{Refusal, Refusals};

use crate::{Receiver, session::Taken};

/// Says what was not taken of a request that was acknowledged.
static REFUSED: HeaderName = HeaderName::from_static("x-basalt-refused");

/// What remote write 2.0 wants to hear.
static SAMPLES_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
static HISTOGRAMS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
static EXEMPLARS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

impl Receiver {
    /// Names in an answer what was refused, and logs each reason at a bounded rate.
    pub(crate) fn name_refused(&self, taken: &Taken, protocol: &'static str, mut response: Response) -> Response {
        if let Some(reasons) = self.log_refused(taken, protocol) {
            let reasons = HeaderValue::try_from(reasons).expect("BUG: names of reasons are plain text");
            response.headers_mut().insert(REFUSED.clone(), reasons);
        }
        response
    }

    /// Logs what was refused at a bounded rate; gives it as the header has it.
    pub(crate) fn log_refused(&self, taken: &Taken, protocol: &'static str) -> Option<String> {
        let refused = taken.all_refused();
        if refused.total() == 0 {
            return None;
        }
        for (reason, samples) in refused.iter() {
            let Some(held_back) = self.refusals.admit((protocol, reason)) else {
                continue;
            };
            let first = taken.first_wrong.as_ref().filter(|_| reason == Refusal::Malformed);
            let first = first.map(|why| format!("; {why}")).unwrap_or_default();
            let name = reason.name();
            log::warn!(
                "refused samples that came by {protocol}: {name}={samples}{first} ({held_back} such lines held back)"
            );
        }
        Some(list(&refused))
    }
}

/// Counts by reason, as the header has them.
pub fn list(refused: &Refusals) -> String {
    let mut reasons = String::new();
    for (reason, samples) in refused.iter() {
        let comma = if reasons.is_empty() { "" } else { ", " };
        write!(reasons, "{comma}{}={samples}", reason.name()).expect("BUG: writing to a string cannot fail");
    }
    reasons
}

/// Says how much was written, as remote write 2.0 wants it; the store keeps no histograms and exemplars.
pub fn name_written(samples: u64, mut response: Response) -> Response {
    for (name, count) in [(&SAMPLES_WRITTEN, samples), (&HISTOGRAMS_WRITTEN, 0), (&EXEMPLARS_WRITTEN, 0)] {
        response.headers_mut().insert(name.clone(), HeaderValue::from(count));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ask, post, receiver, store};

    #[tokio::test]
    async fn refusals_of_one_protocol_do_not_silence_another() {
        let receiver = receiver(&store(10, Ok(())));
        let (status, said, _) = ask(&receiver, post("/api/v1/import/prometheus", "a 1\nb\n")).await;
        assert_eq!((status, said.as_str()), (204, "malformed=1"));
        assert_eq!(receiver.refusals.admit(("prometheusimport", Refusal::Malformed)), None);
        assert_eq!(receiver.refusals.admit(("prometheusimport", Refusal::NoLabels)), Some(0));
        assert_eq!(receiver.refusals.admit(("Graphite", Refusal::Malformed)), Some(0));
    }
}
