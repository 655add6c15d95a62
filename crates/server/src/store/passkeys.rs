//! Passkeys, and challenges that were used up. A counter and a challenge are each used by one statement (ATTACKS A08).

use std::time::Duration;

use chartgate_access::ids::{FactorId, Subject};
use chartgate_protocol::base64url;
use chartgate_values::Timestamp;

use super::second_factors::{FactorChange, Used};
use super::sql::{Row, Value, json};
use super::{Sql, StoreError};
use crate::live::passkeys::authenticators::Attested;

/// The longest that a challenge is good for.
pub(crate) const CHALLENGE_LIFE: Duration = Duration::from_secs(600);

/// A person's passkey.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StoredPasskey {
    pub(crate) id: FactorId,
    pub(crate) of: Subject,
    /// What its authenticator calls it.
    pub(crate) credential_id: Vec<u8>,
    /// What its person calls it.
    pub(crate) label: String,
    /// As a COSE key.
    pub(crate) public_key: Vec<u8>,
    pub(crate) sign_count: u32,
    pub(crate) backup: Backup,
    /// What its authenticator's maker said of it.
    pub(crate) attested: Option<Attested>,
    pub(crate) transports: Vec<String>,
    pub(crate) added_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
    /// Since when it is out of use.
    pub(crate) suspected_at: Option<Timestamp>,
}

/// Where the private key may be. What it is when a passkey is made, it stays; whether there is a copy changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Backup {
    /// On one device.
    DeviceBound,
    /// On all devices that an account of its person's brings it to, of which there is one so far.
    Eligible,
    /// And it is copied.
    BackedUp,
}

/// Whether it could be added.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "what is known is not added"]
pub(crate) enum Added {
    Now,
    /// It is somebody's already.
    Before,
}

/// What an assertion says, to be taken over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) sign_count: u32,
    pub(crate) backup: Backup,
    pub(crate) at: Timestamp,
}

impl Backup {
    pub(crate) fn of(is_eligible: bool, is_backed_up: bool) -> Self {
        match (is_eligible, is_backed_up) {
            (false, _) => Self::DeviceBound,
            (true, false) => Self::Eligible,
            (true, true) => Self::BackedUp,
        }
    }

    pub(crate) fn is_eligible(self) -> bool {
        match self {
            Self::DeviceBound => false,
            Self::Eligible | Self::BackedUp => true,
        }
    }

    pub(crate) fn is_backed_up(self) -> bool {
        self == Self::BackedUp
    }

    /// Its name in the record.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::DeviceBound => "device-bound",
            Self::Eligible => "syncable",
            Self::BackedUp => "synced",
        }
    }
}

const COLUMNS: &str = "id, credential_id, user_name, label, public_key, sign_count, backup_eligible, backed_up, \
                       transports, added_at, last_used_at, suspected_at, attested_model, attested_root, attested_by";

fn read(row: &Row<'_, '_>) -> Result<StoredPasskey, StoreError> {
    let credential_id: String = row.get("credential_id")?;
    let sign_count: i64 = row.get("sign_count")?;
    Ok(StoredPasskey {
        id: row.parse("id")?,
        of: row.parse("user_name")?,
        credential_id: base64url::decode(&credential_id).map_err(|_| row.inconsistent("credential_id"))?,
        label: row.get("label")?,
        public_key: row.get("public_key")?,
        sign_count: sign_count.try_into().map_err(|_| row.inconsistent("sign_count"))?,
        backup: Backup::of(row.get("backup_eligible")?, row.get("backed_up")?),
        transports: row.json("transports")?,
        added_at: row.time("added_at")?,
        last_used_at: row.time_optional("last_used_at")?,
        suspected_at: row.time_optional("suspected_at")?,
        attested: attested(row)?,
    })
}

fn attested(row: &Row<'_, '_>) -> Result<Option<Attested>, StoreError> {
    let text = |column| row.get::<Option<String>>(column);
    match (text("attested_model")?, text("attested_root")?, text("attested_by")?) {
        (Some(model), Some(root), Some(by)) => {
            let model = model.parse().map_err(|_| row.inconsistent("attested_model"))?;
            Ok(Some(Attested { model, root, by }))
        }
        (None, None, None) => Ok(None),
        _ => Err(row.inconsistent("attested_model")),
    }
}

