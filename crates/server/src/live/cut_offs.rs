//! Cut-offs in memory, ahead of every use of a token and every issue of one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use chartgate_access::ids::Subject;
use chartgate_access::token::revocation::{CutOff, CutOffs, LongestLives, Revoked, Target, Traits};
use chartgate_protocol::jose::foreign_token;
use chartgate_values::{Clock, Timestamp};
use tokio::sync::watch;

use crate::config::LONGEST_ACCESS_TOKEN;
use crate::entropy::opaque_secret;
use crate::store::{Sql, Store, StoreError};
use feed::Feed;

mod feed;

/// How long cut-offs matter.
const LONGEST: LongestLives = LongestLives {
    ours: LONGEST_ACCESS_TOKEN,
    foreign: Duration::from_secs(foreign_token::LONGEST_LIFE.as_secs().saturating_add(60)),
};

/// All cut-offs that matter.
pub(crate) struct LiveCutOffs {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    table: RwLock<CutOffs>,
    /// Written while the table is, so that who has read the one knows what stands in the other.
    feed: RwLock<Feed>,
    changed: watch::Sender<()>,
    /// What is in force and is not in the store yet, for that could not be written.
    unkept: Mutex<Vec<CutOff>>,
    /// One at a time writes that, so that none is answered while another writes what is theirs.
    keeping: tokio::sync::Mutex<()>,
}

/// What a follower does not know yet.
pub(crate) struct News {
    pub(crate) position: String,
    /// Whether these are all, in place of whatever it knew.
    pub(crate) reset: bool,
    pub(crate) cut_offs: Vec<CutOff>,
    /// Whatever was issued up to then is cut off.
    pub(crate) everything: Option<Timestamp>,
}

impl News {
    pub(crate) fn is_new(&self) -> bool {
        self.reset || !self.cut_offs.is_empty()
    }
}

