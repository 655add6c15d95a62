//! That this store is a backup's copy, and what its first start ends.
//!
//! A store that is put back knows nothing of what was revoked, redeemed or rotated since. So nothing is believed of what it
//! has issued: sessions, grants, codes, tokens, consents, links and open requests end, and the keys that signed with them. The
//! mark that says so lies in the copy from the beginning: it does not matter how it came to be run.

use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_values::Timestamp;

use super::keys::Purpose;
use super::sql::{Row, Value};
use super::{Sql, StoreError};

/// What a backup's copy says of itself until it is first run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mark {
    /// When the backup was begun.
    pub(crate) made_at: Timestamp,
    /// The record of the log that says so: of what is on record from there on, this store may know nothing.
    pub(crate) begun: u64,
    /// Nothing, where the files were put in place in another way than by `restore`.
    pub(crate) put_back: Option<PutBack>,
}

/// What `restore` knows besides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PutBack {
    /// The digest of the backup's manifest.
    pub(crate) backup: String,
    /// How many records of the log are in it.
    pub(crate) size: u64,
    /// How many the log had at least, as far as it is known.
    pub(crate) known: Option<u64>,
    pub(crate) by: String,
}

/// A restore.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Restore {
    pub(crate) mark: Mark,
    /// When it was first run.
    pub(crate) at: Timestamp,
    pub(crate) ended: Ended,
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
const ENDED: [&str; 5] = [
    "UPDATE codes SET consumed_at = ?1 WHERE consumed_at IS NULL",
    "UPDATE refresh_tokens SET revoked_at = ?1 WHERE revoked_at IS NULL",
    "UPDATE recovery_codes SET used_at = ?1 WHERE used_at IS NULL",
    // What a phone may have shown by now, and its next code, which is good already (RFC 6238: steps of 30 seconds).
    "UPDATE second_factors SET last_step = ?1 / 30000000 + 1 WHERE last_step < ?1 / 30000000 + 1",
    "UPDATE emergency_uses SET ended_at = ?1 WHERE ended_at IS NULL AND until_at > ?1",
];
/// What somebody was in the middle of; what may have been withdrawn since; and lists that cannot know of the tokens that were
/// issued and revoked since, whose places say that they are good: a list that is not there says nothing.
const FORGOTTEN: [&str; 16] = [
    "DELETE FROM pending_authorizations",
    "DELETE FROM pushed_requests",
    "DELETE FROM device_authorizations",
    "DELETE FROM logout_requests",
    "DELETE FROM launches",
    "DELETE FROM half_sign_ins",
    "DELETE FROM recoveries",
    "DELETE FROM provider_sign_ins",
    "DELETE FROM sign_in_approvals",
    "DELETE FROM deeds",
    "DELETE FROM known_browsers",
    "DELETE FROM used_clients",
    "DELETE FROM backchannel_requests",
    "DELETE FROM consents",
    "DELETE FROM status_list_tokens",
    "DELETE FROM status_lists",
];
/// Registration access tokens change with each use: those here may have been used up. No digest is empty.
const REGISTRATIONS: &str = "UPDATE registrations SET token_digest = ''";
const LINKS: [&str; 2] = [
    "UPDATE enrolments SET used_at = ?1 WHERE used_at IS NULL",
    "UPDATE invitations SET withdrawn_at = ?1 WHERE withdrawn_at IS NULL",
];

