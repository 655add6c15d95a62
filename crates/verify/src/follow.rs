//! Following the issuer in the background, until nobody verifies any more.

use std::sync::Weak;
use std::time::Duration;

use chartgate_protocol::jose::Rejection;
use chartgate_protocol::revocations::{CutClaim, Revocations};
use tokio::time::Instant;

use crate::clock;
use crate::issuer::{Answer, Issuer, IssuerError, Keys};
use crate::state::State;

/// How often keys are fetched: before their `max-age`, which is 300 s, is over.
const FETCH_EVERY: Duration = Duration::from_secs(240);
/// How soon at the earliest after the last time, whoever asks (ATTACKS J06).
const FETCH_PAUSE: Duration = Duration::from_secs(10);
/// How long after a failure the issuer is asked again: doubled each time, to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long whoever meets an unknown key waits for the keys to be fetched.
const KEY_PATIENCE: Duration = Duration::from_secs(2);

/// Keeps the keys young.
pub(crate) async fn follow_keys(keys: Keys, state: Weak<State>) {
    let mut last = Last::Fetched;
    loop {
        let due = {
            let Some(state) = state.upgrade() else { return };
            let is_wanted = tokio::time::timeout(LOOK_EVERY, state.wanted.notified()).await.is_ok();
            due(last, is_wanted, state.since_asked_for_keys())
        };
        let Some(pause) = due else { continue };
        tokio::time::sleep(pause).await;
        let Some(strong) = state.upgrade() else { return };
        strong.ask_for_keys();
        drop(strong);
        match keys.fetch().await {
            Ok((keys, asked_at)) => match state.upgrade() {
                Some(state) => {
                    state.put_keys(keys, asked_at);
                    last = Last::Fetched;
                }
                None => return,
            },
            Err(error) => {
                tracing::warn!(%error, "the issuer's keys were not fetched");
                last = Last::Failed;
            }
        }
    }
}

/// How the keys were asked for last.
#[derive(Clone, Copy)]
enum Last {
    Fetched,
    Failed,
}

/// How long to wait until the keys are asked for again, if they have to be now: an issuer that was away is asked until it is
/// back, and not when the keys would have been due once more.
fn due(last: Last, is_wanted: bool, since_asked: Duration) -> Option<Duration> {
    let every = match last {
        Last::Fetched => FETCH_EVERY,
        Last::Failed => FETCH_PAUSE,
    };
    (is_wanted || since_asked >= every).then(|| FETCH_PAUSE.saturating_sub(since_asked))
}

/// How soon it is noticed that nobody verifies any more.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Keeps what is known of cut-offs young.
pub(crate) async fn follow_feed(mut issuer: Issuer, mut position: String, state: Weak<State>) {
    let patience = issuer.settings().wait();
    // Short beside how old what is known may be.
    let longest = LONGEST_PAUSE.min(patience.div_f32(2.0));
    let (mut wait, mut pause) = (patience, FIRST_PAUSE);
    loop {
        let answer = issuer.revocations(Some(&position), wait).await;
        let Some(state) = state.upgrade() else { return };
        let read = read(&issuer, &state, answer).await;
        let has_waited = !wait.is_zero();
        match read {
            Ok((news, asked_at)) => {
                if news.cut_offs.iter().any(|entry| entry.claim == CutClaim::Kid) {
                    state.wanted.notify_one();
                }
                position.clone_from(&news.position);
                state.put_news(news, asked_at, clock::now());
                wait = patience;
            }
            Err(error) => {
                tracing::warn!(%error, "the feed of cut-offs was not read");
                // Whoever was away, or finds no room to wait there, has to know now: what is known gets older meanwhile.
                wait = Duration::ZERO;
            }
        }
        drop(state);
        if has_waited && !wait.is_zero() {
            pause = FIRST_PAUSE;
        } else {
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(longest);
        }
    }
}

async fn read(
    issuer: &Issuer,
    state: &State,
    answer: Result<Answer, IssuerError>,
) -> Result<(Revocations, Instant), IssuerError> {
    let answer = answer?;
    let keys = state.keys().map_err(|_| IssuerError::Document("key set"))?;
    let news = match issuer.verify(&answer, &keys) {
        Err(Rejection::UnknownKid) => {
            // The keys changed: an answer that the new ones verify is as good as any.
            fetched(state).await;
            let keys = state.keys().map_err(|_| IssuerError::Document("key set"))?;
            issuer.verify(&answer, &keys)?
        }
        other => other?,
    };
    Ok((news, answer.asked_at))
}

/// Asks for the keys to be fetched, and waits for that, but not for long; if they were asked for of late, what they do not
/// have does not exist.
pub(crate) async fn fetched(state: &State) {
    if state.since_asked_for_keys() < FETCH_PAUSE {
        state.wanted.notify_one();
        return;
    }
    let mut fetched = state.fetched.subscribe();
    state.wanted.notify_one();
    let _ = tokio::time::timeout(KEY_PATIENCE, fetched.changed()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_asked_for_before_they_are_old_and_again_soon_after_a_failure() {
        let seconds = Duration::from_secs;
        for (last, is_wanted, since, expected) in [
            (Last::Fetched, false, 5, None),
            (Last::Fetched, false, 239, None),
            (Last::Fetched, false, 240, Some(0)),
            (Last::Fetched, true, 3, Some(7)),
            (Last::Failed, false, 3, None),
            (Last::Failed, false, 10, Some(0)),
            (Last::Failed, true, 3, Some(7)),
        ] {
            assert_eq!(due(last, is_wanted, seconds(since)), expected.map(seconds), "after {since} s");
        }
    }
}
