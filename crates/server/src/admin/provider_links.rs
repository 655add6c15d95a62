//! Whose account at an identity provider is whose here.

use chartgate_access::ids::Subject;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::Event;
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::live::outbox::Change;
use crate::store::provider_links::{Linked, ProviderLink};
use crate::store::second_factors::FactorChange;
use crate::store::{Sql, StoreError};

/// The longest `sub` of a provider: OpenID Connect Core section 2.
const LONGEST_SUB: usize = 255;

impl Administrator {
    /// Makes an account at a provider somebody's.
    pub(super) async fn link_user(
        &self,
        by: Operator,
        name: Subject,
        (provider, subject): (String, String),
    ) -> Result<Value, CommandError> {
        self.find_user(&name)?;
        let issuer = self.issuer_of(&provider)?;
        if subject.is_empty() || subject.len() > LONGEST_SUB || subject.chars().any(char::is_control) {
            return Err(CommandError::Invalid("the subject is no `sub` of a provider".to_owned()));
        }
        if let Some(owner) = self.store.read(|sql| sql.linked_user(&issuer, &subject))? {
            return Err(CommandError::Invalid(format!("that account is linked to `{owner}`")));
        }
        let mut record = self.record(by, Event::UserChanged, &name);
        note(&mut record, "provider", &provider);
        note(&mut record, "provider_subject", &subject);
        let _ = self.append(&record).await?;
        let (now, of) = (self.clock.now(), name.clone());
        let link = move |sql: &Sql<'_>| {
            let linked = sql.link_provider((&issuer, &subject), &of, now)?;
            if linked == Linked::Yes {
                sql.note_factor_change(&of, FactorChange::AccountLinked, now)?;
            }
            Ok::<_, StoreError>(linked)
        };
        let linked = self.store.write(link).await?;
        match linked {
            Linked::Yes => self.show_user(&name),
            Linked::Taken => Err(CommandError::Invalid("that account was linked just now".to_owned())),
        }
    }

    /// Takes a person's accounts at a provider away; all that they have open ends.
    pub(super) async fn unlink_user(
        &self,
        by: Operator,
        name: Subject,
        provider: String,
    ) -> Result<Value, CommandError> {
        self.find_user(&name)?;
        // One that is not configured any more can be named by its issuer.
        let issuer = self.issuer_of(&provider).unwrap_or_else(|_| provider.clone());
        let subject = name.clone();
        let mut record = self.record(by, Event::UserChanged, &name);
        note(&mut record, "provider", &provider);
        let unlinked = self.outbox.commit(move |sql, now| {
            let unlinked = sql.unlink_provider(&subject, &issuer)?;
            if unlinked == 0 {
                return Ok(Change::none(0));
            }
            sql.end_all_sessions(&subject, now)?;
            note(&mut record, "unlinked", unlinked);
            let cut = CutOff::UpTo { target: Target::Subject(subject), not_before: now };
            Ok::<_, CommandError>(Change::told_by(unlinked, [record]).cutting([cut]))
        });
        if unlinked.await.map_err(CommandError::after_the_end)? == 0 {
            return Err(CommandError::Unknown { kind: "account at a provider", name: provider });
        }
        self.show_user(&name)
    }

    /// A person's accounts, as they are shown.
    pub(super) fn links_of(&self, name: &Subject) -> Result<Value, CommandError> {
        let shown = |link: &ProviderLink| {
            json!({
                "issuer": link.issuer,
                "subject": link.subject,
                "linked_at": link.linked_at,
                "last_used_at": link.last_used_at,
            })
        };
        Ok(self.store.read(|sql| sql.provider_links(name))?.iter().map(shown).collect())
    }

    fn issuer_of(&self, provider: &str) -> Result<String, CommandError> {
        let config = self.in_force.config();
        let found = config.identity_providers.iter().find(|one| one.name == provider);
        let unknown = || CommandError::Unknown { kind: "identity provider", name: provider.to_owned() };
        found.map(|one| one.issuer.to_string()).ok_or_else(unknown)
    }
}