impl Sql<'_> {
    /// Says that this is a backup's copy; what was said before gives way.
    pub(crate) fn mark_as_backup(&self, mark: &Mark) -> Result<(), StoreError> {
        let put_back = mark.put_back.as_ref();
        self.execute("DELETE FROM backup_mark", &[])?;
        self.execute(
            "INSERT INTO backup_mark (only_row, made_at, begun, backup, size, known, restored_by) \
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
            &[
                mark.made_at.into(),
                whole(mark.begun).into(),
                put_back.map(|known| known.backup.as_str()).into(),
                put_back.map(|known| whole(known.size)).into(),
                put_back.and_then(|known| known.known).map(whole).into(),
                put_back.map(|known| known.by.as_str()).into(),
            ],
        )
        .map(drop)
    }

    /// What it says, if it is one that was not run yet.
    pub(crate) fn backup_mark(&self) -> Result<Option<Mark>, StoreError> {
        self.first("backup_mark", "SELECT * FROM backup_mark", &[], read_mark)
    }

    /// Ends everything that was issued before, and forgets that this is a copy.
    pub(crate) fn begin_anew(&self, mark: &Mark, now: Timestamp) -> Result<Ended, StoreError> {
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
        self.execute(REGISTRATIONS, &[])?;
        for text in LINKS {
            ended.links = ended.links.saturating_add(self.execute(text, &[now.into()])?);
        }
        // Keys that were to sign next are among them: since the backup they may have. One that others encrypt to may have been
        // given up since: they get another, and what was encrypted to it before is still read.
        for key in self.keys()? {
            match key.purpose {
                Purpose::Signing(_) if key.life.compromised_at.is_none() => {
                    self.condemn_key(&key.kid, now)?;
                    self.add_cut_off(&CutOff::UpTo { target: Target::Key(key.kid), not_before: now }, now)?;
                    ended.keys = ended.keys.saturating_add(1);
                }
                Purpose::Encryption(_) => self.retire_key(&key.kid, now)?,
                Purpose::Signing(_) => {}
            }
        }
        self.note_restore(mark, ended, now)?;
        self.execute("DELETE FROM backup_mark", &[])?;
        Ok(ended)
    }

    fn note_restore(&self, mark: &Mark, ended: Ended, now: Timestamp) -> Result<(), StoreError> {
        let put_back = mark.put_back.as_ref();
        let counted = |count: usize| Value::from(i64::try_from(count).unwrap_or(i64::MAX));
        self.execute(
            "INSERT INTO restores (number, made_at, begun, backup, size, known, restored_by, restored_at, \
             sessions, grants, keys, links) \
             SELECT COUNT(*), ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 FROM restores",
            &[
                mark.made_at.into(),
                whole(mark.begun).into(),
                put_back.map(|known| known.backup.as_str()).into(),
                put_back.map(|known| whole(known.size)).into(),
                put_back.and_then(|known| known.known).map(whole).into(),
                put_back.map(|known| known.by.as_str()).into(),
                now.into(),
                counted(ended.sessions),
                counted(ended.grants),
                counted(ended.keys),
                counted(ended.links),
            ],
        )
        .map(drop)
    }

    /// Restores that no record of the log tells of yet.
    pub(crate) fn unrecorded_restores(&self) -> Result<Vec<Restore>, StoreError> {
        let text = "SELECT * FROM restores WHERE recorded_at IS NULL ORDER BY number";
        self.query("restores", text, &[], |row| {
            let counted = |column: &'static str| {
                usize::try_from(row.get::<i64>(column)?).map_err(|_| row.inconsistent(column))
            };
            let ended = Ended {
                sessions: counted("sessions")?,
                grants: counted("grants")?,
                keys: counted("keys")?,
                links: counted("links")?,
            };
            Ok(Restore { mark: read_mark(row)?, at: row.time("restored_at")?, ended })
        })
    }

    /// Notes that the log tells of every restore up to now.
    pub(crate) fn restores_recorded(&self, now: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE restores SET recorded_at = ?1 WHERE recorded_at IS NULL";
        self.execute(text, &[now.into()]).map(drop)
    }

    /// Sets right what was noted by a clock that was ahead.
    pub(crate) fn restored_no_later_than(&self, now: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE restores SET restored_at = ?1 WHERE restored_at > ?1";
        self.execute(text, &[now.into()]).map(drop)
    }

    /// When this was restored, if nobody has said since that the holds on the log stand again.
    pub(crate) fn restored_without_holds(&self) -> Result<Option<Timestamp>, StoreError> {
        let text =
            "SELECT restored_at FROM restores WHERE holds_at IS NULL ORDER BY restored_at DESC LIMIT 1";
        self.first("restores", text, &[], |row| row.time("restored_at"))
    }

    /// Notes that somebody has.
    pub(crate) fn holds_stand(&self, now: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE restores SET holds_at = ?1 WHERE holds_at IS NULL";
        self.execute(text, &[now.into()]).map(drop)
    }

    /// When what was last restored was first run.
    pub(crate) fn last_restore(&self) -> Result<Option<Timestamp>, StoreError> {
        let text = "SELECT restored_at FROM restores ORDER BY restored_at DESC LIMIT 1";
        self.first("restores", text, &[], |row| row.time("restored_at"))
    }
}

fn read_mark(row: &Row<'_, '_>) -> Result<Mark, StoreError> {
    let number = |column: &'static str| -> Result<Option<u64>, StoreError> {
        let value: Option<i64> = row.get(column)?;
        value.map(|value| u64::try_from(value).map_err(|_| row.inconsistent(column))).transpose()
    };
    let put_back = match row.get::<Option<String>>("backup")? {
        None => None,
        Some(backup) => Some(PutBack {
            backup,
            size: number("size")?.ok_or_else(|| row.inconsistent("size"))?,
            known: number("known")?,
            by: row.get("restored_by")?,
        }),
    };
    let begun = number("begun")?.ok_or_else(|| row.inconsistent("begun"))?;
    Ok(Mark { made_at: row.time("made_at")?, begun, put_back })
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
