//! Nodes that do not answer are remembered, so that not every question waits for one.
//!
//! 1. A question that waited long and got no answer marks the node as away. One that was refused at once does not: asking again costs nothing.
//! 2. Who asks a node that is away is told so at once. In the background it is dialled from time to time until it answers.
//! 3. Somebody who gave up waiting has the node looked at: it may be slow, or away.
//!
//! Only for questions: rows that a node missed have their own account of who is there (see `route`).

use std::{
    sync::Weak,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::Node;
use crate::{RpcError, wire::Role};

/// What fails sooner is asked again by the next one.
const LONG: Duration = Duration::from_millis(200);
/// Between two attempts in the background.
const PAUSE: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug, Default)]
pub struct Absence(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    is_looked_at: bool,
}

impl Node {
    /// Fails if the node is known not to answer.
    pub(super) fn check_presence(&self) -> Result<(), RpcError> {
        match self.absence.0.lock().since {
            Some(since) => Err(RpcError::Unreachable(format!(
                "{} has not answered for {:.1} s; it is asked again in the background",
                self.address,
                since.elapsed().as_secs_f64()
            ))),
            None => Ok(()),
        }
    }

    /// A question that waited for so long got no answer.
    pub(super) fn was_absent(&self, waited: Duration) {
        if self.options.role != Role::Select || waited < LONG {
            return;
        }
        self.absence.0.lock().since.get_or_insert_with(Instant::now);
        self.look();
    }

    /// Looks in the background whether the node is there.
    pub fn look(&self) {
        let mut state = self.absence.0.lock();
        if std::mem::replace(&mut state.is_looked_at, true) {
            return;
        }
        self.runtime.spawn(look(self.me.clone()));
    }
}

async fn look(node: Weak<Node>) {
    loop {
        // Nobody may want it any more.
        let Some(node) = node.upgrade() else { return };
        let began = Instant::now();
        let answer = node.greet().await;
        let waited = began.elapsed();
        {
            let mut state = node.absence.0.lock();
            let is_away = answer.as_ref().is_err_and(RpcError::is_absence) && (waited >= LONG || state.since.is_some());
            if !is_away {
                *state = State::default();
                return;
            }
            state.since.get_or_insert(began);
        }
        drop(node);
        tokio::time::sleep(PAUSE).await;
    }
}
