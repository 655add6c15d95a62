//! What is recorded of a start after a crash, or from a backup.

use anyhow::bail;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_values::{Clock, Phi};

use super::App;
use crate::store::restores::{PutBack, Restore};
use crate::store::{Store, StoreError};

/// What is run here for the first time after it was in a backup begins anew: nothing is believed that the store had issued, by
/// whatever way it came here. It is done before anything is read of it.
pub(super) fn begin_anew(store: &Store, clock: &dyn Clock) -> anyhow::Result<()> {
    let (mark, last) = store.read(|sql| Ok::<_, StoreError>((sql.backup_mark()?, sql.last_restore()?)))?;
    let now = clock.now();
    if last.is_some_and(|last| now < last) {
        // Else nobody would be let in, nor any assertion be believed, until it is as late as that.
        store.write_blocking(move |sql| sql.restored_no_later_than(now))?;
        tracing::warn!(
            "the clock was ahead when what was restored was first run: what was issued until now is at an end"
        );
    }
    let Some(mark) = mark else { return Ok(()) };
    if now < mark.made_at {
        bail!(
            "this is restored from a backup of {}, and the clock of this machine says {now}: what was issued before cannot \
             be ended by a clock that is behind; set it, and start again",
            mark.made_at
        );
    }
    // CRASH: the mark goes in the transaction that ends all.
    let _ended = store.write_blocking(move |sql| sql.begin_anew(&mark, now))?;
    Ok(())
}

impl App {
    /// Says that what runs was restored, before anything is served.
    pub(super) fn record_restores(&self) -> anyhow::Result<()> {
        let restores = self.store.read(|sql| sql.unrecorded_restores())?;
        if restores.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        for restore in restores {
            let Restore { mark, at, ended } = restore;
            let mut record = Record::new(Event::BackupRestored, Outcome::Allow, now);
            record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
            // Records that are here: more than the backup's, where the log's own folder survived.
            let here = self.log.journal.durable();
            let mut told = vec![
                ("made", mark.made_at.to_string()),
                ("begun", mark.begun.to_string()),
                ("restored", at.to_string()),
                ("sessions", ended.sessions.to_string()),
                ("grants", ended.grants.to_string()),
                ("keys", ended.keys.to_string()),
                ("links", ended.links.to_string()),
            ];
            match mark.put_back {
                Some(PutBack { backup, size, known, by }) => {
                    told.push(("size", size.to_string()));
                    if let Some(known) = known {
                        told.push(("known", known.to_string()));
                        told.push(("lost", known.saturating_sub(here).to_string()));
                    }
                    record.actor.sub = Some(by);
                    record.resource = Some(Phi::new(backup));
                }
                None => record.decision.reason = Some("files-copied".to_owned()),
            }
            record.detail =
                told.into_iter().map(|(name, value)| (name.to_owned(), Phi::new(value))).collect();
            let _ = self.log.journal.append_blocking(&record, ())?;
            tracing::warn!(
                made = %mark.made_at,
                begun = mark.begun,
                sessions = ended.sessions,
                grants = ended.grants,
                keys = ended.keys,
                links = ended.links,
                "this was restored from a backup: what was issued before is at an end; do again what was taken away since"
            );
        }
        // CRASH: on record and not yet noted, it is recorded once more.
        Ok(self.store.write_blocking(move |sql| sql.restores_recorded(now))?)
    }

    /// Closes the intents that a crash left open, and says what was recovered; with it, how many records of changes had to be
    /// appended that the crash kept from the log.
    pub(super) fn record_recovery(&self, told: usize) -> anyhow::Result<()> {
        let now = self.clock.now();
        for open in &self.log.recovered.open_intents {
            let mut record =
                Record { event: Event::Access, outcome: Outcome::Error, time: now, ..open.record.clone() };
            record.decision.reason = Some("interrupted".to_owned());
            let _ = self.log.journal.append_blocking(&record, ())?;
        }
        let found = &self.log.recovered;
        if found.replayed > 0 || found.torn_bytes > 0 || !found.open_intents.is_empty() || told > 0 {
            let mut record = Record::new(Event::Recovered, Outcome::Allow, now);
            record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
            for (name, value) in [
                ("replayed", found.replayed.to_string()),
                ("torn_bytes", found.torn_bytes.to_string()),
                ("interrupted", found.open_intents.len().to_string()),
                ("told", told.to_string()),
            ] {
                record.detail.insert(name.to_owned(), Phi::new(value));
            }
            let _ = self.log.journal.append_blocking(&record, ())?;
            tracing::info!(
                replayed = found.replayed,
                torn_bytes = found.torn_bytes,
                interrupted = found.open_intents.len(),
                told,
                "recovered the log"
            );
        }
        Ok(())
    }
}
