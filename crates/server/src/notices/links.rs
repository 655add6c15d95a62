//! Sending links to people who lost what they sign in with. NIST SP 800-63B-4 section 4.2.1.2.
//!
//! The secret is made when it is sent and is nowhere but in the message: what is kept is its digest.
//!
//! CRASH: a link that was sent, and was not noted as sent, is sent again, as another one, and the first is void.

use std::sync::Arc;

use chartgate_access::login::recovery::Lost;
use chartgate_access::principal::{User, UserState};
use tokio::task::JoinSet;

use super::{AT_ONCE, Notices, again_at};
use crate::entropy::{digest_of, opaque_secret};
use crate::net::mail::{Mailer, NotSent};
use crate::store::StoreError;
use crate::store::recoveries::DueLink;
use crate::store::second_factors::Used;

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
        let user = match self.store.read(|sql| sql.user(&link.user)) {
            Ok(user) => user.filter(|user| user.state == UserState::Enabled),
            Err::<_, StoreError>(error) => {
                tracing::warn!(%error, "somebody who is to get a link cannot be read");
                return;
            }
        };
        let (sent, again) = match &user {
            Some(user) => {
                let sent = self.send_link(mailer, user, &link).await;
                let again = match &sent {
                    Ok(()) | Err(NotSent::NotConfigured | NotSent::NoAddress | NotSent::Refused) => None,
                    Err(NotSent::NotNow) => again_at(link.attempts, self.clock.now()),
                };
                (sent, again)
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

    async fn send_link(&self, mailer: &Mailer, user: &User, link: &DueLink) -> Result<(), NotSent> {
        let address = user.email.as_ref().ok_or(NotSent::NoAddress)?;
        let secret = opaque_secret();
        let (id, digest) = (link.id.clone(), digest_of(secret.expose()));
        match self.store.write(move |sql| sql.set_link(&id, &digest)).await {
            Ok(Used::Now) => {}
            // It was voided meanwhile.
            Ok(Used::Before) => return Err(NotSent::Refused),
            Err::<_, StoreError>(error) => {
                tracing::warn!(%error, "a link was not kept");
                return Err(NotSent::NotNow);
            }
        }
        let place = self.issuer.strip_prefix("https://").unwrap_or(&self.issuer);
        let (what, with) = match link.lost {
            Lost::Password => ("set a new password for", "what you show beside your password"),
            Lost::Factors => ("replace your second factors at", "your password"),
        };
        let text = format!(
            "{name}, by this link and {with} you {what} {place}. It is good once, for an hour.\n\n\
             {issuer}/login/recover?token={secret}\n\n\
             If you did not ask for it, do not follow it: nothing was changed. Tell your administrator.\n\
             Nobody will ever ask you for it.\n",
            name = user.name,
            issuer = self.issuer,
            secret = secret.expose(),
        );
        mailer.send(address, &format!("Getting in again at {place}"), text).await
    }
}
