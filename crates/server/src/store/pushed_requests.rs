//! Authorization requests that clients pushed. Each is used once, by its own client: by one atomic statement.

use chartgate_access::grant::authorization_code::{PUSHED_LIFE, PendingAuthorization};
use chartgate_access::ids::ClientId;
use chartgate_values::Timestamp;

use super::sql::{Value, json};
use super::{Sql, StoreError};

impl Sql<'_> {
    /// Keeps a checked request under the digest of its name.
    pub(crate) fn add_pushed_request(
        &self,
        digest: &str,
        request: &PendingAuthorization,
    ) -> Result<(), StoreError> {
        let content = json(request, "pushed_requests")?;
        let text =
            "INSERT INTO pushed_requests (digest, client_id, request, expires_at) VALUES (?1, ?2, ?3, ?4)";
        let until = request.created_at.plus(PUSHED_LIFE);
        let values = [digest.into(), request.client_id.as_str().into(), Value::from(&content), until.into()];
        self.execute(text, &values).map(drop)
    }

    /// Takes a client's own request away, while there is time: whoever gets it is the only one.
    pub(crate) fn take_pushed_request(
        &self,
        digest: &str,
        of: &ClientId,
        now: Timestamp,
    ) -> Result<Option<PendingAuthorization>, StoreError> {
        let text = "DELETE FROM pushed_requests WHERE digest = ?1 AND client_id = ?2 AND expires_at > ?3 \
                    RETURNING request";
        let values = [digest.into(), of.as_str().into(), now.into()];
        self.first("pushed_requests", text, &values, |row| row.json("request"))
    }

    /// Forgets requests that nobody came for.
    pub(super) fn forget_pushed_requests(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute("DELETE FROM pushed_requests WHERE expires_at < ?1", &[now.into()]).map(drop)
    }
}
