//! Nodes that do not answer are remembered, so that not every question waits for one.
//!
//! 1. After a question that waited long and got no answer the node is looked at: it is greeted in the background. Somebody who gave up waiting has that done too.
//!    A question may have been too hard, or its own time too short, so only a greeting that is not answered soon says that the node is away. One that is
//!    refused at once does not: asking again costs nothing.
//! 2. Who asks a node that is away is told so at once. It is greeted from time to time until it answers.
//!
//! Only for questions: rows that a node missed have their own account of who is there (see `route`).

use std::{
    pin::pin,
    sync::Weak,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::Node;
use crate::{RpcError, wire::Role};

/// What fails sooner is asked again by the next one, and nobody is looked for.
const LONG: Duration = Duration::from_millis(200);
/// A greeting that is not answered by then says that nobody is there.
const SOON: Duration = Duration::from_millis(500);
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
        let answer = {
            let mut greeting = pin!(node.greet());
            match tokio::time::timeout(SOON, &mut greeting).await {
                Ok(answer) => answer,
                Err(_) => {
                    node.absence.0.lock().since.get_or_insert(began);
                    greeting.await
                }
            }
        };
        {
            let mut state = node.absence.0.lock();
            let is_away = answer.as_ref().is_err_and(RpcError::is_absence) && state.since.is_some();
            if !is_away {
                *state = State::default();
                return;
            }
        }
        drop(node);
        tokio::time::sleep(PAUSE).await;
    }
}
