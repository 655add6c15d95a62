//! Links by e-mail for people who lost their password, or what they show beside it. Kept as digests.
//!
//! Whoever asks for one waits for nothing: what is to be sent is a row, as is what is not, so that neither answer nor time tells
//! a name that is somebody's from one that is nobody's (ATTACKS A01).

use std::time::Duration;

use chartgate_access::ids::Subject;
use chartgate_access::login::recovery::Lost;
use chartgate_values::Timestamp;

use super::second_factors::Used;
use super::sql::Row;
use super::{Sql, StoreError};

/// How long a link is good after it was asked for. NIST SP 800-63B-4 section 4.2.1.2 allows a day.
pub(crate) const LIFE: Duration = Duration::from_secs(3600);
/// How many may be asked for in a day in somebody's name, of each kind: neither is their mailbox filled, nor are codes guessed
/// behind many links; and what strangers ask for keeps nobody from what their password opens.
pub(crate) const A_DAY: i64 = 5;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Whether a wish for a link was taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Asked {
    Now,
    /// There were as many in the last day as there may be.
    TooOften,
}

/// A wish for a link.
pub(crate) struct Wish<'a> {
    /// Unguessable, and not what is sent.
    pub(crate) id: &'a str,
    /// Under what the name that was typed is counted.
    pub(crate) counter: &'a str,
    /// Whom something is sent to, if anybody.
    pub(crate) user: Option<&'a Subject>,
    pub(crate) lost: Lost,
}

/// A link that is to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DueLink {
    pub(crate) id: String,
    pub(crate) user: Subject,
    pub(crate) lost: Lost,
    /// Until when it is good.
    pub(crate) until: Timestamp,
    /// How often it was tried.
    pub(crate) attempts: u32,
}

fn lost_of(row: &Row<'_, '_>) -> Result<Lost, StoreError> {
    let code: String = row.get("lost")?;
    let all = [Lost::Password, Lost::Factors];
    all.into_iter().find(|lost| lost.code() == code).ok_or_else(|| row.inconsistent("lost"))
}

impl Sql<'_> {
    /// Keeps a wish, unless there were too many.
    pub(crate) fn ask_for_link(&self, wish: &Wish<'_>, now: Timestamp) -> Result<Asked, StoreError> {
        let text =
            "SELECT COUNT(*) AS count FROM recoveries WHERE counter = ?1 AND asked_at > ?2 AND lost = ?3";
        let values = [wish.counter.into(), now.minus(DAY).into(), wish.lost.code().into()];
        let before: Option<i64> = self.first("recoveries", text, &values, |row| row.get("count"))?;
        if before.is_some_and(|count| count >= A_DAY) {
            return Ok(Asked::TooOften);
        }
        let text = "INSERT INTO recoveries (id, counter, user_name, lost, asked_at, due_at) \
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let values = [
            wish.id.into(),
            wish.counter.into(),
            wish.user.map(Subject::as_str).into(),
            wish.lost.code().into(),
            now.into(),
            wish.user.map(|_| now).into(),
        ];
        self.execute(text, &values).map(|_| Asked::Now)
    }

    /// Links that are due to be sent and still good for something, the longest due first.
    pub(crate) fn due_links(&self, now: Timestamp, limit: i64) -> Result<Vec<DueLink>, StoreError> {
        let text = "SELECT id, user_name, lost, asked_at, attempts FROM recoveries \
                    WHERE due_at <= ?1 AND asked_at > ?2 AND user_name IS NOT NULL AND used_at IS NULL \
                    ORDER BY due_at LIMIT ?3";
        self.query("recoveries", text, &[now.into(), now.minus(LIFE).into(), limit.into()], |row| {
            Ok(DueLink {
                id: row.get("id")?,
                user: row.parse("user_name")?,
                lost: lost_of(row)?,
                until: row.time("asked_at")?.plus(LIFE),
                attempts: row.get("attempts")?,
            })
        })
    }

    /// Makes what is about to be sent good. What an earlier attempt sent is void with that: nobody knows whether it arrived.
    pub(crate) fn set_link(&self, id: &str, digest: &str) -> Result<Used, StoreError> {
        let text = "UPDATE recoveries SET digest = ?2 \
                    WHERE id = ?1 AND due_at IS NOT NULL AND used_at IS NULL";
        self.execute(text, &[id.into(), digest.into()]).map(Used::of)
    }

    /// Notes that it was tried to send a link, and when to try again: never, where it was sent or is given up.
    pub(crate) fn note_sending(&self, id: &str, due_at: Option<Timestamp>) -> Result<(), StoreError> {
        let text = "UPDATE recoveries SET due_at = ?2, attempts = attempts + 1 \
                    WHERE id = ?1 AND due_at IS NOT NULL";
        self.execute(text, &[id.into(), due_at.into()]).map(drop)
    }

    /// Whose link it is and in place of what, while it is good.
    pub(crate) fn link(&self, digest: &str, now: Timestamp) -> Result<Option<(Subject, Lost)>, StoreError> {
        let text = "SELECT user_name, lost FROM recoveries \
                    WHERE digest = ?1 AND used_at IS NULL AND asked_at > ?2";
        self.first("recoveries", text, &[digest.into(), now.minus(LIFE).into()], |row| {
            Ok((row.parse("user_name")?, lost_of(row)?))
        })
    }

    /// Uses a link up.
    pub(crate) fn use_link(&self, digest: &str, now: Timestamp) -> Result<Used, StoreError> {
        let text = "UPDATE recoveries SET used_at = ?2, due_at = NULL \
                    WHERE digest = ?1 AND used_at IS NULL AND asked_at > ?3";
        self.execute(text, &[digest.into(), now.into(), now.minus(LIFE).into()]).map(Used::of)
    }

    /// Makes the links that somebody has void, sent or not: what they sign in with has changed. They count on.
    pub(crate) fn void_links(&self, of: &Subject) -> Result<(), StoreError> {
        let text = "UPDATE recoveries SET digest = NULL, due_at = NULL WHERE user_name = ?1";
        self.execute(text, &[of.as_str().into()]).map(drop)
    }

    /// Forgets what counts no more.
    pub(super) fn forget_recoveries(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute("DELETE FROM recoveries WHERE asked_at < ?1", &[now.minus(DAY).into()]).map(drop)
    }
}
