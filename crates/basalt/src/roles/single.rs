//! Everything in one process: receive → store ← serve.
//!
//! 1. Bind every address, so that a taken port is found out before anything is opened.
//! 2. Serve until SIGINT or SIGTERM.
//! 3. Drain requests; exit 0.

use std::sync::Arc;

use basalt_http::{Handler, Listener, Request, Response, StatusCode, plain, stop_signal};
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::settings::Settings;

/// Runs the role until it is told to stop.
pub fn single(settings: Settings, _shown_flags: Vec<(&'static str, String, bool)>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|why| Failure(format!("cannot start worker threads: {why}")))?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let mut listeners = Vec::new();
    for address in &settings.listen {
        listeners.push(Listener::bind(address).await.map_err(|why| Failure(why.to_string()))?);
    }
    let (stopper, stop) = stop_signal();
    let mut servers = Vec::new();
    for listener in listeners {
        log::info!("started server at http://{}/", listener.address());
        servers.push(tokio::spawn(basalt_http::serve(
            listener,
            settings.server.clone(),
            Arc::new(Health),
            stop.clone(),
        )));
    }
    let signal = stop_asked().await.map_err(|why| Failure(format!("cannot wait for signals: {why}")))?;
    log::info!("received {signal}, stopping");
    stopper.stop();
    for server in servers {
        server.await.map_err(|why| Failure(format!("a server ended badly: {why}")))?;
    }
    Ok(())
}

async fn stop_asked() -> std::io::Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    })
}

struct Health;

impl Handler for Health {
    async fn handle(&self, request: Request) -> Response {
        match request.path() {
            "/health" => plain(StatusCode::OK, "OK"),
            path => plain(StatusCode::NOT_FOUND, format!("unsupported path requested: {path:?}")),
        }
    }
}
