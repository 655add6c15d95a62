//! What happens to a client that is registered: it is described anew, or removed. Whoever does it, it is done here.

use chartgate_access::client::{Client, covered};
use chartgate_access::ids::ClientId;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::journal::AppendError;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_values::{Phi, Timestamp};

use crate::live::outbox::{Change, Outbox};
use crate::store::{Sql, Store, StoreError};

/// What is cut when a client is described anew: all access tokens that it has, unless it only may more than it might. What it
/// is given for them, by its grants, is what the new description allows.
pub(crate) fn cut_by(before: &Client, after: &Client, now: Timestamp) -> Vec<CutOff> {
    if before == after || only_adds(before, after) {
        return Vec::new();
    }
    vec![CutOff::UpTo { target: Target::Client(after.client_id.clone()), not_before: now }]
}

/// Whether all that was allowed still is, and nothing else is another. Roles are not counted in: with one more, policies may
/// forbid what they did not.
pub(super) fn only_adds(before: &Client, after: &Client) -> bool {
    let (was, is) = (&before.options, &after.options);
    let keeps = covered(&after.scope, &before.scope) == before.scope
        && before.grant_types.is_subset(&after.grant_types)
        && before.redirect_uris.iter().all(|uri| after.redirect_uris.contains(uri))
        && was.post_logout_redirect_uris.iter().all(|uri| is.post_logout_redirect_uris.contains(uri))
        && was.permissions.is_subset(&is.permissions)
        && was.may_act.is_subset(&is.may_act)
        && was.authorization_details_types.is_subset(&is.authorization_details_types);
    let mut without = after.clone();
    without.scope.clone_from(&before.scope);
    without.grant_types.clone_from(&before.grant_types);
    without.redirect_uris.clone_from(&before.redirect_uris);
    without.options.post_logout_redirect_uris.clone_from(&was.post_logout_redirect_uris);
    without.options.permissions.clone_from(&was.permissions);
    without.options.may_act.clone_from(&was.may_act);
    without.options.authorization_details_types.clone_from(&was.authorization_details_types);
    keeps && without == *before
}

/// What became of a client's secret when it was described anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a new secret has to be shown"]
pub(crate) enum Secrecy {
    /// It has the one that it had, or none.
    Same,
    /// It needs one now, and has the new one.
    Fresh,
}

/// Gives a client the secret that it needs and did not have, by its digest, and takes away the one that it needs no more.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn keep_secret(sql: &Sql<'_>, after: &Client, fresh_digest: &str) -> Result<Secrecy, StoreError> {
    let id = &after.client_id;
    match (after.token_endpoint_auth_method.uses_secret(), sql.has_client_secret(id)?) {
        (true, true) | (false, false) => Ok(Secrecy::Same),
        (true, false) => {
            sql.set_client_secret(id, fresh_digest)?;
            Ok(Secrecy::Fresh)
        }
        (false, true) => {
            sql.drop_client_secret(id)?;
            Ok(Secrecy::Same)
        }
    }
}

/// Who removes a client.
pub(crate) enum RemovedBy {
    /// Somebody at this machine, which is on record with it.
    Operator(Box<Record>),
    /// The client, by its registration access token, which is on record already.
    Itself { token_digest: String },
}

/// Whether a client was removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "it may still be there"]
pub(crate) enum Removed {
    Yes,
    /// The token that was shown was replaced in the meantime.
    No,
}

/// Removes a client: its tokens and grants end with the commit, and its name is never given again. Of one that registered
/// itself and that nobody used, its name alone is kept.
///
/// # Errors
/// [`StoreError`]: it stays. [`AppendError`]: it is gone, and that is not on record yet.
pub(crate) async fn remove<E>(outbox: &Outbox, id: ClientId, by: RemovedBy) -> Result<Removed, E>
where
    E: From<StoreError> + From<AppendError> + Send + 'static,
{
    let removed = outbox.commit(move |sql, now| {
        let record = match by {
            RemovedBy::Operator(record) => Some(*record),
            RemovedBy::Itself { token_digest } => {
                if sql.registration(&id)?.is_none_or(|found| found.token_digest != token_digest) {
                    return Ok(Change::none(Removed::No));
                }
                None
            }
        };
        sql.note_use(&id, now)?;
        sql.remove_client(&id, now)?;
        sql.forget_unused_client(&id)?;
        let cut = CutOff::UpTo { target: Target::Client(id), not_before: now };
        Ok(Change::told_by(Removed::Yes, record).cutting([cut]))
    });
    removed.await
}

/// Names clients that were never used in their time, of those that nobody here asked for: anybody registered them, or they say
/// themselves what they are.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn unused(
    store: &Store,
    created_before: Timestamp,
    now: Timestamp,
) -> Result<Vec<ClientId>, StoreError> {
    store
        .write(move |sql| {
            let mut overdue = sql.overdue_registrations(created_before, now)?;
            overdue.extend(sql.overdue_documents(created_before, now)?);
            Ok(overdue)
        })
        .await
}

/// Removes clients that nobody used until now, and forgets all of them but the names that we gave. They never had a token, so
/// there is none to cut.
///
/// # Errors
/// [`StoreError`]; then all stay.
pub(crate) async fn remove_unused(
    store: &Store,
    clients: Vec<ClientId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    store
        .write(move |sql| {
            for id in &clients {
                if id.is_document() {
                    sql.forget_unused_document(id)?;
                } else if sql.is_unused_registration(id)? {
                    sql.remove_client(id, now)?;
                    sql.forget_unused_client(id)?;
                }
            }
            Ok(())
        })
        .await
}

/// What is on record of a client that goes because nobody used it.
pub(crate) fn unused_record(client: &ClientId, now: Timestamp) -> Record {
    let mut record = Record::new(Event::ClientRemoved, Outcome::Allow, now);
    record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
    record.action = Some(Event::ClientRemoved.as_str().to_owned());
    record.resource = Some(Phi::new(client.to_string()));
    record.decision.reason = Some("client-unused".to_owned());
    record
}

#[cfg(test)]
mod tests;
