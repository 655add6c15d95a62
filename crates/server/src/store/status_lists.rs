//! Status lists: places that are given out by chance, each once.

use std::time::Duration;

use chartgate_access::token::revocation::Traits;
use chartgate_values::Timestamp;

use super::sql::Row;
use super::{Sql, StoreError};

/// Places of a list.
pub(crate) const PLACES: u32 = 1 << 16;
/// How many of them are given out: with half of them free, one that is drawn is free at every second try.
const GIVEN_OUT: i64 = 1 << 15;
/// How long places of a list are given out.
const OPEN: Duration = Duration::from_secs(24 * 3600);
/// How many lists there may be. They go when their tokens have expired, within an hour or so.
const LISTS: i64 = 256;

/// A token's place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) list: String,
    pub(crate) idx: u32,
}

/// What chance has drawn for a token: places to try in turn, and a name in case that a new list is begun.
pub(crate) struct Draw {
    pub(crate) places: Vec<u32>,
    pub(crate) list: String,
}

impl Sql<'_> {
    /// Gives a token a place; `None` if there are too many lists, or every place that was drawn is taken.
    pub(crate) fn give_place(
        &self,
        draw: &Draw,
        token: &Traits,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Place>, StoreError> {
        let text = "SELECT id FROM status_lists WHERE used < ?1 AND created_at > ?2 ORDER BY created_at, id";
        let values = [GIVEN_OUT.into(), now.minus(OPEN).into()];
        let open: Option<String> = self.first("status_lists", text, &values, |row| row.get("id"))?;
        let list = match open {
            Some(list) => list,
            None => {
                let text = "INSERT INTO status_lists (id, used, created_at, over_at) SELECT ?1, 0, ?2, ?2 \
                            WHERE (SELECT COUNT(*) FROM status_lists) < ?3";
                if self.execute(text, &[(&draw.list).into(), now.into(), LISTS.into()])? == 0 {
                    return Ok(None);
                }
                draw.list.clone()
            }
        };
        for idx in &draw.places {
            let text = "INSERT INTO status_list_tokens \
                        (list, idx, subject, session, client_id, grant_id, kid, jti, issued_at) \
                        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
            let values = [
                (&list).into(),
                i64::from(*idx).into(),
                token.subject.as_str().into(),
                token.session.as_ref().map(|id| id.as_str()).into(),
                token.client_id.as_str().into(),
                token.grant.as_ref().map(|id| id.as_str()).into(),
                token.key.as_str().into(),
                token.jti.as_str().into(),
                token.issued_at.into(),
            ];
            if self.execute(text, &values)? == 1 {
                let text = "UPDATE status_lists SET used = used + 1, \
                            over_at = CASE WHEN over_at < ?2 THEN ?2 ELSE over_at END WHERE id = ?1";
                self.execute(text, &[(&list).into(), expires_at.into()])?;
                return Ok(Some(Place { list, idx: *idx }));
            }
        }
        Ok(None)
    }

    /// Whether there is such a list.
    pub(crate) fn has_status_list(&self, id: &str) -> Result<bool, StoreError> {
        let text = "SELECT id FROM status_lists WHERE id = ?1";
        let found: Option<String> = self.first("status_lists", text, &[id.into()], |row| row.get("id"))?;
        Ok(found.is_some())
    }

    /// The tokens of a list with their places; `None` if there is no such list.
    pub(crate) fn status_list(&self, id: &str) -> Result<Option<Vec<(u32, Traits)>>, StoreError> {
        if !self.has_status_list(id)? {
            return Ok(None);
        }
        let text = "SELECT idx, subject, session, client_id, grant_id, kid, jti, issued_at \
                    FROM status_list_tokens WHERE list = ?1";
        self.query("status_list_tokens", text, &[id.into()], read).map(Some)
    }

    /// Forgets lists whose tokens have all expired for some time.
    pub(super) fn forget_status_lists(&self, now: Timestamp) -> Result<(), StoreError> {
        let over = [now.minus(Duration::from_secs(300)).into()];
        let of_over =
            "DELETE FROM status_list_tokens WHERE list IN (SELECT id FROM status_lists WHERE over_at < ?1)";
        self.execute(of_over, &over)?;
        self.execute("DELETE FROM status_lists WHERE over_at < ?1", &over).map(drop)
    }
}

fn read(row: &Row<'_, '_>) -> Result<(u32, Traits), StoreError> {
    let token = Traits {
        subject: row.parse("subject")?,
        session: row.parse_optional("session")?,
        client_id: row.parse("client_id")?,
        grant: row.parse_optional("grant_id")?,
        key: row.get("kid")?,
        jti: row.parse("jti")?,
        issued_at: row.time("issued_at")?,
    };
    Ok((row.get("idx")?, token))
}
