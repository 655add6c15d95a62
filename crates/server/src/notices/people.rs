//! Telling people by e-mail that how they sign in was changed: whoever did it for them is found out. NIST SP 800-63B-4 section
//! 4.6.
//!
//! What is to be told is the row that the change itself wrote, so that nothing is forgotten. The message says what was changed,
//! when, and where to look; it has no link that does anything, and nothing of anybody's record.

use chartgate_access::ids::Subject;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_values::Phi;
use tokio::task::JoinSet;

use super::{AT_ONCE, Notices, again_at};
use crate::letters::{Letter, place};
use crate::net::mail::{Mailer, NotSent};
use crate::pages;
use crate::store::StoreError;
use crate::store::told_changes::UntoldChange;
use crate::tongue::Tongue;

use std::sync::Arc;

impl Notices {
    /// Tells whoever is due.
    pub(super) async fn tell_people(self: &Arc<Self>) {
        let Some(mailer) = &self.mailer else { return };
        let now = self.clock.now();
        let due = self.store.read(|sql| sql.due_changes(now, AT_ONCE));
        let due = due.unwrap_or_else(|error: StoreError| {
            tracing::warn!(%error, "who is to be told of changes to their sign-in cannot be read");
            Vec::new()
        });
        let mut telling = JoinSet::new();
        for change in due {
            let (own, mailer) = (Arc::clone(self), Arc::clone(mailer));
            telling.spawn(async move { own.tell_person(&mailer, change).await });
        }
        while telling.join_next().await.is_some() {}
    }

    async fn tell_person(&self, mailer: &Mailer, change: UntoldChange) {
        let user = match self.store.read(|sql| sql.user(&change.user)) {
            Ok(user) => user,
            Err::<_, StoreError>(error) => {
                tracing::warn!(%error, "somebody who is to be told cannot be read");
                return;
            }
        };
        let address = user.and_then(|user| user.email);
        let sent = match &address {
            Some(address) => self.send(mailer, address, &change).await,
            None => Err(NotSent::NoAddress),
        };
        let again = match sent {
            Ok(()) | Err(NotSent::NotConfigured | NotSent::NoAddress | NotSent::Refused) => None,
            Err(NotSent::NotNow) => again_at(change.attempts, self.clock.now()),
        };
        // Success, the first failure and giving up are on record. What cannot be recorded is not noted either, and is done again.
        let is_told_of = sent.is_ok() || change.attempts == 0 || again.is_none();
        if is_told_of && !self.is_on_record((&change.user, change.change.name()), sent.err()).await {
            return;
        }
        let noted = self.store.write(move |sql| sql.note_telling(&change, again)).await;
        if let Err::<_, StoreError>(error) = noted {
            tracing::warn!(%error, "an attempt to tell somebody was not noted");
        }
    }

    async fn send(&self, mailer: &Mailer, address: &str, change: &UntoldChange) -> Result<(), NotSent> {
        let (user, place) = (&change.user, place(&self.issuer));
        let say = |t: Tongue| {
            let what = t.tell(change.change).plain();
            let at = pages::minutes(change.at);
            let changed = t.say("mail-changed").with("username", user).with("at", at).with("change", what);
            (t.say("mail-changed-subject").with("place", place), vec![changed, t.say("mail-changed-you")])
        };
        let letter = Letter::new(say, &format!("{}/account/factors", self.issuer));
        mailer.send(address, letter).await
    }

    /// Puts on record that somebody was told of this, or was not, and says whether that could be done.
    pub(super) async fn is_on_record(
        &self,
        (user, change): (&Subject, &str),
        failure: Option<NotSent>,
    ) -> bool {
        let outcome = if failure.is_none() { Outcome::Allow } else { Outcome::Error };
        let mut record = Record::new(Event::PersonTold, outcome, self.clock.now());
        record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
        record.action = Some(Event::PersonTold.as_str().to_owned());
        record.resource = Some(Phi::new(user.to_string()));
        record.decision.reason = failure.map(|failure| failure.to_string());
        record.detail.insert("change".to_owned(), Phi::new(change.to_owned()));
        let recorded = self.journal.append(&record, ()).await;
        if let Err(error) = &recorded {
            tracing::error!(%error, "audit");
        }
        recorded.is_ok()
    }
}
