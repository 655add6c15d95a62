//! Sign-ins that are half done: the password is, or a sign-in elsewhere, the second factor is not. Kept as digests, each for one browser.

use std::time::Duration;

use chartgate_access::ids::{FactorId, Subject};
use chartgate_access::session::AuthTime;
use chartgate_values::Timestamp;

use super::provider_sessions::SessionThere;
use super::sql::Row;
use super::{Sql, StoreError};

/// How long somebody may take to find their phone.
pub(crate) const HALF_LIFE: Duration = Duration::from_secs(600);

/// A sign-in of which the first half is done.
#[derive(Clone, Debug)]
pub(crate) struct HalfSignIn {
    /// Whose.
    pub(crate) subject: Subject,
    /// What they showed for it.
    pub(crate) first: First,
    /// The passkey that opened the way, if one did, alone or after that.
    pub(crate) passkey: Option<FactorId>,
    /// What it waits for.
    pub(crate) stage: Stage,
}

/// What somebody showed before the second factor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum First {
    /// Their password.
    Password,
    /// A passkey, where more than that one is needed.
    Passkey,
    /// An account at an identity provider.
    Elsewhere(There),
    /// A link that was sent to them, in place of the password. No session begins with it, but a new password.
    Link,
    /// Their password, and a link that was sent to them: the factor that they enrol takes the place of all that they had.
    PasswordAndLink,
}

impl First {
    /// Its name in the record.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Passkey => "passkey",
            Self::Elsewhere(_) => "provider",
            Self::Link => "link",
            Self::PasswordAndLink => "password-and-link",
        }
    }

    /// Whether what is enrolled after this takes the place of all that was there.
    pub(crate) fn replaces(&self) -> bool {
        match self {
            Self::PasswordAndLink => true,
            Self::Password | Self::Passkey | Self::Elsewhere(_) | Self::Link => false,
        }
    }

    /// What it is once that is enrolled.
    pub(crate) fn once_enrolled(&self) -> Self {
        if self.replaces() { Self::Password } else { self.clone() }
    }

    fn by_link(&self) -> Option<&'static str> {
        match self {
            Self::Link => Some("alone"),
            Self::PasswordAndLink => Some("with-password"),
            Self::Password | Self::Passkey | Self::Elsewhere(_) => None,
        }
    }
}

/// A sign-in at an identity provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct There {
    /// What the provider is called here.
    pub(crate) provider: String,
    pub(crate) issuer: String,
    /// When somebody signed in there,
    pub(crate) auth_time: Timestamp,
    /// and whether it said so.
    pub(crate) told: AuthTime,
    /// The session there.
    pub(crate) session: SessionThere,
}

/// What a half sign-in waits for: that alone can be done with it.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// The second factor.
    Prove,
    /// That one is enrolled: the secret that is offered for it, sealed.
    Enrol(Vec<u8>),
    /// That a passkey is, and nothing else will do.
    EnrolAPasskey,
    /// A new password.
    NewPassword,
}

