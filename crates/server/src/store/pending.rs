//! Authorization requests that wait for their person, bound to the browser that brought them.

use std::net::IpAddr;

use chartgate_access::emergency::Declared;
use chartgate_access::grant::authorization_code::{PENDING_LIFE, PendingAuthorization};
use chartgate_values::Timestamp;

use super::sql::{Value, json};
use super::waiting::network;
use super::{Sql, StoreError};

impl Sql<'_> {
    /// Keeps a request under the digest of its handle, for the browser that brought it.
    pub(crate) fn add_pending(
        &self,
        digest: &str,
        (browser_digest, from): (&str, IpAddr),
        pending: &PendingAuthorization,
    ) -> Result<(), StoreError> {
        let (request, network) = (json(pending, "pending_authorizations")?, network(from));
        self.execute(
            "INSERT INTO pending_authorizations (digest, browser_digest, request, expires_at, network) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            &[
                digest.into(),
                browser_digest.into(),
                Value::from(&request),
                pending.created_at.plus(PENDING_LIFE).into(),
                Value::from(&network),
            ],
        )
        .map(drop)
    }

    /// Forgets requests whose person took too long.
    pub(super) fn forget_pending(&self, now: Timestamp) -> Result<(), StoreError> {
        let text = "DELETE FROM pending_authorizations WHERE expires_at < ?1";
        self.execute(text, &[now.into()]).map(drop)
    }

    /// The request of a handle, for the browser that brought it, while there is time.
    pub(crate) fn pending(
        &self,
        digest: &str,
        browser_digest: &str,
        now: Timestamp,
    ) -> Result<Option<PendingAuthorization>, StoreError> {
        let text = "SELECT request FROM pending_authorizations \
                    WHERE digest = ?1 AND browser_digest = ?2 AND expires_at > ?3";
        let values = [digest.into(), browser_digest.into(), now.into()];
        self.first("pending_authorizations", text, &values, |row| row.json("request"))
    }

    /// Notes what the person has said so far.
    pub(crate) fn update_pending(
        &self,
        digest: &str,
        pending: &PendingAuthorization,
    ) -> Result<(), StoreError> {
        let request = json(pending, "pending_authorizations")?;
        let text = "UPDATE pending_authorizations SET request = ?2 WHERE digest = ?1";
        self.execute(text, &[digest.into(), Value::from(&request)]).map(drop)
    }

    /// Notes what was said for emergency access, once for each request: of two that say it at one moment one is the first.
    pub(crate) fn declare_emergency(&self, digest: &str, declared: &Declared) -> Result<Took, StoreError> {
        let text = "SELECT request FROM pending_authorizations WHERE digest = ?1";
        let pending = self.first("pending_authorizations", text, &[digest.into()], |row| {
            row.json::<PendingAuthorization>("request")
        })?;
        // What somebody else said who sat there before counts for nobody.
        let is_first = |pending: &PendingAuthorization| {
            pending.emergency.as_ref().is_none_or(|said| said.by != declared.by)
        };
        let Some(pending) = pending.filter(is_first) else { return Ok(Took::Nothing) };
        let pending = PendingAuthorization { emergency: Some(declared.clone()), ..pending };
        self.update_pending(digest, &pending).map(|()| Took::It)
    }

    /// Takes a request away: the one who gets `Took::It` is the only one.
    pub(crate) fn take_pending(&self, digest: &str) -> Result<Took, StoreError> {
        let text = "DELETE FROM pending_authorizations WHERE digest = ?1";
        match self.execute(text, &[digest.into()])? {
            0 => Ok(Took::Nothing),
            _ => Ok(Took::It),
        }
    }
}

/// Whether there was something to take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Took {
    It,
    Nothing,
}
