use std::future::{pending, ready};

use tokio::sync::oneshot;

use super::*;

#[tokio::test]
async fn what_does_not_end_in_its_time_is_broken_off_and_what_does_is_not() {
    let (told, ended) = oneshot::channel();
    let task = tokio::spawn(async move { told.send(()).unwrap() });
    assert!(end_within(task, pending::<()>()).await);
    ended.await.unwrap();
    let (held, ended) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let _held = held;
        pending().await
    });
    assert!(!end_within(task, ready(())).await);
    ended.await.unwrap_err();
}
