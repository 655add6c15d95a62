//! A panic is the end of what was being done, and of nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// It panicked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Panicked;

/// What comes of a future, if it does not panic.
pub(super) async fn caught<T>(act: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut act = pin!(act);
    // INVARIANT: once it has panicked it is ready, so that it is not polled again.
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| act.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_what_panics_alone() {
        let panics = async {
            tokio::task::yield_now().await;
            assert_eq!("one", "another");
        };
        assert_eq!(caught(panics).await, Err(Panicked));
        assert_eq!(caught(async { 17 }).await, Ok(17));
    }
}
