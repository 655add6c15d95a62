//! That this store was restored from a backup, and what that ends.
//!
//! A store that is put back knows nothing of what was revoked, redeemed or rotated since. So nothing is believed of what it
//! has issued: sessions, grants, codes, tokens, links and open requests end, and the keys that signed with them.

use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_values::Timestamp;

use super::keys::Purpose;
use super::{Sql, StoreError};

/// A restore.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Restore {
    /// The digest of the backup's manifest.
    pub(crate) backup: String,
    pub(crate) made_at: Timestamp,
    /// How many records of the log are in it.
    pub(crate) size: u64,
    /// How many the log had at least, as far as it is known.
    pub(crate) known: Option<u64>,
    pub(crate) by: String,
    pub(crate) at: Timestamp,
}

/// How much a restore ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Ended {
    pub(crate) sessions: usize,
    pub(crate) grants: usize,
    pub(crate) keys: usize,
    /// One-time links and invitations.
    pub(crate) links: usize,
}

/// What was issued and not ended, a statement each.
const ENDED: [&str; 3] = [
    "UPDATE codes SET consumed_at = ?1 WHERE consumed_at IS NULL",
    "UPDATE refresh_tokens SET revoked_at = ?1 WHERE revoked_at IS NULL",
    "UPDATE emergency_uses SET ended_at = ?1 WHERE ended_at IS NULL AND until_at > ?1",
];
/// What somebody was in the middle of.
const FORGOTTEN: [&str; 6] = [
    "DELETE FROM pending_authorizations",
    "DELETE FROM pushed_requests",
    "DELETE FROM device_authorizations",
    "DELETE FROM logout_requests",
    "DELETE FROM launches",
    "DELETE FROM backchannel_requests",
];
const LINKS: [&str; 2] = [
    "UPDATE enrolments SET used_at = ?1 WHERE used_at IS NULL",
    "UPDATE invitations SET withdrawn_at = ?1 WHERE withdrawn_at IS NULL",
];

impl Sql<'_> {
    /// Notes that this store was restored, and ends everything that was issued before.
    pub(crate) fn begin_anew(&self, restore: &Restore) -> Result<Ended, StoreError> {
        let now = restore.at;
        let mut ended = Ended::default();
        // One by one, so that applications are told.
        for session in self.open_sessions(None)? {
            self.end_session(&session.id, now)?;
            ended.sessions = ended.sessions.saturating_add(1);
        }
        let text = "UPDATE grants SET revoked_at = ?1 WHERE revoked_at IS NULL OR revoked_at = ?1";
        ended.grants = self.execute(text, &[now.into()])?;
        for text in ENDED {
            self.execute(text, &[now.into()])?;
        }
        for text in FORGOTTEN {
            self.execute(text, &[])?;
        }
        for text in LINKS {
            ended.links = ended.links.saturating_add(self.execute(text, &[now.into()])?);
        }
        // Keys that were to sign next are among them: since the backup they may have. Those that others encrypt to show
        // nobody who anybody is.
        for key in self.keys()? {
            if matches!(key.purpose, Purpose::Signing(_)) && key.life.compromised_at.is_none() {
                self.condemn_key(&key.kid, now)?;
                self.add_cut_off(&CutOff::UpTo { target: Target::Key(key.kid), not_before: now }, now)?;
                ended.keys = ended.keys.saturating_add(1);
            }
        }
        self.execute(
            "INSERT INTO restores (backup, made_at, size, known, restored_by, restored_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            &[
                (&restore.backup).into(),
                restore.made_at.into(),
                whole(restore.size).into(),
                restore.known.map(whole).into(),
                (&restore.by).into(),
                now.into(),
            ],
        )?;
        Ok(ended)
    }

    /// Restores that no record of the log tells of yet.
    pub(crate) fn unrecorded_restores(&self) -> Result<Vec<Restore>, StoreError> {
        let text = "SELECT * FROM restores WHERE recorded_at IS NULL ORDER BY restored_at";
        self.query("restores", text, &[], |row| {
            let number =
                |column: &'static str, value: i64| u64::try_from(value).map_err(|_| row.inconsistent(column));
            Ok(Restore {
                backup: row.get("backup")?,
                made_at: row.time("made_at")?,
                size: number("size", row.get("size")?)?,
                known: row.get::<Option<i64>>("known")?.map(|value| number("known", value)).transpose()?,
                by: row.get("restored_by")?,
                at: row.time("restored_at")?,
            })
        })
    }

    /// Notes that the log tells of every restore up to now.
    pub(crate) fn restores_recorded(&self, now: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE restores SET recorded_at = ?1 WHERE recorded_at IS NULL";
        self.execute(text, &[now.into()]).map(drop)
    }

    /// When this store was last restored.
    pub(crate) fn last_restore(&self) -> Result<Option<Timestamp>, StoreError> {
        let text = "SELECT restored_at FROM restores ORDER BY restored_at DESC LIMIT 1";
        self.first("restores", text, &[], |row| row.time("restored_at"))
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
