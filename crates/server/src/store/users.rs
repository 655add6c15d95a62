//! People.

use std::collections::BTreeSet;

use chartgate_access::ids::{Role, Subject};
use chartgate_access::principal::{User, UserState};
use chartgate_values::Timestamp;

use super::pending::Took;
use super::sql::{Row, Value, json};
use super::subjects::{self, SubjectKind, Taken};
use super::{Sql, StoreError};

const COLUMNS: &str = "name, enabled, roles, fhir_user, email, created_at";

/// Whether a new name could be given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "the name may have been taken"]
pub(crate) enum Added {
    Yes,
    /// The name belongs or belonged to somebody.
    NameTaken,
}

impl Sql<'_> {
    /// Adds a person without a password.
    pub(crate) fn add_user(&self, user: &User) -> Result<Added, StoreError> {
        if subjects::take(self, user.name.as_str(), SubjectKind::User, user.created_at)? == Taken::Before {
            return Ok(Added::NameTaken);
        }
        let roles = json(&user.roles, "users")?;
        self.execute(
            "INSERT INTO users (name, enabled, roles, fhir_user, email, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            &[
                user.name.as_str().into(),
                state(user.state).into(),
                (&roles).into(),
                user.fhir_user.as_ref().map(|f| f.as_str()).into(),
                user.email.as_ref().into(),
                user.created_at.into(),
            ],
        )?;
        Ok(Added::Yes)
    }

    /// A person by name.
    pub(crate) fn user(&self, name: &Subject) -> Result<Option<User>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM users WHERE name = ?1");
        self.first("users", &text, &[name.as_str().into()], read)
    }

    /// Everybody, by name.
    pub(crate) fn users(&self) -> Result<Vec<User>, StoreError> {
        self.query("users", &format!("SELECT {COLUMNS} FROM users ORDER BY name"), &[], read)
    }

    /// Enables or disables.
    pub(crate) fn set_user_state(&self, name: &Subject, to: UserState) -> Result<(), StoreError> {
        let values = [name.as_str().into(), state(to).into()];
        self.execute("UPDATE users SET enabled = ?2 WHERE name = ?1", &values).map(drop)
    }

    /// Notes that a person was shut out: whatever others say of them from before is believed no more, however long that lasts.
    pub(crate) fn note_shut_out(&self, name: &Subject, now: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE users SET shut_out_at = ?2 WHERE name = ?1";
        self.execute(text, &[name.as_str().into(), now.into()]).map(drop)
    }

    /// When a person was shut out last.
    pub(crate) fn shut_out_at(&self, name: &Subject) -> Result<Option<Timestamp>, StoreError> {
        let text = "SELECT shut_out_at FROM users WHERE name = ?1";
        let found =
            self.first("users", text, &[name.as_str().into()], |row| row.time_optional("shut_out_at"))?;
        Ok(found.flatten())
    }

    /// Gives a person these roles in place of those that they had.
    pub(crate) fn set_user_roles(&self, name: &Subject, roles: &BTreeSet<Role>) -> Result<(), StoreError> {
        let roles = json(roles, "users")?;
        let values = [name.as_str().into(), Value::from(&roles)];
        self.execute("UPDATE users SET roles = ?2 WHERE name = ?1", &values).map(drop)
    }

    /// The stored hash of a person's password, if they have one.
    pub(crate) fn password_hash(&self, name: &Subject) -> Result<Option<String>, StoreError> {
        let text = "SELECT password_hash FROM users WHERE name = ?1";
        let row = self.first("users", text, &[name.as_str().into()], |row| row.get("password_hash"))?;
        Ok(row.flatten())
    }

    /// The stored hashes of everybody's.
    pub(crate) fn password_hashes(&self) -> Result<Vec<String>, StoreError> {
        let text = "SELECT password_hash FROM users WHERE password_hash IS NOT NULL";
        self.query("users", text, &[], |row| row.get("password_hash"))
    }

    /// Stores another hash of the same password, if nobody has set one meanwhile; says whether it did.
    pub(crate) fn replace_password_hash(
        &self,
        name: &Subject,
        old: &str,
        new: &str,
    ) -> Result<Took, StoreError> {
        let values = [name.as_str().into(), old.into(), new.into()];
        let text = "UPDATE users SET password_hash = ?3 WHERE name = ?1 AND password_hash = ?2";
        Ok(if self.execute(text, &values)? == 0 { Took::Nothing } else { Took::It })
    }

    /// Stores the hash of a new password; without one, no password is right.
    pub(crate) fn set_password_hash(&self, name: &Subject, hash: Option<&str>) -> Result<(), StoreError> {
        let values = [name.as_str().into(), hash.into()];
        self.execute("UPDATE users SET password_hash = ?2 WHERE name = ?1", &values).map(drop)
    }
}

fn state(state: UserState) -> i64 {
    match state {
        UserState::Enabled => 1,
        UserState::Disabled => 0,
    }
}

fn read(row: &Row<'_, '_>) -> Result<User, StoreError> {
    Ok(User {
        name: row.parse("name")?,
        state: match row.get::<i64>("enabled")? {
            0 => UserState::Disabled,
            1 => UserState::Enabled,
            _ => return Err(row.inconsistent("enabled")),
        },
        roles: row.json("roles")?,
        fhir_user: row.parse_optional("fhir_user")?,
        email: row.get("email")?,
        created_at: row.time("created_at")?,
    })
}
