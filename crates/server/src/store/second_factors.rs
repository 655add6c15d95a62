//! Second factors, recovery codes, and what was changed of them. A step and a code are used up by one statement each
//! (ATTACKS A04).

use std::time::Duration;

use chartgate_access::ids::{FactorId, Subject};
use chartgate_values::Timestamp;

use super::{Sql, StoreError};
use crate::tongue::{Id, Tells, Words};

/// Changes are told for this long.
const TELL_FOR: Duration = Duration::from_secs(90 * 24 * 3600);

/// What kind of factor. A further kind that has a secret is a further name here, with what it proves in
/// `chartgate_access::login::assurance::SecondFactor`. Passkeys have none, and a table of their own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FactorKind {
    /// An authenticator application.
    Totp,
}

/// A person's factor.
#[derive(Clone, Debug)]
pub(crate) struct StoredFactor {
    pub(crate) id: FactorId,
    pub(crate) kind: FactorKind,
    /// What its person calls it.
    pub(crate) label: String,
    /// Sealed.
    pub(crate) secret: Vec<u8>,
    /// The last step that was used up.
    pub(crate) last_step: i64,
    pub(crate) added_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
}

/// How many recovery codes somebody has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct RecoveryCount {
    pub(crate) left: u32,
    pub(crate) made: u32,
}

/// Whether something was there to be used, and is used up now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "what was used before is good for nothing"]
pub(crate) enum Used {
    Now,
    Before,
}

/// What was changed of how a person signs in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FactorChange {
    Added,
    Removed,
    RecoveryCodesMade,
    RecoveryCodeUsed,
    Reset,
    PasskeyAdded,
    PasskeyRemoved,
    /// Its counter went back: somebody else may have it too.
    PasskeySuspected,
    PasswordSet,
    AccountLinked,
    PhoneAdded,
    PhoneRemoved,
    /// All that there was gave way to what its person enrolled with their password and a link.
    Replaced,
}

impl FactorKind {
    fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
        }
    }
}

impl FactorChange {
    const ALL: [Self; 13] = [
        Self::Added,
        Self::Removed,
        Self::RecoveryCodesMade,
        Self::RecoveryCodeUsed,
        Self::Reset,
        Self::PasskeyAdded,
        Self::PasskeyRemoved,
        Self::PasskeySuspected,
        Self::PasswordSet,
        Self::AccountLinked,
        Self::PhoneAdded,
        Self::PhoneRemoved,
        Self::Replaced,
    ];

    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|change| change.name() == name)
    }

    /// The stable code for store and record.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::RecoveryCodesMade => "recovery-codes",
            Self::RecoveryCodeUsed => "recovery-code-used",
            Self::Reset => "reset",
            Self::PasskeyAdded => "passkey-added",
            Self::PasskeyRemoved => "passkey-removed",
            Self::PasskeySuspected => "passkey-suspected",
            Self::PasswordSet => "password-set",
            Self::AccountLinked => "account-linked",
            Self::PhoneAdded => "phone-added",
            Self::PhoneRemoved => "phone-removed",
            Self::Replaced => "replaced",
        }
    }
}

impl Tells for FactorChange {
    fn words(&self) -> Words {
        match self {
            Self::Added => Id::of("change-app-added"),
            Self::Removed => Id::of("change-app-removed"),
            Self::RecoveryCodesMade => Id::of("change-recovery-codes"),
            Self::RecoveryCodeUsed => Id::of("change-recovery-used"),
            Self::Reset => Id::of("change-reset"),
            Self::PasskeyAdded => Id::of("change-passkey-added"),
            Self::PasskeyRemoved => Id::of("change-passkey-removed"),
            Self::PasskeySuspected => Id::of("change-passkey-suspected"),
            Self::PhoneAdded => Id::of("change-phone-added"),
            Self::PhoneRemoved => Id::of("change-phone-removed"),
            Self::PasswordSet => Id::of("change-password-set"),
            Self::AccountLinked => Id::of("change-account-linked"),
            Self::Replaced => Id::of("change-replaced"),
        }
        .words()
    }
}

