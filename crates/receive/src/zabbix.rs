//! The Zabbix connector.

use basalt_http::{Request, Response, StatusCode, empty, json};
use decode::zabbix::Zabbix;

use crate::{Entered, Receiver, body::extra_labels, rejection::Rejection};

impl Receiver {
    pub(crate) async fn zabbix_history(&self, entrance: Entered, request: Request) -> Result<Response, Rejection> {
        let extra = extra_labels(&request.query_params())?;
        let mut reader = Zabbix::new(&self.doors.zabbix, self.clock.now_ms());
        let line_bytes_max = self.doors.line_bytes_max;
        let taken = self.take_lines(entrance, request, line_bytes_max, extra, &mut reader, empty(StatusCode::OK)).await;
        // The connector reads the reason of a refusal out of JSON.
        taken.or_else(|rejection| match rejection.status() {
            StatusCode::BAD_REQUEST => {
                let why = rejection.to_string().replace('\\', "\\\\").replace('"', "\\\"");
                Ok(json(StatusCode::BAD_REQUEST, format!("{{\"error\":\"{why}\"}}")))
            }
            _ => Err(rejection),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{ask, post, receiver, store};

    #[tokio::test]
    async fn items_come_in() {
        let store = store(100, Ok(()));
        let receiver = receiver(&store);
        let address = "/insert/0/zabbixconnector/api/v1/history?extra_label=x=y";
        let body = "{\"name\":\"m\",\"clock\":5,\"ns\":0,\"value\":1,\"type\":3,\"host\":{\"host\":\"h\"}}\n";
        assert_eq!(ask(&receiver, post(address, body)).await, (200, String::new(), String::new()));
        assert_eq!(store.take(), ["0:0 __name__=m,host=h,x=y 1@5000"]);
        let (status, _, why) = ask(&receiver, post(address, "\"")).await;
        assert!(status == 400 && why.starts_with("{\"error\":\"400: cannot read"), "{why}");
    }
}
