//! Secrets that stand in files or behind addresses, read again while the process runs.
//!
//! 1. Every two seconds each of them is read, on a thread that may block.
//! 2. A text that is new holds from then on, for new requests and for running connections alike.
//! 3. What cannot be read, or is empty, changes nothing: a file that is half written must neither shut everybody out nor let everybody in. The log says so once.

use std::time::Duration;

use basalt_http::{Secret, Stop};
use tokio::task::spawn_blocking;

use crate::files;

/// They are read again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// A secret is shorter.
const BYTES_MAX: usize = 64 << 10;

/// A secret, and where it comes from.
#[derive(Debug, Clone)]
pub struct Sourced {
    /// The flag that names the source.
    pub flag: &'static str,
    /// A file or an address.
    pub source: String,
    /// What stood there last.
    pub secret: Secret,
}

/// Reads a secret; lines may end behind it. The environment stands for `%{NAME}` in it.
pub fn read(source: &str, environment: files::Environment<'_>) -> Result<String, String> {
    let text = files::read_text(source, BYTES_MAX, environment)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_string())
}

/// Reads all of them again and again until it is told to stop.
pub async fn watch(all: Vec<Sourced>, mut stop: Stop) {
    if all.is_empty() {
        return;
    }
    let mut watched: Vec<Watched> = all.into_iter().map(|sourced| Watched { sourced, failing: false }).collect();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = stop.stopped() => return,
        }
        let looking = spawn_blocking(move || {
            watched.iter_mut().for_each(Watched::look);
            watched
        });
        match looking.await {
            Ok(back) => watched = back,
            Err(_) => return log::error!("secrets are not read again: the task for it ended in a panic"),
        }
    }
}

struct Watched {
    sourced: Sourced,
    /// Whether the last look failed, which was said then.
    failing: bool,
}

impl Watched {
    fn look(&mut self) {
        let Sourced { flag, source, secret } = &self.sourced;
        let read = read(source, &|name| std::env::var(name).ok());
        let read = read.and_then(|text| if text.is_empty() { Err("it is empty".to_string()) } else { Ok(text) });
        match read {
            Ok(text) => {
                if !secret.is(&text) {
                    secret.set(&text);
                    log::info!("-{flag} has changed and was read again");
                }
                self.failing = false;
            }
            Err(why) => {
                if !self.failing {
                    log::error!("cannot read -{flag} again, what was read before stays: {why}");
                }
                self.failing = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_or_gone_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let secret = Secret::new("first");
        let source = format!("file://{}", path.display());
        let mut watched =
            Watched { sourced: Sourced { flag: "metricsAuthKey", source, secret: secret.clone() }, failing: false };
        for (text, want, failing) in
            [("second\n", "second", false), ("", "second", true), ("\n", "second", true), ("third", "third", false)]
        {
            std::fs::write(&path, text).expect("a file");
            watched.look();
            assert!(secret.is(want) && watched.failing == failing, "{text:?}");
        }
        std::fs::remove_file(&path).expect("it is there");
        watched.look();
        assert!(secret.is("third") && watched.failing);
    }
}
