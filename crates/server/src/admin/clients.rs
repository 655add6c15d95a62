//! OAuth clients.

use chartgate_access::client::{Client, Registrar};
use chartgate_access::ids::ClientId;
use chartgate_audit::record::Event;
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::entropy::{digest_of, opaque_secret};
use crate::live::outbox::Change;
use crate::registration::changes::{self, RemovedBy, Secrecy};
use crate::registration::settings::ClientChange;
use crate::registration::shown::{Difference, differences, shown};
use crate::registration::{NewClient, settle};
use crate::store::StoreError;
use crate::store::clients::Changed;
use crate::store::users::Added;

impl Administrator {
    /// Registers a client and shows it, with its secret this once.
    pub(super) async fn add_client(&self, by: Operator, new: NewClient) -> Result<Value, CommandError> {
        if new.client_id.is_document() {
            let text = format!("`{}` is an address: whoever is there registers itself", new.client_id);
            return Err(CommandError::Invalid(text));
        }
        let client = settle(new)?;
        if self.store.read(|sql| sql.client(&client.client_id))?.is_some() {
            return Err(CommandError::NameTaken(client.client_id.to_string()));
        }
        let mut record = self.record(by, Event::ClientAdded, &client.client_id);
        note(&mut record, "kind", client.kind);
        note(&mut record, "profile", client.options.profile);
        note(&mut record, "scope", &client.scope);
        for actor in &client.options.may_act {
            note(&mut record, "may_act", actor);
        }
        for permission in &client.options.permissions {
            note(&mut record, "permission", permission);
        }
        let _ = self.append(&record).await?;
        for algorithm in client.options.signing_algorithms() {
            self.keys.offer(algorithm).await?;
        }
        let secret = client.token_endpoint_auth_method.uses_secret().then(opaque_secret);
        let digest = secret.as_ref().map(|secret| digest_of(secret.expose()));
        let (added, now) = (client.clone(), self.clock.now());
        let outcome = self.store.write(move |sql| sql.add_client(&added, digest.as_deref(), now)).await;
        match outcome.map_err(|e: StoreError| CommandError::from(e))? {
            Added::Yes => {
                let told = with_secret(shown(&client), secret.as_ref().map(|s| s.expose().as_str()));
                Ok(self.warning(told, &client.scope, &client.roles))
            }
            Added::NameTaken => Err(CommandError::NameTaken(client.client_id.to_string())),
        }
    }

    pub(super) fn list_clients(&self) -> Result<Value, CommandError> {
        Ok(self.store.read(|sql| sql.clients())?.iter().map(shown).collect())
    }

    pub(super) fn show_client(&self, id: &ClientId) -> Result<Value, CommandError> {
        let mut told = shown(&self.find_client(id)?);
        let registration = self.store.read(|sql| sql.registration(id))?;
        if let (Some(registration), Value::Object(members)) = (registration, &mut told) {
            members.insert("registered_at".to_owned(), json!(registration.created_at));
            members.extend(registration.invitation.map(|id| ("invitation".to_owned(), id.into())));
            if let Value::Object(about) = json!(registration.about) {
                members.extend(about);
            }
        }
        Ok(told)
    }

    pub(super) async fn rotate_secret(&self, by: Operator, id: ClientId) -> Result<Value, CommandError> {
        let client = self.find_client(&id)?;
        if !client.token_endpoint_auth_method.uses_secret() {
            let method = client.token_endpoint_auth_method;
            return Err(CommandError::Invalid(format!("`{id}` uses {method}, which has no secret")));
        }
        let mut record = self.record(by, Event::ClientChanged, &id);
        note(&mut record, "change", "new secret");
        let secret = opaque_secret();
        let digest = digest_of(secret.expose());
        // The old one ends with this, and nobody has the new one before it is on record.
        let rotated = self.outbox.commit(move |sql, _| {
            sql.set_client_secret(&id, &digest)?;
            Ok::<_, CommandError>(Change::told_by((), [record]))
        });
        rotated.await.map_err(CommandError::after_the_end)?;
        Ok(with_secret(shown(&client), Some(secret.expose())))
    }