impl Sql<'_> {
    /// Keeps a half sign-in for a browser.
    pub(crate) fn add_half_sign_in(
        &self,
        digest: &str,
        browser: &str,
        half: &HalfSignIn,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (stage, offered) = match &half.stage {
            Stage::Prove => ("prove", None),
            Stage::Enrol(offered) => ("enrol", Some(offered.as_slice())),
            Stage::EnrolAPasskey => ("enrol-passkey", None),
            Stage::NewPassword => ("new-password", None),
        };
        let text = "INSERT INTO half_sign_ins \
                    (digest, browser, user_name, stage, offered, expires_at, provider, auth_time, issuer, \
                    auth_time_said, by_passkey, by_link, passkey, provider_sid, provider_id_token, provider_asked_at) \
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
        let there = match &half.first {
            First::Password | First::Passkey | First::Link | First::PasswordAndLink => None,
            First::Elsewhere(there) => Some(there),
        };
        let is_said = there.is_none_or(|there| there.told == AuthTime::Said);
        let values = [
            digest.into(),
            browser.into(),
            half.subject.as_str().into(),
            stage.into(),
            offered.into(),
            now.plus(HALF_LIFE).into(),
            there.map(|there| &there.provider).into(),
            there.map(|there| there.auth_time).into(),
            there.map(|there| &there.issuer).into(),
            i64::from(is_said).into(),
            i64::from(half.first == First::Passkey).into(),
            half.first.by_link().into(),
            half.passkey.as_ref().map(|passkey| passkey.as_str()).into(),
            there.map(|there| there.session.sid.as_ref()).into(),
            there.map(|there| there.session.id_token.as_deref()).into(),
            there.map(|there| there.session.asked_at).into(),
        ];
        self.execute(text, &values).map(drop)
    }

    /// The half sign-in that a browser goes on with.
    pub(crate) fn half_sign_in(
        &self,
        digest: &str,
        browser: &str,
        now: Timestamp,
    ) -> Result<Option<HalfSignIn>, StoreError> {
        let text = "SELECT user_name, stage, offered, provider, auth_time, issuer, auth_time_said, by_passkey, \
                    by_link, passkey, provider_sid, provider_id_token, provider_asked_at FROM half_sign_ins \
                    WHERE digest = ?1 AND browser = ?2 AND expires_at > ?3";
        self.first("half_sign_ins", text, &[digest.into(), browser.into(), now.into()], |row| {
            let (stage, offered): (String, Option<Vec<u8>>) = (row.get("stage")?, row.get("offered")?);
            let stage = match (stage.as_str(), offered) {
                ("prove", None) => Stage::Prove,
                ("enrol", Some(offered)) => Stage::Enrol(offered),
                ("enrol-passkey", None) => Stage::EnrolAPasskey,
                ("new-password", None) => Stage::NewPassword,
                _ => return Err(row.inconsistent("stage")),
            };
            let first = match (elsewhere(row)?, row.get::<Option<String>>("by_link")?.as_deref()) {
                (Some(there), _) => First::Elsewhere(there),
                (None, _) if row.get("by_passkey")? => First::Passkey,
                (None, None) => First::Password,
                (None, Some("alone")) => First::Link,
                (None, Some("with-password")) => First::PasswordAndLink,
                (None, Some(_)) => return Err(row.inconsistent("by_link")),
            };
            let passkey = row.parse_optional("passkey")?;
            Ok(HalfSignIn { subject: row.parse("user_name")?, first, passkey, stage })
        })
    }

    /// Uses a half sign-in up: the one who gets the name is the only one.
    pub(crate) fn take_half_sign_in(
        &self,
        digest: &str,
        now: Timestamp,
    ) -> Result<Option<Subject>, StoreError> {
        let text = "DELETE FROM half_sign_ins WHERE digest = ?1 AND expires_at > ?2 RETURNING user_name";
        self.first("half_sign_ins", text, &[digest.into(), now.into()], |row| row.parse("user_name"))
    }

    /// Makes one of a person's void: they say that it is not they who began it.
    pub(crate) fn void_half_sign_in(&self, of: &Subject, digest: &str) -> Result<(), StoreError> {
        let text = "DELETE FROM half_sign_ins WHERE user_name = ?1 AND digest = ?2";
        self.execute(text, &[of.as_str().into(), digest.into()]).map(drop)
    }

    /// Makes all that a person began void, and the links by which they would begin: what they sign in with has changed.
    pub(crate) fn void_half_sign_ins(&self, of: &Subject) -> Result<(), StoreError> {
        self.void_links(of)?;
        self.execute("DELETE FROM half_sign_ins WHERE user_name = ?1", &[of.as_str().into()]).map(drop)
    }

    /// Makes void what a person opened in order to enrol something or set it anew, and what a passkey alone began. Who has shown a
    /// password and has to show a factor yet goes on.
    pub(crate) fn void_openings(&self, of: &Subject) -> Result<(), StoreError> {
        let text = "DELETE FROM half_sign_ins WHERE user_name = ?1 AND (stage <> 'prove' OR by_passkey = 1)";
        self.execute(text, &[of.as_str().into()]).map(drop)
    }

    /// Forgets those that nobody went on with.
    pub(super) fn forget_half_sign_ins(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute("DELETE FROM half_sign_ins WHERE expires_at < ?1", &[now.into()]).map(drop)
    }
}

/// The sign-in at a provider that one began with, if it did.
fn elsewhere(row: &Row<'_, '_>) -> Result<Option<There>, StoreError> {
    let told = if row.get("auth_time_said")? { AuthTime::Said } else { AuthTime::Presumed };
    let times = (row.time_optional("auth_time")?, row.time_optional("provider_asked_at")?);
    match (row.get("provider")?, row.get("issuer")?, times) {
        (Some(provider), Some(issuer), (Some(auth_time), Some(asked_at))) => {
            let (sid, id_token) = (row.get("provider_sid")?, row.get("provider_id_token")?);
            let session = SessionThere { sid, asked_at, id_token };
            Ok(Some(There { provider, issuer, auth_time, told, session }))
        }
        (None, None, (None, None)) => Ok(None),
        _ => Err(row.inconsistent("provider")),
    }
}
