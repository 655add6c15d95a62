//! What is recorded of a start after a crash.

use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};

use super::App;

impl App {
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
                record.detail.insert(name.to_owned(), chartgate_values::Phi::new(value));
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
