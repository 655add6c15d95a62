//! Bulk exports that are under way or complete: each is its client's, on its route, and expires.

use chartgate_access::ids::ClientId;
use chartgate_protocol::fhir::bulk::ExportJob;
use chartgate_values::Timestamp;

use super::sql::{Value, json};
use super::{Sql, StoreError};

/// Whose an export is, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ExportOwner {
    pub(crate) route: String,
    pub(crate) client: ClientId,
}

/// An export, and until when it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct KeptExport {
    pub(crate) job: ExportJob,
    pub(crate) expires_at: Timestamp,
}

impl Sql<'_> {
    /// Keeps an export that is to be begun, unless as many of its client's are running as may be: by one atomic statement.
    /// Says whether it is kept.
    pub(crate) fn begin_export(
        &self,
        id: &str,
        owner: &ExportOwner,
        kept: &KeptExport,
        most: usize,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let text = "INSERT INTO exports (id, route, client_id, job, running, expires_at) SELECT ?1, ?2, ?3, ?4, 1, ?5 \
                    WHERE (SELECT COUNT(*) FROM exports WHERE client_id = ?3 AND route = ?2 AND running = 1 \
                    AND expires_at > ?6) < ?7";
        let content = json(&kept.job, "exports")?;
        let values = [
            id.into(),
            owner.route.as_str().into(),
            owner.client.as_str().into(),
            Value::from(&content),
            kept.expires_at.into(),
            now.into(),
            Value::Integer(i64::try_from(most).unwrap_or(i64::MAX)),
        ];
        Ok(self.execute(text, &values)? == 1)
    }

    /// A client's own export.
    pub(crate) fn export(
        &self,
        id: &str,
        owner: &ExportOwner,
        now: Timestamp,
    ) -> Result<Option<KeptExport>, StoreError> {
        let text = "SELECT job, expires_at FROM exports \
                    WHERE id = ?1 AND route = ?2 AND client_id = ?3 AND expires_at > ?4";
        let values = [id.into(), owner.route.as_str().into(), owner.client.as_str().into(), now.into()];
        self.first("exports", text, &values, |row| {
            Ok(KeptExport { job: row.json("job")?, expires_at: row.time("expires_at")? })
        })
    }

    /// Keeps what was found out about an export, unless it was given up in the meantime.
    pub(crate) fn note_export(&self, id: &str, kept: &KeptExport) -> Result<(), StoreError> {
        let KeptExport { job, expires_at } = kept;
        let content = json(job, "exports")?;
        let running = i64::from(job.manifest.is_none());
        let text = "UPDATE exports SET job = ?2, running = ?3, expires_at = ?4 WHERE id = ?1";
        let values = [id.into(), Value::from(&content), Value::Integer(running), (*expires_at).into()];
        self.execute(text, &values).map(drop)
    }

    /// Forgets a client's own export: whoever gets it gives it up.
    pub(crate) fn take_export(
        &self,
        id: &str,
        owner: &ExportOwner,
        now: Timestamp,
    ) -> Result<Option<ExportJob>, StoreError> {
        let text = "DELETE FROM exports WHERE id = ?1 AND route = ?2 AND client_id = ?3 AND expires_at > ?4 \
                    RETURNING job";
        let values = [id.into(), owner.route.as_str().into(), owner.client.as_str().into(), now.into()];
        self.first("exports", text, &values, |row| row.json("job"))
    }

    /// Forgets exports that expired.
    pub(super) fn forget_exports(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute("DELETE FROM exports WHERE expires_at <= ?1", &[now.into()]).map(drop)
    }
}
