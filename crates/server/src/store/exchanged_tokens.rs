//! Which access tokens came of which by exchange, until they expire. An exchanged token names its person, session and
//! grant, so that their cut-offs reach it by themselves; what it does not name is the token that it came of, that token's
//! client and key, and everything of the actor's token.

use chartgate_access::ids::Jti;
use chartgate_access::token::revocation::{CutOff, Target, Traits};
use chartgate_values::Timestamp;

use super::{Sql, StoreError};

/// Which part a token has in an exchange. RFC 8693 section 2.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// The new token speaks for its person.
    Subject,
    /// The new token is used by its person.
    Actor,
}

impl Sql<'_> {
    /// Remembers what a token came of.
    pub(crate) fn add_exchanged(
        &self,
        token: &Jti,
        parent: &Traits,
        part: Part,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let named = match part {
            Part::Subject => None,
            Part::Actor => Some(parent),
        };
        self.execute(
            "INSERT INTO exchanged_tokens (jti, parent, client_id, kid, expires_at, subject, session, grant_id) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            &[
                token.as_str().into(),
                parent.jti.as_str().into(),
                parent.client_id.as_str().into(),
                parent.key.as_str().into(),
                expires_at.into(),
                named.map(|actor| actor.subject.as_str()).into(),
                named.and_then(|actor| actor.session.as_ref()).map(|id| id.as_str()).into(),
                named.and_then(|actor| actor.grant.as_ref()).map(|id| id.as_str()).into(),
            ],
        )
        .map(drop)
    }

    /// Cut-offs of all that came of what this one cuts, however often it was exchanged.
    pub(crate) fn cut_with(&self, cut_off: &CutOff) -> Result<Vec<CutOff>, StoreError> {
        let (column, value) = match cut_off {
            CutOff::Token { jti, .. } => ("parent", jti.as_str()),
            CutOff::UpTo { target: Target::Client(id), .. } => ("client_id", id.as_str()),
            CutOff::UpTo { target: Target::Key(kid), .. } => ("kid", kid.as_str()),
            CutOff::UpTo { target: Target::Subject(id), .. } => ("subject", id.as_str()),
            CutOff::UpTo { target: Target::Session(id), .. } => ("session", id.as_str()),
            CutOff::UpTo { target: Target::Grant(id), .. } => ("grant_id", id.as_str()),
        };
        let text = format!(
            "WITH RECURSIVE came (jti, expires_at) AS ( \
             SELECT jti, expires_at FROM exchanged_tokens WHERE {column} = ?1 \
             UNION SELECT e.jti, e.expires_at FROM exchanged_tokens e JOIN came ON e.parent = came.jti) \
             SELECT jti, expires_at FROM came"
        );
        self.query("exchanged_tokens", &text, &[value.into()], |row| {
            Ok(CutOff::Token { jti: row.parse("jti")?, expires_at: row.time("expires_at")? })
        })
    }

    /// Whether a token is cut off, as the store has it: for whoever makes something of a token, inside the transaction.
    pub(crate) fn is_cut_off(&self, token: &Traits) -> Result<bool, StoreError> {
        let text = "SELECT at FROM cut_offs WHERE (kind = 'token' AND target = ?1) \
                    OR (kind = 'key' AND target = ?7) OR (at >= ?2 AND ( \
                    (kind = 'subject' AND target = ?3) OR (kind = 'client' AND target = ?4) \
                    OR (kind = 'session' AND target = ?5) OR (kind = 'grant' AND target = ?6)))";
        let values = [
            token.jti.as_str().into(),
            token.issued_at.into(),
            token.subject.as_str().into(),
            token.client_id.as_str().into(),
            token.session.as_ref().map(|id| id.as_str()).into(),
            token.grant.as_ref().map(|id| id.as_str()).into(),
            token.key.as_str().into(),
        ];
        let found: Option<Timestamp> = self.first("cut_offs", text, &values, |row| row.time("at"))?;
        Ok(found.is_some())
    }

    /// Forgets tokens that expired.
    pub(super) fn forget_exchanged(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute("DELETE FROM exchanged_tokens WHERE expires_at < ?1", &[now.into()]).map(drop)
    }
}
