//! Several futures at once, on the task that waits for them.

use std::{future::poll_fn, pin::Pin, task::Poll};

enum Waiting<F: Future> {
    For(Pin<Box<F>>),
    Over(F::Output),
}

/// Waits for all; the outcomes stand in the order of the futures.
pub async fn together<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut waiting: Vec<Waiting<F>> = futures.into_iter().map(|future| Waiting::For(Box::pin(future))).collect();
    poll_fn(|context| {
        let mut all = true;
        for one in &mut waiting {
            if let Waiting::For(future) = one {
                match future.as_mut().poll(context) {
                    Poll::Ready(outcome) => *one = Waiting::Over(outcome),
                    Poll::Pending => all = false,
                }
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let outcome = |one| match one {
        Waiting::Over(outcome) => outcome,
        Waiting::For(_) => panic!("BUG: an outcome is missing"),
    };
    waiting.into_iter().map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn they_wait_at_the_same_time() {
        let began = tokio::time::Instant::now();
        let wait = |seconds| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            seconds
        };
        assert_eq!(together([3, 1, 2].map(wait).into()).await, [3, 1, 2]);
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        assert!(together(Vec::<std::future::Ready<()>>::new()).await.is_empty());
    }
}
