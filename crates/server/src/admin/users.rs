//! People.

use std::collections::BTreeSet;
use std::time::Duration;

use chartgate_access::ids::{ClientId, FhirUser, Role, Subject};
use chartgate_access::principal::{User, UserState};
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Event, Record};
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::totp::{Step, TotpSecret};
use chartgate_values::{Phi, Secret, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::enrolment_links::LinkBy;
use super::{Administrator, CommandError, Operator, note};
use crate::entropy::{SystemEntropy, digest_of, opaque_secret};
use crate::live::findings::Facts;
use crate::live::outbox::Change;
use crate::store::second_factors::FactorChange;
use crate::store::users::Added;
use crate::store::{Sql, StoreError};

/// How long a one-time link is good.
const ENROLMENT_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A person to be added. It has no `Debug`, for it may hold a password.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    pub(crate) name: Subject,
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) fhir_user: Option<FhirUser>,
    pub(crate) email: Option<String>,
    pub(crate) password: Option<String>,
    /// What is known of them besides.
    #[serde(default)]
    pub(crate) facts: Facts,
    /// How they get their one-time link.
    #[serde(default)]
    pub(crate) link: LinkBy,
}

impl Administrator {
    /// Adds a person; without a password they get a one-time link to set one.
    pub(super) async fn add_user(&self, by: Operator, new: NewUser) -> Result<Value, CommandError> {
        if new.name.is_foreign() {
            return Err(CommandError::Invalid(format!("`{}` is a name of another issuer's", new.name)));
        }
        let hash = match &new.password {
            Some(password) => {
                self.passwords
                    .check(password, new.name.as_str())
                    .map_err(|e| CommandError::Invalid(e.to_string()))?;
                Some(self.passwords.hash(password).await?)
            }
            None => None,
        };
        if self.store.read(|sql| sql.user(&new.name))?.is_some() {
            return Err(CommandError::NameTaken(new.name.to_string()));
        }
        let now = self.clock.now();
        let user = User {
            name: new.name,
            state: UserState::Enabled,
            roles: new.roles,
            fhir_user: new.fhir_user,
            email: new.email,
            created_at: now,
        };
        let sealed = self.watcher.findings.sealed_facts(&user.name, &new.facts);
        let sealed = sealed.map_err(|e| CommandError::Invalid(e.to_string()))?;
        let mut record = self.record(by, Event::UserAdded, &user.name);
        note(&mut record, "roles", list(&user.roles));
        tell(&mut record, &new.facts);
        let _ = self.append(&record).await?;
        let link = hash.is_none().then(opaque_secret);
        let digest = link.as_ref().map(|secret| digest_of(secret.expose()));
        let added = user.clone();
        let outcome = self
            .store
            .write(move |sql| {
                if sql.add_user(&added)? == Added::NameTaken {
                    return Ok(Added::NameTaken);
                }
                sql.set_watched_person(&added.name, sealed.as_deref())?;
                if let Some(hash) = &hash {
                    sql.set_password_hash(&added.name, Some(hash))?;
                }
                if let Some(digest) = &digest {
                    sql.add_enrolment(digest, &added.name, now.plus(ENROLMENT_LIFE))?;
                }
                Ok::<_, StoreError>(Added::Yes)
            })
            .await?;
        self.watcher.findings.people_changed();
        if outcome == Added::NameTaken {
            return Err(CommandError::NameTaken(user.name.to_string()));
        }
        let mut shown = show(&user);
        if let Some(secret) = link {
            self.hand_over(by, (&user, new.link), &secret, &mut shown).await?;
        }
        Ok(self.warning(shown, &ScopeSet::default(), &user.roles))
    }

    pub(super) fn list_users(&self) -> Result<Value, CommandError> {
        Ok(self.store.read(|sql| sql.users())?.iter().map(show).collect())
    }

    pub(super) fn show_user(&self, name: &Subject) -> Result<Value, CommandError> {
        let user = self.find_user(name)?;
        let sessions = self.store.read(|sql| sql.open_sessions(Some(name)))?;
        let now = self.clock.now();
        let open = sessions.iter().filter(|session| session.check(self.timeouts, now).is_ok()).count();
        let care: Vec<String> = self.care.of(name).iter().map(ToString::to_string).collect();
        let mut shown = show(&user);
        if let Value::Object(members) = &mut shown {
            members.insert("open_sessions".to_owned(), open.into());
            members.insert("patients".to_owned(), care.into());
            let (applications, passkeys) =
                self.store.read(|sql| Ok::<_, StoreError>((sql.factors(name)?, sql.passkeys(name)?)))?;
            members.insert("second_factors".to_owned(), applications.len().into());
            members.insert("passkeys".to_owned(), passkeys.len().into());
            members.insert("provider_accounts".to_owned(), self.links_of(name)?);
            let Facts { family_name, own_record } = self.watcher.findings.facts_of(name)?;
            members.insert("family_name".to_owned(), json!(family_name));
            members.insert("own_record".to_owned(), json!(own_record));
        }
        Ok(shown)
    }

