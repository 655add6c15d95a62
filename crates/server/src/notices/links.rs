//! Sending links to people who lost what they sign in with. NIST SP 800-63B-4 section 4.2.1.2.
//!
//! The secret is made when it is sent and is nowhere but in the message: what is kept is its digest.
//!
//! CRASH: a link that was sent, and was not noted as sent, is sent again, as another one, and the first is void.

use std::sync::Arc;

use chartgate_access::login::recovery::Lost;
use chartgate_access::principal::UserState;
use tokio::task::JoinSet;

use super::{AT_ONCE, Notices, again_at};
use crate::entropy::{digest_of, opaque_secret};
use crate::letters::{Letter, place};
use crate::net::mail::{Mailer, NotSent};
use crate::pages;
use crate::store::StoreError;
use crate::store::recoveries::DueLink;
use crate::store::second_factors::Used;
use crate::tongue::Tongue;

/// What the record calls it.
const CHANGE: &str = "recovery-link";

impl Notices {
    /// Sends what is due.
    pub(super) async fn send_links(self: &Arc<Self>) {
        let Some(mailer) = &self.mailer else { return };
        let now = self.clock.now();
        let due = self.store.read(|sql| sql.due_links(now, AT_ONCE));
        let due = due.unwrap_or_else(|error: StoreError| {
            tracing::warn!(%error, "who is to get a link to get in again cannot be read");
            Vec::new()
        });
        let mut sending = JoinSet::new();
        for link in due {
            let (own, mailer) = (Arc::clone(self), Arc::clone(mailer));
            sending.spawn(async move { own.settle_link(&mailer, link).await });
        }
        while sending.join_next().await.is_some() {}
    }

    async fn settle_link(&self, mailer: &Mailer, link: DueLink) {
        let secret = opaque_secret();
        let (id, digest) = (link.id.clone(), digest_of(secret.expose()));
        let user = match self.store.write(move |sql| sql.set_link(&id, &digest)).await {
            // It was voided meanwhile.
            Ok(Used::Before) => return,
            Ok(Used::Now) => self.store.read(|sql| sql.user(&link.user)),
            Err::<_, StoreError>(error) => Err(error),
        };
        let user = match user {
            Ok(user) => user.filter(|user| user.state == UserState::Enabled),
            Err(error) => {
                tracing::warn!(%error, "a link by which somebody gets in again cannot be kept");
                return;
            }
        };
        let (sent, again) = match user.as_ref().and_then(|user| user.email.as_ref()) {
            Some(address) => {
                let sent = mailer.send(address, self.letter(&link, secret.expose())).await;
                let again = match &sent {
                    Ok(()) | Err(NotSent::NotConfigured | NotSent::NoAddress | NotSent::Refused) => None,
                    Err(NotSent::NotNow) => again_at(link.attempts, self.clock.now()),
                };
                // What would not be good any more is not sent.
                (sent, again.filter(|again| *again < link.until))
            }
            None => (Err(NotSent::NoAddress), None),
        };
        // Success, the first failure and giving up are on record. What cannot be recorded is not noted either, and is done again.
        let is_told_of = sent.is_ok() || link.attempts == 0 || again.is_none();
        if is_told_of && !self.is_on_record((&link.user, CHANGE), sent.err()).await {
            return;
        }
        let noted = self.store.write(move |sql| sql.note_sending(&link.id, again)).await;
        if let Err::<_, StoreError>(error) = noted {
            tracing::warn!(%error, "an attempt to send a link was not noted");
        }
    }

    fn letter(&self, link: &DueLink, secret: &str) -> Letter {
        let (name, place, until) = (&link.user, place(&self.issuer), pages::minutes(link.until));
        let say = |t: Tongue| {
            let what = match link.lost {
                Lost::Password => t
                    .say("mail-recover-password")
                    .with("username", name)
                    .with("place", place)
                    .with("until", &until),
                Lost::Factors => t
                    .say("mail-recover-factors")
                    .with("username", name)
                    .with("place", place)
                    .with("until", &until),
            };
            (t.say("mail-recover-subject").with("place", place), vec![what, t.say("mail-recover-not-you")])
        };
        Letter::new(say, &format!("{}/login/recover?token={secret}", self.issuer))
    }
}
