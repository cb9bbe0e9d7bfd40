//! What an operator asks of a storage node beside what every store is asked.
//!
//! | path | |
//! |---|---|
//! | `GET /internal/refill` | how far it is filled up |
//! | `POST /internal/refill?from=HOST:PORT,…` | fills it up from these nodes, named by what selects are told; `wait=1` answers when done, `all=1`: it lacks everything |
//! | `POST /internal/refill/stop` | ends that; with `give_up=1` what is lacking will not come back |
//! | `GET /internal/inserts` | the inserts whose word it waits for |
//! | `POST /internal/forget_insert?id=…` | forgets one that will not come back |

use std::sync::Arc;

use basalt_http::{MetricsSource, MetricsText, Request, Response, StatusCode, json, plain};

use super::{
    refill::{Progress, Refill},
    reports::Reports,
};

/// A storage node and its place among others.
pub struct StorageNode {
    /// What inserts said.
    pub reports: Arc<Reports>,
    /// How what was lost comes back.
    pub refill: Arc<Refill>,
}

impl StorageNode {
    /// The answer, if the path is one of these.
    pub async fn page(&self, request: &Request) -> Option<Response> {
        let is_post = request.method().as_str() == "POST";
        match request.path() {
            "/internal/refill" if is_post => Some(self.begin(request).await),
            "/internal/refill" => Some(self.progress()),
            "/internal/refill/stop" if is_post => Some(self.stop(request).await),
            "/internal/inserts" => Some(self.inserts()),
            "/internal/forget_insert" if is_post => Some(self.forget(request).await),
            "/internal/refill/stop" | "/internal/forget_insert" => {
                Some(plain(StatusCode::METHOD_NOT_ALLOWED, "want POST"))
            }
            _ => None,
        }
    }

    async fn begin(&self, request: &Request) -> Response {
        let params = request.query_params();
        let from = params.get("from").unwrap_or_default();
        let from: Vec<String> =
            from.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_string).collect();
        if from.is_empty() || from.iter().any(|name| name.contains(char::is_whitespace)) {
            let why = "missing \"from\": want the -vmselectAddr of the other storage nodes, as host:port,host:port";
            return plain(StatusCode::BAD_REQUEST, why);
        }
        match self.refill.begin(from, params.switch("all")).await {
            Ok(true) if params.switch("wait") => self.refill.wait().await,
            Ok(true) => {}
            Ok(false) => log::info!("this node lacks nothing, and is not filled up"),
            Err(why) => return plain(StatusCode::BAD_REQUEST, why),
        }
        self.progress()
    }

    async fn stop(&self, request: &Request) -> Response {
        match self.refill.stop(request.query_params().switch("give_up")).await {
            Ok(()) => self.progress(),
            Err(why) => plain(StatusCode::INTERNAL_SERVER_ERROR, why),
        }
    }

    fn progress(&self) -> Response {
        let Progress { is_running, lacking, late, parts_left, bytes, samples, trouble } = self.refill.progress();
        let trouble = trouble.map_or_else(|| "null".to_string(), |why| format!("{why:?}"));
        json(
            StatusCode::OK,
            format!(
                "{{\"status\":\"success\",\"data\":{{\"running\":{is_running},\"lackingShards\":{lacking},\"lateShards\":{late},\"partsLeft\":{parts_left},\
                 \"bytes\":{bytes},\"samples\":{samples},\"trouble\":{trouble}}}}}"
            ),
        )
    }

    fn inserts(&self) -> Response {
        let shown = self.reports.inserts().into_iter().map(|insert| {
            let (name, is_there, keeps) = (insert.name, insert.is_there, insert.keeps_hints);
            format!("{{\"id\":\"{name:032x}\",\"there\":{is_there},\"keepsHints\":{keeps}}}")
        });
        let gone = self.refill.owned().bypassed_by().into_iter();
        let gone = gone.map(|name| format!("{{\"id\":\"{name:032x}\",\"there\":false,\"goesPast\":true}}"));
        let shown: Vec<String> = shown.chain(gone).collect();
        json(StatusCode::OK, format!("{{\"status\":\"success\",\"data\":[{}]}}", shown.join(",")))
    }

    async fn forget(&self, request: &Request) -> Response {
        let params = request.query_params();
        let Some(name) = params.get("id").and_then(|id| u128::from_str_radix(id, 16).ok()) else {
            return plain(StatusCode::BAD_REQUEST, "missing \"id\": want that of an insert in /internal/inserts");
        };
        let forgotten = match self.reports.forget(name).await {
            Ok(was_remembered) => self.refill.owned().forget(name).await.map(|went_past| was_remembered || went_past),
            Err(why) => Err(why),
        };
        match forgotten {
            Ok(true) => plain(StatusCode::OK, "forgotten\n"),
            Ok(false) => plain(StatusCode::NOT_FOUND, format!("no insert {name:032x} is known\n")),
            Err(why) => plain(StatusCode::CONFLICT, format!("{why}\n")),
        }
    }
}

impl MetricsSource for StorageNode {
    fn write_metrics(&self, out: &mut MetricsText) {
        let progress = self.refill.progress();
        out.line("basalt_catching_up", u8::from(self.reports.is_catching_up()));
        out.line("basalt_inserts_known", self.reports.inserts().len());
        out.line("basalt_refill_running", u8::from(progress.is_running));
        out.line("basalt_refill_lacking_shards", progress.lacking);
        out.line("basalt_late_shards", progress.late);
        out.line("basalt_refill_parts_left", progress.parts_left);
        out.line("basalt_refill_bytes_total", progress.bytes);
        out.line("basalt_refill_samples_total", progress.samples);
    }
}