    /// Shuts a person out: every session, grant and token ends with the commit.
    pub(super) async fn disable_user(&self, by: Operator, name: Subject) -> Result<Value, CommandError> {
        if name.is_foreign() {
            return self.shut_out(by, name).await;
        }
        self.find_user(&name)?;
        let (subject, record) = (name.clone(), self.record(by, Event::UserDisabled, &name));
        let shut_out = self.outbox.commit(move |sql, now| {
            sql.set_user_state(&subject, UserState::Disabled)?;
            sql.end_all_sessions(&subject, now)?;
            sql.note_shut_out(&subject, now)?;
            // Whoever is let in again later gets another link.
            sql.void_enrolments(&subject)?;
            let cut = CutOff::UpTo { target: Target::Subject(subject), not_before: now };
            Ok::<_, CommandError>(Change::told_by((), [record]).cutting([cut]))
        });
        shut_out.await.map_err(CommandError::after_the_end)?;
        self.show_user(&name)
    }

    /// Shuts out whom a trusted issuer knows: whatever it says of them from now on is cut off.
    async fn shut_out(&self, by: Operator, name: Subject) -> Result<Value, CommandError> {
        self.find_issuer_of(name.as_str())?;
        let target = Target::Subject(name.clone());
        let without_end = CutOff::UpTo { target, not_before: Timestamp::MAX };
        let shut_out =
            Change::told_by((), [self.record(by, Event::UserDisabled, &name)]).cutting([without_end]);
        let shut_out = self.outbox.commit(move |_, _| Ok::<_, CommandError>(shut_out)).await;
        shut_out.map_err(CommandError::after_the_end)?;
        Ok(json!({ "name": name, "state": "disabled" }))
    }

