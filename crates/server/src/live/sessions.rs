//! Activity of sessions: proxied requests count, in memory, and are written once a minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chartgate_access::ids::SessionId;
use chartgate_access::session::{Limits, Session, Timeouts};
use chartgate_values::{Clock, Timestamp};
use moka::sync::Cache;

use crate::store::{Store, StoreError};

/// Sessions that were used of late.
pub(crate) struct LiveSessions {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    timeouts: Timeouts,
    seen: Mutex<HashMap<SessionId, Timestamp>>,
    /// What the store said of a session, for a short while: automatic logoff holds for proxied requests too.
    known: Cache<SessionId, Known>,
}

/// When a session was used last, how long it may be idle, and when it ends however busy it is.
#[derive(Clone, Copy)]
struct Known {
    last: Timestamp,
    idle: Duration,
    ends: Timestamp,
}

impl Known {
    /// What the store said of a session that is not over.
    fn of(session: &Session, timeouts: Timeouts) -> Self {
        let Limits { idle, absolute } = timeouts.of(session.assurance());
        Self { last: session.last_seen, idle, ends: session.auth_time.plus(absolute) }
    }

    fn check(self, now: Timestamp) -> Result<(), SessionIsOver> {
        if now < self.ends && now < self.last.plus(self.idle) { Ok(()) } else { Err(SessionIsOver) }
    }
}

/// Uses that follow each other so closely are one.
const COARSE: Duration = Duration::from_secs(1);

/// The session has been idle for too long, is too old, or is unknown.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the session is over")]
pub(crate) struct SessionIsOver;

impl LiveSessions {
    pub(crate) fn new(store: Arc<Store>, clock: Arc<dyn Clock>, timeouts: Timeouts) -> Self {
        let known = Cache::builder().max_capacity(100_000).time_to_live(timeouts.longest().idle).build();
        Self { store, clock, timeouts, seen: Mutex::default(), known }
    }

    /// Notes that a session was used just now, if it is not over.
    ///
    /// # Errors
    /// [`SessionIsOver`], also where the store cannot be asked.
    pub(crate) fn used(&self, id: &SessionId) -> Result<(), SessionIsOver> {
        if id.is_foreign() {
            // A trusted issuer looks after its sessions itself.
            return Ok(());
        }
        let now = self.clock.now();
        let known = match self.known.get(id) {
            Some(known) => known,
            None => {
                let session =
                    self.store.read(|sql| sql.session(id)).map_err(|_: StoreError| SessionIsOver)?;
                let session = session.ok_or(SessionIsOver)?;
                session.check(self.timeouts, now).map_err(|_| SessionIsOver)?;
                Known::of(&session, self.timeouts)
            }
        };
        known.check(now)?;
        if now < known.last.plus(COARSE) {
            return Ok(());
        }
        self.known.insert(id.clone(), Known { last: now, ..known });
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), now);
        Ok(())
    }

    /// Whether a session is over by now, asked without using it.
    ///
    /// # Errors
    /// [`SessionIsOver`], also where the store cannot be asked.
    pub(crate) fn look(&self, id: &SessionId) -> Result<(), SessionIsOver> {
        if id.is_foreign() {
            return Ok(());
        }
        let session = self.store.read(|sql| sql.session(id)).map_err(|_: StoreError| SessionIsOver)?;
        let mut session = session.ok_or(SessionIsOver)?;
        if let Some(known) = self.known.get(id) {
            session.last_seen = session.last_seen.max(known.last);
        }
        session.check(self.timeouts, self.clock.now()).map_err(|_| SessionIsOver)
    }

    /// Writes what was noted.
    ///
    /// # Errors
    /// [`StoreError`]; what was noted is then lost, which logs people off early, never late.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        if seen.is_empty() {
            return Ok(());
        }
        self.store.write(move |sql| seen.iter().try_for_each(|(id, at)| sql.touch_session(id, *at))).await
    }
}

#[cfg(test)]
mod tests;
