//! That nothing came of a question is on record too.

use std::sync::Arc;
use std::time::Duration;

use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_values::Phi;
use tokio::sync::watch;

use super::Approvals;
use crate::store::StoreError;
use crate::store::sign_in_approvals::Lapsed;

/// How often it is looked which questions are over.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Approvals {
    /// Records each question that nobody answered in its time, until the gateway goes down.
    ///
    /// CRASH: what was recorded and is not noted yet is recorded again.
    pub(crate) async fn run(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let now = self.0.clock.now();
            let lapsed = self.0.store.read(|sql| sql.lapsed(now)).unwrap_or_else(|error: StoreError| {
                tracing::warn!(%error, "which questions nobody answered cannot be read");
                Vec::new()
            });
            for question in lapsed {
                self.settle(question).await;
            }
            self.lapse_deeds(now).await;
        }
    }

    async fn settle(&self, Lapsed { id, subject, client, action, why }: Lapsed) {
        let now = self.0.clock.now();
        let mut record = Record::new(Event::ApprovalLapsed, Outcome::Deny, now);
        record.action = Some(Event::ApprovalLapsed.as_str().to_owned());
        record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
        record.resource = Some(Phi::new(id.clone()));
        record.decision.reason = Some(why.code().to_owned());
        let told = [
            ("asked", Some(action.name().to_owned())),
            ("user", Some(subject.to_string())),
            ("client", client.map(|client| client.to_string())),
        ];
        for (name, value) in told {
            record.detail.extend(value.map(|value| (name.to_owned(), Phi::new(value))));
        }
        if let Err(error) = self.0.journal.append(&record, ()).await {
            tracing::error!(%error, "audit");
            return;
        }
        let noted = self.0.store.write(move |sql| sql.note_lapsed(&id, now)).await;
        if let Err::<_, StoreError>(error) = noted {
            tracing::warn!(%error, "that nobody answered a question was not noted");
        }
    }
}
