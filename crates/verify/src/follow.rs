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
    loop {
        let pause = {
            let Some(state) = state.upgrade() else { return };
            let is_wanted = tokio::time::timeout(LOOK_EVERY, state.wanted.notified()).await.is_ok();
            let since = state.since_asked_for_keys();
            if !is_wanted && since < FETCH_EVERY {
                continue;
            }
            FETCH_PAUSE.saturating_sub(since)
        };
        tokio::time::sleep(pause).await;
        let Some(strong) = state.upgrade() else { return };
        strong.ask_for_keys();
        drop(strong);
        match keys.fetch().await {
            Ok((keys, asked_at)) => match state.upgrade() {
                Some(state) => state.put_keys(keys, asked_at),
                None => return,
            },
            Err(error) => tracing::warn!(%error, "the issuer's keys were not fetched"),
        }
    }
}

/// How soon it is noticed that nobody verifies any more.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Keeps what is known of cut-offs young.
pub(crate) async fn follow_feed(mut issuer: Issuer, mut position: String, state: Weak<State>) {
    let wait = issuer.settings().wait();
    let mut pause = FIRST_PAUSE;
    loop {
        let answer = issuer.revocations(Some(&position), wait).await;
        let Some(state) = state.upgrade() else { return };
        match read(&issuer, &state, answer).await {
            Ok((news, asked_at)) => {
                if news.cut_offs.iter().any(|entry| entry.claim == CutClaim::Kid) {
                    state.wanted.notify_one();
                }
                position.clone_from(&news.position);
                state.put_news(news, asked_at, clock::now());
                pause = FIRST_PAUSE;
            }
            Err(error) => {
                tracing::warn!(%error, "the feed of cut-offs was not read");
                drop(state);
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            }
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
