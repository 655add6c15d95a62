//! Requests to sign out that wait for their browser.

use std::net::IpAddr;

use chartgate_access::login::logout::{LOGOUT_LIFE, PendingLogout};
use chartgate_values::Timestamp;

use super::pending::Took;
use super::sql::{Value, json};
use super::waiting::network;
use super::{Sql, StoreError};

impl Sql<'_> {
    /// Keeps a request under the digest of its handle.
    pub(crate) fn add_logout_request(
        &self,
        digest: &str,
        from: IpAddr,
        pending: &PendingLogout,
    ) -> Result<(), StoreError> {
        let request = json(pending, "logout_requests")?;
        let text =
            "INSERT INTO logout_requests (digest, request, expires_at, network) VALUES (?1, ?2, ?3, ?4)";
        let until = pending.created_at.plus(LOGOUT_LIFE);
        let network = network(from);
        let values = [digest.into(), Value::from(&request), until.into(), Value::from(&network)];
        self.execute(text, &values).map(drop)
    }

    /// The request of a handle, while there is time.
    pub(crate) fn logout_request(
        &self,
        digest: &str,
        now: Timestamp,
    ) -> Result<Option<PendingLogout>, StoreError> {
        let text = "SELECT request FROM logout_requests WHERE digest = ?1 AND expires_at > ?2";
        self.first("logout_requests", text, &[digest.into(), now.into()], |row| row.json("request"))
    }

    /// Takes a request away: it is answered once.
    pub(crate) fn take_logout_request(&self, digest: &str) -> Result<Took, StoreError> {
        match self.execute("DELETE FROM logout_requests WHERE digest = ?1", &[digest.into()])? {
            0 => Ok(Took::Nothing),
            _ => Ok(Took::It),
        }
    }

    /// Forgets requests whose person took too long.
    pub(super) fn forget_logout_requests(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute("DELETE FROM logout_requests WHERE expires_at < ?1", &[now.into()]).map(drop)
    }
}
