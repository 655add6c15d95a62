//! Telling people: of changes to how they sign in ([`people`]), and how they get in again ([`links`]), and privacy officers of emergency access, and of findings in the log: a program by a Security Event Token (RFC 8417, RFC
//! 8935), a person by a message. Neither says whose record was opened, or why.
//!
//! Whom to tell is written with the grant, so that nobody is forgotten, and care does not wait for it. That somebody was told
//! is recorded once they were; so are the first attempt that fails, and giving up. What fails is tried again, ever less often.
//!
//! CRASH: who was told, and is still noted, is told again.

mod deliver;
mod findings;
mod links;
mod people;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chartgate_audit::journal::Journal;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_protocol::oauth::security_event::{EmergencyAccessBegan, SecurityEvent};
use chartgate_values::{Clock, Phi, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::live::emergency::{Emergencies, MAIL, WEBHOOK};
use crate::live::keys::KeyRing;
use crate::net::client::egress::Egress;
use crate::net::mail::Mailer;
use crate::pages;
use crate::store::emergency::{EmergencyNotice, EmergencyUse};
use crate::store::{Store, StoreError};

/// How often it is looked who is to be told.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many are told at the same time.
const AT_ONCE: i64 = 16;
/// How long after the first failure it is tried again; twice as long after each one more.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(1800);
/// How often it is tried: for some two days in all.
const ATTEMPTS: u32 = 108;

/// Tells privacy officers.
pub(crate) struct Notices {
    pub(crate) issuer: String,
    pub(crate) emergencies: Arc<Emergencies>,
    pub(crate) store: Arc<Store>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) egress: Arc<Egress>,
    /// By whom people are told, if by anybody.
    pub(crate) mailer: Option<Arc<Mailer>>,
    /// When it was told of findings last, by each way.
    pub(crate) told: Mutex<BTreeMap<String, Timestamp>>,
}

impl Notices {
    /// Tells whoever is to be told, until the gateway goes down.
    pub(crate) async fn run(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut people = tokio::spawn(async {});
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let now = self.clock.now();
            let due = self.store.read(|sql| sql.due_emergency_notices(now, AT_ONCE));
            let due = due.unwrap_or_else(|error: StoreError| {
                tracing::warn!(%error, "who is to be told of emergency access cannot be read");
                Vec::new()
            });
            let mut telling = JoinSet::new();
            for notice in due {
                let own = Arc::clone(&self);
                telling.spawn(async move { own.settle(notice).await });
            }
            while telling.join_next().await.is_some() {}
            self.tell_of_findings().await;
            // What strangers can ask for is not in the way of what officers are told.
            if people.is_finished() {
                let own = Arc::clone(&self);
                people = tokio::spawn(async move {
                    own.tell_people().await;
                    own.send_links().await;
                });
            }
        }
    }

    async fn settle(&self, notice: EmergencyNotice) {
        let used = match self.store.read(|sql| sql.emergency(&notice.use_id)) {
            Ok(Some(used)) => used,
            Ok(None) => return,
            Err::<_, StoreError>(error) => {
                tracing::warn!(%error, "emergency access of which somebody is to be told cannot be read");
                return;
            }
        };
        let outcome = self.tell(&used, &notice.way).await;
        let attempts = notice.attempts.saturating_add(1);
        let now = self.clock.now();
        let (noted, due_at) = match outcome {
            // What cannot be recorded is not noted either, and is done again.
            Ok(()) if !self.is_recorded(&used, &notice, Outcome::Allow, None).await => return,
            Ok(()) => (EmergencyNotice { attempts, told_at: Some(now), failure: None, ..notice }, None),
            Err(failure) => {
                tracing::warn!(
                    way = notice.way,
                    failure,
                    attempts,
                    "a privacy officer was not told of emergency access"
                );
                let again = again_at(notice.attempts, now);
                let is_told_of = notice.attempts == 0 || again.is_none();
                if is_told_of && !self.is_recorded(&used, &notice, Outcome::Error, Some(&failure)).await {
                    return;
                }
                (EmergencyNotice { attempts, told_at: None, failure: Some(failure), ..notice }, again)
            }
        };
        let noted = self.store.write(move |sql| sql.note_emergency_attempt(&noted, due_at)).await;
        if let Err::<_, StoreError>(error) = noted {
            tracing::warn!(%error, "an attempt to tell of emergency access was not noted");
        }
    }

    async fn tell(&self, used: &EmergencyUse, way: &str) -> Result<(), String> {
        let config = &self.emergencies.config;
        let link = format!("{}/emergency/review?id={}", self.issuer, used.id);
        match (way, &config.webhook, &config.mail) {
            (WEBHOOK, Some(address), _) => {
                let event = EmergencyAccessBegan {
                    id: used.id.to_string(),
                    user: used.subject.to_string(),
                    until: used.until.into(),
                    link,
                };
                self.push(SecurityEvent::EmergencyAccess(event), used.began_at, address).await
            }
            (MAIL, _, Some(mail)) => {
                // The user's name is letters, digits and `._-@`; nothing here can begin another header.
                let subject = format!("Emergency access by {}", used.subject);
                let text = format!(
                    "{user} opened a record in an emergency at {at}.\n\nIt waits for your review:\n{link}\n",
                    user = used.subject,
                    at = pages::minutes(used.began_at),
                );
                deliver::send(mail, &subject, &text).await
            }
            (_, _, _) => Err("not-configured".to_owned()),
        }
    }

    async fn is_recorded(
        &self,
        used: &EmergencyUse,
        notice: &EmergencyNotice,
        outcome: Outcome,
        failure: Option<&str>,
    ) -> bool {
        let mut record = Record::new(Event::EmergencyTold, outcome, self.clock.now());
        record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
        record.action = Some(Event::EmergencyTold.as_str().to_owned());
        record.resource = Some(Phi::new(used.id.to_string()));
        record.grant = Some(used.grant.to_string());
        record.decision.reason = failure.map(str::to_owned);
        for (name, value) in [
            ("emergency", used.id.to_string()),
            ("user", used.subject.to_string()),
            ("way", notice.way.clone()),
        ] {
            record.detail.insert(name.to_owned(), Phi::new(value));
        }
        let recorded = self.journal.append(&record, ()).await;
        if let Err(error) = &recorded {
            tracing::error!(%error, "audit");
        }
        recorded.is_ok()
    }
}

/// When it is tried again, after so many attempts and one more; not, if it was tried often enough.
fn again_at(attempts: u32, now: Timestamp) -> Option<Timestamp> {
    let pause = FIRST_PAUSE.saturating_mul(1 << attempts.min(16)).min(LONGEST_PAUSE);
    (attempts.saturating_add(1) < ATTEMPTS).then(|| now.plus(pause))
}
