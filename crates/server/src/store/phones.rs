//! Phones on which people answer what they are asked, and the key of the messages that wake them.

use chartgate_access::ids::{FactorId, Subject};
use chartgate_values::Timestamp;

use super::second_factors::{FactorChange, Used};
use super::{Sql, StoreError};

/// A person's phone.
#[derive(Clone, Debug)]
pub(crate) struct StoredPhone {
    pub(crate) id: FactorId,
    /// What its person calls it.
    pub(crate) label: String,
    /// Where it takes messages, sealed.
    pub(crate) subscription: Option<Vec<u8>>,
    pub(crate) added_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
}

impl Sql<'_> {
    /// A person's phones, oldest first.
    pub(crate) fn phones(&self, of: &Subject) -> Result<Vec<StoredPhone>, StoreError> {
        let text = "SELECT id, label, subscription, added_at, last_used_at FROM phones \
                    WHERE user_name = ?1 ORDER BY added_at, id";
        self.query("phones", text, &[of.as_str().into()], |row| {
            Ok(StoredPhone {
                id: row.parse("id")?,
                label: row.get("label")?,
                subscription: row.get("subscription")?,
                added_at: row.time("added_at")?,
                last_used_at: row.time_optional("last_used_at")?,
            })
        })
    }

    /// Adds one, known again by this digest.
    pub(crate) fn add_phone(
        &self,
        of: &Subject,
        phone: &StoredPhone,
        digest: &str,
    ) -> Result<(), StoreError> {
        let text = "INSERT INTO phones (id, user_name, label, digest, subscription, added_at) \
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let values = [
            phone.id.as_str().into(),
            of.as_str().into(),
            (&phone.label).into(),
            digest.into(),
            phone.subscription.as_deref().into(),
            phone.added_at.into(),
        ];
        self.execute(text, &values)?;
        self.note_factor_change(of, FactorChange::PhoneAdded, phone.added_at)
    }

    /// Which of a person's phones this is; it is used now.
    pub(crate) fn use_phone(
        &self,
        of: &Subject,
        digest: &str,
        now: Timestamp,
    ) -> Result<Option<FactorId>, StoreError> {
        let text = "UPDATE phones SET last_used_at = ?3 WHERE user_name = ?1 AND digest = ?2 RETURNING id";
        self.first("phones", text, &[of.as_str().into(), digest.into(), now.into()], |row| row.parse("id"))
    }

    /// Which of a person's phones this is.
    pub(crate) fn phone(&self, of: &Subject, digest: &str) -> Result<Option<FactorId>, StoreError> {
        let text = "SELECT id FROM phones WHERE user_name = ?1 AND digest = ?2";
        self.first("phones", text, &[of.as_str().into(), digest.into()], |row| row.parse("id"))
    }

    /// Removes a person's phone.
    pub(crate) fn remove_phone(
        &self,
        of: &Subject,
        id: &FactorId,
        now: Timestamp,
    ) -> Result<Used, StoreError> {
        let text = "DELETE FROM phones WHERE id = ?1 AND user_name = ?2";
        let removed = Used::of(self.execute(text, &[id.as_str().into(), of.as_str().into()])?);
        if removed == Used::Now {
            self.note_factor_change(of, FactorChange::PhoneRemoved, now)?;
        }
        Ok(removed)
    }

    /// Removes all phones of a person; says how many there were.
    pub(super) fn remove_phones(&self, of: &Subject) -> Result<usize, StoreError> {
        self.execute("DELETE FROM phones WHERE user_name = ?1", &[of.as_str().into()])
    }

    /// Wakes a phone no more in this way: its subscription is over.
    pub(crate) fn forget_subscription(&self, id: &FactorId, sealed: &[u8]) -> Result<(), StoreError> {
        let text = "UPDATE phones SET subscription = NULL WHERE id = ?1 AND subscription = ?2";
        self.execute(text, &[id.as_str().into(), sealed.into()]).map(drop)
    }

    /// The key of messages, sealed.
    pub(crate) fn vapid_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.first("vapid_key", "SELECT private_key FROM vapid_key", &[], |row| row.get("private_key"))
    }

    /// Keeps the key of messages.
    pub(crate) fn keep_vapid_key(&self, sealed: &[u8], now: Timestamp) -> Result<(), StoreError> {
        let text = "INSERT INTO vapid_key (only_row, private_key, made_at) VALUES (1, ?1, ?2)";
        self.execute(text, &[sealed.into(), now.into()]).map(drop)
    }
}