impl LiveCutOffs {
    /// Reads them from the store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn load(store: Arc<Store>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let (mut table, restored_at) =
            store.read(|sql| Ok::<_, StoreError>((sql.cut_offs()?, sql.last_restore()?)))?;
        if let Some(at) = restored_at {
            table.add_everything(at);
        }
        let table = RwLock::new(table);
        let feed = RwLock::new(Feed::new(opaque_secret().expose().clone()));
        let changed = watch::Sender::new(());
        Ok(Self {
            store,
            clock,
            table,
            feed,
            changed,
            unkept: Mutex::default(),
            keeping: tokio::sync::Mutex::default(),
        })
    }

    /// Whether a token is still believed.
    ///
    /// # Errors
    /// [`Revoked`].
    pub(crate) fn check(&self, token: &Traits) -> Result<(), Revoked> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).check(token)
    }

    /// Waits until a token is no longer believed: for what stays open longer than a request takes.
    pub(crate) async fn cut_of(&self, token: &Traits) -> Revoked {
        let mut changed = self.changed.subscribe();
        loop {
            if let Err(revoked) = self.check(token) {
                return revoked;
            }
            if changed.changed().await.is_err() {
                // INVARIANT: the sender lives as long as `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Commits cut-offs together with what else belongs to the act, which is given the time to cut at, then puts them in
    /// force. When this returns, the very next request is refused.
    ///
    /// # Errors
    /// What `act` says; then nothing was cut.
    pub(crate) async fn cut<T, E, A>(&self, act: A) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        A: FnOnce(&Sql<'_>, Timestamp) -> Result<(T, Vec<CutOff>), E> + Send + 'static,
    {
        let clock = Arc::clone(&self.clock);
        let (value, cut_offs) = self
            .store
            .write(move |sql| {
                // The time is read where nothing comes in between any more: what was issued before is cut.
                let now = clock.now();
                let (value, mut cut_offs) = act(sql, now)?;
                // What was exchanged for a token that is cut goes with it.
                let came =
                    cut_offs.iter().map(|cut_off| sql.cut_with(cut_off)).collect::<Result<Vec<_>, _>>()?;
                cut_offs.extend(came.into_iter().flatten());
                for cut_off in &cut_offs {
                    sql.add_cut_off(cut_off, now)?;
                }
                Ok::<_, E>((value, cut_offs))
            })
            .await?;
        if cut_offs.is_empty() {
            return Ok(value);
        }
        let raised = self.put_in_force(cut_offs);
        if !raised.is_empty() {
            self.unkept().extend(raised);
            if let Err(error) = self.keep_raised().await {
                // The act is done, and in force: whoever asked for it is not told that it is not.
                tracing::error!(%error, "cut-offs are in force and not in the store as they are; that is tried again");
            }
        }
        Ok(value)
    }

    /// Writes what is in force and not in the store.
    ///
    /// # Errors
    /// [`StoreError`]; it is in force, and is to be tried again.
    pub(crate) async fn keep_raised(&self) -> Result<(), StoreError> {
        // Whoever comes second waits until what the first one writes, theirs too, is durable.
        let _turn = self.keeping.lock().await;
        let raised = self.unkept().clone();
        if raised.is_empty() {
            return Ok(());
        }
        let (written, now) = (raised.len(), self.clock.now());
        self.store
            .write(move |sql| raised.iter().try_for_each(|cut_off| sql.add_cut_off(cut_off, now)))
            .await?;
        self.unkept().drain(..written);
        Ok(())
    }

    fn unkept(&self) -> MutexGuard<'_, Vec<CutOff>> {
        self.unkept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on everybody sees them. What was issued in a second that began between the commit and now, by whoever did
    /// not see them yet, is cut as well; gives back those that were moved for it.
    fn put_in_force(&self, cut_offs: Vec<CutOff>) -> Vec<CutOff> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut feed = self.feed.write().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let mut raised = Vec::new();
        for cut_off in cut_offs {
            let cut_off = match cut_off {
                CutOff::UpTo { not_before, .. } if not_before < now.floor_to_second() => {
                    raised.push(cut_off.clone().at(now));
                    cut_off.at(now)
                }
                CutOff::UpTo { .. } | CutOff::Token { .. } => cut_off,
            };
            if !cut_off.is_foreign() {
                feed.push(cut_off.clone());
            }
            table.add(cut_off);
        }
        drop((table, feed));
        self.changed.send_replace(());
        raised
    }

    /// Puts in force that a cut-off without end was ended at that time: a subject is believed again, but for what was issued
    /// before.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of theirs is believed.
    pub(crate) fn lifted(&self, subject: Subject, at: Timestamp) -> Result<(), StoreError> {
        // Nobody is looked at in between: whoever was shut out again meanwhile is not let in by what came before.
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let stands = self.store.read(|sql| sql.cut_off_of(&subject));
        let not_before = stands.as_ref().ok().copied().flatten().unwrap_or(Timestamp::MAX);
        table.lift(&subject, at);
        table.add(CutOff::UpTo { target: Target::Subject(subject), not_before });
        drop(table);
        stands.map(drop)
    }

    /// Where a follower stands who knows all.
    pub(crate) fn position(&self) -> String {
        self.feed.read().unwrap_or_else(PoisonError::into_inner).position()
    }

    /// What a follower of our tokens does not know who stands there; everything, where that is not known.
    pub(crate) fn news(&self, after: Option<&str>) -> News {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let feed = self.feed.read().unwrap_or_else(PoisonError::into_inner);
        let position = feed.position();
        let is_ours = |cut_off: &CutOff| !cut_off.is_foreign();
        match after.and_then(|after| feed.after(after)) {
            Some(cut_offs) => News { position, reset: false, cut_offs, everything: None },
            None => {
                let cut_offs = table.all().filter(is_ours).collect();
                News { position, reset: true, cut_offs, everything: table.everything() }
            }
        }
    }

    /// Waits for more than these.
    pub(crate) async fn news_after(&self, known: &News) -> News {
        let mut changed = self.changed.subscribe();
        loop {
            let news = self.news(Some(&known.position));
            if news.is_new() {
                return news;
            }
            if changed.changed().await.is_err() {
                // INVARIANT: the sender lives as long as `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until a token for these targets would be believed: where a cut-off stands in the current second, for the
    /// next one. Gives the time to issue at.
    pub(crate) async fn wait_to_issue(&self, targets: &[Target]) -> Timestamp {
        loop {
            let now = self.clock.now();
            let wait =
                self.table.read().unwrap_or_else(PoisonError::into_inner).wait_before_issuing(targets, now);
            if wait.is_zero() {
                return now;
            }
            tokio::time::sleep(wait.min(Duration::from_secs(2))).await;
        }
    }

    /// Forgets what can matter no more; once a minute will do.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn forget(&self) -> Result<(), StoreError> {
        self.keep_raised().await?;
        let now = self.clock.now();
        self.store.write(move |sql| sql.forget_cut_offs(LONGEST, now)).await?;
        self.table.write().unwrap_or_else(PoisonError::into_inner).forget(LONGEST, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
