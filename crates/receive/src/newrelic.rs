//! New Relic's infrastructure agent.

use basalt_http::{Request, Response, StatusCode, json};
use decode::{newrelic, rows::Rows};

use crate::{Entered, Receiver, STATUS_OK, rejection::Rejection, session::Session};

impl Receiver {
    pub(crate) async fn newrelic_events(&self, entered: Entered, request: Request) -> Result<Response, Rejection> {
        let now = self.clock.now_ms();
        let read = async |body: &[u8], rows: &mut Rows, session: &mut Session<'_>| {
            newrelic::read(body, now, rows, session).await
        };
        let answer = json(StatusCode::ACCEPTED, STATUS_OK);
        self.take_whole(entered, request, self.doors.newrelic_bytes_max, read, answer).await
    }
}

/// Says that the inventory was noted, which it is not.
pub fn inventory() -> Response {
    json(StatusCode::ACCEPTED, r#"{"payload":{"version": 1, "state": {}, "reset": "false"}}"#)
}

#[cfg(test)]
mod tests {
    use crate::testing::{ask, post, receiver, store};

    #[tokio::test]
    async fn events_come_in() {
        let store = store(100, Ok(()));
        let receiver = receiver(&store);
        let body = r#"[{"EntityID":1,"Events":[{"eventType":"S","timestamp":5,"cpu":1}]}]"#;
        let address = "/newrelic/infra/v2/metrics/events/bulk?extra_label=x=y";
        assert_eq!(ask(&receiver, post(address, body)).await, (202, String::new(), r#"{"status":"ok"}"#.into()));
        assert_eq!(store.take(), ["0:0 __name__=cpu,eventType=S,x=y 1@5000"]);
        assert_eq!(ask(&receiver, post(address, "{")).await.0, 400);
        assert!(ask(&receiver, post("/newrelic/inventory/deltas", "")).await.2.contains("\"reset\""));
        assert_eq!(ask(&receiver, post("/insert/1/newrelic", "")).await.0, 202);
    }
}
