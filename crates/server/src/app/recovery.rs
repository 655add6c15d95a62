//! What is recorded of a start after a crash, or from a backup.

use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_values::Phi;

use super::App;

impl App {
    /// Says that what runs was restored, before anything is served.
    pub(super) fn record_restores(&self) -> anyhow::Result<()> {
        let restores = self.store.read(|sql| sql.unrecorded_restores())?;
        if restores.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        for restore in restores {
            let mut record = Record::new(Event::BackupRestored, Outcome::Allow, now);
            record.actor = Actor { sub: Some(restore.by), kind: ActorKind::Local, ..Actor::default() };
            record.resource = Some(Phi::new(restore.backup.clone()));
            for (name, value) in [
                ("made", Some(restore.made_at.to_string())),
                ("restored", Some(restore.at.to_string())),
                ("size", Some(restore.size.to_string())),
                ("known", restore.known.map(|known| known.to_string())),
                ("lost", restore.known.map(|known| known.saturating_sub(restore.size).to_string())),
            ] {
                record.detail.extend(value.map(|value| (name.to_owned(), Phi::new(value))));
            }
            let _ = self.log.journal.append_blocking(&record, ())?;
            tracing::warn!(
                backup = restore.backup,
                made = %restore.made_at,
                size = restore.size,
                "this was restored from a backup: what was issued before is at an end"
            );
        }
        // CRASH: on record and not yet noted, it is recorded once more.
        Ok(self.store.write_blocking(move |sql| sql.restores_recorded(now))?)
    }

    /// Closes the intents that a crash left open, and says what was recovered.
    pub(super) fn record_recovery(&self) -> anyhow::Result<()> {
        let now = self.clock.now();
        for open in &self.log.recovered.open_intents {
            let mut record =
                Record { event: Event::Access, outcome: Outcome::Error, time: now, ..open.record.clone() };
            record.decision.reason = Some("interrupted".to_owned());
            let _ = self.log.journal.append_blocking(&record, ())?;
        }
        let found = &self.log.recovered;
        if found.replayed > 0 || found.torn_bytes > 0 || !found.open_intents.is_empty() {
            let mut record = Record::new(Event::Recovered, Outcome::Allow, now);
            record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
            for (name, value) in [
                ("replayed", found.replayed.to_string()),
                ("torn_bytes", found.torn_bytes.to_string()),
                ("interrupted", found.open_intents.len().to_string()),
            ] {
                record.detail.insert(name.to_owned(), Phi::new(value));
            }
            let _ = self.log.journal.append_blocking(&record, ())?;
            tracing::info!(
                replayed = found.replayed,
                torn_bytes = found.torn_bytes,
                interrupted = found.open_intents.len(),
                "recovered the log"
            );
        }
        Ok(())
    }
}