impl Sql<'_> {
    /// A person's passkeys, oldest first.
    pub(crate) fn passkeys(&self, of: &Subject) -> Result<Vec<StoredPasskey>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM passkeys WHERE user_name = ?1 ORDER BY added_at, id");
        self.query("passkeys", &text, &[of.as_str().into()], read)
    }

    /// The passkey that its authenticator calls this.
    pub(crate) fn passkey(&self, credential_id: &[u8]) -> Result<Option<StoredPasskey>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM passkeys WHERE credential_id = ?1");
        let named = base64url::encode(credential_id);
        self.first("passkeys", &text, &[named.as_str().into()], read)
    }

    /// Gives a person a passkey. Web Authentication Level 3 section 7.1, step 26: what is somebody's is nobody else's.
    pub(crate) fn add_passkey(&self, new: &StoredPasskey) -> Result<Added, StoreError> {
        let text = "INSERT INTO passkeys (id, credential_id, user_name, label, public_key, sign_count, \
                    backup_eligible, backed_up, transports, added_at, attested_model, attested_root, attested_by) \
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO NOTHING";
        let (attested, model) =
            (new.attested.as_ref(), new.attested.as_ref().map(|attested| attested.model.to_string()));
        let (credential_id, transports) =
            (base64url::encode(&new.credential_id), json(&new.transports, "passkeys")?);
        let values: [Value<'_>; 13] = [
            new.id.as_str().into(),
            credential_id.as_str().into(),
            new.of.as_str().into(),
            new.label.as_str().into(),
            new.public_key.as_slice().into(),
            i64::from(new.sign_count).into(),
            i64::from(new.backup.is_eligible()).into(),
            i64::from(new.backup.is_backed_up()).into(),
            transports.as_str().into(),
            new.added_at.into(),
            model.as_ref().into(),
            attested.map(|attested| &attested.root).into(),
            attested.map(|attested| &attested.by).into(),
        ];
        if self.execute(text, &values)? == 0 {
            return Ok(Added::Before);
        }
        self.note_factor_change(&new.of, FactorChange::PasskeyAdded, new.added_at)?;
        Ok(Added::Now)
    }

    /// Takes over what an assertion said. Of two with one counter the second finds that it was used, as section 6.1.1 wants
    /// it; where nobody counts, the challenge is what is used up.
    pub(crate) fn use_passkey(&self, id: &FactorId, of: &Subject, by: Use) -> Result<Used, StoreError> {
        let text = "UPDATE passkeys SET sign_count = ?3, backed_up = ?4, last_used_at = ?5 \
                    WHERE id = ?1 AND user_name = ?2 AND suspected_at IS NULL \
                    AND (sign_count < ?3 OR (sign_count = 0 AND ?3 = 0))";
        let values = [
            id.as_str().into(),
            of.as_str().into(),
            i64::from(by.sign_count).into(),
            i64::from(by.backup.is_backed_up()).into(),
            by.at.into(),
        ];
        self.execute(text, &values).map(Used::of)
    }

    /// Puts a passkey out of use, because its counter went back. Who was first tells of it.
    pub(crate) fn suspect_passkey(
        &self,
        id: &FactorId,
        of: &Subject,
        now: Timestamp,
    ) -> Result<Used, StoreError> {
        let text =
            "UPDATE passkeys SET suspected_at = ?3 WHERE id = ?1 AND user_name = ?2 AND suspected_at IS NULL";
        let done = self.execute(text, &[id.as_str().into(), of.as_str().into(), now.into()]).map(Used::of)?;
        if done == Used::Now {
            // Whoever has the copy may have opened something with it.
            self.void_openings(of)?;
            self.note_factor_change(of, FactorChange::PasskeySuspected, now)?;
        }
        Ok(done)
    }

    /// Calls a person's passkey something else.
    pub(crate) fn rename_passkey(
        &self,
        of: &Subject,
        id: &FactorId,
        label: &str,
    ) -> Result<Used, StoreError> {
        let text = "UPDATE passkeys SET label = ?3 WHERE id = ?1 AND user_name = ?2";
        self.execute(text, &[id.as_str().into(), of.as_str().into(), label.into()]).map(Used::of)
    }

    /// Removes a person's passkey; with the last factor their recovery codes.
    pub(crate) fn remove_passkey(
        &self,
        of: &Subject,
        id: &FactorId,
        now: Timestamp,
    ) -> Result<Used, StoreError> {
        let text = "DELETE FROM passkeys WHERE id = ?1 AND user_name = ?2";
        let removed = self.execute(text, &[id.as_str().into(), of.as_str().into()]).map(Used::of)?;
        if removed == Used::Now {
            self.note_factor_change(of, FactorChange::PasskeyRemoved, now)?;
        }
        self.forget_codes_of_nothing(of)?;
        Ok(removed)
    }

    /// Uses a challenge up. After a restore nobody knows which ones were: those that may be from before it, by when they end,
    /// are refused.
    pub(crate) fn use_challenge(&self, digest: &str, expires_at: Timestamp) -> Result<Used, StoreError> {
        let restored_at = self.last_restore()?;
        if restored_at.is_some_and(|restored_at| expires_at <= restored_at.plus(CHALLENGE_LIFE)) {
            return Ok(Used::Before);
        }
        let text = "INSERT INTO used_challenges (digest, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.execute(text, &[digest.into(), expires_at.into()]).map(Used::of)
    }

    /// Whether a challenge was used.
    pub(crate) fn is_used_challenge(&self, digest: &str) -> Result<bool, StoreError> {
        let text = "SELECT digest FROM used_challenges WHERE digest = ?1";
        let found = self.first("used_challenges", text, &[digest.into()], |row| row.get::<String>("digest"));
        Ok(found?.is_some())
    }

    /// Forgets challenges that have ended.
    pub(super) fn forget_challenges(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute("DELETE FROM used_challenges WHERE expires_at < ?1", &[now.into()]).map(drop)
    }
}
