//! How one-time links get to their people: by the hand of whoever made them, or by e-mail.

use chartgate_access::principal::User;
use chartgate_audit::record::{Event, Outcome};
use chartgate_values::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::letters::{Letter, place};
use crate::net::mail::NotSent;
use crate::tongue::Tongue;

/// How somebody gets a one-time link.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LinkBy {
    /// Whoever made it hands it over.
    #[default]
    Hand,
    /// By e-mail.
    Mail,
}

impl Administrator {
    /// Sends a one-time link, or shows it; where it could not be sent, too.
    pub(super) async fn hand_over(
        &self,
        by: Operator,
        (user, how): (&User, LinkBy),
        secret: &Secret<String>,
        shown: &mut Value,
    ) -> Result<(), CommandError> {
        let link = format!("{}/login/enrol?token={}", self.issuer, secret.expose());
        let Value::Object(members) = shown else { return Ok(()) };
        if how == LinkBy::Hand {
            members.insert("enrolment_link".to_owned(), link.into());
            return Ok(());
        }
        let sent = self.send_link(user, &link).await;
        let mut record = self.record(by, Event::PersonTold, &user.name);
        note(&mut record, "change", "enrolment-link");
        match sent {
            Ok(()) => drop(members.insert("enrolment_link_sent_to".to_owned(), json!(user.email))),
            Err(cause) => {
                record.outcome = Outcome::Error;
                record.decision.reason = Some(cause.to_string());
                members.insert("enrolment_link_not_sent".to_owned(), cause.to_string().into());
                members.insert("enrolment_link".to_owned(), link.into());
            }
        }
        self.append(&record).await.map(drop)
    }

    async fn send_link(&self, user: &User, link: &str) -> Result<(), NotSent> {
        let mailer = self.mailer.as_ref().ok_or(NotSent::NotConfigured)?;
        let address = user.email.as_ref().ok_or(NotSent::NoAddress)?;
        let place = place(&self.issuer);
        let say = |t: Tongue| {
            let welcome = t.say("mail-enrol").with("username", &user.name).with("place", place);
            (t.say("mail-enrol-subject").with("place", place), vec![welcome])
        };
        mailer.send(address, Letter::new(say, link)).await
    }
}
