//! One-time links to set a password. Kept as digests.

use chartgate_access::ids::Subject;
use chartgate_values::Timestamp;

use super::{Sql, StoreError};

impl Sql<'_> {
    /// Makes the links that a person has void.
    pub(crate) fn void_enrolments(&self, user: &Subject) -> Result<(), StoreError> {
        self.execute("DELETE FROM enrolments WHERE user_name = ?1", &[user.as_str().into()]).map(drop)
    }

    /// Keeps a link; links that the person had before are void.
    pub(crate) fn add_enrolment(
        &self,
        digest: &str,
        user: &Subject,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.void_enrolments(user)?;
        let text = "INSERT INTO enrolments (digest, user_name, expires_at) VALUES (?1, ?2, ?3)";
        self.execute(text, &[digest.into(), user.as_str().into(), expires_at.into()]).map(drop)
    }

    /// Whose link it is, while it is good and they may sign in.
    pub(crate) fn enrolment(&self, digest: &str, now: Timestamp) -> Result<Option<Subject>, StoreError> {
        let text = "SELECT user_name FROM enrolments \
                    WHERE digest = ?1 AND used_at IS NULL AND expires_at > ?2 \
                    AND user_name IN (SELECT name FROM users WHERE enabled = 1)";
        self.first("enrolments", text, &[digest.into(), now.into()], |row| row.parse("user_name"))
    }

    /// Uses a link up, of whoever may sign in: the one who gets the name back is the only one.
    pub(crate) fn use_enrolment(&self, digest: &str, now: Timestamp) -> Result<Option<Subject>, StoreError> {
        let text = "UPDATE enrolments SET used_at = ?2 \
                    WHERE digest = ?1 AND used_at IS NULL AND expires_at > ?2 \
                    AND user_name IN (SELECT name FROM users WHERE enabled = 1) RETURNING user_name";
        self.first("enrolments", text, &[digest.into(), now.into()], |row| row.parse("user_name"))
    }
}
