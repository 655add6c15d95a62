//! Invitations to register clients: initial access tokens, within a policy. RFC 7591 section 3.

use std::time::Duration;

use chartgate_audit::record::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::entropy::{digest_of, opaque_secret};
use crate::live::outbox::Change;
use crate::registration::policy::Policy;
use crate::store::StoreError;
use crate::store::invitations::{Invitation, Withdrawn};

/// Whom to invite.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvitation {
    /// What the clients may be at the most.
    pub(crate) policy: Policy,
    /// How many of them.
    pub(crate) uses: u32,
    /// For how long.
    pub(crate) expires_in: Duration,
}

impl Administrator {
    /// Makes an invitation and shows its token, this once.
    pub(super) async fn invite(&self, by: Operator, new: NewInvitation) -> Result<Value, CommandError> {
        let now = self.clock.now();
        let (name, token) = (opaque_secret(), opaque_secret());
        let id: String = name.expose().chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        let invitation = Invitation {
            id: id.to_ascii_lowercase(),
            policy: new.policy,
            uses: new.uses.into(),
            used: 0,
            created_at: now,
            expires_at: now.plus(new.expires_in),
            withdrawn_at: None,
        };
        let mut record = self.record(by, Event::ClientInvited, &invitation.id);
        note(&mut record, "uses", invitation.uses);
        note(&mut record, "expires_at", invitation.expires_at);
        note(&mut record, "scope", &invitation.policy.scope);
        let policy = &invitation.policy;
        note(&mut record, "grant_types", all(&policy.grant_types));
        note(&mut record, "auth_methods", all(&policy.auth_methods));
        note(&mut record, "redirect_hosts", all(&policy.redirect_hosts));
        note(&mut record, "profile", policy.profile);
        if let Some(audience) = &policy.audience {
            note(&mut record, "audience", audience);
        }
        let _ = self.append(&record).await?;
        let (kept, digest) = (invitation.clone(), digest_of(token.expose()));
        let kept = self.store.write(move |sql| sql.add_invitation(&kept, &digest)).await;
        kept.map_err(|error: StoreError| CommandError::from(error))?;
        let mut shown = json!(invitation);
        if let Value::Object(members) = &mut shown {
            members.insert("initial_access_token".to_owned(), token.expose().clone().into());
            members.insert("registration_endpoint".to_owned(), format!("{}/register", self.issuer).into());
        }
        Ok(shown)
    }

    pub(super) fn list_invitations(&self) -> Result<Value, CommandError> {
        Ok(json!(self.store.read(|sql| sql.invitations())?))
    }

    /// Withdraws an invitation. Clients that were registered with it stay.
    pub(super) async fn uninvite(&self, by: Operator, id: String) -> Result<Value, CommandError> {
        let (withdrawn, record) = (id.clone(), self.record(by, Event::ClientUninvited, &id));
        let withdraw =
            self.outbox.commit(move |sql, now| match sql.withdraw_invitation(&withdrawn, now)? {
                Withdrawn::Yes => Ok::<_, CommandError>(Change::told_by(Withdrawn::Yes, [record])),
                Withdrawn::Nothing => Ok(Change::none(Withdrawn::Nothing)),
            });
        match withdraw.await.map_err(CommandError::after_the_end)? {
            Withdrawn::Yes => {}
            Withdrawn::Nothing => return Err(CommandError::Unknown { kind: "invitation", name: id }),
        }
        Ok(json!(self.store.read(|sql| sql.invitation(&id))?))
    }
}

fn all<T: std::fmt::Display>(values: &std::collections::BTreeSet<T>) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