impl Used {
    pub(super) fn of(rows: usize) -> Self {
        if rows == 1 { Self::Now } else { Self::Before }
    }
}

impl Sql<'_> {
    /// A person's factors, oldest first.
    pub(crate) fn factors(&self, of: &Subject) -> Result<Vec<StoredFactor>, StoreError> {
        let text = "SELECT id, kind, label, secret, last_step, added_at, last_used_at FROM second_factors \
                    WHERE user_name = ?1 ORDER BY added_at, id";
        self.query("second_factors", text, &[of.as_str().into()], |row| {
            let kind: String = row.get("kind")?;
            Ok(StoredFactor {
                id: row.parse("id")?,
                kind: match kind.as_str() {
                    "totp" => FactorKind::Totp,
                    _ => return Err(row.inconsistent("kind")),
                },
                label: row.get("label")?,
                secret: row.get("secret")?,
                last_step: row.get("last_step")?,
                added_at: row.time("added_at")?,
                last_used_at: row.time_optional("last_used_at")?,
            })
        })
    }

    /// Adds a factor.
    pub(crate) fn add_factor(&self, of: &Subject, factor: &StoredFactor) -> Result<(), StoreError> {
        let text = "INSERT INTO second_factors (id, user_name, kind, label, secret, last_step, added_at) \
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let values = [
            factor.id.as_str().into(),
            of.as_str().into(),
            factor.kind.name().into(),
            (&factor.label).into(),
            factor.secret.as_slice().into(),
            factor.last_step.into(),
            factor.added_at.into(),
        ];
        self.execute(text, &values)?;
        self.note_factor_change(of, FactorChange::Added, factor.added_at)
    }

    /// Uses a step of a person's factor up, and all before it. RFC 6238 section 5.2.
    pub(crate) fn use_step(
        &self,
        of: &Subject,
        id: &FactorId,
        step: i64,
        now: Timestamp,
    ) -> Result<Used, StoreError> {
        let text = "UPDATE second_factors SET last_step = ?3, last_used_at = ?4 \
                    WHERE id = ?1 AND user_name = ?2 AND last_step < ?3";
        self.execute(text, &[id.as_str().into(), of.as_str().into(), step.into(), now.into()]).map(Used::of)
    }

    /// Uses a recovery code up.
    pub(crate) fn use_recovery_code(
        &self,
        of: &Subject,
        digest: &str,
        now: Timestamp,
    ) -> Result<Used, StoreError> {
        let text =
            "UPDATE recovery_codes SET used_at = ?3 WHERE digest = ?1 AND user_name = ?2 AND used_at IS NULL";
        let used = self.execute(text, &[digest.into(), of.as_str().into(), now.into()]).map(Used::of)?;
        if used == Used::Now {
            self.note_factor_change(of, FactorChange::RecoveryCodeUsed, now)?;
        }
        Ok(used)
    }

    /// Gives a person these recovery codes in place of those that they had.
    pub(crate) fn set_recovery_codes(
        &self,
        of: &Subject,
        digests: &[String],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute("DELETE FROM recovery_codes WHERE user_name = ?1", &[of.as_str().into()])?;
        for digest in digests {
            let text = "INSERT INTO recovery_codes (digest, user_name, made_at) VALUES (?1, ?2, ?3)";
            self.execute(text, &[digest.into(), of.as_str().into(), now.into()])?;
        }
        self.note_factor_change(of, FactorChange::RecoveryCodesMade, now)
    }

    /// How many recovery codes a person has, and how many of them are left.
    pub(crate) fn recovery_codes(&self, of: &Subject) -> Result<RecoveryCount, StoreError> {
        let text = "SELECT COUNT(*) AS made, COUNT(*) - COUNT(used_at) AS \"left\" FROM recovery_codes \
                    WHERE user_name = ?1";
        let found = self.first("recovery_codes", text, &[of.as_str().into()], |row| {
            Ok(RecoveryCount { left: row.get("left")?, made: row.get("made")? })
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Removes a person's application; with the last factor their recovery codes.
    pub(crate) fn remove_factor(
        &self,
        of: &Subject,
        id: &FactorId,
        now: Timestamp,
    ) -> Result<Used, StoreError> {
        let text = "DELETE FROM second_factors WHERE id = ?1 AND user_name = ?2";
        let removed = self.execute(text, &[id.as_str().into(), of.as_str().into()]).map(Used::of)?;
        if removed == Used::Now {
            self.note_factor_change(of, FactorChange::Removed, now)?;
        }
        self.forget_codes_of_nothing(of)?;
        Ok(removed)
    }

    /// Recovery codes are in place of a factor: with the last one they go.
    pub(super) fn forget_codes_of_nothing(&self, of: &Subject) -> Result<(), StoreError> {
        if self.factors(of)?.is_empty() && self.passkeys(of)?.is_empty() {
            self.execute("DELETE FROM recovery_codes WHERE user_name = ?1", &[of.as_str().into()])?;
        }
        Ok(())
    }

    /// Removes all factors of a person, with their recovery codes; says how many factors there were. `why` is what its person is
    /// told.
    pub(crate) fn reset_factors(
        &self,
        of: &Subject,
        why: FactorChange,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let applications =
            self.execute("DELETE FROM second_factors WHERE user_name = ?1", &[of.as_str().into()])?;
        let passkeys = self.execute("DELETE FROM passkeys WHERE user_name = ?1", &[of.as_str().into()])?;
        self.execute("DELETE FROM recovery_codes WHERE user_name = ?1", &[of.as_str().into()])?;
        self.void_half_sign_ins(of)?;
        self.remove_phones(of)?;
        self.forget_browsers(of)?;
        self.note_factor_change(of, why, now)?;
        Ok(applications.saturating_add(passkeys))
    }

    /// Notes a change that its person is told of. Whoever is half way in with what they had before is not any more, and links to get in again are void.
    pub(crate) fn note_factor_change(
        &self,
        of: &Subject,
        change: FactorChange,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match change {
            // These are of a sign-in that is under way.
            FactorChange::RecoveryCodeUsed | FactorChange::PasskeySuspected => {}
            FactorChange::Added
            | FactorChange::Removed
            | FactorChange::RecoveryCodesMade
            | FactorChange::Reset
            | FactorChange::PasskeyAdded
            | FactorChange::PasskeyRemoved
            | FactorChange::PhoneAdded
            | FactorChange::PhoneRemoved
            | FactorChange::PasswordSet
            | FactorChange::AccountLinked
            | FactorChange::Replaced => self.void_half_sign_ins(of)?,
        }
        let text = "INSERT INTO factor_changes (user_name, at, change, due_at) VALUES (?1, ?2, ?3, ?2)";
        self.execute(text, &[of.as_str().into(), now.into(), change.name().into()]).map(drop)
    }

    /// What was changed of late of how a person signs in, newest first.
    pub(crate) fn factor_changes(
        &self,
        of: &Subject,
        now: Timestamp,
    ) -> Result<Vec<(Timestamp, FactorChange)>, StoreError> {
        let text = "SELECT at, change FROM factor_changes WHERE user_name = ?1 AND at > ?2 \
                    ORDER BY at DESC, change LIMIT 20";
        let values = [of.as_str().into(), now.minus(TELL_FOR).into()];
        self.query("factor_changes", text, &values, |row| {
            let name: String = row.get("change")?;
            let change = FactorChange::named(&name);
            Ok((row.time("at")?, change.ok_or_else(|| row.inconsistent("change"))?))
        })
    }

    /// Forgets changes that were told for long enough.
    pub(super) fn forget_factor_changes(&self, now: Timestamp) -> Result<(), StoreError> {
        let text = "DELETE FROM factor_changes WHERE at < ?1";
        self.execute(text, &[now.minus(TELL_FOR).into()]).map(drop)
    }
}