    pub(super) async fn enable_user(&self, by: Operator, name: Subject) -> Result<Value, CommandError> {
        let (subject, record) = (name.clone(), self.record(by, Event::UserEnabled, &name));
        if name.is_foreign() {
            self.outbox.may_give()?;
            let lift = move |sql: &Sql<'_>, at| {
                sql.lift_cut_off(&subject, at)?;
                Ok::<_, CommandError>(Change::told_by((subject, at), [record]))
            };
            let in_force = |(subject, at)| Ok(self.cut_offs.lifted(subject, at)?);
            let lifted = self.outbox.commit_and(lift, in_force).await;
            lifted.map_err(CommandError::once_in_force)?;
            return Ok(json!({ "name": name, "state": "enabled" }));
        }
        self.find_user(&name)?;
        self.outbox.may_give()?;
        let enabled = self.outbox.commit(move |sql, _| {
            sql.set_user_state(&subject, UserState::Enabled)?;
            Ok::<_, CommandError>(Change::told_by((), [record]))
        });
        enabled.await.map_err(CommandError::once_in_force)?;
        self.show_user(&name)
    }

    /// Sets a password, or makes a link to set one; either ends what the old one opened.
    pub(super) async fn set_password(
        &self,
        by: Operator,
        name: Subject,
        (password, by_what): (Option<String>, LinkBy),
    ) -> Result<Value, CommandError> {
        let user = self.find_user(&name)?;
        self.outbox.may_give()?;
        let hash = match &password {
            Some(password) => {
                self.passwords
                    .check(password, name.as_str())
                    .map_err(|e| CommandError::Invalid(e.to_string()))?;
                Some(self.passwords.hash(password).await?)
            }
            None => None,
        };
        let event = if hash.is_some() { Event::PasswordSet } else { Event::EnrolmentIssued };
        let record = self.record(by, event, &name);
        let link = hash.is_none().then(opaque_secret);
        let digest = link.as_ref().map(|secret| digest_of(secret.expose()));
        let counters = self.passwords.counters(&name);
        let was_set = self.outbox.commit(move |sql, now| {
            counters.iter().try_for_each(|counter| sql.clear_login_failures(counter))?;
            sql.void_enrolments(&name)?;
            if let Some(digest) = &digest {
                sql.add_enrolment(digest, &name, now.plus(ENROLMENT_LIFE))?;
            }
            // A link takes the place of the old password at once, not only when it is used.
            sql.set_password_hash(&name, hash.as_deref())?;
            if hash.is_some() {
                sql.note_factor_change(&name, FactorChange::PasswordSet, now)?;
            }
            sql.end_all_sessions(&name, now)?;
            sql.note_shut_out(&name, now)?;
            let cut = CutOff::UpTo { target: Target::Subject(name), not_before: now };
            Ok::<_, CommandError>(Change::told_by((), [record]).cutting([cut]))
        });
        was_set.await.map_err(|error| match link {
            // Nobody has it.
            Some(_) => error.after_the_end(),
            None => error.once_in_force(),
        })?;
        let mut shown = show(&user);
        if let Value::Object(members) = &mut shown {
            // They open the account as before.
            members.insert("provider_accounts".to_owned(), self.links_of(&user.name)?);
        }
        if let Some(secret) = link {
            self.hand_over(by, (&user, by_what), &secret, &mut shown).await?;
        }
        Ok(shown)
    }

    /// Removes a person's second factors and recovery codes, and ends what they have open: whoever enrols next does so with
    /// the password, so that reset and password are best given anew together.
    pub(super) async fn reset_factors(&self, by: Operator, name: Subject) -> Result<Value, CommandError> {
        self.find_user(&name)?;
        // From then on less is asked of whoever signs in as them.
        self.outbox.may_give()?;
        let (subject, record) = (name.clone(), self.record(by, Event::FactorsReset, &name));
        let removed = self.outbox.commit(move |sql, now| {
            let removed = sql.reset_factors(&subject, FactorChange::Reset, now)?;
            sql.end_all_sessions(&subject, now)?;
            sql.note_shut_out(&subject, now)?;
            let cut = CutOff::UpTo { target: Target::Subject(subject), not_before: now };
            Ok::<_, CommandError>(Change::told_by(removed, [record]).cutting([cut]))
        });
        let removed = removed.await.map_err(CommandError::once_in_force)?;
        Ok(json!({ "name": name, "removed": removed }))
    }

    /// Gives a person an authenticator application and says its secret, as the demo does. Nobody's secret is told otherwise:
    /// there is no command for it.
    pub(crate) async fn give_authenticator(
        &self,
        by: Operator,
        name: Subject,
    ) -> Result<Secret<String>, CommandError> {
        let _ = self.append(&self.record(by, Event::FactorAdded, &name)).await?;
        let (secret, now) = (TotpSecret::generate(&mut SystemEntropy), self.clock.now());
        // No code was shown for it: every step from now on is unused.
        let before = Step::at(Timestamp::EPOCH);
        let factor = self.factors.confirmed(&name, "", &secret, before, now);
        let factor = factor.map_err(|e| CommandError::Invalid(e.to_string()))?;
        self.store.write(move |sql| sql.add_factor(&name, &factor)).await?;
        Ok(secret.base32())
    }

    /// Gives a person other roles. Tokens that claim the old ones are cut off; the session goes on.
    pub(super) async fn set_roles(
        &self,
        by: Operator,
        name: Subject,
        roles: Vec<Role>,
    ) -> Result<Value, CommandError> {
        self.find_user(&name)?;
        let roles: BTreeSet<Role> = roles.into_iter().collect();
        let may_give = self.outbox.may_give();
        let mut record = self.record(by, Event::UserChanged, &name);
        note(&mut record, "roles", list(&roles));
        let (subject, given) = (name.clone(), roles.clone());
        let changed = self.outbox.commit(move |sql, now| {
            let before = sql.user(&subject)?.map(|user| user.roles).unwrap_or_default();
            // Whoever only loses some loses them whether it can be recorded or not.
            if let (false, Err(unwritable)) = (roles.is_subset(&before), may_give) {
                return Ok(Change::none(Err(unwritable)));
            }
            note(&mut record, "roles_before", list(&before));
            sql.set_user_roles(&subject, &roles)?;
            let cut = CutOff::UpTo { target: Target::Subject(subject), not_before: now };
            Ok::<_, CommandError>(Change::told_by(Ok(()), [record]).cutting([cut]))
        });
        changed.await.map_err(CommandError::once_in_force)??;
        Ok(self.warning(self.show_user(&name)?, &ScopeSet::default(), &given))
    }

    /// What applications hold for a person.
    pub(super) fn list_apps(&self, name: &Subject) -> Result<Value, CommandError> {
        self.find_user(name)?;
        Ok(self.apps.of(name)?.iter().map(|app| json!(app)).collect())
    }

    /// Takes everything away from an application that it holds for a person.
    pub(super) async fn disconnect(
        &self,
        by: Operator,
        name: Subject,
        client: ClientId,
    ) -> Result<Value, CommandError> {
        self.find_user(&name)?;
        let mut record = self.record(by, Event::AppDisconnected, &client);
        note(&mut record, "user", &name);
        let grants = self.apps.disconnect::<CommandError>(&name, &client, record).await;
        let grants = grants.map_err(CommandError::after_the_end)?;
        Ok(json!({ "user": name, "client": client, "grants": grants }))
    }

    pub(super) fn find_user(&self, name: &Subject) -> Result<User, CommandError> {
        let unknown = || CommandError::Unknown { kind: "user", name: name.to_string() };
        self.store.read(|sql| sql.user(name))?.ok_or_else(unknown)
    }
}

/// Says in a record what is known of a person besides.
pub(super) fn tell(record: &mut Record, facts: &Facts) {
    if let Some(family_name) = &facts.family_name {
        note(record, "family_name", family_name);
    }
    if let Some(own_record) = &facts.own_record {
        record.patients = vec![Phi::new(own_record.to_string())];
        note(record, "own_record", own_record);
    }
}

fn list(roles: &BTreeSet<Role>) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" ")
}

fn show(user: &User) -> Value {
    json!({
        "name": user.name,
        "state": match user.state {
            UserState::Enabled => "enabled",
            UserState::Disabled => "disabled",
        },
        "roles": user.roles,
        "fhir_user": user.fhir_user,
        "email": user.email,
        "created_at": user.created_at,
    })
}
