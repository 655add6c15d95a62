//! Launches that an EHR began. Each is used once, by the application that it was begun for: by one atomic statement.

use chartgate_access::grant::launch::{LAUNCH_LIFE, Launch};
use chartgate_access::ids::ClientId;
use chartgate_values::Timestamp;

use super::sql::{Value, json};
use super::{Sql, StoreError};

impl Sql<'_> {
    /// Keeps a launch under the digest of its handle.
    pub(crate) fn add_launch(
        &self,
        digest: &str,
        app: &ClientId,
        launch: &Launch,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let content = json(launch, "launches")?;
        let text = "INSERT INTO launches (digest, client_id, launch, expires_at) VALUES (?1, ?2, ?3, ?4)";
        let until = now.plus(LAUNCH_LIFE);
        let values = [digest.into(), app.as_str().into(), Value::from(&content), until.into()];
        self.execute(text, &values).map(drop)
    }

    /// Takes an application's own launch away, while there is time: whoever gets it is the only one.
    pub(crate) fn take_launch(
        &self,
        digest: &str,
        app: &ClientId,
        now: Timestamp,
    ) -> Result<Option<Launch>, StoreError> {
        let text =
            "DELETE FROM launches WHERE digest = ?1 AND client_id = ?2 AND expires_at > ?3 RETURNING launch";
        let values = [digest.into(), app.as_str().into(), now.into()];
        self.first("launches", text, &values, |row| row.json("launch"))
    }

    /// Forgets launches that nobody came for.
    pub(super) fn forget_launches(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute("DELETE FROM launches WHERE expires_at < ?1", &[now.into()]).map(drop)
    }
}