    /// Makes a client something else in what is said, and leaves it in the rest. What that takes away ends with the commit:
    /// tokens that are out, and of its grants what they would give from then on.
    pub(super) async fn change_client(
        &self,
        by: Operator,
        change: ClientChange,
    ) -> Result<Value, CommandError> {
        let now = changed(&self.find_client(change.client_id())?, &change)?;
        for algorithm in now.options.signing_algorithms() {
            self.keys.offer(algorithm).await?;
        }
        let secret = opaque_secret();
        let (digest, mut record) =
            (digest_of(secret.expose()), self.record(by, Event::ClientChanged, change.client_id()));
        let made = self.outbox.commit(move |sql, now| {
            let id = change.client_id();
            let unknown = || CommandError::Unknown { kind: "client", name: id.to_string() };
            let before = sql.client(id)?.ok_or_else(unknown)?;
            let after = changed(&before, &change)?;
            if after == before {
                return Ok(Change::none(Made {
                    after,
                    changed: Vec::new(),
                    secrecy: Secrecy::Same,
                    cut: false,
                }));
            }
            if sql.change_client(&after)? == Changed::No {
                return Err(unknown());
            }
            let secrecy = changes::keep_secret(sql, &after, &digest)?;
            let cut = changes::cut_by(&before, &after, now);
            let differences = differences(&before, &after);
            for Difference { name, before, after } in &differences {
                note(&mut record, &format!("{name}_before"), before);
                note(&mut record, name, after);
            }
            let changed = differences.into_iter().map(|difference| difference.name).collect();
            let made = Made { after, changed, secrecy, cut: !cut.is_empty() };
            Ok(Change::told_by(made, [record]).cutting(cut))
        });
        let Made { after, changed, secrecy, cut } = made.await.map_err(CommandError::after_the_change)?;
        let fresh = match secrecy {
            Secrecy::Same => None,
            Secrecy::Fresh => Some(secret.expose().as_str()),
        };
        let mut told = with_secret(shown(&after), fresh);
        if let Value::Object(members) = &mut told {
            members.insert("changed".to_owned(), changed.into());
            members.insert("access_tokens_ended".to_owned(), cut.into());
        }
        Ok(self.warning(told, &after.scope, &after.roles))
    }

    /// Removes a client: its tokens and grants end with the commit.
    pub(super) async fn remove_client(&self, by: Operator, id: ClientId) -> Result<Value, CommandError> {
        let client = self.find_client(&id)?;
        // An operator needs no token that somebody may have replaced.
        let by = RemovedBy::Operator(Box::new(self.record(by, Event::ClientRemoved, &id)));
        let removed = changes::remove::<CommandError>(&self.outbox, id, by).await;
        let _ = removed.map_err(CommandError::after_the_end)?;
        Ok(shown(&client))
    }

    pub(super) fn find_client(&self, id: &ClientId) -> Result<Client, CommandError> {
        let unknown = || CommandError::Unknown { kind: "client", name: id.to_string() };
        self.store.read(|sql| sql.client(id))?.ok_or_else(unknown)
    }
}

/// What came of a change.
struct Made {
    after: Client,
    changed: Vec<String>,
    secrecy: Secrecy,
    /// Whether its access tokens were cut off.
    cut: bool,
}

/// What a client is after a change, by the judge of all registrations. One that says itself what it is says so itself: what was
/// changed here it would say otherwise the next time.
fn changed(before: &Client, change: &ClientChange) -> Result<Client, CommandError> {
    let id = &before.client_id;
    let why = match before.options.registrar {
        _ if id.is_document() => "says under its address what it is, and is asked again",
        Registrar::Invited | Registrar::Anybody => "registered itself, and changes its registration itself",
        Registrar::Operator => return Ok(settle(change.of(before.clone()))?),
    };
    Err(CommandError::Invalid(format!(
        "`{id}` {why}: the configuration and its invitation say what it may be; `client remove` ends it"
    )))
}

fn with_secret(mut shown: Value, secret: Option<&str>) -> Value {
    if let (Some(secret), Value::Object(members)) = (secret, &mut shown) {
        members.insert("client_secret".to_owned(), secret.into());
    }
    shown
}
